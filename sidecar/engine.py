"""Docker, from inside a container of the project: the app, one-offs, and who uses the database."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

import docker
from docker import errors as de

from sidecar import address, docker_client, oneoff
from sidecar.address import Address
from sidecar.database_container import DatabaseHost
from sidecar.discovery import Discovery
from sidecar.docker_client import BROKEN, addresses_of, read_file, translated
from sidecar.facts import App, Exit, Place
from sidecar.oneoffs import OneOffs
from sidecar.ports import Clock, Stop


class DockerEngine:
    """Everything that the stories ask of Docker."""

    def __init__(
        self, client: docker.APIClient, me: Mapping[str, Any], clock: Clock, chosen: str | None
    ) -> None:
        self.client = client
        self.me = me
        self.discovery = Discovery(client, me, chosen)
        self.one_offs = OneOffs(client, clock, self.discovery.project)
        self.host = DatabaseHost(client, me)
        self._found: tuple[App, dict[str, Any]] | None = None
        self._used: Address | None = None

    # --- the app

    def app(self) -> App:
        """Find the app: the service that waits for the guard to have completed."""
        if self._found is None:
            self._found = self.discovery.app()
        return self._found[0]

    def place(self) -> Place:
        """Tell where migsafe runs."""
        labels = self.me["Config"]["Labels"]
        database = (self.host.container or {}).get("Config", {}).get("Labels") or {}
        mine = database.get(oneoff.PROJECT) == self.discovery.project
        return Place(
            project=self.discovery.project,
            service=self.discovery.service,
            working_directory=labels.get(oneoff.WORKING_DIR, ""),
            config_files=tuple(filter(None, labels.get(oneoff.CONFIG_FILES, "").split(","))),
            backups=self._mount("/backups"),
            database_service=database.get(oneoff.SERVICE) if mine else None,
        )

    def has_file(self, path: str) -> bool:
        """Whether the app's container has a file; relative to its working directory."""
        with suppress(de.NotFound), translated():
            stream, _ = self.client.get_archive(self._template["Id"], self._absolute(path))
            stream.close()
            return True
        return False

    def read_file(self, path: str) -> str:
        """
        Read a file as the app's container would, a mounted secret for example.

        Raises:
            OSError: there is no such file.

        """
        return read_file(self.client, self._template, self._absolute(path))

    def reach(self, used: Address) -> str | None:
        """Make the database's host reachable as the app sees it; return its IP address."""
        self._used = used
        return self.host.reach(self._template, used.host)

    def leave(self) -> None:
        """Leave the networks that were joined."""
        self.host.leave()

    def free_space(self) -> int | None:
        """Bytes free where the server keeps its data."""
        return self.host.free_space()

    # --- one-offs

    def start_migration(self, run: str, command: Sequence[str]) -> None:
        """Make and start the one-off container of the run."""
        self.one_offs.start_migration(self._template, run, command)

    def follow_migration(
        self, run: str, deadline: float, on_line: Callable[[str], None], stop: Stop
    ) -> Exit | None:
        """Wait for the run's container to end, as ``inspect`` tells it."""
        return self.one_offs.follow_migration(run, deadline, on_line, stop)

    def end_migration(self, run: str) -> None:
        """Stop the run's container if it runs."""
        self.one_offs.end_migration(run)

    def addresses(self, run: str) -> frozenset[str]:
        """Network addresses that the run's container has, or had when it was last seen."""
        return self.one_offs.addresses_of(run)

    def remove_migration(self, run: str) -> None:
        """Remove the run's container, and the anonymous volumes that were made for it."""
        self.one_offs.remove_migration(run)

    def run_check(self, run: str, command: Sequence[str], timeout: float) -> Exit:
        """Run a command in another one-off container and remove it."""
        return self.one_offs.run_check(self._template, run, command, timeout)

    # --- who uses the database

    def users(self, addresses: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Map the project's running containers that use the database to their addresses in use."""
        sessions = set(addresses)
        found = {}
        with translated():
            for summary in self.discovery.containers():
                if summary["State"] != "running" or self._spared(summary):
                    continue
                theirs = tuple(sorted(sessions & set(addresses_of(summary))))
                if theirs or self._uses(summary):
                    found[summary["Names"][0].lstrip("/")] = theirs
        return found

    def stop(self, containers: Iterable[str]) -> None:
        """Stop containers, each within its own grace period, all at the same time."""
        with translated(), ThreadPoolExecutor(8) as pool:
            list(pool.map(self._stop_one, containers))

    def start(self, containers: Iterable[str]) -> tuple[str, ...]:
        """Start containers again; return those that would not. One that is gone is no concern."""
        stuck = []
        for name in containers:
            try:
                self.client.start(name)
            except de.NotFound:
                continue
            except BROKEN:
                stuck.append(name)
        return tuple(stuck)

    # --- helpers

    @property
    def _template(self) -> dict[str, Any]:
        if self._found is None:
            self._found = self.discovery.app()
        return self._found[1]

    def _spared(self, summary: Mapping[str, Any]) -> bool:
        """Never stop ourselves, migsafe's other service, or the database's own container."""
        database = (self.host.container or {}).get("Id")
        mine = summary["Labels"].get(oneoff.SERVICE) == self.discovery.service
        return mine or summary["Id"] in {self.me["Id"], database} or self._is_ours(summary)

    def _is_ours(self, summary: Mapping[str, Any]) -> bool:
        return bool(summary["ImageID"] == self.me["Image"])

    def _uses(self, summary: Mapping[str, Any]) -> bool:
        """
        Tell whether a container uses the database even if it has no session just now.

        Workers connect when they have work: by what they wait for, whose image they run and what
        their environment names, they are known before they write.
        """
        if self.discovery.waits(summary) or summary["ImageID"] == self._template["Image"]:
            return True
        container = self.client.inspect_container(summary["Id"])
        read = _reader(self.client, container)
        found = address.find(oneoff.environment(container), read)
        used = self._used
        return used is not None and isinstance(found, Address) and found.place == used.place

    def _stop_one(self, container: str) -> None:
        with suppress(de.NotFound):
            self.client.stop(container)

    def _absolute(self, path: str) -> str:
        return str(PurePosixPath(self._template["Config"].get("WorkingDir") or "/") / path)

    def _mount(self, destination: str) -> str | None:
        for mount in self.me.get("Mounts") or ():
            if mount["Destination"] == destination:
                return str(mount.get("Name") or mount.get("Source"))
        return None


def _reader(client: docker.APIClient, container: Mapping[str, Any]) -> Callable[[str], str]:
    return lambda path: read_file(client, container, path)


def connect(clock: Clock, chosen: str | None) -> DockerEngine:
    """
    Connect to Docker as the environment says, and find ourselves in it.

    Raises:
        EngineUnavailable: no socket, no permission, too old, or not a container of Compose.

    """
    client, me = docker_client.connect()
    return DockerEngine(client, me, clock, chosen)
