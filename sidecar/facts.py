"""What is known about a database, its server and the app: values that decisions are made on."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

T = TypeVar("T")

SEAL = "sealed:"
"""Before the fingerprint of a value that may be a secret."""


@dataclass(frozen=True)
class Server:
    """One PostgreSQL server, as it describes itself."""

    version: str
    """For people, such as ``17.6 (Debian 17.6-1)``."""
    number: int
    """``server_version_num``, such as 170006."""
    system_identifier: str
    """Of the cluster, from ``pg_control_system()``: a new data directory has a new one."""
    in_recovery: bool = False

    @property
    def short(self) -> str:
        """The version without the packager's addition, such as ``17.6``."""
        return self.version.partition(" ")[0]

    @property
    def major(self) -> int:
        """The major version, such as 17."""
        return self.number // 10000


@dataclass(frozen=True)
class Properties:
    """
    What hangs on a database's row in ``pg_database`` and not on what is in it.

    ``CREATE DATABASE … TEMPLATE`` does not copy the owner, the ACL, the settings, the comment and
    the connection limit; a rename leaves them with the old row.
    """

    owner: str
    encoding: str
    collate: str
    ctype: str
    provider: str = "c"
    icu_locale: str | None = None
    icu_rules: str | None = None
    tablespace: str = "pg_default"
    allow_connections: bool = True
    connection_limit: int = -1
    is_template: bool = False
    comment: str | None = None
    default_acl: bool = True
    """No ACL was ever set: the server's default applies."""
    acl: tuple[tuple[str, str, str, bool], ...] = ()
    """(grantor, grantee or ``""`` for PUBLIC, privilege, grantable), sorted."""
    settings: tuple[tuple[str, str, str], ...] = ()
    """(role or ``""`` for every role, name, value), sorted."""
    labels: tuple[tuple[str, str], ...] = ()
    """Security labels: (provider, label), sorted."""
    public_owner: str | None = None
    """
    Of the schema ``public``, which pg_dump takes for given: older ones lose its owner, and none
    says that it was dropped. Empty where there is none, None where it was not looked for.
    """

    def sealed(self, key: str) -> "Properties":
        """
        Replace the values of an app's own settings by fingerprints.

        Apps keep secrets there (``app.jwt_secret``); to compare, the fingerprint is enough.
        """
        return replace(
            self,
            settings=tuple(
                (role, name, _sealed(key, role, name, value) if "." in name else value)
                for role, name, value in self.settings
            ),
        )

    def hidden(self) -> "Properties":
        """
        Leave out the values of an app's own settings.

        A fingerprint would tell a short secret to who has the time to guess it.
        """
        return replace(
            self,
            settings=tuple(
                (role, name, SEAL if "." in name else value) for role, name, value in self.settings
            ),
        )

    def differences(self, other: "Properties") -> tuple[str, ...]:
        """Name the properties in which two databases differ."""
        mine, theirs = asdict(self), asdict(other)
        return tuple(name for name in mine if mine[name] != theirs[name])


@dataclass(frozen=True)
class LedgerState:
    """The framework's own table of applied migrations, read."""

    preset: str
    """Name of the preset, ``generic`` where no ledger was recognised."""
    schema: str = ""
    table: str = ""
    versions: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    """Versions whose row says that they failed half-way."""
    held_by: str | None = None
    """Who holds the tool's own lock row, if it is held."""
    fingerprint: str = ""
    """Over every ledger that was found; over the catalog where there is none."""


@dataclass(frozen=True)
class Table:
    """One table and how many rows it holds."""

    schema: str
    name: str
    rows: int
    oid: int = 0
    """Survives a rename, not a restore."""

    @property
    def title(self) -> str:
        """As it is shown: ``schema.name``."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Contents:
    """What is in a database: enough to tell whether two hold the same."""

    tables: tuple[Table, ...]
    catalog: str
    """Fingerprint of the schema, the same after dump and restore."""
    large_objects: int = 0
    extensions: tuple[tuple[str, str], ...] = ()

    @property
    def rows(self) -> dict[str, int]:
        """Rows by table."""
        return {table.title: table.rows for table in self.tables}

    @property
    def total(self) -> int:
        """The rows of all tables together."""
        return sum(table.rows for table in self.tables)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Contents":
        """Read it back from JSON."""
        tables = tuple(revive(Table, table) for table in values["tables"])
        return revive(cls, {**values, "tables": tables})


@dataclass(frozen=True)
class Examined:
    """What a dump that others have made says of itself, once it was read to its end."""

    kind: str
    """For people, such as ``plain SQL in gzip``."""
    size: int
    """In bytes of SQL, which is about what it takes on the server."""
    server: str = ""
    """The version that it was made on, such as ``17.6``; empty where it does not say."""
    program: str = ""
    """The version of pg_dump."""

    @property
    def major(self) -> int:
        """The major version that it was made on; 0 where it does not say."""
        found = re.match(r"\d+", self.server)
        return int(found[0]) if found else 0


@dataclass(frozen=True)
class LeftOut:
    """What a dump that others have made says, and this server can't have."""

    roles: tuple[str, ...] = ()
    """To whom it grants something, and who are not here."""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Session:
    """Another session on the database, from ``pg_stat_activity``."""

    pid: int
    user: str
    application: str
    address: str | None
    """Of the client; None on the server's own socket."""
    state: str = ""

    @property
    def title(self) -> str:
        """As it is shown."""
        name = self.application or "a session"
        return f"{name} of {self.user} from {self.address or 'the local socket'} (pid {self.pid})"


