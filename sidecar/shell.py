"""What an operator types, with the project's own names in it. Pure."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from sidecar import pgtools
from sidecar.backups import Backup, Format
from sidecar.facts import Place, restored_name

DEFAULT_FILES = (
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
)
PIN_FILE = "compose.pin.yml"
KEY_FILE = "key.txt"
"""As a private key is called where nobody knows better."""
_PLAIN = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
LONGEST = len("docker compose -p project")
"""What is longer than this is typed once, and given a short name."""


def compose(place: Place | None, files: Sequence[str] = ()) -> str:
    """Write ``docker compose`` with the options that the operator's project needs."""
    if place is None:
        return "docker compose"
    used = [shown(file, place) for file in place.config_files]
    words = ["docker", "compose"]
    if place.project != _default_project(place):
        words += ["-p", place.project]
    for file in place.env_files:
        words += ["--env-file", shown(file, place)]
    if files or any(file not in DEFAULT_FILES for file in used):
        for file in (*used, *files):
            words += ["-f", file]
    return shlex.join(words)


@dataclass(frozen=True)
class Shell:
    """Writes commands for one project; without a place, as most projects need them."""

    place: Place | None = None
    app: str = "app"
    database: str = ""
    role: str = "postgres"
    """A role that may create and rename databases."""
    owner: str = ""
    """Of the database."""

    @property
    def alias(self) -> str | None:
        """The line that makes the others short, where there must be one."""
        whole = compose(self.place)
        return f"alias dc={shlex.quote(whole)}" if len(whole) > LONGEST else None

    @property
    def docker(self) -> str:
        """Compose, as every command begins."""
        return "dc" if self.alias else compose(self.place)

    @property
    def me(self) -> str:
        """The service that runs migsafe."""
        return self.place.service if self.place else "migsafe"

    def up(self, *before: str, last: str = "up -d") -> str:
        """Start the stack, after other commands of Compose."""
        return " && ".join(f"{self.docker} {words}" for words in (*before, last))

    def retry(self) -> str:
        """Let the next start try again."""
        return self.up(f"run --rm {self.me} retry")

    def by_hand(self, words: str) -> str:
        """Type a command of migsafe's."""
        return f"{self.docker} run --rm {self.me} {words}"

    def logs(self) -> str:
        """Read everything that the guard has said."""
        return f"{self.docker} logs {self.me}"

    def yourself(self, command: Sequence[str]) -> str:
        """Run the migration past the gate."""
        return f"{self.docker} run --rm --no-deps {self.app} {shlex.join(command)}"

    def go_back(self) -> str | None:
        """Start the images that belong to the data."""
        if self.place is None:
            return None
        pin_file = self._path(PIN_FILE) if self._on_host else PIN_FILE
        pinned = compose(self.place, [pin_file])
        if self.alias:
            pinned = f"dc -f {shlex.quote(pin_file)}"
        fetch = "" if self._on_host else f"{self._read(PIN_FILE)} > {PIN_FILE} && "
        return f"{fetch}{pinned} up -d"

    # --- without migsafe

    def load_beside(self, backup: Backup) -> Iterator[str]:
        """Load a backup into a new database, without migsafe."""
        if (psql := self._in_database) is None:
            return
        name = _positional(restored_name(self.database))
        owner = f"-O {shlex.quote(self.owner)} " if self.owner not in ("", self.role) else ""
        yield f"{psql} createdb -U {self._user} {owner}-T template0 {name}"
        yield from self.load(backup, restored_name(self.database))

    def load(self, backup: Backup, database: str) -> Iterator[str]:
        """Load a backup into an empty database, whole or not at all."""
        if (psql := self._in_database) is None:
            return
        into = f"-U {self._user} -d {_argument(database)}"
        decrypt = f" | age -d -i {KEY_FILE}" if backup.encrypted else ""
        if backup.format is Format.ARCHIVE:
            load = f"{psql} pg_restore -e -1 {into}"
            yield f"{self._read(backup.name)}{decrypt} | zstd -d | {load}"
            return
        load = f"{psql} psql -q -1 -v ON_ERROR_STOP=1 {into}"
        if self._on_host and not backup.encrypted:
            yield f"{load} < {shlex.quote(self._path(backup.name))}"
        else:
            yield f"{self._read(backup.name)}{decrypt} | {load}"

    def put_in_place(self, other: str, aside: str, *, closed: bool = False) -> str | None:
        """Give a database the place of the live one, which is set aside: both, or neither."""
        mine, theirs = _identifier(self.database), _identifier(other)
        return self._acts(
            f"ALTER DATABASE {mine} RENAME TO {_identifier(aside)}",
            f"ALTER DATABASE {theirs} RENAME TO {mine}",
            *([f"ALTER DATABASE {mine} ALLOW_CONNECTIONS true"] if closed else ()),
        )

    def open(self) -> str | None:
        """Let others into the live database again."""
        return self._acts(f"ALTER DATABASE {_identifier(self.database)} ALLOW_CONNECTIONS true")

    def drop(self, database: str) -> str | None:
        """Drop a database that is no longer wanted."""
        if (psql := self._in_database) is None:
            return None
        return f"{psql} dropdb -U {self._user} {_positional(database)}"

    def called(self, name: str) -> str:
        """Name a file in the folder of backups as the operator finds it on the host."""
        if self.place is None or self.place.backups is None:
            return name
        return self._path(name) if self._on_host else f"{name} in volume {self.place.backups}"

    # --- helpers

    @property
    def _in_database(self) -> str | None:
        """Run something in the database's container, where that is one of the project."""
        if self.place is None or self.place.database_service is None:
            return None
        return f"{self.docker} exec -T {self.place.database_service}"

    def _acts(self, *acts: str) -> str | None:
        """Do something to databases as the server's superuser: all of it, or nothing."""
        if (psql := self._in_database) is None:
            return None
        each = " ".join(f"-c {shlex.quote(act)}" for act in acts)
        return f"{psql} psql -q -1 -v ON_ERROR_STOP=1 -U {self._user} -d postgres {each}"

    @property
    def _user(self) -> str:
        return shlex.quote(self.role)

    @property
    def _on_host(self) -> bool:
        return bool(self.place and self.place.backups and self.place.backups.startswith("/"))

    def _path(self, name: str) -> str:
        assert self.place is not None  # noqa: S101 - only asked for what is on the host
        return shown(str(PurePosixPath(self.place.backups or "") / name), self.place)

    def _read(self, name: str) -> str:
        """Write a command that prints a file of the folder of backups, wherever that is."""
        if self._on_host:
            return f"cat {shlex.quote(self._path(name))}"
        place = self.place
        assert place is not None  # noqa: S101 - same
        volume = f"-v {place.backups}:/b --entrypoint cat {place.database_service or place.service}"
        return f"{self.docker} run --rm --no-deps -T {volume} /b/{shlex.quote(name)}"


