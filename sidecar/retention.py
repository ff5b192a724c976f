"""How long pre-migration backups and kept databases stay. Pure."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sidecar.backups import Backup, Kind, Manifest
from sidecar.plan import Phase, Run


def old_backups(
    manifests: Sequence[Manifest], keep: timedelta, now: datetime, pinned: Collection[str]
) -> tuple[Manifest, ...]:
    """
    Choose the pre-migration backups to delete.

    The newest one always stays, and so do those that are pinned: the backup from before the version
    that is running is the way back from it.
    """
    mine = [m for m in manifests if m.backup.kind is Kind.PRE_MIGRATION]
    newest = max((m.backup.taken_at for m in mine), default=now)
    return tuple(
        m
        for m in mine
        if now - m.backup.taken_at > keep
        and m.backup.taken_at != newest
        and m.backup.name not in pinned
    )


def half_deleted(
    runs: Sequence[Run],
    manifests: Sequence[Manifest],
    keep: timedelta,
    now: datetime,
    pinned: Collection[str],
) -> tuple[str, ...]:
    """
    Name backups whose deletion may have been cut off between the manifest and the file.

    Only what a run of ours has taken, long ago: a file that somebody put there is not ours.
    """
    whole = {manifest.backup.name for manifest in manifests}
    taken = [backup for run in runs if (backup := Backup.parse(run.named("backup") or ""))]
    return tuple(
        backup.name
        for backup in taken
        if backup.kind is Kind.PRE_MIGRATION
        and backup.name not in {*whole, *pinned}
        and now - backup.taken_at > keep
    )


def old_kept(runs: Sequence[Run], keep: timedelta, now: datetime) -> tuple[Run, ...]:
    """Choose the runs whose kept database may go."""
    return tuple(
        run
        for run in runs
        if run.phase in {Phase.ROLLED_BACK, Phase.RESTORED}
        and run.named("kept")
        and not run.forgotten
        and now - run.ended_at > keep
    )
