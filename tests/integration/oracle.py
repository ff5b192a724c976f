"""What two databases hold, told without the code under test."""

import re
from collections.abc import Iterator
from typing import Any

from .servers import Server, quoted

_GUARD = re.compile(rb"^\\(un)?restrict .*\n", re.MULTILINE)
"""Newer programs write a random key around a dump in plain SQL."""

SYSTEM = "nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"


def dump(server: Server, database: str) -> list[str]:
    """Dump a database by the server's own pg_dump, without what is random in it."""
    done = server.program("pg_dump", "--no-password", database=database)
    return _GUARD.sub(b"", done.stdout).decode(errors="surrogateescape").splitlines()


def rows(server: Server, database: str) -> dict[str, int]:
    """Count every table, materialised views too."""
    relations = f"""SELECT nspname, relname
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'm') AND relispopulated AND {SYSTEM} ORDER BY 1, 2"""
    return {
        name: found[0][0]
        for name, found in _each(server, database, relations, "SELECT count(*) FROM ONLY {}")
    }


def large_objects(server: Server, database: str) -> list[Any]:
    """Hash every large object, with its owner and rights."""
    return server.rows(
        "SELECT oid::bigint, md5(lo_get(oid)), lomowner::regrole::text, lomacl::text"
        " FROM pg_largeobject_metadata ORDER BY 1",
        database,
    )


def sequences(server: Server, database: str) -> dict[str, Any]:
    """Read where every sequence stands."""
    relations = f"""SELECT nspname, relname
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind = 'S' AND {SYSTEM} ORDER BY 1, 2"""
    return dict(_each(server, database, relations, "SELECT last_value, is_called FROM {}"))


def _each(
    server: Server, database: str, relations: str, query: str
) -> Iterator[tuple[str, list[Any]]]:
    """Ask the same of every relation, in one session."""
    with server.session(database) as session:
        for schema, name in session.execute(relations.encode()).fetchall():
            relation = f"{quoted(schema)}.{quoted(name)}"
            yield f"{schema}.{name}", session.execute(query.format(relation).encode()).fetchall()


def properties(server: Server, database: str) -> dict[str, Any]:
    """Read everything on the database's row, in text, without names of databases and oids."""
    row = server.value(
        "SELECT to_jsonb(d) - 'oid' - 'datname' - 'datfrozenxid' - 'datminmxid' - 'datlastsysoid'"
        " - 'datallowconn' || jsonb_build_object('acl', (SELECT coalesce(jsonb_agg(a::text"
        " ORDER BY a::text), '[]') FROM unnest(datacl) a), 'comment', shobj_description(oid,"
        " 'pg_database')) FROM pg_database d WHERE datname = %s",
        "postgres",
        database,
    )
    settings = server.rows(
        "SELECT setrole::regrole::text, c FROM pg_db_role_setting, unnest(setconfig) c"
        " WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = %s) ORDER BY 1, 2",
        "postgres",
        database,
    )
    return {**row, "datacl": None, "settings": settings}


def everything(server: Server, database: str) -> dict[str, Any]:
    """Tell all that must be equal."""
    return {
        "dump": dump(server, database),
        "rows": rows(server, database),
        "large objects": large_objects(server, database),
        "sequences": sequences(server, database),
        "properties": properties(server, database),
    }
