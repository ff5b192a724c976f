"""Everything that can go wrong is held by a test, or stands among the limits with a reason."""

import re
from pathlib import Path

import pytest

from tests import written

ROOT = Path(__file__).parents[2]
LEDGER = ROOT / "tests" / "faults.md"
LIMITS = ROOT / "docs" / "limits.md"
COUNT = 136

_ROW = re.compile(r"^\| (\d+) \| (.+) \| (tests|limits|tests, limits) \|$", re.MULTILINE)
_NUMBERS = re.compile(r"\[([\d,\s]+)\]")

PENDING: frozenset[int] = frozenset()
"""Numbers whose tests are on their way."""


def held() -> set[int]:
    """Collect the numbers that tests name."""
    return {number for test in written.every_test() for number in test.faults} | PENDING


def limits() -> set[int]:
    """Collect the numbers that the page of limits names."""
    found = _NUMBERS.findall(LIMITS.read_text(encoding="utf-8"))
    return {int(number) for numbers in found for number in numbers.split(",")}


def ledger() -> dict[int, str]:
    """Read the state of every fault."""
    rows = _ROW.findall(LEDGER.read_text(encoding="utf-8"))
    return {int(number): state for number, _, state in rows}


def test_every_fault_is_listed_once() -> None:
    """The ledger has the numbers from 1 to 136, a line each."""
    rows = _ROW.findall(LEDGER.read_text(encoding="utf-8"))

    assert [str(number) for number in range(1, COUNT + 1)] == [number for number, _, _ in rows]


def test_none_is_in_neither(capsys: pytest.CaptureFixture[str]) -> None:
    """Every fault is held by a test, or is a limit that users can read of."""
    everything = set(range(1, COUNT + 1))
    with capsys.disabled():
        more = len(limits() - held())
        print(f"\nfaults: {len(held())} of {COUNT} held by tests, {more} more in docs/limits.md")

    assert set() == everything - held() - limits()
    assert set() == (held() | limits()) - everything


def test_the_ledger_says_what_is_so() -> None:
    """The state of each fault is what tests and pages say."""
    states = {"tests": held(), "limits": limits()}
    expected = {
        number: ", ".join(state for state, numbers in states.items() if number in numbers)
        for number in range(1, COUNT + 1)
    }

    assert expected == ledger()


def test_nothing_is_pending_any_longer() -> None:
    """What has got its test is taken off the list of those that are awaited."""
    named = {number for test in written.every_test() for number in test.faults}

    assert set() == PENDING & named
