"""
Being told: what is worth a message, and to whom it has been said already.

Whoever learns of something tells an ``Event``. What becomes of it is decided here: trouble is told
at once and once, a reminder follows once a day while it lasts, its end is told once. What people
know (``Told``) outlives the process, so that a restart neither repeats a message nor forgets one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sidecar.errors import (
    AlreadyRunning,
    Interrupted,
    LeaseHeld,
    MigsafeError,
    NeedsOperatorError,
    SettingsError,
)
from sidecar.plan import Run

BACKUP = "scheduled backup"
"""The subject that the dead-man's switch is about."""
VERIFY = "restore test"
MIGRATION = "migration"
STORES = "stores"
"""All of them together."""
PRUNING = "deleting old backups"
REMINDER = timedelta(days=1)
SCHEMA = 1


class What(StrEnum):
    """What happened."""

    STARTED = "started"
    SUCCEEDED = "succeeded"
    RECOVERED = "recovered"
    FAILED = "failed"
    SILENT = "silent"
    """It should have succeeded long ago."""
    NEEDS_OPERATOR = "needs-operator"


_WEIGHT = {What.FAILED: 1, What.SILENT: 2, What.NEEDS_OPERATOR: 3}


@dataclass(frozen=True)
class Event:
    """Something that happened to a subject."""

    what: What
    subject: str
    """What it is about: ``BACKUP``, ``VERIFY``, ``MIGRATION``, ``STORES`` or ``PRUNING``."""
    message: str
    """In one line; a lowercase fragment."""
    at: datetime
    where: str = ""
    """The project, or the database."""
    details: tuple[str, ...] = ()
    """More lines, such as the card."""
    cause: str = ""
    """While trouble lasts, it is told anew only where its cause is another one."""
    headline: str = ""
    """Instead of what is made of the subject."""


@dataclass(frozen=True)
class Trouble:
    """What people know to be wrong with a subject."""

    what: What
    since: datetime
    told_at: datetime
    cause: str = ""


@dataclass(frozen=True)
class Told:
    """What people know: by subject, the trouble that lasts."""

    troubles: Mapping[str, Trouble] = field(default_factory=dict)

    def knowing(self, subject: str, trouble: Trouble | None) -> "Told":
        """Return what people know once they know this as well, or that it is over."""
        others = {name: known for name, known in self.troubles.items() if name != subject}
        return Told({**others, subject: trouble} if trouble else others)

    def to_json(self) -> str:
        """Write it so that a person can read it too."""
        troubles = {
            subject: {
                "what": trouble.what,
                "since": trouble.since.isoformat(),
                "told_at": trouble.told_at.isoformat(),
                "cause": trouble.cause,
            }
            for subject, trouble in self.troubles.items()
        }
        values = {"schema": SCHEMA, "troubles": troubles}
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Told":
        """Read it back; what can't be read is told once more."""
        try:
            return cls({k: _trouble_of(v) for k, v in json.loads(text)["troubles"].items()})
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls()


@dataclass(frozen=True)
class Notice:
    """A message to people."""

    what: What
    title: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The message below its title."""
        return "\n".join(self.lines)


@dataclass(frozen=True)
class Decision:
    """The message, if one is due, and what people know once they have it."""

    notice: Notice | None
    told: Told


def decide(told: Told, event: Event) -> Decision:
    """Decide what people are told of an event, given what they know."""
    known = told.troubles.get(event.subject)
    match event.what:
        case What.STARTED:
            return Decision(None, told)
        case What.SUCCEEDED | What.RECOVERED if known is None:
            return Decision(None, told)
        case What.SUCCEEDED | What.RECOVERED:
            assert known is not None  # noqa: S101 - the case above
            return Decision(_recovery(event, known), told.knowing(event.subject, None))
        case _ if known is None or _is_news(event, known):
            return Decision(
                _notice(event, _headline(event)),
                told.knowing(event.subject, _trouble(event, known)),
            )
        case _:
            return _lasting(told, event, known)


def of_run(
    error: MigsafeError | None, run: Run | None, card: Sequence[str], where: str, at: datetime
) -> Event | None:
    """
    Make of a guard's end what people are told; None where it says nothing about the app.

    Another guard at work, a signal and a slip in the settings are answers to whoever typed. Another
    instance at work is none: the app stays down here until somebody decides between the two.
    """
    answers = AlreadyRunning | Interrupted | SettingsError
    if isinstance(error, answers) and not isinstance(error, LeaseHeld):
        return None
    headline = card[0].lstrip("✗✓ ") if card else MIGRATION
    told = Event(
        What.SUCCEEDED, MIGRATION, headline, at, where, details=tuple(card[1:]), headline=headline
    )
    if error is None:
        return told
    what = What.NEEDS_OPERATOR if isinstance(error, NeedsOperatorError) else What.FAILED
    return replace(told, what=what, cause=f"{run.id if run else ''}/{error.status}")


def of_bug(card: Sequence[str], where: str, at: datetime) -> Event:
    """Make of a bug of ours what people are told."""
    headline = card[0].lstrip("✗ ")
    return Event(
        What.FAILED, MIGRATION, headline, at, where, tuple(card[1:]), headline, headline=headline
    )


# --- what is said


def _is_news(event: Event, known: Trouble) -> bool:
    return event.cause != known.cause or _WEIGHT[event.what] > _WEIGHT[known.what]


def _trouble(event: Event, known: Trouble | None) -> Trouble:
    lasts = known is not None and known.cause == event.cause
    since = known.since if known and lasts else event.at
    return Trouble(event.what, since, event.at, event.cause)


def _lasting(told: Told, event: Event, known: Trouble) -> Decision:
    """Remind once a day; a clock that was set back does not put it off for ever."""
    age = event.at - known.told_at
    if timedelta(0) <= age < REMINDER:
        return Decision(None, told)
    told = told.knowing(event.subject, replace(known, told_at=event.at))
    if age < timedelta(0):
        return Decision(None, told)
    notice = _notice(event, f"still: {_headline(event)}")
    return Decision(replace(notice, lines=(*notice.lines, f"since {_time(known.since)}")), told)


def _recovery(event: Event, known: Trouble) -> Notice:
    lines = (event.message, f"The trouble began {_time(known.since)}.")
    return Notice(What.RECOVERED, _at(event, f"{event.subject}: well again"), lines)


def _notice(event: Event, headline: str) -> Notice:
    first = () if event.message == headline else (event.message,)
    lines = (*first, *event.details, f"at {_time(event.at)}")
    return Notice(event.what, _at(event, headline), lines)


def _headline(event: Event) -> str:
    if event.headline:
        return event.headline
    match event.what:
        case What.SILENT:
            return f"{event.subject}: none in time"
        case What.NEEDS_OPERATOR:
            return f"{event.subject}: needs you"
        case _:
            return f"{event.subject} failed"


def _at(event: Event, headline: str) -> str:
    return f"{event.where}: {headline}" if event.where else headline


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _trouble_of(values: Mapping[str, str]) -> Trouble:
    since, told_at = (datetime.fromisoformat(values[key]) for key in ("since", "told_at"))
    if since.tzinfo is None or told_at.tzinfo is None:
        raise ValueError("a time without its zone")
    what = What(values["what"])
    if what not in _WEIGHT:
        raise ValueError("no trouble")
    return Trouble(what, since, told_at, str(values["cause"]))
