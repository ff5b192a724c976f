"""RAM mode, one instance at a time: what guard and backups do about the lease."""

from argparse import Namespace
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar import by_hand
from sidecar.aftermath import Aftermath
from sidecar.backup_ports import Ask, Copies, Lease, NoCopies, NoLease, always
from sidecar.backups import Kind, Manifest, Proof
from sidecar.errors import BackupDamaged, LeaseHeld, LeaseLost, MigsafeError, NoSource, StoreFailed
from sidecar.guard import Guard
from sidecar.lease import SECONDS, SlotLease
from sidecar.notices import BACKUP, What
from sidecar.plan import Phase
from sidecar.policy import Policy
from sidecar.restore import Restore, Wanted
from sidecar.restore_file import FileRestore
from sidecar.verify import Verification
from tests.fakes import FakeClock, FakeWorld, Killed, Power, machine
from tests.fakes_data import AFTER, BEFORE
from tests.fakes_engine import Release
from tests.fakes_machine import LIVE, Machine
from tests.fakes_remote import FakeSlot
from tests.scenarios import PROGRAMS, runs, state
from tests.second import HOUR, Second, second

from .builders import give_stack
from .test_restore_file import Dump, yes

RAM = Policy(deadline=timedelta(seconds=20), refill=True)
GOOD = Release("v2", PROGRAMS["good"])
SILENT = StoreFailed("it refuses these credentials (403)", hint="Look.")


def lease_of(here: Machine, slot: FakeSlot, holder: str = "pi") -> SlotLease:
    """Come as an instance; no two tokens are the same."""
    return SlotLease(slot, FakeClock(here), holder, lambda: f"t{slot.generation}-{holder}")


def guard(here: Machine, lease: Lease, release: Release = GOOD) -> FakeWorld:
    """Run a guard under a lease; raises as it does."""
    here.runs += 1
    world = FakeWorld(here, release, RAM)
    Guard(replace(world.world, lease=lease), RAM, f"20260131-1200{here.runs:02d}-aaaa").run()
    return world


def emptied(here: Machine) -> Machine:
    """Lose the memory of the server, and whoever was connected."""
    here.backends.clear()
    here.journal.clear()
    here.databases[LIVE].data = replace(BEFORE, tables={}, ledger=())
    return here


@pytest.fixture
def slot() -> FakeSlot:
    """Make the place of a lease."""
    return FakeSlot()


# --- the guard


@pytest.mark.parametrize("empty", [True, False])
def test_the_second_instance_starts_nothing(slot: FakeSlot, empty: bool) -> None:
    """Neither is it filled, nor does it migrate: it says who works on the backups. Faults: 127."""
    here = emptied(machine()) if empty else machine()
    before = state(here)
    lease_of(here, slot, "laptop").take()

    with pytest.raises(LeaseHeld, match="laptop"):
        guard(here, lease_of(here, slot))
    assert (before, {}) == (state(here), here.containers)


@pytest.mark.parametrize("empty", [True, False])
def test_a_silent_store_keeps_the_gate_closed(slot: FakeSlot, empty: bool) -> None:
    """Who else is there can't be known: nothing is filled or migrated. Faults: 65, 66, 127."""
    here = emptied(machine()) if empty else machine()
    before = state(here)
    slot.failing = SILENT

    with pytest.raises(StoreFailed, match=r"^the lease gs://shop/lease.json: it refuses"):
        guard(here, lease_of(here, slot))
    assert (before, {}) == (state(here), here.containers)


def test_who_was_not_filled_lets_others_in(slot: FakeSlot) -> None:
    """No backup, so nothing is here that could part ways with another's."""
    here = emptied(machine())

    with pytest.raises(NoSource):
        guard(here, lease_of(here, slot))
    lease_of(here, slot, "laptop").take()


