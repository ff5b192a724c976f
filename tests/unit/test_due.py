"""When a backup is due: words, durations and cron expressions, over the changes of the clock."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.due import Rhythm, sometimes

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 28, 20, 0, tzinfo=UTC)
"""The evening before the clocks of Berlin go ahead by an hour."""
AUTUMN = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)
"""The evening before they go back."""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hourly", "13:00:00"),
        ("Daily", "00:00:00"),
        ("30s", "12:00:35"),
        ("1h30m", "13:30:05"),
        ("15 * * * *", "12:15:00"),
        ("  */10  *  * * * * ", "12:00:10"),
        ("0 3 * * MON-FRI", "03:00:00"),
    ],
)
def test_the_next_time(text: str, expected: str) -> None:
    """Each way of writing it is understood."""
    noon = datetime(2026, 1, 30, 12, 0, 5, tzinfo=UTC)
    assert expected == f"{Rhythm.parse(text).after(noon, UTC):%H:%M:%S}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sometimes", "it is none of hourly, daily, weekly"),
        ("0s", "it is none of"),
        ("* * * *", "five fields, as in"),
        ("15", "no unit: write 15d, 15h or 15m"),
        ("61 * * * *", "Bad minute"),
        ("0 0 31 2 *", "ever comes true"),
        ("0 0 30 FEB *", "ever comes true"),
        ("@hourly", "it is none of"),
        ("0 0 * * * ; rm", "five fields"),
    ],
)
def test_what_is_no_rhythm(text: str, why: str) -> None:
    """It is refused when the settings are read, not when it does not come."""
    with pytest.raises(ValueError, match=why):
        Rhythm.parse(text)


def test_another_word_for_never() -> None:
    """The word that is wanted is named."""
    with pytest.raises(ValueError, match="or 'never'"):
        sometimes("off")


def test_never() -> None:
    """Nobody has to have backups proven."""
    assert sometimes("never") is None
    assert "weekly" == str(sometimes("weekly"))


@pytest.mark.parametrize("evening", [SPRING, AUTUMN])
def test_once_a_night(evening: datetime) -> None:
    """The night in which the clock changes has one backup at half past two. Faults: 106."""
    due = Rhythm.parse("30 2 * * *").after(evening, BERLIN)
    following = Rhythm.parse("30 2 * * *").after(due, BERLIN)

    assert due - evening < timedelta(hours=8)
    assert timedelta(hours=22) < following - due < timedelta(hours=26)


@pytest.mark.parametrize("evening", [SPRING, AUTUMN])
def test_every_hour_of_that_night(evening: datetime) -> None:
    """None is left out, and none comes twice. Faults: 106."""
    times = [evening]
    for _ in range(12):
        times.append(Rhythm.parse("hourly").after(times[-1], BERLIN))
    assert {timedelta(hours=1)} == {b - a for a, b in pairwise(times)}


@given(
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),
    text=st.sampled_from(["hourly", "daily", "weekly", "90s", "*/7 1-5 * * SUN", "59 23 29 2 *"]),
)
def test_it_goes_on_for_ever(moment: datetime, text: str) -> None:
    """The next time is later, and what is too old is so later still."""
    rhythm, at = Rhythm.parse(text), moment.replace(tzinfo=UTC)
    assert at < rhythm.after(at, BERLIN) < rhythm.late(at, BERLIN)
