"""A lease: of two instances that are filled from the same backups one is refused."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from sidecar.errors import LeaseHeld, LeaseLost, StoreFailed
from sidecar.lease import SKEW, SlotLease
from sidecar.ports import Conflict, Slot
from sidecar.stores.slots import BlobSlot, LocalSlot
from tests.fakes import FakeClock
from tests.fakes_machine import Machine

HOUR = 3600.0


# --- a bucket that refuses what Google's refuses


class Refusal(Exception):
    """What the library raises: it carries the HTTP status."""

    def __init__(self, code: int) -> None:
        super().__init__(f"{code} refused")
        self.code = code


@dataclass
class Bucket:
    """One bucket: the last generation of each object."""

    name: str = "backups"
    objects: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    generation: int = 1000
    answers_lost: int = 0
    """So many uploads arrive, and are tried again by the library."""
    broken: int = 0
    """The status of every request, where all fail."""

    def blob(self, key: str) -> "Blob":
        """Name an object."""
        return Blob(self, key)

    def get_blob(self, key: str) -> "Blob | None":
        """Look at an object, as it is now."""
        self.refuse()
        found = self.objects.get(key)
        return Blob(self, key, found[0]) if found else None

    def refuse(self) -> None:
        """Fail, where all does."""
        if self.broken:
            raise Refusal(self.broken)


@dataclass
class Blob:
    """One object."""

    bucket: Bucket
    key: str
    generation: int = 0

    def download_as_bytes(self, *, if_generation_match: int) -> bytes:
        """Read exactly that generation."""
        self.bucket.refuse()
        generation, data = self.bucket.objects.get(self.key, (0, b""))
        if generation != if_generation_match:
            raise Refusal(412 if generation else 404)
        return data

    def upload_from_string(self, data: str, *, content_type: str, if_generation_match: int) -> None:
        """Write, where that generation is the present one; 0 means that there is none."""
        assert content_type == "application/json"
        self.bucket.refuse()
        present, _ = self.bucket.objects.get(self.key, (0, b""))
        if present != if_generation_match:
            raise Refusal(412)
        self.bucket.generation += 1
        self.bucket.objects[self.key] = (self.bucket.generation, data.encode())
        if self.bucket.answers_lost:
            self.bucket.answers_lost -= 1
            self.upload_from_string(
                data, content_type=content_type, if_generation_match=if_generation_match
            )


@pytest.fixture(params=["folder", "bucket"])
def slots(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Slot]:
    """Open the same slot, as often as instances come."""
    bucket: Any = Bucket()
    if request.param == "folder":
        return lambda: LocalSlot(tmp_path)
    return lambda: BlobSlot(bucket, "loomio/")


@pytest.fixture
def machine() -> Machine:
    """Keep the time."""
    return Machine()


@pytest.fixture
def open_lease(slots: Callable[[], Slot], machine: Machine) -> Callable[[str], SlotLease]:
    """Come as an instance."""
    tokens = count()
    return lambda holder: SlotLease(slots(), FakeClock(machine), holder, lambda: f"t{next(tokens)}")


Open = Callable[[str], SlotLease]


def test_the_second_is_refused_and_told_who_it_is(open_lease: Open) -> None:
    """
    The first has it, and goes on having it; the second is told by whom, and until when.

    Faults: 127.
    """
    token = open_lease("pi").take(HOUR)

    with pytest.raises(LeaseHeld) as refused:
        open_lease("laptop").take(HOUR)

    assert "pi, until 2026-01-31 13:00:00 UTC" in refused.value.message
    assert "lease" in refused.value.hint
    open_lease("pi").renew(token, HOUR)


def test_the_same_takes_it_again_at_once(open_lease: Open) -> None:
    """After a loss of power it is the instance that it was; what it had before it has no more."""
    first = open_lease("pi").take(HOUR)
    second = open_lease("pi").take(HOUR)

    open_lease("pi").renew(second, HOUR)
    with pytest.raises(LeaseLost):
        open_lease("pi").renew(first, HOUR)


def test_it_runs_out(open_lease: Open, machine: Machine) -> None:
    """
    Who is silent for so long has lost it, with room for clocks that differ; and is told so.

    Faults: 127.
    """
    token = open_lease("pi").take(HOUR)
    machine.time += HOUR + SKEW.total_seconds() - 1
    with pytest.raises(LeaseHeld):
        open_lease("laptop").take(HOUR)
    machine.time += 1
    open_lease("laptop").take(HOUR)

    with pytest.raises(LeaseLost, match="laptop has taken it"):
        open_lease("pi").renew(token, HOUR)
    with pytest.raises(LeaseHeld):
        open_lease("pi").take(HOUR)


def test_renewing_holds_it(open_lease: Open, machine: Machine) -> None:
    """It is had for as long as it is renewed."""
    token = open_lease("pi").take(HOUR)
    for _ in range(4):
        machine.time += HOUR
        open_lease("pi").renew(token, HOUR)

    with pytest.raises(LeaseHeld):
        open_lease("laptop").take(HOUR)


def test_released_it_is_free(open_lease: Open) -> None:
    """Who stops for good lets others in at once; what is not one's own is not released."""
    token = open_lease("pi").take(HOUR)
    open_lease("laptop").release("another")
    with pytest.raises(LeaseHeld):
        open_lease("laptop").take(HOUR)
    open_lease("pi").release(token)

    open_lease("laptop").take(HOUR)
    open_lease("pi").release(token)
    with pytest.raises(LeaseHeld):
        open_lease("pi").take(HOUR)


