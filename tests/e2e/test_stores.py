"""Backups away from the folder, as an operator meets them: the guard, list, restore, doctor."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from .apps import APPS
from .conftest import Make
from .stack import Stack
from .test_by_hand import typed

STORE = "rclone://disk//backups/away"


@dataclass
class Story:
    """What later chapters need to know of earlier ones."""

    stack: Stack
    v1: str

    @property
    def away(self) -> Path:
        """The folder that stands for another machine."""
        return self.stack.backups_folder / "away"


@pytest.fixture(scope="module")
def story(make: Make) -> Story:
    """Run release v1 under the gate, with a store that it must copy to."""
    settings = {
        "MIGSAFE_MIGRATE": "bin/migrate",
        "MIGSAFE_STORES": STORE,
        "MIGSAFE_REQUIRE_REMOTE": "true",
        "RCLONE_CONFIG_DISK_TYPE": "local",
    }
    stack = make(APPS / "plainsql", "stores", settings=settings)
    up = stack.up("v1")
    assert 0 == up.code, stack.logs().output
    return Story(stack, stack.digest())


def test_the_backup_is_there_before_the_migration(story: Story) -> None:
    """File and manifest, byte for byte; the log says so before it says that it migrates."""
    log = story.stack.logs().output
    (name,) = [path.name for path in story.away.iterdir() if path.suffix == ".sql"]

    assert (story.away.parent / name).read_bytes() == (story.away / name).read_bytes()
    assert {name, f"{name}.manifest.json"} == {path.name for path in story.away.iterdir()}
    assert log.index(f"copied to {STORE}: {name}") < log.index("migrate: bin/migrate")


def test_list_says_where(story: Story) -> None:
    """Here and there; and there alone, when the folder here was lost. A backup is copied, too."""
    stack = story.stack
    done = typed(stack, "backup")
    assert 0 == done.code, done.output
    for path in story.away.parent.glob("manual-*"):
        path.unlink()

    answer = json.loads(typed(stack, "list", "--json").output)
    assert [[STORE], ["local", STORE]] == [found["where"] for found in answer["backups"]]
    assert any(line.endswith("  rclone") for line in typed(stack, "list").lines)


def test_a_backup_that_is_only_there_is_restored(story: Story) -> None:
    """It is fetched, checked, and put in place."""
    done = typed(story.stack, "restore", "manual", "--yes")

    assert 0 == done.code, done.output
    assert f"✓ fetched from {STORE}: manual-" in done.output
    assert story.v1 == story.stack.digest()


def test_without_the_store_nothing_is_migrated(story: Story) -> None:
    """The store is gone: 16, the words say which and why, the data is as it was; doctor says so."""
    stack = story.stack
    shutil.move(story.away, story.away.with_name("moved"))
    story.away.write_text("no folder")

    up = stack.up("v2-good")
    assert "exit 16" in up.output
    log = stack.logs().output
    assert STORE in log
    assert "no migration was started" in log
    assert story.v1 == stack.digest()
    doctor = typed(stack, "doctor")
    assert 18 == doctor.code
    assert f"✗ {STORE}" in doctor.output

    story.away.unlink()
    shutil.move(story.away.with_name("moved"), story.away)
    assert 0 == stack.up("v2-good").code, stack.logs().output
    assert "✗" not in typed(stack, "doctor").output
