"""
What is done with each statement of a dump that others have made. Pure.

The server is the judge of what a statement may do: it gets them from a role that owns nothing but
the scratch database. Here is decided only what a dump says that must not count: whose things are,
which database it was, and what another version or another server knows.
"""

import re
from dataclasses import dataclass
from enum import Enum


class Act(Enum):
    """What is done with a statement."""

    RUN = "run"
    SKIP = "skip"
    """It says what the live database decides: its owners, its own properties, its tablespaces."""
    EXTENSION = "extension"
    """The role that has the rights makes it."""
    GRANT = "grant"
    """Run; where it names a role that is not here, it is left out, and the role is named."""
    DEFAULTS = "defaults"
    """Default privileges: of the owner, so they are given when everything is his."""
    PUBLIC = "public"
    """About the schema ``public``, which a new database has: done by who may, in the end."""
    LENIENT = "lenient"
    """Run; what is there already, or not there to be dropped, is no error."""
    REFUSE = "refuse"
    """It belongs to a dump of a whole server."""


@dataclass(frozen=True)
class Extension:
    """An extension that a dump asks for."""

    name: str
    schema: str | None = None


_ROLE = rb'(?:"(?:[^"]|"")+"|[\w$\x80-\xff]+)'

_PUBLIC = rb'(?:public\b|"public")(?!\s*,)'


def _rule(act: Act, pattern: bytes) -> tuple[re.Pattern[bytes], Act]:
    return re.compile(pattern.replace(b" ", rb"\s+"), re.IGNORECASE | re.DOTALL), act


_RULES = (
    _rule(Act.SKIP, rb"ALTER .* OWNER TO " + _ROLE + rb"\Z"),
    _rule(Act.SKIP, rb"(?:RE)?SET (?:LOCAL |SESSION )?(?:ROLE|SESSION AUTHORIZATION)\b"),
    _rule(Act.SKIP, rb"SET (?:LOCAL |SESSION )?default_tablespace\b"),
    _rule(Act.SKIP, rb"(?:CREATE|ALTER|DROP|COMMENT ON|SECURITY LABEL ON) DATABASE\b"),
    _rule(Act.SKIP, rb"SECURITY LABEL .*\bON DATABASE\b"),
    _rule(Act.SKIP, rb"(?:GRANT|REVOKE) .* ON DATABASE\b"),
    _rule(Act.SKIP, rb"ALTER ROLE .* IN DATABASE\b"),
    _rule(Act.SKIP, rb"(?:COMMENT ON|ALTER|DROP) EXTENSION\b"),
    # it would connect to where the data once came from
    _rule(Act.SKIP, rb"(?:CREATE|ALTER|DROP|COMMENT ON) SUBSCRIPTION\b"),
    _rule(Act.REFUSE, rb"(?:CREATE|ALTER|DROP) (?:ROLE|USER(?! MAPPING)|GROUP|TABLESPACE)\b"),
    _rule(Act.REFUSE, rb"ALTER SYSTEM\b"),
    _rule(Act.SKIP, rb"DROP SCHEMA (?:IF EXISTS )?" + _PUBLIC),
    _rule(Act.PUBLIC, rb"COMMENT ON SCHEMA " + _PUBLIC),
    _rule(Act.PUBLIC, rb"(?:GRANT|REVOKE) [\w\s,]+ ON SCHEMA " + _PUBLIC),
    _rule(Act.EXTENSION, rb"CREATE EXTENSION\b"),
    _rule(Act.DEFAULTS, rb"ALTER DEFAULT PRIVILEGES\b"),
    _rule(Act.GRANT, rb"(?:GRANT|REVOKE)\b"),
    _rule(Act.LENIENT, rb"(?:SET|CREATE SCHEMA|DROP)\b"),
    _rule(Act.LENIENT, rb"SELECT pg_catalog\.lo_unlink\("),
    _rule(Act.LENIENT, rb"ALTER (?:TABLE|DOMAIN|TYPE) .* DROP \w+"),
    _rule(
        Act.LENIENT,
        rb"CREATE (?:OR REPLACE )?(?:PROCEDURAL )?LANGUAGE (?:IF NOT EXISTS )?plpgsql\b",
    ),
)

_EXTENSION = re.compile(
    rb"CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>" + _ROLE + rb")"
    rb"(?:\s+WITH)?(?:\s+SCHEMA\s+(?P<schema>" + _ROLE + rb"))?",
    re.IGNORECASE,
)
_FOR_ROLE = re.compile(
    rb"(ALTER\s+DEFAULT\s+PRIVILEGES)\s+FOR\s+(?:ROLE|USER)\s+(" + _ROLE + rb")", re.IGNORECASE
)

IGNORED = ("restrict", "unrestrict")
"""Commands of psql's that say how to read what follows: pg_dump writes them since August 2025."""
CONNECT = ("connect", "c")


def act_on(statement: bytes) -> Act:
    """Decide what is done with a statement."""
    return next((act for pattern, act in _RULES if pattern.match(statement)), Act.RUN)


def extension(statement: bytes) -> Extension | None:
    """Read which extension is asked for; None where it can't be read."""
    match = _EXTENSION.match(statement)
    if match is None:
        return None
    schema = match["schema"]
    return Extension(unquoted(match["name"]), None if schema is None else unquoted(schema))


def defaults(statement: bytes) -> tuple[str | None, bytes]:
    """Take out whose default privileges they are; return the role, and the rest."""
    match = _FOR_ROLE.match(statement)
    if match is None:
        return None, statement
    return unquoted(match[2]), match[1] + statement[match.end() :]


def command(text: bytes) -> tuple[str, str]:
    """Read a command of psql's: its name, and the rest of its line."""
    name, _, rest = text[1:].decode(errors="replace").partition(" ")
    return name, rest.strip()


def unquoted(name: bytes) -> str:
    """Read an identifier as the server would."""
    text = name.decode(errors="replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.lower()
