"""The real adapters keep the contracts that the fakes keep."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import docker
import pytest

from sidecar.journal import ControlDatabase, open_control
from sidecar.plan import Entry
from sidecar.ports import Database, Journal
from sidecar.postgres import PostgresDatabase
from tests import contracts

from .bench import CLOCK, Bench, no_tools
from .servers import MAJORS, NEWEST, Server, fresh

Opened = Callable[..., Bench]


class JournalBench:
    """Sessions of the journal of one database."""

    def __init__(self, server: Server, stack: ExitStack) -> None:
        self.server = server
        self.stack = stack
        self.name = fresh("journalled")

    def open(self) -> Journal:
        """Open one more."""
        control = open_control(self.server.conninfo, self.name, CLOCK)
        self.stack.callback(control.close)
        return control

    def lose(self, journal: Journal) -> None:
        """End the session of one of them."""
        assert isinstance(journal, ControlDatabase)
        pid = journal.connection.info.backend_pid
        self.server.run(f"SELECT pg_terminate_backend({pid})")
        with self.server.session("postgres") as session:
            gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = %s"
            while session.execute(gone, (pid,)).fetchone() == (False,):
                time.sleep(0.01)


class DatabaseBench:
    """A database with a table in it."""

    def __init__(self, server: Server, bench: Bench) -> None:
        self.server = server
        self.bench = bench
        self.name = bench.name
        self.database: Database = bench.database
        bench.server.run("CREATE TABLE t (i int); INSERT INTO t VALUES (1), (2)", bench.name)
        missing = open_control(server.conninfo, fresh("missing"), CLOCK)
        bench.stack.callback(missing.close)
        self.absent: Database = PostgresDatabase(missing, server.conninfo, no_tools(), CLOCK)

    def entries(self) -> Sequence[Entry]:
        """Read the journal."""
        return self.bench.control.entries()

    def write(self) -> None:
        """Write once as a client."""
        self.server.run("INSERT INTO t VALUES (3)", self.name)

    @contextmanager
    def session(self) -> Iterator[int]:
        """Stay connected."""
        with self.server.session(self.name) as session:
            yield session.info.backend_pid


class TestJournal(contracts.JournalContract):
    """
    The journal on a server.

    Faults: 12.
    """

    @pytest.fixture
    def bench(self, server: Server) -> Iterator[JournalBench]:
        """Open it."""
        with ExitStack() as stack:
            yield JournalBench(server, stack)


@pytest.mark.parametrize("server", [MAJORS[0], NEWEST], indirect=True)
class TestDatabase(contracts.DatabaseContract):
    """
    A database on a server.

    Faults: 43, 45, 95, 96, 97, 99.
    """

    @pytest.fixture
    def bench(self, server: Server, opened: Opened, client: docker.APIClient) -> DatabaseBench:
        """Open it."""
        assert client is not None
        return DatabaseBench(server, opened(server, server.create("contracted")))
