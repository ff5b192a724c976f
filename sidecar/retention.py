"""How long pre-migration backups and kept databases stay, and why. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sidecar.backups import Backup, Kind, Manifest
from sidecar.pick import age
from sidecar.plan import Phase, Run


@dataclass(frozen=True)
class Judged:
    """A backup, and why it stays or goes."""

    manifest: Manifest
    goes: bool
    reason: str


def judge(
    manifests: Sequence[Manifest],
    keep: timedelta,
    now: datetime,
    pinned: Mapping[str, str],
    damaged: Collection[str] = (),
) -> tuple[Judged, ...]:
    """
    Say of each backup whether it stays, and why.

    Only pre-migration backups go by age. The newest one always stays, the newest that is not known
    to be damaged as well, and so do those that are pinned: the backup from before the version that
    is running is the way back from it.

    Args:
        manifests: every backup.
        keep: how long pre-migration backups stay.
        now: the time.
        pinned: what is needed, by name, and what for.
        damaged: names of those that were found not to be what their manifests say.

    """
    newest = {name for kind in Kind for name in _newest(manifests, kind, damaged)}
    return tuple(Judged(m, *_judged(m, newest, keep, now, pinned)) for m in manifests)


def _judged(
    manifest: Manifest,
    newest: Collection[str],
    keep: timedelta,
    now: datetime,
    pinned: Mapping[str, str],
) -> tuple[bool, str]:
    name, old = manifest.backup.name, now - manifest.backup.taken_at
    if name in pinned:
        return False, pinned[name]
    if name in newest:
        return False, f"the newest {manifest.backup.kind} backup that is good"
    if manifest.note:
        return False, f"it has a note: {manifest.note}"
    if manifest.backup.kind is not Kind.PRE_MIGRATION:
        return False, f"{manifest.backup.kind} backups do not go by age"
    if old <= keep:
        return False, f"goes in {age(keep - old)}"
    return True, f"older than {age(keep)}"


def _newest(manifests: Sequence[Manifest], kind: Kind, damaged: Collection[str]) -> tuple[str, ...]:
    mine = sorted((m for m in manifests if m.backup.kind is kind), key=lambda m: m.backup.taken_at)
    whole = [m for m in mine if m.backup.name not in damaged]
    return tuple(found[-1].backup.name for found in (mine, whole) if found)


def needed(runs: Sequence[Run]) -> dict[str, str]:
    """
    Name the backups that somebody may need, and what for.

    They are those of the last migration that succeeded, and of every run since: one that failed or
    is not at its end can only be put right with its own.
    """
    found: dict[str, str] = {}
    for run in reversed(runs):
        if run.phase is Phase.ABANDONED:
            continue
        for name in filter(None, (run.named("backup"), run.named("restoring"))):
            found.setdefault(name, f"run {run.id} needs it: {_WHY.get(run.phase, _OPEN)}")
        if run.phase is Phase.COMMITTED:
            break
    return found


_OPEN = "it is not at its end"
_WHY = {
    Phase.COMMITTED: "it is the way back from the last migration",
    Phase.ROLLED_BACK: "it failed, and this is what was put back",
    Phase.UNCHANGED: "it failed, and this is from before it",
    Phase.STRANDED: "its rollback failed",
    Phase.RESTORED: "it is what the last restore was about",
}


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