def test_who_migrated_goes_on_having_it(slot: FakeSlot) -> None:
    """The app runs on it now."""
    here = machine()
    guard(here, lease_of(here, slot))

    assert state(here) == AFTER
    with pytest.raises(LeaseHeld, match="pi"):
        lease_of(here, slot, "laptop").take()


def test_one_that_was_lost_while_the_backup_was_made(slot: FakeSlot) -> None:
    """Another was filled meanwhile, from what was before: nothing is migrated here. Faults: 127."""
    here = machine()

    class Slow(SlotLease):
        def renew(self, seconds: float = 7200.0) -> None:
            later = machine()
            later.time = here.time + 3 * HOUR
            lease_of(later, slot, "laptop").take()
            super().renew(seconds)

    with pytest.raises(LeaseLost, match="laptop has taken it"):
        guard(here, Slow(slot, FakeClock(here), "pi", lambda: "t"))
    assert BEFORE == state(here)
    assert {} == here.containers
    assert [Phase.ABANDONED] == [run.phase for run in runs(here)]


def test_the_app_does_not_start_beside_another(slot: FakeSlot) -> None:
    """Nothing is to be migrated, and another has been filled meanwhile. Faults: 127."""
    here = machine()
    guard(here, lease_of(here, slot))
    here.time += 3 * HOUR
    lease_of(here, slot, "laptop").take()

    with pytest.raises(LeaseHeld, match="laptop"):
        guard(here, lease_of(here, slot))


def test_a_silent_store_stops_no_app_that_has_its_data(slot: FakeSlot) -> None:
    """Nothing is to be migrated, and the data is here: the network may be away."""
    here = machine()
    guard(here, lease_of(here, slot))
    slot.failing = SILENT
    world = guard(here, lease_of(here, slot))

    assert "gs://shop/lease.json" in world.tell.text


# --- the guard, cut off


class Powered(SlotLease):
    """A lease at which the power or the line can fail."""

    def __init__(self, slot: FakeSlot, power: Power) -> None:
        super().__init__(slot, FakeClock(power.machine), "pi", lambda: f"t{slot.generation}")
        self.power = power

    def take(self, seconds: float = SECONDS) -> str:
        """Take it."""
        self.power.call("lease: take")
        with self.power.effect("lease: take"):
            return super().take(seconds)

    def renew(self, seconds: float = SECONDS) -> None:
        """Renew it."""
        self.power.call("lease: renew")
        with self.power.effect("lease: renew"):
            super().renew(seconds)

    def release(self, token: str) -> None:
        """Release it."""
        self.power.call("lease: release")
        with self.power.effect("lease: release"):
            super().release(token)


def filled_and_lost() -> Machine:
    """Make a machine that was backed up, and has lost its memory."""
    here = machine()
    guard(here, NoLease(), Release("v1", (("exit", "0"),), versions=("1", "2")))
    return emptied(here)


def powered(here: Machine, slot: FakeSlot, power: Power) -> int | None:
    """Run a guard to its end, or its death; return its exit code."""
    here.runs += 1
    world = replace(FakeWorld(here, GOOD, RAM, power).world, lease=Powered(slot, power))
    try:
        Guard(world, RAM, f"20260131-1200{here.runs:02d}-aaaa").run()
    except MigsafeError as error:
        return error.status
    except Killed:
        return None
    return 0


