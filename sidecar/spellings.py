"""
How apps spell the address of a PostgreSQL server: every spelling, read into libpq's keywords.

URLs as SQLAlchemy, Django, Rails, Ecto, Prisma and JDBC write them, libpq's ``host=db dbname=x``,
and the ``Host=db;Database=x`` of .NET and PDO. Messages never hold a part of what was read: any
part may be a piece of a password.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote, unquote_plus

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

PARAMETERS = frozenset(
    {"sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslsni"}
    | {"sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version"}
    | {"channel_binding", "require_auth", "gssencmode", "krbsrvname"}
    | {"connect_timeout", "tcp_user_timeout", "target_session_attrs", "hostaddr", "options"}
    | {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"}
)
"""What libpq understands beyond the five parts. A framework's own parameters are dropped."""

_NAMES = {
    **{name.replace("_", ""): name for name in PARAMETERS},
    **{name: name for name in ("host", "port", "dbname", "user", "password", "ssl")},
    "database": "dbname",
    "pwd": "password",
    "uid": "user",
    "userid": "user",
    "username": "user",
}

_OTHERS = {
    "amqp": "RabbitMQ",
    "cockroach": "CockroachDB",
    "cockroachdb": "CockroachDB",
    "file": "SQLite",
    "mariadb": "MariaDB",
    "mongodb": "MongoDB",
    "mssql": "SQL Server",
    "mysql": "MySQL",
    "mysql2": "MySQL",
    "oracle": "Oracle",
    "redis": "Redis",
    "redshift": "Redshift",
    "sqlite": "SQLite",
    "sqlite3": "SQLite",
    "sqlserver": "SQL Server",
}

_POSTGRES = re.compile(
    r"(?:postgres|postgresql|postgis|psql|pgsql|pdo[-_]pgsql|ecto|timescale|timescalegis)(?:\+\w+)?",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+._-]*", re.IGNORECASE)
_JAVA = re.compile(r"(?:jdbc|r2dbc):(?:[\w-]+:(?=postgresql:))?", re.IGNORECASE)
_HOST_PORT = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>\d*))?")
_LIBPQ_PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*|)\s*")
_SEMICOLON_PAIR = re.compile(
    r"""\s*(\w[\w ]*?)\s*=\s*("(?:[^"]|"")*"|'(?:[^']|'')*'|[^;]*?)\s*(?:;\s*|$)"""
)


class OtherDatabase(ValueError):
    """What was read is not the address of a PostgreSQL server."""


def keywords(text: str) -> dict[str, str]:
    """
    Read any spelling into libpq's keywords; what is missing or empty is left out.

    Raises:
        OtherDatabase: it is something else, such as a MySQL URL.
        ValueError: it is PostgreSQL's and can't be read.

    """
    text = text.strip()
    java = _JAVA.match(text)
    url = text[java.end() :] if java else text
    scheme, colon, rest = url.partition(":")
    if colon and _SCHEME.fullmatch(scheme):
        _only_postgres(scheme.lower())
        found = _after_scheme(rest, unquote_plus if java else unquote)
    elif "=" in url:
        found = _key_values(url)
    else:
        raise OtherDatabase("it is not a PostgreSQL URL")
    return understood(found)


def _only_postgres(scheme: str) -> None:
    if scheme in {"prisma", "prisma+postgres"}:
        raise ValueError("it goes through Prisma's proxy: the server's own URL is needed")
    if _POSTGRES.fullmatch(scheme):
        return
    other = _OTHERS.get(scheme.partition("+")[0])
    what = f"it is a {other} URL" if other else "it is not a PostgreSQL URL"
    raise OtherDatabase(f"{what}: only PostgreSQL is guarded")


def _after_scheme(rest: str, decode: Callable[..., str]) -> dict[str, str]:
    if rest.startswith("//"):
        return _url(rest[2:], decode)
    if "=" in rest:  # a DSN of PHP's PDO
        return _pairs(_SEMICOLON_PAIR, rest)
    return {"dbname": _decoded(rest.lstrip("/"), decode)}


def _url(rest: str, decode: Callable[..., str]) -> dict[str, str]:
    userinfo, rest = _userinfo(rest)
    authority, path, query = _split(rest)
    if "@" in path or "#" in path + query:
        raise ValueError("an unencoded @ or # makes it ambiguous: write %40 or %23")
    user, _, password = userinfo.partition(":")
    host, port = _host_port(authority)
    raw = {"user": user, "password": password, "host": host, "dbname": path}
    found = {name: _decoded(value, decode) for name, value in raw.items()}
    asked = {_decoded(k, decode): _decoded(v, decode) for k, v in _query(query)}
    return {**found, "port": port, **_renamed(asked.items())}


