"""
A seat for guards: a small project without Compose, put back in a moment.

The containers carry Compose's labels, so that a guard that is executed in one of them finds its
app, its database and a worker, as it would in a real project. One server belongs to each seat: a
migration that wrote nothing is known by the transaction ids of its whole server.
"""

import hashlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import psycopg
from docker.types import EndpointConfig
from docker.utils import kwargs_from_env

from sidecar.connections import Connection
from tests.integration.servers import quoted

from .events import Events

CHECKOUT = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:6]
PREFIX = f"migsafe-sweep-{CHECKOUT}"
LABEL = "migsafe.tests.sweep"

IMAGE = os.environ.get("MIGSAFE_IMAGE", "migsafe:dev")
SERVER_IMAGE = "postgres:17"
APP_IMAGE = "migsafe-e2e-plainsql:v1"

LIVE = "shop"
GOLDEN = "golden"
CONTROL = "migsafe"
OURS = ("postgres", "template0", "template1", GOLDEN)
"""Databases that are there before anything happens."""

CANARY = "canary-7f3a91c04e"
"""The app's password: it is looked for wherever something is written."""

OUTDATED = "canary-once-upon-a-time"
"""What the server's own environment says its superuser's password is, and is no longer."""

IN_MEMORY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
ALWAYS = {
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "log_statement": "none",
}

REAPER = "import signal, time; signal.signal(signal.SIGCHLD, signal.SIG_IGN); time.sleep(1e9)"
"""What the seat itself does: it waits, and buries what guards leave."""

_PASSED = re.compile(r"failpoint ([\w.-]+@\d+): ")
"""Two streams are put together here: a line may stand behind another."""

ALONE = "migsafe {command}; code=$?; kill -9 -- -1 2>/dev/null; exit $code"
"""A container's death takes along what its first process has started."""

SHOP = """
CREATE TABLE books (id int PRIMARY KEY, title text NOT NULL, subtitle text);
INSERT INTO books SELECT n, 'book ' || n, 'about ' || n FROM generate_series(1, 120) n;
CREATE TABLE orders (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    book int NOT NULL REFERENCES books,
    note text
);
INSERT INTO orders (book, note) SELECT 1 + n % 120, md5(n::text) FROM generate_series(1, 600) n;
CREATE INDEX orders_book ON orders (book);
CREATE TABLE notes (body text);
INSERT INTO notes SELECT repeat('n', n) FROM generate_series(1, 40) n;
CREATE VIEW bestsellers AS SELECT book, count(*) AS sold FROM orders GROUP BY book;
CREATE FUNCTION sold(int) RETURNS bigint LANGUAGE sql STABLE
  AS 'SELECT count(*) FROM orders WHERE book = $1';
GRANT SELECT ON books TO reader;
SELECT lo_create(4711);
"""

ROLES = f"""
CREATE ROLE sweep SUPERUSER LOGIN PASSWORD '{CANARY}';
CREATE ROLE reader;
CREATE ROLE owner LOGIN CREATEDB PASSWORD '{CANARY}';
CREATE ROLE poor LOGIN PASSWORD '{CANARY}';
GRANT pg_signal_backend TO owner;
ALTER ROLE postgres PASSWORD '{CANARY}';
"""

GIVEN = (
    "ALTER DATABASE {} SET work_mem = '5MB'",
    "ALTER DATABASE {} CONNECTION LIMIT 30",
    "GRANT CONNECT, TEMPORARY ON DATABASE {} TO reader",
    "COMMENT ON DATABASE {} IS 'the shop''s own'",
)
"""What hangs on the live database's name."""


@dataclass(frozen=True)
class Shape:
    """How a project is built, where scenarios differ in it."""

    role: str = "owner"
    """As whom the app connects, and who owns the database."""
    apart: bool = False
    """The guard's own network is not the database's."""


@dataclass(frozen=True)
class Ran:
    """How one execution of a command ended."""

    code: int
    output: str
    started: float
    ended: float

    @property
    def passed(self) -> tuple[str, ...]:
        """The failpoints that took an action, as ``name@passing``."""
        return tuple(_PASSED.findall(self.output))


