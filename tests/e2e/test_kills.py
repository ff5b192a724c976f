"""
What happens while a migration runs: it is looked at, raced, stopped, and its guard is killed.

The migration of this stack deletes orders, then waits for the test's verdict. The tests are one
story: each goes on where the one before it has ended.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Make
from .shell import Process, ended, wait_for
from .stack import Stack

HELD = """
. bin/database
trap "exit 143" TERM
query --command "DELETE FROM orders WHERE id <= 100"
echo holding
until query --dbname postgres --command "TABLE verdict" | grep -q .; do sleep 0.1; done
query --dbname postgres --command "TABLE verdict" | grep -q pass && exec bin/migrate
exit 9
"""


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Add migsafe to a stack that has lived without it, and move to the next release."""
    source = Path(__file__).parent / "stacks" / "held"
    made = make(source, "held", settings={"MIGSAFE_MIGRATE": json.dumps(["sh", "-c", HELD])})
    made.compose("up", "-d", "--wait", "db")
    made.compose("run", "--rm", "--no-deps", "app", "bin/migrate")
    made.psql("CREATE TABLE verdict (verdict text)", "postgres")
    made.move_to("v2-good")
    return made


@pytest.fixture(scope="module")
def before(stack: Stack) -> str:
    """Sum up the data before anything happens to it."""
    return stack.digest()


@pytest.fixture(scope="module")
def held(stack: Stack, before: str) -> Process:
    """Hold the first migration."""
    assert before
    return _hold(stack)


def test_one_off(stack: Stack, held: Process) -> None:
    """
    The migration runs in the app's own surroundings, without what makes the app a service.

    Faults: 35, 75, 86.
    """
    assert held.poll() is None
    app = stack.inspect(stack.container("app"))
    found = stack.inspect(stack.leftovers()[0])
    host, config = found["HostConfig"], found["Config"]
    assert (app["Image"], app["Image"]) == (found["Image"], config["Image"])
    assert (False, {}) == (host["PublishAllPorts"], host["PortBindings"] or {})
    assert {} == (found["NetworkSettings"]["Ports"] or {})
    assert "no" == host["RestartPolicy"]["Name"]
    assert host["AutoRemove"] is False
    assert (False, False, False) == tuple(
        config[name] for name in ("OpenStdin", "AttachStdin", "Tty")
    )
    assert set(app["Config"]["Env"]) < set(config["Env"])
    assert _networks(app) == _networks(found)
    assert app["Config"]["WorkingDir"] == config["WorkingDir"]
    assert "migration" == config["Labels"]["migsafe.role"]
    assert stack.project == config["Labels"]["com.docker.compose.project"]


def test_second_guard(stack: Stack, held: Process, before: str) -> None:
    """
    A second guard waits, then leaves, and names who holds the lock.

    Faults: 4, 5.
    """
    run = stack.inspect(stack.leftovers()[0])["Config"]["Labels"]["migsafe.run"]
    second = stack.guard(MIGSAFE_WAIT="1s")
    assert 12 == second.code, second.output
    assert f"migsafe {run}" in second.text
    assert 1 == len(stack.leftovers())
    assert held.poll() is None
    assert before != stack.digest()


def test_stopped(stack: Stack, held: Process, before: str) -> None:
    """
    Ctrl-C or `stop` in the middle of a migration: it is stopped too, and rolled back at once.

    Faults: 2, 74.
    """
    stack.compose("stop", "migsafe")
    assert 1 == ended(held).code
    told = stack.logs()
    assert (21, "created") == (told.code, stack.state("app")), told.output
    assert "put back and proven" in told.item("data")
    assert (before, []) == (stack.digest(), stack.leftovers())


def test_killed_and_it_fails(stack: Stack, before: str) -> None:
    """
    The guard is killed, the migration goes on and fails: the next `up` puts the data back.

    Faults: 1, 77.
    """
    _kill_while_it_runs(stack, "INSERT INTO verdict VALUES ('fail')")
    up = stack.up()
    told = stack.logs()
    assert (1, 20, "created") == (up.code, told.code, stack.state("app")), told.output
    assert "exited with 9" in told.text
    assert (before, []) == (stack.digest(), stack.leftovers())


def test_killed_and_it_succeeds(stack: Stack, before: str) -> None:
    """
    The guard is killed, the migration goes on and succeeds: the next `up` proves and commits it.

    Faults: 1, 77, 88.
    """
    assert 0 == stack.compose("run", "--rm", "migsafe", "retry").code
    _kill_while_it_runs(stack, "INSERT INTO verdict VALUES ('pass')")
    backups = stack.backups
    up = stack.up()
    told = stack.logs()
    assert (0, 0, "running") == (up.code, told.code, stack.state("app")), told.output
    assert "4900|0" == stack.psql("SELECT (SELECT count(*) FROM orders), count(*) FROM reviews")
    assert before != stack.digest()
    assert ([], backups) == (stack.leftovers(), stack.backups)
    assert 0 == stack.up().code
    assert stack.logs().output.startswith("nothing to do:")


def _hold(stack: Stack) -> Process:
    stack.psql("DELETE FROM verdict", "postgres")
    process = stack.start("up", "-d")
    wait_for(lambda: any(_says(stack, name, "holding") for name in stack.leftovers()))
    return process


def _kill_while_it_runs(stack: Stack, verdict: str) -> None:
    process = _hold(stack)
    migration = stack.leftovers()[0]
    stack.run(("docker", "kill", "--signal", "KILL", stack.container("migsafe")))
    assert 1 == ended(process).code
    assert "running" == stack.inspect(migration)["State"]["Status"]
    stack.psql(verdict, "postgres")
    wait_for(lambda: stack.inspect(migration)["State"]["Status"] == "exited")


def _says(stack: Stack, container: str, word: str) -> bool:
    return word in stack.run(("docker", "logs", container)).output


def _networks(container: dict[str, Any]) -> set[str]:
    return set(container["NetworkSettings"]["Networks"])
