"""The second mode in a real stack: backups whenever they are due, and a healthcheck that means it."""

import pytest

from . import apps
from .conftest import Make
from .shell import wait_for
from .stack import SECOND, Stack

SOON = {"MIGSAFE_SCHEDULE": "5s", "MIGSAFE_MIGRATE": "bin/migrate"}


def health(stack: Stack) -> str:
    """Tell what Docker says of the service's health."""
    state = stack.inspect(stack.container(SECOND))["State"]
    return str(state.get("Health", {}).get("Status", "none"))


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Start a stack with a backup every few seconds."""
    made = make(apps.PLAIN.folder, "soon", settings=SOON, second=True)
    assert made.up().code == 0
    return made


def scheduled(stack: Stack) -> list[str]:
    return [path.name for path in stack.backups if path.name.startswith("scheduled")]


def test_it_is_healthy(stack: Stack) -> None:
    wait_for(lambda: scheduled(stack))
    print(stack.compose("logs", SECOND).output)
    print(stack.compose("exec", SECOND, "migsafe", "health", "--explain").output)
    wait_for(lambda: health(stack) == "healthy", 60)
    print(stack.compose("ps").output)