@pytest.mark.parametrize("way", ["before", "after", "fails", "lost"])
@pytest.mark.parametrize("start", [machine, filled_and_lost], ids=["migrates", "is filled"])
def test_whatever_happens_at_the_lease(start: Callable[[], Machine], way: str) -> None:
    """
    The power fails before and after each act, an act fails, an answer is lost.

    Nothing is migrated without it, and the next start ends as one that nothing has happened to;
    whoever comes as another is refused all the time after. Faults: 3, 64, 127.
    """
    whole = Power(start())
    assert 0 == powered(whole.machine, FakeSlot(), whole)
    acts = whole.calls if way == "fails" else whole.effects
    at_the_lease = [n for n, name in enumerate(acts) if name.startswith("lease")]
    assert len(at_the_lease) >= 2
    for number in at_the_lease:
        here, slot = start(), FakeSlot()
        ways = {
            "before": Power(here, number, before=True),
            "after": Power(here, number),
            "fails": Power(here, fail_at=number),
            "lost": Power(here, lose_at=number),
        }
        assert powered(here, slot, ways[way]) in {None, StoreFailed.exit_code}, acts[number]
        assert state(here) != AFTER
        here.settle()

        assert 0 == powered(here, slot, Power(here)), acts[number]
        assert AFTER == state(here)
        with pytest.raises(LeaseHeld, match="pi"):
            lease_of(here, slot, "laptop").take()


# --- by hand


def restored(
    here: Machine, slot: FakeSlot, *, migrate: bool, copies: Copies | None = None
) -> FakeWorld:
    """Restore the newest backup as an operator does."""
    world = FakeWorld(here, GOOD, RAM)
    if copies is not None:
        world.world = replace(world.world, copies=copies)
    (newest, *_) = world.vault.manifests()
    here.runs += 2
    ids = [f"20260131-1300{n:02d}-{n:04x}" for n in (here.runs - 1, here.runs)]
    Restore(replace(world.world, lease=lease_of(here, slot)), RAM, *ids).run(
        Wanted(newest, migrate)
    )
    return world


def backed_up() -> Machine:
    """Make a machine that has migrated, and so has a backup from before."""
    here = machine()
    guard(here, NoLease())
    return here


@pytest.mark.parametrize("migrate", [True, False])
def test_nothing_is_restored_beside_another(slot: FakeSlot, migrate: bool) -> None:
    """Another works on these backups: who restores here parts ways with it. Faults: 127."""
    here = backed_up()
    lease_of(here, slot, "laptop").take()

    with pytest.raises(LeaseHeld, match="laptop"):
        restored(here, slot, migrate=migrate)
    assert AFTER == state(here)
    assert ["shop-app-1", "shop-worker-1"] == sorted(s.name for s in here.services.values())
    assert all(service.running for service in here.services.values())


def test_who_has_restored_has_the_backups(slot: FakeSlot) -> None:
    """Nobody is filled from them beside it."""
    here = backed_up()
    restored(here, slot, migrate=False)

    with pytest.raises(LeaseHeld, match="pi"):
        lease_of(here, slot, "laptop").take()


def test_a_silent_store_stops_a_restore_that_migrates(slot: FakeSlot) -> None:
    """Its migration would be refused when the backup is in place; alone it goes on, and says so."""
    here = backed_up()
    slot.failing = SILENT

    with pytest.raises(StoreFailed, match=r"^the lease gs://shop/lease.json: it refuses"):
        restored(here, slot, migrate=True)
    assert AFTER == state(here)
    world = restored(here, slot, migrate=False)
    assert BEFORE == state(here)
    assert "the lease gs://shop/lease.json: it refuses" in world.tell.warnings[0]


def by_hand_backup(
    here: Machine,
    slot: FakeSlot,
    monkeypatch: pytest.MonkeyPatch,
    copies: Copies | None = None,
) -> tuple[FakeWorld, int]:
    """Type `migsafe backup`."""
    world = FakeWorld(here, GOOD, RAM)
    leased = replace(world.world, lease=lease_of(here, slot))
    parts = {"control": world.journal, "copies": copies or NoCopies()}
    give_stack(monkeypatch, by_hand, world=leased, **parts)
    settings: Any = SimpleNamespace(wait=timedelta())
    ways: Any = None
    words = Namespace(note="", json=False)
    return world, by_hand.backup(settings, ways, words, lambda: "backup")


