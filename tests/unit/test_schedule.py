"""The second mode, days of it: when it backs up, what it keeps, and what it says when it can't."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from sidecar import manual
from sidecar.backup_ports import Ask, NoCopies, always
from sidecar.backups import Kind
from sidecar.errors import DatabaseUnavailable, EngineUnavailable, StoreFailed
from sidecar.notices import BACKUP, MIGRATION, PRUNING, STORES, VERIFY, What
from sidecar.plan import Phase
from tests.fakes import FakeWorld, Killed, Power, copy
from tests.fakes_data import BEFORE, Data
from tests.fakes_machine import LIVE, Machine
from tests.fakes_store import MemoryStore
from tests.second import HOUR, POLICY, RELEASE, Second, second


@pytest.fixture
def made() -> Second:
    """Make a second mode that has never run."""
    return second()


def test_backs_up_at_once_and_then_when_it_is_due(made: Second) -> None:
    """The first is taken at once, the others at full hours; each is proven the first time."""
    made.generations = "hourly=100"
    assert 0 == made.run(5.5)

    minutes = [(at.hour, at.minute) for at in reversed(made.times())]
    assert [(12, 0), (13, 0), (14, 0), (15, 0), (16, 0), (17, 0)] == minutes
    assert [] == made.health()
    assert "✓" in made.tell.text
    assert made.here.lock is None


def test_keeps_generations(made: Second) -> None:
    """After nine days there are so many of each, and the newest; nothing is half deleted."""
    made.rhythm = "4h"
    made.run(9 * 24)

    assert 4 <= len(made.times()) <= 6
    assert [] == made.torn()
    assert [] == made.health()


def test_makes_up_once_for_what_was_missed(made: Second) -> None:
    """A machine that slept for ten hours takes one backup when it wakes. Faults: 106."""
    made.generations = "hourly=100"
    made.run(1.5)
    before = len(made.times())
    made.here.pass_time(10 * HOUR + 60)

    made.run(0.1)
    assert before + 1 == len(made.times())


def test_proves_weekly(made: Second) -> None:
    """The newest of each kind is loaded and compared, and again on each Sunday."""
    made.rhythm = "daily"
    made.run(24 * 8.5)

    proven = [event for event in made.events if event.subject == VERIFY]
    assert 3 == len(proven)
    assert {What.SUCCEEDED} == {event.what for event in proven}
    assert made.state.verified.startswith("scheduled")
    assert not [name for name in made.here.databases if "__migsafe" in name]


def test_skips_while_another_run_holds_the_lock(made: Second) -> None:
    """A backup that falls into a migration is skipped with a line, and not queued. Faults: 105."""
    made.run(0.5)
    made.here.lock = "migration"
    made.run(3)
    assert 1 == len(made.times())
    assert "skipped, the next is at" in made.tell.text
    assert ["the newest backup is too old"] == [m.split(":")[0] for m in made.health()]

    made.here.lock = None
    made.run(1)
    assert 3 == len(made.times())
    assert [] == made.health()


@pytest.mark.parametrize(
    "away",
    [
        DatabaseUnavailable("the server does not answer"),
        EngineUnavailable("no socket"),
        ValueError("a bug"),
    ],
)
def test_goes_on_whatever_is_away(made: Second, away: Exception) -> None:
    """It says what, is unhealthy, deletes nothing, and goes on when it is back. Faults: 107."""
    made.run(6)
    before = made.times()
    made.away = away  # type: ignore[assignment]
    made.run(100)
    assert before == made.times()
    assert str(away) in " ".join(made.health())

    made.away = None
    made.run(1)
    assert before[0] < made.times()[0]
    assert [] == made.health()
    told = [event.what for event in made.events if event.subject == BACKUP]
    assert [What.STARTED, What.SUCCEEDED] == told[-2:]


def test_silence_is_told(made: Second) -> None:
    """Where no backup came for as long as two are due, that is said, whatever kept it."""
    made.run(0.5)
    made.away = DatabaseUnavailable("away")
    made.run(1.4)
    assert not [event for event in made.events if event.what is What.SILENT]

    made.run(0.6)
    (first, *_) = [event for event in made.events if event.what is What.SILENT]
    assert BACKUP == first.subject
    assert made.manifests()[0].backup.name in first.message


def test_tries_again_sooner_than_it_is_due(made: Second) -> None:
    """What passes is not waited out for an hour, nor asked for every second."""
    made.run(0.5)
    made.away = DatabaseUnavailable("away")
    made.here.pass_time(HOUR)
    made.run(0.9)

    failed = [event for event in made.events if event.what is What.FAILED]
    assert 4 <= len(failed) <= 8


def test_what_has_vanished_is_told_and_rotates_nothing(made: Second) -> None:
    """
    A backup from which most rows are gone has its own label, and nothing is deleted any more.

    Until somebody says that it was meant: by asking for a backup.

    Faults: 108.
    """
    made.run(30)
    before = made.times()
    made.here.databases[LIVE].data = Data({})
    made.run(30)

    doubtful = [m for m in made.manifests() if m.doubts]
    assert 29 <= len(doubtful) <= 31
    assert set(before) < set(made.times())
    assert "data has vanished: all tables are empty" in made.health()[0]
    assert not any(m.doubts for m in made.manifests() if m.backup.taken_at in before)

    world = FakeWorld(made.here, RELEASE, POLICY).world
    with world.journal.hold("by hand", 0):
        manual.take(world.vault, "by hand", manual.ready(world, world.vault), {})
    made.run(2)
    assert [] == made.health()
    assert not made.manifests()[0].doubts


def test_what_a_migration_has_taken_away_is_not_missing(made: Second) -> None:
    """A migration that succeeded has its own proof. Faults: 108."""
    made.run(2)
    made.here.databases[LIVE].data = replace(BEFORE, tables={})
    world = FakeWorld(made.here, RELEASE, POLICY).world
    world.journal.append("m1", Phase.COMMITTED)
    world.journal.append("m1", Phase.CLEARED)
    made.run(2)

    assert not made.manifests()[0].doubts


def test_another_server_is_not_backed_up(made: Second) -> None:
    """
    A server that came up with other data is not backed up: it says what to type.

    Faults: 124.
    """
    made.run(5)
    before = made.times()
    made.here.system = "another"
    made.run(50)

    assert before == made.times()
    assert "is on another server than it was" in made.health()[0]
    assert "restore latest" in made.state.backup.hint  # type: ignore[union-attr]


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.STRANDED, Phase.MIGRATING])
def test_not_in_the_middle_of_a_run(made: Second, phase: Phase) -> None:
    """What was cut off is between before and after: no backup of it. Faults: 105."""
    made.run(1.5)
    before = made.times()
    world = FakeWorld(made.here, RELEASE, POLICY).world
    world.journal.append("m1", phase, code=30, reason="no room")
    made.run(2)

    assert before == made.times()
    assert made.state.backup is not None
    assert made.state.backup.code in {30, 32}


def test_a_clock_that_goes_back(made: Second) -> None:
    """It goes on from there, and deletes nothing while the newest is of the future. Faults: 110."""
    made.run(30)
    before = set(made.times())
    made.here.time -= 10 * HOUR
    made.run(5)

    assert before < set(made.times())
    assert "of the future" in made.tell.text


def test_a_clock_that_jumps_ahead(made: Second) -> None:
    """A year later nothing is older than it was. Faults: 110."""
    made.run(30)
    before = made.times()
    made.here.time += 365 * 24 * HOUR
    made.run(0.1)

    assert set(before[:2]) < set(made.times())
    assert len(made.times()) > len(before) - 3  # one comes, and one of each generation goes


@pytest.mark.parametrize("back", [True, False])
def test_a_clock_that_jumps_ahead_and_what_goes_by_age(made: Second, back: bool) -> None:
    """For a day nothing is a month older than it was; a machine that was off goes on then."""
    vault = FakeWorld(made.here, RELEASE, POLICY).world
    for _ in range(3):
        made.run(1)
        look = vault.database.look(catalog=True)
        vault.vault.take(vault.vault.next_backup(Kind.PRE_MIGRATION), "r", look, {})
    before = made.manifests(Kind.PRE_MIGRATION)
    made.run(1)
    made.here.time += 30 * 24 * HOUR
    made.run(20)
    assert before == made.manifests(Kind.PRE_MIGRATION)

    if back:
        made.here.time -= 30 * 24 * HOUR
    made.run(20)
    assert (before if back else before[:1]) == made.manifests(Kind.PRE_MIGRATION)


def test_a_listing_that_shrank(made: Second) -> None:
    """
    What is missing is told, and nothing is deleted until it is back: not after a restart either.

    Faults: 109.
    """
    made.generations = "hourly=2"
    made.run(5)
    until = made.here.time + 2 * HOUR

    def lose(_number: int, effect: str) -> None:
        if made.here.time > until - HOUR and "half of scheduled" in effect and not lost:
            lost.append(made.manifests()[-1].backup.name)
            kept.append(made.here.files.pop(lost[0] + ".manifest.json"))

    lost, kept = list[str](), list[bytes]()
    made.run(3, Power(made.here, watch=lose))
    assert lost
    assert f"nothing is deleted: backups are missing that were there before: {lost[0]}" in (
        made.tell.text
    )
    assert made.state.held is not None
    assert lost[0] in made.state.held.message
    before = set(made.times())
    made.run(2)
    assert before < set(made.times())
    told = [event for event in made.events if event.subject == PRUNING]
    assert What.FAILED is told[-1].what
    assert lost[0] in told[-1].message

    made.here.files[lost[0] + ".manifest.json"] = kept[0]
    made.run(1)
    assert 3 == len(made.times())
    assert What.SUCCEEDED is [e for e in made.events if e.subject == PRUNING][-1].what
    assert made.state.held is None


def test_what_can_not_be_deleted_is_told(made: Second, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be deleted fills the disk one day. Faults: 109."""
    made.generations = "hourly=2"
    made.run(3)

    def refuses(_self: object, name: str) -> None:
        raise StoreFailed(f"/backups/{name}: Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(MemoryStore, "remove", refuses)
        made.run(2)
    (last, *_) = [e for e in reversed(made.events) if e.subject == PRUNING]
    assert What.FAILED is last.what
    assert "Operation not permitted" in last.message
    assert any("not everything that is old is deleted" in line for line in made.health())

    made.run(2)
    assert [] == made.health()
    assert 3 == len(made.times())


def test_a_signal_leaves_no_half_backup(made: Second) -> None:
    """Wherever it comes: nothing torn is left, the lock is free, and the next one is taken."""
    made.run(0.5)
    for effect in range(1, 12):
        again = Second(copy(made.here))
        assert 0 == again.run(1, Power(again.here), signal=effect)
        assert [] == again.torn()
        assert again.here.lock is None
        assert not [name for name in again.here.databases if "__migsafe" in name]


def test_a_last_backup(made: Second) -> None:
    """It is taken after the signal, also where that has cut another one short. Faults: 128."""
    made.final = True
    assert 0 == made.run(0.5)
    assert 2 == len(made.times())

    assert 0 == made.run(1, signal=3)
    assert [] == made.torn()
    assert made.here.now - made.times()[0] < timedelta(minutes=1)

    made.away = DatabaseUnavailable("gone already")
    assert 10 == made.run(0.1)
    assert "gone already" in made.health()[0]


def test_kill_it_anywhere(made: Second) -> None:
    """
    Killed at any side effect of a round, the next service clears up, and takes its backup.

    Faults: 107, 113.
    """
    made.generations = "hourly=1"
    made.verify = "1h"
    made.run(3)
    effects = Power(copy(made.here))
    once = Second(effects.machine, generations="hourly=1", verify="1h")
    once.run(1, effects)
    assert len(effects.effects) > 15

    for number in range(len(effects.effects)):
        for before in (True, False):
            again = Second(copy(made.here), generations="hourly=1", verify="1h")
            floor = len(again.times())
            power = Power(again.here, kill_at=number, before=before)
            with pytest.raises(Killed):
                again.run(1, power)
            again.here.lock = None
            assert len(again.times()) >= min(floor, 1)
            again.run(1.2)
            assert [] == again.torn(), (number, before)
            assert [] == again.health(), (number, before)


def test_fail_it_anywhere(made: Second) -> None:
    """
    Whichever call to the outside fails once: it goes on, and is well an hour later.

    Faults: 107.
    """
    made.verify = "1h"
    made.run(3)
    calls = Power(copy(made.here))
    Second(calls.machine, verify="1h").run(1, calls)
    for number in range(0, len(calls.calls), 3):
        again = Second(copy(made.here), verify="1h")
        before = again.times()
        assert 0 == again.run(2.1, Power(again.here, fail_at=number))
        assert [] == again.health(), calls.calls[number]
        assert before[0] in again.times()
        assert [] == again.torn(), calls.calls[number]


def test_stores_that_are_behind(made: Second) -> None:
    """What is not copied is told, and nothing is deleted meanwhile. Faults: 109."""

    class Behind(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            return ("gs://bucket lacks 3 backups",)

    made.generations = "hourly=1"
    made.copies = Behind()
    made.run(5.5)

    assert 6 == len(made.times())
    assert ["gs://bucket lacks 3 backups"] == made.health()
    assert What.FAILED == [event for event in made.events if event.subject == STORES][-1].what

    made.copies = NoCopies()
    made.run(1)
    assert [] == made.health()
    assert What.SUCCEEDED == [event for event in made.events if event.subject == STORES][-1].what


def test_an_upload_that_takes_hours(made: Second) -> None:
    """What is taken, and on its way to a store, is not too old meanwhile."""
    seen: list[list[str]] = []

    class Slow(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            made.here.pass_time(HOUR)
            seen.append(made.health())
            made.here.pass_time(HOUR)
            return ()

    made.copies = Slow()
    made.run(5)

    assert 2 <= len(seen)
    assert [] == [each for each in seen if each]


@dataclass
class Backlog(NoCopies):
    """A line that takes a while for each, and what has yet to go over it."""

    here: Machine
    left: int
    hours: float = 0.4

    def catch_up(self, has_time: Ask = always) -> tuple[str, ...]:
        """Bring the one that is new, and others while there is time."""
        self.left += 1
        while self.left and has_time():
            self.here.pass_time(self.hours * HOUR)
            self.left -= 1
        return (f"{self.left} are not there",) if self.left else ()


def test_a_folder_of_old_backups_on_a_slow_line(made: Second) -> None:
    """Whoever names a store has them uploaded for hours, and a backup each hour all the same."""
    copies = Backlog(made.here, left=20)
    made.generations = "hourly=100"
    made.copies = copies
    made.run(5)

    assert 4 <= len(made.times()) <= 6
    assert [f"{copies.left} are not there"] == made.health()
    made.run(24)
    assert 0 == copies.left
    assert [] == made.health()


def test_proves_although_a_backup_is_always_due(made: Second) -> None:
    """Uploads that take longer than it is from one backup to the next put no proof off for long."""

    class Slow(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            made.here.pass_time(1.5 * HOUR)
            return ()

    made.copies, made.verify = Slow(), "8h"
    made.run(60)

    proven = [event for event in made.events if event.subject == VERIFY]
    assert 5 <= len(proven) <= 60 / 8 + 1
    assert 30 <= len(made.times()) + sum("deleted, as" in line for line in made.tell.lines)
    assert "is not proven now: a backup is due" in made.tell.text


def test_the_guard_needs_an_operator(made: Second) -> None:
    """What the guard's card says is seen within a minute, and forgotten with the next that ends."""
    made.run(0.2)
    made.here.files["history.txt"] = b"2026-01-31 12:00:00 UTC   30  the rollback failed\n"
    made.run(0.02)
    assert ["the last run needs you: the rollback failed"] == made.health()
    assert 1 == sum(event.what is What.NEEDS_OPERATOR for event in made.events)

    for code in (10, 12, 17, 143):  # what could not begin has ended nothing
        made.here.files["history.txt"] += b"2026-01-31 12:10:00 UTC   %d  not begun\n" % code
        made.run(0.02)
        assert ["the last run needs you: the rollback failed"] == made.health()

    made.here.files["history.txt"] += b"2026-01-31 12:30:00 UTC    0  restored\n"
    made.run(0.02)
    assert [] == made.health()
    assert What.SUCCEEDED == [e for e in made.events if e.subject == MIGRATION][-1].what


def test_a_backup_that_does_not_restore(made: Second) -> None:
    """It is told at once, and the next one is tried. Faults: 115."""
    made.verify = "1h"
    made.run(0.5)
    name = made.manifests()[0].backup.name
    made.here.files[name] = made.here.files[name][:-3] + b"xyz"
    made.here.files = {k: v for k, v in made.here.files.items() if not k.endswith("proof.json")}
    made.here.lock = "busy"
    made.run(0.1)
    made.here.lock = None
    made.run(2)

    assert Kind.SCHEDULED is made.manifests()[0].backup.kind
    assert [] == made.health()
