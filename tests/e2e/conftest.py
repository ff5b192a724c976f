"""Stacks for tests: made in a folder of their own, and removed whatever happens."""

import hashlib
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pytest_docker.plugin import get_docker_services

from . import apps
from .stack import ROOT, Stack

CHECKOUT = hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]
"""Two checkouts can be tested on one machine at the same time."""

CLEANUP = '--profile "*" down --volumes --timeout 0 --remove-orphans'
TOLD = "80"
"""Lines of each container's log that a failed test shows."""

Make = Callable[..., Stack]


@pytest.fixture(scope="module")
def make(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Make]:
    """Make stacks, named after checkout and test file, that are removed in the end."""
    module = request.module.__name__.rsplit("test_", 1)[-1]
    with ExitStack() as cleanup:

        def of(
            source: Path,
            name: str,
            *,
            build: str = "plainsql",
            kind: type[Stack] = Stack,
            **options: Any,
        ) -> Stack:
            for app in build.split():
                apps.build(app)
            project = re.sub(r"[^a-z0-9]+", "-", f"migsafe-e2e-{CHECKOUT}-{module}-{name}".lower())
            stack = kind(tmp_path_factory.mktemp("stack") / project, **options)
            stack.prepare(source)
            files = [str(path) for path in stack.compose_files()]
            # what an earlier session that was killed has left would be found by its labels
            stack.down()
            cleanup.enter_context(
                get_docker_services("docker compose", files, stack.project, [], CLEANUP)
            )
            return stack

        yield of


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the containers of a failed test said."""
    report = yield
    if call.when == "call" and report.failed:
        for stack in getattr(item, "funcargs", {}).values():
            if isinstance(stack, Stack):
                report.sections.append((f"logs of {stack.project}", _told(stack)))
    return report


def _told(stack: Stack) -> str:
    return stack.compose("logs", "--no-color", "--tail", TOLD).output