def test_no_backup_is_taken_beside_another(slot: FakeSlot, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other would be filled from it. Faults: 127."""
    here = backed_up()
    lease_of(here, slot, "laptop").take()
    before = dict(here.files)

    with pytest.raises(LeaseHeld, match="laptop") as refused:
        by_hand_backup(here, slot, monkeypatch)
    assert before == here.files
    assert "-e MIGSAFE_EMPTY=refuse" in refused.value.hint


def test_a_silent_store_stops_no_backup(slot: FakeSlot, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stays here is better than none; it is brought nowhere. Faults: 66, 127."""
    here = backed_up()
    slot.failing = SILENT
    copies = CopiesSeen()

    with pytest.raises(StoreFailed, match="does not say whose the backups are"):
        by_hand_backup(here, slot, monkeypatch, copies)
    world = FakeWorld(here, GOOD, RAM)
    assert Kind.MANUAL is world.vault.manifests()[0].backup.kind
    assert [] == copies.names

    slot.failing = None
    _, code = by_hand_backup(here, slot, monkeypatch, copies)
    assert (0, [world.vault.manifests()[0].backup.name]) == (code, copies.names)


class CopiesSeen(NoCopies):
    """Notes what is brought to the stores."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def copy(self, manifest: Manifest) -> tuple[str, ...]:
        """Bring it."""
        self.names.append(manifest.backup.name)
        return ()


@pytest.mark.parametrize("silent", [False, True])
def test_what_is_put_in_place_goes_where_it_is_ours(slot: FakeSlot, silent: bool) -> None:
    """
    The backup of it fills what comes next, and what was there before is not lost.

    Where nobody knows whose the backups are they stay here. Faults: 127.
    """
    here = backed_up()
    slot.failing = SILENT if silent else None
    copies = CopiesSeen()

    world = restored(here, slot, migrate=False, copies=copies)

    manual, safety, *_ = (m.backup for m in world.vault.manifests())
    assert (Kind.MANUAL, Kind.SAFETY) == (manual.kind, safety.kind)
    assert ([] if silent else [safety.name, manual.name]) == copies.names
    assert silent == ("not copied: a store does not say" in world.tell.text)


def test_a_file_is_not_restored_beside_another(slot: FakeSlot) -> None:
    """Nor does who restores one leave the backups to others. Faults: 127."""
    here = backed_up()
    world = FakeWorld(here, GOOD, RAM)
    leased = replace(world.world, lease=lease_of(here, slot))
    act = FileRestore(leased, RAM, "20260131-130001-0001", "20260131-130002-0002")
    later = machine()
    later.time = here.time
    lease_of(later, slot, "laptop").take()

    with pytest.raises(LeaseHeld, match="laptop"):
        act.run_file(Dump(), yes, migrate=False)
    assert AFTER == state(here)


@pytest.mark.parametrize("lost", [True, False])
def test_a_restore_that_failed_on_nothing_lets_others_in(slot: FakeSlot, lost: bool) -> None:
    """Here is no data that could part ways with theirs; where there is some, it stays ours."""
    here = backed_up()
    (newest, *_) = FakeWorld(here, GOOD, RAM).vault.manifests()
    rows = replace(newest.contents.tables[0], rows=999)
    wrong = replace(newest, contents=replace(newest.contents, tables=(rows,)))
    if lost:
        emptied(here)
    world = replace(FakeWorld(here, GOOD, RAM).world, lease=lease_of(here, slot))

    with pytest.raises(BackupDamaged):
        Restore(world, RAM, "20260131-130001-0001", "r2").run(Wanted(wrong, migrate=False))
    with nullcontext() if lost else pytest.raises(LeaseHeld, match="pi"):
        lease_of(here, slot, "laptop").take()


# --- the backups


def made(slot: FakeSlot, **options: Any) -> Second:
    """Make the second mode in memory."""
    found = second(memory=True, **options)
    found.lease = lease_of(found.here, slot)
    return found


def test_it_is_held_between_two_backups(slot: FakeSlot) -> None:
    """However far they are apart; it runs out once the service has died. Faults: 127."""
    mine = made(slot, rhythm="daily")
    mine.run(20)
    with pytest.raises(LeaseHeld, match="pi"):
        lease_of(mine.here, slot, "laptop").take()

    mine.here.time += 3 * HOUR
    lease_of(mine.here, slot, "laptop").take()


def test_one_that_was_lost_is_told(slot: FakeSlot) -> None:
    """Within half an hour, whenever the next backup is due; nothing is backed up. Faults: 127."""
    mine = made(slot, rhythm="daily")
    mine.run(1)
    before, later = mine.times(), machine()
    later.time = mine.here.time + 3 * HOUR
    lease_of(later, slot, "laptop").take()
    mine.run(0.7)

    assert before == mine.times()
    assert mine.state.backup is not None
    assert mine.state.backup.code == 12
    assert "another instance works on these backups: laptop" in mine.health()[0]
    assert any(e.what is What.FAILED and e.subject == BACKUP for e in mine.events)


class Brought(NoCopies):
    """Counts how often backups were brought to the stores."""

    times = 0

    def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
        """Bring them."""
        self.times += 1
        return ()


@dataclass
class Uploads(NoCopies):
    """Ten of them, of 50 minutes each; what happens before the fifth."""

    mine: Second
    happens: Callable[[], None]
    done: int = 0

    def catch_up(self, has_time: Ask = always) -> tuple[str, ...]:
        """Bring them, however long it takes."""
        for number in range(10):
            if number == 5:
                self.happens()
            has_time()
            self.mine.upload(5 / 6)
            self.done += 1
        return ()


def test_it_is_held_between_two_uploads(slot: FakeSlot) -> None:
    """A folder of old backups takes a slow line longer than a lease is held. Faults: 127."""
    mine = made(slot, rhythm="daily")

    def another() -> None:
        with pytest.raises(LeaseHeld, match="pi"):
            lease_of(mine.here, slot, "laptop").take()

    mine.copies = copies = Uploads(mine, another)
    mine.run(9)
    assert 10 == copies.done


def test_it_is_held_while_one_upload_takes_hours(slot: FakeSlot) -> None:
    """And so while one backup is proven. Faults: 127."""
    mine = made(slot, rhythm="daily")

    class Slow(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            mine.upload(5)
            with pytest.raises(LeaseHeld, match="pi"):
                lease_of(mine.here, slot, "laptop").take()
            return ()

    mine.copies = Slow()
    mine.run(6)
    assert [] == mine.health()


def test_one_that_was_lost_between_two_uploads(slot: FakeSlot) -> None:
    """Not one more is brought to where another's are. Faults: 127."""
    mine = made(slot, rhythm="daily")

    def another() -> None:
        mine.here.time += 3 * HOUR
        lease_of(mine.here, slot, "laptop").take()
        mine.here.time -= 3 * HOUR

    mine.copies = copies = Uploads(mine, another)
    mine.run(9)
    assert 5 == copies.done
    assert "is not ours any more: laptop has taken it" in mine.tell.text
    assert "another instance works on these backups: laptop" in mine.health()[0]


def test_one_that_was_lost_while_something_is_done(
    slot: FakeSlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only upload is given up, nothing is deleted, no proof is called bad. Faults: 127."""
    mine = made(slot, rhythm="daily")
    deleted = list[object]()
    monkeypatch.setattr(Aftermath, "prune", lambda *_: deleted.append(1))

    class Slow(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            mine.here.time += 3 * HOUR
            lease_of(mine.here, slot, "laptop").take()
            mine.here.time -= 3 * HOUR
            mine.upload(2)
            return ()

    mine.copies = Slow()
    mine.run(0.9)
    assert [] == deleted
    assert 1 == len(mine.manifests())
    assert mine.state.stores is not None
    assert "is not ours any more: laptop has taken it" in mine.state.stores.message


def test_one_that_was_lost_while_it_is_proven(
    slot: FakeSlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is proven later, by whoever has the lease then. Faults: 127."""
    mine = made(slot, rhythm="daily")

    def slow(*_: object) -> Proof:
        mine.here.time += 3 * HOUR
        lease_of(mine.here, slot, "laptop").take()
        mine.here.time -= 3 * HOUR
        mine.upload(2)
        return Proof(mine.here.now, "restored")

    monkeypatch.setattr(Verification, "restore", slow)
    mine.run(0.9)
    assert "is proven later: " in mine.tell.text
    assert mine.state.verify is None


def test_a_silent_store_between_two_uploads(slot: FakeSlot) -> None:
    """What is uploaded goes on, the lease is asked for again; after hours it may be another's."""
    mine = made(slot, rhythm="daily")

    def silent() -> None:
        slot.failing = SILENT

    mine.copies = copies = Uploads(mine, silent)
    mine.run(8.5)
    assert 10 == copies.done
    # of the last five, of 50 minutes each, every five minutes
    assert 40 <= mine.tell.text.count("the lease is not renewed") <= 50


def test_a_store_that_can_only_be_read_is_asked_now_and_then(slot: FakeSlot) -> None:
    """The lease was never ours, so none is lost: a daily backup stays a daily one."""
    mine = made(slot, rhythm="daily")

    def refuse(_text: str, _generation: str) -> None:
        raise SILENT

    slot.replace = refuse  # type: ignore[method-assign,assignment]
    mine.run(11)
    assert 1 == len(mine.times())
    assert "ours any more" not in mine.tell.text


def test_a_silent_store_keeps_backups_here(slot: FakeSlot) -> None:
    """They are taken, and neither brought where another may be, nor deleted. Faults: 66, 127."""
    copies = Brought()
    mine = made(slot, generations="hourly=1", copies=copies)
    mine.run(1.5)
    brought, taken = copies.times, len(mine.times())
    slot.failing = SILENT
    mine.run(4)

    assert (brought, taken + 4) == (copies.times, len(mine.times()))
    assert "the lease gs://shop/lease.json: it refuses" in mine.health()[0]
    slot.failing = None
    mine.run(2)
    assert [] == mine.health()
    assert copies.times > brought
    assert len(mine.times()) < taken + 4


def test_who_stops_for_good_lets_others_in(slot: FakeSlot) -> None:
    """All is backed up, and nobody is connected: the next machine need not wait."""
    mine = made(slot, final=True)
    assert 0 == mine.run(1.5)

    lease_of(mine.here, slot, "laptop").take()


class Behind(NoCopies):
    """Stores that can't be reached."""

    def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
        """Fail."""
        return ("gs://shop: it can't be reached",)


@pytest.mark.parametrize("why", ["the app runs", "a store is behind", "no last backup"])
def test_who_may_go_on_keeps_it(slot: FakeSlot, why: str) -> None:
    """The service alone was stopped, or the newest backup is here only. Faults: 127."""
    mine = made(slot, final=why != "no last backup")
    if why == "the app runs":
        mine.here.services["shop-app-1"].running = True
        mine.here.pass_time(1)
        mine.here.backends.update(machine().backends)
    if why == "a store is behind":
        mine.copies = Behind()
    mine.run(1.5)

    with pytest.raises(LeaseHeld, match="pi"):
        lease_of(mine.here, slot, "laptop").take()


def test_a_release_that_fails_is_told(slot: FakeSlot) -> None:
    """It runs out by itself: the last backup is none the worse for it."""

    class Mute(SlotLease):
        def release(self, token: str) -> None:
            del token
            raise SILENT

    mine = made(slot, final=True)
    mine.lease = Mute(slot, FakeClock(mine.here), "pi", lambda: "t")

    assert 0 == mine.run(1.5)
    assert SILENT.message in mine.tell.text
