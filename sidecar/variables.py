"""Which environment variables of an app name its database: the well-known ones, and their likes."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from sidecar.spellings import OtherDatabase, keywords, understood

Read = Callable[[str], str]
"""Reads a file where the app would; raises OSError."""

URL_NAMES = (
    "DIRECT_URL",
    "DIRECT_DATABASE_URL",
    "DATABASE_URL",
    "SQLALCHEMY_DATABASE_URI",
    "SQLALCHEMY_DATABASE_URL",
    "POSTGRES_URL",
    "POSTGRES_URI",
    "POSTGRES_DSN",
    "POSTGRESQL_URL",
    "POSTGRESQL_URI",
    "PG_URL",
    "PGURL",
    "DB_URL",
    "DB_URI",
    "DB_DSN",
    "DATABASE_URI",
    "DATABASE_DSN",
    "SPRING_DATASOURCE_URL",
    "SPRING_R2DBC_URL",
    "FLYWAY_URL",
    "LIQUIBASE_COMMAND_URL",
    "QUARKUS_DATASOURCE_JDBC_URL",
    "JDBC_DATABASE_URL",
    "TYPEORM_URL",
    "GOOSE_DBSTRING",
    "MM_SQLSETTINGS_DATASOURCE",
)
"""Well-known names that hold a URL, in the order in which they are asked."""

PARTS = {
    "host": ("HOST", "HOSTNAME", "URL_HOST"),
    "port": ("PORT", "URL_PORT"),
    "dbname": ("NAME", "DATABASE", "DB", "DBNAME", "DATABASE_NAME", "URL_DATABASE"),
    "user": ("USER", "USERNAME"),
    "password": ("PASSWORD", "PASS", "PASSWD"),
    "sslmode": ("SSLMODE", "SSL_MODE"),
    "sslrootcert": ("SSLROOTCERT",),
}
"""Ends of the names that hold one part each; their beginning, such as ``DB_``, is the same."""

KINDS = ("CONNECTION", "TYPE", "ENGINE", "DRIVER", "ADAPTER", "CLIENT", "DIALECT", "VENDOR")
"""Ends of the names that say which kind of database it is."""

NOT_THE_ONE = frozenset(
    {"TEST", "SHADOW", "REPLICA", "READ", "READONLY", "RO", "SLAVE", "STANDBY"}
    | {"CACHE", "QUEUE", "CABLE", "MIGSAFE"}
    | {"MYSQL", "MARIADB", "MSSQL", "ORACLE", "MONGO", "MONGODB", "REDIS", "CLICKHOUSE"}
)
"""Words in a name that say that it is not the app's main database."""

_STEM = (
    r"(?P<prefix>(?P<own>(?:.*_)?)"
    r"(?:DB|DATABASE|DATASOURCE|POSTGRES|POSTGRESQL|POSTGRESDB|PG|PSQL|SQL)_{0,2})"
)
_URL_NAME = re.compile(
    rf"{_STEM}(?:JDBC_|CONNECTION_)?(?:URL|URI|DSN|STRING)|CONNECTIONSTRINGS__\w+"
)
_HOST_NAME = re.compile(rf"{_STEM}(?:URL_)?(?:HOST|HOSTNAME)")
_URL_END = re.compile(r"(?:JDBC_|CONNECTION_)?(?:URL|URI|DSN|STRING|DBSTRING|DATASOURCE)$")
_POSTGRES_KIND = re.compile(r"pg|postg|psql|timescale", re.IGNORECASE)
_FILE_ENDS = ("__FILE", "_FILE")
_LIBPQ = "PG"
_MYSQL_PORT = "3306"


