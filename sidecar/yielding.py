"""A scheduled backup gives way: whoever waits for the lock, a migration above all, goes first."""

from collections.abc import Callable

from sidecar.errors import AlreadyRunning
from sidecar.ports import Clock, Signals

Asked = Callable[[], bool]

PAUSE = 2.0
"""Seconds between two looks at who waits."""


class Yielding:
    """Stops as a signal asks, and when somebody else wants the lock."""

    def __init__(self, signals: Signals, clock: Clock) -> None:
        self.signals = signals
        self.clock = clock
        self.wanted: Asked | None = None
        """Asks whether somebody waits; nobody is given way to where it is not set."""
        self._asked = 0.0

    def check(self) -> None:
        """
        Go on, or not.

        Raises:
            Interrupted: a signal came.
            AlreadyRunning: somebody waits for the lock.

        """
        self.signals.check()
        now = self.clock.monotonic()
        if self.wanted is None or now - self._asked < PAUSE:
            return
        self._asked = now
        if self.wanted():
            raise AlreadyRunning(
                "another run waits for the lock, and goes first", hint="Nothing was changed."
            )

    def wait(self, seconds: float) -> None:
        """Wait so long, or until a signal comes."""
        self.signals.wait(seconds)

    def spare(self) -> None:
        """Take no more note of the signal that came."""
        self.signals.spare()
