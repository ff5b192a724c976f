"""
A machine as values: a database server, containers, files and the time.

It is what survives when a guard is killed. It moves on only when time passes or a guard does
something: then whoever is connected writes, and a migration takes its next step.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zlib import crc32

from sidecar.facts import (
    Contents,
    LedgerState,
    Look,
    Properties,
    Rights,
    Server,
    Table,
    fingerprint,
)

LIVE = "shop"
EPOCH = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
SIZE = 8 << 20
"""Bytes that every database is said to have."""

END = b"-- PostgreSQL database dump complete\n"
"""The last line of a plain dump."""

PROPERTIES = Properties(
    owner="shop",
    encoding="UTF8",
    collate="C",
    ctype="C",
    comment="the shop",
    settings=(("", "timezone", "UTC"),),
)
MADE = Properties(owner="postgres", encoding="UTF8", collate="C", ctype="C")
"""What ``CREATE DATABASE`` gives a copy before its properties are replayed."""

RIGHTS = Rights("postgres", superuser=True, create_database=True, owns=True, signal=True)


@dataclass(frozen=True)
class Data:
    """What is in a database, as a value."""

    tables: Mapping[str, tuple[str, ...]]
    ledger: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    """Versions that the ledger marks as failed."""
    events: frozenset[str] = frozenset()
    """What clients have written meanwhile."""

    @property
    def core(self) -> "Data":
        """Everything but what clients have written: that is told apart by who wrote it, when."""
        return replace(self, events=frozenset())

    @property
    def catalog(self) -> str:
        """Fingerprint of the schema."""
        return fingerprint(sorted(self.tables))

    @property
    def contents(self) -> Contents:
        """Count the rows."""
        rows = {**{name: len(rows) for name, rows in self.tables.items()}, "events": len(self.events)}
        tables = (Table("public", name, n, crc32(name.encode())) for name, n in sorted(rows.items()))
        return Contents(tuple(tables), self.catalog)

    @property
    def state(self) -> LedgerState:
        """Read the ledger."""
        return LedgerState(
            preset="rails",
            schema="public",
            table="schema_migrations",
            versions=self.ledger,
            bad=self.bad,
            fingerprint=fingerprint([self.ledger, self.bad]),
        )

    def dump(self) -> bytes:
        """Write it as a plain dump ends: a line of JSON stands in for the SQL."""
        values = {**vars(self), "events": sorted(self.events), "tables": dict(self.tables)}
        return json.dumps(values).encode() + b"\n" + END

    @classmethod
    def load(cls, dump: bytes) -> "Data":
        """Read a dump back."""
        values = json.loads(dump.splitlines()[0])
        return cls(
            {name: tuple(rows) for name, rows in values["tables"].items()},
            tuple(values["ledger"]),
            tuple(values["bad"]),
            frozenset(values["events"]),
        )


BEFORE = Data({"users": tuple(f"user {n}" for n in range(8)), "orders": ("1", "2", "3")}, ("1", "2"))

EMPTY = Data({})

Change = Callable[[Data], Data]


def _adds_invoices(data: Data) -> Data:
    return replace(data, tables={**data.tables, "invoices": ("i1", "i2")}, ledger=(*data.ledger, "3"))


def _fills_invoices(data: Data) -> Data:
    invoices = (*data.tables["invoices"], "i3")
    return replace(data, tables={**data.tables, "invoices": invoices}, ledger=(*data.ledger, "4"))


def _loses_users(data: Data) -> Data:
    return replace(data, tables={**data.tables, "users": ("user 0",)}, ledger=(*data.ledger, "3", "4"))


def _marks_bad(data: Data) -> Data:
    return replace(data, ledger=(*data.ledger, "3", "4"), bad=("4",))


CHANGES: Mapping[str, Change] = {
    "adds invoices": _adds_invoices,
    "fills invoices": _fills_invoices,
    "loses users": _loses_users,
    "marks bad": _marks_bad,
}
"""What a migration's transactions do, by name: a machine holds values only."""

AFTER = _fills_invoices(_adds_invoices(BEFORE))

Step = tuple[str, ...]
"""``begin CHANGE``, ``commit``, ``exit CODE [oom]``, ``vanish`` or ``hang``; one a second."""


