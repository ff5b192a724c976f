"""
The journal and the lock, in a small control database ``migsafe`` on the app's own server.

The session that holds the lock is the one that swaps databases, and the swap is journalled in the
same transaction: a run that lost its lock can't swap, and the journal can't disagree with the
server (``pg_database`` is a shared catalog, so a rename of databases is a transaction like any).

The lock is polled and never waited for in the server: a session that waits for an advisory lock
makes ``CREATE INDEX CONCURRENTLY`` hang (it waits for every older snapshot).
"""

import hashlib
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import errors as pg

from sidecar.connections import Connection, connect, cut, translated
from sidecar.errors import AlreadyRunning, DatabaseMissing, DatabaseUnavailable, PreflightFailed
from sidecar.failpoints import failpoint
from sidecar.plan import Entry, Phase
from sidecar.ports import Clock

CONTROL = "migsafe"
"""Name of the control database."""

POLL = 0.25
"""Seconds between two tries for the lock."""

SECONDS_TO_COME_BACK = 5.0
"""How long a server that was lost may take until the lock is given up."""

_TABLES = """
CREATE SCHEMA IF NOT EXISTS migsafe;
CREATE TABLE IF NOT EXISTS migsafe.journal (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    database text NOT NULL,
    run text NOT NULL,
    phase text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS journal_database ON migsafe.journal (database, sequence);
COMMENT ON TABLE migsafe.journal IS 'what migsafe has done, append-only';
"""

_WANTED = """
SELECT EXISTS (SELECT FROM pg_locks
  WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32 | objid::bigint) = %s)
"""

_HOLDER = """
SELECT a.application_name, a.backend_start, coalesce(host(a.client_addr), 'the local socket')
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = %s
"""


class ControlDatabase:
    """The session on the control database: the journal of one app database, and its lock."""

    def __init__(
        self, connection: Connection, conninfo: Mapping[str, Any], database: str, clock: Clock
    ) -> None:
        self.connection = connection
        self.conninfo = conninfo
        self.database = database
        self.clock = clock

    @contextmanager
    def hold(self, run: str, wait: float) -> Iterator[None]:
        """Hold the lock on the database's name, in this session."""
        self._name_session(run)
        self._acquire(self.clock.monotonic() + wait)
        try:
            failpoint("lock.taken")
            yield
            failpoint("lock.releasing")
        finally:
            # a lost session has lost the lock already
            with suppress(psycopg.Error):
                self.connection.execute("SELECT pg_advisory_unlock(%s)", (self._lock_key,))

    def entries(self) -> Sequence[Entry]:
        """Everything about this database, oldest first."""
        with translated(CONTROL):
            rows = self.connection.execute(
                "SELECT run, phase, at, detail FROM migsafe.journal WHERE database = %s"
                " ORDER BY sequence",
                (self.database,),
            ).fetchall()
        return [Entry(run, Phase(phase), at, detail) for run, phase, at, detail in rows]

    def append(self, run: str, phase: Phase, **detail: Any) -> None:
        """Write an entry; on return the server has it on disk."""
        with translated(CONTROL):
            failpoint(f"journal.before.{phase}", lambda: cut(self.connection))
            self.connection.execute(
                "INSERT INTO migsafe.journal (database, run, phase, detail)"
                " VALUES (%s, %s, %s, %s)",
                (self.database, run, phase.value, json.dumps(detail)),
            )
            failpoint(f"journal.after.{phase}", lambda: cut(self.connection))

    def regain(self, run: str) -> bool:
        """Take the lock again in a new session, unless somebody else may have taken it over."""
        until = self.clock.monotonic() + SECONDS_TO_COME_BACK
        with suppress(psycopg.Error):
            self.connection.close()
        while not self._regained(run):
            if self.clock.monotonic() >= until:
                return False
            self.clock.sleep(POLL)
        with suppress(DatabaseUnavailable):
            return self.entries()[-1].run == run
        return False

    def holder(self) -> str | None:
        """Tell who holds the lock, since when and from where."""
        with translated(CONTROL):
            row = self.connection.execute(_HOLDER, (self._lock_key,)).fetchone()
        if row is None:
            return None
        name, since, address = row
        return f"{name} ({address}), since {since:%Y-%m-%d %H:%M:%S} UTC"

    def wanted(self) -> bool:
        """Tell whether somebody waits for the lock: a scheduled backup gives way."""
        with translated(CONTROL):
            row = self.connection.execute(_WANTED, (self._want_key,)).fetchone()
        return bool(row and row[0])

    def close(self) -> None:
        """Close the session, and so give up the lock."""
        self.connection.close()

    @property
    def _lock_key(self) -> int:
        """Hash the name to the signed 64 bits of an advisory lock."""
        return self._key(0)

    @property
    def _want_key(self) -> int:
        """Name the lock that whoever waits for the other one shares: nobody waits for this one."""
        return self._key(8)

    def _key(self, start: int) -> int:
        digest = hashlib.sha256(self.database.encode()).digest()
        return int.from_bytes(digest[start : start + 8], signed=True)

    def _regained(self, run: str) -> bool:
        with suppress(DatabaseUnavailable):
            if self.connection.closed:
                self.connection = connect(self.conninfo, CONTROL)
                self._name_session(run)
            # the server may not have noticed yet that the old session is gone
            return self._try()
        return False

    def _name_session(self, run: str) -> None:
        name = f"migsafe {run} on {socket.gethostname()}"
        with translated(CONTROL):
            self.connection.execute("SELECT set_config('application_name', %s, false)", (name,))

    def _acquire(self, until: float) -> None:
        if self._try():
            return
        with self._wanting():
            while self.clock.monotonic() < until:
                self.clock.sleep(POLL)
                if self._try():
                    return
        raise AlreadyRunning(
            f"another run holds the lock on database {self.database!r}:"
            f" {self.holder() or 'it has just ended'}",
            hint="Nothing was changed. Wait for it to end, then try again.",
        )

    @contextmanager
    def _wanting(self) -> Iterator[None]:
        """Let it be seen that somebody waits."""
        key = (self._want_key,)
        with translated(CONTROL):
            self.connection.execute("SELECT pg_try_advisory_lock_shared(%s)", key)
        try:
            yield
        finally:
            # a lost session wants nothing any more
            with suppress(psycopg.Error):
                self.connection.execute("SELECT pg_advisory_unlock_shared(%s)", key)

    def _try(self) -> bool:
        with translated(CONTROL):
            row = self.connection.execute(
                "SELECT pg_try_advisory_lock(%s)", (self._lock_key,)
            ).fetchone()
        return bool(row and row[0])


