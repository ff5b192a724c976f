"""
The one-off container, cloned from the app's own. Pure: inspect in, create-request out.

What ``docker inspect`` says of a container that Compose has made is everything that is needed to
make another one like it: image, environment, networks, mounts, user, working directory.
"""

from collections.abc import Mapping, Sequence
from typing import Any

LABEL_RUN = "migsafe.run"
LABEL_ROLE = "migsafe.role"
PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
ONEOFF = "com.docker.compose.oneoff"
DEPENDS_ON = "com.docker.compose.depends_on"
WORKING_DIR = "com.docker.compose.project.working_dir"
CONFIG_FILES = "com.docker.compose.project.config_files"
ENV_FILES = "com.docker.compose.project.environment_file"
COMPLETED = "service_completed_successfully"
TITLE = "org.opencontainers.image.title"
"""A label of the image that each of its containers has."""

LOG = {"Type": "json-file", "Config": {"max-size": "64m", "max-file": "2"}}
"""A driver that can be read back, whatever the app's is, and that does not fill the disk."""

READ_ONLY = "PGOPTIONS=-c default_transaction_read_only=on"

NOT_CODE = ("/run/", "/var/run/", "/etc/", "/dev/", "/tmp/", "/proc/", "/sys/")  # noqa: S108 - where mounts go
"""Where what is mounted is configuration or a secret, and not code."""


def request(
    template: Mapping[str, Any],
    command: Sequence[str],
    *,
    run: str,
    role: str,
    application: str,
    read_only: bool = False,
) -> dict[str, Any]:
    """
    Write the body of ``POST /containers/create``.

    Args:
        template: ``docker inspect`` of the app's container.
        command: what to run, through the image's own entrypoint, as ``docker compose run`` does.
        run: id of the run.
        role: ``migration`` or ``check``.
        application: names the server sessions of programs that use libpq.
        read_only: keeps such sessions from writing.

    """
    config = template["Config"]
    network = _networks(template)[:1]
    return {
        **_kept(config),
        "Image": template["Image"],
        "Cmd": list(command),
        "Env": [
            *(config.get("Env") or ()),
            f"PGAPPNAME={application}",
            *([READ_ONLY] if read_only else ()),
        ],
        "Labels": _labels(config.get("Labels") or {}, run, role),
        "AttachStdin": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Tty": False,
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host(template["HostConfig"]),
        # API versions before 1.44 take one network here: the others are connected afterwards
        "NetworkingConfig": {"EndpointsConfig": {name: {} for name in network}},
    }


def rehearsal(
    template: Mapping[str, Any],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    network: str,
) -> dict[str, Any]:
    """
    Write the template of an app's container as it would be with another image, on its own.

    What the compose file says stays, what came from the old image goes. It is on one network only,
    and can write to nothing that the stack has: what the host mounts is read-only, and volumes are
    left out.

    Args:
        template: ``docker inspect`` of the app's container.
        old: ``docker inspect`` of its image.
        new: ``docker inspect`` of the image to try.
        network: the one to be on.

    """
    config, before = template["Config"], old["Config"]
    written = {
        name: value
        for name, value in config.items()
        if name == "Labels" or value != before.get(name)
    }
    given = set(before.get("Env") or ())
    mounts = [mount for mount in template.get("Mounts") or () if mount["Type"] == "bind"]
    return {
        "Image": new["Id"],
        "Config": {
            **written,
            "Env": [item for item in config.get("Env") or () if item not in given],
        },
        "HostConfig": {
            **template["HostConfig"],
            "NetworkMode": network,
            "Binds": [f"{mount['Source']}:{mount['Destination']}:ro" for mount in mounts],
            "Mounts": [],
            "VolumesFrom": None,
        },
        "NetworkSettings": {"Networks": {network: {}}},
    }


