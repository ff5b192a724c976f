"""The second mode in a real stack: backups when they are due, and a healthcheck that means it."""

import json
import re
from typing import Any

import pytest
import yaml

from . import apps
from .conftest import Make
from .shell import Result, wait_for
from .stack import OVERRIDE, SECOND, Stack

QUICK = {"MIGSAFE_SCHEDULE": "2s", "MIGSAFE_MIGRATE": "bin/migrate"}
RARE = QUICK | {"MIGSAFE_SCHEDULE": "daily"}


def made(make: Make, name: str, settings: dict[str, str]) -> Stack:
    """Make a stack whose healthcheck is asked more often."""
    found = make(apps.PLAIN.folder, name, settings=settings, second=True)
    path = found.folder / OVERRIDE.name
    override = yaml.safe_load(path.read_text())
    override["services"][SECOND]["healthcheck"] |= {"interval": "1s", "start_period": "30s"}
    path.write_text(yaml.safe_dump(override))
    return found


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Start a stack with a backup every few seconds."""
    found = made(make, "quick", QUICK)
    assert 0 == found.up().code
    return found


def scheduled(stack: Stack) -> list[str]:
    """Name the whole scheduled backups, the oldest first."""
    return [path.name for path in stack.backups if path.name.startswith("scheduled")]


def rows(stack: Stack, name: str, table: str) -> int:
    """Read from a manifest how many rows a table has in a backup."""
    text = (stack.backups_folder / f"{name}.manifest.json").read_text()
    tables: list[dict[str, Any]] = json.loads(text)["contents"]["tables"]
    return next(int(each["rows"]) for each in tables if each["name"] == table)


def health(stack: Stack) -> Result:
    """Ask as the healthcheck does."""
    return stack.compose("exec", "-T", SECOND, "migsafe", "health", "--explain")


def turns(stack: Stack, code: int, words: str) -> Result:
    """Wait for the health to be so."""

    def asked() -> Result | None:
        found = health(stack)
        return found if found.code == code and words in found.output else None

    found = wait_for(asked)
    assert found is not None
    return found


def docker_says(stack: Stack) -> str:
    """Tell what `docker compose ps` shows."""
    return str(stack.inspect(stack.container(SECOND))["State"]["Health"]["Status"])


def torn(stack: Stack) -> list[str]:
    """Name what is left of backups that are none."""
    names = {path.name for path in stack.backups_folder.iterdir()}
    payloads = [name for name in names if re.fullmatch(r"scheduled-[\d-]+\.dump\.zst", name)]
    half = [name for name in payloads if f"{name}.manifest.json" not in names]
    return [*half, *(name for name in names if name.endswith(".partial"))]


def test_the_image_was_built_here(stack: Stack) -> None:
    """`docker compose pull` before an update does not fail on what no registry has."""
    pulled = stack.compose("pull", "migsafe", SECOND)

    assert 0 == pulled.code, pulled.output


def test_it_is_healthy_and_says_why_not(stack: Stack) -> None:
    """
    It backs up and proves it at once; without the database it is unhealthy, and then well again.

    Faults: 107, 115.
    """
    turns(stack, 0, "healthy")
    wait_for(lambda: docker_says(stack) == "healthy")
    first = scheduled(stack)[-1]
    wait_for(lambda: first < scheduled(stack)[-1])
    assert "✓ Scheduled backup created" in stack.logs(SECOND).output

    stack.compose("stop", "--timeout", "0", "db")
    wait_for(lambda: health(stack).code != 0)
    assert "unhealthy" in health(stack).output
    wait_for(lambda: docker_says(stack) == "unhealthy")
    last = scheduled(stack)[-1]
    stack.compose("start", "db")
    turns(stack, 0, "healthy")
    assert last < scheduled(stack)[-1]
    assert "running" == stack.state(SECOND)
    assert [] == [name for name in stack.databases() if "__migsafe" in name]


@pytest.mark.long
def test_the_guard_leaves_it_alone(stack: Stack) -> None:
    """
    A migration runs beside it: the lock is all that they share, and nobody is stopped for it.

    Faults: 105.
    """
    before = stack.inspect(stack.container(SECOND))["State"]["StartedAt"]
    stack.configure(MIGSAFE_WAIT="30s")  # what the override says of the second mode changes, too
    up = stack.up("v2-good")
    assert 0 == up.code, stack.logs().output
    assert SECOND not in stack.logs().output
    assert before != ""
    assert SECOND not in stack.compose("run", "--rm", "migsafe", "doctor").output
    turns(stack, 0, "healthy")


@pytest.mark.long
def test_a_table_is_emptied(stack: Stack) -> None:
    """
    It is told, backed up and labelled; somebody who says that it was meant makes it well again.

    Faults: 108.
    """
    stack.psql("TRUNCATE books CASCADE")
    told = turns(stack, 17, "data has vanished")
    assert "migsafe backup" in told.output
    before = scheduled(stack)
    wait_for(lambda: len(scheduled(stack)) > len(before) + 1)
    assert set(before) <= set(scheduled(stack))
    listed = stack.compose("run", "--rm", "migsafe", "show", scheduled(stack)[-1])
    assert "doubtful" in listed.output

    wait_for(lambda: stack.compose("run", "--rm", "migsafe", "backup").code == 0)
    turns(stack, 0, "healthy")


@pytest.mark.long
def test_killed_in_the_middle(stack: Stack) -> None:
    """What it leaves half done is gone after its next backup. Faults: 107."""
    stack.configure(MIGSAFE_FAILPOINTS="backup.dumping=sleep:600")
    stack.compose("up", "-d", "--no-deps", SECOND)
    wait_for(lambda: list(stack.backups_folder.glob("scheduled*.partial")))
    stack.run(("docker", "kill", stack.container(SECOND)))
    assert torn(stack)

    stack.configure(MIGSAFE_FAILPOINTS="")
    before = scheduled(stack)[-1]
    stack.compose("up", "-d", "--no-deps", SECOND)
    wait_for(lambda: before < scheduled(stack)[-1] and not torn(stack))


@pytest.mark.long
def test_stopped_in_the_middle(make: Make) -> None:
    """It gives the backup up at once, leaves nothing of it, and frees the lock."""
    stack = made(make, "stopped", RARE | {"MIGSAFE_FAILPOINTS": "backup.dumping=sleep:3"})
    assert 0 == stack.up().code
    wait_for(lambda: list(stack.backups_folder.glob("scheduled*.partial")))
    stack.compose("stop", SECOND)
    assert 0 == stack.exit_code(SECOND), stack.logs(SECOND).output
    assert [] == torn(stack)
    assert [] == scheduled(stack)
    assert "0" == stack.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")


@pytest.mark.long
@pytest.mark.parametrize("how", ["stop", "down"])
def test_a_last_backup(make: Make, how: str) -> None:
    """
    Compose stops the app first, then it, then the database: what was written last is saved.

    Faults: 128.
    """
    stack = made(make, f"last-{how}", RARE | {"MIGSAFE_FINAL_BACKUP": "true"})
    assert 0 == stack.up().code
    before = wait_for(lambda: scheduled(stack))
    turns(stack, 0, "proven     scheduled")
    books = int(stack.psql("SELECT count(*) FROM books"))
    stack.psql("CREATE TABLE last (word text); INSERT INTO last VALUES ('saved')")

    assert 0 == stack.compose(how).code
    assert len(scheduled(stack)) == len(before) + 1, stack.compose("logs", SECOND).output
    last = scheduled(stack)[-1]
    assert (books, 1) == (rows(stack, last, "books"), rows(stack, last, "last"))
    assert [] == torn(stack)


@pytest.mark.long
def test_the_server_comes_up_empty(make: Make) -> None:
    """
    Under a running app the data is lost: nothing is backed up or deleted, and it says what to type.

    Faults: 124.
    """
    stack = made(make, "lost", QUICK)
    assert 0 == stack.up().code
    turns(stack, 0, "healthy")
    stack.compose("rm", "--stop", "--force", "--volumes", "db")
    stack.run(("docker", "volume", "rm", f"{stack.project}_data"))
    stack.compose("up", "-d", "--no-deps", "db")
    wait_for(lambda: stack.inspect(stack.container("db"))["State"]["Health"]["Status"] == "healthy")
    told = turns(stack, 17, "not the one that it was")
    assert "docker compose up -d" in told.output
    before = {path.name for path in stack.backups}

    stack.psql("CREATE TABLE new_life (word text)")
    turns(stack, 17, "not the one that it was")
    assert before == {path.name for path in stack.backups}
    assert "migsafe" not in stack.databases()
