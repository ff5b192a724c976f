"""
Which lines of a migration's output say what went wrong. Pure.

A framework prints its error, and then pages about how it got there. The server's own words say
most; after them what an exception is called and says; after that any line that speaks of an error.
Of the same worth the last counts: what went wrong earlier, the migration may have lived with.
"""

import re
from collections.abc import Iterator, Sequence

KEPT = 20
"""Lines of an output that the journal holds: it is read at every start."""
MOST = 3
"""Lines that go on a card."""
_BEFORE, _AFTER = 4, 3
"""Lines around one that tells: by them it is told again from what was kept."""

_SAID, _NAMED = 3, 2
"""What the server has said, and what has a name."""
_SERVER = re.compile(
    r"""\b(?:ERROR|FATAL|PANIC):\s+\S     # psql, and whoever passes its words on
    | \bERROR\ [0-9A-Z]{5}\ \(            # Ecto
    | \bSQLSTATE\[                        # PHP
    | ^[\w.]+Error:\ \(psycopg\S*\)       # SQLAlchemy
    | \(0x[0-9A-F]+\):\ [0-9A-Z]{5}:\     # Npgsql
    | ^django\.db\.utils\.\w+:\s""",
    re.VERBOSE,
)
_EXCEPTION = re.compile(
    r"""^\W*(?:[\w.\\$:]*(?:Error|Exception|Violation)|error|fatal|panic)\b:\s*\S
    | ^\W*(?:psql|pq|goose|migrate)\b.*:\ (?:error|failed)\b
    | ^\*\*\ \(
    | ^Caused\ by:\s+\S
    | \b(?:error|failed\ with):\s+\S
    | "level":\s*"(?:error|fatal|panic)" """,
    re.VERBOSE,
)
_WORD = re.compile(r"error|exception|fail|fatal|denied|not found", re.IGNORECASE)
_ANNOUNCES = re.compile(
    r"""\baborted!$ | ^Caused\ by:$ | ^Error:\ P\d{4}$
    | ^StandardError:\ An\ error\ has\ occurred,
    | ^\W*[\w.\\]*(?:Error|Exception):?\W*$ | ^(?:Database\ error|Error\ during\ .*):$""",
    re.VERBOSE,
)
"""What stands alone: the line after it says what went wrong."""
_NOISE = re.compile(
    r"""^\s*(?:at|from)\s\S+ | ^\s+File\ " | ^\s*\#?\d+[:)▕|]?\s+\S*/ | ^\s*\S+:\d+:in\s
    | ^Tasks:\ TOP | ^\(See\ full\ trace | ^\(Background\ on\ this\ error
    | \bvendor\ frames | ^\s*\.\.\.\ \d+\ more
    | ^(?:npm|pnpm|yarn)\s+(?:ERR!|error|notice|warn) | ELIFECYCLE | ^error\ Command\ failed
    | ^error:\ script\ .*\ exited\ with | ^make(?:\[\d+\])?:\ \*\*\* | ^A\ complete\ log\ of\ this
    | ^(?:During\ handling|The\ above)\ .*\ exception | ^DbError\ \{ | ^Error\ Code\s*:\ 0$
    | ^\s*(?:severity|name|routine|file|code|stack)\b"?:\s
    | \bcurrent\ transaction\ is\ aborted
    | ^Error:\ P\d{4}$ | \baborted!$ | ^StandardError:\ An\ error\ has\ occurred,
    | ^-+\ # | ^\s*(?:raise|throw|rescue|except|catch)\b""",
    re.VERBOSE,
)
_DETAIL = re.compile(r"^\s*(?:DETAIL|HINT|Detail|Hint):\s")
_FRAME = re.compile(r'^\s+File "[^"]*", line \d+')
_SAID_AGAIN = re.compile(r"\s*\([A-Z]\w*(?:::\w+)*\)$")
"""Rails repeats the name of the exception behind its message."""


def telling(lines: Sequence[str], most: int = MOST) -> tuple[str, ...]:
    """
    Choose the lines that say what went wrong, as a reader needs them; the first tells most.

    Where nothing does, it is the last line that is not empty.
    """
    chosen = _chosen(lines)
    spoken = tuple(_SAID_AGAIN.sub("", " ".join(lines[number].split())) for number in chosen)
    return tuple(dict.fromkeys(spoken))[:most]


def shorten(lines: Sequence[str], most: int = KEPT) -> tuple[str, ...]:
    """Keep so many lines: those that tell, with what stands around them, and the last ones."""
    around = [
        near
        for number in _chosen(lines)
        for near in range(number - _BEFORE, number + _AFTER)
        if 0 <= near < len(lines)
    ]
    wanted = dict.fromkeys((*around, *reversed(range(len(lines)))))
    return tuple(lines[number] for number in sorted([*wanted][:most]))


# --- how much a line tells


def _chosen(lines: Sequence[str]) -> list[int]:
    ranks = [(rank, number) for number, rank in enumerate(_ranks(lines)) if rank is not None]
    if not ranks:
        return []
    _, best = max(ranks)
    detail = [n for n in range(best + 1, min(best + 3, len(lines))) if _DETAIL.search(lines[n])]
    # the migration may have lived with what the server said, and ended for another reason
    last = [n for rank, n in ranks if rank >= _NAMED and n > best][-1:]
    return [best, *detail, *last]


def _ranks(lines: Sequence[str]) -> Iterator[int | None]:
    announced = False
    for number, line in enumerate(lines):
        stripped = line.strip()
        if not stripped:
            yield None
            continue
        yield _rank(line, announced=announced or _ends_traceback(lines, number))
        announced = bool(_ANNOUNCES.search(stripped))


def _rank(line: str, *, announced: bool) -> int:
    if _NOISE.search(line) or _ANNOUNCES.search(line.strip()):
        return 0
    if _SERVER.search(line.strip()):
        return _SAID
    if announced or _EXCEPTION.search(line):
        return _NAMED
    return 1 if _WORD.search(line) else 0


def _ends_traceback(lines: Sequence[str], number: int) -> bool:
    """Tell whether Python's own name for what went wrong is here: the first line that is flush."""
    if lines[number][:1].isspace() or number == 0 or not lines[number - 1][:1].isspace():
        return False
    return any(_FRAME.search(line) for line in lines[max(number - _BEFORE, 0) : number])
