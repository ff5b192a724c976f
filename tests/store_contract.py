"""What every store does, whatever it is: a test module inherits the class and gives a bench."""

import threading
from pathlib import Path
from typing import Protocol

import pytest

from sidecar.backup_ports import Store
from sidecar.errors import NameTaken, ObjectMissing

NAME = "pre-migration-20260131-235958.sql"
BIG = 17 * (1 << 20) + 5
"""Bytes of what takes more than one chunk."""


class RemoteBench(Protocol):
    """Gives a store, and reaches behind it."""

    def store(self, path: str = "shop") -> Store:
        """Open the store; the same again at every call with the same path."""
        ...

    def place(self, name: str, data: bytes) -> None:
        """Put something into the default store's folder behind its back."""
        ...

    def content(self, name: str) -> bytes | None:
        """Read what is in the default store's folder; None where there is nothing."""
        ...


def quiet(_done: int) -> None:
    """Take no note of progress."""


def file_of(folder: Path, data: bytes) -> Path:
    """Write a file that is to be uploaded."""
    path = folder / "payload"
    path.write_bytes(data)
    return path


class RemoteContract:
    """A store keeps objects whole, under names that are never written over."""

    def test_what_was_put_is_listed_and_read(self, remote: RemoteBench, tmp_path: Path) -> None:
        """Bytes come back as they were, the listing tells their number. Faults: 112."""
        data = bytes(range(256)) * 5 + b"\r\n\0"
        store = remote.store()
        store.put(NAME, file_of(tmp_path, data), quiet)
        store.put_text(NAME + ".manifest.json", "{}\n")

        assert {NAME: len(data), NAME + ".manifest.json": 3} == dict(store.listing())
        assert data == b"".join(store.read(NAME))
        assert data[1000:] == b"".join(store.read(NAME, 1000))
        assert "{}\n" == store.text(NAME + ".manifest.json")

    def test_a_store_that_holds_nothing_yet_is_empty(self, remote: RemoteBench) -> None:
        """A first use is no failure."""
        assert {} == dict(remote.store().listing())

    def test_something_big_arrives_whole(self, remote: RemoteBench, tmp_path: Path) -> None:
        """It is sent in chunks, and compared. Faults: 67."""
        path, told = file_of(tmp_path, b"0123456789abcdef-" * (BIG // 17)), list[int]()
        remote.store().put(NAME, path, told.append)

        assert path.read_bytes() == remote.content(NAME)
        assert told

    def test_an_empty_object(self, remote: RemoteBench, tmp_path: Path) -> None:
        """Nothing is something, too."""
        store = remote.store()
        store.put(NAME, file_of(tmp_path, b""), quiet)

        assert {NAME: 0} == dict(store.listing())
        assert b"" == b"".join(store.read(NAME))

    def test_the_same_once_more_will_do(self, remote: RemoteBench, tmp_path: Path) -> None:
        """Whoever has lost the reply tries again, and finds that it is there. Faults: 64."""
        store, path = remote.store(), file_of(tmp_path, b"data")
        store.put(NAME, path, quiet)
        store.put(NAME, path, quiet)

        assert {NAME: 4} == dict(store.listing())

    def test_nothing_is_written_over(self, remote: RemoteBench, tmp_path: Path) -> None:
        """Another object of that name stays as it is, be it as long. Faults: 70."""
        store = remote.store()
        store.put(NAME, file_of(tmp_path, b"first"), quiet)

        with pytest.raises(NameTaken) as refused:
            store.put(NAME, file_of(tmp_path, b"other"), quiet)
        with pytest.raises(NameTaken):
            store.put_text(NAME, "longer than it was")
        assert b"first" == remote.content(NAME)
        assert not refused.value.passing

    def test_what_is_not_there(self, remote: RemoteBench) -> None:
        """Reading nothing is told; deleting nothing will do."""
        store = remote.store()
        for act in (lambda: store.text(NAME), lambda: list(store.read(NAME))):
            with pytest.raises(ObjectMissing):
                act()
        store.remove(NAME)

    def test_exactly_one_object_is_deleted(self, remote: RemoteBench, tmp_path: Path) -> None:
        """What merely begins alike, and what is not ours, stays. Faults: 113."""
        store, path = remote.store(), file_of(tmp_path, b"data")
        for name in (NAME, NAME + ".manifest.json"):
            store.put(name, path, quiet)
        remote.place("holiday (1).jpg", b"not ours")
        store.remove(NAME)

        assert {NAME + ".manifest.json": 4, "holiday (1).jpg": 8} == dict(store.listing())

    def test_two_folders_do_not_meet(self, remote: RemoteBench, tmp_path: Path) -> None:
        """Each has its own names, also where one's path begins as the other's."""
        one, other = remote.store("shop"), remote.store("shop-staging")
        one.put(NAME, file_of(tmp_path, b"one"), quiet)

        assert {} == dict(other.listing())
        other.put(NAME, file_of(tmp_path, b"other"), quiet)
        assert b"one" == b"".join(one.read(NAME))

    def test_what_a_tick_raises_ends_an_upload(self, remote: RemoteBench, tmp_path: Path) -> None:
        """A signal is heeded while something big is sent, and nothing torn has the name."""
        store, path = remote.store(), file_of(tmp_path, b"x" * BIG)

        def stop(_done: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.put(NAME, path, stop)
        assert NAME not in store.listing()
        store.put(NAME, path, quiet)

    def test_the_name_says_where(self, remote: RemoteBench) -> None:
        """It is the URL."""
        assert remote.store().name.endswith("shop")


class RaceContract:
    """Where the service can: of two who write at once, one is told."""

    def test_one_of_many_wins(self, remote: RemoteBench, tmp_path: Path) -> None:
        """Faults: 70."""
        won, lost = list[int](), list[int]()

        def write(number: int) -> None:
            path = tmp_path / str(number)
            path.write_bytes(b"from %d" % number)
            try:
                remote.store().put(NAME, path, quiet)
                won.append(number)
            except NameTaken:
                lost.append(number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert (1, 7) == (len(won), len(lost))
        assert b"from %d" % won[0] == remote.content(NAME)
