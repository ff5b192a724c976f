"""SIGTERM and SIGINT: noted at once, acted on where it is safe."""

import os
import select
import signal
from contextlib import suppress
from types import FrameType

from sidecar.errors import Interrupted


class SignalStop:
    """
    Whether the run was asked to end.

    A handler only takes note. The run asks between two acts and while it waits, so that a signal
    never tears an act apart; a rollback that has begun is not asked at all.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._woken: tuple[int, ...] = ()
        """A pipe that a signal writes into: who sleeps is woken by it."""

    def listen(self) -> None:
        """Take note of SIGTERM and SIGINT from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def check(self) -> None:
        """Raise Interrupted when a signal came."""
        if self.received is not None:
            raise Interrupted.by(self.received)

    def wait(self, seconds: float) -> None:
        """Wait so long, or until a signal comes; then raise Interrupted."""
        if not self._woken:
            self._woken = _wakes()
        self.check()
        select.select([self._woken[0]], [], [], seconds)
        self.check()

    def spare(self) -> None:
        """Take no more note of the signal that came: only of another."""
        self.received = None
        if self._woken:
            with suppress(BlockingIOError):
                os.read(self._woken[0], 64)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number


def _wakes() -> tuple[int, int]:
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(ends[1], warn_on_full_buffer=False)
    return ends
