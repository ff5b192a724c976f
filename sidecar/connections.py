"""Connections to PostgreSQL, and its errors in our words."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from sidecar.errors import DatabaseMissing, DatabaseUnavailable

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

KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


def connect(conninfo: Mapping[str, Any], database: str) -> Connection:
    """
    Connect in autocommit mode.

    Raises:
        DatabaseMissing: the server has no such database.
        DatabaseUnavailable: it can't be reached or refuses us; ``passing`` says if waiting helps.

    """
    keywords = {
        "application_name": "migsafe",
        "connect_timeout": 10,
        **conninfo,
        **KEEPALIVE,
        "dbname": database,
    }
    try:
        connection = psycopg.connect(**keywords, autocommit=True, prepare_threshold=None)
        connection.execute(SESSION)
    except psycopg.OperationalError as error:
        raise unavailable(error, database) from error
    return connection


def cut(connection: Connection) -> psycopg.OperationalError:
    """Lose a connection, and say so as libpq would: for failpoints."""
    connection.close()
    return psycopg.OperationalError("server closed the connection unexpectedly")


def _passing(error: psycopg.Error) -> bool:
    return (error.sqlstate or _sqlstate_in(str(error))) in PASSING


def _sqlstate_in(text: str) -> str:
    """Recognise a refusal: libpq gives no SQLSTATE for errors while connecting."""
    if any(words in text for words in _COMING):
        return "57P03"
    if any(words in text for words in _FULL):
        return "53300"
    if "FATAL" not in text:
        return ""
    return "3D000" if _MISSING.search(text) else "28000"


def unavailable(error: psycopg.Error, database: str) -> DatabaseUnavailable:
    """Translate an error of the connection."""
    text = " ".join(str(error).split())
    if (error.sqlstate or _sqlstate_in(text)) == "3D000":
        return DatabaseMissing(
            f"database {database!r} does not exist on the server",
            hint="Nothing was changed. Was a volume lost, or the name mistyped?",
        )
    found = DatabaseUnavailable(
        f"the database can't be used: {text}",
        hint="Nothing was changed. Check that the database runs, and the address, user and"
        " password in the app's environment or MIGSAFE_DATABASE_URL.",
    )
    found.passing = _passing(error)
    found.denied = "permission denied for database" in text
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
