"""A migration that is handed over: begun, run by somebody else, concluded; and cut off anywhere."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sidecar import manual
from sidecar.backups import Kind
from sidecar.errors import AlreadyRunning
from sidecar.facts import Host
from sidecar.plan import Phase
from sidecar.policy import Policy
from sidecar.recipe import Wishes
from tests.fakes import FakeJournal, FakeWorld, Power
from tests.fakes_data import AFTER, BEFORE, CHANGES
from tests.fakes_engine import Release
from tests.handed import Place
from tests.scenarios import PROGRAMS, broken, run_guard, runs, state

GOOD, BAD, HANGS = PROGRAMS["good"], PROGRAMS["fails after a commit"], PROGRAMS["hangs"]
DEADLINE = 60.0
POLICY = Policy(deadline=timedelta(seconds=DEADLINE), wait=timedelta(seconds=3))
LEASE = DEADLINE + 61
CODES = {
    "good": 0,
    "fails after a commit": 20,
    "fails at once": 20,
    "loses data": 22,
    "dirty ledger": 22,
}


@pytest.fixture
def here(tmp_path: Path) -> Place:
    """Be in one place."""
    return Place(tmp_path / "shared", policy=POLICY)


def retry(place: Place) -> None:
    """Type `migsafe retry`."""
    journal = FakeJournal(place.machine, Power(place.machine))
    journal.append(runs(place.machine)[-1].id, Phase.RETRY)


def test_a_backup_by_hand_is_of_nothing_in_between(here: Place) -> None:
    """While a migration is handed over there is none; once it is concluded there is."""
    here.begin()
    world = FakeWorld(here.machine, Release("v2", GOOD), POLICY).world
    with world.journal.hold("20260131-130000-0001", 0), pytest.raises(AlreadyRunning):
        manual.ready(world, world.vault)

    here.somebody.start(GOOD)
    here.somebody.finish()
    here.conclude()
    with world.journal.hold("20260131-130000-0002", 0):
        look = manual.ready(world, world.vault)
        taken = manual.take(world.vault, "20260131-130000-0002", look, {}, "before lunch")

    assert (Kind.MANUAL, "before lunch") == (taken.backup.kind, taken.note)


# --- how it goes


@pytest.mark.parametrize("program", CODES)
def test_a_chain(here: Place, program: str) -> None:
    """What the migration deserves is what the chain ends with, and every promise is kept."""
    end = here.chain(PROGRAMS[program])

    assert (CODES[program], []) == (end.code, broken(here.machine, end))


def test_the_same_release_is_not_migrated_twice(here: Place) -> None:
    """The second start has nothing to do: nothing is backed up, migrated or concluded."""
    here.chain(GOOD)
    begun = here.begin()
    here.somebody.start(GOOD)
    concluded = here.conclude()

    assert (0, 0) == (begun.code, concluded.code)
    assert ["handover: withdrawn", "handover: nothing to do"] == begun.world.power.effects
    assert (None, []) == (here.somebody.container, concluded.world.power.effects)


def test_a_release_without_a_name_is_migrated_each_time(here: Place) -> None:
    """Nobody knows whether it is the same: a backup more costs less than one that is missing."""
    here.release = None
    first, second = here.chain(GOOD), here.chain((("exit", "0"),))

    assert (0, 0, AFTER) == (first.code, second.code, state(here.machine))
    assert 2 == len([run for run in runs(here.machine) if run.phase is Phase.COMMITTED])


def test_a_bad_release_is_refused_until_somebody_looks(here: Place) -> None:
    """As the guard does, `begin` does not try the same failure again."""
    codes = [here.chain(BAD).code, here.chain(BAD).code]
    retry(here)
    codes += [here.chain(BAD).code]
    here.release = "v3"
    codes += [here.chain(GOOD).code]

    assert [20, 17, 20, 0] == codes


@pytest.mark.parametrize("program", ["good", "fails after a commit", "loses data"])
def test_concluding_again_says_the_same(here: Place, program: str) -> None:
    """Who is asked once more, by a machine that starts again what has failed, answers the same."""
    first = here.chain(PROGRAMS[program])
    again = [here.conclude() for _ in range(2)]

    assert [first.code, first.code] == [end.code for end in again]
    assert [[], []] == [end.world.power.effects for end in again]


@pytest.mark.parametrize(
    ("told", "code", "data"), [(0, 0, AFTER), (1, 20, BEFORE), (None, 21, BEFORE)]
)
def test_an_exit_code_that_is_told(here: Place, told: int | None, code: int, data: object) -> None:
    """
    Who does not use the script says how the migration ended; what nobody says is not guessed.

    The database is migrated all the while: the ledger alone proves nothing.
    """
    here.begin()
    live = here.machine.databases["shop"]
    for change in ("adds invoices", "fills invoices"):
        live.data = CHANGES[change](live.data)
    here.machine.next_transaction += 1
    here.told = told

    assert (code, data) == (here.conclude().code, state(here.machine))


def test_a_killed_migration_is_no_success_whatever_is_told(here: Place) -> None:
    """The script was started, and has noted nothing: it did not come to its end."""
    here.begin()
    here.somebody.start(GOOD)
    here.somebody.die()
    here.told = 0

    assert (21, BEFORE) == (here.conclude().code, state(here.machine))


def test_conclude_without_begin(here: Place) -> None:
    """Nothing was handed over: nothing is touched, and it is no success."""
    end = here.conclude()

    assert (17, []) == (end.code, end.world.power.effects)


def test_a_begin_that_failed_leaves_nothing_to_conclude(here: Place) -> None:
    """An earlier run's success is not taken for this one's, whoever goes on all the same."""
    here.chain(BAD)
    refused = here.begin()
    here.somebody.start(GOOD)

    assert (17, 1, None) == (refused.code, here.somebody.refused, here.somebody.container)
    assert 17 == here.conclude().code


def test_what_needs_the_code_is_refused(here: Place) -> None:
    """A check in the app's image can't be run where its code is not at hand."""
    here.policy = replace(POLICY, wishes=Wishes(check=("bin/smoke",)))
    end = here.begin()

    assert (2, []) == (end.code, end.world.power.effects)
    assert "MIGSAFE_CHECK" in end.message


# --- who may take over


@pytest.mark.parametrize("way", ["same place", "another place"])
def test_a_running_migration_is_left_alone(here: Place, tmp_path: Path, way: str) -> None:
    """A second begin waits a little, changes nothing, and names the first; which then concludes."""
    here.begin()
    here.somebody.start((*HANGS[:-1], ("commit",), ("exit", "0")))
    other = here if way == "same place" else here.elsewhere(tmp_path / "other")
    second = other.begin()
    first = runs(here.machine)[-1]

    assert (12, []) == (second.code, second.world.power.effects)
    assert first.id in second.message
    here.somebody.finish()
    assert (0, AFTER) == (here.conclude().code, state(here.machine))


def test_a_second_begin_that_waits_goes_on_when_the_first_is_concluded(
    here: Place, tmp_path: Path
) -> None:
    """Two pods that start at once: the second finds everything done."""
    here.policy = replace(POLICY, wait=timedelta(seconds=40))
    here.begin()
    here.somebody.start(GOOD)
    here.somebody.finish()
    other = here.elsewhere(tmp_path / "other")
    concluded: list[int | None] = []
    # while the second waits, the first is concluded
    other.somebody.meanwhile = lambda: concluded.append(here.conclude().code)

    assert (0, [0]) == (other.begin().code, concluded)
    assert "nothing-to-do" in (other.folder / "current").read_text()


@pytest.mark.parametrize("way", ["same place", "another place"])
def test_what_was_never_started_ends_with_its_deadline(
    here: Place, tmp_path: Path, way: str
) -> None:
    """It may run without our script: only its deadline, or the operator, says that it does not."""
    here.begin()
    other = here if way == "same place" else here.elsewhere(tmp_path / "other")
    before = other.begin().code
    here.machine.pass_time(LEASE)

    assert (12, 21) == (before, other.begin().code)
    assert (0, AFTER) == (other.chain(GOOD).code, state(here.machine))
    # what was given up can't be concluded, nor started
    assert other is here or here.conclude().code == 21


def test_the_operator_says_that_it_is_dead(here: Place, tmp_path: Path) -> None:
    """After `retry` a run that can't be seen from here is settled at once."""
    here.begin()
    here.somebody.start(HANGS)
    other = here.elsewhere(tmp_path / "other")
    here.somebody.die()
    retry(here)

    assert (21, BEFORE) == (other.begin().code, state(here.machine))
    assert (0, AFTER) == (other.chain(GOOD).code, state(here.machine))


