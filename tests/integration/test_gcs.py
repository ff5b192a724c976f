"""Google Cloud Storage, emulated and strict."""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from google.cloud.storage import Blob

from sidecar import store_urls
from sidecar.clock import SystemClock
from sidecar.errors import ObjectMissing, StoreFailed
from sidecar.stores import gcs
from sidecar.stores.gcs import GcsStore
from sidecar.stores.retrying import Retrying
from tests.gcs_strict import BUCKET, Cloud, cloud
from tests.store_contract import BIG, NAME, RaceContract, RemoteContract, file_of, quiet

# the library's connections are closed when its objects are collected
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Bench:
    """Stores of one bucket."""

    def __init__(self, here: Cloud) -> None:
        self.here = here

    def store(self, path: str = "shop") -> GcsStore:
        """Open one."""
        (url,) = store_urls.parse(f"gs://{BUCKET}/{path}")
        return GcsStore(url)

    def place(self, name: str, data: bytes) -> None:
        """Put something there."""
        self.here.place(f"shop/{name}", data)

    def content(self, name: str) -> bytes | None:
        """Read it."""
        return self.here.content(f"shop/{name}") if f"shop/{name}" in self.here.names() else None


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Run the cloud."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gcs, "PATIENCE", gcs.PATIENCE.with_timeout(3.0).with_delay(0.05, 0.2))
    with cloud() as found:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{found.port}")
        yield found


@pytest.fixture
def remote(here: Cloud) -> Bench:
    """Give the bench."""
    return Bench(here)


class TestContract(RemoteContract, RaceContract):
    """The contract."""


def test_a_folder_of_ten_thousand(here: Cloud, remote: Bench) -> None:
    """Page after page, to the end. Faults: 112."""
    here.place_many(f"shop/{number:05}" for number in range(10_000))
    here.place("shop/below/deeper", b"x")

    assert 10_000 == len(remote.store().listing())
    assert 10 <= sum(request.startswith("GET") for request in here.requests)


def test_a_listing_that_breaks_off_is_none(here: Cloud, remote: Bench) -> None:
    """The third page fails: what is known by then is no listing. Faults: 112."""
    here.place_many(f"shop/{number:05}" for number in range(2500))
    here.fails("GET", "pageToken=2000", status=403, reason="forbidden", message="denied")

    with pytest.raises(StoreFailed, match="refuses these credentials"):
        remote.store().listing()


def put(remote: Bench, tmp_path: Path, size: int = BIG, seconds: float = 20.0) -> None:
    """Upload something, as it is done: with patience."""
    path = file_of(tmp_path, os.urandom(size))
    Retrying(remote.store(), SystemClock(), seconds=seconds).put(NAME, path, quiet)
    assert path.read_bytes() == remote.content(NAME)


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "after": 1},
        {"status": 429, "reason": "rateLimitExceeded", "after": 2, "times": 2},
        {"status": 403, "reason": "userRateLimitExceeded", "after": 1},
        {"act": "reset", "after": 1},
        {"act": "lost", "after": 0},
        {"act": "lost", "after": 2},
    ],
    ids=str,
)
def test_an_upload_survives_what_passes(
    here: Cloud, remote: Bench, tmp_path: Path, fault: dict[str, Any]
) -> None:
    """An error at the n-th chunk, a reset in its middle, a lost reply. Faults: 63, 64, 66."""
    here.fails("PUT", "upload_id=", **fault)

    put(remote, tmp_path)


@pytest.mark.parametrize("act", ["lost", "reset", "status"])
def test_a_small_upload_survives_it_too(
    here: Cloud, remote: Bench, tmp_path: Path, act: str
) -> None:
    """What was written although its reply was lost is found, and not refused. Faults: 64."""
    here.fails("POST", "uploadType=multipart", act=act)

    put(remote, tmp_path, 1000)


