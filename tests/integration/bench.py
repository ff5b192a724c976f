"""The adapters under test, put together as ``wiring`` does, and their collaborators of the test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from sidecar import age
from sidecar.backups import Format, Manifest
from sidecar.borrowed import Borrowed
from sidecar.clients import Chosen
from sidecar.clock import SystemClock
from sidecar.facts import Look, scratch_name
from sidecar.journal import ControlDatabase, open_control
from sidecar.keys import Keys
from sidecar.ports import Tools
from sidecar.postgres import PostgresDatabase
from sidecar.stores.local import LocalStore
from sidecar.vault import LocalVault

from .servers import Server, fresh

CLOCK = SystemClock()
IN_CLEAR = Keys()


class Told:
    """Hears what the operator would."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, message: str, **_facts: Any) -> None:
        """Keep a step."""
        self.said.append(message)

    def redact(self, text: str) -> str:
        """Hide nothing: there is no secret in these tests."""
        return text

    def warn(self, message: str, **_facts: Any) -> None:
        """Keep a warning."""
        self.warned.append(message)

    def output(self, line: str) -> None:
        """Keep a line of the migration."""
        self.said.append(line)

    @contextmanager
    def progress(self, _message: str) -> Iterator[Callable[[int], None]]:
        """Watch a long step."""
        yield lambda _done: None


class Going:
    """Was never asked to stop."""

    def check(self) -> None:
        """Go on."""


@dataclass(frozen=True)
class Bench:
    """One database, with everything that acts on it."""

    server: Server
    name: str
    control: ControlDatabase
    database: PostgresDatabase
    store: LocalStore
    told: Told
    stack: ExitStack
    keys: Keys = IN_CLEAR

    @classmethod
    def open(
        cls, client: docker.APIClient, server: Server, name: str, user: str, folder: Path
    ) -> "Bench":
        """Connect as a role, with the client programs of the server's own container."""
        conninfo = server.conninfo_of(user)
        inside = {"user": user, "password": conninfo["password"]}
        tools = Chosen(lambda: Borrowed(client, server.name, inside))
        control = open_control(conninfo, name, CLOCK)
        database = PostgresDatabase(control, conninfo, tools, CLOCK)
        stack = ExitStack()
        stack.callback(control.close)
        return cls(server, name, control, database, LocalStore(folder), Told(), stack)

    def close(self) -> None:
        """End the session on the control database, and what else was opened."""
        self.stack.close()

    def vault(self, written: Format = Format.SQL) -> LocalVault:
        """Keep backups in the test's folder."""
        return LocalVault(
            self.store, self.database, written, CLOCK, self.told, Going(), keys=self.keys
        )

    def back_up(self, written: Format = Format.SQL) -> tuple[Look, Manifest]:
        """Look at the database and back it up."""
        vault = self.vault(written)
        look = self.database.look(catalog=True)
        return look, vault.take(vault.next_backup(), "run", look, {})

    def load(self, name: str, look: Look, written: Format) -> str:
        """Load a backup into a new scratch database, as a rollback does."""
        scratch = scratch_name(self.name, run_id(), "load")
        _, chunks = self.vault().chunks(name)
        self.database.load(scratch, chunks, written, look.properties)
        return scratch

    def clone(self, look: Look) -> tuple[str, int]:
        """Make a restore point of the database."""
        name = scratch_name(self.name, run_id())
        return name, self.database.clone(name, look.properties, look.size)


def keys_in(folder: Path) -> Keys:
    """Make a key whose private half is in a file, as an operator mounts it."""
    public, private = map(str, age.passing())
    path = folder / "key.txt"
    path.write_text(f"{private}\n")
    return Keys((public,), path)


def no_tools() -> Chosen:
    """Give client programs that nobody may ask for."""

    def none() -> Tools:
        raise AssertionError("no client program is needed here")

    return Chosen(none)


def run_id() -> str:
    """Make the id of a run that no other test has."""
    number = int(fresh("run").removeprefix("run_"))
    return f"20260131-{number:06d}-beef"
