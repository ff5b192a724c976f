"""
Google Cloud Storage with the key of a service account: Google's own library signs in.

Nothing is let in without a token that the sign-in has handed out, and that only for what was
signed by the key.
"""

import os
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth import _helpers, crypt, jwt

from sidecar import store_urls
from sidecar.clock import SystemClock
from sidecar.errors import StoreFailed
from sidecar.lease import SlotLease
from sidecar.stores import gcs
from sidecar.stores.gcs import GcsStore
from sidecar.stores.gcs_slot import GcsSlot
from sidecar.stores.retrying import Retrying
from tests.gcs_strict import BUCKET, Cloud, cloud
from tests.google_signin import ACCOUNT, AUDIENCE, GRANT, KEY_ID, SignIn, new_key, signing_in
from tests.store_contract import BIG, NAME, file_of, quiet

# the library's connections are closed when its objects are collected
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ASIDE = 1
"""The library looks at the bucket in a thread of its own, which may sign in at the same time."""

(URL,) = store_urls.parse(f"gs://{BUCKET}/shop")


@pytest.fixture
def google() -> Iterator[SignIn]:
    """Run the sign-in."""
    with signing_in() as found:
        yield found


@pytest.fixture
def here(google: SignIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cloud]:
    """Run the cloud, which lets in whom the sign-in has given a token."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gcs, "PATIENCE", gcs.PATIENCE.with_timeout(3.0).with_delay(0.05, 0.2))
    key = google.write_key(tmp_path / "key.json")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    with cloud() as found:
        found.admits = google.admits
        monkeypatch.setenv("API_ENDPOINT_OVERRIDE", f"http://127.0.0.1:{found.port}")
        yield found


def test_it_signs_in_once(google: SignIn, here: Cloud) -> None:
    """Writing, listing, reading, deleting: one token for all of it."""
    store = GcsStore(URL)
    store.put_text(NAME, "text")
    assert {NAME: 4} == dict(store.listing())
    assert "text" == store.text(NAME)
    store.remove(NAME)

    assert [] == here.names()
    assert google.asked <= 1 + ASIDE


def test_a_token_that_ends_in_the_middle(google: SignIn, here: Cloud, tmp_path: Path) -> None:
    """At the second chunk of an upload: signed in anew, and the upload goes on. Faults: 65."""
    path, ended = file_of(tmp_path, os.urandom(BIG)), list[int]()

    def admits(authorization: str) -> bool:
        second = sum("upload_id=" in request for request in here.requests) == 2
        if second and not ended:
            ended.append(google.asked)
            google.expire()
        return google.admits(authorization)

    here.admits = admits
    GcsStore(URL).put(NAME, path, quiet)

    assert path.read_bytes() == here.content(f"shop/{NAME}")
    assert ended[0] < google.asked


def test_a_token_that_is_about_to_end(google: SignIn, here: Cloud) -> None:
    """It is not used up to its last second: the next request signs in anew."""
    google.lifetime = 60
    store = GcsStore(URL)
    store.put_text(NAME, "text")
    asked = google.asked
    store.listing()

    assert asked < google.asked
    assert [f"shop/{NAME}"] == here.names()


def the_one_line(act: Callable[[], object]) -> StoreFailed:
    """Hold an error to one line that says what to do, without the answer as it came."""
    with pytest.raises(StoreFailed) as failed:
        act()
    assert 1 == len(failed.value.message.splitlines())
    assert "{" not in failed.value.message
    assert failed.value.hint
    return failed.value


def test_a_key_that_was_deleted(google: SignIn, here: Cloud) -> None:
    """One clear line, at once, and a new key is what helps. Faults: 65."""
    google.revoke()
    error = the_one_line(lambda: Retrying(GcsStore(URL), SystemClock()).put_text(NAME, "text"))

    assert "Google refuses to sign in: invalid_grant: Invalid grant: account not found" in (
        error.message
    )
    assert "make a new one" in error.hint
    assert not error.passing
    assert google.asked <= 1 + ASIDE
    assert [] == here.names()


def test_a_key_that_is_deleted_in_the_middle(google: SignIn, here: Cloud, tmp_path: Path) -> None:
    """Of an upload: the same line, and nothing has the name. Faults: 65."""
    path = file_of(tmp_path, os.urandom(BIG))

    def admits(authorization: str) -> bool:
        if "upload_id=" in here.requests[-1]:
            google.revoke()
        return google.admits(authorization)

    here.admits = admits
    error = the_one_line(lambda: GcsStore(URL).put(NAME, path, quiet))

    assert "Google refuses to sign in" in error.message
    assert [] == here.names()


def test_another_key(google: SignIn, here: Cloud, tmp_path: Path) -> None:
    """It says that it is the account's, and is not."""
    del here
    google.write_key(tmp_path / "key.json", new_key())

    error = the_one_line(GcsStore(URL).listing)
    assert "Invalid JWT Signature" in error.message
    assert not google.given