def test_a_lost_reply_is_resolved_by_the_checksum(
    here: Cloud, remote: Bench, tmp_path: Path
) -> None:
    """The reply is lost; the next try is refused, and finds that what is there is its own."""
    here.fails("POST", "uploadType=multipart", act="lost")
    remote.store().put(NAME, file_of(tmp_path, b"data"), quiet)

    assert 2 == sum(request.startswith("POST") for request in here.requests)
    assert b"data" == remote.content(NAME)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 401, "reason": "authError", "message": "Invalid Credentials"}, "have expired"),
        ({"status": 403, "reason": "forbidden", "message": "no access"}, "Storage Object User"),
        ({"status": 404, "reason": "notFound", "message": "The specified bucket does not exist."},
         "no such bucket"),
    ],
)  # fmt: skip
def test_what_does_not_pass_is_told_at_once(
    here: Cloud, remote: Bench, tmp_path: Path, fault: dict[str, Any], words: str
) -> None:
    """Expired, forbidden, gone: it is not tried again, and the words say what to do. Faults: 65."""
    here.fails("POST", **fault, times=100)

    with pytest.raises(StoreFailed) as failed:
        put(remote, tmp_path, 1000)

    assert words in failed.value.advice
    assert 1 == sum(request.startswith("POST") for request in here.requests)


def test_credentials_that_expire_in_the_middle(here: Cloud, remote: Bench, tmp_path: Path) -> None:
    """At the second chunk: told as that, and nothing has the name. Faults: 65."""
    here.fails("PUT", after=1, times=100, status=401, reason="authError", message="Expired")

    with pytest.raises(StoreFailed, match="expired") as failed:
        put(remote, tmp_path)
    assert not failed.value.passing
    assert [] == here.names()


def test_patience_ends(here: Cloud, remote: Bench, tmp_path: Path) -> None:
    """A service that stays out of order is told of, not waited for for ever. Faults: 66."""
    here.fails("POST", times=10_000)

    with pytest.raises(StoreFailed, match=r"busy or out of order|does not answer"):
        put(remote, tmp_path, 1000, seconds=4)


def test_no_such_bucket(here: Cloud) -> None:
    """A bucket that was deleted, or misspelt: no listing, and no upload."""
    del here
    store = GcsStore(store_urls.parse("gs://another-bucket")[0])

    for act in (store.listing, lambda: store.put_text(NAME, "text"), lambda: store.remove(NAME)):
        with pytest.raises(StoreFailed, match="no such bucket") as failed:
            act()
        assert not isinstance(failed.value, ObjectMissing)


def test_what_retention_holds_is_not_an_accident(
    here: Cloud, remote: Bench, tmp_path: Path
) -> None:
    """A bucket's lock refuses the deletion, and the words say that it is as it should be."""
    put(remote, tmp_path, 100)
    here.held.add(NAME)

    with pytest.raises(StoreFailed, match="held by the bucket's retention") as failed:
        remote.store().remove(NAME)
    assert not failed.value.passing


@pytest.mark.parametrize("act", ["cut", "reset", "status"])
def test_a_download_is_taken_up_where_it_was(here: Cloud, remote: Bench, act: str) -> None:
    """The connection is cut in the second range; what arrives is whole."""
    data = os.urandom(BIG)
    remote.place(NAME, data)
    here.fails("GET", "alt=media", act=act, after=1)

    store = Retrying(remote.store(), SystemClock())
    assert data == b"".join(store.read(NAME))


def test_what_the_library_sends_is_compared(
    remote: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that sends something else: found, taken back, sent anew. Faults: 67."""
    sent, upload = list[bytes](), Blob.upload_from_file

    def damaged_once(self: Any, source: Any, **more: Any) -> None:
        data = bytearray(source.read())
        data[500] ^= 0 if sent else 1
        sent.append(bytes(data))
        upload(self, BytesIO(data), **more)

    monkeypatch.setattr(Blob, "upload_from_file", damaged_once)
    put(remote, tmp_path, 1000)

    assert 2 == len(sent)


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setattr(gcs, "PATIENCE", gcs.PATIENCE.with_timeout(1.0))
    store = GcsStore(store_urls.parse(f"gs://{BUCKET}")[0])

    with pytest.raises(StoreFailed) as failed:
        store.put(NAME, file_of(tmp_path, b"data"), quiet)
    assert failed.value.passing


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The key's file is missing, or no key: it is said what to mount."""
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    store = GcsStore(store_urls.parse(f"gs://{BUCKET}")[0])

    with pytest.raises(StoreFailed, match="no Google credentials") as failed:
        store.listing()
    assert "GOOGLE_APPLICATION_CREDENTIALS" in failed.value.hint
