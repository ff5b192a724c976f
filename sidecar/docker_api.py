"""
Looking at Docker: the engine's API by the standard library alone.

docker-py takes longer to import than everything else that a run with nothing to do needs, and such
runs happen at every ``docker compose up``. So whoever only looks does it here; whoever acts (makes,
starts, stops, executes) goes through docker-py, which ``DockerApi.client`` loads when it is needed.
"""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from sidecar.errors import EngineUnavailable
from sidecar.facts import Host
from sidecar.failpoints import failpoint

if TYPE_CHECKING:
    import docker

DEFAULT_HOST = "unix:///var/run/docker.sock"
OLDEST = (1, 41)
"""API version of Docker Engine 20.10."""
JOINED = "migsafe-joined"
"""Our alias on a network that we have joined, by which the next run knows it after a kill."""

TIMEOUT = 60
TOP = 400
"""The first HTTP status that is an error."""


class NotThere(LookupError):
    """The engine has no such thing."""


class DockerApi:
    """
    One engine, named by the usual variables.

    Args:
        environment: ``DOCKER_HOST``, ``DOCKER_TLS_VERIFY`` and ``DOCKER_CERT_PATH``, where set.

    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment

    def container(self, name: str) -> dict[str, Any]:
        """Inspect a container; raises NotThere."""
        found: dict[str, Any] = self._json(f"/containers/{quote(name)}/json")
        return found

    def containers(self, **filters: list[str]) -> list[dict[str, Any]]:
        """List containers, running or not."""
        query = urlencode({"all": "1", "filters": json.dumps(filters)})
        found: list[dict[str, Any]] = self._json(f"/containers/json?{query}")
        return found

    def host(self) -> Host:
        """Tell which engine this is."""
        try:
            found = self._json("/info")
        except EngineUnavailable:
            return Host()
        return Host(str(found.get("ID") or ""), str(found.get("Name") or ""))

    def image(self, name: str) -> dict[str, Any]:
        """Inspect an image; raises NotThere."""
        found: dict[str, Any] = self._json(f"/images/{quote(name)}/json")
        return found

    def has_path(self, container: str, path: str) -> bool:
        """Whether a container has a file, mounted ones included; it need not run."""
        try:
            self._ask("HEAD", self._archive(container, path))
        except NotThere:
            return False
        return True

    def read_file(self, container: str, path: str) -> str:
        """
        Read a file as a container sees it, mounted ones included; it need not run.

        Raises:
            OSError: there is no such file.

        """
        from sidecar.files import one_file  # noqa: PLC0415 - tarfile is rarely needed

        try:
            data = self._ask("GET", self._archive(container, path))
        except NotThere:
            raise FileNotFoundError(path) from None
        return one_file(data).decode(errors="surrogateescape")

    @cached_property
    def client(self) -> "docker.APIClient":
        """The engine through docker-py, for acts."""
        from sidecar.docker_acts import client  # noqa: PLC0415 - see above

        return client(self.environment)

    # --- the wire

    def _archive(self, container: str, path: str) -> str:
        return f"/containers/{quote(container)}/archive?{urlencode({'path': path})}"

    def _json(self, path: str) -> Any:
        return json.loads(self._ask("GET", path))

    def _ask(self, method: str, path: str) -> bytes:
        status, text = self._request(method, f"/v{self._version}{path}")
        if status < TOP:
            return text
        if status == http.client.NOT_FOUND:
            raise NotThere(path)
        raise EngineUnavailable(
            f"Docker refuses {method} {path.partition('?')[0]} ({status}): {_message(text)}",
            hint="Nothing was changed. Where a proxy stands before Docker, it must allow this.",
        )

    @cached_property
    def _version(self) -> str:
        """Speak the engine's own version, as proxies with lists of what they allow expect."""
        status, text = self._request("GET", "/version")
        if status >= TOP:
            raise EngineUnavailable(
                f"Docker refuses GET /version ({status}): {_message(text)}",
                hint="Nothing was changed. Where a proxy stands before Docker, it must allow this.",
            )
        found = str(json.loads(text)["ApiVersion"])
        if tuple(map(int, found.split("."))) < OLDEST:
            raise EngineUnavailable(
                f"Docker's API {found} is too old",
                hint="Nothing was changed. Docker Engine 20.10 or newer is needed.",
            )
        return found

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        with _translated():
            connection = self._connection()
            try:
                connection.request(method, path)
                response = connection.getresponse()
                failpoint("engine.asked", ConnectionResetError)
                return response.status, response.read()
            finally:
                connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host = self.environment.get("DOCKER_HOST") or DEFAULT_HOST
        parts = urlsplit(host)
        if parts.scheme == "unix":
            return _SocketConnection(parts.path)
        if parts.scheme not in {"tcp", "http", "https"} or not parts.hostname:
            raise EngineUnavailable(
                f"DOCKER_HOST is not understood: {host}",
                hint="Nothing was changed. Write unix:///path or tcp://host:port.",
            )
        if self.environment.get("DOCKER_TLS_VERIFY") or parts.scheme == "https":
            return http.client.HTTPSConnection(
                parts.hostname, parts.port or 2376, timeout=TIMEOUT, context=self._tls()
            )
        return http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=TIMEOUT)

    def _tls(self) -> Any:
        import ssl  # noqa: PLC0415 - the socket needs none

        folder = Path(self.environment.get("DOCKER_CERT_PATH", "/certs/client"))
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        return context


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def addresses_of(container: Mapping[str, Any]) -> Iterator[str]:
    """Read the addresses that a container has now, from ``inspect`` or a list."""
    for endpoint in _endpoints(container).values():
        yield from filter(None, (endpoint.get("IPAddress"), endpoint.get("GlobalIPv6Address")))


def networks_of(container: Mapping[str, Any]) -> list[str]:
    """Name the networks of a container."""
    return sorted(_endpoints(container))


def joined_by(container: Mapping[str, Any]) -> list[str]:
    """Name the networks that the container was not made with, and has joined since."""
    found = _endpoints(container).items()
    return sorted(name for name, endpoint in found if JOINED in (endpoint.get("Aliases") or ()))


def _endpoints(container: Mapping[str, Any]) -> dict[str, Any]:
    return (container.get("NetworkSettings") or {}).get("Networks") or {}


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace")[:200].strip()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> EngineUnavailable:
    """Tell why the engine does not answer."""
    text = " ".join(str(error).split()) or type(error).__name__
    match error:
        case PermissionError():
            why = "no permission on Docker's socket"
            hint = "Run the service as root, or with `group_add` of the socket's group."
        case FileNotFoundError():
            why = "there is no Docker socket"
            hint = "Mount it: `/var/run/docker.sock:/var/run/docker.sock`, or set DOCKER_HOST."
        case ConnectionRefusedError() | socket.gaierror():
            why = f"Docker does not answer ({text})"
            hint = "Check that it runs, DOCKER_HOST, and the proxy that it names."
        case _:
            why, hint = f"Docker can't be used: {text}", "See the message above."
    return EngineUnavailable(why, hint=f"Nothing was changed. {hint}")
