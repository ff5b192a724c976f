"""When a backup is due, by a clock that may be set."""

from datetime import UTC, timedelta, timezone, tzinfo

import pytest

from sidecar.due import Rhythm
from sidecar.timetable import Timetable
from tests.fakes import FakeClock, FakeTeller, machine

MINUTE = 60
CET = timezone(timedelta(hours=1))


def made(rhythm: str = "hourly", zone: tzinfo = UTC) -> Timetable:
    """Make one whose first is due now."""
    return Timetable(Rhythm.parse(rhythm), zone, FakeClock(machine()), FakeTeller())


def pass_time(due: Timetable, seconds: float) -> None:
    """Let time pass, or set the clock back."""
    due.clock.machine.time += seconds  # type: ignore[attr-defined]


@pytest.mark.parametrize(("ago", "seconds"), [(None, 0), (30, 30 * MINUTE), (90, 0), (-600, 3600)])
def test_what_was_missed_is_made_up_for_once(ago: int | None, seconds: float) -> None:
    """The newest was taken so many minutes ago; one of the future counts as of now."""
    due = made("1h")
    due.begin(None if ago is None else due.clock.now() - timedelta(minutes=ago))
    assert seconds == max(0, due.left())
    due.advance()
    assert 3600 == due.left()


def test_failures_are_tried_again_less_and_less_often() -> None:
    """From half a minute to half an hour, and never later than it is due."""
    due, found = made("daily"), []
    for _ in range(15):
        due.advance()
        due.failed()
        found.append(due.left())
    assert [30, 60, 120, 240, 480, 960, 1800, 1800] == found[:8]
    assert {1800} == set(found[8:])

    due.well()
    due.advance()
    due.failed()
    assert 30 == due.left()


def test_what_was_skipped_is_not_tried_again_at_once() -> None:
    """By the hour or the week: after half an hour at the latest."""
    hourly, weekly = made("10m"), made("weekly")
    for due in (hourly, weekly):
        due.advance()
        due.skipped()
    assert (600, 1800) == (hourly.left(), weekly.left())


def test_a_clock_that_goes_back() -> None:
    """What is due is counted from there, and it is told."""
    due = made("1h")
    due.advance()
    pass_time(due, -10 * 3600)
    assert 3600 == due.left()
    assert "the clock went back" in due.tell.text  # type: ignore[attr-defined]


def test_now_and_in_the_zone_of_the_container() -> None:
    """At once is at once."""
    due = made(zone=CET)
    due.advance()
    before = due.is_due
    due.at_once()
    assert (False, True) == (before, due.is_due)
    assert f"{due.clock.now().astimezone(CET):%Y-%m-%d %H:%M:%S}" == str(due)
