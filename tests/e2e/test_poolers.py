"""
A real pooler between the app and its server: refused for our own sessions, spared for the app's.

Guards that run alone, one after the other, on one stack.
"""

import pytest

from .conftest import Make
from .shell import wait_for
from .shop import STACKS, adopted, inline
from .stack import Stack

SERVER = "postgres://shop:secret@db/shop"


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Give a shop behind a pooler, whose next release waits for its migration."""
    return adopted(
        make,
        STACKS / "pooled",
        "shop",
        first=("pooler",),
        settings={"MIGSAFE_MIGRATE": "bin/migrate"},
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgres://shop:secret@pooler:5433/shop",
        "postgres://shop:secret@pooler:5434/shop",
    ],
    ids=["the app's own, by transaction", "by session", "one that knows one database"],
)
def test_refused(stack: Stack, url: str) -> None:
    """
    However a pooler shares its connections: it is no way for a lock, and nothing is said to it.

    Faults: 6, 32.
    """
    before = stack.digest()
    guard = stack.guard(MIGSAFE_DATABASE_URL=url)
    assert 18 == guard.code, guard.output
    assert "through a pooler" in guard.text
    assert "MIGSAFE_DATABASE_URL" in guard.item("next")
    assert "migsafe" not in stack.databases()
    assert before == stack.digest()


def test_the_app_goes_on_using_it(stack: Stack) -> None:
    """
    With the server named to the guard, the migration goes through the pooler, and is put back.

    Faults: 32, 43, 76.
    """
    before = stack.digest()
    late = inline("INSERT INTO authors (name) SELECT 1::text FROM pg_sleep(1); TABLE nowhere")
    guard = stack.guard(MIGSAFE_DATABASE_URL=SERVER, MIGSAFE_MIGRATE=late)
    assert 20 == guard.code, guard.output
    assert "nowhere" in guard.item("output")
    assert "running" == stack.state("pooler")
    assert before == stack.digest()


def test_migrated_through_it(stack: Stack) -> None:
    """
    The next release starts, with its own way to the database.

    Faults: 32, 37.
    """
    stack.configure(MIGSAFE_DATABASE_URL=SERVER)
    up = stack.up("v2-good")
    assert (0, 0) == (up.code, stack.exit_code()), stack.logs().output
    assert ("running", "running") == (stack.state("app"), stack.state("pooler"))
    wait_for(lambda: "200 books" in stack.compose("logs", "app").output)