def open_control(conninfo: Mapping[str, Any], database: str, clock: Clock) -> ControlDatabase:
    """
    Connect to the control database, made on first use.

    Args:
        conninfo: of a role that may create databases.
        database: the app's.
        clock: tells the time.

    Raises:
        DatabaseUnavailable: the server can't be reached or refuses us.
        PreflightFailed: the role may not create the control database, or there is a pooler.

    """
    try:
        connection = connect(conninfo, CONTROL)
    except DatabaseMissing:
        _create(conninfo, database)
        connection = connect(conninfo, CONTROL)
    except DatabaseUnavailable as error:
        if not error.denied:
            _refuse_pooler(conninfo, database)
            raise
        # another role made it, of another app or the server's superuser
        raise _no_journal("the role may not enter the database migsafe") from error
    _prepare(connection)
    return ControlDatabase(connection, conninfo, database, clock)


def find_control(
    conninfo: Mapping[str, Any], database: str, clock: Clock
) -> ControlDatabase | None:
    """Connect to the control database where there is one, changing nothing."""
    try:
        connection = connect(conninfo, CONTROL)
    except DatabaseMissing:
        return None
    if not _prepared(connection):
        connection.close()
        return None
    return ControlDatabase(connection, conninfo, database, clock)


def _create(conninfo: Mapping[str, Any], database: str) -> None:
    with translated(CONTROL), _maintenance(conninfo, database) as connection:
        try:
            # another guard may be creating it at the same time
            with suppress(pg.DuplicateDatabase, pg.UniqueViolation):
                connection.execute(
                    "CREATE DATABASE migsafe TEMPLATE template0 ENCODING 'UTF8'"
                    " LC_COLLATE 'C' LC_CTYPE 'C'"
                )
                failpoint("control.created", lambda: cut(connection))
                connection.execute("REVOKE ALL ON DATABASE migsafe FROM PUBLIC")
                connection.execute(
                    "COMMENT ON DATABASE migsafe IS 'journal of migsafe; do not drop'"
                )
                failpoint("control.closed", lambda: cut(connection))
        except (pg.InsufficientPrivilege, pg.ReadOnlySqlTransaction) as error:
            raise _no_journal(str(error.diag.message_primary)) from error


def _refuse_pooler(conninfo: Mapping[str, Any], database: str) -> None:
    """Refuse a pooler that knows the app's database, and not the one that we would make."""
    with suppress(DatabaseUnavailable):
        connect(conninfo, database).close()


def _no_journal(why: str) -> PreflightFailed:
    return PreflightFailed(
        f"the journal can't be kept: {why}",
        hint="Nothing was changed. Let the role create databases (ALTER ROLE … CREATEDB), or set"
        " MIGSAFE_ADMIN_URL to a role that may.",
    )


def _maintenance(conninfo: Mapping[str, Any], database: str) -> Connection:
    """Connect to any database that is there: ``postgres`` is only a habit."""
    for name in ("postgres", "template1"):
        with suppress(DatabaseUnavailable):
            return connect(conninfo, name)
    return connect(conninfo, database)


def _prepared(connection: Connection) -> bool:
    with translated(CONTROL):
        row = connection.execute("SELECT to_regclass('migsafe.journal')").fetchone()
    return bool(row and row[0])


def _prepare(connection: Connection) -> None:
    if _prepared(connection):
        return
    with translated(CONTROL), connection.transaction():
        # two guards that start at once must not both create it
        connection.execute("SELECT pg_advisory_xact_lock(7113)")
        connection.execute(_TABLES)
    failpoint("control.prepared")
