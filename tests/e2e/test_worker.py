"""
A stack with a worker that never stops writing, and that nobody has taught to wait.

The tests are one story: each goes on where the one before it has ended.
"""

import re
from dataclasses import dataclass, field

import pytest

from . import apps
from .conftest import Make
from .shell import wait_for
from .stack import Stack


@dataclass
class Shift:
    """What the worker was told to be safe, by all its containers."""

    stack: Stack
    acknowledged: set[str] = field(default_factory=set)

    def read(self) -> int:
        """Read the worker's output; return how many writes it knows to be safe."""
        name = self.stack.container("worker")
        said = self.stack.run(("docker", "logs", name)).output
        self.acknowledged |= set(re.findall(r"^acknowledged (\d+)$", said, re.MULTILINE))
        return len(self.acknowledged)

    def missing(self) -> set[str]:
        """Name the writes that were acknowledged and are not in the live database."""
        return self.acknowledged - set(self.stack.psql("SELECT counter FROM ticks").splitlines())


@pytest.fixture(scope="module")
def shift(make: Make) -> Shift:
    """Start the shop and its worker."""
    app = apps.DJANGO
    shift = Shift(make(app.folder, "worker", build=app.name, restless=app.restless))
    up = shift.stack.up("v1")
    assert 0 == up.code, shift.stack.logs().output
    return shift


def test_failure(shift: Shift) -> None:
    """
    The worker is stopped before the backup, and left stopped after the rollback.

    Nothing that it was told to be safe is missing: what it wrote before is in the backup, and
    afterwards it could not write.

    Faults: 37, 40, 104.
    """
    stack = shift.stack
    wait_for(shift.read)
    up = stack.up("v2-late")
    told = stack.logs()
    assert (1, 20) == (up.code, told.code), told.output
    assert f"fence: stopping {stack.container('worker')}" in told.output
    assert ("created", "exited") == (stack.state("app"), stack.state("worker"))
    assert "left stopped: worker" in told.item("app")
    shift.read()
    assert set() == shift.missing()


def test_by_hand(shift: Shift) -> None:
    """
    Migrations that a person runs past the gate, as the card says, are seen and proven after.

    What the hand did is in no backup of ours; what is done next is.

    Cards: failed, interrupted.
    """
    stack = shift.stack
    count, by_hand = len(stack.backups), stack.logs().item("yourself")
    stack.move_to("v2-good")
    ran = stack.run(by_hand)
    assert 0 == ran.code, ran.output
    assert "0" == stack.psql("SELECT count(*) FROM reviews")
    up = stack.up()
    assert (0, 0, "running") == (up.code, stack.exit_code(), stack.state("app"))
    assert count + 1 == len(stack.backups)


def test_success(shift: Shift) -> None:
    """
    The worker is stopped while the migration runs, and works again after it.

    Faults: 37, 38, 45.
    """
    stack = shift.stack
    up = stack.up("v3")
    told = stack.logs()
    assert (0, 0) == (up.code, told.code), told.output
    assert f"fence: stopping {stack.container('worker')}" in told.output
    before = shift.read()
    wait_for(lambda: shift.read() > before + 5)
    # a container that was never stopped has a finish in the year 1
    finished = stack.inspect(stack.container("worker"))["State"]["FinishedAt"]
    assert not finished.startswith("0001-")
    assert ("running", "running") == (stack.state("app"), stack.state("worker"))
    assert set() == shift.missing()


def test_lost_volume(shift: Shift) -> None:
    """
    An empty database beside backups with data is a lost volume: the app does not start on it.

    Faults: 20, 124.
    """
    stack = shift.stack
    backups = stack.backups
    stack.down()
    up = stack.up("v3")
    assert (1, 17, "created") == (up.code, stack.exit_code(), stack.state("app"))
    assert "lost" in stack.logs().item("next")
    assert "" == stack.psql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert backups == stack.backups


def test_begun_anew(shift: Shift) -> None:
    """Who wants to begin with an empty database on purpose can say so."""
    stack = shift.stack
    stack.configure(MIGSAFE_EMPTY="initialise")
    up = stack.up("v3")
    assert (0, 0, "running") == (up.code, stack.exit_code(), stack.state("app"))
    assert "200" == stack.psql("SELECT count(*) FROM books")
