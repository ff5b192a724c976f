"""
The client tools' arguments and environment. Pure.

Names and passwords go by the environment only: an argument can be read by everybody on the machine,
and a database called ``dbname=x`` would be taken for a connection string (libpq expands ``-d``).
"""

from collections.abc import Mapping

from sidecar.backups import Format

KEEPALIVE = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
"""
A server that vanished without a word is given up after a minute: its container was removed, its
host is off. Without this Linux waits for two hours where we listen, and for 15 minutes where we
have just spoken (tcp(7); https://www.postgresql.org/docs/17/libpq-connect.html).
"""

LOCK_WAIT = "60s"
"""How long pg_dump waits for its table locks before it gives up."""

END_OF_DUMP = b"-- PostgreSQL database dump complete"
"""pg_dump's last comment in plain SQL; newer ones write ``\\unrestrict`` after it."""


def dump(written: Format, snapshot: str) -> tuple[str, ...]:
    """Dump the whole database as it was in an exported snapshot, to the standard output."""
    shape = ("--format=plain",) if written is Format.SQL else ("--format=custom", "--compress=0")
    return (
        "pg_dump",
        *shape,
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={LOCK_WAIT}",
        "--no-password",
        f"--dbname={_conninfo()}",
    )


def load(written: Format, database: str) -> tuple[str, ...]:
    """Load a dump from the standard input into an empty database: all of it, or an error."""
    if written is Format.SQL:
        return (
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--no-password",
            "--set=ON_ERROR_STOP=1",
            "--single-transaction",
            "--file=-",
            f"--dbname={_conninfo()}",
        )
    return (
        "pg_restore",
        "--exit-on-error",
        # slower by a tenth, and exact: into a table of its own transaction COPY passes over the
        # free space map (TABLE_INSERT_SKIP_FSM in copyfrom.c), so that rows keep their order
        "--single-transaction",
        "--no-password",
        f"--dbname={quoted_conninfo(database)} {_conninfo()}",
    )


def write_out(archive: str | None) -> tuple[str, ...]:
    """Write an archive out as SQL, from a file or folder, or from the standard input."""
    return ("pg_restore", "--no-owner", "--file=-", *(() if archive is None else ("--", archive)))


def environment(conninfo: Mapping[str, str | int], database: str) -> dict[str, str]:
    """Translate libpq's keywords to its environment variables."""
    names = {
        "host": "PGHOST",
        "hostaddr": "PGHOSTADDR",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "sslmode": "PGSSLMODE",
        "sslrootcert": "PGSSLROOTCERT",
        "sslcert": "PGSSLCERT",
        "sslkey": "PGSSLKEY",
        "options": "PGOPTIONS",
        "connect_timeout": "PGCONNECT_TIMEOUT",
        "channel_binding": "PGCHANNELBINDING",
        "gssencmode": "PGGSSENCMODE",
    }
    known = {names[key]: str(value) for key, value in conninfo.items() if key in names}
    # no encoding: a dump is written in the database's own, in which nothing can be untranslatable
    return {**known, "PGDATABASE": database, "PGAPPNAME": "migsafe"}


def quoted_conninfo(database: str) -> str:
    """Write a connection string that names only a database, whatever its name."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def _conninfo() -> str:
    """Write what no variable of the environment can say; the database's name comes from there."""
    return " ".join(f"{key}={value}" for key, value in KEEPALIVE.items())
