"""
What every adapter of a port does: one suite for the fake and for the real one.

A test module inherits a class and gives it a ``bench`` fixture; what a bench can do is said by the
protocol beside each class.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import pytest

from sidecar.backups import MANIFEST_SUFFIX, Format
from sidecar.errors import (
    AlreadyRunning,
    DatabaseMissing,
    DatabaseUnavailable,
    DeadlineExceeded,
    Interrupted,
    RollbackFailed,
    StoreFailed,
)
from sidecar.facts import Exit, kept_name, scratch_name
from sidecar.plan import Entry, Phase
from sidecar.ports import CannotClone, Database, Engine, Journal
from sidecar.stores.local import LocalStore

RUN, OTHER_RUN = (f"20260131-{time}-{os.getpid():x}" for time in ("235958", "235959"))
"""A container is found by its run: tests of two checkouts share an engine."""


# --- journal


class JournalBench(Protocol):
    """Opens sessions of one journal."""

    def open(self) -> Journal:
        """Open one more, as another guard would."""
        ...

    def lose(self, journal: Journal) -> None:
        """End the session of one of them."""
        ...


class JournalContract:
    """A journal keeps what was written, in order, and lets one run in."""

    def test_entries_come_back_in_order(self, bench: JournalBench) -> None:
        """What was appended is read by another guard, oldest first, details as JSON holds them."""
        bench.open().append(RUN, Phase.STARTED, command=["a", "b"], deadline=1.5)
        bench.open().append(RUN, Phase.MIGRATING)

        found = bench.open().entries()

        assert [Phase.STARTED, Phase.MIGRATING] == [entry.phase for entry in found]
        assert {"command": ["a", "b"], "deadline": 1.5} == dict(found[0].detail)
        assert [RUN, RUN] == [entry.run for entry in found]
        assert found[0].at <= found[1].at

    def test_one_run_at_a_time(self, bench: JournalBench) -> None:
        """While one holds the lock another one is told who does; afterwards it may."""
        first, second = bench.open(), bench.open()
        with (
            first.hold(RUN, 0),
            pytest.raises(AlreadyRunning, match=RUN),
            second.hold(OTHER_RUN, 0),
        ):
            pass
        with second.hold(OTHER_RUN, 0):
            second.append(OTHER_RUN, Phase.STARTED)

        assert OTHER_RUN == first.entries()[-1].run

    def test_an_error_gives_the_lock_back(self, bench: JournalBench) -> None:
        """A run that fails holds nothing."""
        with pytest.raises(ZeroDivisionError), bench.open().hold(RUN, 0):
            raise ZeroDivisionError

        with bench.open().hold(OTHER_RUN, 0):
            pass

    def test_a_lock_that_was_lost_is_had_again(self, bench: JournalBench) -> None:
        """Nobody has taken it over: the run goes on, and others are kept out."""
        first, second = bench.open(), bench.open()
        with first.hold(RUN, 0):
            first.append(RUN, Phase.STARTED)
            bench.lose(first)

            assert first.regain(RUN)

            first.append(RUN, Phase.ABANDONED)
            with pytest.raises(AlreadyRunning), second.hold(OTHER_RUN, 0):
                pass
        with second.hold(OTHER_RUN, 0):
            pass

    @pytest.mark.parametrize("ended", [False, True])
    def test_a_lock_that_was_taken_over_is_not(self, bench: JournalBench, *, ended: bool) -> None:
        """Another run holds it, or has held it: from then on it is that one's to decide."""
        first, second = bench.open(), bench.open()
        with first.hold(RUN, 0):
            first.append(RUN, Phase.STARTED)
            bench.lose(first)
            with second.hold(OTHER_RUN, 0):
                second.append(OTHER_RUN, Phase.STARTED)
                if not ended:
                    assert not first.regain(RUN)
            assert not first.regain(RUN)


# --- store


