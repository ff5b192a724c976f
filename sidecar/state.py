"""
How the second mode is doing: one small file beside the backups, which `health` reads. Pure.

Whoever writes it decides from when on what is too old, so that whoever reads it compares times and
knows no schedule. If the service dies, those times come by themselves.
"""

import json
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

FILE = "schedule.json"
SCHEMA = 1


@dataclass(frozen=True)
class Problem:
    """Something that is not well, with the code of the error that would end a command."""

    code: int
    message: str
    hint: str = ""


@dataclass(frozen=True)
class State:
    """How the second mode is doing."""

    schedule: str = ""
    """As it was set."""
    project: str = ""
    """Whose backups they are, as Docker told last."""
    at: datetime | None = None
    """When it was written."""
    due_at: datetime | None = None
    """When the next backup is due."""
    taking: str = ""
    """The backup that was begun: what is left of it is no use to anybody."""
    newest: str = ""
    """The newest whole backup."""
    stale_at: datetime | None = None
    """From when on it is too old."""
    verified: str = ""
    """The backup that was last loaded and compared, and was good."""
    verify_stale_at: datetime | None = None
    """From when on that is too long ago; None where nobody wants to know."""
    unprovable: str = ""
    """Why none can be proven here; that is nobody's fault, and so no problem."""
    backup: Problem | None = None
    """Why the last attempt to take one failed."""
    verify: Problem | None = None
    """Why the last attempt to prove one failed."""
    stores: Problem | None = None
    """Which stores are behind."""
    doubt: Problem | None = None
    """What had vanished from the newest backup."""
    held: Problem | None = None
    """Why nothing is deleted, where that is no other problem's word."""
    guard: Problem | None = None
    """Why the guard's last run needs an operator."""

    def to_json(self) -> str:
        """Write it so that a person can read it too."""
        values = {name: _plain(value) for name, value in asdict(self).items()}
        return json.dumps({"schema": SCHEMA, **values}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "State":
        """Read it back; one that can't be read is as good as none."""
        try:
            values = json.loads(text)
            known = {each.name: values.get(each.name) for each in fields(cls)}
            return cls(**{name: _value(name, value) for name, value in known.items()})
        except (ValueError, TypeError, AttributeError):
            return cls()


TIMES = frozenset({"at", "due_at", "stale_at", "verify_stale_at"})
PROBLEMS = frozenset({"backup", "verify", "stores", "doubt", "held", "guard"})
"""Whatever may not be well; `health` loads nothing, and so names them again."""


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _value(name: str, value: Any) -> Any:
    if name in TIMES:
        return datetime.fromisoformat(value) if value else None
    if name in PROBLEMS:
        return Problem(**value) if value else None
    return str(value or "")
