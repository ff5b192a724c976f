"""
A guard that fails tells people who do not watch: what happened, is the data safe, what to type.

The tests are one story, of a shop whose next release can't migrate.
"""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer

from .conftest import Make
from .shop import STACKS, adopted
from .stack import Stack

pytestmark = pytest.mark.long

CANARY = "c4n4ry-Of-A-T0ken"
HOST = "host.docker.internal"
MEMORY = "told-by-guard.json"


@pytest.fixture(scope="module")
def web() -> Iterator[HTTPServer]:
    """Give a web server that containers reach."""
    with HTTPServer(host="0.0.0.0") as server:  # noqa: S104 - a bridge is another interface
        server.expect_request(f"/{CANARY}").respond_with_data("")
        yield server


@pytest.fixture(scope="module")
def stack(make: Make, web: HTTPServer) -> Stack:
    """Give a shop that tells a webhook."""
    return adopted(
        make,
        STACKS / "shop",
        "shop",
        service={"extra_hosts": [f"{HOST}:host-gateway"]},
        settings={
            "MIGSAFE_MIGRATE": "bin/migrate",
            "MIGSAFE_NOTIFY": f"json://{HOST}:{web.port}/{CANARY}",
        },
    )


def test_a_failure_is_told(stack: Stack, web: HTTPServer) -> None:
    """The message is the card; the code is the migration's."""
    stack.move_to("v2-late")
    stack.compose("create", "app", "migsafe")
    guard = stack.guard()
    assert 20 == guard.code, guard.output
    told = _told(web)

    assert [("failure", f"{stack.project}: {guard.card[0].removeprefix('✗ ')}")] == [
        (each["type"], each["title"]) for each in told
    ]
    # what Compose's output and a chat make of blanks at the end of a line is theirs
    assert [line.strip() for line in guard.card[1:] if line] == [
        line.strip() for line in told[0]["message"].splitlines()[:-1]
    ]
    assert "put back and proven" in told[0]["message"]
    assert MEMORY in {path.name for path in stack.backups_folder.iterdir()}
    assert CANARY not in guard.output


def test_a_refusal_is_told_once(stack: Stack, web: HTTPServer) -> None:
    """The same image on the same data: told that it is refused, and not at every `up`."""
    assert [17, 17] == [stack.guard().code for _ in range(2)]
    assert ["failure", "failure"] == [each["type"] for each in _told(web)]


@pytest.mark.parametrize("server", ["hangs", "is gone"])
def test_who_can_not_be_told(stack: Stack, server: str) -> None:
    """A messenger that hangs or is gone costs seconds, a line, and nothing else."""
    with socket.create_server(("0.0.0.0", 0)) as listening:  # noqa: S104 - as above
        port = listening.getsockname()[1]
        if server == "is gone":
            listening.close()
        stack.configure(MIGSAFE_NOTIFY=f"json://{HOST}:{port}/{CANARY}?rto=99&cto=99")
        (stack.backups_folder / MEMORY).unlink(missing_ok=True)
        began = time.monotonic()
        guard = stack.guard()
        took = time.monotonic() - began
    assert 17 == guard.code, guard.output
    assert "! json://*** could not be told: " in guard.output
    assert CANARY not in guard.output
    assert took < 60  # of the 99 that it might take
    # nobody knows of it: it is told the next time
    assert not (stack.backups_folder / MEMORY).exists()


def test_nothing_of_it_is_shown(stack: Stack) -> None:
    """Neither where the settings are shown, nor in what is kept."""
    shown = stack.compose("run", "--rm", "--no-deps", "-T", "migsafe", "config")
    assert "json://***" in shown.output
    assert CANARY not in shown.output
    for path in stack.backups_folder.iterdir():
        assert CANARY not in path.read_text(encoding="utf-8"), path
    assert CANARY not in stack.psql("SELECT j::text FROM migsafe.journal j", "migsafe")


def test_the_end_of_it_is_told(stack: Stack, web: HTTPServer) -> None:
    """The next release migrates: told once, and nothing is told of what there is not to do."""
    stack.configure(MIGSAFE_NOTIFY=f"json://{HOST}:{web.port}/{CANARY}")
    assert 17 == stack.guard().code
    assert 3 == len(_told(web))
    stack.move_to("v2-good")
    stack.compose("create", "app", "migsafe")
    assert [0, 0] == [stack.guard().code for _ in range(2)]
    told = _told(web)

    assert ["success"] == [each["type"] for each in told[3:]]
    assert told[3]["title"].endswith("migration: well again")
    assert not (stack.backups_folder / MEMORY).exists()


def _told(web: HTTPServer) -> list[dict[str, str]]:
    return [json.loads(request.get_data()) for request, _ in web.log]