class StoreContract:
    """A store shows nothing that is not whole; the fixture ``store`` is an empty one."""

    def test_nothing_is_there_before_it_is_whole(self, store: LocalStore) -> None:
        """A file that is being written has no name; once published it is what was written."""
        written = store.write("a.sql", [b"one ", b"two"])
        before = store.names()

        store.publish("a.sql")

        assert ((), ("a.sql",)) == (before, store.names())
        assert b"one two" == b"".join(store.read("a.sql"))
        assert (7, 7) == (written.size, store.size("a.sql"))

    def test_nothing_is_overwritten(self, store: LocalStore) -> None:
        """A name that is taken stays what it is."""
        store.write("a.sql", [b"first"])
        store.publish("a.sql")
        store.write("a.sql", [b"second"])

        with pytest.raises(StoreFailed):
            store.publish("a.sql")
        assert b"first" == b"".join(store.read("a.sql"))

    def test_an_error_leaves_nothing(self, store: LocalStore) -> None:
        """When the source breaks off there is no partial file, either."""

        def broken() -> Sequence[bytes]:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.write("a.sql", (chunk for source in (broken,) for chunk in source()))
        with pytest.raises(StoreFailed):
            list(store.read("a.sql", partial=True))

    def test_what_has_no_manifest_is_discarded(self, store: LocalStore) -> None:
        """Discarding takes a file without a manifest, and never one that has it."""
        for name in ("a.sql", "b.sql"):
            store.write(name, [b"x"])
            store.publish(name)
        store.put("b.sql" + MANIFEST_SUFFIX, "{}")

        store.discard("a.sql")
        store.discard("b.sql")

        assert ("b.sql", "b.sql" + MANIFEST_SUFFIX) == store.names()

    def test_small_files_are_replaced_whole(self, store: LocalStore) -> None:
        """A report takes the place of the one before."""
        store.put("report.txt", "one")
        store.put("report.txt", "two")

        assert ("two", ("report.txt",)) == (store.text("report.txt"), store.names())

    def test_what_is_not_there(self, store: LocalStore) -> None:
        """A file that is missing has no size, can't be read, and may be removed."""
        store.remove("a.sql")

        assert store.size("a.sql") is None
        with pytest.raises(StoreFailed):
            list(store.read("a.sql"))


# --- database


class DatabaseBench(Protocol):
    """A database with a table in it, and what a client can do with it."""

    database: Database
    absent: Database
    """One that the server does not have."""
    name: str

    def entries(self) -> Sequence[Entry]:
        """Read the journal of the database."""
        ...

    def write(self) -> None:
        """Add a row to the live database, and disconnect."""
        ...

    def session(self) -> AbstractContextManager[int]:
        """Stay connected to the live database; gives the server's pid of the session."""
        ...


