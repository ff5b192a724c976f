"""What is where, remembered: what we have deleted is not missing, all else is."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.backups import Backup, Format, Kind
from sidecar.inventory import HERE, Inventory, Looks

from .builders import NOON

NAMES = [
    Backup(kind, NOON + timedelta(hours=hour), Format.ARCHIVE).name
    for kind in (Kind.SCHEDULED, Kind.PRE_MIGRATION)
    for hour in range(4)
]
BY_HAND = Backup(Kind.MANUAL, NOON, Format.ARCHIVE).name


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["taken", "deleted", "vanished", "back"]),
            st.sampled_from(NAMES),
            st.sampled_from([HERE, "gs://shop"]),
        ),
        max_size=20,
    )
)
def test_only_what_others_have_taken_is_missing(history: Sequence[tuple[str, str, str]]) -> None:
    """
    Whatever came, went by our own hand, vanished and came back, in any order.

    Faults: 109, 112.
    """
    there: dict[str, set[str]] = {HERE: set(), "gs://shop": set()}
    lost: dict[str, set[str]] = {place: set() for place in there}
    known = Inventory()
    for act, name, place in history:
        found = Inventory.of(there)
        assert bool(known.missing(found)) == any(lost.values())
        match act:
            case "taken":
                there[place].add(name)
                lost[place].discard(name)
            case "deleted" if not known.missing(found):
                known = Inventory.from_json(found.without({name}).to_json())
                for names in there.values():
                    names.discard(name)
            case "vanished" if name in there[place] & known.places.get(place, frozenset()):
                there[place].discard(name)
                lost[place].add(name)
            case "back" if name in lost[place]:
                lost[place].discard(name)
                there[place].add(name)


def test_it_says_what_is_gone_from_where_and_what_to_type() -> None:
    """The first few by name; a place that is not looked at any more lacks nothing."""
    known = Inventory.of({HERE: NAMES[:1], "gs://shop": NAMES, "gs://old": NAMES})
    told = known.missing(Inventory.of({HERE: [], "gs://shop": NAMES[5:], "gs://new": []}))

    assert f"{NAMES[0]} in {HERE}" in told
    assert f"{', '.join(sorted(NAMES[:5])[:3])} and 2 more in gs://shop" in told
    assert "prune --accept-missing" in told
    assert "gs://old" not in told


def test_what_goes_is_noted() -> None:
    """By name, for who comes after one that was killed while it deleted."""
    known = Inventory.of({HERE: NAMES}).without(NAMES[:2])
    assert frozenset(NAMES[:2]) == Inventory.from_json(known.to_json()).going


def test_what_goes_only_by_hand_is_not_missed() -> None:
    """Nobody but people deletes those, so that they do is no riddle."""
    assert "" == Inventory.of({HERE: [BY_HAND, "holiday.jpg"]}).missing(Inventory.of({HERE: []}))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"places": 1}', '{"places": {"a": 1}}', "nul"])
def test_what_can_not_be_read_is_as_good_as_none(text: str) -> None:
    """A folder whose memory was lost is as one that is looked at first."""
    assert Inventory() == Inventory.from_json(text)


def looked(*days: float) -> Looks:
    """Look at these times, each counted from noon; what is kept between two is the file's text."""
    found = Inventory()
    for day in days:
        found = replace(found, looks=found.looks.at(NOON + timedelta(days=day)))
        found = Inventory.from_json(found.to_json())
    return found.looks


@pytest.mark.parametrize(
    ("days", "until"),
    [
        ((0,), 0),
        ((0, 1, 2, 3), 3),
        ((0, 30), 0),
        ((0, 1, 30, 30.5), 1),
        ((0, 1, 30, 30.5, 31.1), 31.1),
        ((0, 30, 60, 90), 60),
        ((0, 30, 1), 1),
        ((0, 30, 30.5, 1, 1.5), 1),
        ((0, 30, 30.5, 1, 1.5, 2.1), 2.1),
        ((0, 1, 2, 1.999), 1.999),
    ],
    ids=str,
)
def test_a_clock_that_jumps_is_believed_after_a_day(days: Sequence[float], until: float) -> None:
    """Ages are counted to the look before the gap, until looks follow one another. Faults: 110."""
    assert NOON + timedelta(days=until) == looked(*days).until


def test_nobody_has_looked() -> None:
    """Then there is no moment."""
    assert None is Looks().until
