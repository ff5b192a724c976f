"""A scheduled backup gives way to whoever waits for the lock."""

import pytest

from sidecar.errors import AlreadyRunning, Interrupted
from sidecar.signals import SignalStop
from sidecar.yielding import PAUSE, Yielding
from tests.fakes import FakeClock, machine


def test_it_gives_way() -> None:
    """It asks now and then only, and not at all where there is nobody to ask. Faults: 105."""
    here = machine()
    asked: list[float] = []

    def wanted() -> bool:
        asked.append(here.time)
        return len(asked) > 2

    stop = Yielding(SignalStop(), FakeClock(here))
    here.time += PAUSE
    stop.check()
    stop.wanted = wanted
    for _ in range(4):
        stop.check()
        here.time += PAUSE / 2
    assert 2 == len(asked)
    here.time += PAUSE
    with pytest.raises(AlreadyRunning):
        stop.check()


def test_a_signal_wakes_who_waits() -> None:
    """It is seen at once, and once only where it is spared."""
    signals = SignalStop()
    stop = Yielding(signals, FakeClock(machine()))
    stop.wait(0.01)
    signals.received = 15
    with pytest.raises(Interrupted):
        stop.wait(60)
    stop.spare()
    stop.wait(0.01)
