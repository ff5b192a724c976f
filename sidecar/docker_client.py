"""The connection to Docker, and its errors in our words."""

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
from docker import errors as de
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from sidecar import oneoff
from sidecar.errors import EngineUnavailable
from sidecar.files import one_file

OLDEST_API = (1, 41)
"""Of Docker Engine 20.10."""

BROKEN = (de.DockerException, RequestException)
"""What the client raises when the engine refuses, or does not answer."""


def connect() -> tuple[docker.APIClient, dict[str, Any]]:
    """
    Connect to Docker as the environment says, and find our own container.

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
    return client, me


def _client() -> docker.APIClient:
    try:
        client = docker.APIClient(version="auto", **kwargs_from_env())
    except (de.DockerException, RequestException, OSError) as error:
        raise unavailable(error) from error
    found = tuple(int(part) for part in str(client.api_version).split("."))
    if found < OLDEST_API:
        raise EngineUnavailable(
            f"Docker's API {client.api_version} is too old",
            hint="Nothing was changed. Docker Engine 20.10 or newer is needed.",
        )
    return client


def _myself(client: docker.APIClient) -> dict[str, Any]:
    with translated():
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


def inspect(client: docker.APIClient, container: str) -> dict[str, Any] | None:
    """Look at a container; None when there is none of that name."""
    with translated():
        try:
            found: dict[str, Any] = client.inspect_container(container)
        except de.NotFound:
            return None
        return found


def inspect_image(client: docker.APIClient, image: str) -> dict[str, Any]:
    """Look at an image; raises ``docker.errors.NotFound``."""
    found: dict[str, Any] = client.inspect_image(image)  # type: ignore[no-untyped-call]  # the stubs lack it
    return found


def read_file(client: docker.APIClient, container: Mapping[str, Any], path: str) -> str:
    """
    Read a file as a container sees it, mounts included; it need not run.

    Raises:
        OSError: there is no such file.

    """
    with translated():
        try:
            stream, _ = client.get_archive(container["Id"], path)
        except de.NotFound:
            raise FileNotFoundError(path) from None
        return one_file(b"".join(stream)).decode(errors="surrogateescape")


def addresses_of(container: Mapping[str, Any]) -> Iterator[str]:
    """Read the addresses that a container has now, from ``inspect`` or a list."""
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    for endpoint in networks.values():
        yield from filter(None, (endpoint.get("IPAddress"), endpoint.get("GlobalIPv6Address")))


def networks_of(container: Mapping[str, Any]) -> list[str]:
    """Name the networks of a container."""
    return sorted((container.get("NetworkSettings") or {}).get("Networks") or {})


def explain(error: de.APIError) -> str:
    """Put what the engine said on one line."""
    return " ".join(str(error.explanation or error).split())


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the engine refuses into our error; that a thing is not there stays as it is."""
    try:
        yield
    except de.NotFound:
        raise
    except BROKEN as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> EngineUnavailable:
    """Translate an error of the client."""
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
