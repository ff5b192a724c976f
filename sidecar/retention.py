"""How long backups and kept databases stay, and why. Pure."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sidecar.backups import Backup, Kind, Manifest, Proof, newest_first
from sidecar.lineage import lineage
from sidecar.pick import age
from sidecar.plan import Phase, Run

CLOCK = timedelta(minutes=5)
"""So much of the future a backup may be: clocks are set, and names never go back."""


@dataclass(frozen=True)
class Generations:
    """How many scheduled backups stay, by the time that each stands for."""

    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """By name, without those that are not wanted."""
        every = {each.name: int(getattr(self, each.name)) for each in fields(self)}
        return {name: count for name, count in every.items() if count}

    def __str__(self) -> str:
        return " ".join(f"{name}={count}" for name, count in self.counts.items())

    @classmethod
    def parse(cls, text: str) -> "Generations":
        """
        Read ``hourly=24 daily=7``.

        Raises:
            ValueError: it is not that, or nothing would be kept.

        """
        found: dict[str, int] = {}
        for word in re.split(r"[\s,]+", text.strip()):
            match = _GENERATION.fullmatch(word)
            if match is None:
                raise ValueError(
                    f"{word!r} is not such as hourly=24, daily=7, weekly=4 or monthly=6"
                )
            if match["name"] in found:
                raise ValueError(f"it says {match['name']} twice")
            found[match["name"]] = int(match["count"])
        if not any(found.values()):
            raise ValueError("it keeps nothing: every scheduled backup would be deleted")
        return cls(**found)


_GENERATION = re.compile(r"(?P<name>hourly|daily|weekly|monthly)=(?P<count>[0-9]{1,4})")


@dataclass(frozen=True)
class Rotation:
    """What decides which scheduled backups stay."""

    generations: Generations
    proven: Collection[str] = ()
    """Names of those that are known to restore."""
    held: str = ""
    """Why nothing at all is deleted now."""


@dataclass(frozen=True)
class Judged:
    """A backup, and why it stays or goes."""

    manifest: Manifest
    goes: bool
    reason: str


def judge(
    manifests: Sequence[Manifest],
    database: str,
    keep: timedelta,
    now: datetime,
    pinned: Mapping[str, str],
    damaged: Collection[str] = (),
    rotation: Rotation | None = None,
) -> tuple[Judged, ...]:
    """
    Say of each backup whether it stays, and why.

    Pre-migration backups go by age, scheduled ones by generation. The newest of each kind always
    stays, the newest that is not known to be damaged as well, and so do those that are pinned: the
    backup from before the version that is running is the way back from it. What is of another
    database, whose backups somebody keeps in the same place, is for its own migsafe to judge.

    Args:
        manifests: every backup.
        database: the name of ours.
        keep: how long pre-migration backups stay.
        now: the time.
        pinned: what is needed, by name, and what for.
        damaged: names of those that were found not to be what their manifests say.
        rotation: what decides about scheduled ones; without it they all stay.

    """
    ours = [m for m in manifests if m.database == database]
    reasons = {name: _NEWEST.format(kind) for kind in Kind for name in _newest(ours, kind, damaged)}
    reasons |= dict(pinned)
    if rotation is not None:
        mine = [m for m in ours if _counts(m, damaged)]
        reasons = {**generations(mine, rotation), **reasons}
    reasons |= {
        m.backup.name: f"it is of another database: {m.database}"
        for m in manifests
        if m.database != database
    }
    return tuple(Judged(m, *_judged(m, reasons, keep, now, damaged, rotation)) for m in manifests)


_NEWEST = "the newest {} backup that is good"


def _judged(
    manifest: Manifest,
    reasons: Mapping[str, str],
    keep: timedelta,
    now: datetime,
    damaged: Collection[str],
    rotation: Rotation | None,
) -> tuple[bool, str]:
    backup, old = manifest.backup, now - manifest.backup.taken_at
    if backup.name in reasons:
        return False, reasons[backup.name]
    if manifest.note:
        return False, f"it has a note: {manifest.note}"
    if rotation is not None and rotation.held:
        return False, rotation.held
    goes = {Kind.PRE_MIGRATION, *([Kind.SCHEDULED] if rotation else [])}
    if backup.kind not in goes:
        return False, f"{backup.kind} backups do not go by age"
    if _counts(manifest, damaged):
        return True, "no generation needs it"
    if old <= keep:
        return False, f"goes in {age(keep - old)}"
    return True, f"older than {age(keep)}"


def _counts(manifest: Manifest, damaged: Collection[str]) -> bool:
    """Tell whether a backup stands for its time: damaged and doubtful ones do not."""
    backup = manifest.backup
    return backup.kind is Kind.SCHEDULED and backup.name not in damaged and not manifest.doubts


def generations(mine: Sequence[Manifest], rotation: Rotation) -> dict[str, str]:
    """
    Name the scheduled backups that a generation needs, and which.

    Of each hour, day, week and month in which there is a backup one stands for all: one that is
    known to restore, if there is one, else the newest. So many of them stay, counted from the
    newest: days without a backup do not count, and a clock that jumps ahead makes nothing older.
    """
    ordered = newest_first(mine)
    proven = [m for m in ordered if m.backup.name in rotation.proven]
    found: dict[str, list[str]] = {}
    for name, count in rotation.generations.counts.items():
        stands: dict[str, Manifest] = {}
        for manifest in (*proven, *ordered):
            stands.setdefault(_PERIODS[name](manifest.backup.taken_at), manifest)
        chosen = newest_first(stands.values())[:count]
        for number, manifest in enumerate(chosen, 1):
            found.setdefault(manifest.backup.name, []).append(f"{name} {number} of {count}")
    reasons = {name: ", ".join(why) for name, why in found.items()}
    if proven:
        reasons.setdefault(proven[0].backup.name, "the newest that is known to restore")
    return reasons


_PERIODS: Mapping[str, Callable[[datetime], str]] = {
    "hourly": lambda at: f"{at:%Y%m%d%H}",
    "daily": lambda at: f"{at:%Y%m%d}",
    "weekly": lambda at: f"{at:%G-%V}",
    "monthly": lambda at: f"{at:%Y%m}",
}


def holds(
    manifests: Sequence[Manifest],
    now: datetime,
    damaged: Collection[str] = (),
    missing: str = "",
) -> str:
    """
    Tell why nothing may be deleted now; empty where nothing speaks against it.

    Args:
        manifests: every backup.
        now: the time.
        damaged: names of those that were found not to be what their manifests say.
        missing: what was there before and is gone, and nobody of us has deleted it.

    """
    if not manifests:
        return missing
    newest = max(manifests, key=lambda m: m.backup.taken_at)
    name = newest.backup.name
    if newest.backup.taken_at > now + CLOCK:
        return f"the clock is wrong, or was: {name} is of the future"
    if newest.doubts:
        return f"the newest backup is doubtful: {newest.doubts[0]}"
    if name in damaged:
        return f"the newest backup is damaged: {name}"
    return missing


def damaged(proofs: Mapping[str, Proof]) -> frozenset[str]:
    """Name the backups that were found not to be what their manifests say."""
    return frozenset(name for name, proof in proofs.items() if not proof.good)


def proven_at(proofs: Iterable[Proof | None], now: datetime) -> datetime | None:
    """Tell when one of them last proved a backup; a clock that was wrong proves nothing."""
    times = [p.at for p in proofs if p is not None and p.proves and p.at <= now + CLOCK]
    return max(times, default=None)


def _newest(manifests: Sequence[Manifest], kind: Kind, damaged: Collection[str]) -> tuple[str, ...]:
    mine = sorted((m for m in manifests if m.backup.kind is kind), key=lambda m: m.backup.taken_at)
    whole = [m for m in mine if m.backup.name not in damaged and not m.doubts]
    return tuple(found[-1].backup.name for found in (mine, whole) if found)


def needed(runs: Sequence[Run]) -> dict[str, str]:
    """
    Name the backups that somebody may need, and what for.

    They are those of the last migration that succeeded, and of every run since: one that failed or
    is not at its end can only be put right with its own. And the one that `rollback` would restore.
    """
    found: dict[str, str] = {}
    for run in reversed(runs):
        if run.phase is Phase.ABANDONED:
            continue
        for name in filter(None, (run.named("backup"), run.named("restoring"))):
            found.setdefault(name, f"run {run.id} needs it: {_WHY.get(run.phase, _OPEN)}")
        if run.phase is Phase.COMMITTED:
            break
    if (last := lineage(runs).last) is not None:
        found.setdefault(str(last.named("backup")), f"run {last.id} needs it: {_WAY_BACK}")
    return found


_OPEN = "it is not at its end"
_WAY_BACK = "it is the way back from the last migration"
_WHY = {
    Phase.COMMITTED: _WAY_BACK,
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
