"""PostgreSQL servers in containers, one for each major: started together, removed for certain."""

import hashlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from sidecar.connections import Connection
from sidecar.journal import CONTROL

MAJORS = (13, 15, 17, 18)
OLDEST, NEWEST = MAJORS[0], MAJORS[-1]

PASSWORD = 'canary: it\'s 100 % "secret" \\ /@#'
"""Of every role: with everything in it that ever needed quoting."""

SETTINGS = {
    "max_connections": "60",
    "max_prepared_transactions": "5",
    "max_wal_size": "128MB",
    "shared_buffers": "32MB",
    "wal_level": "logical",
}

IN_MEMORY = ("--tmpfs=/memory", "--env=PGDATA=/memory/data")

TEXT = {"client_encoding": "UTF8"}
"""Tests speak UTF-8, whatever a database is encoded in."""

LABEL = "migsafe.tests.integration"
CHECKOUT = hashlib.sha256(str(Path(__file__).resolve()).encode()).hexdigest()[:8]
PREFIX = f"migsafe-it-{CHECKOUT}-{os.getpid()}"
SECONDS_TO_START = 120
STANDBY_PORT = 5433
"""A second server can be started in the container, behind this port."""

_numbers = count(1)


def fresh(purpose: str) -> str:
    """Name a database or a run that no other test has."""
    return f"{purpose}_{next(_numbers)}"


