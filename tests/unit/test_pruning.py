"""The command `prune`, on fakes: it deletes what is old, and says of the rest why it stays."""

import json
from argparse import Namespace
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar import pruning
from sidecar.aftermath import Aftermath
from sidecar.backup_ports import Lease, NoLease
from sidecar.backups import Kind
from sidecar.errors import LeaseHeld, Refused, SettingsError, StoreFailed
from sidecar.facts import Contents
from sidecar.lease import SlotLease
from sidecar.plan import Phase
from sidecar.policy import Policy
from sidecar.retention import Generations
from tests.fakes import FakeClock, FakeWorld, Killed, machine
from tests.fakes_machine import Machine
from tests.fakes_remote import FakeSlot
from tests.scenarios import run_guard

from .builders import give_stack
from .test_restore import BAD, GOOD, POLICY, restore

KEEP = timedelta(days=7)


@pytest.fixture
def here() -> Machine:
    """Make a machine with two backups of long ago, and what a restore has set aside."""
    made = machine()
    run_guard(made, GOOD, POLICY)
    restore(made, FakeWorld(made, GOOD, POLICY).vault.manifests()[-1], migrate=True)
    made.pass_time(timedelta(days=30).total_seconds())
    return made


def backups(here: Machine) -> list[str]:
    """Name the backups, the newest first."""
    return [m.backup.name for m in FakeWorld(here, GOOD, POLICY).vault.manifests()]


def prune(
    here: Machine,
    monkeypatch: pytest.MonkeyPatch,
    lease: Lease | None = None,
    kill_at: int | None = None,
    **options: bool,
) -> int:
    """Type the command."""
    world = FakeWorld(here, GOOD, POLICY)
    world.power.kill_at = kill_at
    leased = replace(world.world, lease=lease or NoLease())
    give_stack(monkeypatch, pruning, world=leased, control=world.journal)
    settings: Any = SimpleNamespace(
        policy=lambda: Policy(keep=KEEP), retention=Generations.parse("hourly=2 daily=1")
    )
    ways: Any = SimpleNamespace(stop=world.world.stop)
    words = Namespace(
        **{"dry_run": False, "yes": False, "json": False, "accept_missing": False, **options}
    )
    return pruning.prune(settings, ways, words, lambda: "prune")


