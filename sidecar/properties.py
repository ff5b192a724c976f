"""What a copy of a database lacks, as SQL statements. Pure: the adapter does the quoting."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sidecar.facts import Properties

LIST_SETTINGS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "temp_tablespaces",
    }
)
"""
Settings whose value is a list of names: as one quoted value they would become one name.

From ``variable_is_guc_list_quote()`` of pg_dump, less those that a database can't have.
"""

DEFAULT_TABLESPACE = "pg_default"
PROVIDERS_FROM = 15
"""First major whose databases have a locale provider."""


Grant = tuple[str, str, str, bool]
"""Who granted, to whom (empty: to PUBLIC), which privilege, and whether it may be passed on."""


class Name(str):
    """A name, to be quoted as one."""

    __slots__ = ()


class Value(str):
    """A value, to be quoted as one."""

    __slots__ = ()


@dataclass(frozen=True)
class Statement:
    """SQL, with ``{}`` for each of its parts."""

    text: str
    parts: tuple[Name | Value, ...] = ()


def create(name: str, properties: Properties, major: int) -> Statement:
    """Make an empty database that can hold what the other one held, from template0."""
    text = "CREATE DATABASE {} TEMPLATE template0 OWNER {} ENCODING {} LC_COLLATE {} LC_CTYPE {}"
    values = [properties.encoding, properties.collate, properties.ctype]
    if properties.provider == "c" and major >= PROVIDERS_FROM:
        text += " LOCALE_PROVIDER libc"  # the cluster's own may be another
    if properties.provider == "i":
        text += " LOCALE_PROVIDER icu ICU_LOCALE {}"
        values.append(properties.icu_locale or "und")
    if properties.provider == "b":
        text += " LOCALE_PROVIDER builtin BUILTIN_LOCALE {}"
        values.append(properties.icu_locale or "C")
    if properties.icu_rules:
        text += " ICU_RULES {}"
        values.append(properties.icu_rules)
    parts: tuple[Name | Value, ...] = (
        Name(name),
        Name(properties.owner),
        *map(Value, values),
    )
    if properties.tablespace == DEFAULT_TABLESPACE:  # to name it takes a right that owners lack
        return Statement(text, parts)
    return Statement(f"{text} TABLESPACE {{}}", (*parts, Name(properties.tablespace)))


def clone(name: str, template: str, owner: str, strategy: str) -> Statement:
    """Copy a database, closed from its first moment; ``strategy`` is empty before 15."""
    chosen = f" STRATEGY {strategy}" if strategy else ""
    return Statement(
        f"CREATE DATABASE {{}} TEMPLATE {{}} OWNER {{}} ALLOW_CONNECTIONS false{chosen}",
        (Name(name), Name(template), Name(owner)),
    )


def apply(name: str, properties: Properties) -> Iterator[Statement]:
    """Give a copy everything that hangs on the row in ``pg_database``, in one transaction."""
    mine = Name(name)
    if properties.connection_limit != -1:
        limit = f"{properties.connection_limit:d}"
        yield Statement(f"ALTER DATABASE {{}} CONNECTION LIMIT {limit}", (mine,))
    if properties.is_template:
        yield Statement("ALTER DATABASE {} IS_TEMPLATE true", (mine,))
    if properties.comment is not None:
        yield Statement("COMMENT ON DATABASE {} IS {}", (mine, Value(properties.comment)))
    for provider, label in properties.labels:
        yield Statement(
            "SECURITY LABEL FOR {} ON DATABASE {} IS {}", (Name(provider), mine, Value(label))
        )
    for role, setting, value in properties.settings:
        yield from _setting(mine, role, setting, value)
    if not properties.default_acl:
        yield from _acl(mine, properties)


def _setting(name: Name, role: str, setting: str, value: str) -> Iterator[Statement]:
    who = "ALTER ROLE {} IN DATABASE {}" if role else "ALTER DATABASE {}"
    names = (*((Name(role), name) if role else (name,)), Name(setting))
    if setting not in LIST_SETTINGS:
        yield Statement(f"{who} SET {{}} TO {{}}", (*names, Value(value)))
        return
    # taken over from the session, the stored value stays the list that it is
    yield Statement("SELECT set_config({}, {}, true)", (Value(setting), Value(value)))
    yield Statement(f"{who} SET {{}} FROM CURRENT", names)
    yield Statement("SET LOCAL search_path = ''")


def _acl(name: Name, properties: Properties) -> Iterator[Statement]:
    owner = Name(properties.owner)
    yield Statement("REVOKE ALL ON DATABASE {} FROM PUBLIC", (name,))
    yield Statement("REVOKE ALL ON DATABASE {} FROM {}", (name, owner))
    for grantor, grantee, privilege, grantable in _in_order(properties.acl, owner):
        if grantor != owner:
            yield Statement("SET LOCAL ROLE {}", (Name(grantor),))
        option = " WITH GRANT OPTION" if grantable else ""
        who = "{}" if grantee else "PUBLIC"
        yield Statement(
            f"GRANT {_PRIVILEGES[privilege]} ON DATABASE {{}} TO {who}{option}",
            (name, Name(grantee)) if grantee else (name,),
        )
        if grantor != owner:
            yield Statement("RESET ROLE")


def _in_order(acl: Sequence[Grant], owner: str) -> Iterator[Grant]:
    """Give what others granted after what they were granted: they grant on the strength of it."""
    left, able = list(acl), set[tuple[str, str]]()
    while left:
        now = [each for each in left if each[0] == owner or (each[0], each[2]) in able]
        now = now or left  # nobody may grant these: the server will say so
        yield from now
        able |= {(grantee, privilege) for _, grantee, privilege, grantable in now if grantable}
        left = [each for each in left if each not in now]


_PRIVILEGES = {name: name for name in ("CONNECT", "CREATE", "TEMPORARY")}
"""What a database's ACL can hold; anything else must not get into a statement unquoted."""
