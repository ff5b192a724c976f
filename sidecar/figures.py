"""The figures that a monitor gathers: how fresh, how big, how often, and what is wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sidecar.backups import Backup, Kind, Manifest, Proof
from sidecar.plan import FINAL, Phase, Run

VERDICTS = tuple(sorted(FINAL))
"""Every way in which a run ends: each is told, also while it is zero, so that growth is seen."""


@dataclass(frozen=True)
class OfKind:
    """What is known about the backups of one kind."""

    last_success: datetime | None = None
    size: int = 0
    """Of the newest, in bytes."""
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
    needs_operator: bool = False
    behind: Mapping[str, int] = field(default_factory=dict)
    """By store, how many backups are not there yet; every store is named."""
    durations: Mapping[Kind, float] = field(default_factory=dict)
    """Of the newest backup of a kind, in seconds, where it is known."""
    interval: timedelta | None = None
    """Between two scheduled backups."""
    verify_interval: timedelta | None = None
    last_attempt: datetime | None = None
    """When a scheduled backup was last tried."""


def gather(
    manifests: Iterable[Manifest],
    proofs: Mapping[Backup, Proof],
    runs: Sequence[Run],
    *,
    project: str = "",
    behind: Mapping[str, int] | None = None,
    durations: Mapping[Kind, float] | None = None,
    interval: timedelta | None = None,
    verify_interval: timedelta | None = None,
    last_attempt: datetime | None = None,
) -> Figures:
    """Sum up backups, the proofs of some of them, and what the journal tells."""
    known = list(manifests)
    return Figures(
        project=project,
        kinds={kind: _of_kind(kind, known, proofs) for kind in Kind},
        verdicts={**dict.fromkeys(VERDICTS, 0), **Counter(r.phase for r in runs if r.finished)},
        needs_operator=_needs_operator(runs),
        behind=behind or {},
        durations=durations or {},
        interval=interval,
        verify_interval=verify_interval,
        last_attempt=last_attempt,
    )


def _needs_operator(runs: Sequence[Run]) -> bool:
    """Tell whether the database waits for its operator, as the next guard will find."""
    counting = [run for run in runs if not run.came_to_nothing]
    return bool(counting) and counting[-1].phase is Phase.STRANDED


def _of_kind(kind: Kind, manifests: list[Manifest], proofs: Mapping[Backup, Proof]) -> OfKind:
    mine = [manifest for manifest in manifests if manifest.backup.kind is kind]
    if not mine:
        return OfKind()
    newest = max(mine, key=lambda manifest: manifest.backup.taken_at)
    good = [proofs[m.backup].at for m in mine if m.backup in proofs and _restored(proofs[m.backup])]
    return OfKind(
        last_success=newest.backup.taken_at,
        size=newest.size,
        verified=max(good, default=None),
        kept=len(mine),
        kept_bytes=sum(manifest.size for manifest in mine),
    )


def _restored(proof: Proof) -> bool:
    """Tell whether it was restored: to read a file to its end proves no more than that."""
    return proof.good and proof.how != "read"
