"""Figures: of backups, proofs and the journal."""

from dataclasses import replace
from datetime import timedelta

from sidecar.backups import Backup, Format, Kind, Proof
from sidecar.figures import VERDICTS, gather
from sidecar.plan import Phase, Run

from .builders import NOON, manifest

HOUR = timedelta(hours=1)


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
    found = gather(held, {}, ()).kinds

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

    assert NOON + 6 * HOUR == gather(held, proofs, ()).kinds[Kind.SCHEDULED].verified


def run(phase: Phase, **changes: object) -> Run:
    """Make a run."""
    return replace(Run("r", phase, NOON, NOON, {}), **changes)  # type: ignore[arg-type]


def test_verdicts() -> None:
    """Every way to end is counted, also where nothing has ended so; who runs has not ended."""
    runs = (run(Phase.COMMITTED), run(Phase.COMMITTED), run(Phase.UNCHANGED), run(Phase.MIGRATING))
    found = gather((), {}, runs)

    assert set(VERDICTS) == set(found.verdicts)
    assert (2, 1, 0) == tuple(
        found.verdicts[phase] for phase in (Phase.COMMITTED, Phase.UNCHANGED, Phase.STRANDED)
    )
    assert not found.needs_operator


def test_who_waits_for_an_operator() -> None:
    """A run that was left stranded, until something has put it right; a mere look does not."""
    looked = run(Phase.ABANDONED, cleared=True, detail={"verifying": True})

    assert gather((), {}, (run(Phase.STRANDED), looked)).needs_operator
    assert not gather((), {}, (run(Phase.STRANDED), run(Phase.RESTORED))).needs_operator
