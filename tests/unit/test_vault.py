"""Backups are taken whole or not at all, and checked before they are trusted."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sidecar import archive
from sidecar.backups import Backup, Format, Kind, Manifest
from sidecar.errors import UNCHANGED, BackupDamaged, BackupFailed, BackupNotFound, Interrupted
from sidecar.facts import Contents
from sidecar.inventory import HERE, Inventory
from sidecar.keys import Keys
from sidecar.stores.local import LocalStore
from sidecar.vault import LocalVault

from .builders import CONTENTS, NOON, look

DUMP = b"CREATE TABLE users ();\n" * 500 + b"--\n-- PostgreSQL database dump complete\n--\n"


class Source:
    """A database that gives what a test wants it to."""

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self.chunks = chunks
        self.error = error

    @contextmanager
    def dump(self, _: Format) -> Iterator[tuple[Iterator[bytes], Callable[[], Contents]]]:
        """Give the chunks, then fail if it is to."""

        def chunks() -> Iterator[bytes]:
            yield from self.chunks
            if self.error:
                raise self.error

        yield chunks(), lambda: CONTENTS


class World:
    """Clock, teller and stop in one."""

    def __init__(self) -> None:
        self.time = NOON
        self.said: list[str] = []
        self.stopped = False
        self.going = 0
        """Steps that are not over."""

    def now(self) -> datetime:
        """Tell the time."""
        return self.time

    def monotonic(self) -> float:
        """Stand still."""
        return 0.0

    def say(self, message: str, **_: Any) -> None:
        """Remember."""
        self.said.append(message)

    warn = say

    @contextmanager
    def progress(self, _: str) -> Iterator[Callable[[int], None]]:
        """Note that a step begins, and that it is over."""
        self.going += 1
        try:
            yield lambda _: None
        finally:
            self.going -= 1

    def check(self) -> None:
        """Stop when it was asked to."""
        if self.stopped:
            raise Interrupted.by(15)


@pytest.fixture
def world() -> World:
    """Make the collaborators."""
    return World()


def vault(
    folder: Path,
    source: Any,
    world: Any,
    written: Format = Format.SQL,
    keys: Keys | None = None,
) -> LocalVault:
    """Put a vault together."""
    return LocalVault(LocalStore(folder), source, written, world, world, world, keys=keys)


def take(found: LocalVault) -> Manifest:
    """Take a backup."""
    return found.take(found.next_backup(), "r", look(), {"app": "sha256:x"})


@pytest.mark.parametrize("written", Format)
def test_a_backup_is_whole_when_it_is_told(tmp_path: Path, world: World, written: Format) -> None:
    """The line of the contract comes when file and manifest are there. Faults: 52."""
    found = vault(tmp_path, Source(DUMP), world, written)
    manifest = take(found)

    assert f"✓ Pre-migration backup created: {manifest.backup.name}" == world.said[-1]
    assert (manifest,) == found.manifests()
    again, chunks = found.chunks(manifest.backup.name)
    assert manifest == again
    assert DUMP == b"".join(chunks)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (Source(DUMP[:-60]), BackupFailed),
        (Source(), BackupFailed),
        (Source(DUMP, error=BackupFailed("pg_dump exited with 1")), BackupFailed),
        (Source(DUMP, error=OSError(errno.ENOSPC, "No space left on device")), BackupFailed),
    ],
)
def test_what_is_not_whole_is_no_backup(
    tmp_path: Path, world: World, source: Source, error: type[Exception]
) -> None:
    """Cut, empty and failed dumps leave nothing, and are not told as done. Faults: 46, 48, 51."""
    with pytest.raises(error):
        take(vault(tmp_path, source, world))

    assert [] == list(tmp_path.iterdir())
    assert not [line for line in world.said if "✓" in line]


def test_a_signal_ends_it_without_a_trace(tmp_path: Path, world: World) -> None:
    """A dump is given up between two chunks. Faults: 2."""
    world.stopped = True
    with pytest.raises(Interrupted):
        take(vault(tmp_path, Source(DUMP), world))

    assert [] == list(tmp_path.iterdir())


def test_a_disk_that_fills_up_ends_the_step(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where no more can be written, nothing goes on that the process would wait for.

    What the operator reads is true of every backup, with a migration to come or without.

    Faults: 51.
    """

    def full(_: str, chunks: Iterator[bytes]) -> None:
        next(chunks)
        raise OSError(errno.ENOSPC, "No space left on device")

    found = vault(tmp_path, Source(DUMP, DUMP), world)
    monkeypatch.setattr(found.store, "write", full)
    with pytest.raises(BackupFailed, match="No space") as told:
        take(found)

    assert (told.type, 0) == (BackupFailed, world.going)
    assert UNCHANGED == told.value.hint