def test_only_who_has_read_it_replaces_it(slots: Callable[[], Slot]) -> None:
    """Of two that have read the same one writes, and the other is told."""
    slots().replace("one", "")
    with pytest.raises(Conflict):
        slots().replace("also one", "")
    text, generation = slots().read()
    slots().replace("two", generation)
    with pytest.raises(Conflict):
        slots().replace("also two", generation)

    assert ("one", "two") == (text, slots().read()[0])


def test_of_many_at_once_one_has_it(open_lease: Open) -> None:
    """
    Eight come in the same moment.

    Faults: 127.
    """
    barrier, won, lost = Barrier(8), [], []

    def come(name: str) -> None:
        lease = open_lease(name)
        barrier.wait()
        try:
            won.append((name, lease.take(HOUR)))
        except LeaseHeld:
            lost.append(name)

    threads = [Thread(target=come, args=(f"host {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (1, 7) == (len(won), len(lost))
    name, token = won[0]
    open_lease(name).renew(token, HOUR)


def test_what_cannot_be_read_is_not_free(slots: Callable[[], Slot], open_lease: Open) -> None:
    """Somebody's lease it is: told, with what to remove."""
    slots().replace("}", "")

    with pytest.raises(StoreFailed, match="can't be read") as failed:
        open_lease("pi").take(HOUR)
    assert "remove it" in failed.value.hint


# --- a folder


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


# --- a bucket


def test_an_answer_that_was_lost_is_no_conflict() -> None:
    """The library tries again, and is refused by what its first try has written."""
    bucket: Any = Bucket(answers_lost=1)
    BlobSlot(bucket, "").replace("one", "")

    assert "one" == BlobSlot(bucket, "").read()[0]


def test_a_bucket_that_refuses_is_a_store_that_fails() -> None:
    """No rights, or no answer: never a free lease."""
    bucket: Any = Bucket(broken=403)
    with pytest.raises(StoreFailed, match="403"):
        BlobSlot(bucket, "a").read()
    with pytest.raises(StoreFailed, match="gs://backups/a/lease"):
        BlobSlot(bucket, "a").replace("x", "")


def test_a_bug_is_no_answer() -> None:
    """What is no HTTP error is not taken for one."""

    def broken() -> Iterator[None]:
        raise ZeroDivisionError

    bucket: Any = type("B", (), {"name": "b", "get_blob": lambda *_: next(broken())})()
    with pytest.raises(ZeroDivisionError):
        BlobSlot(bucket, "a").read()


def test_the_clocks_may_differ() -> None:
    """Five minutes, as the page of limits says."""
    assert timedelta(minutes=5) == SKEW
