"""
A database in memory: filled from its newest backup at each start, or the app does not start.

The tests are one story: each goes on where the one before it has ended.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from .cards import typed
from .conftest import Make
from .shell import Result, wait_for
from .stack import Stack

pytestmark = pytest.mark.long

HERE = Path(__file__).parent / "stacks" / "ram"
ORDERS = (
    "INSERT INTO orders (book_id, email, status, note)"
    " SELECT id, 'a@example.com', 'paid', '' FROM books LIMIT {}"
)
RAM = {"MIGSAFE_EMPTY": "restore", "MIGSAFE_MIGRATE": "bin/migrate"}


@dataclass
class Story:
    """What must not be lost."""

    rows: str = ""


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Take the shop with its database in memory."""
    return make(HERE, "shop", settings=RAM)


@pytest.fixture(scope="module")
def story() -> Story:
    """Remember."""
    return Story()


def back_up(stack: Stack) -> None:
    """Take a backup beside the running app."""
    done = stack.compose("run", "--rm", "--no-deps", "-T", "migsafe", "backup")
    assert 0 == done.code, done.output


def lose(stack: Stack) -> None:
    """Type `docker compose down`: the database is gone."""
    down = stack.compose("down")
    assert 0 == down.code, down.output


def came_back(stack: Stack, story: Story) -> Result:
    """Type `docker compose up -d`, and find everything."""
    up = stack.up("v1")
    told = stack.logs()
    assert (0, 0) == (up.code, told.code), up.output + told.output
    assert story.rows == stack.rows()
    wait_for(lambda: stack.state("app") == "running")
    return told


def test_the_very_first_start(stack: Stack, story: Story) -> None:
    """
    It is refused, and the card's command, typed once, lets it be.

    Faults: 21, 123.
    """
    assert (1, 17) == (stack.up("v1").code, stack.exit_code())
    assert "there is no backup with data" in stack.logs().text
    assert "created" == stack.state("app")
    typed(stack, "then")
    assert ("running", 0) == (stack.state("app"), stack.exit_code())
    stack.psql(ORDERS.format(50))
    story.rows = stack.rows()
    back_up(stack)


def test_doctor_knows_that_it_is_in_memory(stack: Stack) -> None:
    """An app that lives from its backups has somebody who takes them."""
    told = stack.compose("run", "--rm", "--no-deps", "-T", "migsafe", "doctor")
    assert 18 == told.code
    assert "in memory, and no `migsafe schedule` runs to back it up" in told.output
    assert "an empty one is not filled" not in told.output


def test_down_and_up(stack: Stack, story: Story) -> None:
    """
    What was backed up is there again; and once it is, there is nothing to do.

    Faults: 124.
    """
    lose(stack)
    told = came_back(stack, story)
    assert "✓ restored manual-" in told.output
    assert "✓ Pre-migration backup created: " in told.output
    up = stack.up()
    assert 0 == up.code
    assert stack.logs().output.startswith("nothing to do:")


def test_an_update_that_fails(stack: Stack, story: Story) -> None:
    """What the failing migration has done is put back, in memory as on a disk."""
    up = stack.up("v2-late")
    assert (1, 20) == (up.code, stack.exit_code())
    assert story.rows == stack.rows()
    assert "put back and proven" in stack.logs().item("data")


def test_filled_and_failed(stack: Stack, story: Story) -> None:
    """
    The brief's first scenario in one start: restored, backed up, failed, rolled back, 20.

    Faults: 82, 99, 124.
    """
    lose(stack)
    backups = len(stack.backups)
    up = stack.up("v2-late")
    told = stack.logs()
    assert (1, 20, "created") == (up.code, told.code, stack.state("app")), told.output
    assert story.rows == stack.rows()
    assert backups + 1 == len(stack.backups)
    steps = [told.output.index(word) for word in ("✓ restored", "✓ Pre-migration", "✗")]
    assert steps == sorted(steps)
    came_back(stack, story)


def test_the_backups_cannot_be_reached(stack: Stack, story: Story) -> None:
    """
    An app on an empty database is never better than none.

    Faults: 123.
    """
    lose(stack)
    (stack.backups_folder / "unmounted").mkdir()
    for place, code in (("/backups/gone", 16), ("/backups/unmounted", 17)):
        stack.configure(MIGSAFE_BACKUPS=place)
        assert (1, code) == (stack.up().code, stack.exit_code()), stack.logs().output
        assert "created" == stack.state("app")
        assert "0" == stack.psql("SELECT count(*) FROM pg_class WHERE relname = 'books'")
    stack.configure(MIGSAFE_BACKUPS="")
    came_back(stack, story)


@pytest.mark.parametrize("point", ["load.made", "load.fed", "swap.renamed", "swap.committed"])
def test_killed_while_it_fills(stack: Stack, story: Story, point: str) -> None:
    """
    Killed by force in the middle, the next start ends where one start would have.

    Faults: 1, 44.
    """
    lose(stack)
    stack.configure(MIGSAFE_FAILPOINTS=f"{point}=kill")
    stack.up("v1")
    assert (137, "created") == (stack.exit_code(), stack.state("app"))
    stack.configure(MIGSAFE_FAILPOINTS="")
    came_back(stack, story)
    assert not [name for name in stack.databases() if "__migsafe_" in name]


def test_restarted_empty_under_the_app(stack: Stack, story: Story) -> None:
    """
    The server comes back empty by itself: the next up fills it, and starts the app anew.

    Faults: 124.
    """
    stack.run(("docker", "restart", "--time", "0", stack.container("db")))
    wait_for(lambda: stack.run(f"docker exec {stack.container('db')} pg_isready -U shop").code == 0)
    came_back(stack, story)


def test_a_second_instance_is_refused(stack: Stack, story: Story, make: Make) -> None:
    """
    Another project that is to be filled from the same backups is told who has them.

    Faults: 127.
    """
    places = {"MIGSAFE_BACKUPS_VOLUME": str(stack.backups_folder)}
    other = make(HERE, "other", settings=RAM, variables=places)
    assert (1, 12) == (other.up("v1").code, other.exit_code()), other.logs().output
    assert f"another instance works on these backups: {stack.project}/" in other.logs().text
    assert story.rows == stack.rows()


def test_a_damaged_newest_backup(stack: Stack, story: Story) -> None:
    """
    It is refused with both names, and the older one is restored when somebody says so.

    Faults: 59, 91.
    """
    back_up(stack)
    stack.psql(ORDERS.format(1))
    back_up(stack)
    older, newest = [path for path in stack.backups if path.name.startswith("manual-")][-2:]
    newest.write_bytes(newest.read_bytes()[:-1] + b"?")
    lose(stack)
    assert (1, 14) == (stack.up("v1").code, stack.exit_code())
    assert newest.name in stack.logs().text
    command = stack.logs().item("then")
    assert f"restore {older.name} &&" in command
    typed = stack.run(command.replace(older.name, f"{older.name} --yes"))
    assert 0 == typed.code, typed.output
    came_back(stack, story)
