"""One Compose project of a test: a user's compose file, with migsafe's override beside it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from . import shell
from .shell import Process, Result

ROOT = Path(__file__).parents[2]
OVERRIDE = ROOT / "compose.override.yml"
IMAGE = os.environ.get("MIGSAFE_IMAGE", "migsafe:dev")

SECOND = "migsafe-backups"
"""The service of the second mode."""

RESTRICT = re.compile(rb"^\\(un)?restrict .*\n", re.MULTILINE)
"""What pg_dump puts around a dump: a new word each time."""

PROPERTIES = """
SELECT pg_get_userbyid(d.datdba), d.encoding, d.datcollate, d.datconnlimit, d.datallowconn,
  d.datacl::text, shobj_description(d.oid, 'pg_database'),
  (SELECT array_agg((s.setrole, s.setconfig)::text ORDER BY s.setrole)
   FROM pg_db_role_setting s WHERE s.setdatabase = d.oid)
FROM pg_database d WHERE d.datname = current_database()
"""


@dataclass
class Stack:
    """
    A project in a folder of its own, from which Compose takes its name.

    With neither ``settings`` nor ``service`` the override is the shipped file, or that of an
    example, untouched but for the second mode, which only those have that are about it.
    """

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """MIGSAFE_ variables of the guard."""
    service: Mapping[str, Any] = field(default_factory=dict)
    """What else a user would write into the override for the guard."""
    database: str = "shop"
    superuser: str = "shop"
    restless: Sequence[str] = ()
    """Tables that a worker writes to all the time: their rows are not in the digest."""
    release: str = "v1"
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the .env file."""
    options: Sequence[str] = ()
    """What is typed after `docker compose` each time."""
    name: str = ""
    """Of the project, where it is not the folder's."""
    second: bool = False
    """The second mode, which takes backups whenever they are due, is in it."""
    shipped: Path = OVERRIDE
    """What is put beside the compose file, where its folder has none."""

    # --- files

    @property
    def project(self) -> str:
        """The name of the project."""
        return self.name or self.folder.name

    def compose_files(self) -> list[Path]:
        """Name the files that the project is of."""
        return sorted(self.folder.glob("*compose*.y*ml"))

    @property
    def backups_folder(self) -> Path:
        """Where the override puts backups."""
        return self.folder / "data" / "db_backup"

    @property
    def backups(self) -> list[Path]:
        """Whole backups, the oldest first."""
        manifests = sorted(self.backups_folder.glob("*.manifest.json"))
        return [path.with_name(path.name.removesuffix(".manifest.json")) for path in manifests]

    def prepare(self, source: Path) -> None:
        """Copy the user's files, and put the override beside them."""
        shutil.copytree(source, self.folder)
        if (source / OVERRIDE.name).exists():
            self.shipped = source / OVERRIDE.name
        self.configure()
        self.move_to(self.release)

    def configure(self, **settings: str) -> None:
        """Set MIGSAFE_ variables in the override; an empty value counts as none."""
        self.settings = {**self.settings, **settings}
        if self.second and not self.settings and not self.service:
            shutil.copy(self.shipped, self.folder)
            return
        override = yaml.safe_load(self.shipped.read_text(encoding="utf-8"))
        services = override["services"]
        if not self.second:
            _without_second(services)
        for ours in filter(None, map(services.get, ("migsafe", SECOND))):
            ours.update(self.service)
            ours["environment"] = {**ours.get("environment", {}), **self.settings}
        text = yaml.safe_dump(override, sort_keys=False)
        (self.folder / OVERRIDE.name).write_text(text, encoding="utf-8")

    def move_to(self, release: str) -> None:
        """Write the .env file: what a person does who moves to another release."""
        self.release = release
        values = {"MIGSAFE_IMAGE": IMAGE, "RELEASE": release, **self.variables}
        text = "".join(f"{name}={value}\n" for name, value in values.items())
        (self.folder / ".env").write_text(text, encoding="utf-8")

    # --- commands

    def run(self, command: str | Sequence[str], *, stdin: bytes = b"") -> Result:
        """Run a command in the project's folder; a text is typed into a shell."""
        return shell.run(command, self.folder, stdin)

    def compose(self, *arguments: str) -> Result:
        """Run `docker compose`."""
        return self.run(("docker", "compose", *self.options, *arguments))

    def start(self, *arguments: str) -> Process:
        """Start `docker compose` and go on."""
        return shell.start(("docker", "compose", *self.options, *arguments), self.folder)

    def up(self, release: str = "", *arguments: str) -> Result:
        """Type `docker compose up -d`, having moved to a release."""
        self.move_to(release or self.release)
        return self.compose("up", "-d", *arguments)

    def guard(self, *options: str, service: str = "migsafe", **settings: str) -> Result:
        """Run a guard alone and attached: its own exit code, and its whole output."""
        return self.compose(*self.alone(*options, service=service, **settings))

    def alone(self, *options: str, service: str = "migsafe", **settings: str) -> list[str]:
        """Write the arguments of a guard that runs alone."""
        variables = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
        return ["run", "--rm", "--no-deps", "-T", *variables, *options, service, "guard"]

    def down(self) -> None:
        """Remove everything of the project; Compose leaves one-offs that it did not make."""
        if found := self.leftovers():
            self.run(("docker", "rm", "--force", "--volumes", *found))
        self.compose("--profile", "*", "down", "--volumes", "--timeout", "0", "--remove-orphans")

    # --- containers

    def container(self, service: str, number: int = 1) -> str:
        """Name a service's container."""
        return f"{self.project}-{service}-{number}"

    def inspect(self, container: str) -> dict[str, Any]:
        """Ask Docker about a container; nothing where there is none."""
        found = self.run(("docker", "inspect", "--type", "container", container))
        return dict(json.loads(found.output)[0]) if found.code == 0 else {}

    def state(self, service: str, number: int = 1) -> str:
        """Tell the state of a service's container: created, running, exited."""
        found = self.inspect(self.container(service, number))
        return str(found["State"]["Status"]) if found else "missing"

    def exit_code(self, service: str = "migsafe") -> int:
        """Tell how a service's container ended."""
        return int(self.inspect(self.container(service))["State"]["ExitCode"])

    def logs(self, service: str = "migsafe") -> Result:
        """Read what a container has said since it was last started, and how it ended."""
        name = self.container(service)
        state = self.inspect(name)["State"]
        told = self.run(("docker", "logs", "--since", state["StartedAt"], name))
        return Result(int(state["ExitCode"]), told.output)

    def one_offs(self, since: float) -> list[str]:
        """Name the containers that migsafe has made since a moment, from Docker's own memory."""
        period = ("--since", f"{since:.6f}", "--until", f"{time.time():.6f}")
        return self.run(
            (
                *("docker", "events", *period, "--filter", "event=create"),
                *("--filter", f"label=com.docker.compose.project={self.project}"),
                *("--filter", "label=migsafe.role"),
                *("--format", "{{.Actor.Attributes.name}}"),
            )
        ).lines

    def leftovers(self) -> list[str]:
        """Name the one-off containers that are there now, running or not."""
        return self.run(
            (
                *("docker", "ps", "--all", "--format", "{{.Names}}"),
                *("--filter", f"label=com.docker.compose.project={self.project}"),
                *("--filter", "label=migsafe.role"),
            )
        ).lines

    # --- the database, past everything of migsafe

    def psql(self, query: str, database: str = "") -> str:
        """Ask the server as its superuser."""
        asked = self.run(
            (
                *("docker", "exec", "-i", self.container("db")),
                *("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", self.superuser),
                *("-d", conninfo(database or self.database), "-f", "-"),
            ),
            stdin=query.encode(),
        )
        assert asked.code == 0, asked.output
        return asked.output.strip()

    def databases(self) -> list[str]:
        """Name the server's databases."""
        return self.psql("SELECT datname FROM pg_database ORDER BY 1", "postgres").splitlines()

    def digest(self) -> str:
        """Sum up schema, all rows, and what hangs on the database's name."""
        return f"{self.rows()} {hashlib.sha256(self.psql(PROPERTIES).encode()).hexdigest()}"

    def rows(self, database: str = "") -> str:
        """Sum up schema and all rows."""
        spared = [f"--exclude-table-data={table}" for table in self.restless]
        dumped = subprocess.run(
            (
                *("docker", "exec", self.container("db"), "pg_dump", "-U", self.superuser),
                *("-d", conninfo(database or self.database), *spared),
            ),
            capture_output=True,
            timeout=shell.LONGEST,
            check=False,
        )
        assert dumped.returncode == 0, dumped.stderr.decode()
        return hashlib.sha256(RESTRICT.sub(b"", dumped.stdout)).hexdigest()


def _without_second(services: dict[str, Any]) -> None:
    services.pop(SECOND, None)
    for service in services.values():
        service.get("depends_on", {}).pop(SECOND, None)


def conninfo(database: str) -> str:
    """Name a database to a client program, whatever is in its name."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"