@dataclass
class Seat:
    """One project, and its server."""

    number: int
    folder: Path
    """The backups."""
    durable: bool = False
    """The server is to be killed: it keeps its data on the disk."""
    api: docker.APIClient = field(init=False)
    events: Events = field(init=False)
    shape: Shape | None = None
    address: str = ""
    """Of the server."""

    def __post_init__(self) -> None:
        self.api = self.own_api()

    # --- names

    @property
    def project(self) -> str:
        """Name the project."""
        return f"{PREFIX}-{os.getpid()}-{self.number}"

    def container(self, service: str) -> str:
        """Name a service's container, as Compose does."""
        return f"{self.project}-{service}-1"

    @property
    def back(self) -> str:
        """Name the network of app and database."""
        return f"{self.project}_back"

    @property
    def front(self) -> str:
        """Name the guard's own network."""
        return f"{self.project}_front"

    # --- made and removed

    def make(self) -> None:
        """Make networks, server, seat and worker."""
        self.events = Events(self.project)
        for network in (self.back, self.front):
            self.api.create_network(network, labels=self._labels())
        self._make_server()
        self._make_seat()
        self._make_golden()

    def remove(self) -> None:
        """Remove everything of the project."""
        remove_project(self.api, self.project)
        if hasattr(self, "events"):
            self.events.close()

    def _make_server(self) -> None:
        settings = ALWAYS | ({} if self.durable else IN_MEMORY)
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        memory = {} if self.durable else {"tmpfs": {"/memory": "mode=1777"}}
        environment = {"POSTGRES_PASSWORD": OUTDATED, "POSTGRES_DB": "postgres"}
        if not self.durable:
            environment["PGDATA"] = "/memory/data"
        self._create("db", SERVER_IMAGE, ["postgres", *words], environment, host=memory)
        self.api.start(self.container("db"))
        self.wait_for_server()
        self.execute(ROLES, user="postgres", password=OUTDATED)

    def wait_for_server(self) -> None:
        """Wait until the server lets somebody in; a restart may have given it another address."""
        until = time.monotonic() + 120
        while True:
            found = self.api.inspect_container(self.container("db"))
            self.address = found["NetworkSettings"]["Networks"][self.back]["IPAddress"]
            for user, password in (("sweep", CANARY), ("postgres", OUTDATED)):
                with suppress(psycopg.OperationalError), self.session("postgres", user, password):
                    return
            assert time.monotonic() < until, "the server does not come up"
            time.sleep(0.05)

    def _make_seat(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        binds = ["/var/run/docker.sock:/var/run/docker.sock", f"{self.folder}:/backups"]
        self._create(
            "migsafe",
            IMAGE,
            ["-c", REAPER],
            {},
            entrypoint=["python3"],
            network=self.front,
            host={"binds": binds},
        )
        self.api.start(self.container("migsafe"))

    def _make_golden(self) -> None:
        self.execute(f"CREATE DATABASE {GOLDEN} TEMPLATE template0")
        self.execute(SHOP, GOLDEN)
        self.execute(f"ALTER DATABASE {GOLDEN} ALLOW_CONNECTIONS false")
        # after a crash before the next checkpoint a sequence goes on up to 32 values later: what
        # is replayed was written ahead (SEQ_LOG_VALS in PostgreSQL's commands/sequence.c)
        self.execute("CHECKPOINT")

    def _create(
        self,
        service: str,
        image: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        entrypoint: Sequence[str] | None = None,
        network: str = "",
        labels: Mapping[str, str] | None = None,
        host: Mapping[str, Any] | None = None,
    ) -> None:
        network = network or self.back
        endpoint = EndpointConfig("1.41", aliases=[service])
        self.api.create_container(
            image,
            list(command),
            name=self.container(service),
            environment=dict(environment),
            entrypoint=list(entrypoint) if entrypoint else None,
            labels={**self._labels(service), **(labels or {})},
            host_config=self.api.create_host_config(network_mode=network, **(host or {})),
            networking_config={"EndpointsConfig": {network: endpoint}},
            stop_signal="SIGTERM" if service != "db" else None,
        )

    def _labels(self, service: str = "") -> dict[str, str]:
        of_compose = {
            "com.docker.compose.project": self.project,
            "com.docker.compose.project.working_dir": f"/srv/{self.project}",
            "com.docker.compose.project.config_files": f"/srv/{self.project}/compose.yml",
            "com.docker.compose.version": "2.40.3",
        }
        of_service = {
            "com.docker.compose.service": service,
            "com.docker.compose.oneoff": "False",
            "com.docker.compose.container-number": "1",
            "com.docker.compose.config-hash": hashlib.sha256(service.encode()).hexdigest(),
        }
        mine = {LABEL: CHECKOUT, f"{LABEL}.pid": f"{socket.gethostname()} {os.getpid()}"}
        return {**of_compose, **(of_service if service else {}), **mine}

    # --- put back

    def reset(self, shape: Shape) -> None:
        """Put everything back to where no guard has ever been."""
        self._remove_one_offs()
        if shape != self.shape:
            self._reshape(shape)
        self._reset_networks()
        for path in self.folder.iterdir():
            path.unlink()
        self._reset_server(shape.role)
        self._start_worker()
        self.events.forget()

    def _remove_one_offs(self) -> None:
        for container in self.one_offs():
            with suppress(docker.errors.NotFound):
                self.api.remove_container(container, v=True, force=True)

    def _reshape(self, shape: Shape) -> None:
        for service in ("app", "worker"):
            with suppress(docker.errors.NotFound):
                self.api.remove_container(self.container(service), v=True, force=True)
        environment = {
            "PGHOST": "db",
            "PGUSER": shape.role,
            "PGPASSWORD": CANARY,
            "PGDATABASE": LIVE,
        }
        waits = {"com.docker.compose.depends_on": "migsafe:service_completed_successfully:false"}
        # a psql that is the first process would not heed the signal that stops it
        self._create("app", APP_IMAGE, ["true"], environment, labels=waits, host={"init": True})
        reads = ["sh", "-c", "sleep 1000000 | psql -qX"]
        self._create("worker", APP_IMAGE, reads, environment, host={"init": True})
        self.shape = shape

    def _reset_networks(self) -> None:
        assert self.shape is not None
        joined = self.networks()
        if self.shape.apart and self.back in joined:
            self.api.disconnect_container_from_network(self.container("migsafe"), self.back)
        if not self.shape.apart and self.back not in joined:
            self.api.connect_container_to_network(
                self.container("migsafe"), self.back, aliases=["migsafe"]
            )

    def _reset_server(self, role: str) -> None:
        with self.session() as session:
            for name in self.databases():
                if name not in OURS:
                    session.execute(f"ALTER DATABASE {quoted(name)} IS_TEMPLATE false".encode())
                    session.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)".encode())
            for lent in self.lent_roles():
                session.execute(f"DROP ROLE {lent}".encode())
            session.execute(f"CREATE DATABASE {LIVE} TEMPLATE {GOLDEN}".encode())
            for statement in GIVEN:
                session.execute(statement.format(LIVE).encode())
            session.execute(f"ALTER DATABASE {LIVE} OWNER TO {role}".encode())
        owners = "".join(f"ALTER TABLE {table} OWNER TO {role};" for table in TABLES)
        self.execute(
            f"{owners} ALTER VIEW bestsellers OWNER TO {role};"
            f" ALTER FUNCTION sold OWNER TO {role}; ALTER LARGE OBJECT 4711 OWNER TO {role}",
            LIVE,
        )

    def _start_worker(self) -> None:
        # the session that it had has gone with the database
        self.api.restart(self.container("worker"), timeout=0)
        until = time.monotonic() + 20
        while not self.sessions("psql"):
            assert time.monotonic() < until, "the worker does not come up"
            time.sleep(0.02)

    # --- guards

    def guard(
        self, environment: Mapping[str, str], failpoints: str = "", command: str = "guard"
    ) -> Ran:
        """Run a command of migsafe to its end."""
        self._age_roles()
        started = time.time()
        created = self.begin(environment, failpoints, ALONE.format(command=command))
        output = bytes(self.api.exec_start(created))
        code = int(self.api.exec_inspect(created)["ExitCode"])
        assert code != 2, output.decode()
        self._wait_for_programs()
        return Ran(code, output.decode(errors="replace"), started, time.time())

    def begin(self, environment: Mapping[str, str], failpoints: str, script: str) -> str:
        """Prepare an execution in the seat."""
        armed = {"MIGSAFE_FAILPOINTS": failpoints} if failpoints else {}
        created = self.api.exec_create(
            self.container("migsafe"),
            ["sh", "-c", script],
            environment={**environment, **armed},
        )
        return str(created["Id"])

    def _age_roles(self) -> None:
        """Let two hours pass for a role that a killed guard had been lent."""
        for lent in self.lent_roles():
            expires = "to_char(now() + interval '22 hours', 'YYYY-MM-DD HH24:MI:SS')"
            when = self.rows(f"SELECT {expires}")[0][0]
            self.execute(f"ALTER ROLE {lent} VALID UNTIL '{when}'")

    def _wait_for_programs(self) -> None:
        """Wait until the server has noticed that the programs of a guard are gone."""
        until = time.monotonic() + 10
        with suppress(psycopg.OperationalError):
            while self.sessions("pg_dump", "migsafe", "pg_restore"):
                if time.monotonic() > until:
                    return
                time.sleep(0.02)

    def own_api(self) -> docker.APIClient:
        """Connect anew, for a thread of its own."""
        return docker.APIClient(version="auto", timeout=300, **kwargs_from_env())

    def gateway(self) -> str:
        """Give the address of this machine, as the seat sees it."""
        found = self.api.inspect_network(self.front)
        return str(found["IPAM"]["Config"][0]["Gateway"])

    # --- what is there

    @contextmanager
    def session(
        self, database: str = "postgres", user: str = "sweep", password: str = CANARY
    ) -> Iterator[Connection]:
        """Connect past everything of migsafe."""
        with psycopg.connect(
            host=self.address,
            user=user,
            password=password,
            dbname=database,
            autocommit=True,
            connect_timeout=10,
            application_name="sweep",
        ) as session:
            yield session

    def execute(
        self,
        statements: str,
        database: str = "postgres",
        user: str = "sweep",
        password: str = CANARY,
    ) -> None:
        """Execute statements."""
        with self.session(database, user, password) as session:
            session.execute(statements.encode())

    def rows(self, query: str, database: str = "postgres", *values: object) -> list[Any]:
        """Read the rows of a query."""
        with self.session(database) as session:
            return session.execute(query.encode(), values or None).fetchall()

    def databases(self) -> list[str]:
        """Name the databases."""
        return [row[0] for row in self.rows("SELECT datname FROM pg_database ORDER BY 1")]

    def lent_roles(self) -> list[str]:
        """Name the roles that a superuser has lent to a guard."""
        found = self.rows("SELECT rolname FROM pg_roles WHERE rolname LIKE 'migsafe%'")
        return [row[0] for row in found]

    def sessions(self, *applications: str) -> int:
        """Count sessions by their names, on whatever database."""
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND split_part(application_name, ' ', 1) = ANY(%s)"
        )
        return int(self.rows(query, "postgres", list(applications))[0][0])

    def networks(self) -> set[str]:
        """Name the networks that the seat is on."""
        found = self.api.inspect_container(self.container("migsafe"))
        return set(found["NetworkSettings"]["Networks"])

    def one_offs(self) -> list[str]:
        """Name the containers that guards have made."""
        labels = [f"com.docker.compose.project={self.project}", "migsafe.role"]
        found = self.api.containers(all=True, filters={"label": labels})
        return [container["Names"][0].lstrip("/") for container in found]

    def worker_runs(self) -> bool:
        """Tell whether the worker runs."""
        state = self.api.inspect_container(self.container("worker"))["State"]
        return bool(state["Running"])