@dataclass(frozen=True)
class Plain(Shell):
    """Writes commands where there is no Compose: for a shell that reaches folder and server."""

    server: str = ""
    """The options that name it to a client program."""
    folder: str = ""
    """Of backups."""

    @property
    def alias(self) -> None:
        """Need nothing short."""
        return

    def retry(self) -> str:
        """Let the next start try again."""
        return "migsafe retry   # then start it once more"

    def by_hand(self, words: str) -> str:
        """Type a command of migsafe's."""
        return f"migsafe {words}"

    def called(self, name: str) -> str:
        """Name a file in the folder of backups."""
        return self._path(name)

    @property
    def _in_database(self) -> str:
        return ""

    @property
    def _user(self) -> str:
        return f"{shlex.quote(self.role)} {self.server}"

    @property
    def _on_host(self) -> bool:
        return True

    def _path(self, name: str) -> str:
        return str(PurePosixPath(self.folder) / name)


def shown(path: str, place: Place) -> str:
    """Shorten a path to what it is from the project's folder."""
    try:
        return str(PurePosixPath(path).relative_to(place.working_directory))
    except ValueError:
        return path


def _positional(name: str) -> str:
    """Quote a name, so that it is none of the options."""
    return f"-- {shlex.quote(name)}" if name.startswith("-") else shlex.quote(name)


def _argument(database: str) -> str:
    """Quote the name of a database where a connection string could stand as well."""
    if _PLAIN.fullmatch(database):
        return database
    return shlex.quote(pgtools.quoted_conninfo(database))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _default_project(place: Place) -> str:
    """Tell what Compose calls a project that nobody has named: its folder, in lower case."""
    name = PurePosixPath(place.working_directory).name.lower()
    return "".join(c for c in name if c.isalnum() or c in "_-").lstrip("_-")
