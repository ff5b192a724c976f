"""
When the second mode has something to do: by a cron expression, or every so often. Pure.

A time that was missed, because the machine slept or the service was down, is made up for once,
however many there were.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from sidecar import parsing

WORDS = {"hourly": "0 * * * *", "daily": "0 0 * * *", "weekly": "0 0 * * SUN"}
NEVER = "never"
FIELDS = 5
"""Of a cron expression: minute, hour, day, month, weekday."""

ANY_DAY = datetime(2000, 1, 1, tzinfo=UTC)
"""From here on a cron expression must come true once."""


@dataclass(frozen=True)
class Rhythm:
    """How often something is due."""

    text: str
    """As it was written."""
    cron: str = ""
    every: timedelta | None = None
    """Instead of a cron expression."""

    def after(self, moment: datetime, zone: tzinfo) -> datetime:
        """
        Tell the first due time after a moment, in UTC; the hours of a cron are those of the zone.

        >>> Rhythm.parse("daily").after(datetime(2026, 1, 31, 23, 30, tzinfo=UTC), UTC).isoformat()
        '2026-02-01T00:00:00+00:00'
        """
        if self.every is not None:
            return moment + self.every
        return _next(self.cron, moment.astimezone(zone)).astimezone(UTC)

    def length(self, moment: datetime, zone: tzinfo) -> timedelta:
        """Tell how long it is from one due time to the next, about a moment."""
        first = self.after(moment, zone)
        return self.after(first, zone) - first

    def late(self, last: datetime, zone: tzinfo) -> datetime:
        """Tell from when on what was last done then is too old: it should be there twice since."""
        return self.after(self.after(last, zone), zone)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> "Rhythm":
        """
        Read a word, a duration or a cron expression.

        Raises:
            ValueError: it is none of them, or never comes true.

        """
        words = " ".join(text.split())
        if words.lower() in WORDS:
            return cls(words.lower(), WORDS[words.lower()])
        if " " not in words:
            try:
                return cls(words, every=parsing.duration_with_unit(words))
            except ValueError as error:
                if words.isdecimal():
                    raise
                raise ValueError(
                    f"it is none of {', '.join(WORDS)}, no duration such as 30m, and no cron"
                    " expression such as '15 * * * *'"
                ) from error
        try:
            _next(words, ANY_DAY)
        except StopIteration:
            raise ValueError("it is a cron expression that never comes true") from None
        return cls(words, words)


def sometimes(text: str) -> Rhythm | None:
    """Read a rhythm, or ``never``."""
    if text.strip().lower() == NEVER:
        return None
    try:
        return Rhythm.parse(text)
    except ValueError as error:
        raise ValueError(f"{error}; or {NEVER!r}") from None


def _next(cron: str, moment: datetime) -> datetime:
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - the guard reads settings, too

    try:
        return next(CronSim(cron, moment))
    except CronSimError as error:
        if len(cron.split()) != FIELDS:
            raise ValueError("it is no cron expression: five fields, as in '30 3 * * *'") from None
        raise ValueError(f"it is no cron expression that ever comes true: {error}") from None
