"""Stores that rclone reaches: a folder, SFTP by OpenSSH, and S3 by a server that is rclone's."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.errors import StoreFailed
from sidecar.stores.rclone import RcloneStore
from tests.store_contract import BIG, NAME, RemoteContract, file_of, quiet

from . import s3
from .s3 import S3
from .sftp import Sftp

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


class TestSftp(RemoteContract):
    """The contract, on a real SFTP server that tells no checksums: what was sent is read back."""

    @pytest.fixture
    def remote(self, nas: Sftp) -> Iterator[Folder]:
        """Give the bench."""
        yield Folder(nas.root, nas.environment, "nas")
        shutil.rmtree(nas.root / "shop", ignore_errors=True)
        shutil.rmtree(nas.root / "shop-staging", ignore_errors=True)

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

    def test_a_folder_that_can_not_be_read(self, nas: Sftp, remote: Folder) -> None:
        """A key that the server does not know: told at once, with what to check. Faults: 65."""
        wrong = nas.environment | {"RCLONE_CONFIG_NAS_KEY_FILE": str(nas.root.parent / "host")}
        store = RcloneStore("rclone://nas/shop", f"nas:{nas.root}/shop", wrong)
        del remote

        with pytest.raises(StoreFailed, match="does not accept these credentials") as failed:
            store.listing()
        assert not failed.value.passing

    def test_a_server_that_is_not_the_one_it_was(self, nas: Sftp, tmp_path: Path) -> None:
        """Another host key: nothing is sent there."""
        known = tmp_path / "known_hosts"
        port = nas.environment["RCLONE_CONFIG_NAS_PORT"]
        key = (nas.root.parent / "user.pub").read_text()
        known.write_text(f"[127.0.0.1]:{port} {key}")
        wrong = nas.environment | {"RCLONE_CONFIG_NAS_KNOWN_HOSTS_FILE": str(known)}

        with pytest.raises(StoreFailed, match="does not accept") as failed:
            RcloneStore("rclone://nas/shop", f"nas:{nas.root}/shop", wrong).listing()
        assert not failed.value.passing

    def test_a_server_that_is_not_there(self, nas: Sftp) -> None:
        """It may be in a moment. Faults: 66."""
        wrong = nas.environment | {"RCLONE_CONFIG_NAS_PORT": "9"}

        with pytest.raises(StoreFailed) as failed:
            RcloneStore("rclone://nas/shop", "nas:shop", wrong).listing()
        assert failed.value.passing


class Bucket(Folder):
    """Stores in one bucket, as rclone sees it."""

    def store(self, path: str = "shop", bucket: str = s3.BUCKET) -> RcloneStore:
        """Open one."""
        remote = f"cloud:{bucket}/{path}"
        return RcloneStore(f"rclone://cloud/{bucket}/{path}", remote, self.environment)


class TestS3(RemoteContract):
    """The contract, on a server that checks signatures, knows no renaming, and tells MD5."""

    @pytest.fixture
    def remote(self, objects: S3) -> Iterator[Bucket]:
        """Give the bench."""
        yield Bucket(objects.root, dict(objects.environment), "cloud")
        shutil.rmtree(objects.root / "shop", ignore_errors=True)
        shutil.rmtree(objects.root / "shop-staging", ignore_errors=True)

    def test_a_checksum_is_told(self, remote: Bucket, tmp_path: Path) -> None:
        """So that this suite does try the way with one, and without a rename. Faults: 67."""
        remote.store().put(NAME, file_of(tmp_path, b"data"), quiet)

        found = remote.store()._stat(NAME, hashes=True) or {}
        assert hashlib.md5(b"data").hexdigest() == found["Hashes"]["md5"]  # noqa: S324 - S3's own
        assert not remote.store()._renames

    def test_something_big_is_sent_in_parts(self, remote: Bucket, tmp_path: Path) -> None:
        """A multipart upload arrives whole, and is compared, too. Faults: 67."""
        path = file_of(tmp_path, b"0123456789abcdef-" * (BIG // 17))
        remote.environment |= {"RCLONE_S3_UPLOAD_CUTOFF": "5Mi", "RCLONE_S3_CHUNK_SIZE": "5Mi"}
        remote.store().put(NAME, path, quiet)

        assert path.read_bytes() == remote.content(NAME)

    def test_page_after_page(self, remote: Bucket) -> None:
        """Of a bucket the whole is listed, however much is in it. Faults: 112."""
        remote.place("first", b"x")
        for number in range(2100):
            (remote.root / "shop" / f"{number:05}").touch()

        assert 2101 == len(remote.store().listing())

    @pytest.mark.parametrize("wrong", ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY"])
    def test_a_key_that_is_not_known(self, remote: Bucket, wrong: str) -> None:
        """It is told at once, with what to check. Faults: 65."""
        remote.environment[f"RCLONE_CONFIG_CLOUD_{wrong}"] = "another"

        with pytest.raises(StoreFailed, match="does not accept these credentials") as failed:
            remote.store().listing()
        assert not failed.value.passing

    def test_a_bucket_that_is_not_there(self, remote: Bucket, tmp_path: Path) -> None:
        """Misspelt, or gone: it is no empty one, and it is not made. Faults: 65, 112."""
        store, path = remote.store(bucket="bakcups"), file_of(tmp_path, b"data")
        for act in (store.listing, lambda: store.put(NAME, path, quiet)):
            with pytest.raises(StoreFailed, match="no such bucket") as failed:
                act()
            assert not failed.value.passing
        assert [remote.root.name] == [each.name for each in remote.root.parent.iterdir()]

    def test_a_server_that_is_not_there(self, remote: Bucket) -> None:
        """It may be in a moment. Faults: 66."""
        remote.environment["RCLONE_CONFIG_CLOUD_ENDPOINT"] = "http://127.0.0.1:9"

        with pytest.raises(StoreFailed) as failed:
            remote.store().listing()
        assert failed.value.passing
