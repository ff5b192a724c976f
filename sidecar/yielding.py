"""
What a scheduled backup does besides: it gives way, and looks around.

Whoever waits for the lock, a migration above all, goes first. And what takes hours must not keep
anybody from being told that no backup came meanwhile.
"""

from collections.abc import Callable

from sidecar.errors import AlreadyRunning
from sidecar.ports import Clock, Signals

Asked = Callable[[], bool]

PAUSE = 2.0
"""Seconds between two looks at who waits."""

TICK = 30.0
"""Seconds between two looks around."""


class Watching:
    """Stops as a signal asks, and looks around now and then while it goes on."""

    def __init__(self, signals: Signals, clock: Clock) -> None:
        self.signals = signals
        self.clock = clock
        self.look: Callable[[], None] | None = None
        """What is done then; nothing where it is not set."""
        self._looked = clock.monotonic()

    def check(self) -> None:
        """Go on, or raise Interrupted."""
        self.signals.check()
        now = self.clock.monotonic()
        if self.look is not None and now - self._looked >= TICK:
            look, self.look, self._looked = self.look, None, now  # who looks around checks, too
            try:
                look()
            finally:
                self.look = look

    def wait(self, seconds: float) -> None:
        """Wait so long, or until a signal comes."""
        self.signals.wait(seconds)

    def spare(self) -> None:
        """Take no more note of the signal that came."""
        self.signals.spare()


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
