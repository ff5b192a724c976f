"""
Loomio as its operators run it: `make init`, `start`, `update` and the others, calmly.

The tests are one story: each goes on where the one before it has ended.
"""

import time

import pytest

from .conftest import Make
from .loomio import SERVICES, Loomio, copied
from .shell import wait_for
from .terminal import Terminal

RUNNING = dict.fromkeys(SERVICES, "running")


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def stack(make: Make) -> Loomio:
    """Copy the example."""
    return copied(make, "calm")


def test_init(stack: Loomio) -> None:
    """An empty database gets Loomio's schema, not its migrations of many years, and all start."""
    up = stack.make("init")
    assert 0 == up.code, up.output + stack.logs().output
    assert "migrate: bundle exec rake db:prepare (Rails)" in stack.logs().output
    assert RUNNING == stack.states()
    assert "50|400" == stack.psql("SELECT (SELECT count(*) FROM users), count(*) FROM discussions")
    wait_for(stack.acknowledged)


def test_db_backup(stack: Loomio) -> None:
    """`make db-backup` takes a backup beside the running app."""
    done = stack.make("db-backup")
    assert 0 == done.code, done.output
    assert f"✓ Manual backup created: {_manual(stack)}" in done.output
    assert RUNNING == stack.states()


def test_update_that_fails(stack: Loomio) -> None:
    """
    An update whose second migration fails: `make update` fails, the data is as it was.

    Nothing of Loomio runs on it, and what the worker was told to be safe is there.
    """
    wait_for(stack.acknowledged)
    safe, before = stack.acknowledged(), stack.digest()
    up = stack.update("v2-late")
    told = stack.logs()
    assert 20 == told.code, up.output + told.output
    assert 0 != up.code
    assert "5 legacy anonymous discussions remain" in told.output
    assert "put back and proven" in told.item("data")
    assert before == stack.digest()
    assert set() == safe - set(stack.psql("SELECT id FROM events").splitlines())
    assert "running" not in stack.states().values()


def test_status(stack: Loomio) -> None:
    """`make status` tells what happened, and which migrations are pending."""
    done = stack.make("status")
    assert 0 == done.code, done.output
    assert (
        "rolled-back  migsafe-e2e-loomio:v2-late: bundle exec rake db:prepare exited" in done.output
    )
    assert "loomio-calm-redis-1" in done.output


def test_fixed_update(stack: Loomio) -> None:
    """The fixed release migrates, everything runs again, no write is lost."""
    up = stack.update("v3")
    assert 0 == up.code, up.output + stack.logs().output
    assert RUNNING == stack.states()
    assert "5" == stack.psql("SELECT count(*) FROM anonymous_discussions")


def test_restore_db(stack: Loomio) -> None:
    """
    `make restore-db` shows the backups, asks for the database's name, and puts one in place.

    The present release migrates it again, guarded, and all services run.
    """
    stack.psql("DELETE FROM translations")
    terminal = Terminal(("make", "restore-db"), stack.folder)
    terminal.until("restore which backup?")
    terminal.press("manual")
    time.sleep(0.5)
    terminal.press("enter")
    terminal.until("type the database's name")
    terminal.press("loomio_production\r")
    assert 0 == terminal.ended(), terminal.shown
    assert "100|5" == stack.psql(
        "SELECT (SELECT count(*) FROM translations), count(*) FROM anonymous_discussions"
    )
    assert RUNNING == stack.states()


def _manual(stack: Loomio) -> str:
    (name,) = [path.name for path in stack.backups if path.name.startswith("manual-")]
    return name
