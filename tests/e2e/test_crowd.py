"""
Several guards of one database at once: in one project, and in two that reach it by two addresses.

However many there are, one migrates, and the others wait for it or leave: one container, one
backup. Guards that run alone, one crowd after the other.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from . import shell
from .conftest import Make
from .shell import Process, Result, ended, wait_for
from .shop import STACKS, adopted, inline
from .stack import Stack

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Crowd:
    """Two projects with the same database."""

    near: Stack
    far: Stack

    @property
    def backups(self) -> int:
        """Count the backups of both."""
        return len(self.near.backups) + len(self.far.backups)

    def watch(self) -> Process:
        """Watch containers being made, as it happens: Docker remembers few events."""
        return shell.start(
            (
                *("docker", "events", "--since", f"{time.time():.6f}", "--filter", "event=create"),
                *("--filter", "label=migsafe.role=migration"),
                *("--format", "{{.Actor.Attributes.name}}"),
            ),
            self.near.folder,
        )

    def migrations(self, watch: Process) -> list[str]:
        """Name the containers of migrations that both have made while they were watched."""
        watch.terminate()
        ours = (f"{self.near.project}-", f"{self.far.project}-")
        return [name for name in ended(watch).lines if name.startswith(ours)]

    def leftovers(self) -> list[str]:
        """Name the containers of migrations that are there now."""
        return [*self.near.leftovers(), *self.far.leftovers()]


@pytest.fixture(scope="module")
def crowd(make: Make) -> Crowd:
    """Give a shop whose next release waits in two projects."""
    near = adopted(make, STACKS / "near", "near")
    far = make(STACKS / "far", "far", variables={"NEAR": near.project}, release="v2-good")
    created = far.compose("create", "app", "migsafe")
    assert 0 == created.code, created.output
    return Crowd(near, far)


def _at_once(stacks: Sequence[Stack], **settings: str) -> list[Result]:
    started = [stack.start(*stack.alone(**settings)) for stack in stacks]
    return [ended(process) for process in started]


def test_in_one_project(crowd: Crowd) -> None:
    """
    Four guards that start at once, on a server that has no journal yet: one migrates.

    Faults: 4, 13.
    """
    watch = crowd.watch()
    guards = _at_once([crowd.near] * 4, MIGSAFE_MIGRATE="sh -c 'sleep 1; exec bin/migrate'")
    _one_migrated(crowd, watch, 1, guards)
    assert "3" == crowd.near.psql("SELECT count(*) FROM schema_migrations")


def test_in_two_projects(crowd: Crowd) -> None:
    """
    Two projects with one database: what one has migrated, the other need not.

    Faults: 4, 5, 8.
    """
    watch, before = crowd.watch(), crowd.backups
    once = inline("INSERT INTO authors (name) SELECT 1::text FROM pg_sleep(1)")
    guards = _at_once([crowd.near, crowd.far, crowd.far, crowd.near], MIGSAFE_MIGRATE=once)
    _one_migrated(crowd, watch, before + 1, guards)
    assert "1" == crowd.near.psql("SELECT count(*) FROM authors WHERE name = '1'")


def test_those_who_do_not_wait(crowd: Crowd) -> None:
    """
    Who leaves is told which run holds the lock, since when, on which host, from which address.

    Faults: 4, 5.
    """
    watch, before = crowd.watch(), crowd.backups
    holding, name = _holding(crowd, "sleep 8; exit 0")
    guards = _at_once([crowd.far, crowd.near, crowd.far], MIGSAFE_WAIT="1s")
    assert [12, 12, 12] == [guard.code for guard in guards], guards[0].output
    run = re.escape(name.partition("-migration-")[2])
    host = r"\w{12} \([\d.]+\), since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    for guard in guards:
        assert re.search(rf"migsafe {run} on {host}", guard.text), guard.output
    assert 0 == ended(holding).code
    assert (1, before + 1) == (len(crowd.migrations(watch)), crowd.backups)
    assert [] == crowd.leftovers()


def test_one_fails(crowd: Crowd) -> None:
    """
    What has failed for one is not tried again by the other, though it waited for its turn.

    Faults: 4, 12, 101.
    """
    watch, before, digest = crowd.watch(), crowd.backups, crowd.near.digest()
    bad = inline("DELETE FROM orders WHERE id < 100; SELECT pg_sleep(1); TABLE nowhere")
    guards = _at_once([crowd.near, crowd.far, crowd.near], MIGSAFE_MIGRATE=bad)
    assert [17, 17, 20] == sorted(guard.code for guard in guards), guards[0].output
    assert (1, before + 1) == (len(crowd.migrations(watch)), crowd.backups)
    assert (digest, []) == (crowd.near.digest(), crowd.leftovers())


def test_one_is_killed(crowd: Crowd) -> None:
    """
    A guard is killed while it migrates: who has waited in the other project concludes its run.

    Faults: 1, 8, 77.
    """
    watch, before = crowd.watch(), crowd.backups
    holding, name = _holding(crowd, "sleep 4; exec bin/migrate --check")
    waiting = crowd.far.start(*crowd.far.alone(MIGSAFE_MIGRATE="bin/migrate"))
    _kill_guard(crowd.near)
    assert 137 == ended(holding).code
    assert "running" == crowd.near.inspect(name)["State"]["Status"]
    told = ended(waiting)
    assert 0 == told.code, told.output
    assert "is concluded: it had migrated, and is proven" in told.output
    # the run that was killed, and then the one that had waited: its command is another
    assert (2, before + 2) == (len(crowd.migrations(watch)), crowd.backups)
    assert [] == crowd.leftovers()


def _holding(crowd: Crowd, script: str) -> tuple[Process, str]:
    """Start a migration in the near project, and name its container."""
    process = crowd.near.start(*crowd.near.alone(MIGSAFE_MIGRATE=f"sh -c '{script}'"))
    return process, wait_for(crowd.near.leftovers)[0]


def _kill_guard(stack: Stack) -> None:
    (guard,) = stack.run(
        (
            *("docker", "ps", "--quiet", "--filter", "label=com.docker.compose.service=migsafe"),
            *("--filter", f"label=com.docker.compose.project={stack.project}"),
        )
    ).lines
    assert 0 == stack.run(("docker", "kill", guard)).code


def _one_migrated(crowd: Crowd, watch: Process, backups: int, guards: Sequence[Result]) -> None:
    """Hold a crowd to one migration and one backup."""
    outputs = "\n".join(guard.output for guard in guards)
    assert {0} == {guard.code for guard in guards}, outputs
    migrated = [guard for guard in guards if "migrated and proven" in guard.text]
    idle = [guard for guard in guards if "nothing to do" in guard.output]
    assert (1, len(guards) - 1) == (len(migrated), len(idle)), outputs
    assert (1, backups) == (len(crowd.migrations(watch)), crowd.backups)
    assert [] == crowd.leftovers()
