"""What happened that somebody may want to be told of. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class What(StrEnum):
    """What happened."""

    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RECOVERED = "recovered"
    """It succeeded, and had failed before."""
    SILENT = "silent"
    NEEDS_OPERATOR = "needs-operator"


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    what: What
    subject: str
    """Of what: ``backup``, ``verify``, ``guard``."""
    message: str
    at: datetime
    hint: str = ""
    size: int = 0
    """Of the backup, in bytes."""
    seconds: float = 0.0