TABLES = ("books", "orders", "notes")


@contextmanager
def seats(count: int, folder: Path, *, durable: bool = False) -> Iterator[list[Seat]]:
    """Make seats, all at once, and remove them in the end, whatever happens."""
    first = 100 if durable else 0
    found = [Seat(first + n, folder / f"seat{first + n}", durable=durable) for n in range(count)]
    remove_leftovers(found[0].api)
    errors: list[BaseException] = []

    def make(seat: Seat) -> None:
        try:
            seat.make()
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=make, args=(seat,)) for seat in found]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for error in errors:
            raise error
        yield found
    finally:
        for seat in found:
            seat.remove()


def remove_project(api: docker.APIClient, project: str) -> None:
    """Remove the containers and networks of a project."""
    label = {"label": f"com.docker.compose.project={project}"}
    for container in api.containers(all=True, filters=label):
        with suppress(docker.errors.APIError):
            api.remove_container(container["Id"], v=True, force=True)
    for network in api.networks(filters=label):
        with suppress(docker.errors.APIError):
            api.remove_network(network["Id"])


def remove_leftovers(api: docker.APIClient) -> None:
    """Remove what an earlier process that was killed has left: of this checkout, and gone."""
    for container in api.containers(all=True, filters={"label": f"{LABEL}={CHECKOUT}"}):
        host, pid = container["Labels"][f"{LABEL}.pid"].split()
        if host == socket.gethostname() and not Path(f"/proc/{pid}").exists():
            remove_project(api, container["Labels"]["com.docker.compose.project"])
