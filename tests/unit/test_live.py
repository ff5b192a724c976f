"""The commands that change the live database, where something else fails beside it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar import live
from sidecar.errors import BackupNotFound, StoreFailed
from sidecar.shell import PIN_FILE
from sidecar.stores.local import LocalStore
from tests.fakes import FakeTeller

from .builders import manifest
from .test_lineage import History

IMAGES = {"app": "sha256:" + "a" * 64}


@pytest.mark.parametrize("full", [True, False])
def test_a_pin_that_can_not_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """The data is back, and its images with it: what the file was to say is said."""
    tell = FakeTeller()
    stack: Any = SimpleNamespace(ways=SimpleNamespace(tell=tell))

    def refuses(_self: object, name: str, _text: str) -> None:
        raise StoreFailed(f"{name}: No space left on device")

    if full:
        monkeypatch.setattr(LocalStore, "put", refuses)
    live._pin(stack, LocalStore(tmp_path), manifest(images=IMAGES))

    assert full == (not (tmp_path / PIN_FILE).exists())
    said = "\n".join(tell.lines) if full else (tmp_path / PIN_FILE).read_text()
    assert IMAGES["app"] in said
    assert full == any("No space left on device" in each for each in tell.warnings)


def test_which_migration_is_taken_back() -> None:
    """The last that the data has come through, or the one that is named; else none."""
    history = History()
    first, wrong = history.migrated(), history.migrated()
    history.restored("dump.sql", saved=False)

    with pytest.raises(BackupNotFound, match=f"in this data.*: {first.id}, {wrong.id}$") as none:
        live._migrated(history.runs, None)
    assert "rollback --to RUN" in none.value.hint
    with pytest.raises(BackupNotFound, match="no migration r9 has succeeded here"):
        live._migrated(history.runs, "r9")
    assert first is live._migrated(history.runs, first.id)
    again = history.migrated()
    assert again is live._migrated(history.runs, None)
    assert again.id in live._taken_back(again)[1]
