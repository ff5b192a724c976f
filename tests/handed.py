"""Migrations that are handed over: the real folder, and somebody who migrates on the machine."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from sidecar.errors import MigsafeError
from sidecar.handing import Handing
from sidecar.handover import Handover
from sidecar.policy import Policy
from tests.fakes import FakeClock, FakeWorld, Killed, Power, machine
from tests.fakes_data import BEFORE
from tests.fakes_engine import Release
from tests.fakes_machine import Container, Machine, Step
from tests.scenarios import End


@dataclass
class Somebody:
    """Who runs the migration, as ``run.sh`` does: it claims the run, beats, and notes the end."""

    machine: Machine
    folder: Path
    container: Container | None = None
    run: str = ""
    beats: int = 0
    refused: int = 0
    """How often it was told not to run."""
    meanwhile: Callable[[], object] | None = None
    """What happens, once, while a begin waits."""

    def start(self, program: tuple[Step, ...]) -> None:
        """Start the migration, if it may be."""
        try:
            self.run = (self.folder / "current").read_text().split()[0]
        except FileNotFoundError:
            self.refused += 1
            return
        if self.run == "nothing-to-do":
            return
        try:
            (self.folder / self.run / "started").mkdir()
        except OSError:
            self.refused += 1
            return
        name = f"shop-migsafe-migration-{self.run}"
        self.container = Container(name, "theirs", program, "10.1.1.1")
        self.machine.containers[name] = self.container
        self.machine.start_container(self.container)
        self.beat()

    def beat(self) -> None:
        """Give a sign of life, or note how it ended."""
        found = self.container
        if found is None:
            return
        self.disguise(found)
        mine = self.folder / self.run
        if found.status == "running" and mine.is_dir():
            self.beats += 1
            (mine / "alive").touch()
            os.utime(mine / "alive", ns=(self.beats, self.beats))
        if found.status == "exited":
            self.machine.containers.pop(found.name, None)
            self.container = None
            with suppress(FileNotFoundError):
                (mine / "exit-code").write_text(f"{found.code}\n")

    def disguise(self, container: Container) -> None:
        """Have a session that does not say whose it is."""
        if backend := self.machine.backends.get(container.pid or 0):
            backend.application = "psql"

    def finish(self) -> None:
        """Let it come to its end."""
        for _ in range(30):
            if self.container is None:
                return
            self.machine.pass_time(1)
            self.beat()

    def die(self) -> None:
        """Be killed: nothing is noted; what the server is at goes on."""
        if self.container is not None:
            self.disguise(self.container)
            self.machine.stop_container(self.container)
            self.machine.containers.pop(self.container.name)
            self.container = None


class Clock(FakeClock):
    """Lets the migration beat while somebody waits."""

    def __init__(self, machine: Machine, somebody: Somebody) -> None:
        super().__init__(machine)
        self.somebody = somebody

    def sleep(self, seconds: float) -> None:
        """Let the machine go on for so long."""
        super().sleep(max(seconds, 1))
        self.somebody.beat()
        act, self.somebody.meanwhile = self.somebody.meanwhile, None
        if act is not None:
            act()


class Hands(Handing):
    """The real folder, with the power that can fail at each act."""

    power: Power

    def withdraw(self) -> None:
        """Name no run."""
        with self.power.effect("handover: withdrawn"):
            super().withdraw()

    def nothing_to_do(self) -> None:
        """Say that nothing is to be migrated."""
        with self.power.effect("handover: nothing to do"):
            super().nothing_to_do()

    def claim(self, run: str) -> bool:
        """Take the script's place."""
        with self.power.effect("handover: claimed"):
            return super().claim(run)

    def make_migration(self, run: str, command: object) -> None:
        """Make the run's folder."""
        del command
        with self.power.effect("handover: made"):
            super().make_migration(run, ())

    def start_migration(self, run: str) -> None:
        """Name the run."""
        with self.power.effect("handover: named"):
            super().start_migration(run)

    def end_migration(self, run: str) -> None:
        """Claim the run."""
        with self.power.effect("handover: claimed"):
            super().end_migration(run)

    def remove_migration(self, run: str) -> None:
        """Remove the run's folder."""
        with self.power.effect("handover: removed"):
            super().remove_migration(run)


def quiet() -> Machine:
    """Make a machine on which the app does not run, and which nobody else may change."""
    made = machine(BEFORE)
    for name in tuple(made.services):
        made.stop_service(name)
    made.services.clear()
    return made


@dataclass
class Place:
    """A machine and a folder: one pod, one project, one job."""

    folder: Path
    machine: Machine = field(default_factory=quiet)
    policy: Policy = field(default_factory=Policy)
    release: str | None = "v2"
    told: int | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.somebody = Somebody(self.machine, self.folder)

    def begin(self, power: Power | None = None) -> End:
        """Run `begin`."""
        with self._handover(power) as (world, story):
            return _end(world, story.begin)

    def conclude(self, power: Power | None = None) -> End:
        """Run `conclude`."""
        with self._handover(power) as (world, story):
            return _end(world, story.conclude)

    def chain(self, program: tuple[Step, ...]) -> End:
        """Run one after the other, as long as each ends with 0."""
        begun = self.begin()
        if begun.code != 0:
            return begun
        self.somebody.start(program)
        self.somebody.finish()
        return self.conclude()

    def elsewhere(self, folder: Path) -> "Place":
        """Be in another place, at the same server."""
        return replace(self, folder=folder)

    @contextmanager
    def _handover(self, power: Power | None) -> Iterator[tuple[FakeWorld, Handover]]:
        self.machine.runs += 1
        world = FakeWorld(self.machine, Release("none", ()), self.policy, power)
        clock = Clock(self.machine, self.somebody)
        hands = Hands(self.folder, clock, self.policy.deadline.total_seconds(), self.release)
        hands.power, hands.told = world.power, self.told
        run = f"20260131-1200{self.machine.runs % 60:02d}-{self.machine.runs:04x}"
        yield (
            world,
            Handover(replace(world.world, engine=hands, clock=clock), hands, self.policy, run),
        )


def _end(world: FakeWorld, act: Callable[[], object]) -> End:
    try:
        act()
    except MigsafeError as error:
        return End(error.status, world, error.message)
    except Killed:
        return End(None, world)
    return End(0, world)
