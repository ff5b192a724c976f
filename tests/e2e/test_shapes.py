"""
The shapes that people's compose files have, each with the shipped override beside it.

Every stack is brought up from nothing; most then get a release whose migration fails half-way.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.written import docker_request, docker_requests

from . import apps
from .conftest import CHECKOUT, Make
from .shell import Result
from .shop import STACKS
from .stack import Stack

SOCKET = Path("/var/run/docker.sock")
NAME = f"migsafe-e2e-{CHECKOUT}-shapes-by-name"
FILES = ("-f", "shop-compose.yml", "-f", "compose.override.yml")
SOMEBODY = os.getuid() or 1234
"""Who is not root; tests that do not run as root can only prepare a folder for themselves."""


def shape(name: str, source: Path | None = None, /, **options: Any) -> Callable[..., Any]:
    """Give a test its stack: by default, what the folder of that name has."""
    values = (source or STACKS / name, name, options)
    return pytest.mark.parametrize("stack", [pytest.param(values, id=name)], indirect=True)


@pytest.fixture
def stack(request: pytest.FixtureRequest, make: Make) -> Iterator[Stack]:
    """Make a stack, and remove it with the test, and what was built for it."""
    source, name, options = request.param
    made = make(source, name, settings=apps.PLAIN.settings, **options)
    yield made
    made.compose("--profile", "*", "down", "--volumes", "--timeout", "0", "--rmi", "local")


@shape("short_form")
def test_depends_on_in_short_form(stack: Stack) -> None:
    """
    A list of what the app depends on is joined by the guard, which waits for the database itself.

    Faults: 16.
    """
    _starts(stack)


@shape("long_form")
def test_depends_on_in_long_form(stack: Stack) -> None:
    """What the app depends on under conditions of its own is joined by the guard."""
    _starts(stack)
    assert "exited" == stack.state("assets")


@shape("networks")
def test_networks(stack: Stack) -> None:
    """
    Guard and migration reach the database by the name that it has for the app alone.

    Faults: 86.
    """
    _starts(stack)
    assert [f"{stack.project}_default"] == _networks(stack, "migsafe")


@shape("internal")
def test_internal_network(stack: Stack) -> None:
    """
    The guard joins a network that leads nowhere else, and leaves it however the run ends.

    Faults: 86.
    """
    own, vault = [f"{stack.project}_default"], [f"{stack.project}_vault"]
    _starts(stack)
    assert (own, vault) == (_networks(stack, "migsafe"), _networks(stack, "app"))
    assert vault == _networks(stack, "db")
    _is_put_back(stack)
    assert own == _networks(stack, "migsafe")


@shape("build")
def test_build(stack: Stack) -> None:
    """
    An image that Compose builds, and that has no digest of a registry, is guarded like any other.

    Faults: 35.
    """
    _starts(stack, "--build")
    told = _is_put_back(stack, "--build")
    back = stack.run(told.item("go back"))
    assert (0, "running") == (back.code, stack.state("app")), back.output
    assert stack.logs().output.startswith("nothing to do:")


@shape("replicas")
def test_replicas(stack: Stack) -> None:
    """
    One migration serves all replicas, and after a failure none of them is started.

    Faults: 37.
    """
    _starts(stack)
    assert "running" == stack.state("app", 2)
    assert 1 == len(stack.backups)
    _is_put_back(stack)
    assert "created" == stack.state("app", 2)


@shape("profile", options=("--profile", "web"))
def test_profile(stack: Stack) -> None:
    """An app that is started on demand is guarded when it is demanded."""
    _starts(stack)


@shape("secrets")
def test_secrets(stack: Stack) -> None:
    """
    Passwords are read from the files that the app reads them from, and shown nowhere.

    Faults: 60, 86, 134.
    """
    _starts(stack)
    told = _is_put_back(stack)
    journal = stack.psql("SELECT string_agg(detail::text, ' ') FROM migsafe.journal", "migsafe")
    left = [path.read_text(encoding="utf-8") for path in stack.backups_folder.iterdir()]
    assert [] == [text for text in (told.output, journal, *left) if "c4nary" in text]


@shape("role", superuser="postgres")
def test_role_without_rights(stack: Stack) -> None:
    """
    Where the app's role may not create databases, the server's superuser does; the log says so.

    Faults: 22.
    """
    _starts(stack)
    assert "by role 'postgres'" in stack.logs().output
    told = _is_put_back(stack)
    assert "by role 'postgres'" in told.output
    assert "f|f" == stack.psql("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = 'shop'")


@pytest.mark.parametrize(
    "stack",
    [
        pytest.param(
            (STACKS / "older", f"older-{major}", {"variables": {"POSTGRES": major}}), id=major
        )
        for major in ("13", "15")
    ],
    indirect=True,
)
def test_older_server(stack: Stack) -> None:
    """
    An older server is dumped by its own programs, and loads what they have written.

    Faults: 17, 18, 58.
    """
    _starts(stack)
    major = stack.variables["POSTGRES"]
    stack.configure(MIGSAFE_RESTORE_POINT="never")
    told = _is_put_back(stack)
    assert "rollback: loading the backup" in told.output
    head = stack.backups[-1].read_text(encoding="utf-8")[:1000]
    assert f"-- Dumped by pg_dump version {major}." in head


@shape(
    "proxy",
    service={
        "volumes": ["./data/db_backup:/backups"],
        "environment": {"DOCKER_HOST": "tcp://proxy:2375"},
        "depends_on": {"proxy": {"condition": "service_healthy"}},
    },
)
def test_socket_proxy(stack: Stack) -> None:
    """
    Docker is reached through a proxy as well, with programs of the database's container too.

    Nothing is asked for that the page does not name.

    Faults: 36, 129.
    """
    _starts(stack)
    mounts = stack.inspect(stack.container("migsafe"))["Mounts"]
    assert ["/backups"] == [mount["Destination"] for mount in mounts]
    stack.configure(MIGSAFE_RESTORE_POINT="never")
    told = _is_put_back(stack)
    assert "rollback: loading the backup" in told.output
    assert "running" == stack.state("proxy")
    asked = {docker_request(line) for line in stack.logs("proxy").lines}
    assert "POST /containers/create" in asked
    assert asked <= docker_requests()


@pytest.mark.long
@shape(
    "haproxy",
    service={
        "volumes": ["./data/db_backup:/backups"],
        "environment": {"DOCKER_HOST": "tcp://proxy:2375"},
        "depends_on": {"proxy": {"condition": "service_healthy"}},
    },
)
def test_strict_and_impatient_proxy(stack: Stack) -> None:
    """
    A proxy as people run it refuses nothing that is asked for, and may cut what is silent.

    Faults: 36, 129.
    """
    _starts(stack)
    # silent for longer than the proxy is patient
    stack.configure(MIGSAFE_MIGRATE="sh -c 'sleep 25 && bin/migrate'")
    told = _is_put_back(stack)
    assert "ERROR" in told.item("output")
    up = stack.up("v2-good")
    assert (0, "running") == (up.code, stack.state("app")), stack.logs().output
    answers = {line.split()[0] for line in stack.logs("proxy").lines if line[:1].isdigit()}
    assert {"200", "201", "204"} <= answers
    assert "403" not in answers


@shape("read_only", apps.PLAIN.folder, service={"read_only": True})
def test_read_only(stack: Stack) -> None:
    """The guard writes nowhere but to its folder of backups."""
    _starts(stack)
    assert stack.inspect(stack.container("migsafe"))["HostConfig"]["ReadonlyRootfs"]
    _is_put_back(stack)


@shape(
    "user",
    apps.PLAIN.folder,
    service={"user": f"{SOMEBODY}:{SOMEBODY}", "group_add": [str(SOCKET.stat().st_gid)]},
)
def test_user(stack: Stack) -> None:
    """A guard that is not root needs the socket's group and a folder of its own, no more."""
    stack.backups_folder.mkdir(parents=True)
    os.chown(stack.backups_folder, SOMEBODY, -1)
    _starts(stack)
    _is_put_back(stack)
    assert {SOMEBODY} == {path.stat().st_uid for path in stack.backups_folder.iterdir()}


