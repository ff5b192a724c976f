"""Failpoints: free where they are not armed, exact where they are."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sidecar import failpoints
from tests.points import points


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """Leave none armed behind."""
    yield
    failpoints.arm({})


def test_nothing_happens_unarmed() -> None:
    """A point that nobody armed lets the run pass, whatever its outside world would say."""
    failpoints.failpoint("lock.taken", lambda: pytest.fail("not to be called"))


def test_only_the_named_passing() -> None:
    """``@2`` means the second passing of that point, and of no other."""
    failpoints.arm(failpoints.parse("store.put@2=raise"))

    failpoints.failpoint("store.put")
    failpoints.failpoint("store.synced")
    with pytest.raises(failpoints.Planted, match=r"store\.put"):
        failpoints.failpoint("store.put")
    failpoints.failpoint("store.put")


def test_fail_raises_what_the_world_says() -> None:
    """An error of the outside world comes as the adapter would see it."""
    failpoints.arm(failpoints.parse("*=fail"))

    with pytest.raises(ConnectionResetError):
        failpoints.failpoint("engine.asked", ConnectionResetError)
    with pytest.raises(failpoints.Planted):
        failpoints.failpoint("lock.taken")


@pytest.mark.parametrize(
    ("action", "expected"),
    [("kill", -signal.SIGKILL), ("term", -signal.SIGTERM), ("raise", 1), ("trace", 0)],
)
def test_actions_on_a_process(action: str, expected: int) -> None:
    """The process dies, or goes on, and has named the point before."""
    program = (
        "from sidecar import failpoints as f;"
        f" f.arm(f.parse('lock.taken={action}')); f.failpoint('lock.taken')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=os.environ
    )

    assert expected == done.returncode
    assert f"failpoint lock.taken@1: {action}" in done.stderr


@pytest.mark.parametrize("text", ["lock.taken", "lock.taken=explode", "=kill", "a@b=kill", "a=b=c"])
def test_bad_input(text: str) -> None:
    """What can't be read is refused: a test must not pass because nothing was armed."""
    with pytest.raises(ValueError, match="is no point=action"):
        failpoints.parse(text)


def test_every_point_can_be_armed() -> None:
    """The names in the source are names that can be written; there is one at each kind of act."""
    found = points()

    assert {name: failpoints.Failpoint("kill") for name in found} == failpoints.parse(
        " ".join(f"{name}=kill" for name in found)
    )
    assert {name.partition(".")[0] for name in found} >= {
        *("lock", "journal", "control", "backup", "store", "clone", "load", "swap", "drop"),
        *("migration", "check", "services", "sessions", "network", "role", "engine", "report"),
    }
