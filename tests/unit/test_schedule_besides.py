"""The second mode beside its backups: what follows one, what takes hours, the start and the end."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from sidecar.aftermath import Aftermath
from sidecar.backup_ports import Ask, NoCopies, always
from sidecar.backups import Kind, Manifest, Proof
from sidecar.errors import AlreadyRunning, DatabaseUnavailable
from sidecar.lease import SlotLease
from sidecar.notices import BACKUP, STORES, What
from sidecar.scheduled import Scheduled
from sidecar.verify import Verification
from tests.fakes import FakeClock
from tests.fakes_database import FakeDatabase
from tests.fakes_remote import FakeSlot
from tests.second import HOUR, Second, second


@pytest.fixture
def made() -> Second:
    """Make a second mode that has never run."""
    return second()


# --- what follows a backup is not the backup


def test_a_bug_after_a_backup_costs_none(made: Second, monkeypatch: pytest.MonkeyPatch) -> None:
    """What deletes and what proves meet one: that is told, and a backup comes when it is due."""
    made.rhythm, made.verify, made.generations = "daily", "daily", "daily=2"

    def broken(*_: object) -> Proof:
        raise ValueError("a bug")

    monkeypatch.setattr(Aftermath, "prune", broken)
    monkeypatch.setattr(Verification, "restore", broken)
    made.run(5 * 24)

    told = [event.what for event in made.events if event.subject == BACKUP]
    assert 5 <= len(made.times()) <= 6
    assert {What.STARTED, What.SUCCEEDED} == set(told)
    found = " ".join(made.health())
    assert "not all that is old is deleted: ValueError: a bug" in found
    assert "could not be proven: a bug in migsafe: ValueError: a bug" in found
    assert made.state.backup is None


def test_a_server_that_stops_after_the_last_backup(
    made: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there; only the lease stays until it runs out."""
    made.final = made.memory = True

    def stopping(*_: object) -> int:
        raise DatabaseUnavailable("the server is stopping")

    monkeypatch.setattr(FakeDatabase, "sessions", stopping)
    made.lease = SlotLease(FakeSlot(), FakeClock(made.here), "pi", lambda: "t")
    assert 0 == made.run(0.5)
    assert "the lease is not released: the server is stopping" in made.tell.text
    assert "no backup" not in made.tell.text
    assert [] == made.health()


def test_the_last_one_that_fails_is_not_tried_again(made: Second) -> None:
    """Nobody is there to try."""
    made.final, made.away = True, DatabaseUnavailable("away")
    assert 10 == made.run(0.001)
    last = [line for line in made.tell.text.splitlines() if line.startswith("no backup")][-1]
    assert "no backup: away" == last


def test_what_is_skipped_was_not_begun(made: Second) -> None:
    """A dead-man's switch that hears of a start waits for an end."""
    made.run(0.5)
    made.here.lock = "a migration"
    made.run(3)
    told = [event.what for event in made.events if event.subject == BACKUP]
    assert [What.STARTED, What.SUCCEEDED] == [what for what in told if what is not What.SILENT]


def test_what_is_skipped_by_the_week_is_made_up_for(
    made: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration of a minute, just then, costs half an hour and not a week."""
    tries = list[datetime]()

    def take(scheduled: Scheduled, begin: Callable[[str], None]) -> Manifest:
        tries.append(made.here.now)
        if len(tries) == 2:
            raise AlreadyRunning("a migration is at work")
        return taking(scheduled, begin)

    taking = Scheduled.take
    monkeypatch.setattr(Scheduled, "take", take)
    made.rhythm = "weekly"
    made.run(7 * 24)

    assert 3 == len(tries)
    assert timedelta(minutes=30) == tries[2] - tries[1]


# --- what takes hours


def test_silence_is_told_while_an_upload_takes_hours(made: Second) -> None:
    """The line is so slow that no backup is taken in time: somebody hears of it."""

    class Slow(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            made.upload(5)
            return ()

    made.copies = Slow()
    made.run(12)
    assert [event for event in made.events if event.what is What.SILENT]
    assert "too old" in " ".join(made.health())


# --- the start


def test_a_key_that_may_not_write_is_told_at_the_start(made: Second) -> None:
    """And not when the next backup is due, which may be in a week."""

    class Forbidden(NoCopies):
        def complaints(self) -> tuple[str, ...]:
            return ("gs://shop: 403, the key may not write",)

    made.rhythm = "weekly"
    made.run(0.5)
    made.copies = Forbidden()
    made.run(0.01)
    assert ["gs://shop: 403, the key may not write"] == made.health()
    assert STORES in {e.subject for e in made.events if e.what is What.FAILED}


def test_a_bug_of_a_store_at_the_start_ends_nothing(made: Second) -> None:
    """The second mode is there to stay."""

    class Broken(NoCopies):
        def complaints(self) -> tuple[str, ...]:
            raise ValueError("what the library says")

    made.run(0.5)
    made.copies = Broken()
    made.run(0.1)
    assert ["ValueError: what the library says"] == made.health()


# --- a clock that was wrong


def test_a_backup_of_the_future_grows_old_all_the_same(made: Second) -> None:
    """The clock was wrong for one backup: those that follow are named after it, and none comes."""
    made.run(2)
    made.here.time += 30 * 24 * HOUR
    made.run(0.1)
    made.here.time -= 30 * 24 * HOUR
    made.run(2)
    made.away = DatabaseUnavailable("away")
    made.run(4)

    assert "the newest backup is too old" in " ".join(made.health())
    assert [event for event in made.events if event.what is What.SILENT]


# --- secrets


def test_no_secret_is_left_in_the_state(made: Second, monkeypatch: pytest.MonkeyPatch) -> None:
    """`docker inspect` shows what the healthcheck says."""
    monkeypatch.setattr(made.tell, "redact", lambda text: text.replace("hunter2", "***"))
    monkeypatch.setattr(Aftermath, "held", lambda *_, **__: "hunter2 is missing")
    made.run(1.5)
    assert "***" in made.state.held.message  # type: ignore[union-attr]
    assert b"hunter2" not in made.here.files["schedule.json"]


# --- figures


def test_no_alert_for_a_night_in_which_none_is_due(made: Second) -> None:
    """From Friday evening to Monday morning it is more than an hour, for `health` as for alerts."""
    made.rhythm = "0 9-17 * * MON-FRI"
    made.here.time += 6 * 24 * HOUR  # noon of a Friday
    for _ in range(3 * 24 - 4):
        made.run(1)
        found = made.figures[-1]
        newest = found.kinds[Kind.SCHEDULED].last_success
        assert newest is not None
        assert found.interval is not None
        assert made.here.now < newest + 2 * found.interval
        assert [] == made.health()
    assert timedelta(hours=32) < max(each.interval for each in made.figures if each.interval)
    assert timedelta(hours=1) == min(each.interval for each in made.figures if each.interval)
