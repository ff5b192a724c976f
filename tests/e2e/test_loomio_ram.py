"""
Loomio with its database in memory, by the names of its Makefile: the brief's first scenario.

The tests are one story: each goes on where the one before it has ended.
"""

from dataclasses import dataclass

import pytest

from .conftest import Make
from .loomio import SERVICES, InMemory, Loomio, copied
from .shell import wait_for
from .stack import SECOND

pytestmark = pytest.mark.long

HOUR = """
services:
  migsafe: {environment: &hour {MIGSAFE_SCHEDULE: 10s}}
  migsafe-backups: {environment: *hour}
"""
RUNNING = dict.fromkeys(SERVICES, "running")


@dataclass
class Story:
    """What must be there again."""

    rows: str = ""


@pytest.fixture(scope="module")
def stack(make: Make) -> Loomio:
    """Copy the example."""
    return copied(make, "ram", InMemory)


@pytest.fixture(scope="module")
def story() -> Story:
    """Remember."""
    return Story()


def test_init_ram(stack: Loomio) -> None:
    """The very first start, which says that it is one; the database is in memory."""
    up = stack.make("init-ram")
    assert 0 == up.code, up.output + stack.logs().output
    assert RUNNING == stack.states()
    assert "tmpfs" == stack.run(f"docker exec {stack.container('db')} stat -fc %T /pgdata").lines[0]
    wait_for(stack.acknowledged)


def test_start_again(stack: Loomio, story: Story) -> None:
    """
    Taken down, which saves it, and started: all is there, and all runs.

    Faults: 124.
    """
    story.rows = stack.rows()
    assert 0 == stack.compose("down").code
    up = stack.make("start")
    assert 0 == up.code, up.output + stack.logs().output
    assert "✓ restored scheduled-" in stack.logs().output
    assert (RUNNING, story.rows) == (stack.states(), stack.rows())


def test_an_hour(stack: Loomio, story: Story) -> None:
    """
    An hour of ten seconds: what was written before its backup survives a loss of power.

    Faults: 124.
    """
    (stack.folder / "hour.yml").write_text(HOUR)
    stack.files = (*InMemory.files, "hour.yml")
    stack.move_to("v1")
    up = stack.make("start")
    assert 0 == up.code, up.output + stack.logs().output
    stack.psql("INSERT INTO users (name, email) VALUES ('Nadia', 'nadia@example.org')")
    story.rows, before = stack.rows(), {path.name for path in stack.backups}
    # the second of them was begun after that; the first may be deleted by then
    first = wait_for(lambda: {path.name for path in stack.backups} - before)
    wait_for(lambda: {path.name for path in stack.backups} - before - first)
    ours = [stack.container(name) for name in ("db", SECOND, "migsafe", *SERVICES)]
    assert 0 == stack.run(("docker", "rm", "--force", *ours)).code

    stack.files = InMemory.files
    stack.move_to("v1")
    up = stack.make("start")
    assert 0 == up.code, up.output + stack.logs().output
    assert "✓ restored scheduled-" in stack.logs().output
    assert (RUNNING, story.rows) == (stack.states(), stack.rows())
    assert "1" == stack.psql("SELECT count(*) FROM users WHERE name = 'Nadia'").strip()


def test_start_with_a_bad_release(stack: Loomio, story: Story) -> None:
    """
    Restored, backed up, migrated and failed: the restored state is there, and nothing runs on it.

    Faults: 82, 99.
    """
    assert 0 == stack.make("db-backup").code
    assert 0 == stack.compose("down").code
    stack.move_to("v2-late")
    up = stack.make("start")
    told = stack.logs()
    assert (True, 20) == (up.code != 0, told.code), up.output + told.output
    assert "put back and proven" in told.item("data")
    assert story.rows == stack.rows()
    assert "running" not in stack.states().values()


def test_back_to_the_good_one(stack: Loomio, story: Story) -> None:
    """The release that the data belongs to starts again."""
    stack.move_to("v1")
    up = stack.make("start")
    assert 0 == up.code, up.output + stack.logs().output
    assert (RUNNING, story.rows) == (stack.states(), stack.rows())
