"""The journal and the lock on a real server: kept through a kill, never in two hands."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import psycopg
import pytest

from sidecar.errors import AlreadyRunning, DatabaseUnavailable, MigsafeError, RollbackFailed
from sidecar.journal import CONTROL, ControlDatabase, find_control, open_control
from sidecar.plan import Phase
from sidecar.postgres import PostgresDatabase

from .bench import CLOCK, Bench, no_tools, run_id
from .servers import MAJORS, NEWEST, Server, fresh, quoted, running

Opened = Callable[..., Bench]

ON = (MAJORS[0], NEWEST)

KILLS = 3


def forget_control(server: Server) -> None:
    """Put the server back to where migsafe was never there."""
    server.run(f"DROP DATABASE IF EXISTS {CONTROL} WITH (FORCE)")


def test_is_made_by_whoever_comes_first(server: Server) -> None:
    """
    Six guards that start at once on a new server all get the one journal.

    Faults: 6, 12.
    """
    for _ in range(3):
        forget_control(server)
        found = _open_at_once(server, 6)
        for control in found:
            control.append("run", Phase.STARTED)
        assert [6] * 6 == [len(control.entries()) for control in found]
        for control in found:
            control.close()
        assert 6 == server.value("SELECT count(*) FROM migsafe.journal", CONTROL)


def _open_at_once(server: Server, guards: int) -> list[ControlDatabase]:
    start, name = threading.Barrier(guards), fresh("crowded")
    found: list[ControlDatabase] = []
    errors: list[Exception] = []

    def guard() -> None:
        start.wait()
        try:
            found.append(open_control(server.conninfo, name, CLOCK))
        except (MigsafeError, psycopg.Error) as error:
            errors.append(error)

    threads = [threading.Thread(target=guard) for _ in range(guards)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == errors
    return found


def test_is_not_for_everybody(server: Server, opened: Opened) -> None:
    """
    An app's role that migsafe does not act as can't read the journal.

    Faults: 133, 134.
    """
    opened(server, fresh("private"))

    with pytest.raises(psycopg.OperationalError), server.session(CONTROL, "zoo_reader"):
        pass


def test_looking_makes_nothing(server: Server) -> None:
    """
    A command that only asks does not leave a control database behind.

    Faults: 31.
    """
    forget_control(server)

    assert find_control(server.conninfo, "any", CLOCK) is None
    assert 0 == server.value(f"SELECT count(*) FROM pg_database WHERE datname = '{CONTROL}'")


class TestLock:
    """One run at a time holds a database."""

    def test_the_holder_is_named(self, server: Server, opened: Opened) -> None:
        """
        Whoever comes second is told who holds the lock, since when and from where.

        Faults: 12.
        """
        name = fresh("held")
        first, second = opened(server, name), opened(server, name)

        with (
            first.control.hold("run-1", 0),
            pytest.raises(AlreadyRunning, match=r"migsafe run-1 on \S+ \(\S+\), since 20") as told,
            second.control.hold("run-2", 0.5),
        ):
            pass

        assert 12 == told.value.exit_code

    def test_whoever_waits_is_seen(self, server: Server, opened: Opened) -> None:
        """
        The holder sees that somebody waits, who gets it then; and nobody waits any more.

        Faults: 105.
        """
        name, other = fresh("wanted"), fresh("other")
        first, second = opened(server, name), opened(server, name)
        apart = opened(server, other)
        got = threading.Event()

        def wait() -> None:
            with second.control.hold("run-2", 30):
                got.set()

        waiting = threading.Thread(target=wait)
        with first.control.hold("run-1", 0):
            assert not first.control.wanted()
            waiting.start()
            for _ in range(100):
                if first.control.wanted():
                    break
                CLOCK.sleep(0.1)
            assert first.control.wanted()
            assert not apart.control.wanted()
        waiting.join()
        assert got.is_set()
        assert not first.control.wanted()

    def test_other_databases_are_not_concerned(self, server: Server, opened: Opened) -> None:
        """
        Two databases of one server are migrated at the same time.

        Faults: 12.
        """
        with (
            opened(server, fresh("one")).control.hold("run-1", 0),
            opened(server, fresh("two")).control.hold("run-2", 0),
        ):
            pass

    def test_it_goes_with_its_session(self, server: Server, opened: Opened) -> None:
        """
        Who loses the session has lost the lock, and can act on no database any more.

        Faults: 10, 12, 95.
        """
        name = server.create("fenced")
        first, second = opened(server, name), opened(server, name)
        point, _ = first.clone(first.database.look())

        with first.control.hold("run-1", 0):
            pid = first.control.connection.info.backend_pid
            server.run(f"SELECT pg_terminate_backend({pid})")
            with second.control.hold("run-2", 10):
                with pytest.raises(DatabaseUnavailable):
                    first.database.swap(point, f"{name}_kept", run_id(), connections=True)
                assert second.database.exists(point)

    def test_a_waiting_guard_gets_it(self, server: Server, opened: Opened) -> None:
        """
        Who waits long enough takes over, without blocking the server meanwhile.

        Faults: 12.
        """
        name = fresh("passed_on")
        first, second = opened(server, name), opened(server, name)
        got = threading.Event()

        def wait() -> None:
            with second.control.hold("run-2", 10):
                got.set()

        waiting = threading.Thread(target=wait)
        with first.control.hold("run-1", 0):
            waiting.start()
            assert not got.wait(0.6)
            blocked = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            assert 0 == server.value(blocked)
        assert got.wait(5)
        waiting.join()


# --- kills


@pytest.fixture(scope="module")
def victim(server: Server) -> Iterator[Server]:
    """Start a server that is killed, of the same major."""
    with running([server.major], killed=True) as found:
        yield found[server.major]


class _Swapper(threading.Thread):
    """Swaps two databases for each other, again and again, until the server is gone."""

    def __init__(self, server: Server, live: str, other: str) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.live = live
        self.other = other
        self.swapped = 0
        self.warm = threading.Event()

    def run(self) -> None:
        with suppress(DatabaseUnavailable):
            self._swap()

    def _swap(self) -> None:
        control = open_control(self.server.conninfo, self.live, CLOCK)
        database = PostgresDatabase(control, self.server.conninfo, no_tools(), CLOCK)
        try:
            while True:
                kept = fresh("kept")
                database.swap(self.other, kept, run_id(), connections=True)
                self.other = kept
                self.swapped += 1
                if self.swapped == 3:
                    self.warm.set()
        finally:
            control.close()


def test_swap_and_journal_agree_after_a_kill(victim: Server) -> None:
    """
    Killed in the middle of swaps, the server has the database that the journal says it has.

    What was reported as done is done, and nothing is torn.

    Faults: 3, 50, 81, 96.
    """
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    for _ in range(KILLS):
        live, other = victim.create("live"), victim.create("other")
        for name, letter in ((live, "a"), (other, "b")):
            victim.run(f"CREATE TABLE which AS SELECT '{letter}' AS letter", name)
        swapper = _Swapper(victim, live, other)
        swapper.start()
        assert swapper.warm.wait(60)
        swapper.join(chance.uniform(0, 0.3))

        victim.kill()
        swapper.join()
        victim.start()

        journalled = _journalled(victim, live)
        assert journalled in {swapper.swapped, swapper.swapped + 1}
        assert "ab"[journalled % 2] == victim.value("SELECT letter FROM which", live)
        for name in (live, _kept(victim, live)):
            victim.run(f"DROP DATABASE {quoted(name)}")


def _journalled(server: Server, live: str) -> int:
    query = "SELECT count(*) FROM migsafe.journal WHERE database = %s AND phase = 'swapped'"
    return int(server.value(query, CONTROL, live))


def _kept(server: Server, live: str) -> str:
    """Find the other one by the journal."""
    query = (
        "SELECT detail->>'kept' FROM migsafe.journal WHERE database = %s"
        " ORDER BY sequence DESC LIMIT 1"
    )
    return str(server.value(query, CONTROL, live))


def test_what_was_appended_outlives_a_kill(victim: Server) -> None:
    """
    An entry is on disk when append returns.

    Faults: 3, 52.
    """
    name = fresh("durable")
    control = open_control(victim.conninfo, name, CLOCK)
    control.append("run", Phase.STARTED)
    control.append("run", Phase.MIGRATING, command=["a"])

    victim.kill()
    with pytest.raises(DatabaseUnavailable) as told:
        control.append("run", Phase.EXITED)
    control.close()
    victim.start()

    again = open_control(victim.conninfo, name, CLOCK)
    assert told.value.passing
    assert [Phase.STARTED, Phase.MIGRATING] == [entry.phase for entry in again.entries()]
    again.close()


@pytest.mark.parametrize("server", [NEWEST], indirect=True)
def test_a_failed_swap_is_told_from_a_lost_server(server: Server, opened: Opened) -> None:
    """
    A server that lives and refuses is no lost connection.

    Faults: 78, 96.
    """
    bench = opened(server, server.create("refused"))

    with pytest.raises(RollbackFailed, match="does not exist"):
        bench.database.swap("no_such_scratch", "kept", run_id(), connections=True)