class DatabaseContract:
    """A database is copied exactly, closed for certain, and swapped as a whole or not at all."""

    def test_a_missing_database(self, bench: DatabaseBench) -> None:
        """A database that is not there is said to be missing."""
        with pytest.raises(DatabaseMissing):
            bench.absent.look()

    def test_a_clone_is_sealed(self, bench: DatabaseBench) -> None:
        """A clone lets nobody in, can be told from any other, and is the original once opened."""
        database, name = bench.database, scratch_name(bench.name, RUN)
        before, contents = database.look(catalog=True), database.contents()

        oid = database.clone(name, before.properties, before.size)

        assert database.untouched(name, oid) is None
        assert database.untouched(name, oid + 1) is not None
        with pytest.raises(DatabaseUnavailable):
            database.look_at(name)
        database.open(name)
        assert database.untouched(name, oid) is not None
        assert contents.rows == database.contents_of(name).rows
        assert () == before.properties.differences(database.look_at(name).properties)

    def test_no_clone_of_what_others_use(self, bench: DatabaseBench) -> None:
        """While somebody is connected there is no clone, and nothing is left of the attempt."""
        name, look = scratch_name(bench.name, RUN), bench.database.look()
        with bench.session(), pytest.raises(CannotClone):
            bench.database.clone(name, look.properties, look.size)

        assert not bench.database.exists(name)

    def test_a_backup_loads_to_the_same(self, bench: DatabaseBench) -> None:
        """What was dumped and loaded again has the same rows, schema and properties."""
        database, name = bench.database, scratch_name(bench.name, RUN, "load")
        before = database.look(catalog=True)
        with database.dump(Format.SQL) as (chunks, counted):
            dump, contents = list(chunks), counted()

        database.load(name, iter(dump), Format.SQL, before.properties)

        found = database.look_at(name)
        assert contents.rows == database.contents_of(name).rows
        assert (before.catalog, before.ledger) == (found.catalog, found.ledger)
        assert () == before.properties.differences(found.properties)
        with pytest.raises(RollbackFailed):  # never into what has something in it
            database.load(name, iter(dump), Format.SQL, before.properties)

    def test_closed_is_closed(self, bench: DatabaseBench) -> None:
        """Who is in is ended, and nobody comes in."""
        with bench.session() as pid:
            assert pid in {session.pid for session in bench.database.sessions()}
            left = bench.database.close()

        assert ((), ()) == (left, bench.database.sessions())
        with pytest.raises(DatabaseUnavailable):
            bench.database.look()
        bench.database.open(bench.name)
        assert bench.database.look().properties.allow_connections

    def test_only_the_sessions_that_are_meant_end(self, bench: DatabaseBench) -> None:
        """Ending one session leaves the other."""
        with bench.session() as first, bench.session() as second:
            left = bench.database.end_sessions([first])
            found = {session.pid for session in bench.database.sessions()}

        assert ((), False, True) == (left, first in found, second in found)

    def test_a_swap_is_whole(self, bench: DatabaseBench) -> None:
        """The copy takes the live name, the live one is kept and closed, the journal says so."""
        database, name = bench.database, scratch_name(bench.name, RUN)
        kept, before = kept_name(bench.name, RUN), database.look(catalog=True)
        rows = database.contents().rows
        oid = database.clone(name, before.properties, before.size)
        database.open(name)
        bench.write()

        database.close()
        database.swap(name, kept, RUN, connections=True)

        assert (oid, rows) == (database.look().oid, database.contents().rows)
        assert (False, True) == (database.exists(name), database.exists(kept))
        with pytest.raises(DatabaseUnavailable):
            database.look_at(kept)
        assert (Phase.SWAPPED, kept) == _last(bench)

    def test_a_swap_that_can_not_be_changes_nothing(self, bench: DatabaseBench) -> None:
        """With a session on the live database nothing is renamed, nor journalled."""
        database, name = bench.database, scratch_name(bench.name, RUN)
        kept, before = kept_name(bench.name, RUN), database.look()
        database.clone(name, before.properties, before.size)
        with bench.session(), pytest.raises(RollbackFailed):
            database.swap(name, kept, RUN, connections=True)

        assert before.oid == database.look().oid
        assert (True, False) == (database.exists(name), database.exists(kept))
        assert Phase.SWAPPED not in {entry.phase for entry in bench.entries()}

    def test_a_swap_without_a_copy_changes_nothing(self, bench: DatabaseBench) -> None:
        """When the second name can't be given, the first is as it was."""
        database, name = bench.database, scratch_name(bench.name, RUN)
        kept, before = kept_name(bench.name, RUN), database.look()

        with pytest.raises(RollbackFailed):
            database.swap(name, kept, RUN, connections=True)

        assert (before.oid, False) == (database.look().oid, database.exists(kept))
        assert Phase.SWAPPED not in {entry.phase for entry in bench.entries()}

    def test_only_what_is_ours_is_dropped(self, bench: DatabaseBench) -> None:
        """A name without our mark is refused; what is not there any more is no concern."""
        database, name = bench.database, scratch_name(bench.name, RUN)
        look = database.look()
        database.clone(name, look.properties, look.size)

        database.drop(name)
        database.drop(name)

        assert not database.exists(name)
        for act, names in {
            database.drop: (bench.name, "postgres", kept_name(bench.name, RUN)),
            database.forget: (bench.name, "postgres", name),
        }.items():
            for refused in names:
                with pytest.raises(AssertionError):
                    act(refused)
        assert database.exists(bench.name)

    def test_a_write_takes_a_transaction_id(self, bench: DatabaseBench) -> None:
        """Whether somebody wrote can be told from the ids."""
        before = bench.database.next_transaction()
        bench.write()

        assert bench.database.next_transaction() > before


def _last(bench: DatabaseBench) -> tuple[Phase, object]:
    entry = bench.entries()[-1]
    return entry.phase, entry.detail.get("kept")


# --- engine


class EngineBench(Protocol):
    """A project with an app, whose one-off can be told what to do."""

    def engine(self, does: str) -> Engine:
        """Open the engine as another guard would; one-offs are to do this, see ``command``."""
        ...

    def command(self, does: str) -> Sequence[str]:
        """Give the command for it: ``exit 0``, ``exit 3``, or ``runs on`` for a minute."""
        ...

    def make(self, run: str) -> None:
        """Make the run's migration container, and do not start it."""
        ...


class Going:
    """Was never asked to stop."""

    def check(self) -> None:
        """Go on."""


class Stopped:
    """Was asked to stop."""

    def check(self) -> None:
        """Stop."""
        raise Interrupted.by(15)


