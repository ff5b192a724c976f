"""What is printed: plain lines in logs, colours on a terminal, or JSON; never a secret."""

import os
import re
import shutil
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from sidecar.ports import Clock

RULE = 76
"""Characters of the line above the card."""
LAST = 200
"""Lines that are kept, for who asks what was said last."""
HEARTBEAT = 10.0
"""Seconds between two signs of life of a long step."""

PRIORITIES = {"info": "<6>", "warning": "<4>", "error": "<3>"}

_URL = re.compile(r"(?P<start>\b[a-z][a-z0-9+.]*://[^\s:/@]*):[^\s@/]+@")
_PASSWORD = re.compile(r"(?i)\b(?P<start>(pg)?pass(word|wd)?\s*[=:]\s*)('[^']*'|\"[^\"]*\"|\S+)")
_MASK = "***"
SHORTEST_LINE = 8
"""A line of a secret of several lines that is shorter than this is no secret by itself."""


class Redactor:
    """Takes secrets out of text: those that are known, and what looks like one."""

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        self.public: frozenset[str] = frozenset()
        self.secrets = self._longest_first(secrets)

    def __call__(self, text: str) -> str:
        """Replace every secret by a mask."""
        for secret in self.secrets:
            text = text.replace(secret, _MASK)
        text = _URL.sub(rf"\g<start>:{_MASK}@", text)
        return _PASSWORD.sub(rf"\g<start>{_MASK}", text)

    def more(self, *secrets: str) -> None:
        """Learn secrets that were found later, in the app's environment."""
        lines = (line.strip() for secret in secrets for line in secret.splitlines())
        # what is printed is told line by line
        long = (line for line in lines if len(line) >= SHORTEST_LINE)
        self.secrets = self._longest_first((*self.secrets, *secrets, *long))

    def spare(self, *public: str) -> None:
        """Learn names that everybody sees: a secret that is the same as one can't be hidden."""
        self.public = frozenset(public)
        self.secrets = self._longest_first(self.secrets)

    def _longest_first(self, secrets: Iterable[str]) -> tuple[str, ...]:
        wanted = {secret for secret in secrets if secret} - self.public
        return tuple(sorted(wanted, key=len, reverse=True))


class Teller:
    """Tells the operator, line by line."""

    def __init__(
        self, clock: Clock, redact: Redactor, *, json: bool, out: TextIO, level: str = "info"
    ) -> None:
        self.clock = clock
        self.redact = redact
        self.json = json
        self.out = out
        self.level = level
        self.colour = not json and out.isatty()
        self.journal = False
        """Who reads is systemd's journal: a line begins with its priority, as sd-daemon(3) says."""
        self.deaf = False
        """Whoever was told has gone."""
        self.last: deque[str] = deque(maxlen=LAST)
        """What was said last, without secrets."""
        self._logger: Any = None

    def say(self, message: str, **facts: Any) -> None:
        """Tell a step."""
        if self.level in ("debug", "info"):
            self._tell("info", message, facts)

    def warn(self, message: str, **facts: Any) -> None:
        """Tell what deserves a look."""
        if self.level != "error":
            self._tell("warning", message, facts)

    def error(self, message: str, **facts: Any) -> None:
        """Tell what ended the run."""
        self._tell("error", message, facts)

    def output(self, line: str) -> None:
        """Pass on a line of the migration's own output."""
        if self.level in ("debug", "info"):
            self._tell("info", line, {"source": "migration"})

    def card(self, lines: list[str], **facts: Any) -> None:
        """Show the final card, whose secrets are hidden already; in JSON it is one record."""
        if self.json:
            self._tell("error" if facts.get("code") else "info", lines[0], {"card": lines, **facts})
            return
        level = "error" if facts.get("code") else "info"
        self._print("\n".join(("─" * self._width(), *lines)), level)

    @contextmanager
    def progress(self, message: str) -> Iterator[Callable[[int], None]]:
        """Give a sign of life every few seconds, with the bytes so far where they are told."""
        started, done, over = self.clock.monotonic(), 0, threading.Event()

        def tick(bytes_so_far: int) -> None:
            nonlocal done
            done = bytes_so_far

        def beat() -> None:
            while not over.wait(HEARTBEAT):
                self.say(_so_far(message, done, self.clock.monotonic() - started))

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield tick
        finally:
            over.set()
            thread.join()

    def _tell(self, level: str, message: str, facts: Mapping[str, Any]) -> None:
        message = self.redact(message)
        mark = {"info": "", "warning": "! ", "error": "✗ "}[level]
        if facts.get("source") == "migration":
            mark = "  | "
        self.last.append(f"{mark}{message}")
        if self.json:
            with suppress(BrokenPipeError):
                getattr(self._structured(), level)(message, **facts)
            return
        text = f"{mark}{message}"
        if self.colour and level != "info":
            text = f"\x1b[{33 if level == 'warning' else 31}m{text}\x1b[0m"
        self._print(text, level)

    def _print(self, text: str, level: str) -> None:
        """Write; a run goes on to its end though nobody reads any more."""
        if self.deaf:
            return
        if self.journal:
            text = "\n".join(f"{PRIORITIES[level]}{line}" for line in text.split("\n"))
        try:
            print(text, file=self.out, flush=True)
        except BrokenPipeError:
            self.deaf = True

    def _width(self) -> int:
        """Tell how long a rule may be."""
        if self.out.isatty():
            return min(RULE, shutil.get_terminal_size().columns)
        return RULE

    def _structured(self) -> Any:
        """Make the JSON logger; imported only where it is wanted: it costs start-up time."""
        if self._logger is None:
            import structlog  # noqa: PLC0415 - a plain log needs it not

            self._logger = structlog.wrap_logger(
                structlog.PrintLogger(self.out),
                processors=[
                    structlog.processors.add_log_level,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    self._redact_facts,
                    structlog.processors.JSONRenderer(ensure_ascii=False),
                    self._with_priority,
                ],
            )
        return self._logger

    def _with_priority(self, _: Any, level: str, text: Any) -> str:
        return f"{PRIORITIES[level]}{text}" if self.journal else str(text)

    def _redact_facts(
        self, _: Any, __: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        return {k: self.redact(v) if isinstance(v, str) else v for k, v in event.items()}


def _so_far(message: str, done: int, seconds: float) -> str:
    if not done:
        return f"{message}: still going, {seconds:.0f} s"
    mega = done / (1 << 20)
    return f"{message}: {mega:,.0f} MB so far, {seconds:.0f} s, {mega / (seconds or 1):.0f} MB/s"


def is_journal(stream: str, out: TextIO) -> bool:
    """
    Tell whether what is written goes straight to systemd's journal.

    Args:
        stream: what systemd names in JOURNAL_STREAM, device and inode; children inherit it, so it
            counts only where it is the very stream that is written to.
        out: where it is written.

    """
    try:
        found = os.fstat(out.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{found.st_dev}:{found.st_ino}"


def teller(
    mode: str, clock: Clock, redact: Redactor, level: str = "info", out: TextIO = sys.stdout
) -> Teller:
    """Open the way out; ``auto`` writes for people, with colours where there is a terminal."""
    return Teller(clock, redact, json=mode == "json", out=out, level=level)
