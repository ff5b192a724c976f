"""What a new backup is held against, to see whether data has vanished. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sidecar.backups import Kind, Manifest
from sidecar.plan import Phase, Run


def baseline(
    manifests: Sequence[Manifest], runs: Sequence[Run], damaged: Collection[str], database: str
) -> Manifest | None:
    """
    Choose the backup that a new one is compared with: the last that nothing was missing from.

    A backup that somebody has asked for says: so it is meant. So does a migration or a restore that
    has succeeded since: it has its own proof, and what it took away is not missing. But a migration
    has compared with what it found: what had vanished before it is missing still. And what a lost
    database was filled with nobody has chosen.
    """
    mine = [
        m
        for m in manifests
        if m.backup.kind in {Kind.SCHEDULED, Kind.MANUAL} and m.database == database
    ]
    meant = max((run.ended_at for run in runs if _is_meant(run, mine)), default=None)
    good = [
        m
        for m in mine
        if not m.doubts
        and m.backup.name not in damaged
        and (meant is None or m.backup.taken_at > meant)
    ]
    return max(good, key=_taken_at, default=None)


def inherited(manifests: Sequence[Manifest], runs: Sequence[Run], database: str) -> tuple[str, ...]:
    """
    Tell what a backup before a migration is doubted for: what the newest before it was.

    It holds the same data. Otherwise a lost database were filled from it without anybody asked.
    """
    mine = [m for m in manifests if m.backup.kind is not Kind.SAFETY and m.database == database]
    newest = max(mine, key=_taken_at, default=None)
    if newest is None or any(_is_chosen(run) and run.ended_at >= _taken_at(newest) for run in runs):
        return ()
    doubts: tuple[str, ...] = newest.doubts
    return doubts


def _is_meant(run: Run, manifests: Sequence[Manifest]) -> bool:
    before = [m for m in manifests if m.backup.taken_at <= run.started_at]
    newest = max(before, key=_taken_at, default=None)
    doubted = newest is not None and bool(newest.doubts)
    return _is_chosen(run) or (run.phase is Phase.COMMITTED and not doubted)


def _is_chosen(run: Run) -> bool:
    return run.phase is Phase.RESTORED and not run.refills


def _taken_at(manifest: Manifest) -> datetime:
    return manifest.backup.taken_at
