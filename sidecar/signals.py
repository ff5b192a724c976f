"""SIGTERM and SIGINT: noted at once, acted on where it is safe."""

import signal
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

    def listen(self) -> None:
        """Take note of SIGTERM and SIGINT from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def check(self) -> None:
        """Raise Interrupted when a signal came."""
        if self.received is not None:
            raise Interrupted.by(self.received)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = number
