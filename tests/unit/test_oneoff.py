"""The one-off container is the app's own, without what would hurt."""

from typing import Any

import pytest

from sidecar import oneoff

TEMPLATE: dict[str, Any] = {
    "Id": "abc",
    "Image": "sha256:app",
    "Config": {
        "Image": "shop:2",
        "Hostname": "abc",
        "User": "1000:1000",
        "Env": ["DATABASE_URL=postgres://db/shop", "EMPTY=", "EQUALS=a=b"],
        "Cmd": ["serve"],
        "Entrypoint": ["/entry"],
        "WorkingDir": "/srv",
        "ExposedPorts": {"80/tcp": {}},
        "Tty": True,
        "OpenStdin": True,
        "Healthcheck": {"Test": ["CMD", "true"]},
        "Labels": {
            "com.docker.compose.project": "shop",
            "com.docker.compose.service": "app",
            "com.docker.compose.depends_on": "migsafe:service_completed_successfully:false",
            "traefik.enable": "true",
        },
    },
    "HostConfig": {
        "NetworkMode": "shop_back",
        "Binds": ["shop_media:/srv/media:rw"],
        "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
        "PublishAllPorts": True,
        "RestartPolicy": {"Name": "always"},
        "AutoRemove": True,
        "ExtraHosts": ["mail:10.0.0.1"],
        "Memory": 1 << 30,
        "LogConfig": {"Type": "none"},
    },
    "NetworkSettings": {
        "Networks": {
            "shop_front": {"IPAMConfig": {"IPv4Address": "10.1.0.5"}, "Aliases": ["app"]},
            "shop_back": {"Aliases": ["app"]},
        }
    },
    "Mounts": [],
}


@pytest.fixture
def made() -> dict[str, Any]:
    """Make the request."""
    return oneoff.request(
        TEMPLATE, ["migrate", "--all"], run="r1", role="migration", application="migsafe-r1"
    )


def test_it_is_the_apps_own(made: dict[str, Any]) -> None:
    """Image by id, environment, user, folder, mounts and limits come along. Faults: 86."""
    assert "sha256:app" == made["Image"]
    assert ["migrate", "--all"] == made["Cmd"]
    assert ["/entry"] == made["Entrypoint"]
    assert "1000:1000" == made["User"]
    assert "/srv" == made["WorkingDir"]
    assert [*TEMPLATE["Config"]["Env"], "PGAPPNAME=migsafe-r1"] == made["Env"]
    kept = ("Binds", "ExtraHosts", "Memory", "NetworkMode")
    assert all(made["HostConfig"][name] == TEMPLATE["HostConfig"][name] for name in kept)


def test_it_has_nothing_that_would_hurt(made: dict[str, Any]) -> None:
    """No ports, no restart, no input, and it stays after its end for its exit code. Faults: 75."""
    host = made["HostConfig"]

    assert {} == host["PortBindings"]
    assert not host["PublishAllPorts"]
    assert {"Name": "no"} == host["RestartPolicy"]
    assert not host["AutoRemove"]
    assert not made["OpenStdin"]
    assert not made["Tty"]
    assert "ExposedPorts" not in made
    assert "Hostname" not in made
    assert {"Test": ["NONE"]} == made["Healthcheck"]
    assert "json-file" == host["LogConfig"]["Type"]


def test_nobody_takes_it_for_the_app(made: dict[str, Any]) -> None:
    """It has no alias and no fixed address of the app's, and no label but ours and Compose's."""
    assert {"EndpointsConfig": {"shop_back": {}}} == made["NetworkingConfig"]
    assert ["shop_front"] == oneoff.further_networks(TEMPLATE)
    expected = {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "app",
        "com.docker.compose.oneoff": "True",
        "migsafe.run": "r1",
        "migsafe.role": "migration",
    }
    assert expected == made["Labels"]


@pytest.mark.parametrize("mode", ["host", "none", "container:xyz"])
def test_borrowed_networks_are_left_alone(mode: str) -> None:
    """With the host's or another container's network nothing is connected."""
    template = {**TEMPLATE, "HostConfig": {"NetworkMode": mode}}

    assert [] == oneoff.further_networks(template)


@pytest.mark.parametrize(
    ("destination", "kind", "code"),
    [
        ("/srv", "bind", True),
        ("/srv/app/models.py", "bind", True),
        ("/run/secrets/db", "bind", False),
        ("/etc/localtime", "bind", False),
        ("/var/run/docker.sock", "bind", False),
        ("/opt/agent.sock", "bind", False),
        ("/srv/media", "volume", False),
    ],
)
def test_mounted_code(destination: str, kind: str, code: bool) -> None:
    """A mount of the host may be code, unless it lies where configuration does."""
    template = {**TEMPLATE, "Mounts": [{"Type": kind, "Destination": destination}]}

    assert code == bool(oneoff.code_mounts(template))


@pytest.mark.parametrize(
    ("label", "waits"),
    [
        ("migsafe:service_completed_successfully:false", True),
        ("db:service_healthy:false,migsafe:service_completed_successfully:true", True),
        ("migsafe:service_started:false", False),
        ("migsafe-backups:service_completed_successfully:false", False),
        ("", False),
    ],
)
def test_who_waits_for_the_guard(label: str, waits: bool) -> None:
    """Compose's own label tells who waits for whom, and for what."""
    assert waits == oneoff.waits_for({oneoff.DEPENDS_ON: label}, "migsafe")


def test_the_environment_is_read_whole() -> None:
    """Values may be empty and may hold equals signs."""
    expected = {"DATABASE_URL": "postgres://db/shop", "EMPTY": "", "EQUALS": "a=b"}
    assert expected == oneoff.environment(TEMPLATE)
