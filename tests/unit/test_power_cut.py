"""
The power is cut after every system call of the store; whatever the disk kept, nothing is lost.

Never is half a backup taken for a whole one, never is a whole one lost, and the next run goes on.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from sidecar.backups import MANIFEST_SUFFIX, PARTIAL_SUFFIX, Backup, Format, Manifest
from sidecar.errors import BackupFailed
from sidecar.facts import Contents
from sidecar.vault import LocalVault
from tests.power_cuts import Disk, State, watched

from .builders import CONTENTS, NOON, look
from .test_vault import DUMP, Source, World, take, vault

OLDER, REPORT = "pre-migration-20260131-115900.sql", "last-report.txt"


class Pieces:
    """A database whose dump comes in pieces, each of which is seen on the disk."""

    after_each: Callable[[], None]

    @contextmanager
    def dump(self, _: Format) -> Iterator[tuple[Iterator[bytes], Callable[[], Contents]]]:
        """Give the pieces."""
        yield self._pieces(), lambda: CONTENTS

    def _pieces(self) -> Iterator[bytes]:
        for start in range(0, len(DUMP), 3000):
            yield DUMP[start : start + 3000]
            self.after_each()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder with a whole backup and a report in it."""
    found = tmp_path / "backups"
    found.mkdir()
    _take(found, NOON - timedelta(minutes=1))
    (found / REPORT).write_text("the run before")
    return found


@pytest.mark.parametrize("written", Format)
def test_a_backup_is_taken(folder: Path, tmp_path: Path, written: Format) -> None:
    """
    Cut at any call there is no half of it; once it is told of, it is there.

    Faults: 1, 14, 46, 52, 62.
    """
    source = Pieces()
    found = vault(folder, source, World(), written)
    with watched(folder) as disk:
        source.after_each = disk.wrote
        manifest = take(found)
        disk.done()

    _all_recover(disk, tmp_path, manifest.backup)
    for state in disk.after:
        assert manifest.backup.name in _whole(state)


def test_a_backup_fails(folder: Path, tmp_path: Path) -> None:
    """
    A dump that is cut off leaves nothing, whenever the power is cut.

    Faults: 46, 52.
    """
    found = vault(folder, Source(DUMP[:-60]), World())
    with watched(folder) as disk, suppress(BackupFailed):
        backup = found.next_backup()
        found.take(backup, "r", look(), {})
    disk.done()

    _all_recover(disk, tmp_path, backup)
    assert {frozenset({OLDER, OLDER + MANIFEST_SUFFIX, REPORT})} == set(map(frozenset, disk.after))


def test_a_backup_is_deleted(folder: Path, tmp_path: Path) -> None:
    """
    Cut in the middle of a deletion a backup is there as a whole, or it is none.

    Faults: 52, 111.
    """
    newer = _take(folder, NOON)
    with watched(folder) as disk:
        vault(folder, Source(), World()).delete(OLDER)
        disk.done()

    for state in disk.after:
        assert OLDER not in state
    for _, state in disk.points:
        _every_manifest_has_its_file(state)
        assert newer.backup.name in _whole(state)
        left = _laid(tmp_path, state)
        found = vault(left, Source(DUMP), World())
        found.delete(OLDER)
        assert [newer] == list(found.manifests())


def test_what_a_killed_run_left_is_cleared(folder: Path) -> None:
    """
    What was cleared stays cleared, and whole backups stay.

    Faults: 46, 52.
    """
    backup = Backup.parse("pre-migration-20260131-120500.sql")
    assert backup is not None
    for torn in (f"{backup.name}.partial", backup.name, f"{backup.manifest_name}.partial"):
        (folder / torn).write_text("torn")
    with watched(folder) as disk:
        found = vault(folder, Source(), World())
        found.discard(backup.name)
        found.discard(OLDER)
        disk.done()

    assert {frozenset({OLDER, OLDER + MANIFEST_SUFFIX, REPORT})} == set(map(frozenset, disk.after))