def test_what_is_seen_alive_is_not_given_up(here: Place) -> None:
    """Not even an operator who says that it is dead is believed."""
    here.begin()
    here.somebody.start(HANGS)
    here.machine.pass_time(3)
    retry(here)
    data = state(here.machine)

    assert (12, data) == (here.begin().code, state(here.machine))


def test_a_killed_migration_is_settled_by_the_next(here: Place) -> None:
    """
    In the same place it is known to be dead; what it has left in the server is ended first.

    Faults: 2, 3.
    """
    here.begin()
    here.somebody.start(HANGS)
    here.machine.pass_time(4)
    here.somebody.die()
    assert any(backend.pending for backend in here.machine.backends.values())

    first, second = here.begin(), here.chain(GOOD)
    here.machine.settle()

    assert (21, 0, AFTER) == (first.code, second.code, state(here.machine))
    assert [] == broken(here.machine, second, first)


def test_what_is_left_in_the_server_does_not_come_late(here: Place) -> None:
    """A statement that runs on after the migration has ended is ended before the proof."""
    left = (("begin", "adds invoices"), ("commit",), ("begin", "loses users"), ("exit", "0"))
    end = here.chain(left)
    proven = state(here.machine)
    here.machine.settle()

    assert (0, proven) == (end.code, state(here.machine))


