"""Who is in is seen, ended, and kept out; what they wrote is somewhere."""

import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress

import psycopg

from sidecar.connections import connect
from sidecar.facts import kept_name
from sidecar.plan import Phase

from .bench import Bench, run_id
from .servers import MAJORS, NEWEST, Server, fresh

Opened = Callable[..., Bench]

ON = (MAJORS[0], NEWEST)

EVERY = 0.03
"""Seconds between two writes of a writer."""


class Writer(threading.Thread):
    """A client that writes, and comes back whenever it is thrown out."""

    def __init__(self, server: Server, database: str, *, stays: bool) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.database = database
        self.stays = stays
        self.acknowledged: list[tuple[int, float]] = []
        self.done = threading.Event()
        self.refused = 0

    def run(self) -> None:
        """Write until it is told to stop."""
        while not self.done.wait(EVERY):
            try:
                with self.server.session(self.database) as session:
                    self._write(session)
            except psycopg.OperationalError:
                self.refused += 1

    def _write(self, session: psycopg.Connection[tuple[object, ...]]) -> None:
        while not self.done.is_set():
            number = len(self.acknowledged) + 1
            values = (self.name, number)
            session.execute("INSERT INTO writes VALUES (%s, %s)", values)
            self.acknowledged.append((number, time.monotonic()))
            if not self.stays:
                return
            time.sleep(EVERY)

    def stop(self) -> None:
        """Let it go home."""
        self.done.set()
        self.join()


def test_nothing_acknowledged_is_lost(server: Server, opened: Opened) -> None:
    """
    Writers that come back at once can't get past the fence; each write is in live or in kept.

    Faults: 9, 39, 40, 43, 95.
    """
    name = server.create("written")
    server.run("CREATE TABLE writes (who text, number int)", name)
    bench = opened(server, name)
    point, _ = bench.clone(bench.database.look())
    writers = [Writer(server, name, stays=stays) for stays in (True, True, False, False)]
    for writer in writers:
        writer.start()
    _until(lambda: all(len(writer.acknowledged) >= 5 for writer in writers))
    run = run_id()

    left = bench.database.close()
    closed = time.monotonic()
    refused = [writer.refused for writer in writers]
    _until(lambda: all(w.refused > before for w, before in zip(writers, refused, strict=True)))
    came_in = [at for writer in writers for _, at in writer.acknowledged if at > closed]
    bench.database.swap(point, kept_name(name, run), run, connections=True)
    swapped = [len(writer.acknowledged) for writer in writers]
    _until(lambda: all(len(w.acknowledged) > n for w, n in zip(writers, swapped, strict=True)))
    for writer in writers:
        writer.stop()

    bench.database.open(kept_name(name, run))
    found = {
        row
        for database in (name, kept_name(name, run))
        for row in server.rows("SELECT who, number FROM writes", database)
    }
    assert () == left
    assert [] == came_in
    assert set() == {(w.name, number) for w in writers for number, _ in w.acknowledged} - found