def test_a_clock_that_is_off(google: SignIn, here: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """By two hours: it is the clock that is to be set, and not the key that is to be made anew."""
    del here
    now: Callable[[], datetime] = _helpers.utcnow
    monkeypatch.setattr(_helpers, "utcnow", lambda: now() + timedelta(hours=2))

    error = the_one_line(GcsStore(URL).listing)
    assert "The clock of this machine is off" in error.hint
    assert not google.given


def test_a_sign_in_that_is_out_of_order(google: SignIn, here: Cloud) -> None:
    """It passes, and is waited for; no new key is asked for. Faults: 66."""
    google.busy = 10_000
    with pytest.raises(StoreFailed, match="sign-in can't be reached") as failed:
        GcsStore(URL).listing()
    assert failed.value.passing

    google.busy = 4
    Retrying(GcsStore(URL), SystemClock()).put_text(NAME, "text")

    assert [f"shop/{NAME}"] == here.names()


def test_a_lease_without_its_key(google: SignIn, here: Cloud) -> None:
    """The gate stays closed, and the line says where the lease is. Faults: 65, 127."""
    lease = SlotLease(GcsSlot(URL), SystemClock(), "pi", lambda: "t")
    lease.take()
    google.revoke()

    for act in (lease.take, lease.renew, lambda: lease.release("t")):
        error = the_one_line(act)
        assert error.message.startswith(f"the lease {URL.title}/lease.json: Google refuses")
    assert ["shop/lease.json"] == here.names()


# --- the sign-in itself is strict


FULL = "https://www.googleapis.com/auth/devstorage.full_control"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, None),
        ({"aud": "https://storage.googleapis.com/"}, "audience"),
        ({"scope": "https://www.googleapis.com/auth/devstorage.read_only"}, "scope"),
        ({"scope": ""}, "scope"),
        ({"iss": "another@shop.iam.gserviceaccount.com"}, "account not found"),
        ({"iat": -7200, "exp": -3600}, "timeframe"),
        ({"iat": 3600, "exp": 7200}, "timeframe"),
        ({"exp": 36000}, "timeframe"),
    ],
    ids=str,
)
def test_what_is_signed_is_judged(google: SignIn, wrong: dict[str, Any], said: str | None) -> None:
    """Audience, scope, account and times; or these tests would prove nothing."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": ACCOUNT,
        "aud": AUDIENCE,
        "scope": FULL,
        "iat": 0,
        "exp": 3600,
    } | wrong
    claims |= {"iat": now + claims["iat"], "exp": now + claims["exp"]}
    signer: Any = crypt.RSASigner(google.key, KEY_ID)  # type: ignore[no-untyped-call]
    assertion = jwt.encode(signer, claims).decode()  # type: ignore[no-untyped-call]
    url = f"http://127.0.0.1:{google.port}/token"
    answer = requests.post(url, {"grant_type": GRANT, "assertion": assertion}, timeout=10).json()

    assert (said is None) == ("access_token" in answer)
    assert said is None or said in answer["error_description"]
