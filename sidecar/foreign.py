"""
Loading SQL that others have written: by a role that owns the scratch database, and nothing else.

Whatever a file says is done with that role's rights: it can't run programs, read files, or reach
another database, as a superuser's session could. What is in the scratch database is given to its
owner once it is loaded. Where no such role can be made (we are no superuser ourselves), the
database's owner loads.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql

from sidecar import properties, reading
from sidecar.connections import Connection, connect, execute
from sidecar.errors import UNCHANGED, DatabaseUnavailable, PreflightFailed
from sidecar.facts import LeftOut, Properties
from sidecar.foreign_script import ScriptLoad
from sidecar.ports import Stop
from sidecar.screen import Extension
from sidecar.sqlscript import Script

ROLE = "migsafe_lent_load_"
"""Begins the names of roles that load."""

_EXPIRED = """
SELECT rolname::text FROM pg_roles
 WHERE rolname LIKE 'migsafe\\_lent\\_load\\_%' AND rolvaliduntil < now()
"""


def load(
    control: Connection,
    conninfo: Mapping[str, Any],
    name: str,
    chunks: Iterator[bytes],
    wanted: Properties,
    extensions: Iterable[Extension],
    stop: Stop,
) -> LeftOut:
    """
    Load a script into a new database, whose owner owns everything in the end.

    Args:
        control: a session on another database, which may make databases.
        conninfo: how to connect as the same role.
        name: of the new database.
        chunks: the script.
        wanted: owner, encoding and locale of the new database.
        extensions: to be made first: a dump of one schema does not say which it needs.
        stop: whether somebody wants us to stop.

    Raises:
        BackupDamaged: it is no whole script, or not one for a server.
        Refused: it is of a whole server.
        PreflightFailed: this server does not take it.

    """
    with _role(control, conninfo, name, wanted) as login:
        loader = login.get("user") if login is not conninfo else None
        owner = loader or wanted.owner
        major = control.info.server_version // 10000
        execute(control, properties.create(name, replace(wanted, owner=owner), major))
        try:
            with connect(conninfo, name) as admin, _entered(login, name) as session:
                load = ScriptLoad(admin, session, owner, wanted, stop)
                return load.whole(Script(chunks), extensions, lent=loader is not None)
        except BaseException:
            with suppress(psycopg.Error):  # whoever comes next finds it in the journal
                control.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                )
            raise


def _entered(login: Mapping[str, Any], name: str) -> Connection:
    try:
        return connect(login, name)
    except DatabaseUnavailable as error:
        raise PreflightFailed(
            f"the role that is made for loading may not log in: {error.message}",
            hint=f"{UNCHANGED} Let roles whose names begin with {ROLE} in (pg_hba.conf), with a"
            " password.",
        ) from error


@contextmanager
def _role(
    control: Connection, conninfo: Mapping[str, Any], name: str, wanted: Properties
) -> Iterator[Mapping[str, Any]]:
    """Make a role that loads, and give the way in."""
    if not reading.rights(control, wanted.owner).superuser:
        yield conninfo
        return
    for (left,) in control.execute(_EXPIRED).fetchall():
        with suppress(psycopg.Error):  # it still owns what a killed run has left
            control.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(left)))
    role = ROLE + hashlib.sha256(name.encode()).hexdigest()[:12]
    password = os.urandom(24).hex()
    until = reading.one(control, "SELECT (now() + interval '1 day')::text")[0]
    control.execute(
        sql.SQL(
            # rows come before policies are asked, as they do for a superuser
            "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE BYPASSRLS"
            " PASSWORD {} VALID UNTIL {}"
        ).format(sql.Identifier(role), sql.Literal(password), sql.Literal(until))
    )
    try:
        yield {**conninfo, "user": role, "password": password}
    finally:
        with suppress(psycopg.Error):  # it expires
            control.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
