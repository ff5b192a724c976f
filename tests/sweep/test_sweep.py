"""A part of the sweep, which `make sweep` plays as a whole; and whether the whole is whole."""

import datetime as dt
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.points import points
from tests.written import docker_request, docker_requests

from . import checker
from .combinations import Combination, play
from .faults import relay
from .scenarios import BY_NAME
from .seat import Seat, seats
from .swaps import killed_in_swaps
from .sweep import Known, combinations, learn, sweep

TESTS = Path(__file__).parents[1]
KILLS = 8
SWAPS = 20

SEED = int(os.environ.get("MIGSAFE_SWEEP_SEED") or dt.datetime.now(dt.UTC).toordinal())
"""Another sample each day: all of it is tried in the course of time."""

FOUND = (
    "good:migration.started@1=fail",
    "good:store.synced@2=kill",
    "bad:journal.after.rolled-back@1=kill",
    "apart:journal.after.exited@1=kill",
    "lent:journal.after.failed@1=kill",
    "loads:migration.created@1=kill,journal.after.cleared@1=kill",
    "resumes:journal.before.failed@1=kill,journal.after.rolled-back@1=kill",
)
"""What the sweep has found once, and is mended."""

ELSEWHERE = {
    "retry": "e2e/test_story.py",
    "stranded": "unit/test_faults.py",
    "forgotten": "unit/test_retention.py",
    "restored": "unit/test_restore.py",
    "delete.manifest-gone": "unit/test_vault.py",
    "handover.": "e2e/test_killed_outside.py",
    "wrap.": "e2e/test_killed_outside.py",
    "copy.": "unit/test_remotes.py",
    "fetch.": "unit/test_remotes.py",
    "renew.": "unit/test_remotes.py",
}
"""Points that no scenario passes, by what they are about, and the tests that get there."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Seat]]:
    """Make two seats."""
    apps.build("plainsql")
    with seats(2, tmp_path_factory.mktemp("sweep")) as made:
        yield made


@pytest.fixture(scope="module")
def known(found: list[Seat]) -> Known:
    """Learn from undisturbed runs."""
    return learn(found)


def test_undisturbed(known: Known) -> None:
    """Every scenario ends as it deserves, and keeps every promise, when nothing disturbs it."""
    assert [] == [(str(result.combination), result.violations) for result in known.wrong]


def test_every_point_is_reached(known: Known) -> None:
    """
    Each failpoint of the source is passed by a scenario of the sweep, or another test is named.

    Faults: 1.
    """
    missing = [point for point in points() if point not in known.reached]

    assert [] == [point for point in missing if not any(word in point for word in ELSEWHERE)]
    for word, file in ELSEWHERE.items():
        assert word.rpartition(".")[0] in (TESTS / file).read_text() or word, word
        assert any(word in point for point in missing), f"{word} is reached by the sweep now"


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once(found: list[Seat], known: Known, name: str) -> None:
    """
    What a sweep has found stays mended.

    Faults: 1, 44, 46, 78, 134.
    """
    combination = Combination.of(name)

    result = play(found[0], combination, known.states[combination.scenario.name])

    assert result.hit
    assert [] == result.violations


def test_a_sample_of_kills(found: list[Seat], known: Known) -> None:
    """
    Killed at any failpoint, the next run ends where an undisturbed one would have.

    Faults: 1, 8, 44, 77, 88, 92, 96.
    """
    kills = [each for each in combinations(known) if each.kind == "kill"]
    todo = random.Random(SEED).sample(kills, KILLS)  # noqa: S311 - a sample, no secret

    results = sweep(found, todo, known.states, lambda _number, _result: None)

    broken = {str(each.combination): each.violations for each in results if each.violations}
    assert {} == broken, f"MIGSAFE_SWEEP_SEED={SEED}"


def test_kills_around_the_swap(found: list[Seat]) -> None:
    """
    A client that dies while it swaps leaves nothing torn.

    Faults: 96.
    """
    swaps = killed_in_swaps(found[0], SWAPS, random.Random(SEED), of_server=0)  # noqa: S311 - same

    assert SWAPS == sum(swaps.kinds.values())
    assert [] == swaps.torn


@pytest.mark.parametrize("name", ["resumes", "lent"])
def test_what_a_guard_asks_of_docker_is_written_down(found: list[Seat], name: str) -> None:
    """
    Whoever puts a proxy before the socket finds each request in the page, and may refuse others.

    Faults: 129.
    """
    seat, scenario = found[0], BY_NAME[name]
    seat.reset(scenario.shape)

    with relay() as between:
        docker_host = f"tcp://{seat.gateway()}:{between.port}"
        ran = seat.guard({**scenario.environment, "DOCKER_HOST": docker_host})

    assert scenario.code == ran.code, ran.output
    asked = set(map(docker_request, between.asked))
    assert "POST /containers/create" in asked
    assert asked <= docker_requests()


def test_the_checker_sees_what_is_wrong(found: list[Seat], known: Known) -> None:
    """A row that is gone, a scratch that is left, a stopped worker: the checker names each."""
    seat, scenario = found[0], BY_NAME["bad"]
    seat.reset(scenario.shape)
    played = checker.Played(scenario, known.states[scenario.name])
    played.runs.append(seat.guard(scenario.environment))
    played.seen.append(checker.observe(seat))
    assert [] == checker.broken(seat, played)

    seat.execute("DELETE FROM notes WHERE ctid = '(0,1)'", "shop")
    seat.execute("CREATE DATABASE shop__migsafe_point_x")
    seat.execute("ALTER DATABASE shop CONNECTION LIMIT 7")
    (seat.folder / "pre-migration-20260131-120000.sql.partial").write_text("canary-7f3a91c04e")
    told = " ".join(checker.broken(seat, played))

    for word in ("I2: the live", "I2: properties", "scratch", ".partial is left", "I8"):
        assert word in told, told