def _userinfo(rest: str) -> tuple[str, str]:
    """
    Cut off user and password, at the last ``@`` before the path.

    Passwords are often left unencoded. A ``/`` or ``?`` in one is recognised when what stands
    before it can't be a host and a port, and a single ``@`` follows.
    """
    authority, _, _ = _split(rest)
    if "@" in authority:
        userinfo, _, _ = authority.rpartition("@")
        return userinfo, rest[len(userinfo) + 1 :]
    plausible = all(_HOST_PORT.fullmatch(item) for item in authority.split(","))
    if rest.count("@") == 1 and not plausible:
        userinfo, _, remainder = rest.partition("@")
        return userinfo, remainder
    return "", rest


def _split(rest: str) -> tuple[str, str, str]:
    """Split into authority, path and query."""
    before, _, query = rest.partition("?")
    authority, _, path = before.partition("/")
    return authority, path, query


def _host_port(authority: str) -> tuple[str, str]:
    if "," in authority:
        raise ValueError("it names several hosts: name the one that is written to")
    match = _HOST_PORT.fullmatch(authority)
    if match is None:
        raise ValueError(
            "its host and port can't be read: special characters of a password are written as"
            " %XX, an IPv6 address stands in brackets"
        )
    return match["six"] or match["name"] or "", match["port"] or ""


def _query(query: str) -> Iterable[tuple[str, str]]:
    for item in filter(None, query.split("&")):
        key, equals, value = item.partition("=")
        if not equals and not re.fullmatch(r"[\w.]+", key):
            raise ValueError("its parameters can't be read: write special characters as %XX")
        yield key, value


def _decoded(text: str, decode: Callable[..., str]) -> str:
    try:
        return decode(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("its percent-encoding is not UTF-8: write % as %25") from None


def _key_values(text: str) -> dict[str, str]:
    """Read ``host=db dbname=x``, or ``Host=db;Database=x`` where semicolons separate."""
    if ";" not in text:
        return _pairs(_LIBPQ_PAIR, text)
    try:
        found = _pairs(_LIBPQ_PAIR, text)
    except ValueError:
        found = {}
    if ";" in found.get("host", ";"):
        found = _pairs(_SEMICOLON_PAIR, text)
        if "host" not in found:
            raise OtherDatabase("it has no Host=: only PostgreSQL is guarded")
    return found


def _pairs(pattern: re.Pattern[str], text: str) -> dict[str, str]:
    found, position = [], 0
    while position < len(text):
        match = pattern.match(text, position)
        if match is None:
            raise ValueError("it is neither a URL nor a list of key=value")
        found.append((match[1], _unquoted(match[2], libpq=pattern is _LIBPQ_PAIR)))
        position = match.end()
    return _renamed(found)


def _unquoted(value: str, *, libpq: bool) -> str:
    quote = value[:1] if value[:1] in {"'", '"'} else ""
    inner = value[1:-1] if quote else value
    if libpq:
        return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL)
    return inner.replace(quote * 2, quote) if quote else inner


def _renamed(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give keywords libpq's names: JDBC writes ``channelBinding``, .NET ``SSL Mode``."""
    plain = ((re.sub(r"[ _]", "", key).lower(), value) for key, value in pairs)
    return {_NAMES[key]: value for key, value in plain if key in _NAMES}


def understood(found: Mapping[str, str]) -> dict[str, str]:
    """
    Drop what is empty, and say ``sslmode`` as libpq does.

    Raises:
        ValueError: a value can't be meant.

    """
    kept = {key: value for key, value in found.items() if value and key != "ssl"}
    if any("\0" in value for value in kept.values()):
        raise ValueError("it holds a NUL character")
    if mode := kept.get("sslmode") or _ssl(found.get("ssl")):
        kept["sslmode"] = _mode(mode)
    if "sslcert" in kept and "sslkey" not in kept:
        del kept["sslcert"]  # Prisma's is the server's; libpq's is useless without its key
    return kept


def _ssl(value: str | None) -> str:
    """
    Read the ``ssl=`` of JDBC, asyncpg and node.

    JDBC's ``ssl=true`` verifies the server by a root certificate in the app's container, which we
    do not have, so that ``verify-full`` would always fail: we encrypt and do not verify. Who needs
    more says ``sslmode=verify-full`` and where the certificate is.
    """
    if value is None:
        return ""
    if value.lower() in {"", "true", "1", "on", "yes"}:
        return "require"
    return "disable" if value.lower() in {"false", "0", "off", "no"} else value


def _mode(value: str) -> str:
    mode = value.lower()
    spelled = {"verifyca": "verify-ca", "verifyfull": "verify-full", "no-verify": "require"}
    switch = {"true": "require", "false": "disable"}
    mode = {**spelled, **switch}.get(mode, mode)
    if mode not in SSL_MODES:
        raise ValueError(f"its sslmode is not one of {', '.join(SSL_MODES)}")
    return mode
