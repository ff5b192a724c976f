"""
How the second mode is doing: left for `health`, told to people, and counted in the figures.

Whatever it is told is redacted: others read it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from sidecar.backups import Backup, Manifest, Proof
from sidecar.errors import BUG, DatabaseLost, LeaseHeld, MigsafeError, StoreFailed
from sidecar.gathering import Gathering
from sidecar.notices import BACKUP, MIGRATION, Event, What
from sidecar.ports import Clock, Notices, Teller
from sidecar.state import Problem, State
from sidecar.timetable import Timetable

SERIOUS = {DatabaseLost.exit_code, LeaseHeld.exit_code}
"""Told also where trouble has been told already: a server that was away came back without data."""


class Keeper(Protocol):
    """What is left beside the backups for others to read, and what others have left there."""

    def load(self) -> State:
        """Read the state as it was left; an empty one where there is none."""
        ...

    def save(self, state: State) -> None:
        """Leave the state; where that can't be, none is left."""
        ...

    def manifests(self) -> Sequence[Manifest]:
        """Every whole backup; raises StoreFailed."""
        ...

    def proof(self, backup: Backup) -> Proof | None:
        """Tell how the last attempt to prove a backup ended; None where there was none."""
        ...

    def guard(self) -> Problem | None:
        """Tell whether the guard's last run needs an operator."""
        ...


class Bulletin:
    """Knows the state, and sees to it that others do."""

    def __init__(
        self,
        keeper: Keeper,
        notices: Notices,
        figures: Gathering,
        due: Timetable,
        clock: Clock,
        tell: Teller,
    ) -> None:
        self.keeper = keeper
        self.notices = notices
        self.figures = figures
        self.due = due
        self.clock = clock
        self.tell = tell
        self.state = replace(keeper.load(), schedule=due.rhythm.text)
        self.blind = False
        """The folder of backups could not be read just now."""

    def change(self, **changes: Any) -> None:
        """Have it otherwise; others know with the next ``note``."""
        self.state = replace(self.state, **changes)

    def begin(self, name: str) -> None:
        """Leave the name before anything is written under it: who kills us leaves half a file."""
        self.announce(What.STARTED, "a backup was begun")  # not before: it might be skipped yet
        self.change(taking=name)
        self.keeper.save(self.state)

    def note(self) -> None:
        """Leave the state for `health`, with the times from which on it is too old."""
        guard = self.keeper.guard()
        if guard is not None and guard != self.state.guard:
            self.tell.warn(guard.message)
            self.announce(What.NEEDS_OPERATOR, guard.message, hint=guard.hint, subject=MIGRATION)
        if guard is None and self.state.guard is not None:
            self.announce(What.SUCCEEDED, "the last run needs nobody any more", subject=MIGRATION)
        self.state = replace(self.state, at=self.clock.now(), due_at=self.due.next_at, guard=guard)
        shown = self.state
        try:
            self.figures.manifests = self.keeper.manifests()
        except StoreFailed as error:
            self.blind = True
            shown = replace(shown, backup=self.problem(error))
        else:
            self.blind = False
            good = [m for m in self.figures.manifests if not m.doubts]
            shown = self.state = self._aged(self.state, good)
        self.keeper.save(shown)
        self.figures.publish(shown)

    def watch(self) -> None:
        """See whether the guard needs an operator now, and whether no backup came in time."""
        if self.state.stale_at is not None and self.clock.now() >= self.state.stale_at:
            self.announce(What.SILENT, f"no backup in time: the newest is {self.state.newest}")
        if self.blind or self.keeper.guard() != self.state.guard:
            self.note()

    def problem(self, error: Exception) -> Problem:
        """Write down an error."""
        if isinstance(error, MigsafeError):
            return self.trouble(error.status, error.message, error.hint)
        what = f"a bug in migsafe: {type(error).__name__}: {error}"
        return self.trouble(BUG, what, "Please report it.")

    def trouble(self, code: int, message: str, hint: str = "") -> Problem:
        """Write down what is wrong: others read it, so it holds no secret."""
        return Problem(code, self.tell.redact(message), self.tell.redact(hint))

    def announce(
        self,
        what: What,
        message: str,
        *,
        subject: str = BACKUP,
        hint: str = "",
        cause: str = "",
    ) -> None:
        """
        Tell people of an event.

        Args:
            what: what kind of event.
            message: a line.
            subject: what it is about.
            hint: what to do.
            cause: what tells this trouble from another of the same subject, which is told anew.

        """
        cause = self._cause() if subject == BACKUP else cause
        details = (hint,) if hint else ()
        event = Event(what, subject, message, self.clock.now(), details=details, cause=cause)
        self.notices.tell(event)

    def _cause(self) -> str:
        """Tell apart what passes by itself and what is told anew: data is gone, or another's."""
        if (found := self.state.backup) and found.code in SERIOUS:
            return str(found.code)
        return "doubt" if self.state.doubt else ""

    def _aged(self, state: State, manifests: Sequence[Manifest]) -> State:
        newest = max(manifests, key=lambda m: m.backup.taken_at, default=None)
        if newest is None:
            return replace(state, newest="", stale_at=None)
        name, taken_at, now = newest.backup.name, newest.backup.taken_at, self.clock.now()
        late = self.due.late(min(taken_at, now))
        if taken_at > now and name == state.newest and state.stale_at is not None:
            late = min(late, state.stale_at)  # of the future, it would never grow old
        return replace(state, newest=name, stale_at=late)