@dataclass(frozen=True)
class Rights:
    """What the role that does the acts on databases may do."""

    role: str
    superuser: bool
    create_database: bool
    owns: bool
    """Member of the database's owner."""
    signal: bool
    """May end sessions of other roles that are not superusers."""


@dataclass(frozen=True)
class Look:
    """The database as it stands before anything is done."""

    database: str
    server: Server
    oid: int
    size: int
    """In bytes, from ``pg_database_size``."""
    properties: Properties
    ledger: LedgerState
    tables: int
    """Tables outside system schemas and extensions."""
    catalog: str = ""
    """Fingerprint of the schema, where it was asked for."""
    rights: Rights | None = None
    invalid_indexes: tuple[str, ...] = ()
    prepared: tuple[str, ...] = ()
    """Global ids of prepared transactions."""
    slots: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    roles: str = ""
    """Fingerprint of the cluster's roles: a rollback does not undo them."""
    databases: tuple[str, ...] = ()
    """The names of all databases of the server."""
    needs_superuser: tuple[str, ...] = ()
    """What only a superuser can load from a backup: event triggers, untrusted extensions."""
    collation_changed: bool = False
    """The database was made with another version of the operating system's collations."""
    origin: str = ""
    """
    The system identifier of the server that the database was first guarded on; empty: this one.

    A database in memory gets a new server at each start, and stays the same database.
    """

    @property
    def born(self) -> str:
        """Which database it is, wherever its server went: its backups say the same."""
        return self.origin or self.server.system_identifier

    @property
    def empty(self) -> bool:
        """Nothing of the app is in it."""
        return self.tables == 0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Look":
        """Read it back from JSON."""
        records = {
            "server": revive(Server, values["server"]),
            "properties": revive(Properties, values["properties"]),
            "ledger": revive(LedgerState, values["ledger"]),
            "rights": values["rights"] and revive(Rights, values["rights"]),
        }
        return revive(cls, {**values, **records})


@dataclass(frozen=True)
class App:
    """The Compose service whose migrations are run."""

    project: str
    service: str
    container: str
    image: str
    """Id of the image: ``sha256:…``."""
    image_name: str
    """As the compose file names it."""
    digest: str | None
    """``repository@sha256:…``, where the image came from a registry."""
    environment: Mapping[str, str] = field(repr=False)
    working_directory: str = "/"
    code_mounts: tuple[str, ...] = ()
    """Where code of the host is mounted: the image's id says nothing about it."""
    running: bool = False
    images: Mapping[str, str] = field(default_factory=dict)
    """What to pin, by service that waits for the guard."""

    @property
    def title(self) -> str:
        """As the log names it."""
        return f"{self.service} ({self.image_name})" if self.image_name else self.service

    @property
    def pin(self) -> str:
        """What to write after ``image:`` so that exactly this image is used again."""
        return self.digest or self.image


@dataclass(frozen=True)
class Place:
    """Where migsafe runs, for the words on the card."""

    project: str
    service: str
    working_directory: str
    """Of the project, on the host."""
    config_files: tuple[str, ...] = ()
    backups: str | None = None
    """The folder of backups on the host, or the name of the volume."""
    database_service: str | None = None
    """The Compose service that runs the database, where it is one."""
    env_files: tuple[str, ...] = ()
    """That were given on the command line."""


@dataclass(frozen=True)
class Host:
    """The engine that containers run on."""

    id: str = ""
    """Empty where it can't be told: a proxy may keep it to itself."""
    name: str = ""
    by: str = ""
    """Where there is no engine, the command that stands for it: ``begin`` or ``wrap``."""


@dataclass(frozen=True)
class Exit:
    """How a container ended."""

    code: int
    out_of_memory: bool = False
    error: str = ""
    """Of the engine, when the container did not start."""
    seconds: float = 0.0
    tail: tuple[str, ...] = ()
    """The last lines that it printed."""
    passing: bool = False
    """The engine itself failed, which says nothing of the image."""

    @property
    def good(self) -> bool:
        """Exit code 0 and nothing killed inside (a child's OOM kill leaves the code 0)."""
        return self.code == 0 and not self.out_of_memory and not self.error


IDENTIFIER_BYTES = 63
"""PostgreSQL cuts longer names off without an error (NAMEDATALEN - 1)."""


def scratch_name(database: str, run: str, purpose: str = "point") -> str:
    """
    Name a database of ours, so that it can be told from every other.

    >>> scratch_name("shop", "20260131-235958-3fa2")
    'shop__migsafe_point_20260131_235958_3fa2'
    """
    return _suffixed(database, f"__migsafe_{purpose}_{run.replace('-', '_')}")


KEPT = re.compile(r"__kept_\d{8}_\d{6}_[0-9a-f]+$")
"""The mark of a database that was set aside."""


def kept_name(database: str, run: str) -> str:
    """Name a database that is set aside."""
    return _suffixed(database, f"__kept_{run.replace('-', '_')}")


def restored_name(database: str) -> str:
    """Name a database that an operator loads by hand."""
    return _suffixed(database, "_restored")


def _suffixed(database: str, suffix: str) -> str:
    room = IDENTIFIER_BYTES - len(suffix.encode())
    return database.encode()[:room].decode(errors="ignore") + suffix


def _sealed(key: str, *words: str) -> str:
    if words[-1].startswith(SEAL):
        return words[-1]
    return SEAL + fingerprint([key, *words])


def fingerprint(lines: object) -> str:
    """Hash any JSON value, stable across runs and machines."""
    text = json.dumps(lines, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def revive(kind: type[T], values: Mapping[str, Any]) -> T:
    """
    Build a record from JSON, where its tuples have become lists.

    Raises:
        TypeError: a field is missing or unknown.

    """
    return kind(**{name: _tuples(value) for name, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