def test_the_manifest_comes_last(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the manifest can't be written there is no backup, and no file of its name."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    found = vault(tmp_path, Source(DUMP), world)
    monkeypatch.setattr(found.store, "put", full)
    with pytest.raises(BackupFailed, match="No space"):
        take(found)

    assert [] == list(tmp_path.iterdir())


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _swap(path: Path) -> None:
    other = b"x" * path.stat().st_size
    path.write_bytes(other)


@pytest.mark.parametrize("damage", [_flip, _cut, _swap])
def test_damage_is_found_before_anything_is_loaded(
    tmp_path: Path, world: World, damage: Callable[[Path], None]
) -> None:
    """A backup that is not what its manifest says is refused. Faults: 59, 91."""
    found = vault(tmp_path, Source(DUMP), world)
    name = take(found).backup.name
    damage(tmp_path / name)

    with pytest.raises(BackupDamaged, match=name):
        found.chunks(name)


@pytest.mark.parametrize("damage", [_flip, _cut, _swap])
def test_damage_that_came_after_a_check_is_found(
    tmp_path: Path, world: World, damage: Callable[[Path], None]
) -> None:
    """
    A file that was touched since it was checked is checked anew.

    Faults: 59, 91.
    """
    found = vault(tmp_path, Source(DUMP), world)
    name = take(found).backup.name
    found.chunks(name)
    damage(tmp_path / name)

    with pytest.raises(BackupDamaged, match=name):
        found.chunks(name)


def test_a_manifest_that_came_after_a_check_counts(tmp_path: Path, world: World) -> None:
    """What it says then is what the file is held to. Faults: 59."""
    found = vault(tmp_path, Source(DUMP), world)
    manifest = take(found)
    found.chunks(manifest.backup.name)
    other = replace(manifest, sha256="0" * 64)
    (tmp_path / manifest.backup.manifest_name).write_text(other.to_json())

    with pytest.raises(BackupDamaged, match="checksum"):
        found.chunks(manifest.backup.name)


def test_what_was_checked_is_read_once_to_be_loaded(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that nobody has touched since; who asks for a check has it read all the same."""
    found = vault(tmp_path, Source(DUMP), world)
    name, reads = take(found).backup.name, list[str]()
    read = found.store.read

    def seen(name: str, *, partial: bool = False) -> Iterator[bytes]:
        reads.extend([name] if not name.endswith(".json") else [])
        return read(name, partial=partial)

    monkeypatch.setattr(found.store, "read", seen)
    found.chunks(name)
    assert 1 == len(reads)
    assert DUMP == b"".join(found.chunks(name)[1])
    assert 2 == len(reads)
    found.check(name)
    assert 3 == len(reads)


def test_a_backup_that_is_gone(tmp_path: Path, world: World) -> None:
    """A missing file and a missing manifest are both no backup. Faults: 91."""
    found = vault(tmp_path, Source(DUMP), world)
    name = take(found).backup.name
    (tmp_path / f"{name}.manifest.json").unlink()
    with pytest.raises(BackupNotFound, match="no manifest"):
        found.chunks(name)
    (tmp_path / name).unlink()

    with pytest.raises(BackupNotFound, match="there is no backup"):
        found.chunks(name)
    assert () == found.manifests()


def test_a_damaged_manifest_is_told_and_left_out(tmp_path: Path, world: World) -> None:
    """One torn manifest does not hide the other backups."""
    found = vault(tmp_path, Source(DUMP), world)
    good = take(found)
    bad = take(found)
    (tmp_path / bad.backup.manifest_name).write_text("{")

    assert (good,) == found.manifests()
    assert "can't be read" in world.said[-1]


def test_names_never_go_back(tmp_path: Path, world: World) -> None:
    """Two in one second, and a clock that was set back, still get newer names. Faults: 14."""
    found = vault(tmp_path, Source(DUMP), world)
    first, second = take(found), take(found)
    world.time -= timedelta(days=400)
    third = take(found)

    times = [m.backup.taken_at for m in (first, second, third)]
    assert sorted(set(times)) == times
    assert (third, second, first) == found.manifests()


def test_names_that_only_a_manifest_has_are_taken(tmp_path: Path, world: World) -> None:
    """A manifest whose file is gone can't make another backup look damaged. Faults: 14, 111."""
    found = vault(tmp_path, Source(DUMP), world)
    gone = take(found).backup
    (tmp_path / gone.name).unlink()

    assert gone.name != found.next_backup().name


def test_a_name_that_was_discarded_is_not_used_again(tmp_path: Path, world: World) -> None:
    """A run that was thought dead and is not can't write over another's backup. Faults: 3, 14."""
    found = vault(tmp_path, Source(DUMP), world)
    torn = found.next_backup()
    found.discard(torn.name)

    assert torn.taken_at < found.next_backup().taken_at


def test_too_little_room_is_told(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for the backup is looked for before it is begun. Faults: 25."""
    found = vault(tmp_path, Source(DUMP), world)
    assert () == found.complaints(1 << 20)
    monkeypatch.setattr(found.store, "free", lambda: 1 << 20)

    assert "1.0 MB are free" in found.complaints(1 << 30)[0]
    lost = LocalVault(found.store, found.database, Format.SQL, *[world] * 3, mounted=False)  # type: ignore[arg-type]  # three in one
    assert "would be lost" in lost.complaints(1)[0]
    assert "can't be written" in vault(tmp_path / "x", Source(), world).complaints(1)[0]


def test_deleting_takes_the_manifest_first(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash in the middle of a deletion leaves no manifest without its file. Faults: 111."""
    found = vault(tmp_path, Source(DUMP), world)
    name = take(found).backup.name
    removed: list[str] = []
    monkeypatch.setattr(found.store, "remove", removed.append)
    found.delete(name)

    assert (f"{name}.manifest.json", name) == (removed[0], removed[-1])
    assert {f"{name}.proof.json", f"{name}.damaged"} == set(removed[1:-1])


def test_an_archive_with_a_bad_frame_is_damaged(tmp_path: Path, world: World) -> None:
    """Even with a manifest that fits, an archive must read to its end."""
    found = vault(tmp_path, Source(DUMP), world, Format.ARCHIVE)
    manifest = take(found)
    packed = (tmp_path / manifest.backup.name).read_bytes()

    with pytest.raises(BackupDamaged):
        list(archive.decompress([packed[:-3]]))


def test_a_full_disk_does_not_keep_what_was_where(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can't be remembered is forgotten: old backups can be deleted, which makes room."""
    found, known = vault(tmp_path, Source(DUMP), world), Inventory.of({HERE: [take_name()]})
    found.remember(known)
    assert known == found.remembered()
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(LocalStore, "write", lambda *_: (_ for _ in ()).throw(full))
    found.remember(known)

    assert Inventory() == found.remembered()
    assert "can't be remembered" in world.said[-1]


def take_name() -> str:
    """Name a backup that is remembered."""
    return Backup(Kind.SCHEDULED, NOON, Format.SQL).name
