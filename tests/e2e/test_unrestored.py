"""
A restore that is refused: the app goes on with what it had, and the card says what to type instead.

The tests are one story: each goes on where the one before it has ended.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.backups import Manifest

from . import apps
from .conftest import Make
from .shell import Result, wait_for
from .stack import Stack

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Run a shop, and back it up by hand."""
    made = make(apps.PLAIN.folder, "unrestored", settings=apps.PLAIN.settings)
    assert 0 == made.up("v1").code, made.logs().output
    done = made.compose("run", "--rm", "-T", "migsafe", "backup")
    assert 0 == done.code, done.output
    return made


@pytest.fixture
def manual(stack: Stack) -> Path:
    """Name the backup that was taken by hand."""
    return max(path for path in stack.backups if path.name.startswith("manual-"))


def test_damaged(stack: Stack, manual: Path) -> None:
    """
    The backup is not whole: another one is to be chosen, which takes a terminal, or a name.

    Cards: unrestored.
    """
    whole = manual.read_bytes()
    manual.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    refused = _refused(stack, manual, 14)
    manual.write_bytes(whole)

    chosen = stack.run(refused.to_type("another"))
    assert (2, True) == (chosen.code, "restore latest --yes" in chosen.output), chosen.output


def test_newer_server(stack: Stack, manual: Path) -> None:
    """
    It is of a newer server: once that is mended, the same line restores it.

    Cards: unrestored.
    """
    with _manifest(manual, number=990000):
        refused = _refused(stack, manual, 18)

    _restored(stack, refused.to_type("then"))


def test_elsewhere(stack: Stack, manual: Path) -> None:
    """
    It is of another server: another backup is offered, and the line for who is sure.

    Cards: unrestored.
    """
    with _manifest(manual, system_identifier="4711"):
        refused = _refused(stack, manual, 17)
        assert "--from-elsewhere" in refused.item("insist")
        _restored(stack, refused.to_type("insist"))


def test_cut_off(stack: Stack, manual: Path) -> None:
    """
    A guard was killed while it migrated: the next start brings it to its end, then it is restored.

    Cards: unrestored.
    """
    stack.configure(MIGSAFE_FAILPOINTS="migration.started=kill")
    assert 0 != stack.up("v2-good").code
    stack.configure(MIGSAFE_FAILPOINTS="")
    wait_for(lambda: not any(_runs(stack, found) for found in stack.leftovers()))
    refused = _refused(stack, manual, 17, state="created")

    started = stack.run(refused.to_type("start"))
    assert (0, "running") == (started.code, stack.state("app")), started.output
    _restored(stack, refused.to_type("then"))


def _refused(stack: Stack, backup: Path, code: int, state: str = "running") -> Result:
    """Restore where it can't be done; hold the refusal to its promises."""
    before = stack.digest()
    done = stack.compose("run", "--rm", "-T", "migsafe", "restore", backup.name, "--yes")
    assert (code, before, state) == (done.code, stack.digest(), stack.state("app")), done.output
    assert "nothing was changed" in done.item("data")
    assert done.item("app").startswith("as it was before")
    assert "up -d" not in done.text or "start" in done.text
    return done


def _runs(stack: Stack, container: str) -> bool:
    return bool(stack.inspect(container)["State"]["Running"])


def _restored(stack: Stack, command: str) -> None:
    """Type what the card says, and consent."""
    done = stack.run(f"{command.strip()} --yes")
    assert (0, "running") == (done.code, stack.state("app")), done.output
    assert "✓ restored manual-" in done.output


@contextmanager
def _manifest(backup: Path, **other: Any) -> Iterator[None]:
    """Have a backup's manifest tell of another server for a while."""
    file = backup.with_name(f"{backup.name}.manifest.json")
    said = file.read_text(encoding="utf-8")
    found = Manifest.from_json(said, backup.name)
    changed = replace(found, server=replace(found.server, **other))
    file.write_text(changed.to_json(), encoding="utf-8")
    yield
    file.write_text(said, encoding="utf-8")