def test_deletes_what_is_old(
    here: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    What nobody needs goes, everything else stays with its reason, and databases are only told.

    Faults: 109, 113.
    """
    here.files["holiday.jpg"] = b"not ours"
    before, databases = backups(here), set(here.databases)
    oldest = before[-1]

    assert 0 == prune(here, monkeypatch, dry_run=True)
    assert before == backups(here)
    assert 0 == prune(here, monkeypatch, yes=True)

    told = capsys.readouterr().out
    assert [name for name in before if name != oldest] == backups(here)
    assert (databases, True) == (set(here.databases), "holiday.jpg" in here.files)
    assert f"deletes  {oldest}" in told
    assert "the newest safety backup that is good" in told
    (kept,) = [name for name in databases if "__kept_" in name]
    assert f"leaves   {kept}: kept for 30 d; goes after the next migration" in told
    assert here.lock is None


def test_a_clock_that_has_gone_on_by_much_is_asked_about(
    here: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who deletes by hand sees the time, and decides; one look later it is known."""
    for _ in range(2):
        assert 0 == prune(here, monkeypatch, yes=True)
        told = capsys.readouterr().out
        assert "the clock has gone on by 30 d since backups were looked at last: it says 20" in told
        assert "Is it right?" in told

    here.pass_time(timedelta(days=1).total_seconds())
    assert 0 == prune(here, monkeypatch, dry_run=True)
    assert "Is it right?" not in capsys.readouterr().out


def test_a_store_that_is_behind(
    here: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is deleted, and nobody is told that it was."""
    before = backups(here)
    monkeypatch.setattr(Aftermath, "prune", lambda *_: "gs://shop lacks one")

    assert 16 == prune(here, monkeypatch, yes=True, json=True)
    told = json.loads(capsys.readouterr().out)
    assert (False, "gs://shop lacks one") == (told["done"], told["held"])
    assert before == backups(here)


def test_answers_in_json(
    here: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script learns the same."""
    assert 0 == prune(here, monkeypatch, dry_run=True, json=True)

    told = json.loads(capsys.readouterr().out)
    assert (1, False) == (told["schema"], told["done"])
    assert backups(here)[-1:] == [each["name"] for each in told["backups"] if each["deletes"]]
    assert 1 == len(told["databases"])


def test_nobody_is_deleted_from_by_accident(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal it takes `--yes`."""
    before = backups(here)

    with pytest.raises(SettingsError):
        prune(here, monkeypatch)
    assert before == backups(here)


def test_not_while_a_run_is_not_at_its_end(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What was cut off may need anything: nothing is deleted before it is at its end.

    Faults: 109.
    """
    run_guard(here, BAD, POLICY)
    here.pass_time(timedelta(days=30).total_seconds())
    world = FakeWorld(here, GOOD, POLICY)
    world.journal.append(world.journal.entries()[-1].run, Phase.FAILED, code=20)
    before = backups(here)

    with pytest.raises(Refused):
        prune(here, monkeypatch, yes=True)
    assert before == backups(here)


def test_nothing_is_deleted_beside_another(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    In RAM mode another instance works on these backups, or nobody knows: it may need them.

    Faults: 127.
    """
    slot, before = FakeSlot(), backups(here)
    laptop, mine = (SlotLease(slot, FakeClock(here), name, lambda: "t") for name in ("lt", "pi"))
    laptop.take()

    with pytest.raises(LeaseHeld, match="lt"):
        prune(here, monkeypatch, mine, yes=True)
    slot.failing = StoreFailed("no route to host")
    with pytest.raises(StoreFailed, match="no route to host"):
        prune(here, monkeypatch, mine, yes=True)
    assert 0 == prune(here, monkeypatch, mine, dry_run=True)
    assert before == backups(here)


def test_what_is_missing_is_meant_where_somebody_says_so(
    here: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing goes while a backup is gone that was there before; said once, it is forgotten."""
    schedule(here, 2)
    prune(here, monkeypatch, yes=True)
    schedule(here, 3)
    lost = [name for name in backups(here) if name.startswith("scheduled")][-1]
    del here.files[lost]
    before = backups(here)
    for code, options in (
        (17, {"yes": True}),
        (0, {"accept_missing": True, "dry_run": True}),
        (17, {"yes": True}),
    ):
        assert code == prune(here, monkeypatch, None, **options)
        assert before == backups(here)
    told = capsys.readouterr().out
    assert f"nothing is deleted: backups are missing that were there before: {lost}" in told

    assert 0 == prune(here, monkeypatch, yes=True, accept_missing=True)
    assert len(backups(here)) < len(before)
    assert 0 == prune(here, monkeypatch, yes=True)
    assert "missing" not in capsys.readouterr().out


def _doubted(found: tuple[str, ...], _contents: Contents) -> tuple[str, ...]:
    return found


def schedule(here: Machine, count: int, doubts: tuple[str, ...] = ()) -> None:
    """Take scheduled backups, an hour apart; the last one doubtful, perhaps."""
    world = FakeWorld(here, GOOD, POLICY).world
    for number in range(count):
        here.pass_time(3600)
        found = doubts if number == count - 1 else ()
        look = world.database.look()
        backup = world.vault.next_backup(Kind.SCHEDULED)
        world.vault.take(backup, "r", look, {}, doubt=partial(_doubted, found))


def test_scheduled_backups_go_by_generation(
    here: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each that stays says for which, and the others go. Faults: 109."""
    schedule(here, 5)
    assert 0 == prune(here, monkeypatch, yes=True)

    told = capsys.readouterr().out
    assert 2 == sum(name.startswith("scheduled") for name in backups(here))
    assert 3 == told.count("no generation needs it")
    assert "hourly 2 of 2" in told


def test_one_that_was_killed_leaves_nothing_for_ever(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lost its manifest and not its file goes with the next. Faults: 111."""
    schedule(here, 9)
    before, kill_at = set(here.files), 0
    left = set[str]()
    while not left:
        with suppress(Killed):
            prune(here, monkeypatch, kill_at=kill_at, yes=True)
        here.lock = None
        left = {name for name in _files(here) if f"{name}.manifest.json" not in here.files}
        kill_at += 1
        assert kill_at < 50

    assert left < before
    assert 0 == prune(here, monkeypatch, yes=True)
    assert [] == [name for name in _files(here) if f"{name}.manifest.json" not in here.files]


def test_what_somebody_puts_back_is_not_half_deleted(
    here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prune that has come to its end knows of nothing that is still to go. Faults: 111."""
    schedule(here, 9)
    before = dict(here.files)
    assert 0 == prune(here, monkeypatch, yes=True)
    back = [name for name in before if name not in here.files and name.startswith("scheduled-")]
    back = [name for name in back if name.endswith(".zst")]  # first the file, then its manifest
    here.files |= {name: before[name] for name in back}

    assert 0 == prune(here, monkeypatch, yes=True)
    assert back
    assert set(back) <= set(here.files)


def _files(here: Machine) -> list[str]:
    return [name for name in here.files if name.endswith((".sql", ".zst"))]


def test_nothing_is_deleted_while_the_newest_is_doubtful(
    here: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither scheduled backups nor others, and it says why. Faults: 108, 109."""
    schedule(here, 5, ("all tables are empty",))
    before = backups(here)
    assert 17 == prune(here, monkeypatch, yes=True)

    assert before == backups(here)
    assert "nothing is deleted: the newest backup is doubtful" in capsys.readouterr().out
    assert 17 == prune(here, monkeypatch, yes=True, json=True)
    told = json.loads(capsys.readouterr().out)
    assert "doubtful" in told["held"]
    assert not told["done"]
