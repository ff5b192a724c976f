"""Leases in a bucket of the strict cloud, and where rclone reaches: a folder, SFTP, S3."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from sidecar import store_urls, wiring
from sidecar.backup_ports import Conflict, Lease
from sidecar.clock import SystemClock
from sidecar.errors import LeaseHeld, StoreFailed
from sidecar.facts import App, Host
from sidecar.settings import Settings
from sidecar.stores import gcs, slots
from sidecar.stores.gcs_slot import GcsSlot
from sidecar.stores.rclone import RcloneStore
from sidecar.stores.retrying import Retrying
from sidecar.stores.slots import ClaimSlot
from tests.fakes import FakeTeller
from tests.gcs_strict import BUCKET, Cloud, cloud
from tests.slot_contract import FaultyContract, Instances, LeaseContract, SlotContract, come

__all__ = ["come"]

# the library's connections are closed when its objects are collected
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

OBJECT = "shop/lease.json"


class Bucket:
    """A bucket of the strict cloud."""

    crowd = 6
    decides = True

    def __init__(self, here: Cloud) -> None:
        self.here = here

    def slot(self) -> GcsSlot:
        """Open the slot."""
        (url,) = store_urls.parse(f"gs://{BUCKET}/shop")
        return GcsSlot(url)

    def lose_reply(self) -> None:
        """Lose the answer to the next upload."""
        self.here.fails("POST", "uploadType=multipart", act="lost")

    def refuse(self, status: int) -> None:
        """Refuse everything."""
        for method in ("GET", "POST"):
            self.here.fails(method, status=status, reason="refused", message="no", times=10_000)

    def recover(self) -> None:
        """Refuse nothing."""
        self.here.faults.clear()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Run the cloud."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    patience = gcs.PATIENCE.with_timeout(1.0).with_delay(0.05, 0.2)
    monkeypatch.setattr("sidecar.stores.gcs.PATIENCE", patience)
    monkeypatch.setattr("sidecar.stores.gcs_slot.PATIENCE", patience)
    with cloud() as found:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{found.port}")
        yield found


class TestBucket(LeaseContract, FaultyContract):
    """The contract, where the service itself decides."""

    @pytest.fixture
    def bench(self, here: Cloud) -> Bucket:
        """Give the bench."""
        return Bucket(here)

    @pytest.fixture
    def faulty(self, bench: Bucket) -> Bucket:
        """Give the same."""
        return bench

    def test_each_writing_names_a_generation(self, here: Cloud, come: Instances) -> None:
        """None goes without: it would write over what another has written. Faults: 127."""
        token = come.lease("pi").take()
        come.lease("pi").renew()
        come.lease("pi").release(token)

        sent = [request for request in here.requests if request.startswith("POST")]
        assert 3 == len(sent)
        assert all("ifGenerationMatch=" in request for request in sent)
        assert [OBJECT] == here.names()

    def test_somebody_else_writes_between_look_and_write(
        self, here: Cloud, bench: Bucket, come: Instances
    ) -> None:
        """Who is late reads again, and gives way to what is there. Faults: 127."""
        come.lease("laptop").take()
        theirs = here.content(OBJECT)
        _, generation = bench.slot().read()
        come.lease("pi", 3 * 3600).take()

        with pytest.raises(Conflict):
            bench.slot().replace(theirs.decode(), generation)
        assert b"pi" in here.content(OBJECT)

    def test_no_such_bucket(self, here: Cloud, come: Instances) -> None:
        """A bucket that is gone is no free lease."""
        del here
        come.slots = lambda: GcsSlot(store_urls.parse("gs://another/shop")[0])

        with pytest.raises(StoreFailed, match=r"gs://another/shop/lease\.json: there is no such"):
            come.lease("pi").take()

    def test_a_bucket_that_retains(self, here: Cloud, come: Instances) -> None:
        """Its retention forbids that anything is replaced: said, with what protects instead."""
        come.lease("pi").take()
        here.held.add("lease.json")

        with pytest.raises(StoreFailed, match="retention policy does not let it be repl") as failed:
            come.lease("pi").take()
        assert "versioning" in failed.value.hint


class Engine:
    """Docker on a host."""

    def __init__(self, host: str) -> None:
        self.host = host

    def this_host(self) -> Host:
        """Tell which."""
        return Host(f"engine-of-{self.host}", self.host)


def instance(host: str, folder: Path) -> Lease:
    """Open what a host is given by its settings: a folder of its own, and the bucket of all."""
    folder.mkdir(exist_ok=True)
    names = {"EMPTY": "restore", "BACKUPS": str(folder), "STORES": f"gs://{BUCKET}/shop"}
    settings = Settings.read({f"MIGSAFE_{k}": v for k, v in names.items()}, str)
    engine, tell, stop = Engine(host), FakeTeller(), None
    app = App("shop", "app", "c0ffee", "sha256:1", "shop:1", None, {})
    ways = wiring.Ways(SystemClock(), cast("Any", tell), cast("Any", stop))
    return wiring._lease(settings, cast("Any", engine), app, ways)


def test_two_hosts_of_one_bucket(here: Cloud, tmp_path: Path) -> None:
    """As they are wired: the second is refused until the first has let go. Faults: 127."""
    pi, laptop = (instance(host, tmp_path / host) for host in ("pi", "laptop"))
    token = pi.take()
    with pytest.raises(LeaseHeld, match=r"shop/app on pi \(engine-of-pi\)"):
        laptop.take()
    pi.renew()
    pi.release(token)
    laptop.take()

    with pytest.raises(LeaseHeld, match="on laptop") as refused:
        pi.take()
    assert f"remove gs://{BUCKET}/shop/lease.json" in refused.value.hint
    assert [OBJECT] == here.names()


needs_rclone = pytest.mark.skipif(shutil.which("rclone") is None, reason="rclone is not here")


class Reached:
    """What rclone reaches: a store that lists what was written, and refuses nobody."""

    crowd = 2
    decides = False

    def __init__(self, remote: str, environment: dict[str, str]) -> None:
        self.remote = remote
        self.environment = environment

    def slot(self) -> ClaimSlot:
        """Open the slot."""
        store = RcloneStore(f"rclone://{self.remote}/shop", self.remote, self.environment)
        return ClaimSlot(Retrying(store, SystemClock()), SystemClock())


@pytest.fixture
def settles_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no pause between a claim and a look, other than what the store itself takes."""
    monkeypatch.setattr(slots, "SETTLED", 0.2)


@needs_rclone
@pytest.mark.usefixtures("settles_at_once")
class TestFolder(LeaseContract):
    """The contract, in a folder that rclone reaches."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Reached:
        """Give the bench."""
        environment = {"PATH": os.environ["PATH"], "RCLONE_CONFIG": "/notfound", "HOME": "/none"}
        return Reached(f"disk:{tmp_path}/shop", environment | {"RCLONE_CONFIG_DISK_TYPE": "local"})


@needs_rclone
@pytest.mark.usefixtures("settles_at_once")
class TestServed(SlotContract):
    """What the place of a lease must do, on OpenSSH's server and in a bucket of an S3 server."""

    @pytest.fixture(params=["nas", "objects"])
    def bench(self, request: pytest.FixtureRequest, tmp_path: Path) -> Reached:
        """Give the bench, in a place of its own."""
        server = request.getfixturevalue(request.param)
        return Reached(server.remote(tmp_path.name), server.environment)
