"""A lease: of two instances that are filled from the same backups one is refused."""

import errno
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from sidecar.backup_ports import Conflict
from sidecar.clock import SystemClock
from sidecar.errors import LeaseHeld, StoreFailed
from sidecar.lease import SKEW, Leases
from sidecar.stores import slots
from sidecar.stores.retrying import Retrying
from sidecar.stores.slots import ClaimSlot, LocalSlot
from tests.fakes_remote import FakeRemote, FakeSlot
from tests.slot_contract import HOUR, FaultyContract, Instances, LeaseContract, clock_of, come

__all__ = ["come"]


class Folder:
    """A folder of backups."""

    crowd = 8
    decides = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def slot(self) -> LocalSlot:
        """Open the slot."""
        return LocalSlot(self.folder)


class TestFolder(LeaseContract):
    """The contract, in a folder."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Folder:
        """Give the bench."""
        return Folder(tmp_path)


class Values:
    """The slot that other tests are given."""

    crowd = 2
    decides = True

    def __init__(self) -> None:
        self.made = FakeSlot()

    def slot(self) -> FakeSlot:
        """Open the slot."""
        return self.made


class TestValues(LeaseContract):
    """The contract, of the fake."""

    @pytest.fixture
    def bench(self) -> Values:
        """Give the bench."""
        return Values()


class Remote(FakeRemote):
    """A store that can refuse nobody, and whose answers are lost when asked."""

    lost = 0

    def _put(self, name: str, data: bytes) -> None:
        super()._put(name, data)
        if self.lost:
            self.lost -= 1
            raise StoreFailed.for_now("the connection was cut")


class Claims:
    """Claims in such a store."""

    crowd = 3
    decides = True

    def __init__(self) -> None:
        self.store = Remote("rclone://nas/shop")

    def slot(self) -> ClaimSlot:
        """Open the slot."""
        return ClaimSlot(Retrying(self.store, clock_of()), SystemClock())

    def lose_reply(self) -> None:
        """Lose the next answer."""
        self.store.lost = 1

    def refuse(self, status: int) -> None:
        """Refuse everything."""
        error = StoreFailed(f"it refuses ({status})", hint="Look.")
        self.store.failing = dict.fromkeys(("listing", "read", "put", "remove"), error)

    def recover(self) -> None:
        """Refuse nothing."""
        self.store.failing.clear()


class TestClaims(LeaseContract, FaultyContract):
    """The contract, in a store that can refuse nobody."""

    @pytest.fixture
    def bench(self, monkeypatch: pytest.MonkeyPatch) -> Claims:
        """Give the bench; this store settles at once."""
        monkeypatch.setattr(slots, "SETTLED", 0.01)
        return Claims()

    @pytest.fixture
    def faulty(self, bench: Claims) -> Claims:
        """Give the same."""
        return bench

    def test_nothing_is_left_but_the_last(self, bench: Claims, come: Instances) -> None:
        """What was replaced goes; what is not a claim stays."""
        bench.store.objects["lease-of-the-house.json"] = b"not ours"
        for _ in range(4):
            come.lease("pi").take()

        claims = [name for name in bench.store.objects if name.startswith("lease-0")]
        assert 1 == len(claims)
        assert claims[0].startswith("lease-00000004-")
        assert b"not ours" == bench.store.objects["lease-of-the-house.json"]

    def test_the_later_takes_its_own_back(self, bench: Claims, come: Instances) -> None:
        """Another claim arrives between a claim and the look: neither is had. Faults: 127."""
        other = "lease-00000001-0badcafe.json"

        class Slow(Remote):
            def _put(self, name: str, data: bytes) -> None:
                super()._put(name, data)
                self.objects[other] = data.replace(b"pi", b"laptop")

        bench.store = Slow("rclone://nas/shop")
        with pytest.raises(LeaseHeld, match="laptop"):
            come.lease("pi").take()
        assert [other] == list(bench.store.objects)

    def test_two_claims_of_who_was_killed(self, bench: Claims, come: Instances) -> None:
        """Neither is believed, and both are named. Faults: 3, 127."""
        names = [f"lease-00000001-0000000{n}.json" for n in (1, 2)]
        bench.store.objects = dict.fromkeys(names, b"{}")

        with pytest.raises(StoreFailed, match=" and ".join(names)) as failed:
            come.lease("pi").take()
        assert "Remove the other's file" in failed.value.hint

    def test_a_store_that_lists_late(self, bench: Claims, come: Instances) -> None:
        """One's own claim is not listed: nor would another's be. Nobody has it. Faults: 127."""

        class Late(Remote):
            def listing(self) -> Mapping[str, int]:
                return {}

        bench.store = Late("rclone://nas/shop")
        with pytest.raises(StoreFailed, match="not listed"):
            come.lease("pi").take()
        assert {} == bench.store.objects


# --- a folder, closely


def test_a_folder_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT and some shares have none: there the name itself is made once only."""

    def no_link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    LocalSlot(tmp_path).replace("one", "")
    with pytest.raises(Conflict):
        LocalSlot(tmp_path).replace("two", "")

    assert ("one", "1") == LocalSlot(tmp_path).read()


