"""What is printed: plain, or JSON, and never a secret."""

import io
import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from sidecar import log
from sidecar.log import Redactor, Teller, is_journal

from .builders import NOON

CANARY = "c4n4ry-p@ss"


class Clock:
    """A clock that a test winds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """Tell the time."""
        return NOON

    def monotonic(self) -> float:
        """Count."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class Terminal(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def teller(out: io.StringIO, *, structured: bool = False, level: str = "info") -> Teller:
    """Make a teller that knows the canary."""
    return Teller(Clock(), Redactor((CANARY,)), json=structured, out=out, level=level)


WAYS: list[Callable[[Teller], None]] = [
    lambda t: t.say(f"password is {CANARY}"),
    lambda t: t.warn(f"x{CANARY}y"),
    lambda t: t.error(f"postgres://u:{CANARY}@h"),
    lambda t: t.output(f"boom {CANARY}"),
    lambda t: t.say("x", fact=CANARY),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("structured", [False, True])
def test_a_canary_is_never_printed(way: Callable[[Teller], None], structured: bool) -> None:
    """No way out leads past the redaction. Faults: 60, 85, 134."""
    out = io.StringIO()
    way(teller(out, structured=structured))

    assert out.getvalue()
    assert CANARY not in out.getvalue()


def test_a_secret_of_several_lines_is_hidden_line_by_line() -> None:
    """What is printed is told line by line, and so are keys. Faults: 85, 134."""
    redact = Redactor()
    redact.more("-----BEGIN KEY-----\nMIIEvQIBADAN\nAASCBK\n")

    assert "*** *** AASCBK" == redact("-----BEGIN KEY----- MIIEvQIBADAN AASCBK")


def test_what_everybody_sees_is_not_hidden() -> None:
    """A password that is the name of the role as well would take the role out of every line."""
    redact = Redactor(("shop", "hush-hush"))
    redact.spare("shop", "db")
    redact.more("db", "hush")

    assert "role 'shop' on db: ***" == redact("role 'shop' on db: hush-hush")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://app:hush@db/x", "postgres://app:***@db/x"),
        ("redis://:hush@cache", "redis://:***@cache"),
        ("PGPASSWORD=hush psql", "PGPASSWORD=*** psql"),
        ("password: 'two words' ok", "password: *** ok"),
        ("no secret here: a@b", "no secret here: a@b"),
        ("https://example.org/a:b@c", "https://example.org/a:b@c"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, expected: str) -> None:
    """Secrets that nobody told us of are recognised by where they stand."""
    assert expected == Redactor()(text)


def test_secrets_that_are_found_later_count_too() -> None:
    """The app's own password is learnt when the app is found."""
    redact = Redactor(("one",))
    redact.more("one-and-two", "")

    assert "*** ***" == redact("one-and-two one")


def test_json_is_a_record_a_line() -> None:
    """Every line is one JSON object with level and time."""
    out = io.StringIO()
    tell = teller(out, structured=True)
    tell.say("one", size=3)
    tell.output("two")
    tell.card(["three"], code=20)
    records: list[dict[str, Any]] = [json.loads(line) for line in out.getvalue().splitlines()]

    assert ["one", "two", "three"] == [record["event"] for record in records]
    assert [3, None, None] == [record.get("size") for record in records]
    assert "migration" == records[1]["source"]
    assert ["three"] == records[2]["card"]
    assert {"level", "timestamp"} <= set(records[0])


def test_logs_are_plain() -> None:
    """Without a terminal there is no colour and no cursor play."""
    out = io.StringIO()
    tell = teller(out)
    tell.warn("careful")
    tell.output("hello")
    tell.card(["done"])

    assert "\x1b" not in out.getvalue()
    assert "\r" not in out.getvalue()
    assert ["! careful", "  | hello"] == out.getvalue().splitlines()[:2]


def test_goes_on_when_nobody_listens() -> None:
    """A run goes on to its end though whoever read what it says has gone."""

    class Gone(io.StringIO):
        def write(self, _text: str, /) -> int:
            raise BrokenPipeError

    for tell in (teller(Gone()), teller(Gone(), structured=True)):
        tell.warn("careful")
        tell.card(["done"])


def test_a_terminal_has_colours() -> None:
    """On a terminal a warning stands out."""
    out = Terminal()
    teller(out).warn("careful")

    assert "\x1b[33m" in out.getvalue()


@pytest.mark.parametrize(
    ("level", "lines"), [("debug", 4), ("info", 4), ("warning", 2), ("error", 1)]
)
def test_levels(level: str, lines: int) -> None:
    """A level leaves out what is below it; the card's error always shows."""
    out = io.StringIO()
    tell = teller(out, level=level)
    tell.say("a")
    tell.output("b")
    tell.warn("c")
    tell.error("d")

    assert lines == len(out.getvalue().splitlines())


def test_long_steps_give_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few seconds a line, with bytes and speed where they are told."""
    monkeypatch.setattr(log, "HEARTBEAT", 0.05)
    out = io.StringIO()
    clock = Clock()
    tell = Teller(clock, Redactor(), json=False, out=out)
    with tell.progress("backup") as tick:
        _until(lambda: "backup: still going, 0 s" in out.getvalue())
        clock.sleep(10)
        tick(50 << 20)
        _until(lambda: "backup: 50 MB so far, 10 s, 5 MB/s" in out.getvalue())
    lines = len(out.getvalue().splitlines())
    time.sleep(0.12)

    assert lines == len(out.getvalue().splitlines())


def test_the_journal_learns_priorities() -> None:
    """Under systemd every line begins with its weight, also those of the card and of JSON."""
    for structured in (False, True):
        out = io.StringIO()
        tell = teller(out, structured=structured)
        tell.journal = True
        tell.say("a")
        tell.warn("b\nc")
        tell.error("d")
        tell.card(["e", "f"], code=20)
        tell.card(["g"], code=0)
        found = [line[:3] for line in out.getvalue().splitlines()]

        lines = ["<6>", "<4>", "<3>", "<3>", "<6>"]
        if not structured:  # two lines of a warning; a card has a rule above it
            lines = ["<6>", "<4>", "<4>", "<3>", *3 * ["<3>"], *2 * ["<6>"]]
        assert lines == found


def test_which_stream_is_the_journal(tmp_path: Path) -> None:
    """Children inherit the variable: it counts only for the stream that it names."""
    with (tmp_path / "stream").open("w") as out, (tmp_path / "other").open("w") as other:
        found = os.fstat(out.fileno())
        named = f"{found.st_dev}:{found.st_ino}"

        assert is_journal(named, out)
        assert not is_journal(named, other)
        assert not is_journal("", out)
        assert not is_journal(named, io.StringIO())


def test_what_was_said_last_is_kept() -> None:
    """The last lines can be asked for, without secrets."""
    tell = teller(io.StringIO())
    for number in range(log.LAST + 5):
        tell.say(f"line {number}")
    tell.warn(f"pass {CANARY}")

    assert log.LAST == len(tell.last)
    assert ["line 204", "! pass ***"] == list(tell.last)[-2:]


def _until(done: Callable[[], bool]) -> None:
    for _ in range(200):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")