class EngineContract:
    """A one-off runs once for each run; what became of it can be looked up by whoever comes."""

    @pytest.mark.parametrize(("does", "code"), [("exit 0", 0), ("exit 3", 3)])
    def test_the_exit_code_is_taken(self, bench: EngineBench, does: str, code: int) -> None:
        """It is, by the guard that started it and by one that comes later."""
        engine = bench.engine(does)
        _start(engine, bench, does)

        mine, theirs = follow(engine), follow(bench.engine(does))

        assert mine is not None
        assert theirs is not None
        assert (code, code, code == 0) == (mine.code, theirs.code, mine.good)

    def test_there_is_none(self, bench: EngineBench) -> None:
        """Where there is no container, or one that never ran, nothing is known."""
        engine = bench.engine("exit 0")
        gone = follow(engine)
        bench.make(RUN)

        assert (None, None) == (gone, follow(engine))

    def test_what_was_ended_does_not_start(self, bench: EngineBench) -> None:
        """Who made a container and lost the lock before its start can't start it any more."""
        slow = bench.engine("runs on")
        slow.make_migration(RUN, bench.command("runs on"))
        bench.engine("runs on").end_migration(RUN)

        slow.start_migration(RUN)

        ended = follow(slow)
        assert ended is not None
        assert not ended.good
        assert follow(bench.engine("runs on")) is None

    def test_what_no_journal_knows_is_ended(self, bench: EngineBench) -> None:
        """A run whose journal was lost leaves no container that would write later."""
        _start(bench.engine("runs on"), bench, "runs on")
        other = bench.engine("exit 0")

        assert () == other.end_strays([RUN])
        (name,) = other.end_strays([OTHER_RUN])

        assert RUN in name
        assert () == other.end_strays([])
        assert follow(bench.engine("exit 0")) is None

    def test_one_container_a_run(self, bench: EngineBench) -> None:
        """A second start of the same run starts nothing, and is not taken for a success."""
        _start(bench.engine("runs on"), bench, "runs on")
        second = bench.engine("exit 0")
        _start(second, bench, "exit 0")

        ended = follow(second)

        assert ended is not None
        assert not ended.good
        with pytest.raises(DeadlineExceeded):
            follow(bench.engine("runs on"), deadline=0)

    def test_the_deadline(self, bench: EngineBench) -> None:
        """What runs too long is said to; it is stopped only when that is asked for."""
        engine = bench.engine("runs on")
        _start(engine, bench, "runs on")
        with pytest.raises(DeadlineExceeded):
            follow(engine, deadline=0.5)

        addresses = engine.addresses(RUN)
        engine.end_migration(RUN)
        engine.end_migration(RUN)

        ended = follow(engine)
        assert ended is not None
        assert not ended.good
        assert addresses
        assert addresses == engine.addresses(RUN)

    def test_a_signal_while_it_runs(self, bench: EngineBench) -> None:
        """The guard is interrupted, the container is not."""
        engine = bench.engine("runs on")
        _start(engine, bench, "runs on")

        with pytest.raises(Interrupted):
            engine.follow_migration(RUN, 60, lambda _: None, Stopped())
        with pytest.raises(DeadlineExceeded):
            follow(engine, deadline=0)

    def test_removed_is_gone(self, bench: EngineBench) -> None:
        """A container is removed even while it runs; once is enough."""
        engine = bench.engine("runs on")
        _start(engine, bench, "runs on")

        engine.remove_migration(RUN)
        engine.remove_migration(RUN)

        assert follow(engine) is None

    def test_a_check_answers(self, bench: EngineBench) -> None:
        """A check's exit code is taken, as often as one asks."""
        for _ in range(2):
            ended = bench.engine("exit 3").run_check(RUN, bench.command("exit 3"), 30)

            assert not ended.good

    def test_what_is_gone_need_not_be_started(self, bench: EngineBench) -> None:
        """A service that was removed meanwhile is no complaint."""
        assert {} == bench.engine("exit 0").start(["no-such-container"])


def _start(engine: Engine, bench: EngineBench, does: str) -> None:
    engine.make_migration(RUN, bench.command(does))
    engine.start_migration(RUN)


def follow(engine: Engine, deadline: float = 60) -> Exit | None:
    """Wait for the container of the run to end."""
    return engine.follow_migration(RUN, deadline, lambda _: None, Going())