def test_a_folder_keeps_nothing_but_the_last(tmp_path: Path) -> None:
    """Old generations and half files go."""
    (tmp_path / ".lease-abcd").write_text("left by one that was killed")
    slot = LocalSlot(tmp_path)
    for number in range(5):
        slot.replace(str(number), str(number or ""))

    assert ["lease-00000005.json"] == [path.name for path in tmp_path.iterdir()]
    assert slot.name.endswith("lease-00000005.json")


def test_who_was_held_up_has_not_got_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Between its look and its link two others have come and gone: its generation is long over.

    Faults: 3, 127.
    """
    slot, real = LocalSlot(tmp_path), os.link
    slot.replace("one", "")

    def slow(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", real)
        LocalSlot(tmp_path).replace("two", "1")
        LocalSlot(tmp_path).replace("three", "2")
        source.write_text("late")
        real(source, target)

    monkeypatch.setattr(os, "link", slow)
    with pytest.raises(Conflict):
        slot.replace("late", "1")

    assert ("three", "3") == LocalSlot(tmp_path).read()
    assert ["lease-00000003.json"] == [path.name for path in tmp_path.iterdir()]


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """It says so, and gives nobody the lease."""
    with pytest.raises(StoreFailed, match="No such file"):
        LocalSlot(tmp_path / "gone").read()


# --- several places


def test_every_place_is_held(tmp_path: Path) -> None:
    """Who shares but one of them is refused, and who has them all lets go of them all."""
    near, far = tmp_path / "near", tmp_path / "far"
    near.mkdir()
    far.mkdir()
    here, there = Instances(lambda: LocalSlot(near)), Instances(lambda: LocalSlot(far))
    both = Leases(lambda: [here.lease("pi"), there.lease("pi")])
    token = both.take()
    for place in (here, there):
        with pytest.raises(LeaseHeld):
            place.lease("laptop").take()
    both.renew()
    both.release(token)

    for place in (here, there):
        place.lease("laptop").take(HOUR)
    with pytest.raises(LeaseHeld):
        both.take()


def test_a_silent_place_hides_no_other() -> None:
    """Who is found at one of them is told, whichever can't be reached. Faults: 64, 127."""
    silent, held = FakeSlot(), FakeSlot()
    silent.failing = StoreFailed("no route to host")
    mute, there = Instances(lambda: silent), Instances(lambda: held)
    there.lease("laptop").take()
    for places in ((mute, there), (there, mute)):
        both = Leases(lambda places=places: [place.lease("pi") for place in places])  # type: ignore[misc]  # bound now
        for ask in (both.take, both.check):
            with pytest.raises(LeaseHeld, match="laptop"):
                ask()

    alone = Leases(lambda: [mute.lease("pi")])
    with pytest.raises(StoreFailed, match="no route to host"):
        alone.check()


def test_who_asks_takes_nothing() -> None:
    """Neither is another refused afterwards, nor is there anything to be written."""
    slot = FakeSlot()
    place = Instances(lambda: slot)
    place.lease("pi").check()
    assert "" == slot.text

    place.lease("laptop").take()
    before = slot.text
    place.lease("laptop").check()
    with pytest.raises(LeaseHeld):
        place.lease("pi").check()
    assert before == slot.text


def test_the_clocks_may_differ() -> None:
    """Five minutes, as the page of limits says."""
    assert timedelta(minutes=5) == SKEW


def test_a_silent_place_lets_no_other_run_out() -> None:
    """The others are held for longer, whichever can't be reached. Faults: 64, 127."""
    silent, held = FakeSlot(), FakeSlot()
    mute, there = Instances(lambda: silent), Instances(lambda: held)
    both = Leases(lambda: [mute.lease("pi"), there.lease("pi")])
    both.take()
    silent.failing = StoreFailed("no route to host")
    before = held.read()

    with pytest.raises(StoreFailed, match="no route to host"):
        both.renew()
    assert before != held.read()
