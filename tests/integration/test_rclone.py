"""Stores that rclone reaches: a folder, for what every one of them does."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.errors import StoreFailed
from sidecar.stores.rclone import RcloneStore
from tests.store_contract import NAME, RemoteContract, file_of, quiet

from .sftp import Sftp, serving

pytestmark = pytest.mark.skipif(shutil.which("rclone") is None, reason="rclone is not here")


class Folder:
    """Stores in one folder, as rclone sees it."""

    def __init__(self, root: Path, environment: dict[str, str], remote: str = "disk") -> None:
        self.root = root
        self.environment = environment
        self.remote = remote

    def store(self, path: str = "shop") -> RcloneStore:
        """Open one."""
        remote = f"{self.remote}:{self.root}/{path}"
        return RcloneStore(f"rclone://{self.remote}/{path}", remote, self.environment)

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


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sftp]:
    """Run an SFTP server."""
    with serving(tmp_path_factory.mktemp("sftp")) as found:
        yield found


class TestSftp(RemoteContract):
    """The contract, on a real SFTP server that tells no checksums: what was sent is read back."""

    @pytest.fixture
    def remote(self, sftp: Sftp) -> Iterator[Folder]:
        """Give the bench."""
        yield Folder(sftp.root, sftp.environment, "nas")
        shutil.rmtree(sftp.root / "shop", ignore_errors=True)
        shutil.rmtree(sftp.root / "shop-staging", ignore_errors=True)

    def test_no_checksum_is_told(self, remote: Folder, tmp_path: Path) -> None:
        """So that this suite does try the way without one. Faults: 67."""
        remote.store().put(NAME, file_of(tmp_path, b"data"), quiet)

        assert not (remote.store()._stat(NAME, hashes=True) or {}).get("Hashes")

    def test_a_folder_of_ten_thousand(self, remote: Folder) -> None:
        """To the end. Faults: 112."""
        remote.place("first", b"x")
        for number in range(10_000):
            (remote.root / "shop" / f"{number:05}").touch()
        (remote.root / "shop" / "below").mkdir()

        assert 10_001 == len(remote.store().listing())

    def test_a_folder_that_can_not_be_read(self, sftp: Sftp, remote: Folder) -> None:
        """A key that the server does not know: told at once, with what to check. Faults: 65."""
        wrong = sftp.environment | {"RCLONE_CONFIG_NAS_KEY_FILE": str(sftp.root.parent / "host")}
        store = RcloneStore("rclone://nas/shop", f"nas:{sftp.root}/shop", wrong)
        del remote

        with pytest.raises(StoreFailed, match="does not accept these credentials") as failed:
            store.listing()
        assert not failed.value.passing

    def test_a_server_that_is_not_the_one_it_was(self, sftp: Sftp, tmp_path: Path) -> None:
        """Another host key: nothing is sent there."""
        known = tmp_path / "known_hosts"
        port = sftp.environment["RCLONE_CONFIG_NAS_PORT"]
        key = (sftp.root.parent / "user.pub").read_text()
        known.write_text(f"[127.0.0.1]:{port} {key}")
        wrong = sftp.environment | {"RCLONE_CONFIG_NAS_KNOWN_HOSTS_FILE": str(known)}

        with pytest.raises(StoreFailed, match="does not accept") as failed:
            RcloneStore("rclone://nas/shop", f"nas:{sftp.root}/shop", wrong).listing()
        assert not failed.value.passing

    def test_a_server_that_is_not_there(self, sftp: Sftp) -> None:
        """It may be in a moment. Faults: 66."""
        wrong = sftp.environment | {"RCLONE_CONFIG_NAS_PORT": "9"}

        with pytest.raises(StoreFailed) as failed:
            RcloneStore("rclone://nas/shop", "nas:shop", wrong).listing()
        assert failed.value.passing
