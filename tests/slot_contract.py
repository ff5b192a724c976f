"""What a lease does, wherever it lies: a test module inherits the classes and gives a bench."""

import json
from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread
from typing import Protocol

import pytest

from sidecar.backup_ports import Conflict, Slot
from sidecar.errors import LeaseHeld, LeaseLost, NothingChangedError, StoreFailed
from sidecar.lease import SKEW, SlotLease
from tests.fakes import FakeClock
from tests.fakes_machine import Machine

HOUR = 3600.0


class SlotBench(Protocol):
    """Gives a slot, and reaches behind it."""

    crowd: int
    """So many may come at the same moment, and one of them gets it, or at most one."""

    decides: bool
    """Somebody there says who gets it: otherwise all may have to come again."""

    def slot(self) -> Slot:
        """Open the slot, as another instance does each time."""
        ...


class FaultyBench(SlotBench, Protocol):
    """A slot behind a network."""

    def lose_reply(self) -> None:
        """Let the next writing have its effect, and its answer never arrive."""
        ...

    def refuse(self, status: int) -> None:
        """Answer every request from now on by that HTTP status."""
        ...

    def recover(self) -> None:
        """Answer as ever."""
        ...


def clock_of(seconds: float = 0.0) -> FakeClock:
    """Make a clock that is so far ahead of noon."""
    return FakeClock(Machine(time=seconds))


class Instances:
    """Instances that come to one slot, each with a clock of its own."""

    def __init__(self, slots: Callable[[], Slot]) -> None:
        self.slots = slots
        self.tokens = 0

    def lease(self, holder: str, at: float = 0.0) -> SlotLease:
        """Come as an instance, so many seconds after noon by its own clock."""
        return SlotLease(self.slots(), clock_of(at), holder, self._token)

    def _token(self) -> str:
        self.tokens += 1
        return f"t{self.tokens}"


@pytest.fixture
def come(bench: SlotBench) -> Instances:
    """Come to the bench's slot."""
    return Instances(bench.slot)


