"""What is in a database, told by one query each, without the code under test."""

import hashlib
import json
from typing import Any

from sidecar.connections import Connection

from .seat import Seat

_RELATIONS = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, c.relowner::regrole::text,
  c.relacl::text, obj_description(c.oid, 'pg_class'),
  CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
ORDER BY n.nspname, c.relname
"""

_SCHEMA = (
    """SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod),
      attnotnull, attidentity::text, attacl::text, pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE attnum > 0 AND NOT attisdropped AND attrelid >= 16384
      AND c.relnamespace <> 'pg_toast'::regnamespace ORDER BY 1, attname""",
    """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated
    FROM pg_constraint WHERE oid >= 16384 ORDER BY 1, 2""",
    """SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid
    WHERE indexrelid >= 16384 AND c.relnamespace <> 'pg_toast'::regnamespace ORDER BY 1""",
    """SELECT oid::regprocedure::text, pg_get_functiondef(oid), proowner::regrole::text,
      proacl::text FROM pg_proc WHERE oid >= 16384 AND prokind <> 'a' ORDER BY 1""",
    """SELECT oid::bigint, md5(lo_get(oid)), lomowner::regrole::text, lomacl::text
    FROM pg_largeobject_metadata ORDER BY 1""",
    """SELECT nspname, nspowner::regrole::text, nspacl::text FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\\_%' ORDER BY 1""",
    "SELECT extname, extversion FROM pg_extension ORDER BY 1",
)

_PROPERTIES = """
SELECT to_jsonb(d) - 'oid' - 'datname' - 'datfrozenxid' - 'datminmxid' - 'datacl'
  - 'datallowconn'
  || jsonb_build_object(
    'owner', d.datdba::regrole::text,
    'acl', (SELECT jsonb_agg(a::text ORDER BY a::text) FROM unnest(d.datacl) a),
    'comment', shobj_description(d.oid, 'pg_database'),
    'settings', (SELECT jsonb_agg(jsonb_build_array(s.setrole, c) ORDER BY s.setrole, c)
      FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE s.setdatabase = d.oid))
FROM pg_database d WHERE d.datname = %s
"""


def inside(seat: Seat, database: str) -> str:
    """Sum up schema and all rows."""
    with seat.session(database) as session:
        return _summed([_relations(session), *(_rows(session, query) for query in _SCHEMA)])


def properties(seat: Seat, database: str) -> str:
    """Sum up what hangs on the database's name."""
    return _summed(seat.rows(_PROPERTIES, "postgres", database))


def open_to_all(seat: Seat, database: str) -> bool | None:
    """Tell whether a database lets anybody in; None where there is none."""
    found = seat.rows(
        "SELECT datallowconn FROM pg_database WHERE datname = %s", "postgres", database
    )
    return bool(found[0][0]) if found else None


def _relations(session: Connection) -> list[Any]:
    found = []
    for _, schema, name, kind, *more in session.execute(_RELATIONS.encode()).fetchall():
        relation = f'"{schema}"."{name}"'
        query = {
            "r": f"SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY t::text))"
            f" FROM {relation} t",
            "S": f"SELECT last_value, is_called FROM {relation}",
        }.get(kind)
        found.append([schema, name, kind, more, _rows(session, query) if query else None])
    return found


def _rows(session: Connection, query: str) -> list[Any]:
    return session.execute(query.encode()).fetchall()


def _summed(found: Any) -> str:
    return hashlib.sha256(json.dumps(found, default=str).encode()).hexdigest()[:16]