@shape("named", options=("-p", NAME, *FILES))
def test_project_and_files(stack: Stack) -> None:
    """
    The card's commands name the project and its files, and work as they are printed.

    Faults: 102.
    """
    stack.name = NAME
    _starts(stack)
    before = stack.digest()
    told = _is_put_back(stack)
    alias = told.item("first")
    assert f"alias dc='docker compose -p {NAME} {' '.join(FILES)}'" == alias
    again = stack.run(f"{alias}\n{told.item('try again')}")
    assert (1, 20) == (again.code, stack.exit_code()), again.output
    back = stack.run(f"{alias}\n{told.item('go back')}")
    assert (0, "running") == (back.code, stack.state("app")), back.output
    assert stack.logs().output.startswith("nothing to do:")
    assert before == stack.digest()


@shape("volume", variables={"MIGSAFE_BACKUPS_VOLUME": "backups"})
def test_volume_of_backups(stack: Stack) -> None:
    """
    Backups in a volume are found by the commands on the card, without migsafe.

    Faults: 102.
    """
    _starts(stack)
    assert not stack.backups_folder.exists()
    told = _is_put_back(stack)
    by_hand = stack.run(_by_hand(told))
    assert 0 == by_hand.code, by_hand.output
    assert stack.rows() == stack.rows("shop_restored")
    back = stack.run(f"{_alias(told)}{told.item('go back')}")
    assert (0, "running") == (back.code, stack.state("app")), back.output
    assert stack.logs().output.startswith("nothing to do:")


def _starts(stack: Stack, *options: str) -> None:
    """Bring the first release up, and see the app run with its data."""
    up = stack.up("v1", *options)
    assert (0, 0, "running") == (up.code, stack.exit_code(), stack.state("app")), (
        f"{up.output}\n{stack.logs().output}"
    )
    assert "200" == stack.psql("SELECT count(*) FROM books")
    assert [] == stack.leftovers()


def _is_put_back(stack: Stack, *options: str) -> Result:
    """Bring up a release that fails half-way; see its end and the data, and return its words."""
    before = stack.digest()
    up = stack.up("v2-late", *options)
    told = stack.logs()
    assert (1, 20, "created") == (up.code, told.code, stack.state("app")), told.output
    assert "put back and proven" in told.item("data")
    assert before == stack.digest()
    assert [] == stack.leftovers()
    return told


def _networks(stack: Stack, service: str) -> list[str]:
    return sorted(stack.inspect(stack.container(service))["NetworkSettings"]["Networks"])


def _by_hand(told: Result) -> str:
    """Read the commands that load the backup without migsafe, one below the other."""
    label = "no migsafe"
    start = next(n for n, line in enumerate(told.card) if line.strip().startswith(label))
    lines = [line.strip().removeprefix(label).strip() for line in told.card[start:]]
    return _alias(told) + "set -e\n" + "\n".join(lines) + "\n"


def _alias(told: Result) -> str:
    """Read the line that makes the others short, where there is one."""
    has_one = any(line.strip().startswith("first ") for line in told.card)
    return told.item("first") + "\n" if has_one else ""
