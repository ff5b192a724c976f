"""
Fakes of every port, on a machine made of values; and the power that can fail at any side effect.

A guard that is killed leaves the machine as it is: the lock goes, the migration's container runs
on. Each fake refuses what the real one refuses; ``contracts.py`` holds both to the same.
"""

import json
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sidecar.errors import AlreadyRunning, DatabaseUnavailable, Interrupted
from sidecar.keys import Keys
from sidecar.plan import Entry, Phase
from sidecar.policy import Policy
from sidecar.ports import World
from sidecar.vault import LocalVault
from tests.fakes_data import BEFORE, Data
from tests.fakes_database import FakeDatabase
from tests.fakes_engine import FakeEngine, Release
from tests.fakes_machine import EPOCH, LIVE, PROPERTIES, SECRET, Machine, Service
from tests.fakes_power import Killed, Power
from tests.fakes_store import MemoryStore

__all__ = ["FakeClock", "FakeJournal", "FakeStop", "FakeTeller", "FakeWorld", "Killed", "Power"]


class FakeClock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def now(self) -> datetime:
        """Tell the time."""
        return self.machine.now

    def monotonic(self) -> float:
        """Count seconds."""
        return self.machine.time

    def sleep(self, seconds: float) -> None:
        """Let the machine go on for so long."""
        self.machine.pass_time(seconds)


class FakeTeller:
    """Keeps what was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self.outputs: list[str] = []

    def say(self, message: str, **_facts: Any) -> None:
        """Keep a line."""
        self.lines.append(message)

    def warn(self, message: str, **_facts: Any) -> None:
        """Keep a warning."""
        self.warnings.append(message)

    def output(self, line: str) -> None:
        """Keep a line of the migration's."""
        self.outputs.append(line)

    def redact(self, text: str) -> str:
        """Hide the one secret that there is."""
        return text.replace(SECRET, "***")

    @contextmanager
    def progress(self, _message: str) -> Iterator[Callable[[int], None]]:
        """Take no note."""
        yield lambda _: None

    @property
    def text(self) -> str:
        """Everything that was said or warned of."""
        return "\n".join((*self.lines, *self.warnings))


class FakeStop:
    """A signal that comes after so many side effects."""

    def __init__(self, power: Power, after: int | None = None) -> None:
        self.power = power
        self.after = after

    def check(self) -> None:
        """Raise Interrupted once the signal has come."""
        if self.after is not None and len(self.power.effects) >= self.after:
            raise Interrupted.by(15)

    def wait(self, seconds: float) -> None:
        """Let the time pass."""
        self.check()
        self.power.machine.pass_time(seconds)
        self.check()

    def spare(self) -> None:
        """Take no more note of the signal."""
        self.after = None


class FakeJournal:
    """The journal and the lock."""

    def __init__(self, machine: Machine, power: Power) -> None:
        self.machine = machine
        self.power = power

    @contextmanager
    def hold(self, run: str, wait: float) -> Iterator[None]:
        """Hold the lock."""
        self.power.call("journal: lock")
        if self.machine.lock is not None:
            self.machine.pass_time(wait)
        if self.machine.lock is not None:
            raise AlreadyRunning(f"another run holds the lock: {self.machine.lock}")
        self.machine.lock = self.machine.holder = run
        try:
            yield
        finally:
            if self.machine.lock == run and not self.power.dead:
                self.machine.lock = None

    def entries(self) -> Sequence[Entry]:
        """Everything, oldest first."""
        self.power.call("journal: read")
        return entries(self.machine)

    def append(self, run: str, phase: Phase, **detail: Any) -> None:
        """Write an entry."""
        self.power.call(f"journal: {phase}")
        with self.power.effect(f"journal: {phase}"):
            self.write(run, phase, **detail)

    def regain(self, run: str) -> bool:
        """Take the lock again, unless somebody else has written since."""
        self.power.reconnect()
        try:
            self.power.call("journal: regain")
        except DatabaseUnavailable:
            return False
        if self.machine.lock not in {None, run}:
            return False
        self.machine.lock = self.machine.holder = run
        return entries(self.machine)[-1].run == run

    def read(self) -> Sequence[Entry]:
        """Read it as a part of another act."""
        return entries(self.machine)

    def write(self, run: str, phase: Phase, **detail: Any) -> None:
        """Write an entry as part of another act."""
        self.machine.next_transaction += 1
        self.machine.journal.append((run, phase.value, self.machine.time, json.dumps(detail)))


def entries(machine: Machine) -> list[Entry]:
    """Read a machine's journal."""
    return [
        Entry(run, Phase(phase), EPOCH + timedelta(seconds=at), _read(detail))
        for run, phase, at, detail in machine.journal
    ]


@cache
def _read(detail: str) -> Mapping[str, Any]:
    """Read an entry's detail; nobody may change it, so that one copy will do."""
    found: Mapping[str, Any] = json.loads(detail)
    return found


class FakeWorld:
    """A machine with a guard's hands on it."""

    def __init__(
        self,
        machine: Machine,
        release: Release,
        policy: Policy,
        power: Power | None = None,
        signal: int | None = None,
        keys: Keys | None = None,
    ) -> None:
        self.machine = machine
        self.power = power or Power(machine)
        self.tell = FakeTeller()
        clock, stop = FakeClock(machine), FakeStop(self.power, signal)
        self.journal = FakeJournal(machine, self.power)
        self.database = FakeDatabase(machine, self.power, self.journal)
        self.store = MemoryStore(machine, self.power)
        self.vault = LocalVault(
            self.store, self.database, policy.format, clock, self.tell, stop, keys=keys
        )
        self.engine = FakeEngine(machine, self.power, release)
        self.world = World(
            self.journal, self.database, self.engine, self.vault, clock, self.tell, stop
        )


def machine(data: Data = BEFORE, *, strangers: Sequence[str] = ()) -> Machine:
    """Make a machine on which an app, a worker and perhaps strangers use the database."""
    made = Machine(strangers=tuple(strangers))
    made.create("postgres", Data({}), PROPERTIES)
    made.create(LIVE, data, PROPERTIES)
    made.services["shop-app-1"] = Service("shop-app-1", "172.18.0.5", waits=True)
    made.services["shop-worker-1"] = Service("shop-worker-1", "172.18.0.6")
    made.pass_time(1)
    return made


def copy(original: Machine) -> Machine:
    """Copy a machine with everything on it."""
    copied: Machine = pickle.loads(pickle.dumps(original))  # noqa: S301 - our own value
    return copied
