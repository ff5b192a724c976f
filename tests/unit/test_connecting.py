"""The command `connect`: a token is tried before it is kept, and kept for its owner alone."""

import io
import json
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar import connecting
from sidecar.errors import SettingsError, StoreFailed
from sidecar.settings import TOKEN_FILE, Settings
from sidecar.store_urls import Access
from sidecar.stores import opening
from tests.fakes_remote import FakeRemote

PRINTED = """\
Paste the following into your remote machine --->
{"access_token":"cAnArY-1","token_type":"Bearer","refresh_token":"cAnArY-2","expiry":"2026-01-31"}
<---End paste
"""


class Bench:
    """A folder of backups, and Drive."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.drive = FakeRemote("gdrive://1AbCdEf")
        self.opened: list[Any] = []
        self.hidden: list[str] = []
        self.patch = monkeypatch
        monkeypatch.setattr(opening, "open_stores", self._open)

    def connect(self, text: str = PRINTED, to: str | None = None, **settings: str) -> int:
        """Type the command, with the token coming from a pipe."""
        self.patch.setattr("sys.stdin", io.StringIO(text))
        named = {f"MIGSAFE_{name}": value for name, value in settings.items()}
        defaults = {"MIGSAFE_BACKUPS": str(self.folder), "MIGSAFE_STORES": "gdrive://1AbCdEf"}
        found = Settings.read(defaults | named, lambda _: "")
        redact = SimpleNamespace(more=lambda *words: self.hidden.extend(words))
        clock = SimpleNamespace(now=lambda: datetime(2026, 1, 31, tzinfo=UTC))
        ways: Any = SimpleNamespace(tell=SimpleNamespace(redact=redact), clock=clock, stop=None)
        return connecting.connect(found, ways, Namespace(store="gdrive", to=to), lambda: "run")

    def _open(self, urls: Any, access: Any, *_: Any) -> tuple[FakeRemote, ...]:
        self.opened.append((urls, access))
        return (self.drive,)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Give it."""
    return Bench(tmp_path, monkeypatch)


def test_a_token_is_tried_and_kept(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """What rclone printed, with its lines around it; 0600, where the service reads it."""
    assert 0 == bench.connect()

    path = bench.folder / TOKEN_FILE
    assert "cAnArY-2" == json.loads(path.read_text())["refresh_token"]
    assert 0o600 == path.stat().st_mode & 0o777
    assert [path] == list(bench.folder.iterdir())
    assert "put" in bench.drive.acts[0]
    assert "cAnArY" not in capsys.readouterr().out
    assert {"cAnArY-1", "cAnArY-2"} <= set(bench.hidden)
    access = Settings.read({"MIGSAFE_BACKUPS": str(bench.folder)}, lambda _: "").access()
    assert "cAnArY-2" in access.drive_token


def test_a_token_that_does_not_work_is_not_kept(bench: Bench) -> None:
    """The one that was there stays."""
    (bench.folder / TOKEN_FILE).write_text("the old one")
    bench.drive.failing["put"] = StoreFailed("it has no room")

    with pytest.raises(StoreFailed, match="no room") as failed:
        bench.connect()
    assert "not kept" in failed.value.hint
    assert "the old one" == (bench.folder / TOKEN_FILE).read_text()


@pytest.mark.parametrize("text", ["", "n", "{}", '{"access_token": "x"}', '{"refresh_token": ""}'])
def test_what_is_no_token_is_refused(bench: Bench, text: str) -> None:
    """Without the part that lasts it would be dead in an hour."""
    with pytest.raises(SettingsError, match="rclone authorize"):
        bench.connect(text)
    assert [] == list(bench.folder.iterdir())


def test_elsewhere(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a secret is to be, it is said what to set."""
    path = tmp_path / "token"
    assert 0 == bench.connect(to=str(path), STORES="")

    told = capsys.readouterr().out
    assert f"MIGSAFE_GDRIVE_TOKEN_FILE={path}" in told
    assert "MIGSAFE_STORES=gdrive://" in told
    with pytest.raises(SettingsError, match="would hide"):
        bench.connect(GDRIVE_TOKEN=path.read_text())
    with pytest.raises(SettingsError, match="can't be written"):
        bench.connect(to="/nonexistent/token")
    with pytest.raises(SettingsError, match="no absolute path"):
        bench.connect(to="token")


def test_no_secret_is_in_an_argument() -> None:
    """Google Drive is told to rclone by its environment alone; a key goes before a token."""
    access = Access(drive_token='{"refresh_token": "t"}', team_drive="0Abc")
    found = opening.drive_environment("1AbCdEf", access)

    assert '{"refresh_token": "t"}' == found["RCLONE_CONFIG_MIGSAFEDRIVE_TOKEN"]
    assert "1AbCdEf" == found["RCLONE_CONFIG_MIGSAFEDRIVE_ROOT_FOLDER_ID"]
    assert "/notfound" == found["RCLONE_CONFIG"]
    both = Access(drive_token="{}", drive_key='{\n"a": 1}')
    assert "RCLONE_CONFIG_MIGSAFEDRIVE_TOKEN" not in opening.drive_environment("1", both)
    key = "RCLONE_CONFIG_MIGSAFEDRIVE_SERVICE_ACCOUNT_CREDENTIALS"
    assert '{ "a": 1}' == opening.drive_environment("1", both)[key]