@dataclass
class FakeDatabaseRow:
    """One database of the server."""

    oid: int
    data: Data
    properties: Properties
    transactions: int = 0
    """Since it was made: nobody has been in a copy that has none."""


@dataclass
class Backend:
    """One session of the server."""

    pid: int
    oid: int
    """Of the database that it is on, whatever that is called now."""
    user: str
    application: str
    address: str
    pending: str | None = None
    """The change of an open transaction."""
    left_behind: float | None = None
    """Since when its client is gone: its statement still commits, a little later."""
    stubborn: bool = False
    """It can't be ended."""


@dataclass
class Container:
    """A one-off container."""

    name: str
    image: str
    program: tuple[Step, ...]
    address: str
    status: str = "created"
    code: int = 0
    out_of_memory: bool = False
    pid: int | None = None
    """Of its session."""


@dataclass
class Service:
    """A container of the project, which writes while it runs and is connected."""

    name: str
    address: str
    waits: bool = False
    """It waits for the guard: Compose does not start it before."""
    running: bool = True


@dataclass
class Machine:
    """Everything that outlives a guard."""

    time: float = 0.0
    databases: dict[str, FakeDatabaseRow] = field(default_factory=dict)
    backends: dict[int, Backend] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()
    """Names of clients that are not containers of the project."""
    files: dict[str, bytes] = field(default_factory=dict)
    journal: list[tuple[str, str, float, str]] = field(default_factory=list)
    """(run, phase, time, detail as JSON)"""
    lock: str | None = None
    """The run that holds it."""
    next_number: int = 16400
    next_transaction: int = 1000
    acknowledged: dict[str, int] = field(default_factory=dict)
    """How many writes each client was told are committed: they are numbered."""
    violations: list[str] = field(default_factory=list)
    """Promises that were broken in passing."""
    whole: tuple[Data, ...] = ()
    """What the live database may hold when a copy of it is dropped; empty: anything."""
    runs: int = 0
    """How many guards were started."""

    def number(self) -> int:
        """Give a number that nothing else has: an oid, or a pid."""
        self.next_number += 1
        return self.next_number

    @property
    def now(self) -> datetime:
        """The time of day."""
        return EPOCH + timedelta(seconds=self.time)

    def named(self, oid: int) -> FakeDatabaseRow | None:
        """Find a database by its oid."""
        return next((row for row in self.databases.values() if row.oid == oid), None)

    def create(self, name: str, data: Data, properties: Properties) -> FakeDatabaseRow:
        """Make a database."""
        row = self.databases[name] = FakeDatabaseRow(self.number(), data, properties)
        return row

    def sessions_on(self, oid: int) -> Iterator[Backend]:
        """List the sessions on a database."""
        return (backend for backend in self.backends.values() if backend.oid == oid)

    # --- time

    def move(self) -> None:
        """Let everybody who is connected write once; those who can't are connected first."""
        for name in (*self.strangers, *(s.name for s in self.services.values() if s.running)):
            self._write(name)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds
        for _ in range(max(round(seconds), 1)):
            for container in tuple(self.containers.values()):
                if container.status == "running":
                    self._step(container)
            for backend in tuple(self.backends.values()):
                if backend.left_behind is not None and self.time > backend.left_behind + 2:
                    self._commit(backend)
                    self.end(backend)
        self.move()

    def settle(self) -> None:
        """Let everything come to its end that will."""
        self.pass_time(30)

    def _write(self, client: str) -> None:
        backend = next((b for b in self.backends.values() if b.application == client), None)
        backend = backend or self.connect(client, self._address(client))
        row = self.named(backend.oid) if backend else None
        if row is None:
            return
        written = self.acknowledged.get(client, 0)
        note = f"{client} {written}"
        data = row.data
        row.data = Data(data.tables, data.ledger, data.bad, data.events | {note})
        row.transactions += 1
        self.next_transaction += 1
        self.acknowledged[client] = written + 1

    def _address(self, client: str) -> str:
        found = self.services.get(client)
        return found.address if found else "10.9.8.7"

    # --- sessions

    def connect(self, application: str, address: str) -> Backend | None:
        """Connect to the live database, if it lets one in."""
        row = self.databases.get(LIVE)
        if row is None or not row.properties.allow_connections:
            return None
        backend = Backend(self.number(), row.oid, "shop", application, address)
        self.backends[backend.pid] = backend
        return backend

    def end(self, backend: Backend) -> None:
        """End a session; its open transaction is undone, and a migration that loses it fails."""
        self.backends.pop(backend.pid, None)
        for container in self.containers.values():
            if container.pid == backend.pid and container.status == "running":
                container.status, container.code = "exited", 1

    def _commit(self, backend: Backend) -> None:
        row = self.named(backend.oid)
        if row is None or backend.pending is None:
            return
        row.data = CHANGES[backend.pending](row.data)
        row.transactions += 1
        self.next_transaction += 1
        backend.pending = None

    # --- the migration's container

    def stop_container(self, container: Container, code: int = 137) -> None:
        """Kill what runs in it; its statement in the server runs on."""
        if container.status != "running":
            return
        container.status, container.code = "exited", code
        self._leave(container)

    def _step(self, container: Container) -> None:
        if not container.program:
            return
        step, container.program = container.program[0], container.program[1:]
        match step:
            case ("begin", change):
                self._begin(container, change)
            case ("commit",):
                self._commit(self.backends[container.pid or 0])
            case ("exit", code, *oom):
                container.status, container.code = "exited", int(code)
                container.out_of_memory = bool(oom)
                self._leave(container)
            case ("vanish",):
                self._leave(container)
                del self.containers[container.name]
            case _:
                container.program = (step,)

    def _begin(self, container: Container, change: str) -> None:
        run = container.name.rpartition("migration-")[2]
        backend = self.backends.get(container.pid or 0) or self.connect(
            f"migsafe-{run}", container.address
        )
        if backend is None:  # it finds no database
            container.status, container.code = "exited", 1
            return
        container.pid, backend.pending = backend.pid, change

    def start_container(self, container: Container) -> None:
        """Start a migration, and note what should have kept it from starting."""
        others = [c.name for c in self.containers.values() if c.status == "running"]
        if others:
            self.violations.append(f"7: {container.name} starts while {others} run")
        writers = [s.name for s in self.services.values() if s.running]
        if writers:
            self.violations.append(f"5: {writers} run while {container.name} migrates")
        if not self._backed_up(container.name.rpartition("migration-")[2]):
            self.violations.append(f"3: {container.name} starts without a whole backup")
        container.status = "running"

    def _backed_up(self, run: str) -> bool:
        """Look for a backup of this run that holds what the live database does."""
        live = self.databases.get(LIVE)
        for name, data in self.files.items():
            if not name.endswith(".manifest.json"):
                continue
            manifest, payload = json.loads(data), self.files.get(name.removesuffix(".manifest.json"))
            if payload is None or manifest["run"] != run or live is None:
                continue
            if hashlib.sha256(payload).hexdigest() == manifest["sha256"]:
                return Data.load(payload).core == live.data.core
        return False

    def drop(self, name: str) -> None:
        """Drop a database, and note when the live one is not whole without it."""
        live = self.databases.get(LIVE)
        if self.whole and "_point_" in name and (live is None or live.data.core not in self.whole):
            self.violations.append(f"4: {name} is dropped while the live database is not whole")
        del self.databases[name]

    def stop_service(self, name: str) -> None:
        """Stop a service; its sessions end."""
        self.services[name].running = False
        for backend in tuple(self.backends.values()):
            if backend.application == name:
                self.end(backend)

    def _leave(self, container: Container) -> None:
        backend = self.backends.get(container.pid or 0)
        if backend is not None and backend.pending is None:
            self.end(backend)
        elif backend is not None:
            backend.left_behind = self.time

    # --- what is there

    def look(self, name: str, *, catalog: bool) -> Look:
        """Describe a database as the adapter does."""
        row = self.databases[name]
        return Look(
            database=name,
            server=Server("17.6", 170006, "7000000000000000001"),
            oid=row.oid,
            size=SIZE,
            properties=row.properties,
            ledger=row.data.state if row.data.ledger else LedgerState("generic"),
            tables=len(row.data.tables),
            catalog=row.data.catalog if catalog else "",
            rights=RIGHTS,
            databases=tuple(sorted(n for n in self.databases if "__migsafe_" not in n)),
        )
