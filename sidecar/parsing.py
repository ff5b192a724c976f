"""From the text of a setting to its value; each raises ValueError with a sentence, no secret."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from sidecar import presets
from sidecar.address import Address, parse

Choice = TypeVar("Choice", bound=StrEnum)

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(
    "".join(rf"(?:(?P<{name}>[0-9]{{1,8}}){unit})?" for unit, name in _UNITS.items())
)
_WHOLE = 100
_PORTS = 65535
_LIKE_A_KEY = 50
"""Characters from which on a word is no comment."""
ELSEWHERE = "elsewhere"
_LONGEST = timedelta(days=3650)
_SHELL_OPERATORS = frozenset("();<>|&")
_STATEMENT_END = re.compile(r";[ \t]*(?:\r?\n|\Z)")
_QUOTED_SQL = re.compile(
    r"""'(?:[^']|'')*'|"[^"]*"|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/""", re.DOTALL
)


def admin_url(text: str) -> Address:
    """Read the URL of the role that creates databases: it connects to ``postgres``."""
    return parse(text, database="postgres")


def service(text: str) -> str:
    """Read the name of a Compose service."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text.strip()):
        raise ValueError("it is not the name of a Compose service")
    return text.strip()


def preset(text: str) -> str:
    """Read the name of a preset."""
    return presets.by_name(text.strip().lower()).name


def release(text: str) -> str:
    """Read what a release is called."""
    if not text.isprintable():
        raise ValueError("it is not one line of plain text")
    return text.strip()


def folder(text: str) -> Path:
    """Read an absolute path."""
    path = Path(text.strip())
    if not path.is_absolute():
        raise ValueError("it is not an absolute path")
    return path


def metrics_file(text: str) -> Path:
    """Read the path of a file that node_exporter reads: it looks at no other ending."""
    path = folder(text)
    if path.suffix != ".prom":
        raise ValueError("its name does not end in .prom")
    return path


def port(text: str) -> int:
    """Read the number of a port."""
    number = text.strip()
    if not re.fullmatch(r"[0-9]{1,5}", number) or not 0 < int(number) <= _PORTS:
        raise ValueError("it is not a port: a number from 1 to 65535")
    return int(number)


def names(text: str) -> tuple[str, ...]:
    """Split at spaces and commas."""
    return tuple(filter(None, re.split(r"[\s,]+", text)))


def recipients(text: str) -> tuple[str, ...]:
    """
    Read public keys: of age by space or line, of SSH as they stand in their files.

    The words after a key of SSH, to the end of its line or to the next key, are its comment.
    """
    found: list[str] = []
    for line in text.splitlines():
        found += _recipients(line.partition(" #")[0].split())
    if not found:
        raise ValueError("it names no public key")
    return tuple(dict.fromkeys(found))


def _recipients(words: list[str]) -> Iterator[str]:
    comment = False
    while words and not words[0].startswith("#"):
        word = words.pop(0)
        if word.startswith("ssh-"):
            yield " ".join((word, *words[:1]))
            words, comment = words[1:], True
        elif word.upper().startswith("AGE-SECRET-KEY-"):
            raise ValueError("there is a private key in it: the public one belongs here")
        elif word.startswith("age1") or not comment or len(word) >= _LIKE_A_KEY:
            yield word
            comment = False


def identity(text: str) -> Path | None:
    """Read the path of a file with private keys; None where it is elsewhere."""
    if text.strip() == ELSEWHERE:
        return None
    if text.strip().upper().startswith(("AGE-SECRET-KEY-", "-----BEGIN")):
        raise ValueError("it is a key: name a file that holds it")
    path = Path(text.strip())
    if not path.is_absolute():
        raise ValueError(f"it is no absolute path, and not {ELSEWHERE!r}")
    return path


def percent(text: str) -> float:
    """Read a number from 0 to 100."""
    number = text.strip().removesuffix("%").rstrip()
    if not re.fullmatch(r"(?:100|[0-9]{1,2})(?:\.[0-9]+)?", number) or float(number) > _WHOLE:
        raise ValueError("it is not a number from 0 to 100")
    return float(number)


def truth(text: str) -> bool:
    """Read yes or no."""
    word = text.strip().lower()
    if word not in {"true", "false", "yes", "no", "on", "off", "1", "0"}:
        raise ValueError("it is not true or false")
    return word in {"true", "yes", "on", "1"}


def token(text: str) -> str:
    """Read what `rclone authorize` gives: JSON, also with the lines that it prints around it."""
    found = re.search(r"\{.*\}", text, re.DOTALL)
    values = _json_object(found[0] if found else "")
    if not isinstance(values.get("refresh_token"), str) or not values["refresh_token"]:
        raise ValueError(
            "it is not the JSON that `rclone authorize drive` prints, with a refresh_token in it"
        )
    return json.dumps(values)


def key(text: str) -> str:
    """Read the key of a Google service account."""
    values = _json_object(text)
    if values.get("type") != "service_account" or not values.get("private_key"):
        raise ValueError("it is not the JSON of a service account's key")
    return text.strip()


def drive_id(text: str) -> str:
    """Read the id of a shared drive."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{5,}", text.strip(), re.ASCII):
        raise ValueError("it is not the id of a shared drive, the last part of its address")
    return text.strip()


