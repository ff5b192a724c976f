"""
The life of a stack, with each framework: real images, real Compose, nothing configured.

The tests of one app are one story: each goes on where the one before it has ended.
"""

import time
from dataclasses import dataclass, field

import pytest

from . import apps
from .apps import App
from .conftest import Make
from .shell import wait_for
from .stack import Stack

FAST = 10
"""Seconds, with much to spare on a busy machine."""


@dataclass
class Story:
    """What later chapters need to know of earlier ones."""

    app: App
    stack: Stack
    before: str = ""
    """The digest of the data that must not be lost."""
    told: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module", params=apps.EVERY, ids=lambda app: app.name)
def story(request: pytest.FixtureRequest, make: Make) -> Story:
    """Take the example of such an app, as it is; where there is none, the shipped override."""
    app: App = request.param
    source = apps.EXAMPLES / app.example if app.example else app.folder
    options = {"variables": {"SHOP_IMAGE": app.image}, "restless": app.restless}
    return Story(app, make(source, app.name, build=app.name, **options))


@pytest.fixture
def stack(story: Story) -> Stack:
    """Give the story's stack."""
    return story.stack


def test_first_install(story: Story, stack: Stack) -> None:
    """
    An empty database is migrated, proven, and the app starts.

    Faults: 21.
    """
    up = stack.up("v1")
    assert (0, 0) == (up.code, stack.exit_code()), stack.logs().output
    assert "200 books" in _page(story)
    assert f"migrate: {story.app.migrate} (" in stack.logs().output
    assert "✓ Pre-migration backup created: " + stack.backups[0].name in stack.logs().lines
    assert [] == stack.leftovers()
    # what autovacuum writes would look like a migration's writing
    stack.psql("ALTER SYSTEM SET autovacuum = off")
    stack.psql("SELECT pg_reload_conf()")


def test_nothing_to_do(stack: Stack) -> None:
    """
    A second `up` costs no container, no dump, no stop and one line.

    Faults: 13.
    """
    began, backups = time.time(), stack.backups
    running = [_started(stack, service) for service in ("app", "worker")]
    up = stack.up()
    assert (0, 0) == (up.code, stack.exit_code())
    assert 1 == len(stack.logs().lines), stack.logs().output
    assert stack.logs().output.startswith("nothing to do:")
    assert ([], backups) == (stack.one_offs(began), stack.backups)
    assert running == [_started(stack, service) for service in ("app", "worker")]


def test_console(stack: Stack) -> None:
    """`docker compose run app` runs the gate first, which must not make a person wait."""
    began = time.time()
    console = stack.compose("run", "--rm", "app", "true")
    assert 0 == console.code, console.output
    assert stack.logs().output.startswith("nothing to do:")
    assert [] == stack.one_offs(began)
    assert time.time() - began < FAST


def test_fails_after_a_commit(story: Story, stack: Stack) -> None:
    """
    What a failing migration has committed, dropped and deleted is put back; the app stays down.

    Faults: 71, 82, 97, 99, 102.
    """
    story.before = stack.digest()
    up = stack.up("v2-late")
    told = stack.logs()
    assert (1, 20, "created") == (up.code, told.code, stack.state("app")), told.output
    assert story.before == stack.digest()
    assert len(told.card) <= 15
    assert max(map(len, told.card)) <= 100
    assert "put back and proven" in told.item("data")
    assert _kept(told.item("kept")) in stack.databases()
    assert [] == stack.leftovers()
    report = (stack.backups_folder / "last-report.txt").read_text(encoding="utf-8")
    assert told.card == report.splitlines()[1:]
    story.told["go back"] = told.item("go back")


def test_backup_needs_no_migsafe(stack: Stack) -> None:
    """
    The backup is loaded by plain psql, as anybody would do it, and holds everything.

    Faults: 58.
    """
    backup = stack.backups[-1].read_bytes()
    stack.psql("CREATE DATABASE by_hand TEMPLATE template0", "postgres")
    load = f"docker exec -i {stack.container('db')} psql -v ON_ERROR_STOP=1 -q -U shop -d by_hand"
    loaded = stack.run(load, stdin=backup)
    assert 0 == loaded.code, loaded.output
    assert stack.rows() == stack.rows("by_hand")
    stack.psql("DROP DATABASE by_hand", "postgres")


def test_known_bad(story: Story, stack: Stack) -> None:
    """
    The same image is refused at once: no backup, no container, the data untouched.

    Faults: 12, 101.
    """
    began, backups = time.time(), stack.backups
    up = stack.up("v2-late")
    assert (1, 17, "created") == (up.code, stack.exit_code(), stack.state("app"))
    assert "failed before on this database" in stack.logs().text
    assert ([], backups) == (stack.one_offs(began), stack.backups)
    assert story.before == stack.digest()


def test_go_back(story: Story, stack: Stack) -> None:
    """
    The command on the card brings the image back that belongs to the data.

    Faults: 102.
    """
    back = stack.run(story.told["go back"])
    assert 0 == back.code, back.output
    assert stack.logs().output.startswith("nothing to do:")
    assert "200 books" in _page(story)
    assert story.before == stack.digest()


def test_fails_at_once(story: Story, stack: Stack) -> None:
    """
    Where the server saw no write, nothing is rolled back: there is nothing to put back.

    Cards: failed.
    Faults: 71.
    """
    story.before = stack.digest()
    kept = [name for name in stack.databases() if "__kept_" in name]
    up = stack.up("v2-early")
    told = stack.logs()
    assert (1, 20, "created") == (up.code, told.code, stack.state("app")), told.output
    assert "rollback: not needed, the server saw no write" in told.output
    assert "had not written anything" in told.item("data")
    assert story.before == stack.digest()
    assert kept == [name for name in stack.databases() if "__kept_" in name]
    story.told["try again"] = told.item("try again")


def test_retry(story: Story, stack: Stack) -> None:
    """What the card says of another try is true: it is tried, and fails of itself again."""
    again = stack.run(story.told["try again"])
    assert 1 == again.code, again.output
    assert 20 == stack.exit_code()
    assert story.before == stack.digest()


def test_fixed(story: Story, stack: Stack) -> None:
    """
    The fixed release migrates, the app starts, and the data is where it belongs.

    Faults: 45, 88.
    """
    up = stack.up("v3")
    told = stack.logs()
    assert (0, 0, "running") == (up.code, told.code, stack.state("app")), told.output
    assert "✓ migrated and proven" == told.card[0]
    assert "200 books" in _page(story)
    assert "500|5000" == stack.psql(
        "SELECT count(DISTINCT c.id), count(*) FROM customers c JOIN orders o"
        " ON o.customer_id = c.id AND lower(o.email) = c.email"
    )
    assert [] == stack.leftovers()


def test_older_image(story: Story, stack: Stack) -> None:
    """An image that is older than the data is refused: most frameworks would not notice."""
    story.before = stack.digest()
    up = stack.up("v1")
    assert (1, 17, "created") == (up.code, stack.exit_code(), stack.state("app"))
    assert "the database is ahead of this image" in stack.logs().text
    assert story.before == stack.digest()


def _page(story: Story) -> str:
    """Ask the running app what it sees."""
    argv = ("exec", "-T", "app", "sh", "-c", story.app.serving)

    def page() -> str:
        asked = story.stack.compose(*argv)
        return asked.output if asked.code == 0 else ""

    return wait_for(page)


def _started(stack: Stack, service: str) -> str | None:
    found = stack.inspect(stack.container(service))
    return found["State"]["StartedAt"] if found else None


def _kept(item: str) -> str:
    return item.split("'")[-2]
