"""The command `export`, on fakes: a file for its owner alone, whole, or none."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar import by_hand
from sidecar.errors import BackupDamaged, Interrupted, SettingsError
from tests.fakes import FakeWorld
from tests.fakes_machine import Machine

from .builders import give_stack
from .test_restore import GOOD, POLICY, migrated


@pytest.fixture
def here() -> Machine:
    """Make a machine with a backup."""
    return migrated()[0]


def export(
    here: Machine, target: Path, monkeypatch: pytest.MonkeyPatch, signal: int | None = None
) -> int:
    """Type the command."""
    world = FakeWorld(here, GOOD, POLICY, signal=signal)
    give_stack(monkeypatch, by_hand, world=world.world)
    settings: Any = None
    ways: Any = SimpleNamespace(stop=world.world.stop)
    words = Namespace(backup="latest", path=str(target))
    return by_hand.export(settings, ways, words, lambda: "export")


def test_it_is_for_its_owner_alone(
    here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds everybody's data, in the clear. Faults: 133."""
    assert 0 == export(here, tmp_path / "shop.sql", monkeypatch)

    (file,) = tmp_path.iterdir()
    assert ("shop.sql", 0o600) == (file.name, file.stat().st_mode & 0o777)
    assert file.stat().st_size == FakeWorld(here, GOOD, POLICY).vault.manifests()[-1].size


def test_nothing_is_written_over(
    here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a file nor what a link points to."""
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")

    for name in ("other", "link"):
        with pytest.raises(SettingsError, match=f"{name} is there already"):
            export(here, tmp_path / name, monkeypatch)
    assert "mine" == other.read_text()
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_that_is_not_there(
    here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named, and why."""
    with pytest.raises(SettingsError, match=r"gone/shop\.sql: No such file or directory"):
        export(here, tmp_path / "gone" / "shop.sql", monkeypatch)


@pytest.mark.parametrize("why", ["damaged", "stopped"])
def test_no_half_file_stays(
    here: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """What is cut off looks like a dump; so nothing stays of it."""
    name = FakeWorld(here, GOOD, POLICY).vault.manifests()[-1].backup.name
    if why == "damaged":
        here.files[name] = here.files[name][:-1]

    with pytest.raises(BackupDamaged if why == "damaged" else Interrupted):
        export(here, tmp_path / "shop.sql", monkeypatch, 0 if why == "stopped" else None)
    assert [] == list(tmp_path.iterdir())