def _json_object(text: str) -> dict[str, object]:
    try:
        values = json.loads(text)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def one_of(choices: type[Choice]) -> Callable[[str], Choice]:
    """Make a parser that takes one of the words."""

    def parse_choice(text: str) -> Choice:
        try:
            return choices(text.strip().lower())
        except ValueError:
            raise ValueError(f"it is not one of {', '.join(choices)}") from None

    return parse_choice


def duration(text: str) -> timedelta:
    """
    Read a length of time.

    >>> duration("1h30m") == timedelta(minutes=90) == duration("5400")
    True
    """
    if re.fullmatch(r"\s*[0-9]+\s*M\s*", text):
        raise ValueError("M is no unit: m are minutes, and 30d is a month")
    spelled = re.sub(r"\s", "", text).lower()
    match = _DURATION.fullmatch(spelled + "s" if spelled.isdecimal() else spelled)
    if not spelled or match is None:
        raise ValueError("it is not a duration such as 90s, 10m, 1h30m or 7d")
    length = timedelta(**{unit: int(count) for unit, count in match.groupdict("0").items()})
    if not timedelta(0) < length <= _LONGEST:
        raise ValueError("it is not longer than nothing and at most ten years")
    return length


def duration_with_unit(text: str) -> timedelta:
    """Read a length of time with its unit: by a bare 7 somebody means days, and not seconds."""
    number = re.sub(r"\s", "", text)
    if number.isdecimal():
        raise ValueError(f"it has no unit: write {number}d, {number}h or {number}m")
    return duration(text)


def spell(length: timedelta) -> str:
    """
    Write a length of time as ``duration`` reads it, in whole seconds.

    >>> spell(timedelta(days=7)), spell(timedelta(minutes=90))
    ('7d', '1h30m')
    """
    rest, spelled = int(length.total_seconds()), ""
    for unit, seconds in {"d": 86400, "h": 3600, "m": 60, "s": 1}.items():
        count, rest = divmod(rest, seconds)
        spelled += f"{count}{unit}" if count else ""
    return spelled


def command(text: str) -> tuple[str, ...]:
    """
    Split a command as a shell would, or read it from a JSON list. No shell runs it.

    >>> command("flask db upgrade --directory 'my migrations'")
    ('flask', 'db', 'upgrade', '--directory', 'my migrations')
    """
    words = _json_words(text) if text.lstrip().startswith("[") else _shell_words(text)
    if not words or not words[0].strip():
        raise ValueError("it names no program")
    return words


def _json_words(text: str) -> tuple[str, ...]:
    try:
        words = json.loads(text)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError('it begins with [ and is not a JSON list of strings, as ["a", "b"]')
    return tuple(words)


def _shell_words(text: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text)
        pieces = _shell_pieces(text)
    except ValueError:
        raise ValueError("it has a quote that is not closed, or a lone \\ at the end") from None
    if any(piece and _SHELL_OPERATORS.issuperset(piece) for piece in pieces):
        raise ValueError(
            "it needs a shell: write sh -c '…', or a JSON list where it is meant literally"
        )
    if words and re.match(r"\w+=", words[0]):
        raise ValueError("it sets a variable first: write env in front of it")
    return tuple(words)


def _shell_pieces(text: str) -> list[str]:
    """Split further than words: what a shell takes for an operator stands alone."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    return list(lexer)


def statements(text: str) -> tuple[str, ...]:
    r"""
    Split SQL at each ``;`` that ends a line. Comments alone are no statement.

    >>> statements("select true;\nselect count(*) > 0\n  from users;")
    ('select true', 'select count(*) > 0\n  from users')
    """
    found = tuple(part.strip() for part in _STATEMENT_END.split(text))
    found = tuple(part for part in found if _QUOTED_SQL.sub(_only_comments, part).strip())
    if any(";" in _QUOTED_SQL.sub("", part) for part in found):
        raise ValueError("it has a ; in the middle of a line: begin a new line after it")
    return found


def _only_comments(match: re.Match[str]) -> str:
    return "" if match[0].startswith(("--", "/*")) else match[0]
