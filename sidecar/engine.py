"""
Docker: the app's container as a template, one-offs made from it, and who uses the database.

No request is ever relied on to live long (proxies cut them after minutes): what ``inspect`` says
of a container decides, and a log stream that breaks is taken up again.
"""

import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
from docker import errors as de
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from sidecar import oneoff
from sidecar.borrowed import Borrowed
from sidecar.errors import DeadlineExceeded, EngineUnavailable
from sidecar.facts import App, Exit, Place
from sidecar.files import one_file
from sidecar.ports import Clock, Stop

TAIL = 20
LONGEST_LINE = 2000
CONTROL_CHARACTERS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
FIRST_POLL, LAST_POLL = 0.05, 0.5
"""Seconds between two looks at a container: short at first, most migrations are."""
OLDEST_API = (1, 41)
"""Of Docker Engine 20.10."""


class DockerEngine:
    """The engine, from inside a container of the project."""

    def __init__(
        self, client: docker.APIClient, me: Mapping[str, Any], clock: Clock, chosen: str | None
    ) -> None:
        self.client = client
        self.me = me
        self.clock = clock
        self.chosen = chosen
        self._template: dict[str, Any] | None = None
        self._seen: dict[str, frozenset[str]] = {}
        self._joined: list[str] = []
        self._unstarted: dict[str, str] = {}
        self._logs: dict[str, _Logs] = {}
        self.database: dict[str, Any] | None = None
        """``inspect`` of the container that runs the database, where it is one of this engine."""

    # --- the app

    def app(self) -> App:
        """Find the app: the service that waits for the guard to have completed."""
        with _translated():
            found = self._dependents()
            service = self._choose(found)
            template = self.client.inspect_container(found[service]["Id"])
            image = self._image(template)
            images = {name: self._pin(summary) for name, summary in found.items()}
        self._template = template
        config = template["Config"]
        return App(
            project=self.project,
            service=service,
            container=template["Id"],
            image=template["Image"],
            image_name=config["Image"],
            digest=next(iter(image.get("RepoDigests") or ()), None),
            environment=oneoff.environment(template),
            working_directory=config.get("WorkingDir") or "/",
            code_mounts=oneoff.code_mounts(template),
            running=bool(template["State"]["Running"]),
            images=images,
        )

    def place(self) -> Place:
        """Tell where migsafe runs."""
        labels = self.me["Config"]["Labels"]
        database = (self.database or {}).get("Config", {}).get("Labels") or {}
        mine = database.get(oneoff.PROJECT) == self.project
        return Place(
            project=self.project,
            service=self.service,
            working_directory=labels.get(oneoff.WORKING_DIR, ""),
            config_files=tuple(filter(None, labels.get(oneoff.CONFIG_FILES, "").split(","))),
            backups=self._mount("/backups"),
            database_service=database.get(oneoff.SERVICE) if mine else None,
        )

    @property
    def project(self) -> str:
        """The Compose project that the guard belongs to."""
        return str(self.me["Config"]["Labels"][oneoff.PROJECT])

    @property
    def service(self) -> str:
        """The guard's own service."""
        return str(self.me["Config"]["Labels"][oneoff.SERVICE])

    def has_file(self, path: str) -> bool:
        """Whether the app's container has a file; relative to its working directory."""
        with suppress(de.NotFound), _translated():
            stream, _ = self.client.get_archive(self._app["Id"], self._absolute(path))
            stream.close()
            return True
        return False

    def read_file(self, path: str) -> str:
        """
        Read a file as the app's container would, a mounted secret for example.

        Raises:
            OSError: there is no such file.

        """
        return self._read_from(self._app, self._absolute(path))

    # --- the database's container

    def reach(self, host: str) -> str | None:
        """
        Make the database's host reachable, and find its container.

        Joins the network on which the app sees the host, unless the guard is on it already.

        Returns:
            The address to connect to; None where the host is not a container of this engine.

        """
        with _translated():
            for network in self._networks_of(self._app):
                if found := self._member(network, host):
                    self.database, address = found
                    self._join(network)
                    return address
            if not _resolves(host):
                for network in self._networks_of(self._app):
                    self._join(network)
        return _extra_host(self._app, host)

    def leave(self) -> None:
        """Leave the networks that were joined."""
        for network in self._joined:
            with suppress(de.DockerException, RequestException):
                self.client.disconnect_container_from_network(self.me["Id"], network)
        self._joined.clear()

    def superuser(self) -> tuple[str, str] | None:
        """Tell user and password of the official image's superuser, from its environment."""
        if self.database is None:
            return None
        env = oneoff.environment(self.database)
        password = env.get("POSTGRES_PASSWORD")
        if path := env.get("POSTGRES_PASSWORD_FILE"):
            with suppress(OSError):
                password = self._read_from(self.database, path).removesuffix("\n")
        return None if password is None else (env.get("POSTGRES_USER", "postgres"), password)

    def borrow(self, conninfo: Mapping[str, Any]) -> Borrowed:
        """Use the client programs of the database's container."""
        assert self.database is not None  # noqa: S101 - the caller has looked
        return Borrowed(self.client, self.database["Id"], conninfo)

    def free_space(self) -> int | None:
        """Bytes free where the server keeps its data."""
        if self.database is None:
            return None
        script = 'df -Pk "${PGDATA:-/var/lib/postgresql}" | tail -n 1'
        with _translated():
            exec_id = self.client.exec_create(self.database["Id"], ["sh", "-c", script])["Id"]
            text = self.client.exec_start(exec_id).decode(errors="replace")
        found = re.search(r"\s(\d+)\s+\d+%\s", text)
        return int(found[1]) * 1024 if found else None

    # --- one-offs

    def start_migration(self, run: str, command: Sequence[str]) -> None:
        """Make and start the one-off container of the run."""
        self._unstarted.pop(run, None)
        try:
            self._start_one_off(run, command, "migration")
        except de.APIError as error:
            # the engine answered: there is nothing that runs, and that is how it ended
            self._unstarted[run] = _explain(error)
        except (de.DockerException, RequestException) as error:
            raise _unavailable(error) from error
        else:
            self._logs[run] = _Logs(self.client, self._name(run, "migration"))

    def follow_migration(
        self, run: str, deadline: float, on_line: Callable[[str], None], stop: Stop
    ) -> Exit | None:
        """Wait for the run's container to end, as ``inspect`` tells it."""
        if run in self._unstarted:
            return Exit(125, error=self._unstarted[run])
        name = self._name(run, "migration")
        if self._inspect(name) is None:
            return None
        logs = self._logs.setdefault(run, _Logs(self.client, name))
        until, pause = self.clock.monotonic() + deadline, FIRST_POLL
        while state := self._state(run):
            logs.hand_over(on_line)
            if not state["Running"] and state["Status"] != "created":
                return _exit(state, logs.finish(on_line))
            if self.clock.monotonic() >= until:
                raise DeadlineExceeded("the migration ran past its deadline")
            stop.check()
            self.clock.sleep(pause)
            pause = min(pause * 1.2, LAST_POLL)
        return None

    def end_migration(self, run: str) -> None:
        """Stop the run's container if it runs."""
        with suppress(de.NotFound), _translated():
            self.client.stop(self._name(run, "migration"), timeout=10)

    def addresses(self, run: str) -> frozenset[str]:
        """Network addresses that the run's container has, or had when it was last seen."""
        found = self._inspect(self._name(run, "migration"))
        now = frozenset(_addresses(found)) if found else frozenset()
        self._seen[run] = self._seen.get(run, frozenset()) | now
        return self._seen[run]

    def remove_migration(self, run: str) -> None:
        """Remove the run's container, and the anonymous volumes that were made for it."""
        with suppress(de.NotFound), _translated():
            self.client.remove_container(self._name(run, "migration"), v=True, force=True)

    def run_check(self, run: str, command: Sequence[str], timeout: float) -> Exit:
        """Run a command in another one-off container and remove it."""
        name = self._name(run, "check")
        with _translated():
            with suppress(de.NotFound):
                self.client.remove_container(name, v=True, force=True)
            try:
                self._start_one_off(run, command, "check")
                return self._checked(name, timeout)
            except de.APIError as error:
                return Exit(125, error=_explain(error))
            finally:
                with suppress(de.NotFound):
                    self.client.remove_container(name, v=True, force=True)

    # --- who uses the database

    def users(self, addresses: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Map the project's running containers to those of the addresses that are theirs."""
        wanted = set(addresses)
        spared = {self.me["Id"], (self.database or {}).get("Id")}
        found = {}
        with _translated():
            for summary in self._containers({"status": ["running"]}):
                labels = summary["Labels"]
                if summary["Id"] in spared or labels.get(oneoff.SERVICE) == self.service:
                    continue
                theirs = tuple(sorted(wanted & set(_addresses(summary))))
                if theirs or oneoff.waits_for(labels, self.service):
                    found[summary["Names"][0].lstrip("/")] = theirs
        return found

    def stop(self, containers: Iterable[str]) -> None:
        """Stop containers, each within its own grace period, all at the same time."""
        with _translated(), ThreadPoolExecutor(8) as pool:
            list(pool.map(self._stop_one, containers))

    def start(self, containers: Iterable[str]) -> tuple[str, ...]:
        """Start containers again; return those that would not. One that is gone is no concern."""
        stuck = []
        for name in containers:
            try:
                self.client.start(name)
            except de.NotFound:
                continue
            except (de.DockerException, RequestException):
                stuck.append(name)
        return tuple(stuck)

    # --- helpers

    @property
    def _app(self) -> dict[str, Any]:
        if self._template is None:
            self.app()
        assert self._template is not None  # noqa: S101 - app() has set it
        return self._template

    def _containers(self, filters: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        """List the project's containers, without one-offs."""
        label = [f"{oneoff.PROJECT}={self.project}"]
        found = self.client.containers(all=True, filters={"label": label, **filters})
        return [c for c in found if c["Labels"].get(oneoff.ONEOFF, "False") != "True"]

    def _dependents(self) -> dict[str, dict[str, Any]]:
        """Map the services that wait for the guard to their newest container."""
        found: dict[str, dict[str, Any]] = {}
        everything = self._containers({})
        for summary in sorted(everything, key=lambda c: (c["State"] == "created", c["Created"])):
            labels = summary["Labels"]
            if self.chosen in {None, labels.get(oneoff.SERVICE)} and (
                self.chosen or oneoff.waits_for(labels, self.service)
            ):
                found[labels[oneoff.SERVICE]] = summary
        if not found:
            raise self._no_app({c["Labels"].get(oneoff.SERVICE, "?") for c in everything})
        return dict(sorted(found.items()))

    def _no_app(self, services: set[str]) -> EngineUnavailable:
        if self.chosen:
            return EngineUnavailable(
                f"MIGSAFE_APP names {self.chosen!r}, and project {self.project!r} has no container"
                f" of that service (it has: {', '.join(sorted(services))})",
                hint="Nothing was changed. Correct the name, or make the containers:"
                " `docker compose up --no-start`.",
            )
        return EngineUnavailable(
            f"no service of project {self.project!r} waits for {self.service!r}",
            hint="Nothing was changed. Give the app `depends_on: migsafe: condition:"
            " service_completed_successfully`, then `docker compose up -d --force-recreate`: a"
            " container that was made before the override has no trace of it.",
        )

    def _choose(self, found: Mapping[str, Mapping[str, Any]]) -> str:
        if len({summary["ImageID"] for summary in found.values()}) > 1:
            raise EngineUnavailable(
                f"several services with different images wait for {self.service!r}:"
                f" {', '.join(found)}",
                hint="Nothing was changed. Set MIGSAFE_APP to the one whose migrations are to run.",
            )
        return next(iter(found))

    def _image(self, template: Mapping[str, Any]) -> dict[str, Any]:
        try:
            image: dict[str, Any] = self._inspect_image(template["Image"])
        except de.NotFound as error:
            raise EngineUnavailable(
                f"the image {template['Config']['Image']} of the app is not on this machine",
                hint="Nothing was changed. `docker compose pull`, or build it, then up again.",
            ) from error
        return image

    def _inspect_image(self, image: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.inspect_image(image)  # type: ignore[no-untyped-call]  # the stubs lack it
        return found

    def _pin(self, summary: Mapping[str, Any]) -> str:
        try:
            image = self._inspect_image(summary["ImageID"])
        except de.NotFound:
            return str(summary["ImageID"])
        return str(next(iter(image.get("RepoDigests") or ()), summary["ImageID"]))

    def _start_one_off(self, run: str, command: Sequence[str], role: str) -> None:
        template = self._app
        body = oneoff.request(template, command, run=run, role=role, application=f"migsafe-{run}")
        name = self._name(run, role)
        self.client.create_container_from_config(body, name)  # type: ignore[no-untyped-call]  # same
        for network in oneoff.further_networks(template):
            self.client.connect_container_to_network(name, network)
        self.client.start(name)

    def _checked(self, name: str, timeout: float) -> Exit:
        until = self.clock.monotonic() + timeout
        logs = _Logs(self.client, name)
        while (state := self.client.inspect_container(name)["State"])["Running"]:
            if self.clock.monotonic() > until:
                return Exit(124, error=f"it did not end within {timeout:.0f} s")
            self.clock.sleep(FIRST_POLL)
        return _exit(state, logs.finish(lambda _: None))

    def _name(self, run: str, role: str) -> str:
        return f"{self.project}-migsafe-{role}-{run}"

    def _inspect(self, name: str) -> dict[str, Any] | None:
        with _translated():
            try:
                found: dict[str, Any] = self.client.inspect_container(name)
            except de.NotFound:
                return None
            return found

    def _state(self, run: str) -> dict[str, Any] | None:
        """Look at the run's container; where it can't be asked, it is not known to have ended."""
        with suppress(EngineUnavailable):
            self.addresses(run)
        found = self._inspect(self._name(run, "migration"))
        return found["State"] if found else None

    def _stop_one(self, container: str) -> None:
        with suppress(de.NotFound):
            self.client.stop(container)

    def _absolute(self, path: str) -> str:
        return str(Path(self._app["Config"].get("WorkingDir") or "/") / path)

    def _read_from(self, container: Mapping[str, Any], path: str) -> str:
        with _translated():
            try:
                stream, _ = self.client.get_archive(container["Id"], path)
            except de.NotFound:
                raise FileNotFoundError(path) from None
            return one_file(b"".join(stream)).decode(errors="surrogateescape")

    def _mount(self, destination: str) -> str | None:
        for mount in self.me.get("Mounts") or ():
            if mount["Destination"] == destination:
                return str(mount.get("Name") or mount.get("Source"))
        return None

    def _networks_of(self, container: Mapping[str, Any]) -> list[str]:
        return sorted((container.get("NetworkSettings") or {}).get("Networks") or {})

    def _member(self, network: str, host: str) -> tuple[dict[str, Any], str] | None:
        """Find the container that a host name or an address means on a network."""
        members = self.client.containers(filters={"network": [network]})
        for summary in members:
            found = self.client.inspect_container(summary["Id"])
            endpoint = found["NetworkSettings"]["Networks"].get(network) or {}
            names = {found["Name"].lstrip("/"), *(endpoint.get("Aliases") or ())}
            address = endpoint.get("IPAddress") or endpoint.get("GlobalIPv6Address")
            if address and host in {*names, address, *(endpoint.get("DNSNames") or ())}:
                return found, address
        return None

    def _join(self, network: str) -> None:
        if network in self._networks_of(self.me):
            return
        with suppress(de.APIError):  # joined already, by a run that was killed
            self.client.connect_container_to_network(self.me["Id"], network)
        self._joined.append(network)


class _Logs:
    """The output of a container, read by a thread and handed over by the caller's."""

    def __init__(self, client: docker.APIClient, container: str) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._lines: deque[str] = deque()
        self._thread = threading.Thread(target=self._read, args=(client, container), daemon=True)
        self._thread.start()

    def hand_over(self, on_line: Callable[[str], None]) -> None:
        while self._lines:
            line = self._lines.popleft()
            self.tail.append(line)
            on_line(line)

    def finish(self, on_line: Callable[[str], None]) -> tuple[str, ...]:
        """Hand over what is left; a stream ends soon after its container."""
        self._thread.join(timeout=10)
        self.hand_over(on_line)
        return tuple(self.tail)

    def _read(self, client: docker.APIClient, container: str) -> None:
        rest = b""
        # a stream that breaks loses lines, never the exit code
        with suppress(de.DockerException, RequestException, OSError):
            for part in client.logs(container, stream=True, follow=True):
                *lines, rest = (rest + part).split(b"\n")
                self._lines.extend(map(_clean, lines))
                rest = rest[-LONGEST_LINE * 4 :]
        if rest:
            self._lines.append(_clean(rest))


def connect(clock: Clock, chosen: str | None) -> DockerEngine:
    """
    Connect to Docker as the environment says, and find ourselves in it.

    Raises:
        EngineUnavailable: no socket, no permission, too old, or not a container of Compose.

    """
    client = _client()
    me = _myself(client)
    if oneoff.PROJECT not in (me["Config"].get("Labels") or {}):
        raise EngineUnavailable(
            "this container was not made by Docker Compose",
            hint="Nothing was changed. Run it as a service of the app's compose file.",
        )
    return DockerEngine(client, me, clock, chosen)


def _client() -> docker.APIClient:
    try:
        client = docker.APIClient(version="auto", **kwargs_from_env())
    except (de.DockerException, RequestException, OSError) as error:
        raise _unavailable(error) from error
    found = tuple(int(part) for part in str(client.api_version).split("."))
    if found < OLDEST_API:
        raise EngineUnavailable(
            f"Docker's API {client.api_version} is too old",
            hint="Nothing was changed. Docker Engine 20.10 or newer is needed.",
        )
    return client


def _myself(client: docker.APIClient) -> dict[str, Any]:
    with _translated():
        for name in _my_names():
            with suppress(de.NotFound):
                found: dict[str, Any] = client.inspect_container(name)
                return found
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


def _addresses(container: Mapping[str, Any]) -> Iterator[str]:
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    for endpoint in networks.values():
        yield from filter(None, (endpoint.get("IPAddress"), endpoint.get("GlobalIPv6Address")))


def _exit(state: Mapping[str, Any], tail: tuple[str, ...]) -> Exit:
    return Exit(
        code=int(state["ExitCode"]),
        out_of_memory=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        tail=tail,
    )


def _clean(line: bytes) -> str:
    text = line.decode(errors="replace").rsplit("\r", 1)[-1]
    return CONTROL_CHARACTERS.sub("", text)[:LONGEST_LINE].rstrip()


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def _extra_host(container: Mapping[str, Any], host: str) -> str | None:
    for entry in container["HostConfig"].get("ExtraHosts") or ():
        name, _, address = entry.partition(":")
        if name == host and address != "host-gateway":
            return str(address)
    return None


def _explain(error: de.APIError) -> str:
    return " ".join(str(error.explanation or error).split())


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except de.NotFound:
        raise
    except (de.DockerException, RequestException) as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> EngineUnavailable:
    text = " ".join(str(error).split())
    if "Permission denied" in text:
        why = "no permission on Docker's socket"
        hint = "Run the service as root, or with `group_add` of the socket's group."
    elif "No such file" in text or "FileNotFoundError" in text:
        why = "there is no Docker socket"
        hint = "Mount it: `/var/run/docker.sock:/var/run/docker.sock`, or set DOCKER_HOST."
    elif "Connection refused" in text or "Name or service not known" in text:
        why = "Docker does not answer"
        hint = "Check DOCKER_HOST and the proxy that it names."
    else:
        why, hint = f"Docker can't be used: {text}", "See the message above."
    return EngineUnavailable(why, hint=f"Nothing was changed. {hint}")
