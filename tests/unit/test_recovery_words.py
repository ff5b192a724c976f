"""
Every command that a card can show is typed by a test, in the state that the card is about.

The same is true of the page for three in the morning.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar import advice
from tests import written

from .test_advice import CARDS

ENDINGS = {
    "failed": (
        "failed",
        "failed-stopped",
        "failed-unchanged",
        "failed-elsewhere",
        "failed-beyond",
        "failed-volume-archive",
        "failed-wordy",
        "deadline",
        "proof",
    ),
    "interrupted": ("interrupted",),
    "known-bad": ("known-bad",),
    "stranded": ("stranded", "stranded-damaged", "stranded-lost", "stranded-role"),
    "disagrees": ("disagrees",),
    "pending": ("pending",),
    "ahead": ("ahead",),
    "lost": ("lost", "lost-afar"),
    "no-app": ("no-app",),
    "no-room": ("no-room",),
    "refused": ("unreachable", "preflight", "settings", "locked", "refused"),
    "unrestored": (
        "unrestored",
        "unrestored-busy",
        "unrestored-file",
        "unrestored-no-app",
        "unrestored-cut-off",
        "unrestored-damaged",
        "unrestored-elsewhere",
        "outside-unrestored",
    ),
    "bug": ("bug",),
    "stuck": ("stuck",),
    "done": ("done",),
    "outside-failed": (
        "outside-failed",
        "outside-interrupted",
        "outside-stranded",
        "outside-busy",
        "outside-bug",
        "outside-done",
    ),
}
"""The golden cards by how a run ended: those of one ending have the same commands."""

ANYWHERE = frozenset({"first", "make room", "yourself"})
"""Commands that are the same in whatever state they are typed."""


def commands(ending: str) -> Iterator[str]:
    """Name the commands on the cards of an ending."""
    for name in ENDINGS[ending]:
        items = advice._items(CARDS[name])
        yield from (item.label for item in items if isinstance(item, advice.Command) and item.label)


def test_every_card_is_of_an_ending() -> None:
    """No card is left out."""
    assert sorted(CARDS) == sorted(name for names in ENDINGS.values() for name in names)


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_command_is_typed(ending: str) -> None:
    """A command on a card that nobody has typed is a promise that nobody has kept."""
    tests = list(written.every_test("e2e/test_*.py"))
    typed = {label for test in tests if ending in test.cards for label in test.labels}
    anywhere = ANYWHERE & {label for test in tests for label in test.labels}

    assert set() == set(commands(ending)) - typed - anywhere


PAGE = (Path(__file__).parents[2] / "docs" / "recovery.md").read_text()
FORBIDDEN = {"docker compose down -v"}
"""What the page warns of."""


def test_every_command_of_the_page_is_typed() -> None:
    """Whoever is called at night types what stands there, and nobody has time to find out."""
    assert set() == set(written.commands_of(PAGE)) - set(written.pages_typed()) - FORBIDDEN


def test_the_page_begins_with_a_command() -> None:
    """No prose comes before it."""
    assert re.fullmatch(r"# .*\n\n```\n", "".join(PAGE.splitlines(keepends=True)[:3]))


def test_the_page_ends_without_migsafe() -> None:
    """Everything below the last title works when it is gone."""
    end = PAGE[PAGE.rindex("\n## ") :]

    commands = set(written.commands_of(end))
    assert any("psql" in command for command in commands)
    assert not any("run --rm migsafe" in command for command in commands)


def test_tests_name_endings_that_there_are() -> None:
    """A misspelt ending would hold nothing."""
    named = {card for test in written.every_test("e2e/test_*.py") for card in test.cards}

    assert named <= set(ENDINGS)
