"""Google Drive by rclone's backend, on a Drive of our own that refuses what Google's refuses."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.errors import StoreFailed
from sidecar.store_urls import Access
from sidecar.stores.opening import drive_environment
from sidecar.stores.rclone import RcloneStore
from tests.drive_fake import FOLDER, Drive, drive
from tests.store_contract import NAME, RemoteContract, file_of, quiet

pytestmark = pytest.mark.skipif(shutil.which("rclone") is None, reason="rclone is not here")

TOKEN = {"access_token": "old", "refresh_token": "r", "expiry": "2026-01-01T00:00:00Z"}


class Bench:
    """One folder of Drive."""

    def __init__(self, here: Drive) -> None:
        self.here = here

    def store(self, path: str = "shop", folder: str = FOLDER) -> RcloneStore:
        """Open it."""
        access = Access({**self.here.environment(), "HOME": "/nonexistent"}, json.dumps(TOKEN))
        environment = drive_environment(folder, access) | {"PATH": os.environ["PATH"]}
        return RcloneStore(f"gdrive://{path}", "migsafedrive:", environment)

    def place(self, name: str, data: bytes) -> None:
        """Put something there."""
        self.here.place(name, data)

    def content(self, name: str) -> bytes | None:
        """Read it."""
        return next(iter(self.here.named(name)), None)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Drive]:
    """Run Drive."""
    folder = tmp_path / "drive"
    folder.mkdir()
    with drive(folder) as found:
        yield found


@pytest.fixture
def remote(here: Drive) -> Bench:
    """Give the bench."""
    return Bench(here)


class TestContract(RemoteContract):
    """The contract; a folder is named by its id, so that there is but one."""

    test_two_folders_do_not_meet = None  # type: ignore[assignment]


def test_a_token_that_ran_out_is_refreshed(here: Drive, remote: Bench) -> None:
    """The one that is kept is old: another is fetched with it, by every process."""
    assert {} == dict(remote.store().listing())
    assert here.refreshes


def test_a_consent_that_was_withdrawn(here: Drive, remote: Bench) -> None:
    """It is told at once, and how to sign in anew. Faults: 65."""
    here.withdrawn = True

    with pytest.raises(StoreFailed, match="expired or was withdrawn") as failed:
        remote.store().listing()
    assert "migsafe connect gdrive" in failed.value.hint
    assert not failed.value.passing


def test_a_service_account_has_no_room(here: Drive, remote: Bench, tmp_path: Path) -> None:
    """The trap that every second one walks into, told before it matters. Faults: 68."""
    here.service_account = True

    with pytest.raises(StoreFailed, match="no room of its own") as failed:
        remote.store().put(NAME, file_of(tmp_path, b"data"), quiet)
    assert "MIGSAFE_GDRIVE_TEAM_DRIVE" in failed.value.hint
    assert not failed.value.passing


def test_a_folder_that_nobody_shares(remote: Bench) -> None:
    """A wrong id is no empty folder. Faults: 112."""
    with pytest.raises(StoreFailed, match="no such folder"):
        remote.store(folder="1AnotherFolder").listing()


def test_page_after_page(here: Drive, remote: Bench) -> None:
    """To the end. Faults: 112."""
    for number in range(1050):
        here.place(f"{number:05}", b"x")

    assert 1050 == len(remote.store().listing())


def test_two_of_a_name_that_differ(here: Drive, remote: Bench) -> None:
    """Drive lets that be: nobody knows which one is right, so nothing is decided by it."""
    here.place(NAME, b"one")
    here.place(NAME, b"other")

    with pytest.raises(StoreFailed, match="two objects"):
        remote.store().listing()


def test_a_service_that_is_busy(here: Drive, remote: Bench, tmp_path: Path) -> None:
    """Rate limits and 5xx pass. Faults: 66."""
    here.faults += [("POST /upload", 503, "backendError"), ("GET", 403, "rateLimitExceeded")]
    remote.store().put(NAME, file_of(tmp_path, b"data"), quiet)

    assert [b"data"] == here.named(NAME)
