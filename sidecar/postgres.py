"""
The app's database on its server: looked at, dumped, cloned, loaded, closed, swapped.

Acts on databases go through the session that holds the lock (``journal.ControlDatabase``), so that
a run that has lost the lock can do none of them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg import errors as pg
from psycopg import sql

from sidecar import pgtools, plan, properties, queries, reading
from sidecar.backups import Format
from sidecar.clients import Chosen
from sidecar.connections import (
    Connection,
    connect,
    cut,
    execute,
    translated,
    unless_lost,
    words,
)
from sidecar.errors import (
    UNCHANGED,
    BackupFailed,
    DatabaseUnavailable,
    PreflightFailed,
    RollbackFailed,
)
from sidecar.facts import KEPT, Contents, LeftOut, Look, Properties, Server, Session
from sidecar.failpoints import failpoint
from sidecar.journal import ControlDatabase
from sidecar.plan import Phase
from sidecar.ports import CannotClone, Clock, ProgramFailed, Stop
from sidecar.preflight import SMALL
from sidecar.screen import Extension

SECONDS_TO_GO = 10.0
"""How long a terminated session may take to be gone."""

SECONDS_TO_CLEAR = 1.0
"""How long a session that we have closed may still be listed."""

STRATEGY_FROM = 150000
"""First server that knows CREATE DATABASE … STRATEGY."""

_OURS = re.compile(r"__migsafe_(point|load)_\d{8}_\d{6}_[0-9a-f]+$")


class PostgresDatabase:
    """One app database, seen by a role that may create and rename databases."""

    def __init__(
        self,
        control: ControlDatabase,
        conninfo: Mapping[str, Any],
        tools: Chosen,
        clock: Clock,
        preset: str | None = None,
    ) -> None:
        self.control = control
        self.name = control.database
        self.conninfo = conninfo
        self.tools = tools
        self.clock = clock
        self.preset = preset

    # --- look

    def server(self) -> Server:
        """Read what the server says of itself."""
        return Server(*self._ask(queries.SERVER))

    def look(self, *, catalog: bool = False) -> Look:
        """Read the state of the live database."""
        found = self._look(self.name, catalog=catalog)
        return replace(found, origin=plan.origin(plan.fold(self.control.entries())))

    def look_at(self, name: str) -> Look:
        """Read the state of a scratch database, with the catalog's fingerprint."""
        return self._look(name, catalog=True)

    def contents(self) -> Contents:
        """Count the rows of every table as they are now."""
        return self.contents_of(self.name)

    def contents_of(self, name: str) -> Contents:
        """Count what is in a database."""
        with self._session(name) as session:
            return reading.contents(session)

    def assertion(self, statement: str) -> str | None:
        """Complain unless the statement's first value is true; it may not write."""
        with self._session(self.name) as session:
            session.execute("SET default_transaction_read_only = on; RESET search_path")
            try:
                row = session.execute(statement.encode()).fetchone()
            except psycopg.Error as error:
                return f"can't be asked ({' '.join(str(error).split())})"
        return None if row and row[0] is True else "is not true"

    def now(self) -> datetime:
        """Tell the time by the server's clock."""
        found: datetime = self._ask("SELECT clock_timestamp()")[0]
        return found

    def next_transaction(self) -> int:
        """Return one more than the highest transaction id that has ended, in the whole cluster."""
        row = self._ask("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        return int(row[0])

    def exists(self, name: str) -> bool:
        """Whether the server has a database of that name."""
        return bool(self._ask("SELECT count(*) FROM pg_database WHERE datname = %s", name)[0])

    # --- sessions

    def sessions(self) -> tuple[Session, ...]:
        """
        List other sessions on the live database.

        The server clears a closed session away in its own time: ours are waited for, lest they
        count as strangers. Whatever is still there then is somebody's.
        """
        until = self.clock.monotonic() + SECONDS_TO_CLEAR
        while True:
            with translated(self.name):
                rows = self.control.connection.execute(queries.SESSIONS, (self.name,)).fetchall()
            if not any(ours for *_, ours in rows) or self.clock.monotonic() > until:
                return tuple(Session(*row) for *row, _ in rows)
            self.clock.sleep(0.02)

    def end_sessions(self, pids: Iterable[int]) -> tuple[Session, ...]:
        """Terminate sessions and wait for them to be gone."""
        wanted = frozenset(pids)
        return self._end(lambda session: session.pid in wanted)

    def close(self) -> tuple[Session, ...]:
        """
        Keep everybody out of the live database, superusers too, and end who is in it.

        Each termination is a statement of its own: one that fails must not undo the others.
        """
        if not self.exists(self.name):
            return ()
        with _or_rollback_failed():
            self._act("ALTER DATABASE {} ALLOW_CONNECTIONS false", self.name)
        self._failpoint("database.closed")
        return self._end(lambda _: True)

    def open(self, name: str) -> None:
        """Allow connections."""
        with _or_rollback_failed():
            self._act("ALTER DATABASE {} ALLOW_CONNECTIONS true", name)
        self._failpoint("scratch.opened")

    # --- copies

    def complaints(self) -> tuple[str, ...]:
        """Tell what would keep the database from being dumped and loaded."""
        try:
            self.tools.ready()
        except PreflightFailed as error:
            return (error.message,)
        return ()

    @contextmanager
    def dump(self, written: Format) -> Iterator[tuple[Iterator[bytes], Callable[[], Contents]]]:
        """Dump and count in one snapshot, at the same time."""
        with self._session(self.name) as session, ThreadPoolExecutor(1) as pool:
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            snapshot = reading.one(session, "SELECT pg_export_snapshot()")[0]
            # else the count would still wait for a table that pg_dump has given up on
            reading.one(session, "SELECT set_config('lock_timeout', %s, true)", pgtools.LOCK_WAIT)
            counting = pool.submit(reading.contents, session)
            with self.tools.read(pgtools.dump(written, snapshot), self.name) as chunks:
                yield _or_backup_failed(chunks, counting), lambda: _counted(counting)

    def clone(self, name: str, wanted: Properties, size: int) -> int:
        """Copy the live database on the server, closed, with all its properties."""
        strategy = ""
        if self.control.connection.info.server_version >= STRATEGY_FROM:
            strategy = "WAL_LOG" if size < SMALL else "FILE_COPY"
        try:
            with unless_lost(self.name):
                self._run(properties.clone(name, self.name, wanted.owner, strategy))
                self._failpoint("clone.made")
        except psycopg.Error as error:
            raise CannotClone(words(error)) from error
        try:
            with unless_lost(self.name):
                self._give(name, wanted)
                self._failpoint("clone.given")
        except (psycopg.Error, CannotClone) as error:
            why = words(error) if isinstance(error, psycopg.Error) else str(error)
            # a loaded backup would fail at the same: there would be no way back at all
            raise PreflightFailed(
                f"a copy of the database can't be given its properties: {why}",
                hint="Nothing was changed. Set MIGSAFE_ADMIN_URL to a superuser.",
            ) from error
        return self._oid(name)

    def load(self, name: str, chunks: Iterator[bytes], written: Format, wanted: Properties) -> int:
        """Load a backup into a new database made from template0."""
        with _or_rollback_failed(), unless_lost(self.name):
            major = self.control.connection.info.server_version // 10000
            self._run(properties.create(name, wanted, major))
            self._failpoint("load.made")
            self.tools.feed(pgtools.load(written, name), name, chunks)
            self._failpoint("load.fed")
            with self._session(name) as session:
                _own_public(session, wanted.public_owner)
                session.execute("ANALYZE")
            self._give(name, wanted)
            self._failpoint("load.given")
        return self._oid(name)

    def load_foreign(
        self,
        name: str,
        chunks: Iterator[bytes],
        wanted: Properties,
        stop: Stop,
    ) -> LeftOut:
        """Load a dump that others have made into a new database; all of it is its owner's."""
        from sidecar import foreign  # noqa: PLC0415 - `guard` needs it not

        with _or_rollback_failed(), unless_lost(self.name):
            control, live = self.control.connection, self._extensions()
            left = foreign.load(control, self.conninfo, name, chunks, wanted, live, stop)
            self._failpoint("load.fed")
            self._give(name, wanted)
            self._failpoint("load.given")
        return left

    def untouched(self, name: str, oid: int) -> str | None:
        """Tell why a sealed copy can't be trusted."""
        with translated(self.name):
            row = self.control.connection.execute(
                # sessions are counted from 14: before, a refused one can't be told from another
                "SELECT d.oid::bigint, d.datallowconn, coalesce("
                "(to_jsonb(s)->>'sessions')::bigint, s.xact_commit + s.xact_rollback, 0)"
                " FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid"
                " WHERE d.datname = %s",
                (name,),
            ).fetchone()
        match row:
            case None:
                return f"the restore point {name} is gone"
            case (found, _, _) if found != oid:
                return f"the restore point {name} is not the one that was made"
            case (_, allowed, sessions) if allowed or sessions:
                return f"the restore point {name} was opened"
        return None

    def swap(self, scratch: str, kept: str, run: str, connections: bool) -> None:
        """Put the scratch database in the live one's place; all of it, or nothing."""
        live = self.exists(self.name)
        whole = self.control.connection.transaction()
        with _or_rollback_failed(), unless_lost(self.name), whole:
            if live:
                self._act("ALTER DATABASE {} RENAME TO {}", self.name, kept)
                self._failpoint("swap.kept")
            self._act("ALTER DATABASE {} RENAME TO {}", scratch, self.name)
            self._failpoint("swap.renamed")
            self._act(
                f"ALTER DATABASE {{}} ALLOW_CONNECTIONS {str(connections).lower()}", self.name
            )
            # a migration may have dropped the database: then there is nothing to keep
            found = {"kept": kept} if live else {}
            self.control.append(run, Phase.SWAPPED, swapped_in=scratch, **found)
        self._failpoint("swap.committed")

    def drop(self, name: str) -> None:
        """Drop a scratch database of ours."""
        if not _OURS.search(name):
            raise AssertionError(f"refusing to drop {name!r}: it does not carry migsafe's mark")
        self._drop(name)

    def forget(self, name: str) -> None:
        """Drop a database that was set aside."""
        if not KEPT.search(name):
            raise AssertionError(f"refusing to drop {name!r}: it was not set aside by migsafe")
        self._drop(name)

    # --- helpers

    def _drop(self, name: str) -> None:
        with translated(self.name):
            if self.exists(name):  # a template can't be dropped, and a copy of one is one
                self._act("ALTER DATABASE {} IS_TEMPLATE false", name)
                self._failpoint("drop.unmarked")
                self._act("DROP DATABASE {} WITH (FORCE)", name)
                self._failpoint("drop.done")

    def _look(self, name: str, *, catalog: bool) -> Look:
        with self._session(name) as session:
            found = reading.look(session, name, self.preset, catalog=catalog)
        subscriptions = tuple(self._ask(queries.SUBSCRIPTIONS, name)[0])
        return replace(found, subscriptions=subscriptions, databases=_not_ours(found.databases))

    def _end(self, which: Callable[[Session], bool]) -> tuple[Session, ...]:
        until = self.clock.monotonic() + SECONDS_TO_GO
        while left := tuple(filter(which, self.sessions())):
            if self.clock.monotonic() > until:
                return left
            for session in left:
                self._terminate(session.pid)
            self._failpoint("sessions.terminated")
            self.clock.sleep(0.02)
        return ()

    def _terminate(self, pid: int) -> None:
        # who may not be ended is among those that are left in the end
        with suppress(pg.InsufficientPrivilege):
            self._ask("SELECT pg_terminate_backend(%s)", pid)

    def _give(self, name: str, wanted: Properties) -> None:
        """Give a copy the properties of the original, and hold it to them."""
        with self.control.connection.transaction():
            for statement in properties.apply(name, wanted):
                self._run(statement)
        found = reading.properties(self.control.connection, name)
        differences = set(wanted.differences(found)) - {"allow_connections", "public_owner"}
        if differences:
            raise CannotClone(f"the copy differs in {', '.join(sorted(differences))}")

    def _failpoint(self, point: str) -> None:
        with unless_lost(self.name):
            failpoint(point, lambda: cut(self.control.connection))

    def _extensions(self) -> tuple[Extension, ...]:
        """Read which extensions the live database has; none where it can't be entered."""
        try:
            with self._session(self.name) as session:
                return tuple(Extension(*row) for row in session.execute(queries.EXTENSIONS))
        except DatabaseUnavailable:
            return ()

    def _oid(self, name: str) -> int:
        return int(self._ask("SELECT oid::bigint FROM pg_database WHERE datname = %s", name)[0])

    def _act(self, text: str, *names: str) -> None:
        with unless_lost(self.name):
            self._run(properties.Statement(text, tuple(map(properties.Name, names))))

    def _run(self, statement: properties.Statement) -> None:
        execute(self.control.connection, statement)

    def _ask(self, query: LiteralString, *values: object) -> tuple[Any, ...]:
        with unless_lost(self.name):
            return reading.one(self.control.connection, query, *values)

    @contextmanager
    def _session(self, name: str) -> Iterator[Connection]:
        """Connect for a short time: a session on a database keeps it from being renamed."""
        session = connect(self.conninfo, name)
        try:
            with translated(name):
                yield session
        finally:
            session.close()


def _own_public(session: Connection, owner: str | None) -> None:
    """Do to the schema ``public`` what a dump leaves out."""
    found = reading.properties(session, session.info.dbname).public_owner
    if owner is None or owner == found:
        return
    if not owner:
        session.execute("DROP SCHEMA public")
    elif found:
        session.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(owner)))


def _not_ours(databases: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in databases if not _OURS.search(name))


def _or_backup_failed(chunks: Iterator[bytes], counting: Future[Contents]) -> Iterator[bytes]:
    try:
        yield from chunks
    except ProgramFailed as error:
        if counting.done():  # a count that failed took the snapshot with it: it is the cause
            _counted(counting)
        raise BackupFailed(f"the backup failed: {error}", hint=UNCHANGED) from error


def _counted(counting: Future[Contents]) -> Contents:
    try:
        return counting.result()
    except psycopg.Error as error:
        raise BackupFailed(f"the backup failed: {words(error)}", hint=UNCHANGED) from error


@contextmanager
def _or_rollback_failed() -> Iterator[None]:
    """Turn what a living server or a program refuses while putting back into our error."""
    try:
        yield
    except (ProgramFailed, CannotClone) as error:
        raise RollbackFailed(str(error)) from error
    except psycopg.Error as error:
        raise RollbackFailed(words(error)) from error
