"""The figures of the second mode: gathered after each backup, handed to who watches."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import partial

from sidecar.backup_ports import Copies
from sidecar.backups import Kind
from sidecar.due import Rhythm
from sidecar.errors import Interrupted
from sidecar.figures import Figures, gather
from sidecar.plan import fold
from sidecar.ports import Clock, Notices, Teller
from sidecar.scheduled import Opened


@dataclass
class Gathering:
    """Hands the figures over; where they can't be had, the backup is none the worse for it."""

    schedule: Rhythm
    verify: Rhythm | None
    zone: tzinfo
    copies: Callable[[], Copies]
    notices: Notices
    clock: Clock
    tell: Teller
    seconds: float | None = None
    """How long the newest backup took; None before the first."""
    last: Figures | None = None
    """As they were handed over last."""

    def publish(self, opened: Opened) -> None:
        """
        Gather them, where somebody wants them, and hand them over.

        Raises:
            Interrupted: a signal came.

        """
        try:
            self.notices.publish(partial(self._gathered, opened))
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - a store's library, which is asked what it lacks
            self.tell.warn(f"no figures: {error}")

    def publish_again(self) -> None:
        """Hand over that it was tried just now, where no more can be had than that."""
        if self.last is not None:
            self.last = found = replace(self.last, last_attempt=self.clock.now())
            self.notices.publish(lambda: found)

    def _gathered(self, opened: Opened) -> Figures:
        vault, now = opened.world.vault, self.clock.now()
        manifests = vault.manifests()
        self.last = gather(
            manifests,
            {m.backup: proof for m in manifests if (proof := vault.proof(m.backup))},
            fold(opened.world.journal.entries()),
            now=now,
            before=self.last.kinds if self.last else None,
            project=opened.project,
            behind=self.copies().lacking(),
            durations={} if self.seconds is None else {Kind.SCHEDULED: self.seconds},
            interval=self.schedule.length(now, self.zone),
            verify_interval=self.verify.length(now, self.zone) if self.verify else None,
            last_attempt=now,
        )
        return self.last
