"""Docker, from inside a container of the project: the app, one-offs, and who uses the database."""

import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any

from sidecar import address, oneoff
from sidecar.address import Address
from sidecar.database_container import DatabaseHost
from sidecar.discovery import Discovery
from sidecar.docker_api import DockerApi, NotThere, addresses_of
from sidecar.doctor import Neighbour
from sidecar.errors import EngineUnavailable
from sidecar.facts import App, Exit, Host, Place
from sidecar.ports import Clock, Stop

if TYPE_CHECKING:
    from sidecar.oneoffs import OneOffs

ALIVE = frozenset({"running", "restarting", "paused"})
"""States of a container that is, or will be in a moment."""


class DockerEngine:
    """Everything that the stories ask of Docker."""

    def __init__(
        self, api: DockerApi, me: Mapping[str, Any], clock: Clock, chosen: str | None
    ) -> None:
        self.api = api
        self.me = me
        self.clock = clock
        self.discovery = Discovery(api, me, chosen)
        self.host = DatabaseHost(api, me)
        self._found: tuple[App, dict[str, Any]] | None = None
        self._used: Address | None = None

    # --- the app

    def app(self) -> App:
        """Find the app: the service that waits for the guard to have completed."""
        if self._found is None:
            self._found = self.discovery.app()
        return self._found[0]

    def place(self, backups: PurePath) -> Place:
        """Tell where migsafe runs, and where its folder of backups is on the host."""
        labels = self.me["Config"]["Labels"]
        database = (self.host.container or {}).get("Config", {}).get("Labels") or {}
        mine = database.get(oneoff.PROJECT) == self.discovery.project
        return Place(
            project=self.discovery.project,
            service=self.discovery.service,
            working_directory=labels.get(oneoff.WORKING_DIR, ""),
            config_files=_listed(labels, oneoff.CONFIG_FILES),
            backups=self.source_of(backups),
            database_service=database.get(oneoff.SERVICE) if mine else None,
            env_files=_listed(labels, oneoff.ENV_FILES),
        )

    def source_of(self, path: PurePath) -> str | None:
        """Name the folder of the host, or the volume, that a folder of ours is; None if neither."""
        for mount in self.me.get("Mounts") or ():
            if path.is_relative_to(mount["Destination"]):
                inside = path.relative_to(mount["Destination"])
                named = mount.get("Name")
                return str(named or PurePosixPath(mount.get("Source") or "tmpfs") / inside)
        return None

    def has_file(self, path: str) -> bool:
        """Whether the app's container has a file; relative to its working directory."""
        return self.api.has_path(self.template["Id"], self._absolute(path))

    def this_host(self) -> Host:
        """Tell which engine this is: what another one runs can't be seen from here."""
        return self.api.host()

    def read_file(self, path: str) -> str:
        """
        Read a file as the app's container would, a mounted secret for example.

        Raises:
            OSError: there is no such file.

        """
        return self.api.read_file(self.template["Id"], self._absolute(path))

    def reach(self, used: Address) -> str | None:
        """Make the database's host reachable as the app sees it; return its IP address."""
        self._used = used
        return self.host.reach(self.template, used.host)

    def leave(self) -> None:
        """Leave the networks that were joined."""
        self.host.leave()

    def free_space(self) -> int | None:
        """Bytes free where the server keeps its data."""
        return self.host.free_space()

    # --- one-offs

    def has_ended(self, run: str) -> bool | None:
        """Tell nothing of a migration that somebody else runs: it is no container of ours."""
        del run
        return None

    def claim(self, run: str) -> bool:
        """Find nobody who could start it: it is no container of ours."""
        del run
        return True

    def make_migration(self, run: str, command: Sequence[str]) -> None:
        """Make the one-off container of the run."""
        self.one_offs.make_migration(self.template, run, command)

    def start_migration(self, run: str) -> None:
        """Start the container that was made."""
        self.one_offs.start_migration(run)

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

    def end_strays(self, known: Iterable[str]) -> tuple[str, ...]:
        """Stop and remove the project's one-offs of runs that are not known."""
        return self.one_offs.end_strays(known)

    def run_check(
        self, run: str, command: Sequence[str], timeout: float, *, read_only: bool = False
    ) -> Exit:
        """Run a command in another one-off container and remove it."""
        return self.one_offs.run_check(self.template, run, command, timeout, read_only=read_only)

    # --- who uses the database

    def users(self, addresses: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Map the project's running containers that use the database to their addresses in use."""
        sessions = set(addresses)
        found = {}
        for summary in self.discovery.containers():
            if summary["State"] not in ALIVE or self._spared(summary):
                continue
            theirs = tuple(sorted(sessions & set(addresses_of(summary))))
            if theirs or self._uses(summary):
                found[summary["Names"][0].lstrip("/")] = theirs
        return found

    def in_memory(self) -> bool:
        """Whether the database's server keeps its data in memory."""
        return self.host.in_memory()

    def neighbours(self) -> tuple[Neighbour, ...]:
        """Describe every service of the project, running or not."""
        found: dict[str, Neighbour] = {}
        for summary in self.discovery.containers():
            with suppress(NotThere):
                each = self._neighbour(summary)
                found[each.service] = each
        return tuple(found[name] for name in sorted(found))

    def _neighbour(self, summary: Mapping[str, Any]) -> Neighbour:
        container = self.api.container(summary["Id"])
        config = container["Config"]
        words = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
        return Neighbour(
            service=summary["Labels"][oneoff.SERVICE],
            image=config["Image"],
            command=" ".join(words),
            uses=self._uses(summary),
            waits=self.discovery.waits(summary),
            ours=self.discovery.is_ours(summary),
            database=summary["Id"] == (self.host.container or {}).get("Id"),
            restart=container["HostConfig"]["RestartPolicy"]["Name"],
            running=container["State"]["Running"],
        )

    def stop(self, containers: Iterable[str]) -> None:
        """Stop containers, each within its own grace period, all at the same time."""
        from sidecar import docker_acts  # noqa: PLC0415 - loads docker-py

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(partial(docker_acts.stop, self.api.client), containers))

    def start(self, containers: Iterable[str]) -> dict[str, str]:
        """Start containers again; return those that would not, each with the reason."""
        from sidecar import docker_acts  # noqa: PLC0415 - loads docker-py

        tried = {name: docker_acts.start(self.api.client, name) for name in containers}
        return {name: why for name, why in tried.items() if why is not None}

    # --- helpers

    @cached_property
    def one_offs(self) -> "OneOffs":
        """The containers of runs; made when the first is wanted, because it loads docker-py."""
        from sidecar.oneoffs import OneOffs  # noqa: PLC0415

        return OneOffs(self.api, self.clock, self.discovery.project)

    @property
    def template(self) -> dict[str, Any]:
        """``inspect`` of the app's container."""
        if self._found is None:
            self._found = self.discovery.app()
        return self._found[1]

    @cached_property
    def _app_uses(self) -> Address | None:
        """The app's own way to the database; behind a pooler it is not the one that we use."""
        found = address.find(oneoff.environment(self.template), self.read_file)
        return found if isinstance(found, Address) else None

    @cached_property
    def _pooler(self) -> str | None:
        """The container that the app reaches the database through: its migration needs it."""
        way = self._app_uses
        return None if way is None else self.host.container_of(self.template, way.host)

    def _spared(self, summary: Mapping[str, Any]) -> bool:
        """Never stop ourselves, migsafe's other service, or what the database is reached by."""
        database = (self.host.container or {}).get("Id")
        mine = summary["Labels"].get(oneoff.SERVICE) == self.discovery.service
        needed = {self.me["Id"], database, self._pooler}
        return mine or summary["Id"] in needed or self.discovery.is_ours(summary)

    def _uses(self, summary: Mapping[str, Any]) -> bool:
        """
        Tell whether a container uses the database even if it has no session just now.

        Workers connect when they have work: by what they wait for, whose image they run and what
        their environment names, they are known before they write.
        """
        if self.discovery.waits(summary) or summary["ImageID"] == self.template["Image"]:
            return True
        try:
            container = self.api.container(summary["Id"])
        except NotThere:
            return False
        read = partial(self.api.read_file, summary["Id"])
        found = address.find(oneoff.environment(container), read)
        used = {way.place for way in (self._used, self._app_uses) if way is not None}
        return isinstance(found, Address) and found.place in used

    def _absolute(self, path: str) -> str:
        return str(PurePosixPath(self.template["Config"].get("WorkingDir") or "/") / path)


