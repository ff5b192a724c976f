"""Where the database runs: reached as the app reaches it, and helped out by its own container."""

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sidecar import oneoff
from sidecar.docker_api import DockerApi, NotThere, joined_by, networks_of
from sidecar.errors import EngineUnavailable
from sidecar.failpoints import failpoint
from sidecar.ports import ProgramFailed

if TYPE_CHECKING:
    from sidecar.borrowed import Borrowed

LENT = f"migsafe_lent_{os.urandom(3).hex()}"
"""Name of the role that the superuser lends to this process."""

_LEFT = (
    "SELECT format('DROP ROLE IF EXISTS %I', rolname) FROM pg_roles r"
    " WHERE rolname ~ '^migsafe_lent_[0-9a-f]{6}$'"
    " AND rolvaliduntil < now() + interval '23 hours'"
    " AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.usesysid = r.oid) \\gexec\n"
)
"""Drops what killed runs have left: whoever uses such a role has a session all the time."""


class DatabaseHost:
    """The host that the app's environment names, which mostly is a container of this engine."""

    def __init__(self, api: DockerApi, me: Mapping[str, Any]) -> None:
        self.api = api
        self.me = me
        self.container: dict[str, Any] | None = None
        """``inspect`` of the container that runs the database, where it is one of this engine."""
        self._joined = joined_by(me)
        self._lent_by: str | None = None

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

    def container_of(self, app: Mapping[str, Any], host: str) -> str | None:
        """Find the running container that a host name means to the app; its id."""
        found = (self._member(network, host) for network in networks_of(app))
        return next((container["Id"] for container, _ in filter(None, found)), None)

    def leave(self) -> None:
        """Give back the role that was lent, and leave the networks that were joined."""
        if self._lent_by is not None:
            failpoint("role.returning")
            self._as_superuser(self._lent_by, f"DROP ROLE IF EXISTS {LENT}")
            self._lent_by = None
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

    def superuser_name(self) -> str | None:
        """Tell who the official image's superuser is, where the container is of that kind."""
        env = oneoff.environment(self.container) if self.container else {}
        official = any(name.startswith("POSTGRES_") for name in env)
        return env.get("POSTGRES_USER", "postgres") if official else None

    def lend_superuser(self) -> tuple[str, str] | None:
        """
        Have the server's superuser lend us a role of its own, until the run is over.

        The official image trusts its local socket, so this works where the password in the
        environment is no longer the right one. A role that a killed run left expires by itself,
        and is dropped by the next that is lent an hour later.
        """
        if self.container is None:
            return None
        owner = oneoff.environment(self.container).get("POSTGRES_USER", "postgres")
        password = os.urandom(24).hex()
        if not self._as_superuser(owner, lending(owner, password)):
            return None
        self._lent_by = owner
        failpoint("role.lent")
        return LENT, password

    def _as_superuser(self, owner: str, statements: str) -> bool:
        argv = ("psql", "-qXAt", "-v", "ON_ERROR_STOP=1", "-U", owner, "-d", "postgres")
        try:
            self.borrow({"user": owner}).feed(argv, "postgres", iter([statements.encode()]))
        except (ProgramFailed, EngineUnavailable):
            return False
        return True

    def borrow(self, conninfo: Mapping[str, Any]) -> "Borrowed":
        """Use the client programs of the database's container."""
        from sidecar.borrowed import Borrowed  # noqa: PLC0415 - loads docker-py

        assert self.container is not None  # noqa: S101 - the caller has looked
        return Borrowed(self.api.client, self.container["Id"], conninfo)

    def free_space(self) -> int | None:
        """Bytes free where the server keeps its data."""
        found = re.search(r"\s(\d+)\s+\d+%\s", self._asked_of_data('df -Pk "$data" | tail -n 1'))
        return int(found[1]) * 1024 if found else None

    def in_memory(self) -> bool:
        """Whether the server keeps its data in memory: it goes with the container, or the power."""
        return self._asked_of_data('stat -f -c %T "$data"').strip() in {"tmpfs", "ramfs"}

    def _asked_of_data(self, script: str) -> str:
        """Ask the shell of the server's container about ``$data``, the folder of its data."""
        if self.container is None:
            return ""
        argv = ["sh", "-c", 'data="${PGDATA:-/var/lib/postgresql}"; ' + script]
        text: str = self._acts.output_of(self.api.client, self.container["Id"], argv)
        return text

    def _member(self, network: str, host: str) -> tuple[dict[str, Any], str] | None:
        """Find the container that a host name or an address means on a network."""
        for summary in self.api.containers(network=[network], status=["running"]):
            try:
                found = self.api.container(summary["Id"])
            except NotThere:
                continue
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


def lending(owner: str, password: str) -> str:
    """Write the statements that make the role: a superuser that acts as the one that lends it."""
    quoted = owner.replace("'", "''")
    return (
        f"{_LEFT}DROP ROLE IF EXISTS {LENT};"
        f" CREATE ROLE {LENT} LOGIN SUPERUSER PASSWORD '{password}';"
        f" ALTER ROLE {LENT} SET role = '{quoted}';"
        f" SELECT format('ALTER ROLE {LENT} VALID UNTIL %L', now() + interval '1 day') \\gexec\n"
    )


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
