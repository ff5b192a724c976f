"""When the next backup is due: by its rhythm, sooner after a failure; the clock may be set."""

from datetime import datetime, timedelta, tzinfo

from sidecar.due import Rhythm
from sidecar.ports import Clock, Teller

BACKOFF, LONGEST_BACKOFF = 30.0, 1800.0
"""Seconds after a failure until it is tried again, if nothing is due before: doubled each time."""


class Timetable:
    """Knows when the next one is due."""

    def __init__(self, rhythm: Rhythm, zone: tzinfo, clock: Clock, tell: Teller) -> None:
        self.rhythm = rhythm
        self.zone = zone
        self.clock = clock
        self.tell = tell
        self.seen_at = self.next_at = clock.now()
        self.failures = 0

    def begin(self, last: datetime | None) -> None:
        """
        Make up once for what was missed while nobody was here.

        Args:
            last: when the newest backup was taken; None where there is none, or nobody knows.

        """
        now = self.clock.now()
        self.next_at = now if last is None else self._after(min(last, now))

    def left(self) -> float:
        """Tell how many seconds there are; where the clock has gone back they are counted anew."""
        now = self.clock.now()
        if now < self.seen_at:
            self.tell.warn(f"the clock went back from {self.seen_at:%H:%M:%S} to {now:%H:%M:%S}")
            self.next_at = self._after(now)
        self.seen_at = now
        return (self.next_at - now).total_seconds()

    @property
    def is_due(self) -> bool:
        """Tell whether it is time."""
        return self.clock.now() >= self.next_at

    def advance(self) -> None:
        """Have the next one after this moment."""
        self.next_at = self._after(self.clock.now())

    def at_once(self) -> None:
        """Have the next one now."""
        self.next_at = self.clock.now()

    def well(self) -> None:
        """Take note that it went well: nothing is sooner than it is due."""
        self.failures = 0

    def failed(self) -> None:
        """Have it tried again sooner than it is due: soon at first, then less often."""
        self.failures += 1
        self._not_after(min(BACKOFF * 2 ** min(self.failures - 1, 10), LONGEST_BACKOFF))

    def skipped(self) -> None:
        """Have it made up for where it would be due only much later, as it is by the week."""
        self._not_after(LONGEST_BACKOFF)

    def late(self, last: datetime) -> datetime:
        """Tell from when on a backup of then is too old."""
        return self.rhythm.late(last, self.zone)

    def __str__(self) -> str:
        return f"{self.next_at.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"

    def _after(self, moment: datetime) -> datetime:
        return self.rhythm.after(moment, self.zone)

    def _not_after(self, seconds: float) -> None:
        self.next_at = min(self.next_at, self.clock.now() + timedelta(seconds=seconds))
