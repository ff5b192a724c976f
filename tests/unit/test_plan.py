"""What the journal says, and what follows from it: over every prefix of every history."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from sidecar.plan import (
    FINAL,
    LEASE_GRACE,
    Conclude,
    Entry,
    Failure,
    Phase,
    Report,
    RollBack,
    Run,
    StartOver,
    fold,
    last_good,
    origin,
    resume,
)

from .builders import NOON

BEFORE = [
    Phase.STARTED,
    Phase.STOPPING,
    Phase.BACKING_UP,
    Phase.BACKED_UP,
    Phase.CLONING,
    Phase.CLONED,
]
MIGRATED = [*BEFORE, Phase.MIGRATING, Phase.MIGRATING, Phase.EXITED]
AFTER = [Phase.STARTED_SERVICES, Phase.CLEARED]
HISTORIES: dict[str, list[Phase]] = {
    "committed": [*MIGRATED, Phase.COMMITTED, *AFTER],
    "rolled back": [*MIGRATED, Phase.FAILED, Phase.SWAPPED, Phase.ROLLED_BACK, Phase.CLEARED],
    "loaded": [
        *MIGRATED,
        Phase.FAILED,
        Phase.LOADING,
        Phase.SWAPPED,
        Phase.ROLLED_BACK,
        Phase.CLEARED,
    ],
    "unchanged": [*MIGRATED, Phase.FAILED, Phase.UNCHANGED, Phase.CLEARED],
    "stranded": [*MIGRATED, Phase.FAILED, Phase.LOADING, Phase.STRANDED],
    "concluded": [
        *BEFORE,
        Phase.MIGRATING,
        Phase.STOPPING,
        Phase.EXITED,
        Phase.FAILED,
        Phase.STOPPING,
        Phase.SWAPPED,
        Phase.ROLLED_BACK,
        Phase.CLEARED,
    ],
    **{
        f"abandoned after {BEFORE[n]}": [*BEFORE[: n + 1], Phase.ABANDONED, *AFTER]
        for n in range(len(BEFORE))
    },
}

Future = StartOver | Conclude | RollBack | Report


def entries(phases: Sequence[Phase], run: str = "r1", start: int = 0) -> list[Entry]:
    """Write a run's entries, a second apart."""
    return [
        Entry(run, phase, NOON + timedelta(seconds=start + n), _detail(phase))
        for n, phase in enumerate(phases)
    ]


def _detail(phase: Phase) -> dict[str, Any]:
    match phase:
        case Phase.STOPPING:
            return {"services": ["shop-worker-1"]}
        case Phase.FAILED:
            return {"code": 20, "reason": "boom"}
        case _:
            return {}


def expected(phases: Sequence[Phase]) -> type[Future]:
    """Say again, in other words, what must follow: the later a phase, the more is decided."""
    past = set(phases)
    if past & {Phase.ROLLED_BACK, Phase.UNCHANGED, Phase.COMMITTED, Phase.ABANDONED}:
        return StartOver
    if Phase.STRANDED in past:
        return Report
    if Phase.FAILED in past:
        return RollBack
    return Conclude if Phase.MIGRATING in past else StartOver


def prefixes() -> Iterator[tuple[str, list[Phase]]]:
    """Cut every history at every place."""
    for name, history in HISTORIES.items():
        for length in range(1, len(history) + 1):
            yield f"{name}-{length}", history[:length]


CASES = dict(prefixes())


@pytest.mark.parametrize("name", CASES)
def test_every_prefix_has_its_future(name: str) -> None:
    """
    Wherever a run was cut off, what follows is one of three, and the right one.

    What was committed is never rolled back.

    Faults: 1, 89.
    """
    phases = CASES[name]

    assert expected(phases) is type(resume(entries(phases)))


def test_history_does_not_matter_to_the_last_run() -> None:
    """What a run was cut off from decides, whatever runs were before it."""
    for (_, past), (_, now) in product(HISTORIES.items(), CASES.items()):
        if Phase.STRANDED in past:
            continue
        found = resume([*entries(past, "r0"), *entries(now, "r1", 100)])

        assert expected(now) is type(found)


