"""What one session reads of its database: the look, the ledger, the contents."""

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any, LiteralString

from psycopg import sql

from sidecar import catalog as catalogs
from sidecar import presets, queries
from sidecar.connections import Connection
from sidecar.facts import (
    Contents,
    LedgerState,
    Look,
    Properties,
    Rights,
    Server,
    Table,
    fingerprint,
    revive,
)

TABLES_AT_ONCE = 50
"""How many tables one statement counts."""

COLLATION_VERSIONS_FROM = 15
"""First major that remembers which collations a database was made with."""


def one(session: Connection, query: LiteralString, *values: object) -> tuple[Any, ...]:
    """Read a row that is there."""
    row = session.execute(query, values or None).fetchone()
    assert row is not None  # noqa: S101 - every such query returns one
    return row


def look(session: Connection, name: str, preset: str | None, *, catalog: bool) -> Look:
    """Read everything that is looked at before deciding."""
    version, number, system, standby, oid, size, tables, prepared, slots, invalid, names, roles = (
        one(session, queries.LOOK)
    )
    ledger = _ledger(session, preset)
    generic = _fingerprint(session) if catalog or not ledger.table else ""
    may = rights(session, name)
    return Look(
        database=name,
        server=Server(version, number, system, standby),
        oid=oid,
        size=size,
        properties=properties(session, name),
        ledger=ledger if ledger.table else LedgerState(ledger.preset, fingerprint=generic),
        tables=tables,
        catalog=generic if catalog else "",
        rights=may,
        invalid_indexes=tuple(invalid),
        prepared=tuple(prepared),
        slots=tuple(slots),
        roles=roles,
        databases=tuple(names),
        needs_superuser=(() if may.superuser else tuple(one(session, queries.NEEDS_SUPERUSER)[0])),
        collation_changed=_collation_changed(session, name, number // 10000),
    )


def properties(session: Connection, name: str) -> Properties:
    """Read what hangs on a database's row in ``pg_database``."""
    *values, _ = one(session, queries.PROPERTIES, name)
    names = [field.name for field in fields(Properties)]  # in the query's own order
    found = revive(Properties, dict(zip(names, values, strict=True)))
    # sorted here: the order of text differs between the collations of databases
    return replace(
        found,
        acl=tuple(sorted(found.acl)),
        settings=tuple(sorted(found.settings)),
        labels=tuple(sorted(found.labels)),
    )


def contents(session: Connection) -> Contents:
    """Count the rows of every table, and fingerprint the catalog."""
    found = session.execute(queries.TABLES).fetchall()
    counts: dict[int, int] = {}
    for start in range(0, len(found), TABLES_AT_ONCE):
        counts.update(_count(session, found[start : start + TABLES_AT_ONCE]))
    large_objects, extensions = one(session, queries.EXTRAS)
    return Contents(
        tables=tuple(Table(schema, name, counts[oid], oid) for schema, name, oid in found),
        catalog=_fingerprint(session),
        large_objects=large_objects,
        extensions=tuple((name, version) for name, version in extensions),
    )


def _count(session: Connection, tables: Iterable[tuple[Any, ...]]) -> list[tuple[int, int]]:
    counts = [
        sql.SQL("SELECT {}::bigint, count(*) FROM ONLY {}").format(
            sql.Literal(oid), sql.Identifier(schema, name)
        )
        for schema, name, oid in tables
    ]
    return [(oid, rows) for oid, rows in session.execute(sql.SQL(" UNION ALL ").join(counts))]


def _fingerprint(session: Connection) -> str:
    return str(one(session, catalogs.FINGERPRINT)[0])


def rights(session: Connection, name: str) -> Rights:
    """Read what the session's role may do with a database."""
    role, superuser, create_database, owns, signal = one(session, queries.RIGHTS, name)
    others, superusers = one(session, queries.SIGNAL_NEEDED, name)
    # one's own sessions may be ended by anybody, a superuser's only by a superuser
    signal = superuser or not others or (signal and not superusers)
    return Rights(role, superuser, create_database, owns, signal)


def _collation_changed(session: Connection, name: str, major: int) -> bool:
    if major < COLLATION_VERSIONS_FROM:
        return False
    made_with = one(session, queries.PROPERTIES, name)[-1]
    return made_with is not None and one(session, queries.COLLATION, name)[0] != made_with


# --- the ledger


def _ledger(session: Connection, preset: str | None) -> LedgerState:
    columns = {
        (schema, table): frozenset(names)
        for schema, table, names in session.execute(queries.COLUMNS, (list(presets.TABLES),))
    }
    found = presets.recognise(columns)
    if not found:
        return LedgerState(preset or presets.GENERIC.name)
    pieces = [presets.pieces(each) for each in found]
    rows = [_rows(session, each) for each in pieces]
    # an app may have several ledgers: all of them count, one is the app's own
    family = presets.by_name(preset).family if preset else None
    first = next((i for i, f in enumerate(found) if family in {f.preset.family, None}), 0)
    mine = pieces[first]
    return LedgerState(
        preset=found[first].preset.name,
        schema=mine.schema,
        table=mine.table,
        versions=tuple(key for key, applied, _ in rows[first] if applied),
        bad=tuple(key for key, _, bad in rows[first] if bad),
        held_by=_holder(session, mine),
        fingerprint=fingerprint(
            [[p.schema, p.table, found] for p, found in zip(pieces, rows, strict=True)]
        ),
    )


def _rows(session: Connection, pieces: presets.Pieces) -> list[list[Any]]:
    """Read (key, applied, bad) of every row, in an order that no collation decides."""
    key = sql.SQL(" || ' ' || ").join(
        sql.SQL("coalesce({}::text, '')").format(sql.Identifier(column)) for column in pieces.key
    )
    query = sql.SQL("SELECT {}, {}, {} FROM {}").format(
        key,
        _predicate(pieces.applied),
        _predicate(pieces.bad),
        sql.Identifier(pieces.schema, pieces.table),
    )
    return sorted(list(row) for row in session.execute(query))


def _holder(session: Connection, pieces: presets.Pieces) -> str | None:
    lock = pieces.lock
    if lock is None:
        return None
    query = sql.SQL("SELECT coalesce(({})::text, 'somebody') FROM {} WHERE {} LIMIT 1").format(
        sql.SQL(lock.holder or "'somebody'"),
        sql.Identifier(pieces.schema, lock.table),
        _predicate(lock.held),
    )
    row = session.execute(query).fetchone()
    return None if row is None else f"{lock.table} says {row[0]}"


def _predicate(text: str) -> sql.Composable:
    """Use a predicate from the table of presets: a constant, so it needs no quoting."""
    return sql.SQL("coalesce(({})::boolean, false)").format(sql.SQL(text))
