r"""
A dump in plain SQL, cut into its statements. Pure.

No psql reads a file that others have made: its commands (``\!``, ``\copy``, ``\o``) run programs
and write files where it runs. Only the server is given what is in the file, statement by statement.
Where a statement ends is found as psql does (``psqlscan.l``); whoever fools that has fooled nobody:
each piece is still nothing but SQL.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from sidecar.errors import BackupDamaged

LONGEST = 256 << 20
"""Bytes that one statement may have; pg_dump's have a line, or a function's text."""

_PLAIN = rb"""
    (?P<end>;) | (?P<open>\() | (?P<close>\))
  | (?P<escaped>(?<![\w$\x80-\xff])[eE]') | (?P<quote>') | (?P<name>")
  | (?P<dollar>(?<![\w$\x80-\xff])\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$)
  | (?P<line>--) | (?P<block>/\*) | (?P<meta>\\)
"""
_TOKEN = re.compile(_PLAIN, re.VERBOSE)
_IN_FUNCTION = re.compile(
    _PLAIN + rb"| (?P<word>(?<![\w$\x80-\xff])(?i:begin|case|end)(?![\w$\x80-\xff]))", re.VERBOSE
)
_FUNCTION = re.compile(rb"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\b", re.IGNORECASE)
_COPY = re.compile(rb"COPY\s.*\sFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
_BLOCK = re.compile(rb"/\*|\*/")
_ESCAPED = re.compile(rb"[\\']")
_MARGIN = 1 << 10
"""Bytes before the end of what was read in which a token may be cut off."""


@dataclass(frozen=True)
class Statement:
    """SQL for the server, with the line that it begins on."""

    text: bytes
    line: int


@dataclass(frozen=True)
class Command:
    """A command of psql's, at the beginning of a line; nobody runs it."""

    text: bytes
    line: int


@dataclass(frozen=True)
class Copy:
    """A COPY and its rows, which must be read before the next statement is asked for."""

    text: bytes
    line: int
    rows: Iterator[bytes] = field(compare=False)


class Script:
    """Reads chunks of a dump, and gives its statements."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = bytearray()
        self._whole = False
        self.line = 1
        """Where what is not read yet begins."""

    def __iter__(self) -> Iterator[Statement | Command | Copy]:
        """
        Give what is in the script, in order.

        Raises:
            BackupDamaged: it ends in the middle of something, or is not as pg_dump writes.

        """
        while self._skip_blank():
            line = self.line
            if self._buffer.startswith(b"\\"):
                yield Command(self._take(self._line_end()).strip(), line)
                continue
            text = self._statement()
            if not _COPY.match(text):
                yield Statement(text, line)
                continue
            if self._take(self._line_end()).strip():
                raise self._damaged("something follows a COPY on its line")
            rows = self._rows(line)
            yield Copy(text, line, rows)
            for _ in rows:  # nobody wanted them
                pass

    # --- between statements

    def _skip_blank(self) -> bool:
        """Go to the next statement, past blanks and comments; False at the end."""
        while self._fill(2) or self._buffer:
            rest = len(self._buffer.lstrip())
            if rest < len(self._buffer):
                self._take(len(self._buffer) - rest)
            elif self._buffer.startswith(b"--"):
                self._take(self._line_end())
            elif self._buffer.startswith(b"/*"):
                self._take(self._past_comment(2))
            else:
                return True
        return False

    def _line_end(self) -> int:
        return self._find(b"\n", 0) or len(self._buffer)

    # --- statements

    def _statement(self) -> bytes:
        """Take a statement, without its semicolon."""
        self._fill(_MARGIN)
        token = _IN_FUNCTION if _FUNCTION.match(self._buffer) else _TOKEN
        position, depth = 0, _Depth()
        while True:
            match = token.search(self._buffer, position)
            if self._cut(match):
                if match is None:
                    position = max(position, len(self._buffer) - _MARGIN)
                self._more()
                continue
            if match is None:
                raise self._damaged("it ends in the middle of a statement")
            kind, text, position = str(match.lastgroup), bytes(match[0]), match.end()
            if kind == "end" and depth.none:
                return self._take(position)[:-1].strip()
            if kind == "meta":
                raise self._damaged("a command of psql's stands in the middle of a statement")
            if not depth.count(kind, text):
                position = self._past(kind, text, position)

    def _cut(self, match: re.Match[bytes] | None) -> bool:
        """Tell whether a token may be cut off by the end of what was read."""
        end = match.end() if match else len(self._buffer)
        return end > len(self._buffer) - _MARGIN and not self._whole

    def _past(self, kind: str, opened: bytes, position: int) -> int:
        """Find the end of what is quoted, or of a comment."""
        if kind == "block":
            return self._past_comment(position)
        if kind == "escaped":
            return self._past_escaped(position)
        closer = {"line": b"\n", "quote": b"'", "name": b'"'}.get(kind, opened)
        end = self._find(closer, position)
        if end is None:
            raise self._damaged("it ends in the middle of a statement")
        return end

    def _past_comment(self, position: int) -> int:
        depth = 1
        while depth:
            match = self._search(_BLOCK, position)
            depth += 1 if match[0] == b"/*" else -1
            position = match.end()
        return position

    def _past_escaped(self, position: int) -> int:
        while True:
            match = self._search(_ESCAPED, position)
            position = match.end()
            self._fill(position + 1)
            if match[0] != b"\\" and self._buffer[position : position + 1] != b"'":
                return position
            position += 1

    # --- rows

    def _rows(self, line: int) -> Iterator[bytes]:
        """Give rows in large pieces, up to the line that ends them."""
        while True:
            end = self._rows_end()
            if end is not None:
                yield self._take(end)
                self._take(self._line_end())
                return
            # what is left is always the beginning of a line
            cut = self._buffer.rfind(b"\n") + 1
            if cut:
                yield self._take(cut)
            if not self._more():
                raise self._damaged(f"it ends in the middle of the rows that begin on line {line}")

    def _rows_end(self) -> int | None:
        start = 0
        while not self._buffer.startswith(b"\\.", start):
            found = self._buffer.find(b"\n\\.", start)
            if found < 0:
                return None
            start = found + 1
        self._fill(start + 4)
        rest = bytes(self._buffer[start + 2 : start + 4])
        if rest and rest[:1] != b"\n" and rest != b"\r\n":
            raise self._damaged("a row begins with \\., which no row of pg_dump's does")
        return start

    # --- the buffer

    def _find(self, what: bytes, start: int) -> int | None:
        """Find where a text ends that comes; None where it does not."""
        while (found := self._buffer.find(what, start)) < 0:
            start = max(start, len(self._buffer) - len(what) + 1)
            if not self._more():
                return None
        return found + len(what)

    def _search(self, pattern: re.Pattern[bytes], position: int) -> re.Match[bytes]:
        while (match := pattern.search(self._buffer, position)) is None:
            position = max(position, len(self._buffer) - 1)
            if not self._more():
                raise self._damaged("it ends in the middle of a statement")
        return match

    def _fill(self, size: int) -> bool:
        """Read until so many bytes are there; False when there are no more."""
        while len(self._buffer) < size:
            if not self._more():
                return False
        return True

    def _more(self) -> bool:
        if len(self._buffer) > LONGEST:
            raise self._damaged(f"a statement is longer than {LONGEST >> 20} MB")
        chunk = next(self._chunks, None)
        if chunk is None:
            self._whole = True
            return False
        self._buffer += chunk
        return True

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        self.line += taken.count(b"\n")
        return taken

    def _damaged(self, why: str) -> BackupDamaged:
        return BackupDamaged(f"line {self.line} of the dump: {why}", hint="Nothing was changed.")


class _Depth:
    """How deep in parentheses, and in the body of a function that is SQL itself."""

    def __init__(self) -> None:
        self.parens = 0
        self.begun = 0

    @property
    def none(self) -> bool:
        return self.parens <= 0 and self.begun <= 0

    def count(self, kind: str, text: bytes) -> bool:
        """Take a token into account; False where something is quoted or commented."""
        match kind:
            case "open":
                self.parens += 1
            case "close":
                self.parens -= 1
            case "word" if text.lower() == b"end":
                self.begun -= 1 if self.begun else 0
            case "word" if text.lower() == b"begin" or self.begun:  # CASE ends with END, too
                self.begun += 1
            case "word" | "end":
                pass
            case _:
                return False
        return True
