"""Stores that rclone reaches: a folder, for what every one of them does."""

import os
import shutil
from pathlib import Path

import pytest

from sidecar.errors import StoreFailed
from sidecar.stores.rclone import RcloneStore
from tests.store_contract import NAME, RemoteContract, file_of, quiet

pytestmark = pytest.mark.skipif(shutil.which("rclone") is None, reason="rclone is not here")


class Folder:
    """Stores in one folder, as rclone sees it."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.root = root
        self.environment = environment

    def store(self, path: str = "shop") -> RcloneStore:
        """Open one."""
        return RcloneStore(f"rclone://disk/{path}", f"disk:{self.root}/{path}", self.environment)

    def place(self, name: str, data: bytes) -> None:
        """Put something there."""
        (self.root / "shop").mkdir(exist_ok=True)
        (self.root / "shop" / name).write_bytes(data)

    def content(self, name: str) -> bytes | None:
        """Read it."""
        path = self.root / "shop" / name
        return path.read_bytes() if path.exists() else None


@pytest.fixture
def remote(tmp_path: Path) -> Folder:
    """Give the bench."""
    root = tmp_path / "remote"
    root.mkdir()
    environment = {"PATH": os.environ["PATH"], "RCLONE_CONFIG": "/notfound", "HOME": "/nonexistent"}
    return Folder(root, {**environment, "RCLONE_CONFIG_DISK_TYPE": "local"})


class TestFolder(RemoteContract):
    """The contract."""

    def test_a_remote_that_nobody_knows(self, remote: Folder) -> None:
        """A misspelt remote is told as that."""
        store = RcloneStore("rclone://nobody/x", "nobody:x", remote.environment)

        with pytest.raises(StoreFailed, match="knows no remote") as failed:
            store.listing()
        assert not failed.value.passing

    def test_what_a_killed_upload_left_is_in_nobodys_way(
        self, remote: Folder, tmp_path: Path
    ) -> None:
        """Half a file never has the name; the next try takes its place. Faults: 63."""
        remote.place(NAME + ".partial", b"half of")
        remote.store().put(NAME, file_of(tmp_path, b"all of it"), quiet)

        assert {NAME: 9} == dict(remote.store().listing())

    def test_no_rclone(self) -> None:
        """Without the program it is said what is missing."""
        store = RcloneStore("rclone://disk/x", "disk:x", {"PATH": "/nonexistent"})
        with pytest.raises(StoreFailed, match="rclone is not here"):
            store.listing()
