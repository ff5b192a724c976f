"""What a new backup is held against, and what a backup before a migration is doubted for."""

from dataclasses import replace

import pytest

from sidecar import source
from sidecar.backups import Kind, Manifest
from sidecar.baseline import inherited
from sidecar.errors import NoSource
from sidecar.guard import Guard
from sidecar.plan import Phase
from sidecar.policy import Policy
from tests.fakes import FakeWorld, machine
from tests.fakes_engine import Release
from tests.fakes_machine import Machine
from tests.scenarios import PROGRAMS

POLICY = Policy()
GOOD = Release("v2", PROGRAMS["good"])
DOUBTS = ("users shrank from 80 to 8 rows",)


def backed_up(here: Machine, kind: Kind, doubts: tuple[str, ...] = ()) -> Manifest:
    """Take a backup that may be doubtful."""
    world = FakeWorld(here, GOOD, POLICY)
    look = world.world.database.look(catalog=True)
    with world.world.journal.hold("other", 0):
        backup = world.vault.next_backup(kind)
        return world.vault.take(backup, "other", look, {}, doubt=lambda _: doubts)


def migrated(here: Machine) -> Manifest:
    """Run the guard, and give its backup."""
    Guard(FakeWorld(here, GOOD, POLICY).world, POLICY, "20260131-130000-0001").run()
    manifests = FakeWorld(here, GOOD, POLICY).vault.manifests()
    return max(
        (m for m in manifests if m.backup.kind is Kind.PRE_MIGRATION),
        key=lambda m: m.backup.taken_at,
    )


def test_the_same_data_is_doubted_for_the_same() -> None:
    """Else a lost database were filled with it, without anybody asked."""
    here = machine()
    backed_up(here, Kind.SCHEDULED)
    backed_up(here, Kind.SCHEDULED, DOUBTS)
    mine = migrated(here)

    assert DOUBTS == mine.doubts
    with pytest.raises(NoSource, match="users shrank"):
        source.choose(mine.database, FakeWorld(here, GOOD, POLICY).vault.manifests())


@pytest.mark.parametrize("chosen", ["a backup by hand", "a restore", "a refill"])
def test_what_somebody_has_chosen_is_not_doubted(chosen: str) -> None:
    """Who asks for a backup, or restores one, means it; nobody has chosen what fills a database."""
    here = machine()
    backed_up(here, Kind.SCHEDULED, DOUBTS)
    here.pass_time(60)
    if chosen == "a backup by hand":
        backed_up(here, Kind.MANUAL)
    else:
        journal = FakeWorld(here, GOOD, POLICY).world.journal
        details = {"refill": True} if chosen == "a refill" else {}
        journal.append("r1", Phase.STARTED, restoring="x", **details)
        journal.append("r1", Phase.RESTORED)
        journal.append("r1", Phase.CLEARED)

    assert (DOUBTS if chosen == "a refill" else ()) == migrated(here).doubts


def test_of_another_database() -> None:
    """Its doubts are its own."""
    doubted = backed_up(machine(), Kind.SCHEDULED, DOUBTS)

    assert DOUBTS == inherited([doubted], [], doubted.database)
    assert () == inherited([replace(doubted, database="crm")], [], doubted.database)
