"""Where the database runs: reached as the app reaches it, and helped out by its own container."""

import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sidecar import oneoff
from sidecar.docker_api import DockerApi, networks_of

if TYPE_CHECKING:
    from sidecar.borrowed import Borrowed


class DatabaseHost:
    """The host that the app's environment names, which mostly is a container of this engine."""

    def __init__(self, api: DockerApi, me: Mapping[str, Any]) -> None:
        self.api = api
        self.me = me
        self.container: dict[str, Any] | None = None
        """``inspect`` of the container that runs the database, where it is one of this engine."""
        self._joined: list[str] = []

    def reach(self, app: Mapping[str, Any], host: str) -> str | None:
        """
        Make the database's host reachable, and find its container.

        Joins the network on which the app sees the host, unless the guard is on it already.

        Returns:
            The address to connect to; None where the host is not a container of this engine.

        """
        for network in networks_of(app):
            if found := self._member(network, host):
                self.container, address = found
                self._join(network)
                return address
        if not _resolves(host):
            for network in networks_of(app):
                self._join(network)
        return _extra_host(app, host)

    def leave(self) -> None:
        """Leave the networks that were joined."""
        for network in self._joined:
            self._acts.leave(self.api.client, network, self.me["Id"])
        self._joined.clear()

    def superuser(self) -> tuple[str, str] | None:
        """Tell user and password of the official image's superuser, from its environment."""
        if self.container is None:
            return None
        env = oneoff.environment(self.container)
        password = env.get("POSTGRES_PASSWORD")
        if path := env.get("POSTGRES_PASSWORD_FILE"):
            with suppress(OSError):
                password = self.api.read_file(self.container["Id"], path).removesuffix("\n")
        return None if password is None else (env.get("POSTGRES_USER", "postgres"), password)

    def borrow(self, conninfo: Mapping[str, Any]) -> "Borrowed":
        """Use the client programs of the database's container."""
        from sidecar.borrowed import Borrowed  # noqa: PLC0415 - loads docker-py

        assert self.container is not None  # noqa: S101 - the caller has looked
        return Borrowed(self.api.client, self.container["Id"], conninfo)

    def free_space(self) -> int | None:
        """Bytes free where the server keeps its data."""
        if self.container is None:
            return None
        script = 'df -Pk "${PGDATA:-/var/lib/postgresql}" | tail -n 1'
        text = self._acts.output_of(self.api.client, self.container["Id"], ["sh", "-c", script])
        found = re.search(r"\s(\d+)\s+\d+%\s", text)
        return int(found[1]) * 1024 if found else None

    def _member(self, network: str, host: str) -> tuple[dict[str, Any], str] | None:
        """Find the container that a host name or an address means on a network."""
        for summary in self.api.containers(network=[network], status=["running"]):
            found = self.api.container(summary["Id"])
            endpoint = found["NetworkSettings"]["Networks"].get(network) or {}
            names = {found["Name"].lstrip("/"), *(endpoint.get("Aliases") or ())}
            address = endpoint.get("IPAddress") or endpoint.get("GlobalIPv6Address")
            if address and host in {*names, address, *(endpoint.get("DNSNames") or ())}:
                return found, address
        return None

    def _join(self, network: str) -> None:
        if network in networks_of(self.me):
            return
        self._acts.join(self.api.client, network, self.me["Id"])
        self._joined.append(network)

    @property
    def _acts(self) -> Any:
        from sidecar import docker_acts  # noqa: PLC0415 - loads docker-py

        return docker_acts


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
