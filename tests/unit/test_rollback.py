"""What a rollback says and remembers, and what it holds the server to."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sidecar.errors import RollbackFailed
from sidecar.facts import scratch_name
from sidecar.plan import Phase
from sidecar.policy import Policy, RestorePoint
from tests.fakes import FakeJournal, Power, machine
from tests.fakes_data import BEFORE, EMPTY
from tests.fakes_engine import Release
from tests.fakes_machine import LIVE, PROPERTIES, SECRET, Machine
from tests.scenarios import PROGRAMS, run_guard, runs, state

BAD = Release("v2-bad", PROGRAMS["fails after a commit"])
POLICY = Policy(deadline=timedelta(seconds=20))
LOADED = replace(POLICY, restore_point=RestorePoint.NEVER)


class Refusing(Power):
    """A server that refuses an act, however often it is asked."""

    def __init__(self, here: Machine, act: str) -> None:
        super().__init__(here)
        self.act = act

    def call(self, name: str) -> None:
        """Use a port."""
        super().call(name)
        if name == self.act:
            raise RollbackFailed(f"the server refuses: {SECRET}")


# --- the words


def test_a_failure_is_told_as_it_was_journalled() -> None:
    """The reason is in the error, in the journal and in the next refusal; the log's end is kept."""
    here = machine()

    end = run_guard(here, BAD, POLICY)
    again = run_guard(here, BAD, POLICY)

    reason = runs(here)[-1].failure.reason
    assert "exited with 1" in reason
    assert reason == end.message
    assert reason in again.message
    assert runs(here)[-1].failure.tail


def test_a_rollback_that_failed_says_why() -> None:
    """Both reasons are named: why it was needed, and why it failed; also by the next start."""
    here = machine()

    ends = [
        run_guard(here, BAD, LOADED, Refusing(here, "database: load")),
        run_guard(here, BAD, LOADED),
    ]

    for end in ends:
        assert 30 == end.code
        assert "the server refuses: ***" in end.message
        assert "exited with 1" in end.message
        assert end.hint.startswith("The database is closed")


def test_a_database_that_is_open_is_not_said_to_be_closed() -> None:
    """Where closing was refused the hint says so, until a later run has closed it."""
    here = machine()

    first = run_guard(here, BAD, LOADED, Refusing(here, "database: close"))
    second = run_guard(here, BAD, LOADED, Refusing(here, "database: close"))
    third = run_guard(here, BAD, LOADED)

    assert [30, 30, 30] == [end.code for end in (first, second, third)]
    assert "could NOT be closed" in first.hint
    assert "could NOT be closed" in second.hint
    assert third.hint.startswith("The database is closed")


def test_a_database_that_somebody_is_still_in_is_not_said_to_be_closed() -> None:
    """
    Who can't be ended may go on writing: it is named, and the next start tries again.

    Faults: 42.
    """
    here = machine(strangers=["psql"])
    here.settle()

    def cling(_number: int, name: str) -> None:
        for backend in here.backends.values():
            backend.stubborn = name == "journal: failed" or backend.stubborn

    first = run_guard(here, BAD, POLICY, Power(here, watch=cling))
    for backend in here.backends.values():
        backend.stubborn = False
    second = run_guard(here, BAD, POLICY)

    assert (30, 30) == (first.code, second.code)
    assert "somebody is in it still" in first.hint
    assert "sessions could not be ended: psql" in first.world.tell.text
    assert second.hint.startswith("The database is closed")
    assert not list(here.sessions_on(here.databases[LIVE].oid))


# --- what is beyond the database


@pytest.mark.parametrize("release", [BAD, Release("v2", PROGRAMS["loses data"])])
def test_what_is_beyond_the_database_is_named(release: Release) -> None:
    """
    A database that the migration has made beside the app's is not dropped; it is told of.

    Faults: 83.
    """
    here = machine()

    def makes(_number: int, name: str) -> None:
        if name == "engine: container started":
            here.create("analytics", EMPTY, PROPERTIES)

    end = run_guard(here, release, POLICY, Power(here, watch=makes))

    assert BEFORE == state(here)
    assert "analytics" in here.databases
    assert ["database 'analytics' was created"] == runs(here)[-1].detail["beyond"]
    assert "beyond the database: database 'analytics' was created" in end.world.tell.text


def test_nothing_is_beyond_a_usual_migration() -> None:
    """What is kept and what was put back is not taken for something that was made."""
    here = machine()

    run_guard(here, BAD, POLICY)

    assert [] == runs(here)[-1].detail["beyond"]


# --- what is loaded


def test_a_backup_is_loaded_under_a_name_of_its_own() -> None:
    """The name tells the database and the run: two runs, or a restore point, never meet in it."""
    here = machine()

    run_guard(here, BAD, LOADED)

    run = runs(here)[-1]
    assert scratch_name(LIVE, run.id, "load") == run.named("scratch") == run.named("swapped_in")


def test_a_load_that_was_cut_off_is_begun_anew() -> None:
    """What a killed run has loaded in part is dropped by its name, and nothing else is."""
    here = machine()
    whole = run_guard(machine(), BAD, LOADED).world.power.effects
    here.create("shop__migsafe_load_of_another", BEFORE, PROPERTIES)
    run_guard(here, BAD, LOADED, Power(here, kill_at=whole.index("database: scratch created")))

    end = run_guard(here, BAD, LOADED)

    assert (20, BEFORE) == (end.code, state(here))
    assert "shop__migsafe_load_of_another" in here.databases


def test_a_point_whose_making_was_refused_is_no_point() -> None:
    """The journal has its name and no number: the backup is loaded."""
    here = machine()
    journal = FakeJournal(here, Power(here))

    def forgets(_number: int, name: str) -> None:
        if name == "journal: failed":
            here.journal[:] = [row for row in here.journal if row[1] != Phase.CLONED]

    end = run_guard(here, BAD, POLICY, Power(here, watch=forgets))

    assert (20, BEFORE) == (end.code, state(here))
    assert "there is no restore point" in end.world.tell.text
    assert [] == [name for name in here.databases if "__migsafe_" in name]
    assert Phase.CLEARED is journal.entries()[-1].phase
