"""The fakes keep the contracts of their ports, as the real adapters must."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.plan import Entry
from sidecar.policy import Policy
from sidecar.ports import Database, Journal
from sidecar.stores.local import LocalStore
from tests import contracts
from tests.fakes import FakeWorld, entries, machine
from tests.fakes_data import BEFORE
from tests.fakes_engine import FakeEngine, Release
from tests.fakes_machine import LIVE, Container, Machine, Step


def quiet() -> Machine:
    """Make a machine on which nobody else does anything."""
    made = machine(BEFORE)
    for name in tuple(made.services):
        made.stop_service(name)
    return made


def world(here: Machine, *program: Step) -> FakeWorld:
    """Put a guard's hands on a machine."""
    return FakeWorld(here, Release("v2", program), Policy())


class JournalBench:
    """Sessions of the journal of one machine."""

    def __init__(self) -> None:
        self.machine = quiet()

    def open(self) -> Journal:
        """Open one more."""
        return world(self.machine).journal

    def lose(self, journal: Journal) -> None:
        """End the session of whoever holds the lock."""
        del journal
        self.machine.lock = None


class DatabaseBench:
    """The live database of one machine."""

    name = LIVE

    def __init__(self) -> None:
        self.machine = quiet()
        self.database: Database = world(self.machine).database
        empty = quiet()
        del empty.databases[LIVE]
        self.absent: Database = world(empty).database

    def entries(self) -> Sequence[Entry]:
        """Read the journal."""
        return entries(self.machine)

    def write(self) -> None:
        """Write once as a client."""
        self.machine.strangers = ("client",)
        self.machine.move()
        self.machine.strangers = ()
        for backend in tuple(self.machine.backends.values()):
            self.machine.end(backend)

    @contextmanager
    def session(self) -> Iterator[int]:
        """Stay connected."""
        backend = self.machine.connect("client", "10.9.8.7")
        assert backend is not None
        yield backend.pid
        self.machine.end(backend)


class EngineBench:
    """One machine's engine."""

    programs: dict[str, tuple[Step, ...]] = {  # noqa: RUF012 - a constant
        "exit 0": (("exit", "0"),),
        "exit 3": (("exit", "3"),),
        "runs on": (("hang",),),
    }

    def __init__(self) -> None:
        self.machine = quiet()

    def engine(self, does: str) -> FakeEngine:
        """Open the engine as another guard would."""
        return world(self.machine, *self.programs[does]).engine

    def command(self, does: str) -> Sequence[str]:
        """Name what the release does anyway."""
        return [does]

    def make(self, run: str) -> None:
        """Make a container that is not started."""
        name = f"shop-migsafe-migration-{run}"
        self.machine.containers[name] = Container(name, "v2", (), "172.18.1.1")


class TestJournal(contracts.JournalContract):
    """The fake journal."""

    @pytest.fixture
    def bench(self) -> JournalBench:
        """Open it."""
        return JournalBench()


class TestDatabase(contracts.DatabaseContract):
    """The fake database."""

    @pytest.fixture
    def bench(self) -> DatabaseBench:
        """Open it."""
        return DatabaseBench()


class TestEngine(contracts.EngineContract):
    """The fake engine."""

    @pytest.fixture
    def bench(self) -> EngineBench:
        """Open it."""
        return EngineBench()


class TestMemoryStore(contracts.StoreContract):
    """The store in memory."""

    @pytest.fixture
    def store(self) -> LocalStore:
        """Open it."""
        return world(quiet()).store


class TestLocalStore(contracts.StoreContract):
    """The store in a folder, which is the real one."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> LocalStore:
        """Open it."""
        return LocalStore(tmp_path)
