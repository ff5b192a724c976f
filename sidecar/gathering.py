"""The figures of the second mode: gathered whenever they change, handed to who watches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from functools import partial

from sidecar.backup_ports import Copies
from sidecar.backups import Backup, Kind, Manifest, Proof
from sidecar.due import Rhythm
from sidecar.errors import Interrupted
from sidecar.figures import Figures, gather
from sidecar.plan import Run, fold
from sidecar.ports import Clock, Notices, Teller
from sidecar.scheduled import Opened
from sidecar.state import State


@dataclass
class Gathering:
    """Hands the figures over; where they can't be had, the backup is none the worse for it."""

    schedule: Rhythm
    verify: Rhythm | None
    zone: tzinfo
    proof: Callable[[Backup], Proof | None]
    """Reads how the last attempt to prove one ended, from the folder of backups."""
    copies: Callable[[], Copies]
    notices: Notices
    clock: Clock
    tell: Teller
    manifests: Sequence[Manifest] = ()
    """Of the folder, as it was read last: that needs no database."""
    seconds: float | None = None
    """How long the newest backup took; None before the first."""
    attempted: datetime | None = None
    """When one was last tried; None before the first."""
    runs: Sequence[Run] | None = None
    """Of the journal, as it was read last; None where it never was."""
    state: State = field(default_factory=State)
    """As it was told last: what was wrong is so until somebody has seen that it is not."""
    last: Figures = field(default_factory=Figures)
    """As they were handed over last."""

    def begin(self) -> None:
        """Tell that one is tried: what follows may take hours, and tells nothing meanwhile."""
        self.attempted = self.clock.now()
        self._publish()

    def look(self, opened: Opened) -> None:
        """
        Tell also what only an open world tells: how runs have ended, and what stores lack.

        Raises:
            Interrupted: a signal came.

        """
        self._publish(opened)

    def publish(self, state: State) -> None:
        """Tell how the second mode is doing; journal and stores are as they were seen last."""
        self.state = state
        self._publish()

    def _publish(self, opened: Opened | None = None) -> None:
        try:
            self.notices.publish(partial(self._gathered, opened))
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - a store's library, which is asked what it lacks
            self.tell.warn(f"no figures: {error}")

    def _gathered(self, opened: Opened | None) -> Figures:
        """Gather them, where somebody wants them: only then is this called."""
        now, behind = self.clock.now(), self.last.behind
        if opened is not None:
            self.runs = fold(opened.world.journal.entries())
            behind = self.copies().lacking()
        self.last = gather(
            self.manifests,
            {m.backup: proof for m in self.manifests if (proof := self.proof(m.backup))},
            self.runs,
            now=now,
            before=self.last.kinds,
            project=self.state.project,
            behind=behind,
            durations={} if self.seconds is None else {Kind.SCHEDULED: self.seconds},
            interval=self._interval(now),
            verify_interval=self.verify.length(now, self.zone) if self.verify else None,
            last_attempt=self.attempted,
            state=self.state,
        )
        return self.last

    def _interval(self, now: datetime) -> timedelta:
        """Tell how far one may be from the next now: further, where nights are left out."""
        good = [m for m in self.manifests if m.backup.kind is Kind.SCHEDULED and not m.doubts]
        last = max((min(m.backup.taken_at, now) for m in good), default=now)
        late = self.schedule.late(last, self.zone)  # twice since, as it is for `health`
        return max(self.schedule.length(now, self.zone), (late - last) / 2)
