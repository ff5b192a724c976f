"""The second mode on a machine made of values: days of it in milliseconds."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any

from sidecar import health, schedule, state
from sidecar.backup_ports import Lease, NoCopies, NoLease
from sidecar.backups import MANIFEST_SUFFIX, PARTIAL_SUFFIX, PROOF_SUFFIX, Kind, Manifest
from sidecar.due import Rhythm
from sidecar.errors import Interrupted, MigsafeError
from sidecar.figures import Figures
from sidecar.notices import Event
from sidecar.policy import Policy
from sidecar.retention import Generations
from sidecar.scheduled import Opened
from sidecar.scheduling import Folder
from sidecar.yielding import Watching
from tests.fakes import FakeClock, FakeTeller, FakeWorld, machine
from tests.fakes_engine import Release
from tests.fakes_machine import Machine
from tests.fakes_power import Power

RELEASE = Release("sha256:one", ())
POLICY = Policy(wait=timedelta(seconds=5))
HOUR = 3600.0


@dataclass
class Until:
    """A signal that comes at a time, and perhaps while something is done."""

    machine: Machine
    end: float
    power: Power
    effect: int | None = None
    """It comes after so many side effects, where it comes earlier."""
    spared: bool = False

    def check(self) -> None:
        """Raise Interrupted once the signal has come."""
        if self.spared:
            return
        acted = self.effect is not None and len(self.power.effects) >= self.effect
        if acted or self.machine.time >= self.end:
            raise Interrupted.by(15)

    def wait(self, seconds: float) -> None:
        """Let the time pass."""
        self.check()
        self.machine.time += min(seconds, max(self.end - self.machine.time, 1))
        self.check()

    def spare(self) -> None:
        """Take no more note of it."""
        self.spared = True


@dataclass
class Kept:
    """Keeps what was told, and the figures."""

    events: list[Event]
    figures: list[Figures]

    def tell(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)

    def publish(self, gather: Callable[[], Figures]) -> None:
        """Gather the figures, as who wants them does."""
        self.figures.append(gather())


@dataclass
class Second:
    """A machine, and the second mode on it."""

    here: Machine
    rhythm: str = "hourly"
    verify: str = "weekly"
    generations: str = "hourly=3 daily=2 weekly=1"
    zone: tzinfo = UTC
    final: bool = False
    away: MigsafeError | None = None
    """Why no world can be opened."""
    tell: FakeTeller = field(default_factory=FakeTeller)
    events: list[Event] = field(default_factory=list)
    figures: list[Figures] = field(default_factory=list)
    """As they were handed over, one after another."""
    copies: Any = field(default_factory=NoCopies)
    lease: Lease = field(default_factory=NoLease)
    memory: bool = False
    """The database is in memory: the lease counts."""
    watching: Watching = field(init=False)
    """The stop of the last run."""

    def run(self, hours: float, power: Power | None = None, signal: int | None = None) -> int:
        """Let it run for so long, and stop it then."""
        power = power or Power(self.here)
        until = Until(self.here, self.here.time + hours * HOUR, power, signal)
        made = schedule.Schedule(self._wishes(), self._around(power, until))
        return made.run()

    def _wishes(self) -> schedule.Wishes:
        verify = None if self.verify == "never" else Rhythm.parse(self.verify)
        generations = Generations.parse(self.generations)
        rhythm = Rhythm.parse(self.rhythm)
        policy = replace(POLICY, refill=self.memory)
        return schedule.Wishes(rhythm, verify, generations, policy, self.zone, self.final)

    def _around(self, power: Power, until: Until) -> schedule.Around:
        world = FakeWorld(self.here, RELEASE, POLICY, power)
        self.watching = watching = Watching(until, FakeClock(self.here))
        world.vault.stop = watching
        world.vault.tell = world.tell = self.tell
        worlds = replace(world.world, stop=watching, tell=self.tell, lease=self.lease)

        @contextmanager
        def opened() -> Iterator[Opened]:
            if self.away is not None:
                raise self.away
            yield Opened(worlds, {"app": "sha256:one"}, "shop")

        ways: Any = SimpleNamespace(tell=self.tell)
        numbers = iter(range(10**6))
        return schedule.Around(
            opened,
            opened,
            Folder(world.store, ways),
            lambda: self.copies,
            Kept(self.events, self.figures),
            FakeClock(self.here),
            self.tell,
            watching,
            lambda: f"r{self.here.time:.0f}-{next(numbers)}",
        )

    def upload(self, hours: float) -> None:
        """Let so much time pass as an upload does, which asks now and then whether to go on."""
        end = self.here.time + hours * HOUR
        while self.here.time < end:
            self.here.pass_time(min(60, end - self.here.time))
            self.watching.check()

    # --- what is told and what is there

    @property
    def state(self) -> state.State:
        """The state as it was left."""
        return state.State.from_json(self.here.files[state.FILE].decode())

    def health(self) -> list[str]:
        """Tell what the healthcheck finds now."""
        left = self.here.files.get(state.FILE)
        found = health.judge(json.loads(left) if left else None, self.here.now)
        return [each.message for each in found]

    def manifests(self, kind: Kind = Kind.SCHEDULED) -> list[Manifest]:
        """Every whole backup of a kind, the newest first."""
        found = FakeWorld(self.here, RELEASE, POLICY).vault.manifests()
        return [m for m in found if m.backup.kind is kind]

    def times(self) -> list[datetime]:
        """When the scheduled backups were taken, the newest first."""
        return [m.backup.taken_at for m in self.manifests()]

    def torn(self) -> list[str]:
        """Name what is neither a backup nor a word about one."""
        whole = {
            name.removesuffix(MANIFEST_SUFFIX)
            for name in self.here.files
            if name.endswith(MANIFEST_SUFFIX)
        }
        return [
            name
            for name in self.here.files
            if name.startswith("scheduled")
            and (name.endswith(PARTIAL_SUFFIX) or name.removesuffix(PROOF_SUFFIX) not in whole)
            and not name.endswith(MANIFEST_SUFFIX)
        ]


def second(**options: Any) -> Second:
    """Make a machine on which nobody writes but who is asked to, and the second mode on it."""
    made = machine()
    for service in made.services.values():
        service.running = False
    made.backends.clear()
    return Second(made, **options)
