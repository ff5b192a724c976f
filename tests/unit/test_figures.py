"""Figures: of backups, proofs and the journal."""

from dataclasses import replace
from datetime import timedelta

from sidecar.backups import Backup, Format, Kind, Proof
from sidecar.figures import VERDICTS, gather
from sidecar.plan import Phase, Run
from sidecar.state import PROBLEMS, Problem, State

from .builders import NOON, manifest

HOUR = timedelta(hours=1)
LATER = NOON + 9 * HOUR


def backup(hour: int, kind: Kind = Kind.SCHEDULED) -> Backup:
    """Name a backup, so many hours after noon."""
    return Backup(kind, NOON + hour * HOUR, Format.ARCHIVE)


def test_of_each_kind() -> None:
    """The newest tells time and size, all of them the room."""
    held = [
        manifest(backup=backup(2), size=30),
        manifest(backup=backup(1), size=50),
        manifest(backup=backup(0, Kind.MANUAL), size=7),
    ]
    found = gather(held, {}, (), now=LATER).kinds

    assert (NOON + 2 * HOUR, 30, 2, 80) == (
        found[Kind.SCHEDULED].last_success,
        found[Kind.SCHEDULED].size,
        found[Kind.SCHEDULED].kept,
        found[Kind.SCHEDULED].kept_bytes,
    )
    assert (1, 7) == (found[Kind.MANUAL].kept, found[Kind.MANUAL].kept_bytes)
    assert None is found[Kind.SAFETY].last_success


def test_verified_is_restored() -> None:
    """Only a restore that found everything counts as a proof."""
    held = [manifest(backup=backup(hour)) for hour in range(4)]
    proofs = {
        backup(0): Proof(NOON + 5 * HOUR, "restored"),
        backup(1): Proof(NOON + 6 * HOUR, "isolated"),
        backup(2): Proof(NOON + 7 * HOUR, "read"),
        backup(3): Proof(NOON + 8 * HOUR, "restored", ("users: 41 rows, not 42",)),
    }

    assert NOON + 6 * HOUR == gather(held, proofs, (), now=LATER).kinds[Kind.SCHEDULED].verified


def test_verified_is_not_of_the_future() -> None:
    """A clock that was wrong has proven nothing, as for whoever chooses what is proven next."""
    held = [manifest(backup=backup(0)), manifest(backup=backup(1))]
    proofs = {
        backup(0): Proof(NOON + 2 * HOUR, "restored"),
        backup(1): Proof(LATER + HOUR, "restored"),
    }

    assert NOON + 2 * HOUR == gather(held, proofs, (), now=LATER).kinds[Kind.SCHEDULED].verified


def test_a_doubtful_backup_is_no_success() -> None:
    """While data is gone the newest good backup grows old; what is kept is all that is there."""
    held = [
        manifest(backup=backup(0), size=50),
        manifest(backup=backup(1), size=3, doubts=("users: 0 rows, not 42",)),
    ]
    proofs = {backup(1): Proof(NOON + 2 * HOUR, "restored")}
    found = gather(held, proofs, (), now=LATER).kinds[Kind.SCHEDULED]

    assert (NOON, 50, None) == (found.last_success, found.size, found.verified)
    assert (2, 53) == (found.kept, found.kept_bytes)


def test_a_backup_of_the_future_grows_old() -> None:
    """One that was taken while the clock was wrong is as old as when it was first seen."""
    wrong, next_one = manifest(backup=backup(700)), manifest(backup=backup(701))
    first = gather([wrong], {}, (), now=NOON).kinds
    later = gather([wrong], {}, (), now=NOON + HOUR, before=first).kinds
    then = gather([wrong, next_one], {}, (), now=NOON + 2 * HOUR, before=later).kinds

    assert [NOON, NOON, NOON + 2 * HOUR] == [
        found[Kind.SCHEDULED].last_success for found in (first, later, then)
    ]


def run(phase: Phase, **changes: object) -> Run:
    """Make a run."""
    return replace(Run("r", phase, NOON, NOON, {}), **changes)  # type: ignore[arg-type]


def test_verdicts() -> None:
    """Every way to end is counted, also where nothing has ended so; who runs has not ended."""
    runs = (run(Phase.COMMITTED), run(Phase.COMMITTED), run(Phase.UNCHANGED), run(Phase.MIGRATING))
    found = gather((), {}, runs, now=LATER)

    assert set(VERDICTS) == set(found.verdicts)
    assert (2, 1, 0) == tuple(
        found.verdicts[phase] for phase in (Phase.COMMITTED, Phase.UNCHANGED, Phase.STRANDED)
    )
    assert not found.needs_operator


def test_who_waits_for_an_operator() -> None:
    """A run that was left stranded, until something has put it right; a mere look does not."""
    looked = run(Phase.ABANDONED, cleared=True, detail={"verifying": True})

    assert gather((), {}, (run(Phase.STRANDED), looked), now=LATER).needs_operator
    assert not gather((), {}, (run(Phase.STRANDED), run(Phase.RESTORED)), now=LATER).needs_operator


def test_what_is_not_well() -> None:
    """Every problem is named, also while it is none, so that its end is seen."""
    found = gather((), {}, (), now=LATER, state=State(doubt=Problem(17, "gone"))).problems

    assert {**dict.fromkeys(PROBLEMS, False), "doubt": True} == found