def _until(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_sessions_are_seen_as_they_are(server: Server, opened: Opened) -> None:
    """
    Other sessions on the database are listed, ours and those of other databases are not.

    Faults: 39, 41.
    """
    name, other = server.create("visited"), server.create("elsewhere")
    bench = opened(server, name)

    with server.session(name, "zoo_reader") as session, server.session(other):
        session.execute("SET application_name = 'console'")
        (found,) = bench.database.sessions()
        pid = session.info.backend_pid

    assert ("zoo_reader", "console", "idle") == (found.user, found.application, found.state)
    assert pid == found.pid
    assert found.address is not None


def test_only_the_named_ones_end(server: Server, opened: Opened) -> None:
    """
    Ending some sessions waits for those, and leaves the others alone.

    Faults: 76.
    """
    name = server.create("shared")
    bench = opened(server, name)

    with server.session(name) as first, server.session(name) as second:
        left = bench.database.end_sessions([first.info.backend_pid])

        assert () == left
        assert [second.info.backend_pid] == [s.pid for s in bench.database.sessions()]
        assert (1,) == second.execute("SELECT 1").fetchone()


def test_a_busy_statement_is_ended_too(server: Server, opened: Opened) -> None:
    """
    A statement that would commit seconds after its client was killed does not.

    Faults: 10, 76.
    """
    name = server.create("late")
    server.run("CREATE TABLE t (i int)", name)
    bench = opened(server, name)

    def insert() -> None:
        with suppress(psycopg.OperationalError), server.session(name) as session:
            session.execute("INSERT INTO t SELECT 1 FROM pg_sleep(3)")

    client = threading.Thread(target=insert)
    client.start()
    _until(lambda: any(s.state == "active" for s in bench.database.sessions()))
    left = bench.database.end_sessions([s.pid for s in bench.database.sessions()])
    client.join()

    assert () == left
    assert 0 == server.value("SELECT count(*) FROM t", name)


def test_closing_what_is_not_there(server: Server, opened: Opened) -> None:
    """
    A database that is gone lets nobody in already.

    Faults: 84.
    """
    assert () == opened(server, fresh("absent")).database.close()


class TestNextTransaction:
    """Whether anybody wrote is told by the server's own count."""

    def test_stands_still_while_nobody_writes(self, server: Server, opened: Opened) -> None:
        """
        Sessions come and go, read and roll back what they read: nothing was written.

        Faults: 71, 72.
        """
        name = server.create("quiet")
        server.run("CREATE TABLE t (i int)", name)
        bench = opened(server, name)

        def reads() -> int:
            before = bench.database.next_transaction()
            with server.session(name) as session, suppress(psycopg.Error):
                session.execute("SELECT * FROM t")
                session.execute("BEGIN READ ONLY; SELECT count(*) FROM pg_class; ROLLBACK")
                session.execute("SET work_mem = '5MB'")
                session.execute("SELECT 1 / 0")
            bench.database.look(catalog=True)
            bench.database.contents()
            return bench.database.next_transaction() - before

        # the count is the server's: an autovacuum of what other tests have left moves it, too
        assert 0 in [reads() for _ in range(5)]

    def test_moves_with_a_write(self, server: Server, opened: Opened) -> None:
        """
        A committed write moves it.

        Faults: 71.
        """
        name = server.create("loud")
        server.run("CREATE TABLE t (i int)", name)
        bench = opened(server, name)
        before = bench.database.next_transaction()

        server.run("INSERT INTO t VALUES (1)", name)

        assert before < bench.database.next_transaction()

    def test_moves_with_a_write_that_was_taken_back(self, server: Server, opened: Opened) -> None:
        """
        So does one that was rolled back: sequences stay where it put them.

        Faults: 71, 76.
        """
        name = server.create("undone")
        server.run("CREATE TABLE t (i serial)", name)
        bench = opened(server, name)
        before = bench.database.next_transaction()

        with server.session(name) as session, session.transaction(force_rollback=True):
            session.execute("INSERT INTO t DEFAULT VALUES")

        assert before < bench.database.next_transaction()

    def test_the_journal_takes_one(self, server: Server, opened: Opened) -> None:
        """
        An entry of the journal is one write, and is reckoned with as one.

        Faults: 71.
        """
        bench = opened(server, server.create("reckoned"))
        before = bench.database.next_transaction()

        bench.control.append(run_id(), Phase.MIGRATING)

        assert before + 1 == bench.database.next_transaction()


def test_a_session_of_ours_that_is_going_is_no_stranger(server: Server, opened: Opened) -> None:
    """
    What we have closed ourselves is waited for; what stays, whoever it is, is listed.

    Faults: 41.
    """
    name = server.create("closing")
    bench = opened(server, name)
    ours = connect(bench.database.conninfo, name)
    going = threading.Timer(0.3, ours.close)
    going.start()

    assert () == bench.database.sessions()

    going.join()
    with closing(connect(bench.database.conninfo, name)) as stays:
        assert [stays.info.backend_pid] == [s.pid for s in bench.database.sessions()]