def connect(environment: Mapping[str, str], clock: Clock, chosen: str | None) -> DockerEngine:
    """
    Connect to Docker as the environment says, and find ourselves in it.

    Raises:
        EngineUnavailable: no socket, no permission, too old, or not a container of Compose.

    """
    api = DockerApi(environment)
    me = _myself(api)
    if oneoff.PROJECT not in (me["Config"].get("Labels") or {}):
        raise EngineUnavailable(
            "this container was not made by Docker Compose",
            hint="Nothing was changed. Run it as a service of the app's compose file.",
        )
    return DockerEngine(api, me, clock, chosen)


def _listed(labels: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(filter(None, labels.get(name, "").split(",")))


def _myself(api: DockerApi) -> dict[str, Any]:
    for name in _my_names():
        with suppress(NotThere):
            return api.container(name)
    raise EngineUnavailable(
        "migsafe does not find itself among Docker's containers",
        hint="Nothing was changed. Run it as a service of Docker Compose, with the socket of the"
        " engine that runs it.",
    )


def _my_names() -> Iterator[str]:
    """Guess our container's id: Docker mounts /etc/hostname from a folder named after it."""
    with suppress(OSError):
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
        if found := re.search(r"/containers/([0-9a-f]{64})/", mounts):
            yield found[1]
    yield socket.gethostname()