@pytest.mark.parametrize("program", ["good", "fails after a commit"])
def test_an_end_that_was_noted_and_not_concluded(here: Place, program: str) -> None:
    """The next begin takes the true exit code: a success is committed, a failure put back."""
    here.begin()
    here.somebody.start(PROGRAMS[program])
    here.somebody.finish()

    end = here.begin()

    assert ({"good": 0}.get(program, 20), []) == (end.code, broken(here.machine, end))
    assert {0: "nothing-to-do"}.get(end.code or 0, "2026") in (here.folder / "current").read_text()


def test_a_second_start_of_the_script_runs_nothing(here: Place) -> None:
    """A machine that starts again what was killed does not migrate half of it once more."""
    here.begin()
    here.somebody.start(HANGS)
    here.machine.pass_time(3)
    here.somebody.die()
    here.somebody.start(GOOD)

    assert 1 == here.somebody.refused
    assert (21, BEFORE) == (here.conclude().code, state(here.machine))


def test_what_was_settled_can_be_started_no_more(here: Place, tmp_path: Path) -> None:
    """Whoever comes late finds no run; and its conclude finds out what became of it."""
    here.begin()
    here.machine.pass_time(LEASE)
    here.elsewhere(tmp_path / "other").begin()
    # its own folder knows nothing of that: the script starts, and conclude has the last word
    here.somebody.start((("exit", "0"),))
    here.somebody.finish()

    assert 21 == here.conclude().code


# --- and the guard


def test_a_guard_leaves_a_running_migration_alone(here: Place) -> None:
    """A guard with a socket meets one that was handed over: it waits for its deadline, too."""
    here.begin()
    here.somebody.start(HANGS)
    here.machine.pass_time(3)
    data = state(here.machine)
    release = Release("v2", GOOD)
    busy = run_guard(here.machine, release, POLICY)
    assert (12, data) == (busy.code, state(here.machine))

    here.somebody.die()
    here.machine.pass_time(LEASE)
    first, second = (run_guard(here.machine, release, POLICY) for _ in range(2))

    assert (0, AFTER) == (first.code, state(here.machine))
    assert (0, []) == (second.code, broken(here.machine, second, first))