def test_a_report_is_replaced(folder: Path) -> None:
    """
    A report is the old one or the new one, never a part; once it is told of, the new one.

    Faults: 52, 62.
    """
    with watched(folder) as disk:
        vault(folder, Source(), World()).store.put(REPORT, "this run")
        disk.done()

    assert {b"the run before", b"this run"} == {state[REPORT] for _, state in disk.points}
    assert {b"this run"} == {state[REPORT] for state in disk.after}


def test_a_probe_that_came_back_is_no_obstacle(folder: Path, tmp_path: Path) -> None:
    """
    A file by which it was tried whether the folder can be written may outlive a power cut.

    Faults: 25, 52.
    """
    with watched(folder) as disk:
        assert vault(folder, Source(), World()).store.complaint() is None

    assert any(name.startswith(".probe") for _, state in disk.points for name in state)
    for _, state in disk.points:
        left = _laid(tmp_path, state)
        assert vault(left, Source(), World()).store.complaint() is None


# --- helpers


def _take(folder: Path, now: object) -> Manifest:
    world = World()
    world.time = now  # type: ignore[assignment]  # a time
    return take(vault(folder, Source(DUMP), world))


def _all_recover(disk: Disk, room: Path, backup: Backup) -> None:
    """Hold every state to the promises, and go on from it as the next run does."""
    assert len(disk.points) > 10
    seen: set[tuple[tuple[str, bytes], ...]] = set()
    for what, state in disk.points:
        key = tuple(sorted(state.items()))
        if key in seen:
            continue
        seen.add(key)
        _every_manifest_has_its_file(state)
        assert OLDER in _whole(state), what
        _goes_on(_laid(room, state), state, backup)
    print(f"{len(disk.points)} states, {len(seen)} different ones, were recovered from")


def _goes_on(left: Path, state: State, backup: Backup) -> None:
    world = World()
    found = vault(left, Source(DUMP), world, backup.format)
    _gives_what_was_taken(found, state)
    assert not any(name.startswith(found.next_backup().name) for name in state if _named(name))

    found.discard(backup.name)

    whole = _whole(state)
    names = {path.name for path in left.iterdir()}
    assert {REPORT, *whole, *(name + MANIFEST_SUFFIX for name in whole)} == names
    with watched(left) as second:
        again = take(found)
    for _, cut in second.points:  # once more, while the next run makes its own
        _every_manifest_has_its_file(cut)
        assert whole <= _whole(cut)
    assert whole | {again.backup.name} == {m.backup.name for m in found.manifests()}
    assert again == found.manifests()[0]


def _named(name: str) -> bool:
    return not name.endswith(PARTIAL_SUFFIX)


def _gives_what_was_taken(found: LocalVault, state: Mapping[str, bytes]) -> None:
    listed = found.manifests()
    assert _whole(state) == {manifest.backup.name for manifest in listed}
    for manifest in listed:
        assert DUMP == b"".join(found.chunks(manifest.backup.name)[1])


def _every_manifest_has_its_file(state: State) -> None:
    """Hold to it that the manifest's presence is the commit."""
    manifests = {name for name in state if name.endswith(MANIFEST_SUFFIX)}
    assert {name + MANIFEST_SUFFIX for name in _whole(state)} == manifests


def _whole(state: State) -> set[str]:
    """Name the backups that are whole, without the code under test."""
    return {
        name
        for name, data in state.items()
        if (text := state.get(name + MANIFEST_SUFFIX))
        and text.endswith(b"}\n")
        and json.loads(text)["sha256"] == hashlib.sha256(data).hexdigest()
    }


_numbers: Iterator[int] = iter(range(1 << 30))


def _laid(room: Path, state: State) -> Path:
    """Lay the files of a state into a folder of their own."""
    folder = room / str(next(_numbers))
    folder.mkdir()
    for name, data in state.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the real disk alone: what it would do is the model's part."""

    def nothing(_descriptor: int) -> None:
        pass

    monkeypatch.setattr(os, "fsync", nothing)