class SlotContract:
    """One text, replaced only by who has read what it replaces."""

    def test_where_nothing_is(self, bench: SlotBench) -> None:
        """A first use is no failure."""
        assert ("", "") == bench.slot().read()

    def test_only_who_has_read_it_replaces_it(self, bench: SlotBench) -> None:
        """Of two that have read the same one writes, and the other is told. Faults: 127."""
        bench.slot().replace("one", "")
        with pytest.raises(Conflict):
            bench.slot().replace("also one", "")
        text, generation = bench.slot().read()
        bench.slot().replace("two", generation)
        with pytest.raises(Conflict):
            bench.slot().replace("also two", generation)

        assert ("one", "two") == (text, bench.slot().read()[0])

    def test_what_cannot_be_read_is_not_free(self, bench: SlotBench, come: Instances) -> None:
        """Somebody's lease it is: told, with what to remove."""
        bench.slot().replace("}", "")

        with pytest.raises(StoreFailed, match="can't be read") as failed:
            come.lease("pi").take()
        assert "remove it" in failed.value.hint

    def test_of_many_at_once_one_has_it(self, bench: SlotBench, come: Instances) -> None:
        """
        They come in the same moment; the others are refused.

        Faults: 127.
        """
        barrier, won, lost = Barrier(bench.crowd), [], []

        def enter(name: str) -> None:
            lease = come.lease(name)
            barrier.wait()
            try:
                lease.take(HOUR)
                won.append(name)
            except NothingChangedError:
                lost.append(name)

        threads = [Thread(target=enter, args=(f"host {n}",)) for n in range(bench.crowd)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert bench.crowd == len(won) + len(lost)
        assert len(won) == 1 or (not won and not bench.decides)
        come.lease(won[0] if won else "host 0").take(HOUR)


class LeaseContract(SlotContract):
    """One instance at a time, until it is silent for too long."""

    def test_the_second_is_refused_and_told_who_it_is(self, come: Instances) -> None:
        """
        The first has it, and goes on having it; the second is told by whom, and until when.

        Faults: 127.
        """
        come.lease("pi").take(HOUR)

        with pytest.raises(LeaseHeld) as refused:
            come.lease("laptop").take(HOUR)

        assert "pi, until 2026-01-31 13:00:00 UTC" in refused.value.message
        assert "lease" in refused.value.hint
        come.lease("pi").renew(HOUR)

    def test_the_same_takes_it_again_at_once(self, come: Instances) -> None:
        """After a loss of power it is the instance that it was; what ran before ends nothing."""
        first = come.lease("pi").take(HOUR)
        come.lease("pi").take(HOUR)
        come.lease("pi").release(first)

        with pytest.raises(LeaseHeld):
            come.lease("laptop").take(HOUR)

    def test_one_run_of_an_instance_renews_what_another_took(self, come: Instances) -> None:
        """The guard takes it while the backups hold it; who took it last releases it."""
        token = come.lease("pi").take(HOUR)
        come.lease("pi", HOUR).renew(HOUR)
        with pytest.raises(LeaseHeld):
            come.lease("laptop", 1.5 * HOUR).take()

        come.lease("pi", 1.5 * HOUR).release(token)
        come.lease("laptop", 1.5 * HOUR).take()

    def test_who_has_died_loses_it_in_time(self, come: Instances) -> None:
        """
        Who is silent for so long has lost it, with room for clocks that differ; and is told so.

        Faults: 127.
        """
        come.lease("pi").take(HOUR)
        over = HOUR + SKEW.total_seconds()
        with pytest.raises(LeaseHeld):
            come.lease("laptop", over - 1).take(HOUR)
        come.lease("laptop", over).take(HOUR)

        with pytest.raises(LeaseLost, match="laptop has taken it"):
            come.lease("pi", over).renew(HOUR)
        with pytest.raises(LeaseHeld):
            come.lease("pi", over).take(HOUR)

    @pytest.mark.parametrize("minutes", [-5, 5])
    def test_clocks_that_differ(self, come: Instances, minutes: int) -> None:
        """Five minutes either way take nothing away from who renews in time. Faults: 127."""
        off = timedelta(minutes=minutes).total_seconds()
        come.lease("pi", off).take(HOUR)

        with pytest.raises(LeaseHeld):
            come.lease("laptop", HOUR - 1).take(HOUR)
        come.lease("pi", HOUR + off).renew(HOUR)
        with pytest.raises(LeaseHeld):
            come.lease("laptop", 2 * HOUR - 1).take(HOUR)

    def test_released_it_is_free(self, come: Instances) -> None:
        """Who stops for good lets others in at once; what is not one's own is not released."""
        token = come.lease("pi").take(HOUR)
        come.lease("laptop").release(token)
        with pytest.raises(LeaseHeld):
            come.lease("laptop").take(HOUR)
        come.lease("pi").release(token)

        come.lease("laptop").take(HOUR)
        come.lease("pi").release(token)
        with pytest.raises(LeaseHeld):
            come.lease("pi").take(HOUR)

    def test_what_nobody_took_is_not_renewed(self, come: Instances) -> None:
        """An operator has removed it: perhaps to let another in."""
        with pytest.raises(LeaseLost, match="it is gone"):
            come.lease("pi").renew()

    def test_one_has_it_at_any_time(self, bench: SlotBench, come: Instances) -> None:
        """Again and again, as it runs out: never two, and whoever has it is written there."""
        for round_ in range(3):
            at = round_ * 2 * HOUR
            holders = [f"host {round_}-{n}" for n in range(2)]
            come.lease(holders[0], at).take(HOUR)
            with pytest.raises(LeaseHeld):
                come.lease(holders[1], at).take(HOUR)

            assert holders[0] == json.loads(bench.slot().read()[0])["holder"]


class FaultyContract:
    """Behind a network: whatever goes wrong with it, nobody has a lease that another has too."""

    def test_an_answer_that_was_lost_is_no_conflict(self, faulty: FaultyBench) -> None:
        """It had arrived, and is refused when it is sent again: by what it has written itself."""
        faulty.lose_reply()
        faulty.slot().replace("one", "")
        text, generation = faulty.slot().read()
        faulty.lose_reply()
        faulty.slot().replace("two", generation)

        assert ("one", "two") == (text, faulty.slot().read()[0])

    def test_an_answer_that_was_lost(self, faulty: FaultyBench) -> None:
        """It had arrived: tried again, what is there is found to be one's own. Faults: 64, 127."""
        come = Instances(faulty.slot)
        faulty.lose_reply()
        token = come.lease("pi").take(HOUR)
        with pytest.raises(LeaseHeld):
            come.lease("laptop").take(HOUR)
        faulty.lose_reply()
        come.lease("pi", HOUR).renew(HOUR)
        with pytest.raises(LeaseHeld):
            come.lease("laptop", 1.5 * HOUR).take(HOUR)
        faulty.lose_reply()
        come.lease("pi", 1.5 * HOUR).release(token)

        come.lease("laptop", 1.5 * HOUR).take(HOUR)

    @pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
    def test_a_store_that_refuses_gives_nobody_anything(
        self, faulty: FaultyBench, status: int
    ) -> None:
        """Taking, renewing, releasing: each says where the lease is, and what is wrong there."""
        come = Instances(faulty.slot)
        token = come.lease("pi").take(HOUR)
        faulty.refuse(status)
        for act in (
            come.lease("pi").take,
            come.lease("pi").renew,
            lambda: come.lease("pi").release(token),
            come.lease("laptop", 2 * HOUR).take,
        ):
            with pytest.raises(StoreFailed, match=r"^the lease .*lease.*: \S") as failed:
                act()
            assert failed.value.hint
        faulty.recover()

        with pytest.raises(LeaseHeld):
            come.lease("laptop").take(HOUR)
