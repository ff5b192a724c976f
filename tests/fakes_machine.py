"""
A machine as values: a database server, containers, files and the time.

It is what survives when a guard is killed. It moves on only when time passes or a guard does
something: then whoever is connected writes, and a migration takes its next step.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sidecar.backups import MANIFEST_SUFFIX
from sidecar.facts import Host, LedgerState, Look, Properties, Rights, Server
from tests.fakes_data import CHANGES, Data

LIVE = "shop"
EPOCH = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
SECRET = "hunter2-in-the-clear"
"""What every migration prints, and no journal and no manifest may hold."""

SIZE = 8 << 20
"""Bytes that every database is said to have."""

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

Step = tuple[str, ...]
"""``begin CHANGE``, ``commit``, ``drop``, ``exit CODE [oom]``, ``vanish``, ``hang``."""


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
    host: Host = field(default_factory=lambda: Host("E1", "here"))
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
    holder: str | None = None
    """The run that held it last."""
    key: str = ""
    """The private key that opens the backups, wherever it is."""
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
    system: str = "7000000000000000001"
    """The server's system identifier."""
    forgotten: set[str] = field(default_factory=set)
    """What was in databases that were set aside, and dropped long after."""

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
            case ("drop",):
                self.backends.pop(container.pid or 0, None)
                del self.databases[LIVE]
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
        run = container.name.rpartition("migration-")[2]
        if self.holder != run:
            self.violations.append(f"7: {container.name} starts, and {self.holder} had the lock")
        if not self._backed_up(run):
            self.violations.append(f"3: {container.name} starts without a whole backup")
        container.status = "running"

    def plain(self, payload: bytes) -> bytes:
        """Decrypt a backup, whoever may do so on this machine."""
        if not payload.startswith(b"age-encryption.org/"):
            return payload
        from sidecar import age  # noqa: PLC0415 - most histories have none of it

        return b"".join(age.decrypt(iter([payload]), age.identities(self.key.encode()), "x"))

    def _backed_up(self, run: str) -> bool:
        """Look for a backup of this run that holds what the live database does."""
        live = self.databases.get(LIVE)
        for name, data in self.files.items():
            payload = self.files.get(name.removesuffix(MANIFEST_SUFFIX))
            if payload is None or not name.endswith(MANIFEST_SUFFIX):
                continue
            try:
                manifest = json.loads(data)
            except ValueError:
                continue
            found = hashlib.sha256(payload).hexdigest()
            if manifest["run"] == run and manifest["sha256"] == found and live is not None:
                return Data.load(self.plain(payload)).core == live.data.core
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

    @property
    def server(self) -> Server:
        """Describe the server as it does itself."""
        return Server("17.6", 170006, self.system)

    def look(self, name: str, *, catalog: bool) -> Look:
        """Describe a database as the adapter does."""
        row = self.databases[name]
        return Look(
            database=name,
            server=self.server,
            oid=row.oid,
            size=SIZE,
            properties=row.properties,
            ledger=row.data.state if row.data.ledger else LedgerState("generic"),
            tables=len(row.data.tables),
            catalog=row.data.catalog if catalog else "",
            rights=RIGHTS,
            databases=tuple(sorted(n for n in self.databases if "__migsafe_" not in n)),
        )