def throwaway_server(
    container: Mapping[str, Any],
    network: str,
    host: str,
    superuser: tuple[str, str],
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """
    Write the body that makes a server of the database's own image, with nothing in it.

    Args:
        container: ``docker inspect`` of the database's container.
        network: the one to be on.
        host: the name by which the app knows the database.
        superuser: name, which owns what is in every database, and password.
        labels: by which it is found again.

    """
    config, host_config = container["Config"], container["HostConfig"]
    user, password = superuser
    settings = [mount for mount in container.get("Mounts") or () if mount["Type"] == "bind"]
    return {
        "Image": container["Image"],
        "Cmd": config.get("Cmd"),
        "Entrypoint": config.get("Entrypoint"),
        "Env": [f"POSTGRES_USER={user}", f"POSTGRES_PASSWORD={password}", "POSTGRES_DB=postgres"],
        "Labels": dict(labels),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": network,
            "ShmSize": host_config.get("ShmSize"),
            "Memory": host_config.get("Memory"),
            "NanoCpus": host_config.get("NanoCpus"),
            "RestartPolicy": {"Name": "no"},
            # its configuration, and nothing that fills it or holds its data
            "Binds": [
                f"{mount['Source']}:{mount['Destination']}:ro"
                for mount in settings
                if mount["Destination"].startswith("/etc/")
            ],
        },
        "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": [host]}}},
    }


def further_networks(template: Mapping[str, Any]) -> list[str]:
    """Name the networks to connect after the container was made."""
    return _networks(template)[1:]


def code_mounts(template: Mapping[str, Any]) -> tuple[str, ...]:
    """Name where folders or files of the host are mounted that may be code."""
    return tuple(
        sorted(
            mount["Destination"]
            for mount in template.get("Mounts") or ()
            if mount["Type"] == "bind"
            and not f"{mount['Destination']}/".startswith(NOT_CODE)
            and not mount["Destination"].endswith(".sock")
        )
    )


def environment(template: Mapping[str, Any]) -> dict[str, str]:
    """Read the environment that a container gets."""
    pairs = (item.partition("=") for item in template["Config"].get("Env") or ())
    return {name: value for name, _, value in pairs}


def waits_for(labels: Mapping[str, str], service: str) -> bool:
    """
    Tell whether a container of Compose waits for a service to have completed.

    The label holds ``service:condition:restart``, separated by commas (docker/compose,
    ``pkg/compose/create.go``).
    """
    for dependency in labels.get(DEPENDS_ON, "").split(","):
        name, _, rest = dependency.partition(":")
        if name == service and rest.partition(":")[0] == COMPLETED:
            return True
    return False


def is_ours(labels: Mapping[str, str]) -> bool:
    """Tell whether a container runs migsafe, of whatever version: the image's own label says so."""
    return labels.get(TITLE) == "migsafe"


def _kept(config: Mapping[str, Any]) -> dict[str, Any]:
    names = (
        "Domainname",
        "User",
        "Entrypoint",
        "WorkingDir",
        "Volumes",
        "StopSignal",
        "Shell",
        "NetworkDisabled",
    )
    return {name: config[name] for name in names if config.get(name)}


def _host(host: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **host,
        "PortBindings": {},
        "PublishAllPorts": False,
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,  # its exit code would be lost with it
        "ContainerIDFile": "",
        "LogConfig": LOG,
        "Links": None,
    }


def _networks(template: Mapping[str, Any]) -> list[str]:
    """Name the networks, the one of the host config first: it decides the default route."""
    mode = template["HostConfig"].get("NetworkMode", "default")
    names = sorted((template.get("NetworkSettings") or {}).get("Networks") or {})
    if mode in {"host", "none"} or mode.startswith(("container:", "service:")):
        return []
    return sorted(names, key=lambda name: (name != mode, name))


def _labels(labels: Mapping[str, str], run: str, role: str) -> dict[str, str]:
    """Label it as ours, and as a one-off of the project: Compose leaves such a one alone."""
    kept = {name: labels[name] for name in (PROJECT, SERVICE) if name in labels}
    return {**kept, ONEOFF: "True", LABEL_RUN: run, LABEL_ROLE: role}