def test_a_container_that_a_guard_has_left_is_left_alone(here: Place) -> None:
    """Without Docker nobody knows whether it runs: that guard's host is named, nothing is done."""
    here.machine.host = Host("E1", "there")
    power = Power(here.machine)
    power.watch = lambda _, name: power.kill() if name.endswith("container started") else None
    killed = run_guard(here.machine, Release("v2", HANGS), POLICY, power)
    data = state(here.machine)
    end = here.begin()

    assert killed.code is None
    assert (32, data, []) == (end.code, state(here.machine), end.world.power.effects)
    assert "'there'" in end.message


# --- cut off anywhere


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("program", ["good", "fails after a commit"])
def test_begin_is_killed_anywhere(tmp_path: Path, program: str, before: bool) -> None:
    """
    The next start migrates: nobody was told to before begin had come to its end.

    Who was killed right after its last word may have told somebody: its deadline is waited for.
    """
    whole = Place(tmp_path / "whole", policy=POLICY)
    effects = whole.begin().world.power.effects
    for number, name in enumerate(effects):
        here = Place(tmp_path / f"{number}", policy=POLICY)
        killed = here.begin(Power(here.machine, kill_at=number, before=before))
        assert killed.code is None
        if number == len(effects) - 1 and not before:
            assert 12 == here.chain(PROGRAMS[program]).code
            here.machine.pass_time(LEASE)
            assert 21 == here.chain(PROGRAMS[program]).code
        end = here.chain(PROGRAMS[program])
        here.machine.settle()

        assert (CODES[program], []) == (end.code, broken(here.machine, end)), name


@pytest.mark.parametrize("effect", ["handover: named", "handover: made"])
def test_a_begin_that_failed_was_not_heeded(here: Place, effect: str) -> None:
    """A migration that was started although begin was killed is left alone while it lives."""
    power = Power(here.machine)
    power.watch = lambda _, name: power.kill() if name.endswith(effect) else None
    assert here.begin(power).code is None
    here.somebody.start(HANGS)
    here.machine.pass_time(3)
    started = here.somebody.container is not None
    data = state(here.machine)

    end = here.begin()

    assert (12 if started else 0, data) == (end.code, state(here.machine))


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("after", ["conclude", "begin"])
@pytest.mark.parametrize("program", CODES)
def test_conclude_is_killed_anywhere(
    tmp_path: Path, program: str, after: str, before: bool
) -> None:
    """Asked again it ends as it would have; so does the next begin, if nobody asks again."""
    code = CODES[program]

    def ready(name: str) -> Place:
        place = Place(tmp_path / name, policy=POLICY)
        place.begin()
        place.somebody.start(PROGRAMS[program])
        place.somebody.finish()
        return place

    for number, name in enumerate(ready("whole").conclude().world.power.effects):
        here = ready(f"{number}")
        assert here.conclude(Power(here.machine, kill_at=number, before=before)).code is None
        end = here.conclude() if after == "conclude" else here.begin()
        here.machine.settle()
        # a begin that finds the failure told already refuses to try it again
        assert end.code in ({code} if after == "conclude" else {code, 17 if code else 0}), name
        # who only asks for the end that was told leaves the rest to the next begin
        assert [] == broken(here.machine, end), name


@pytest.mark.parametrize("steps", range(1, 7))
def test_the_migration_is_killed_anywhere(here: Place, steps: int) -> None:
    """Wherever it was, the database is put back, and the next start migrates."""
    here.begin()
    here.somebody.start(GOOD)
    here.machine.pass_time(steps)
    here.somebody.die()

    first, second = here.begin(), here.chain(GOOD)
    here.machine.settle()

    assert (21, 0, []) == (first.code, second.code, broken(here.machine, second, first))
