"""Connections to PostgreSQL, and its errors in our words."""

import os
import re
import select
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

from sidecar import pgtools, properties
from sidecar.errors import DatabaseMissing, DatabaseUnavailable, PreflightFailed

Connection = psycopg.Connection[TupleRow]

PASSING = ("57P03", "57P01", "57P02", "08006", "08001", "53300", "")
"""SQLSTATEs of a server that starts, stops or is full; empty when there was no answer at all."""

SESSION = """
SET search_path = ''; SET row_security = off; SET statement_timeout = 0; SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0; SET DateStyle = ISO; SET client_encoding = 'UTF8';
SET TimeZone = 'UTC'; SET synchronous_commit = on; SET default_transaction_read_only = off;
SET IntervalStyle = postgres; SET bytea_output = hex; SET extra_float_digits = 1;
SET quote_all_identifiers = off;
SELECT set_config(name, '0', false) FROM pg_settings
 WHERE name IN ('idle_session_timeout', 'transaction_timeout')
"""
"""Read catalogs and rows as they are stored, whatever the role's own settings say."""

_COMING = ("starting up", "shutting down", "not yet accepting", "in recovery mode")
_FULL = ("too many clients", "too many connections", "remaining connection slots")
_MISSING = re.compile(r'FATAL:\s+database ".*" does not exist', re.DOTALL)

_ANSWERED = re.compile(r"failed: \S+:  ")
"""A server has refused us: its word for FATAL, in its own language."""

_TRACED = re.compile(rb'\tErrorResponse\t S "[^"]*"(?: V "[^"]*")? C "([0-9A-Z]{5})"')
TIMEOUT = 10
"""Seconds that a server may take to answer."""


def connect(conninfo: Mapping[str, Any], database: str) -> Connection:
    """
    Connect in autocommit mode.

    Raises:
        DatabaseMissing: the server has no such database.
        DatabaseUnavailable: it can't be reached or refuses us; ``passing`` says if waiting helps.
        PreflightFailed: what answers is a pooler.

    """
    keywords = {
        "application_name": "migsafe",
        "connect_timeout": TIMEOUT,
        **conninfo,
        **pgtools.KEEPALIVE,
        "dbname": database,
    }
    try:
        connection = psycopg.connect(**keywords, autocommit=True, prepare_threshold=None)
        _refuse_pooler(connection)
        connection.execute(SESSION)
    except psycopg.OperationalError as error:
        state = error.sqlstate or _refused_with(str(error), keywords)
        raise unavailable(error, database, state) from error
    return connection


def _refuse_pooler(connection: Connection) -> None:
    """
    Refuse a pooler before anything is said to it.

    One that shares its connections loses our lock, and would hand our settings to the app. Every
    one tells its client another process id than the server's.
    """
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    if row is not None and row[0] == connection.info.backend_pid:
        return
    connection.close()
    raise PreflightFailed(
        "the database is reached through a pooler, which can't hold a lock for us",
        hint="Nothing was changed. Set MIGSAFE_DATABASE_URL to the server itself: the app may go"
        " on using the pooler.",
    )


Refused = psycopg.Error
"""Whatever a server says to a statement that it does not like."""


def password_of(role: str, password: str) -> sql.Composed:
    """Write the statement that gives a role a password."""
    return sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password))


def execute(connection: Connection, statement: properties.Statement) -> None:
    """Run a statement of ours, its names and values quoted."""
    parts = (
        sql.Identifier(part) if isinstance(part, properties.Name) else sql.Literal(part)
        for part in statement.parts
    )
    # only our own constants are in the text: names and values are apart
    connection.execute(sql.SQL(statement.text).format(*parts))


def words(error: psycopg.Error) -> str:
    """Put what the server said on one line."""
    said = error.diag.message_primary or str(error)
    detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
    return " ".join(f"{said}{detail}".split())


def cut(connection: Connection) -> psycopg.OperationalError:
    """Lose a connection, and say so as libpq would: for failpoints."""
    connection.close()
    return psycopg.OperationalError("server closed the connection unexpectedly")


def _refused_with(text: str, keywords: Mapping[str, Any]) -> str:
    """Find the SQLSTATE of a refusal: libpq does not give it for errors while connecting."""
    state = _sqlstate_in(text)
    if state in ("", UNKNOWN) and _ANSWERED.search(text):
        return _asked_again(keywords) or state
    return state


UNKNOWN = "28000"
"""What a refusal counts as that is none of those which are known by their words."""


def _sqlstate_in(text: str) -> str:
    """Recognise a refusal by its words, where they are English."""
    if any(words in text for words in _COMING):
        return "57P03"
    if any(words in text for words in _FULL):
        return "53300"
    if "FATAL" not in text:
        return ""
    return "3D000" if _MISSING.search(text) else UNKNOWN


def _asked_again(keywords: Mapping[str, Any]) -> str:
    """
    Connect once more with libpq's own trace on: a server speaks the language of its lc_messages.

    The trace is kept in memory: it may hold secrets.
    """
    trace = os.memfd_create("trace", os.MFD_CLOEXEC)
    try:
        connection = pq.PGconn.connect_start(make_conninfo(**keywords).encode())
        connection.trace(trace)
        _poll(connection)
        connection.untrace()
        connection.finish()
        found = _TRACED.search(os.pread(trace, 1 << 20, 0))
    finally:
        os.close(trace)
    return found[1].decode() if found else ""


def _poll(connection: pq.abc.PGconn) -> None:
    """Bring an attempt to connect to its end, or leave it when nothing comes for too long."""
    status = pq.PollingStatus.WRITING
    while status in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
        waiting = select.poll()
        reading = status == pq.PollingStatus.READING
        waiting.register(connection.socket, select.POLLIN if reading else select.POLLOUT)
        if not waiting.poll(TIMEOUT * 1000):
            return
        status = pq.PollingStatus(connection.connect_poll())


def unavailable(
    error: psycopg.Error, database: str, state: str | None = None
) -> DatabaseUnavailable:
    """Translate an error of the connection; ``state`` where the error itself has none."""
    text = " ".join(str(error).split())
    state = state or error.sqlstate or _sqlstate_in(text)
    if state == "3D000":
        return DatabaseMissing(
            f"database {database!r} does not exist on the server",
            hint="Nothing was changed. Was a volume lost, or the name mistyped?",
        )
    found = DatabaseUnavailable(
        f"the database can't be used: {text}",
        hint="Nothing was changed. Check that the database runs, and the address, user and"
        " password in the app's environment or MIGSAFE_DATABASE_URL.",
    )
    found.passing = state in PASSING
    found.denied = state == "42501" or "permission denied for database" in text
    return found


@contextmanager
def translated(database: str) -> Iterator[None]:
    """Turn whatever the server or the connection refuses into our error."""
    try:
        yield
    except psycopg.Error as error:
        raise unavailable(error, database) from error


@contextmanager
def unless_lost(database: str) -> Iterator[None]:
    """Turn a lost connection into our error, and leave what a living server says as it is."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        if _lost(error):
            raise unavailable(error, database) from error
        raise


def _lost(error: psycopg.Error) -> bool:
    state = error.sqlstate or ""
    return not state or state.startswith("08") or state in ("57P01", "57P02", "57P03")
