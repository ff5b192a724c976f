"""The app's database and its server, as values."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from sidecar import plan
from sidecar.backups import Format
from sidecar.errors import (
    BackupFailed,
    DatabaseMissing,
    DatabaseUnavailable,
    PreflightFailed,
    RollbackFailed,
)
from sidecar.facts import Contents, LeftOut, Look, Properties, Server, Session
from sidecar.plan import Phase
from sidecar.ports import CannotClone, Stop
from tests.fakes_data import EMPTY, Data
from tests.fakes_machine import LIVE, MADE, Backend, FakeDatabaseRow, Machine
from tests.fakes_power import Power

if TYPE_CHECKING:
    from tests.fakes import FakeJournal

CHUNK = 64
"""Bytes of a dump that come at once: small, so that there are several."""


class FakeDatabase:
    """One app database."""

    name = LIVE

    def __init__(self, machine: Machine, power: Power, journal: "FakeJournal") -> None:
        self.machine = machine
        self.power = power
        self.journal = journal
        self.refuses: str | None = None
        """Why the server would not clone, today."""

    # --- look

    def server(self) -> Server:
        """Tell what the server says of itself."""
        self.power.call("database: server")
        return self.machine.server

    def look(self, *, catalog: bool = False) -> Look:
        """Read the state of the live database."""
        self.power.call("database: look")
        self._enter(self.name)
        found = self.machine.look(self.name, catalog=catalog)
        return replace(found, origin=plan.origin(plan.fold(self.journal.read())))

    def look_at(self, name: str) -> Look:
        """Read the state of a scratch database."""
        self.power.call("database: look at")
        self._enter(name)
        return self.machine.look(name, catalog=True)

    def contents(self) -> Contents:
        """Count the rows."""
        return self.contents_of(self.name)

    def contents_of(self, name: str) -> Contents:
        """Count what is in a database."""
        self.power.call("database: count")
        return self._enter(name).data.contents

    def assertion(self, statement: str) -> str | None:
        """Complain unless the statement is the word ``true``, or a table's name that exists."""
        self.power.call("database: assert")
        row = self._enter(self.name)
        return None if statement == "true" or statement in row.data.tables else "is not true"

    def now(self) -> datetime:
        """Tell the machine's time."""
        self.power.call("database: now")
        return self.machine.now

    def next_transaction(self) -> int:
        """Return the next transaction's id."""
        self.power.call("database: next transaction")
        return self.machine.next_transaction

    def exists(self, name: str) -> bool:
        """Whether there is such a database."""
        self.power.call("database: exists")
        return name in self.machine.databases

    def complaints(self) -> tuple[str, ...]:
        """Have none."""
        self.power.call("database: complaints")
        return ()

    # --- sessions

    def sessions(self) -> tuple[Session, ...]:
        """List the sessions on the live database."""
        self.power.call("database: sessions")
        row = self.machine.databases.get(self.name)
        return tuple(map(_session, self.machine.sessions_on(row.oid))) if row else ()

    def end_sessions(self, pids: Iterable[int]) -> tuple[Session, ...]:
        """End sessions, unless they are stubborn."""
        self.power.call("database: end sessions")
        wanted = {pid for pid in pids if pid in self.machine.backends}
        if not wanted:
            return ()
        with self.power.effect("database: end sessions"):
            return self._end(wanted)

    def close(self) -> tuple[Session, ...]:
        """Keep everybody out."""
        self.power.call("database: close")
        row = self.machine.databases.get(self.name)
        if row is None:
            return ()
        with self.power.effect("database: closed"):
            row.properties = replace(row.properties, allow_connections=False)
        with self.power.effect("database: emptied"):
            return self._end({backend.pid for backend in self.machine.sessions_on(row.oid)})

    def open(self, name: str) -> None:
        """Let everybody in."""
        self.power.call("database: open")
        with self.power.effect("database: opened"):
            row = self._row(name)
            row.properties = replace(row.properties, allow_connections=True)

    # --- copies

    @contextmanager
    def dump(self, written: Format) -> Iterator[tuple[Iterator[bytes], Callable[[], Contents]]]:
        """Dump what is there now."""
        del written  # the fake's dump is a line of text in either
        self.power.call("database: dump")
        data = self._enter(self.name).data
        yield self._chunks(data.dump()), lambda: data.contents

    def clone(self, name: str, properties: Properties, size: int) -> int:
        """Copy the live database, closed."""
        del size  # only the real server has several ways
        self.power.call("database: clone")
        live = self._row(self.name)
        if self.refuses is not None:
            raise CannotClone(self.refuses)
        if name in self.machine.databases:
            raise CannotClone(f"database {name!r} already exists")
        if any(self.machine.sessions_on(live.oid)):
            raise CannotClone(f"source database {self.name!r} is being accessed by other users")
        with self.power.effect("database: cloned"):
            row = self.machine.create(name, live.data, replace(MADE, allow_connections=False))
        with self.power.effect("database: properties given"):
            row.properties = replace(properties, allow_connections=False)
        return row.oid

    def load(
        self, name: str, chunks: Iterator[bytes], written: Format, properties: Properties
    ) -> int:
        """Load a backup into a new database."""
        assert written in Format, written  # its name says how the vault has unpacked it
        self.power.call("database: load")
        if name in self.machine.databases:
            raise RollbackFailed(f"database {name!r} already exists")
        with self.power.effect("database: scratch created"):
            row = self.machine.create(name, EMPTY, MADE)
        dump = b"".join(chunks)
        with self.power.effect("database: scratch loaded"):
            row.data = Data.load(dump)
        with self.power.effect("database: properties given"):
            row.properties = replace(properties, allow_connections=True)
        return row.oid

    def load_foreign(
        self, name: str, chunks: Iterator[bytes], wanted: Properties, stop: Stop
    ) -> LeftOut:
        """Load a dump of others: as the fake dumps, or nothing that the server takes."""
        self.power.call("database: load foreign")
        with self.power.effect("database: scratch created"):
            row = self.machine.create(name, EMPTY, MADE)
        dump = b"".join(chunks)
        stop.check()
        try:
            data = Data.load(dump)
        except ValueError as error:
            raise PreflightFailed(f"line 1 can't be loaded: {error}") from error
        with self.power.effect("database: scratch loaded"):
            row.data = data
        with self.power.effect("database: properties given"):
            row.properties = replace(wanted, allow_connections=True)
        return LeftOut(("reader",))

    def untouched(self, name: str, oid: int) -> str | None:
        """Tell why a copy can't be trusted."""
        self.power.call("database: untouched")
        row = self.machine.databases.get(name)
        if row is None:
            return f"the restore point {name} is gone"
        if row.oid != oid:
            return f"the restore point {name} is not the one that was made"
        if row.properties.allow_connections or row.transactions:
            return f"the restore point {name} was opened"
        return None

    def swap(self, scratch: str, kept: str, run: str, connections: bool) -> None:
        """Put the scratch database in the live one's place, and journal it, in one act."""
        self.power.call("database: swap")
        databases = self.machine.databases
        if kept in databases:
            raise RollbackFailed(f"database {kept!r} already exists")
        for name in (self.name, scratch):
            if name in databases and any(self.machine.sessions_on(databases[name].oid)):
                raise RollbackFailed(f"database {name!r} is being accessed by other users")
        if scratch not in databases:
            raise RollbackFailed(f"database {scratch!r} does not exist")
        with self.power.effect("database: swapped"):
            found = {"kept": kept} if self.name in databases else {}
            if self.name in databases:
                databases[kept] = databases.pop(self.name)
            row = databases[self.name] = databases.pop(scratch)
            row.properties = replace(row.properties, allow_connections=connections)
            self.journal.write(run, Phase.SWAPPED, swapped_in=scratch, **found)

    def drop(self, name: str) -> None:
        """Drop a scratch database of ours."""
        self.power.call("database: drop")
        if "__migsafe_" not in name:
            raise AssertionError(f"refusing to drop {name!r}: it does not carry migsafe's mark")
        with self.power.effect("database: dropped"):
            if name in self.machine.databases:
                self.machine.drop(name)

    def forget(self, name: str) -> None:
        """Drop a database that was set aside."""
        self.power.call("database: forget")
        if "__kept_" not in name:
            raise AssertionError(f"refusing to drop {name!r}: it was not set aside by migsafe")
        with self.power.effect("database: forgotten"):
            if name in self.machine.databases:
                self.machine.forgotten |= self.machine.databases.pop(name).data.events

    # --- helpers

    def _row(self, name: str) -> FakeDatabaseRow:
        row = self.machine.databases.get(name)
        if row is None:
            raise DatabaseMissing(f"database {name!r} does not exist on the server")
        return row

    def _enter(self, name: str) -> FakeDatabaseRow:
        """Connect for a moment."""
        row = self._row(name)
        if not row.properties.allow_connections:
            raise DatabaseUnavailable(f"database {name!r} is not currently accepting connections")
        row.transactions += 1
        return row

    def _end(self, pids: set[int]) -> tuple[Session, ...]:
        backends = [self.machine.backends[pid] for pid in sorted(pids)]
        for backend in backends:
            if not backend.stubborn:
                self.machine.end(backend)
        return tuple(_session(backend) for backend in backends if backend.stubborn)

    def _chunks(self, dump: bytes) -> Iterator[bytes]:
        for start in range(0, len(dump), CHUNK):
            try:
                self.power.call("database: read the dump")
            except DatabaseUnavailable as error:
                raise BackupFailed(f"the backup failed: {error}") from error
            yield dump[start : start + CHUNK]


def _session(backend: Backend) -> Session:
    return Session(backend.pid, backend.user, backend.application, backend.address, "active")