@dataclass
class Server:
    """One server, and what tests do with it beside the code under test."""

    major: int
    name: str
    port: int = 0
    standby_port: int = 0
    user: str = "postgres"
    stays: set[str] = field(default_factory=lambda: {"postgres", "template0", "template1", CONTROL})
    """Databases that outlive a test."""

    @property
    def conninfo(self) -> dict[str, Any]:
        """Give the superuser's way in from this machine."""
        return self.conninfo_of(self.user)

    def conninfo_of(self, user: str, password: str = PASSWORD) -> dict[str, Any]:
        """Give a role's way in from this machine."""
        return {"host": "127.0.0.1", "port": self.port, "user": user, "password": password}

    @contextmanager
    def session(self, database: str = "postgres", user: str | None = None) -> Iterator[Connection]:
        """Connect as an app would, committing each statement."""
        keywords = self.conninfo_of(user or self.user) | {"dbname": database, **TEXT}
        with psycopg.connect(**keywords, autocommit=True, connect_timeout=10) as session:
            yield session

    def run(self, statement: str, database: str = "postgres", user: str | None = None) -> None:
        """Execute a statement, or several in one transaction."""
        with self.session(database, user) as session:
            session.execute(statement.encode())

    def rows(self, query: str, database: str = "postgres", *values: object) -> list[Any]:
        """Read the rows of a query."""
        with self.session(database) as session:
            return session.execute(query.encode(), values or None).fetchall()

    def value(self, query: str, database: str = "postgres", *values: object) -> Any:
        """Read one value."""
        return self.rows(query, database, *values)[0][0]

    def create(self, purpose: str, options: str = "TEMPLATE template0") -> str:
        """Make a database that the test throws away."""
        name = fresh(purpose)
        self.run(f"CREATE DATABASE {quoted(name)} {options}")
        return name

    def clear(self) -> None:
        """Drop what a test has left."""
        with self.session() as session:
            for name, template in session.execute("SELECT datname, datistemplate FROM pg_database"):
                if name in self.stays:
                    continue
                if template:
                    session.execute(f"ALTER DATABASE {quoted(name)} IS_TEMPLATE false".encode())
                session.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)".encode())

    def program(
        self, *argv: str, database: str = "", stdin: bytes = b"", check: bool = True
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a program of the server's own container, over its local socket."""
        environment = {"PGDATABASE": database, "PGUSER": self.user, "PGPASSWORD": PASSWORD}
        env = [f"--env={key}={value}" for key, value in environment.items() if value]
        command = ["docker", "exec", "--interactive", "--user=postgres", *env, self.name, *argv]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        if check:
            assert done.returncode == 0, done.stderr.decode()
        return done

    def script(self, text: str, database: str, user: str = "") -> None:
        """Run a psql script to its end; it decides itself which errors it expects."""
        argv = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-")
        role = (f"--username={user}",) if user else ()
        start = "\\encoding UTF8\n"
        self.program(*argv, *role, database=database, stdin=(start + text).encode())

    def kill(self) -> None:
        """Kill every process of the server at once, as a power cut does."""
        docker("kill", "--signal=KILL", self.name)

    def start(self) -> None:
        """Start it again after a kill."""
        docker("start", self.name)
        self.wait()

    def wait(self) -> None:
        """Wait until it lets somebody in; a restart may have given it another port."""
        until = time.monotonic() + SECONDS_TO_START
        while True:
            with suppress(psycopg.OperationalError, _NotUp):
                self.port, self.standby_port = self._ports()
                with self.session():
                    return
            assert time.monotonic() < until, docker("logs", "--tail=20", self.name, check=False)
            time.sleep(0.1)

    def _ports(self) -> tuple[int, int]:
        found = json.loads(docker("inspect", self.name))[0]
        ports: Mapping[str, Any] = found["NetworkSettings"]["Ports"]
        if not found["State"]["Running"] or not ports.get("5432/tcp"):
            raise _NotUp
        first, second = (int(ports[f"{port}/tcp"][0]["HostPort"]) for port in (5432, STANDBY_PORT))
        return first, second


class _NotUp(Exception):
    """The container has no ports yet."""


@contextmanager
def running(majors: Iterable[int], *, killed: bool = False) -> Iterator[dict[int, Server]]:
    """
    Start servers, all at once, and remove them in the end, whatever happens.

    Those that are to be killed keep their data on the disk, the others in memory.
    """
    remove_leftovers()
    purpose = "kill" if killed else "pg"
    found = {major: Server(major, f"{PREFIX}-{purpose}{major}") for major in majors}
    try:
        starting = [_start(server, *(() if killed else IN_MEMORY)) for server in found.values()]
        for process in starting:
            _, complaint = process.communicate()
            assert process.returncode == 0, f"{complaint.decode()}(`make images` makes images)"
        for server in found.values():
            server.wait()
        yield found
    finally:
        for server in found.values():
            docker("rm", "--force", "--volumes", server.name, check=False)


def _start(server: Server, *more: str) -> "subprocess.Popen[bytes]":
    settings = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
    ports = [f"--publish=127.0.0.1::{port}" for port in (5432, STANDBY_PORT)]
    labels = [f"--label={LABEL}={CHECKOUT}", f"--label={LABEL}.pid={_me()}"]
    secret = "--env=POSTGRES_PASSWORD"
    options = ["--detach", f"--name={server.name}", *ports, *labels, secret, *more]
    return subprocess.Popen(
        ["docker", "run", *options, f"postgres:{server.major}", "postgres", *settings],
        env={**os.environ, "POSTGRES_PASSWORD": PASSWORD},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def remove_leftovers() -> None:
    """Remove servers of an earlier test process that was killed: of this checkout, and gone."""
    row = '{{.ID}} {{.Label "' + LABEL + '.pid"}}'
    listed = docker("ps", "--all", f"--filter=label={LABEL}={CHECKOUT}", f"--format={row}")
    for line in listed.splitlines():
        container, host, pid = (*line.split(), "", "")[:3]
        if host == socket.gethostname() and not _alive(int(pid)):
            docker("rm", "--force", "--volumes", container, check=False)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _me() -> str:
    return f"{socket.gethostname()} {os.getpid()}"


def docker(*argv: str, check: bool = True) -> str:
    """Run the Docker command line and return what it says."""
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, check=False)
    if check:
        assert done.returncode == 0, done.stderr
    return done.stdout


def quoted(name: str) -> str:
    """Quote an identifier, independently of the code under test."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a value, independently of the code under test."""
    return "'" + text.replace("'", "''") + "'"