def test_a_stranded_run_is_tried_again_only_on_request() -> None:
    """The operator's retry turns the report into a rollback; without it nothing moves."""
    stranded = entries(HISTORIES["stranded"])
    retried = [*stranded, Entry("r1", Phase.RETRY, NOON)]

    assert isinstance(resume(stranded), Report)
    assert isinstance(resume(retried), RollBack)
    # a second failure closes it again
    again = [*retried, Entry("r1", Phase.LOADING, NOON), Entry("r1", Phase.STRANDED, NOON)]
    assert isinstance(resume(again), Report)


def test_an_empty_journal_starts_over() -> None:
    """A first run has nothing to recover."""
    assert StartOver() == resume([])


def test_what_is_cleared_needs_nothing() -> None:
    """A run that ended and cleared up is left alone; one that did not is cleared up after."""
    done = HISTORIES["committed"]
    left = resume(entries(done[:-1]))

    assert StartOver(None) == resume(entries(done))
    assert isinstance(left, StartOver)
    assert left.leftovers is not None


@pytest.mark.parametrize("name", CASES)
def test_what_was_cut_off_is_cleared_up_after(name: str) -> None:
    """Who starts over is told whose traces are left, and of none where all were cleared."""
    found = resume(entries(CASES[name]))

    if isinstance(found, StartOver):
        left = None if Phase.CLEARED in CASES[name] else "r1"
        assert left == (found.leftovers.id if found.leftovers else None)


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_is_decided_about(phase: Phase) -> None:
    """No phase that a journal may end with is a surprise."""
    assert isinstance(resume([Entry("r", phase, NOON)]), StartOver | Conclude | RollBack | Report)


def test_what_is_noted_later_changes_no_outcome() -> None:
    """Services, retries and clearing say something about a run, not how far it came."""
    run = fold(entries([*HISTORIES["rolled back"], Phase.RETRY, Phase.FORGOTTEN]))[-1]

    assert Phase.ROLLED_BACK is run.phase
    assert run.failed
    assert run.retried
    assert run.forgotten
    assert NOON + timedelta(seconds=11) == run.ended_at


def test_stopped_services_are_known_until_they_are_started() -> None:
    """What was stopped is remembered once, and forgotten when it runs again. Faults: 104."""
    stopped = fold(entries([Phase.STARTED, Phase.STOPPING, Phase.STOPPING]))[-1]
    started = fold(entries([Phase.STARTED, Phase.STOPPING, Phase.STARTED_SERVICES]))[-1]

    assert ("shop-worker-1",) == stopped.stopped
    assert () == started.stopped


def test_services_that_do_not_start_again_stay_known() -> None:
    """Those that were left stopped are remembered, with the reason. Faults: 104."""
    left = Entry("r1", Phase.STARTED_SERVICES, NOON, {"left": {"shop-cron-1": "no memory"}})
    run = fold([*entries([Phase.STARTED, Phase.STOPPING]), left])[-1]

    assert ("shop-cron-1",) == run.stopped


def test_the_deadline_counts_from_the_migrations_start() -> None:
    """What is journalled while a run is concluded does not give a migration more time."""
    run = fold(entries([*BEFORE, Phase.MIGRATING, Phase.MIGRATING, Phase.STOPPING]))[-1]

    assert NOON + timedelta(seconds=6) == run.migrating_at


def test_a_lease_counts_from_the_migrations_start() -> None:
    """Who asks how a migration that was handed over has ended does not give it more time."""
    asked = [*BEFORE, Phase.MIGRATING, Phase.MIGRATING, Phase.STOPPING, Phase.EXITED]
    run = fold(entries(asked))[-1]
    run = replace(run, detail={**run.detail, "deadline": 60})

    assert NOON + timedelta(seconds=6 + 60) + LEASE_GRACE == run.lease_until


