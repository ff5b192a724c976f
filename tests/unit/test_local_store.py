"""A folder of backups: nothing has its real name before it is whole."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.errors import StoreFailed
from sidecar.stores.local import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Make an empty folder."""
    return LocalStore(tmp_path)


def broken() -> Iterator[bytes]:
    """Give a little, then find no more space."""
    yield b"some"
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_has_its_name_last(store: LocalStore) -> None:
    """While it is written a file is not listed, and has no real name."""
    written = store.write("a.sql", [b"x", b"yz"])

    assert () == store.names()
    assert 3 == written.size
    store.publish("a.sql")
    assert ("a.sql",) == store.names()
    assert b"xyz" == b"".join(store.read("a.sql"))


def test_what_has_a_name_is_on_the_disk(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced, then named, then its folder is synced; so is a manifest. Faults: 52."""
    done: list[str] = []
    sync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        done.append("name")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    store.write("a.sql", [b"x"])
    store.publish("a.sql")
    store.put("a.sql.manifest.json", "{}")
    store.remove("a.sql.manifest.json")

    assert [*["file", "name", "folder"] * 2, "folder"] == done


def test_nothing_is_left_of_what_failed(store: LocalStore) -> None:
    """A disk that fills up leaves no partial file behind. Faults: 46, 51."""
    with pytest.raises(OSError, match="No space"):
        store.write("a.sql", broken())

    assert [] == list(store.folder.iterdir())


def test_nothing_is_overwritten(store: LocalStore) -> None:
    """A backup that is there is never replaced. Faults: 70."""
    (store.folder / "a.sql").write_text("first")
    store.write("a.sql", [b"second"])

    with pytest.raises(StoreFailed, match="nothing is ever overwritten"):
        store.publish("a.sql")
    assert "first" == store.text("a.sql")


def test_a_partial_file_of_a_killed_run_is_replaced(store: LocalStore) -> None:
    """What a killed run left half written does not stop the next. Faults: 1."""
    (store.folder / "a.sql.partial").write_text("torn")
    store.write("a.sql", [b"whole"])
    store.publish("a.sql")

    assert "whole" == store.text("a.sql")


def test_files_are_for_their_owner_only(store: LocalStore) -> None:
    """Dumps hold everything: nobody else may read them. Faults: 133."""
    store.write("a.sql", [b"x"])
    store.publish("a.sql")
    store.put("report.txt", "y")

    assert {0o600} == {(store.folder / n).stat().st_mode & 0o777 for n in store.names()}


def test_links_are_not_followed(store: LocalStore, tmp_path: Path) -> None:
    """A link that somebody laid is neither written through nor read. Faults: 116, 133."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_text("not ours")
    (store.folder / "a.sql.partial").symlink_to(outside)
    (store.folder / "b.sql").symlink_to(outside)
    store.write("a.sql", [b"x"])

    assert "not ours" == outside.read_text()
    with pytest.raises(StoreFailed):
        list(store.read("b.sql"))
    outside.unlink()


def test_a_file_without_a_manifest_is_discarded(store: LocalStore) -> None:
    """What was published and got no manifest is not a backup, and goes."""
    store.write("a.sql", [b"x"])
    store.publish("a.sql")
    (store.folder / "a.sql.manifest.json.partial").write_text("{")
    store.write("b.sql", [b"x"])
    store.discard("a.sql")
    store.discard("b.sql")

    assert [] == list(store.folder.iterdir())


def test_a_backup_is_not_discarded(store: LocalStore) -> None:
    """A file with its manifest stays."""
    for name in ("a.sql", "a.sql.manifest.json"):
        store.write(name, [b"x"])
        store.publish(name)
    store.discard("a.sql")

    assert ("a.sql", "a.sql.manifest.json") == store.names()


def test_complaints(store: LocalStore, tmp_path: Path) -> None:
    """A folder that can't be written is told by trying. Faults: 25."""
    gone = LocalStore(tmp_path / "gone")

    assert store.complaint() is None
    assert [] == list(store.folder.iterdir())
    assert "No such file" in (gone.complaint() or "")
    with pytest.raises(StoreFailed):
        gone.names()
