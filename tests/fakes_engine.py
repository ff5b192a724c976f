"""Docker, as values: the app's release, one-off containers and the project's services."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sidecar.errors import DeadlineExceeded, EngineUnavailable
from sidecar.facts import App, Exit, Host
from sidecar.ports import Stop
from tests.fakes_machine import LIVE, SECRET, Container, Machine, Step
from tests.fakes_power import Power

POLL = 1.0
RAILS = ("bin/rails", "config/application.rb")


@dataclass(frozen=True)
class Release:
    """An image of the app: what its migration does, and which versions it knows."""

    image: str
    program: tuple[Step, ...]
    versions: tuple[str, ...] = ("1", "2", "3", "4")
    code_mounts: tuple[str, ...] = ()
    files: tuple[str, ...] = RAILS
    name: str = ""
    """As the compose file names it; by the image, unless it is a tag that moves."""
    refused: str = ""
    """Why the engine does not start its containers."""
    out_of_order: bool = False
    """It is the engine's own fault."""


class FakeEngine:
    """The engine."""

    def __init__(self, machine: Machine, power: Power, release: Release) -> None:
        self.machine = machine
        self.power = power
        self.release = release
        self.free: int | None = None
        self._unstarted: dict[str, str] = {}
        self._seen: dict[str, frozenset[str]] = {}

    def app(self) -> App:
        """Find the app."""
        self.power.call("engine: app")
        release = self.release
        return App(
            project="shop",
            service="app",
            container="c0ffee",
            image=release.image,
            image_name=release.name or f"shop:{release.image}",
            digest=None,
            environment={},
            code_mounts=release.code_mounts,
            images={"app": release.image},
        )

    def has_file(self, path: str) -> bool:
        """Whether the app's image has a file."""
        self.power.call("engine: has file")
        return path in self.release.files

    def this_host(self) -> Host:
        """Tell which engine this is."""
        self.power.call("engine: this host")
        return self.machine.host

    # --- one-offs

    def has_ended(self, run: str) -> bool | None:
        """Tell nothing of a migration that somebody else runs."""
        del run
        self.power.call("engine: has ended")
        return None

    def claim(self, run: str) -> bool:
        """Find nobody who could start it."""
        del run
        self.power.call("engine: claim")
        return True

    def make_migration(self, run: str, command: Sequence[str]) -> None:
        """Make a container."""
        tuple(command)  # the release says what it does
        self.power.call("engine: make migration")
        name = _name(run)
        if name in self.machine.containers:
            self._unstarted[run] = f"the container name {name} is already in use"
            return
        address = f"172.18.1.{len(self.machine.containers) + 1}"
        container = Container(name, self.release.image, self.release.program, address)
        with self.power.effect("engine: container created"):
            self.machine.containers[name] = container

    def start_migration(self, run: str) -> None:
        """Start it."""
        self.power.call("engine: start migration")
        container = self.machine.containers.get(_name(run))
        if run in self._unstarted:
            return
        if self.release.refused or container is None:
            self._unstarted[run] = self.release.refused or "no such container"
            return
        with self.power.effect("engine: container started"):
            self.machine.start_container(container)

    def follow_migration(
        self, run: str, deadline: float, on_line: Callable[[str], None], stop: Stop
    ) -> Exit | None:
        """Wait for the container to end."""
        self.power.call("engine: follow migration")
        if run in self._unstarted:
            fault = self.release.out_of_order
            return Exit(125, error=self._unstarted[run], passing=fault)
        until = self.machine.time + deadline
        while container := self.machine.containers.get(_name(run)):
            self.addresses(run)
            if container.status == "created":
                return None
            if container.status == "exited":
                on_line(f"exit {container.code}")
                tail = (f"exit {container.code}, and the password is {SECRET}",)
                return Exit(container.code, out_of_memory=container.out_of_memory, tail=tail)
            if self.machine.time >= until:
                raise DeadlineExceeded("the migration ran past its deadline")
            stop.check()
            self.machine.pass_time(POLL)
        return None

    def end_migration(self, run: str) -> None:
        """Stop the container if it runs; one that never ran goes."""
        self.power.call("engine: end migration")
        container = self.machine.containers.get(_name(run))
        if container is not None and container.status == "created":
            with self.power.effect("engine: container removed"):
                del self.machine.containers[container.name]
        if container is not None and container.status == "running":
            with self.power.effect("engine: container stopped"):
                self.machine.stop_container(container)

    def addresses(self, run: str) -> frozenset[str]:
        """Tell which addresses the container has or had, as far as this guard has seen."""
        self.power.call("engine: addresses")
        container = self.machine.containers.get(_name(run))
        running = container is not None and container.status == "running"
        now = frozenset({container.address}) if container and running else frozenset()
        self._seen[run] = self._seen.get(run, frozenset()) | now
        return self._seen[run]

    def remove_migration(self, run: str) -> None:
        """Remove the container."""
        self.power.call("engine: remove migration")
        container = self.machine.containers.get(_name(run))
        if container is not None:
            with self.power.effect("engine: container removed"):
                self.machine.stop_container(container)
                del self.machine.containers[_name(run)]

    def end_strays(self, known: Iterable[str]) -> tuple[str, ...]:
        """Stop and remove migrations of runs that are not known."""
        self.power.call("engine: end strays")
        ours = {_name(run, role) for run in known for role in ("migration", "check")}
        strays = [name for name in self.machine.containers if name not in ours]
        for name in strays:
            with self.power.effect("engine: stray removed"):
                self.machine.stop_container(self.machine.containers.pop(name))
        return tuple(strays)

    def run_check(
        self, run: str, command: Sequence[str], timeout: float, *, read_only: bool = False
    ) -> Exit:
        """Answer as the framework does: 0 when everything that the image knows is applied."""
        del command, timeout, read_only  # there is one question only, and it writes nothing
        self.power.call("engine: check")
        name = _name(run, "check")
        self.machine.containers.pop(name, None)
        with self.power.effect("engine: check made"):
            self.machine.containers[name] = Container(name, self.release.image, (), "172.18.2.1")
        live = self.machine.databases.get(LIVE)
        applied = live is not None and set(self.release.versions) <= set(live.data.ledger)
        with self.power.effect("engine: check removed"):
            self.machine.containers.pop(name, None)
        return Exit(0 if applied else 1)

    # --- who uses the database

    def users(self, addresses: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Map the running services that use the database to their addresses."""
        self.power.call("engine: users")
        wanted = set(addresses)
        return {
            service.name: (service.address,) if service.address in wanted else ()
            for service in self.machine.services.values()
            if service.running and (service.waits or service.address in wanted)
        }

    def stop(self, containers: Iterable[str]) -> None:
        """Stop services one by one."""
        self.power.call("engine: stop")
        for name in containers:
            with self.power.effect(f"engine: {name} stopped"):
                self.machine.stop_service(name)

    def start(self, containers: Iterable[str]) -> dict[str, str]:
        """Start services one by one."""
        names = tuple(containers)
        try:
            self.power.call("engine: start")
        except EngineUnavailable as error:
            return dict.fromkeys(names, error.message)
        stuck = {}
        for name in names:
            if name in self.machine.services:
                try:
                    with self.power.effect(f"engine: {name} started"):
                        self.machine.services[name].running = True
                except EngineUnavailable as error:
                    stuck[name] = error.message
        return stuck

    def free_space(self) -> int | None:
        """Tell the free space."""
        self.power.call("engine: free space")
        return self.free


def _name(run: str, role: str = "migration") -> str:
    return f"shop-migsafe-{role}-{run}"
