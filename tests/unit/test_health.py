"""What the healthcheck answers, and how little it loads for that."""

import json
import subprocess
import sys
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar import cli, health, probe, state
from sidecar.clock import SystemClock
from sidecar.state import FILE, Problem, State

NOW = SystemClock().now()
GOOD = State(
    schedule="hourly",
    at=NOW,
    due_at=NOW + timedelta(hours=1),
    newest="scheduled-20260131-120000.dump.zst",
    stale_at=NOW + timedelta(hours=2),
    verified="scheduled-20260131-110000.dump.zst",
    verify_stale_at=NOW + timedelta(days=14),
)
HEAVY = {"argparse", "psycopg", "docker", "structlog", "sidecar.settings", "dataclasses"}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({}, 0, "healthy"),
        ({"stale_at": NOW - timedelta(hours=1)}, 13, "the newest backup is too old"),
        ({"newest": "", "stale_at": None}, 13, "there is no whole backup yet"),
        ({"verify_stale_at": NOW - timedelta(days=1)}, 14, "no backup was proven"),
        ({"verify_stale_at": None}, 0, "healthy"),
        ({"backup": Problem(10, "the server is away")}, 10, "the server is away"),
        ({"verify": Problem(14, "it does not restore")}, 14, "it does not restore"),
        ({"stores": Problem(16, "gs://bucket is behind")}, 16, "gs://bucket is behind"),
        ({"guard": Problem(30, "the rollback failed")}, 30, "the rollback failed"),
        ({"held": Problem(16, "backups are missing")}, 16, "backups are missing"),
        ({"doubt": Problem(17, "data has vanished")}, 17, "data has vanished"),
    ],
)
def test_what_is_not_well(
    changes: dict[str, Any],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each has its words, and the code of the table. Faults: 107."""
    (tmp_path / FILE).write_text(replace(GOOD, **changes).to_json())
    monkeypatch.setenv("MIGSAFE_BACKUPS", str(tmp_path))

    assert code == probe.main([])
    assert words in capsys.readouterr().out
    assert code == cli.main(["health", "--explain"])
    assert words in capsys.readouterr().out
    assert code == probe.main(["--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (1, code == 0) == (answer["schema"], answer["healthy"])


def test_what_can_not_be_proven_is_said() -> None:
    """It is no problem, and whoever wants it explained is told."""
    left = json.loads(replace(GOOD, verified="", unprovable="no key opens a backup").to_json())
    told = health.lines(left, health.judge(left, NOW), explain=True)

    assert told[1].startswith("proven     none")
    assert "no key opens a backup: whether one restores is not seen here" == told[2].strip()
    assert "healthy" == told[-1]


@pytest.mark.parametrize("text", [None, "", "{", "[]"])
def test_no_state(text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none, nothing is known to be well."""
    if text is not None:
        (tmp_path / FILE).write_text(text)
    monkeypatch.setenv("MIGSAFE_BACKUPS", str(tmp_path))

    assert 15 == probe.main(["--explain"])


def test_the_problems_have_the_same_names_everywhere() -> None:
    """What the state can tell, what is read back of it, and what the healthcheck looks at."""
    told = {each.name for each in fields(State) if each.type == Problem | None}

    assert told == state.PROBLEMS
    assert sorted(told) == sorted(health.PROBLEMS)


def test_the_worst_decides() -> None:
    """The code is that of the worst, the words are of all."""
    left = replace(GOOD, stores=Problem(16, "behind"), guard=Problem(31, "disagree"))
    found = health.judge(json.loads(left.to_json()), NOW)

    assert 31 == health.code(found)
    assert "unhealthy: disagree; behind" == health.lines({}, found, explain=False)[0]


def test_a_state_is_read_back() -> None:
    """A service that starts anew knows what it knew; what can't be read is as good as none."""
    full = replace(GOOD, taking="a", doubt=Problem(17, "gone", "hint"))

    assert full == State.from_json(full.to_json())
    assert State() == State.from_json("{")
    assert State() == State.from_json("[]")


def test_it_loads_next_to_nothing(tmp_path: Path) -> None:
    """Compose asks every few seconds: not even the command line's parser is loaded."""
    (tmp_path / FILE).write_text(GOOD.to_json())
    asked = subprocess.run(
        (sys.executable, "-X", "importtime", "-m", "sidecar", "health"),
        env={"MIGSAFE_BACKUPS": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    loaded = {line.rpartition("|")[2].strip() for line in asked.stderr.splitlines()}

    assert (0, "healthy\n") == (asked.returncode, asked.stdout)
    assert "sidecar.probe" in loaded
    assert not loaded & HEAVY


def test_only_what_it_knows_goes_past_the_parser() -> None:
    """A word that it does not know is a usage error as everywhere."""
    assert probe.quick(["health", "--json"])
    assert not probe.quick(["health", "--jsn"])
    assert not probe.quick(["guard"])
    assert not probe.quick([])
