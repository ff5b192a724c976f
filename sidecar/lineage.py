"""
Which migrations the data that is live now has come through. Pure.

A restore takes the data back to what its backup holds: what was migrated since is not in it, though
it succeeded. Only what is in it can be taken back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sidecar.backups import Backup
from sidecar.plan import Phase, Run


@dataclass(frozen=True)
class Lineage:
    """The migrations that data has come through."""

    migrations: tuple[Run, ...] = ()
    """Those that succeeded, and have a backup from before them; the oldest first."""
    taken_back: Run | None = None
    """The migration before which the data was put back, where nothing was migrated since."""

    @property
    def last(self) -> Run | None:
        """The migration that a rollback takes back: once more, where that was done already."""
        if self.taken_back is not None:
            return self.taken_back
        return self.migrations[-1] if self.migrations else None


def lineage(runs: Sequence[Run]) -> Lineage:
    """
    Follow the live data through everything that was done with it.

    Args:
        runs: all of one database.

    """
    now = Lineage()
    moments: list[tuple[datetime, Lineage]] = []
    taken: dict[str, tuple[Run, Lineage]] = {}
    for run in sorted(runs, key=lambda run: run.ended_at):
        backup, before = run.named("backup"), now
        match run.phase:
            case Phase.COMMITTED if backup:
                now = Lineage((*before.migrations, run))
            case Phase.RESTORED:
                now = _in(str(run.named("restoring")), taken, moments)
        if backup:
            taken[backup] = run, before
        moments.append((run.ended_at, now))
    return now


def _in(
    name: str,
    taken: Mapping[str, tuple[Run, Lineage]],
    moments: Sequence[tuple[datetime, Lineage]],
) -> Lineage:
    """Tell what the data in a backup has come through, as far as it was seen here."""
    if name in taken:
        run, found = taken[name]
        return Lineage(found.migrations, run if run.phase is Phase.COMMITTED else found.taken_back)
    backup = Backup.parse(name)
    if backup is None:
        return Lineage()  # a dump that others have made
    return next((found for at, found in reversed(moments) if at <= backup.taken_at), Lineage())