def test_a_migration_is_awaited_until_somebody_may_have_been_told() -> None:
    """The addresses are the last that `begin` notes; and who says how it ended was told."""
    begun = {"by": "begin"}
    told = {**begun, "addresses": ["172.18.0.9"]}

    found = {
        (phase, len(detail)): Run("r", phase, NOON, NOON, detail).awaited
        for phase in (Phase.CLONED, Phase.MIGRATING, Phase.EXITED, Phase.FAILED)
        for detail in ({}, begun, told)
    }

    assert {(Phase.MIGRATING, len(begun))} == {case for case, awaited in found.items() if awaited}


def test_only_what_is_in_place_says_where_the_data_comes_from() -> None:
    """A restore that came to nothing has changed no server's identity; nor has a migration."""
    placed, began = [Phase.STARTED, Phase.SWAPPED, Phase.RESTORED], [Phase.STARTED, Phase.ABANDONED]
    of = {"restoring": "x.sql", "origin": "theirs"}
    runs = {
        "restored": replace(fold(entries(placed))[-1], detail=of),
        "given up": replace(fold(entries(began))[-1], detail=of),
        "migrated": replace(fold(entries(HISTORIES["rolled back"]))[-1], detail={"origin": "x"}),
        "of its own": replace(fold(entries(placed))[-1], detail={"restoring": "y.sql"}),
    }

    assert ["theirs", "", "", ""] == [origin([run]) for run in runs.values()]
    assert "theirs" == origin([*runs.values()])


def test_a_run_lasts_from_its_first_entry_to_its_end() -> None:
    """What is noted after its end makes it neither longer nor shorter."""
    run = fold(entries(HISTORIES["committed"], start=5))[-1]
    open_run = fold(entries(BEFORE))[-1]

    assert (5, 14) == ((run.started_at - NOON).seconds, (run.ended_at - NOON).seconds)
    assert (0, 5) == ((open_run.started_at - NOON).seconds, (open_run.ended_at - NOON).seconds)


def test_a_run_that_goes_on_ends_later() -> None:
    """A note moves the end of an open run, and an operator's retry leads to a later one."""
    noted = fold(entries([Phase.STARTED, Phase.STOPPING]))[-1]
    retried = [*HISTORIES["stranded"], Phase.RETRY, Phase.LOADING, Phase.ROLLED_BACK]
    run = fold(entries(retried))[-1]

    assert NOON + timedelta(seconds=1) == noted.ended_at
    assert NOON + timedelta(seconds=len(retried) - 1) == run.ended_at


@pytest.mark.parametrize("name", CASES)
def test_what_has_happened_stays_so(name: str) -> None:
    """An exit, a swap and a clearing are remembered whatever comes after them."""
    run = fold(entries(CASES[name]))[-1]

    happened = {Phase.EXITED: run.exited, Phase.SWAPPED: run.swapped, Phase.CLEARED: run.cleared}
    assert {phase: phase in CASES[name] for phase in happened} == happened


def test_a_runs_failure() -> None:
    """The words and the code of a failure are those that were journalled."""
    run = fold(entries(HISTORIES["rolled back"]))[-1]

    assert Failure(20, "boom") == run.failure


def test_the_images_of_the_data() -> None:
    """The last committed run tells which images belong to the data. Faults: 102."""
    images = {"app": "sha256:one"}
    done = Run("a", Phase.COMMITTED, NOON, NOON, {"images": images})
    failed = Run("b", Phase.ROLLED_BACK, NOON, NOON, {"images": {"app": "sha256:two"}})

    assert images == last_good([done, failed])
    assert {} == last_good([failed])
    assert {} == last_good([Run("c", Phase.RESTORED, NOON, NOON, {})])


def test_final_phases_are_final() -> None:
    """A run in one of them is finished, in any other it is not."""
    finished = {p for p in Phase if Run("r", p, NOON, NOON, {}).finished}

    assert FINAL == finished