@dataclass(frozen=True)
class Reading:
    """What one URL, or one set of variables, says."""

    source: str
    """For people: ``DATABASE_URL``, or ``DB_*`` for several."""
    rank: int
    """0: what migrations use where the app goes through a pool. 1: well-known. 2: the others."""
    keywords: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of libpq."""
    complaint: str = ""
    foreign: bool = False
    """It is another kind of database."""


def readings(env: Mapping[str, str], read: Read) -> list[Reading]:
    """Read everything in an environment that names a database, the best known first."""
    variables = _Variables(env, read)
    return [*_urls(variables), *_sets(variables)]


def _urls(variables: "_Variables") -> Iterator[Reading]:
    further = [n for n in variables.names if _URL_NAME.fullmatch(n) and n not in URL_NAMES]
    for name in URL_NAMES:
        rank = 0 if name.startswith("DIRECT_") else 1
        yield from _tried(variables.spelled(name), rank, partial(_url, variables, name))
    for name in further:
        yield from _tried(variables.spelled(name), 2, partial(_url, variables, name))


def _sets(variables: "_Variables") -> Iterator[Reading]:
    matches = [match for name in variables.names if (match := _HOST_NAME.fullmatch(name))]
    for prefix, own in {match["prefix"]: match["own"] for match in matches}.items():
        # libpq's names are defaults: what is said explicitly goes before them
        rank = 2 if own or prefix == _LIBPQ else 1
        yield from _tried(f"{prefix}*", rank, partial(_set, variables, prefix))


def _tried(source: str, rank: int, attempt: Callable[[], Mapping[str, str]]) -> Iterator[Reading]:
    """Make a reading of what comes out, be it a complaint; none of nothing."""
    try:
        found = attempt()
    except ValueError as error:
        foreign = isinstance(error, OtherDatabase)
        yield Reading(source, rank, complaint=str(error), foreign=foreign)
    else:
        if found:
            yield Reading(source, rank, found)


def _url(variables: "_Variables", name: str) -> Mapping[str, str]:
    """Read a URL; neighbours may hold user and password, libpq's own names whatever is missing."""
    url = variables.get(name)
    if not url:
        return {}
    found = keywords(url)
    beside = variables.parts(_URL_END.sub("", name), ("user", "password"))
    return understood({**variables.parts(_LIBPQ), **beside, **found})


def _set(variables: "_Variables", prefix: str) -> Mapping[str, str]:
    """Read the parts; nothing unless there are a host, and a database or a user."""
    found = _with_port(variables.parts(prefix))
    if "host" not in found or not found.keys() & {"dbname", "user"}:
        return {}
    kinds = {name: variables.get(name) for name in (prefix + end for end in KINDS)}
    others = [name for name, kind in kinds.items() if kind and not _POSTGRES_KIND.search(kind)]
    if others or found.get("port") == _MYSQL_PORT:
        reason = f"{others[0]} says that" if others else "by its port"
        raise OtherDatabase(f"{reason} it is another database: only PostgreSQL is guarded")
    return understood(found)


def _with_port(found: dict[str, str]) -> dict[str, str]:
    """Take the port out of ``host:port``, and out of the ``tcp://…`` that links set."""
    host, colon, port = found.get("host", "").rpartition(":")
    if colon and port.isdecimal() and ":" not in host:
        return {"port": port, **found, "host": host}
    if found.get("port", "").startswith("tcp://"):
        return {**found, "port": found["port"].rpartition(":")[2]}
    return found


class _Variables:
    """An environment whose names are compared as frameworks do: any case, dots as underscores."""

    def __init__(self, env: Mapping[str, str], read: Read) -> None:
        self._read = read
        self._spelled = {_normal(name): name for name in env} | {name: name for name in env}
        self._values = {name: env[spelled] for name, spelled in self._spelled.items()}
        normal = {_base(_normal(name)) for name in env}
        self.names = sorted(name for name in normal if NOT_THE_ONE.isdisjoint(name.split("_")))

    def spelled(self, name: str) -> str:
        """Give a name as the environment writes it."""
        return self._spelled.get(name, name)

    def get(self, name: str) -> str:
        """Return a value, or what its file holds, or nothing; raises ValueError."""
        if value := self._values.get(name, ""):
            return value
        files = (name + end for end in _FILE_ENDS if self._values.get(name + end))
        return next((self._file(file) for file in files), "")

    def _file(self, name: str) -> str:
        path = self._values[name]
        try:
            return self._read(path).rstrip("\r\n")
        except OSError as error:
            reason = error.strerror or "it is missing"
        except UnicodeDecodeError:
            reason = "it is not text"
        raise ValueError(f"{self.spelled(name)}: {path} can't be read: {reason}")

    def parts(self, prefix: str, wanted: Iterable[str] = PARTS) -> dict[str, str]:
        """Read the variables that begin with the prefix, as libpq's keywords."""
        named = {part: [prefix + end for end in PARTS[part]] for part in wanted}
        found = {part: self._one(names) for part, names in named.items()}
        return {part: value for part, value in found.items() if value}

    def _one(self, names: Sequence[str]) -> str:
        """Return the one value that these names have; raises ValueError when they differ."""
        values = {name: value for name in names if (value := self.get(name))}
        if len(set(values.values())) > 1:
            raise ValueError(f"{' and '.join(values)} differ")
        return next(iter(values.values()), "")


def _normal(name: str) -> str:
    return re.sub(r"[.-]", "_", name).upper()


def _base(name: str) -> str:
    end = next((end for end in _FILE_ENDS if name.endswith(end)), "")
    return name.removesuffix(end)
