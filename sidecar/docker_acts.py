"""Acting through docker-py, and its errors in our words."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import docker
from docker import errors as de
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException

from sidecar.docker_api import JOINED, NotThere
from sidecar.errors import EngineUnavailable
from sidecar.failpoints import failpoint

BROKEN = (de.DockerException, RequestException)
"""What the client raises when the engine refuses, or does not answer."""

GRACE = 10
"""Seconds that Docker gives a container to stop, where nothing else was said."""


def client(environment: Mapping[str, str]) -> docker.APIClient:
    """Connect as the environment says."""
    with translated():
        return docker.APIClient(
            version="auto", **kwargs_from_env(environment=dict(environment) or {"": ""})
        )


def join(api: docker.APIClient, network: str, container: str) -> None:
    """Connect a container to a network; one that is connected already stays so."""
    with suppress(de.APIError):
        api.connect_container_to_network(container, network, aliases=[JOINED])
        failpoint("network.joined")


def leave(api: docker.APIClient, network: str, container: str) -> None:
    """Disconnect a container from a network, as well as it goes."""
    with suppress(*BROKEN):
        failpoint("network.leaving")
        api.disconnect_container_from_network(container, network)


def output_of(api: docker.APIClient, container: str, argv: Sequence[str]) -> str:
    """Run a short program in a running container and return what it printed."""
    with translated():
        exec_id = api.exec_create(container, list(argv))["Id"]
        return bytes(api.exec_start(exec_id)).decode(errors="replace")


def stop(api: docker.APIClient, container: str) -> None:
    """Stop a container within its own grace period; one that is gone is no concern."""
    with suppress(NotThere), translated():
        # docker-py gives up waiting long before a long grace period is over, unless it is told
        period = api.inspect_container(container)["Config"].get("StopTimeout") or GRACE
        failpoint("services.stopping", refused)
        api.stop(container, timeout=period)
        failpoint("services.stopped", refused)


def start(api: docker.APIClient, container: str) -> str | None:
    """Start a container, or tell why it does not start; one that is gone is no concern."""
    try:
        with suppress(NotThere), translated():
            # one that was made since is of a newer release: Compose starts it when it may
            if api.inspect_container(container)["State"]["Status"] != "created":
                api.start(container)
                failpoint("services.started", refused)
    except EngineUnavailable as error:
        return error.message
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the engine refuses into our errors."""
    try:
        yield
    except de.NotFound as error:
        raise NotThere(explain(error)) from error
    except BROKEN as error:
        raise EngineUnavailable(
            f"Docker can't be used: {' '.join(str(error).split())}",
            hint="Nothing was changed. See the message above.",
        ) from error


def refused() -> de.APIError:
    """Say what a failing engine says: for failpoints."""
    return de.APIError("500 Server Error", explanation="the engine is out of order")


def explain(error: de.APIError) -> str:
    """Put what the engine said on one line."""
    return " ".join(str(error.explanation or error).split())
