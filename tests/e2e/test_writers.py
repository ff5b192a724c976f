"""
Writers that never stop: whatever the fence, no write that was acknowledged to them is lost.

Each is in the live database, or in one that was kept and that a card has named. Guards that run
alone, one after the other, while all of the writers write.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from .conftest import Make
from .shell import Result, wait_for
from .shop import STACKS, adopted, inline
from .stack import Stack

pytestmark = pytest.mark.long

OUTSIDE = {
    "stranger": {"POSTGRES_HOST": "db", "POSTGRES_USER": "clerk"},
    "superuser": {"POSTGRES_HOST": "db", "POSTGRES_USER": "shop"},
    "pooled": {"POSTGRES_HOST": "pooler", "POSTGRES_USER": "shop"},
    "short": {"POSTGRES_HOST": "db", "POSTGRES_USER": "clerk", "SHORT": "yes"},
}
"""Writers in containers of no project, and how each reaches the server."""

WRITERS = ("worker", *OUTSIDE)


@dataclass
class Crew:
    """The writers, and what is known of their writes."""

    stack: Stack
    kept: set[str] = field(default_factory=set)
    """What is in databases that cards have named."""

    def container(self, writer: str) -> str:
        """Name a writer's container."""
        own = writer == "worker"
        return self.stack.container("worker") if own else f"{self.stack.project}-{writer}"

    def acknowledged(self, writer: str) -> set[str]:
        """Read what a writer was told to be safe."""
        said = self.stack.run(("docker", "logs", self.container(writer))).output
        return set(re.findall(r"^acknowledged (\d+)$", said, re.MULTILINE))

    def write_on(self, *writers: str) -> None:
        """Wait until each writer has written again."""
        before = {writer: len(self.acknowledged(writer)) for writer in writers}
        wait_for(lambda: all(len(self.acknowledged(w)) > n + 5 for w, n in before.items()))

    def lost(self) -> dict[str, int]:
        """Count the writes of each writer that were acknowledged, and are nowhere."""
        told = {writer: self.acknowledged(writer) for writer in WRITERS}
        found = self.kept | set(self.stack.psql("SELECT number FROM writes").splitlines())
        missing = {writer: len(numbers - found) for writer, numbers in told.items()}
        return {writer: count for writer, count in missing.items() if count}

    def open_kept(self, guard: Result) -> int:
        """Read the writes in the database that the card names; return how many only it has."""
        (name,) = re.findall(r"'(shop__kept_\w+)'", guard.item("kept"))
        self.stack.psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true", "postgres")
        found = set(self.stack.psql("SELECT number FROM writes", name).splitlines())
        self.stack.psql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", "postgres")
        self.kept |= found
        return len(found - set(self.stack.psql("SELECT number FROM writes").splitlines()))


@pytest.fixture(scope="module")
def crew(make: Make) -> Iterator[Crew]:
    """Set the writers to work on a shop whose next release waits."""
    stack = adopted(
        make,
        STACKS / "pooled",
        "shop",
        first=("pooler",),
        restless=["writes"],
        settings={"MIGSAFE_DATABASE_URL": "postgres://shop:secret@db/shop"},
    )
    stack.psql(
        "CREATE ROLE clerk LOGIN PASSWORD 'clerk'; CREATE TABLE writes (who text, number bigint);"
        "GRANT ALL ON writes TO clerk"
    )
    crew = Crew(stack)
    try:
        for writer, environment in OUTSIDE.items():
            _start(crew, writer, environment)
        yield crew
    finally:
        stack.run(("docker", "rm", "--force", *map(crew.container, OUTSIDE)))


def _start(crew: Crew, writer: str, environment: dict[str, str]) -> None:
    """Start a writer that no project knows."""
    secret = {"NAME": writer, "POSTGRES_PASSWORD": "clerk", "POSTGRES_DB": "shop"}
    if environment["POSTGRES_USER"] == "shop":
        secret["POSTGRES_PASSWORD"] = "secret"
    variables = [f"--env={key}={value}" for key, value in {**secret, **environment}.items()]
    started = crew.stack.run(
        (
            *("docker", "run", "--detach", "--init", "--name", crew.container(writer), *variables),
            *("--network", f"{crew.stack.project}_default"),
            *("--volume", f"{crew.stack.folder}/writer:/writer:ro"),
            *("migsafe-e2e-plainsql:v1", "/writer"),
        )
    )
    assert 0 == started.code, started.output


@pytest.mark.parametrize("good", [False, True], ids=["bad", "good"])
@pytest.mark.parametrize("fence", ["services", "terminate", "none"])
def test_nothing_is_lost(crew: Crew, fence: str, good: bool) -> None:
    """
    Writers inside the project and outside, directly and through a pooler, that always come back.

    Faults: 9, 38, 39, 40, 41, 42, 43, 95.
    """
    statement = f"DELETE FROM orders WHERE id = {len(fence) + 100 * good}"
    before, guard = _guarded(crew, fence, statement if good else f"{statement}; TABLE nowhere")
    assert (0 if good else 20) == guard.code, guard.output
    held = not good and fence != "none"
    assert ("exited" if held else "running") == crew.stack.state("worker")
    if not good:
        assert crew.open_kept(guard) > 0, guard.output
    crew.write_on(*OUTSIDE)
    assert {} == crew.lost(), guard.output
    assert good == (before != crew.stack.digest())


def test_refused_while_others_write(crew: Crew) -> None:
    """
    Where no stranger is allowed, one of them is named, nothing is done, and nobody is stopped.

    Faults: 39, 40, 104.
    """
    before, guard = _guarded(crew, "strict", "DELETE FROM orders WHERE id = 7")
    assert 17 == guard.code, guard.output
    assert "other sessions are on the database: psql of" in guard.text
    assert "running" == crew.stack.state("worker")
    crew.write_on(*WRITERS)
    assert ({}, before) == (crew.lost(), crew.stack.digest())


def _guarded(crew: Crew, fence: str, change: str) -> tuple[str, Result]:
    """Sum up the data, and migrate while everybody writes."""
    crew.stack.compose("--profile", "work", "up", "-d", "--no-deps", "worker")
    crew.write_on(*WRITERS)
    before = crew.stack.digest()
    return before, crew.stack.guard(MIGSAFE_FENCE=fence, MIGSAFE_MIGRATE=inline(change))
