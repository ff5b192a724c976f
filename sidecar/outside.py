"""
No engine: what the stories ask of Docker, where there is none.

The app has no container here, and nobody can be stopped or started. Who migrates is told from its
signs: by ``handing`` in a folder, by ``child`` as a process.
"""

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import NoReturn

from sidecar.address import Address
from sidecar.errors import EngineUnavailable
from sidecar.facts import App, Exit, Host
from sidecar.plan import RELEASE
from sidecar.ports import Stop

UNNAMED = ("nobody has said which release it is",)
"""Instead of folders of the host: like code that is mounted, it may be another each time."""

SOCKET = Path("/var/run/docker.sock")

NO_CHECK = Exit(125, error="the app's code is not at hand", passing=True)


class NoHost:
    """The database is no container that one could look into."""

    container: None = None

    def superuser(self) -> tuple[str, str] | None:
        """Know none."""
        return None

    def lend_superuser(self) -> tuple[str, str] | None:
        """Lend none."""
        return None

    def superuser_name(self) -> str | None:
        """Know none."""
        return None

    def borrow(self, conninfo: Mapping[str, object]) -> NoReturn:
        """Have no programs to lend."""
        del conninfo
        raise AssertionError("there is no container to borrow from")


class Outside:
    """
    Everything that the stories ask of Docker, without it.

    Args:
        by: the command that stands for the engine; empty for one that runs no migration.
        release: what the user calls that which migrates; None where nobody has said.

    """

    def __init__(self, by: str = "", release: str | None = None, app: str | None = None) -> None:
        self.by = by
        self.release = release
        self.name = app or "app"
        self.host = NoHost()

    # --- the app

    def app(self) -> App:
        """Describe the app as far as anybody has said what it is."""
        named = f"{RELEASE}{self.release}" if self.release else ""
        return App(
            project="",
            service=self.name,
            container="",
            image=named,
            image_name=named,
            digest=None,
            environment=self.environment(),
            code_mounts=() if self.release else UNNAMED,
        )

    def environment(self) -> Mapping[str, str]:
        """Know nothing of the app's environment."""
        return {}

    def place(self, backups: PurePath) -> None:
        """Be in no project of Compose."""
        del backups

    def source_of(self, path: PurePath) -> str | None:
        """Name where a folder is mounted from; None where it goes with our own container."""
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        found = {fields[4]: fields for fields in map(str.split, mounts)}
        for folder in (path, *path.parents):
            if fields := found.get(str(folder)):
                kind = fields[fields.index("-") + 1]
                own = str(folder) == "/" and "overlay" in kind
                return None if own else fields[3]
        return None

    def has_file(self, path: str) -> bool:
        """Have none of the app's files."""
        del path
        return False

    def read_file(self, path: str) -> str:
        """Have none of the app's files."""
        raise FileNotFoundError(path)

    def this_host(self) -> Host:
        """Tell who stands here for an engine."""
        return Host(name=socket.gethostname(), by=self.by or "hand")

    def reach(self, used: Address) -> None:
        """Reach the database as it is named."""
        del used

    def leave(self) -> None:
        """Have joined nothing."""

    def free_space(self) -> int | None:
        """Not know the room on the server's volume."""
        return None

    # --- the migration

    def has_ended(self, run: str) -> bool | None:
        """Tell nothing of a migration that is not ours."""
        del run
        return None

    def claim(self, run: str) -> bool:
        """Find nobody who could start it."""
        del run
        return True

    def make_migration(self, run: str, command: Sequence[str]) -> None:
        """Run no migration."""
        del run, command
        raise EngineUnavailable(
            "without Docker's socket migsafe can't run the app's migration",
            hint="Nothing was changed. Use `migsafe begin` and `conclude`, or `migsafe wrap`.",
        )

    def start_migration(self, run: str) -> None:
        """Start nothing."""

    def follow_migration(
        self, run: str, deadline: float, on_line: Callable[[str], None], stop: Stop
    ) -> Exit | None:
        """Know nothing of how it ended."""
        del run, deadline, on_line, stop
        return None

    def end_migration(self, run: str) -> None:
        """End nothing: the story ends its sessions on the server."""

    def addresses(self, run: str) -> frozenset[str]:
        """Know no addresses."""
        del run
        return frozenset()

    def remove_migration(self, run: str) -> None:
        """Have nothing to remove."""

    def end_strays(self, _known: Iterable[str]) -> tuple[str, ...]:
        """Know of none: what others run is no container of ours."""
        return ()

    def run_check(
        self, run: str, command: Sequence[str], timeout: float, *, read_only: bool = False
    ) -> Exit:
        """Not have the app's code."""
        del run, command, timeout, read_only
        return NO_CHECK

    # --- who uses the database

    def users(self, addresses: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Know nobody who could be stopped: they are strangers."""
        del addresses
        return {}

    def stop(self, containers: Iterable[str]) -> None:
        """Stop nobody."""

    def start(self, containers: Iterable[str]) -> dict[str, str]:
        """Start nobody."""
        return dict.fromkeys(containers, "there is no Docker here")


def without_socket(docker: Mapping[str, str]) -> bool:
    """Tell whether Docker is out of reach on purpose: no socket is mounted, and none is named."""
    return not docker.get("DOCKER_HOST") and not SOCKET.exists()
