"""The figures that a monitor gathers: how fresh, how big, how often, and what is wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sidecar.backups import Backup, Kind, Manifest, Proof
from sidecar.plan import FINAL, Phase, Run
from sidecar.retention import proven_at
from sidecar.state import PROBLEMS, State

VERDICTS = tuple(sorted(FINAL))
"""Every way in which a run ends: each is told, also while it is zero, so that growth is seen."""


@dataclass(frozen=True)
class OfKind:
    """What is known about the backups of one kind."""

    newest: str = ""
    """The newest good backup: whole, and not doubtful."""
    last_success: datetime | None = None
    """When that was taken."""
    size: int = 0
    """Of that, in bytes."""
    verified: datetime | None = None
    """When one was last restored, and found to hold what its manifest says."""
    kept: int = 0
    kept_bytes: int = 0


@dataclass(frozen=True)
class Figures:
    """All figures at one moment."""

    project: str = ""
    """Whose they are: several may be told beside each other on one machine."""
    kinds: Mapping[Kind, OfKind] = field(default_factory=dict)
    verdicts: Mapping[Phase, int] = field(default_factory=dict)
    needs_operator: bool | None = None
    """None where the journal was never read."""
    behind: Mapping[str, int] = field(default_factory=dict)
    """By store, how many backups are not there yet; every store is named."""
    durations: Mapping[Kind, float] = field(default_factory=dict)
    """Of the newest backup of a kind, in seconds, where it is known."""
    interval: timedelta | None = None
    """Between two scheduled backups."""
    verify_interval: timedelta | None = None
    last_attempt: datetime | None = None
    """When a scheduled backup was last tried."""
    problems: Mapping[str, bool] = field(default_factory=dict)
    """Whether each of the things that may be wrong is; every one is named."""


def gather(
    manifests: Iterable[Manifest],
    proofs: Mapping[Backup, Proof],
    runs: Sequence[Run] | None,
    *,
    now: datetime,
    before: Mapping[Kind, OfKind] | None = None,
    project: str = "",
    behind: Mapping[str, int] | None = None,
    durations: Mapping[Kind, float] | None = None,
    interval: timedelta | None = None,
    verify_interval: timedelta | None = None,
    last_attempt: datetime | None = None,
    state: State | None = None,
) -> Figures:
    """
    Sum up backups, the proofs of some of them, and what the journal tells.

    Args:
        manifests: every whole backup.
        proofs: how the last attempt to prove one ended.
        runs: of the journal; None where it was never read.
        now: the time.
        before: what was known of each kind before: a backup of the future grows old all the same.
        project: whose they are.
        behind: by store, how many backups are not there yet.
        durations: how long the newest backup of a kind took.
        interval: between two scheduled backups.
        verify_interval: between two restore tests.
        last_attempt: when a scheduled backup was last tried; one that is there was tried, too.
        state: how the second mode is doing.

    """
    known, past = list(manifests), before or {}
    return Figures(
        project=project,
        kinds={kind: _of_kind(kind, known, proofs, past.get(kind), now) for kind in Kind},
        verdicts={} if runs is None else _verdicts(runs),
        needs_operator=None if runs is None else _needs_operator(runs),
        behind=behind or {},
        durations=durations or {},
        interval=interval,
        verify_interval=verify_interval,
        last_attempt=_tried(known, last_attempt, now),
        problems={name: getattr(state, name, None) is not None for name in sorted(PROBLEMS)},
    )


def _verdicts(runs: Sequence[Run]) -> dict[Phase, int]:
    return {**dict.fromkeys(VERDICTS, 0), **Counter(run.phase for run in runs if run.finished)}


def _needs_operator(runs: Sequence[Run]) -> bool:
    """Tell whether the database waits for its operator, as the next guard will find."""
    counting = [run for run in runs if not run.came_to_nothing]
    return bool(counting) and counting[-1].phase is Phase.STRANDED


def _tried(
    manifests: Sequence[Manifest], last_attempt: datetime | None, now: datetime
) -> datetime | None:
    """Tell when a scheduled backup was last tried: who starts anew knows by what is there."""
    scheduled = (m.backup for m in manifests if m.backup.kind is Kind.SCHEDULED)
    times = [min(backup.taken_at, now) for backup in scheduled]
    return max(filter(None, (last_attempt, *times)), default=None)


def _of_kind(
    kind: Kind,
    manifests: Sequence[Manifest],
    proofs: Mapping[Backup, Proof],
    before: OfKind | None,
    now: datetime,
) -> OfKind:
    mine = [manifest for manifest in manifests if manifest.backup.kind is kind]
    kept = OfKind(kept=len(mine), kept_bytes=sum(manifest.size for manifest in mine))
    good = [manifest for manifest in mine if not manifest.doubts]
    if not good:
        return kept
    newest = max(good, key=lambda manifest: manifest.backup.taken_at)
    return replace(
        kept,
        newest=newest.backup.name,
        last_success=_taken_at(newest.backup, before, now),
        size=newest.size,
        verified=proven_at((proofs.get(manifest.backup) for manifest in good), now),
    )


def _taken_at(backup: Backup, before: OfKind | None, now: datetime) -> datetime:
    """
    Tell when a backup was taken, at the latest.

    While the clock was wrong it was named after a time to come, and whatever follows is named after
    it: each counts from when it was first seen, or none would ever be too old.
    """
    if before is not None and before.newest == backup.name and before.last_success is not None:
        return min(before.last_success, now)
    return min(backup.taken_at, now)
