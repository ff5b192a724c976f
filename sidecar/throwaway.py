"""A server of the database's own image, on a network of its own, that is thrown away."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sidecar import docker_acts, oneoff
from sidecar.address import Address
from sidecar.database_container import DatabaseHost
from sidecar.docker_api import DockerApi, NotThere
from sidecar.errors import EngineUnavailable, PreflightFailed

ROLE = "rehearsal"
LABEL_PROJECT = "migsafe.project"
LABEL_MAKER = "migsafe.maker"
"""The container that made it: what runs on without it is left over."""


@dataclass(frozen=True)
class Throwaway:
    """The server, and how it is reached."""

    container: str
    network: str
    conninfo: Mapping[str, Any]
    """Of its superuser."""


@contextmanager
def server(
    api: DockerApi, me: Mapping[str, Any], host: DatabaseHost, app: Address, run: str
) -> Iterator[Throwaway]:
    """
    Make a server like the database's own, and remove it in the end.

    Args:
        api: the engine.
        me: ``inspect`` of our own container, which joins the server's network.
        host: where the database itself runs.
        app: how the app knows the database, and logs in.
        run: names what is made.

    Raises:
        PreflightFailed: the database is no container of this engine.

    """
    if host.container is None:
        raise PreflightFailed(
            "the database is no container of this engine, so there is no image to try it on",
            hint="Nothing was changed. A rehearsal needs the database as a service of the project.",
        )
    project = str(me["Config"]["Labels"].get(oneoff.PROJECT, ""))
    remove_leftovers(api, me, project)
    labels = {
        oneoff.LABEL_ROLE: ROLE,
        oneoff.LABEL_RUN: run,
        LABEL_PROJECT: project,
        LABEL_MAKER: str(me["Id"]),
    }
    network = f"{project}-migsafe-rehearsal-{run}"
    try:
        with docker_acts.translated():
            api.client.create_network(network, internal=True, labels=labels)
            docker_acts.join(api.client, network, me["Id"])
            user = host.superuser_name() or "postgres"
            # the superuser may be whom the app logs in as
            password = app.password if user == app.user else ""
            login = user, password or os.urandom(18).hex()
            yield _started(api, host.container, network, app.host, login, labels)
    finally:
        remove_leftovers(api, me, project)


def remove_leftovers(api: DockerApi, me: Mapping[str, Any], project: str) -> None:
    """Remove what we, or somebody who was killed, have made; others may be at work just now."""
    label = [f"{oneoff.LABEL_ROLE}={ROLE}", f"{LABEL_PROJECT}={project}"]
    with suppress(EngineUnavailable), docker_acts.translated():
        for found in api.containers(label=label):
            if _is_left(api, me, found["Labels"]):
                with suppress(NotThere), docker_acts.translated():
                    api.client.remove_container(found["Id"], v=True, force=True)
        for network in api.client.networks(filters={"label": label}):
            if _is_left(api, me, network["Labels"]):
                _remove_network(api, me, network)


def _remove_network(api: DockerApi, me: Mapping[str, Any], network: Mapping[str, Any]) -> None:
    """Remove a network, and the containers in which somebody who was killed migrated on it."""
    # one that does not go keeps none of the others
    with suppress(EngineUnavailable, NotThere), docker_acts.translated():
        for found in api.containers(network=[network["Id"]], label=[oneoff.LABEL_ROLE]):
            if found["Id"] != me["Id"]:
                api.client.remove_container(found["Id"], v=True, force=True)
    docker_acts.leave(api.client, network["Name"], me["Id"])
    with suppress(EngineUnavailable, NotThere), docker_acts.translated():
        api.client.remove_network(network["Id"])


def _is_left(api: DockerApi, me: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    maker = labels.get(LABEL_MAKER, "")
    if maker in {"", me["Id"]}:
        return True
    try:
        return not api.container(maker)["State"]["Running"]
    except NotThere:
        return True


def _started(
    api: DockerApi,
    like: Mapping[str, Any],
    network: str,
    name: str,
    login: tuple[str, str],
    labels: Mapping[str, str],
) -> Throwaway:
    body = oneoff.throwaway_server(like, network, name, login, labels)
    api.client.create_container_from_config(body, network)  # type: ignore[no-untyped-call]  # docker-py
    api.client.start(network)
    found = api.container(network)
    address = found["NetworkSettings"]["Networks"][network]["IPAddress"]
    conninfo = {"host": address, "port": 5432, "user": login[0], "password": login[1]}
    return Throwaway(found["Id"], network, conninfo)
