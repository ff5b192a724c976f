"""
What the journal says, and what follows from it.

Rule one: every decision about a run that did not reach its end is made here, by ``resume()``.

A run writes its intent before each act and the outcome after it, so the last entry says where it
stopped. A stopped run has three futures only:

- **start over**: the migration had not started. Whatever was made so far (a backup, a restore
  point) is not trusted: nobody knows what was written since. It is taken anew.
- **conclude**: the migration container was started, or was about to be. It outlives the guard:
  its true end is looked up, and the run goes on from there, to commit or to roll back.
- **roll back**: it was decided that the migration had failed. That stays decided.

A restore that was cut off starts over, too: until its swap the live database is as it was, and
after it the restored one is there, whole and proven.

Everything else is history.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, assert_never


class Phase(StrEnum):
    """How far a run has come. The values are stored: they never change their meaning."""

    STARTED = "started"
    STOPPING = "stopping"
    """The containers named are about to be stopped."""
    BACKING_UP = "backing-up"
    BACKED_UP = "backed-up"
    CLONING = "cloning"
    """The restore point named is about to be made."""
    CLONED = "cloned"
    MIGRATING = "migrating"
    """The migration container is about to be made."""
    EXITED = "exited"
    """It ended, and how is known; its server sessions are gone."""
    FAILED = "failed"
    """The migration or its proof failed: the database is to be put back."""
    LOADING = "loading"
    """A scratch database is about to be loaded from the backup."""
    SWAPPED = "swapped"
    """Written in the transaction of the swap itself."""
    COMMITTED = "committed"
    ROLLED_BACK = "rolled-back"
    UNCHANGED = "unchanged"
    """The migration failed, and provably wrote nothing."""
    ABANDONED = "abandoned"
    """The run ended before the migration: nothing was changed."""
    STRANDED = "stranded"
    """The rollback failed: an operator is needed."""
    STARTED_SERVICES = "started-services"
    """What was stopped runs again, but for ``left``: by name, why it does not."""
    RETRY = "retry"
    """The operator has looked and says: go on."""
    CLEARED = "cleared"
    """The run's leftovers (restore point, scratch, container) are gone."""
    FORGOTTEN = "forgotten"
    """The database that the run had set aside was dropped, long after."""
    RESTORED = "restored"
    """An operator's restore has put a backup in the place of the database."""


FINAL = frozenset(
    {
        Phase.COMMITTED,
        Phase.ROLLED_BACK,
        Phase.UNCHANGED,
        Phase.ABANDONED,
        Phase.STRANDED,
        Phase.RESTORED,
    }
)
_SIDE = frozenset(
    {Phase.STOPPING, Phase.STARTED_SERVICES, Phase.RETRY, Phase.CLEARED, Phase.FORGOTTEN}
)
"""Entries that say something about a run and not how far it has come."""


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    run: str
    phase: Phase
    at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Key:
    """What makes one guarded migration the same as another."""

    image: str
    command: tuple[str, ...]
    ledger: str
    """Fingerprint, before the migration."""
    system: str
    """The server's system identifier."""


@dataclass(frozen=True)
class Failure:
    """Why a run failed: the exit code of its error class, and the words."""

    code: int
    reason: str
    tail: tuple[str, ...] = ()
    """The migration's last lines."""


RELEASE = "release "
"""What stands instead of an image's id, before the name that the user gives to a release."""

LEASE_GRACE = timedelta(minutes=1)
"""So much later than its deadline a migration that was handed over is taken for dead."""


@dataclass(frozen=True)
class Run:
    """One execution of the guard, folded from its entries."""

    id: str
    phase: Phase
    started_at: datetime
    ended_at: datetime
    detail: Mapping[str, Any]
    """The union of the details of its entries; the later wins."""
    migrating_at: datetime | None = None
    """When the migration was started."""
    stopped: tuple[str, ...] = ()
    """Containers that were stopped and not yet started again."""
    retried: bool = False
    cleared: bool = False
    forgotten: bool = False
    backed_up: bool = False
    """Its backup is whole."""
    swapped: bool = False
    exited: bool = False

    @property
    def finished(self) -> bool:
        """It has reached an end."""
        return self.phase in FINAL

    @property
    def failed(self) -> bool:
        """It has reached an end, and the migration did not succeed."""
        return self.phase in {Phase.ROLLED_BACK, Phase.UNCHANGED, Phase.STRANDED}

    @property
    def resumes(self) -> bool:
        """What it has stopped is started again although its migration failed."""
        return bool(self.detail.get("resumes"))

    @property
    def by_hand(self) -> bool:
        """An operator restores or verifies a backup: it is no guarded migration."""
        return bool({"restoring", "verifying"} & set(self.detail))

    @property
    def refills(self) -> bool:
        """A guard fills a database that came up empty: what it stopped must not run on it."""
        return bool(self.detail.get("refill"))

    @property
    def outside(self) -> bool:
        """Its migration is no container that a guard has made: `begin` or `wrap` has readied it."""
        return bool(self.detail.get("by"))

    @property
    def handed_over(self) -> bool:
        """Somebody else runs its migration, while nobody holds the lock."""
        return self.detail.get("by") == "begin"

    @property
    def awaited(self) -> bool:
        """Nobody was told yet to start the migration that was to be handed over."""
        # the addresses are the last that `begin` notes, before it ends with 0
        return self.handed_over and self.phase is Phase.MIGRATING and "addresses" not in self.detail

    @property
    def lease_until(self) -> datetime:
        """Until when a migration that was handed over may be running, by the server's clock."""
        started = self.migrating_at or self.ended_at
        return started + timedelta(seconds=float(self.detail.get("deadline", 0))) + LEASE_GRACE

    @property
    def came_to_nothing(self) -> bool:
        """What it began by hand has left nothing behind: what was before it is what counts."""
        return self.by_hand and self.phase is Phase.ABANDONED and self.cleared

    @property
    def kept_point(self) -> str | None:
        """The restore point that stays though the migration succeeded."""
        stays = self.phase is Phase.COMMITTED and self.detail.get("keeps_point")
        return self.named("restore_point") if stays and not self.forgotten else None

    @property
    def key(self) -> Key:
        """What was to be migrated, by what."""
        d = self.detail
        command = tuple(d.get("command", ()))
        return Key(d.get("image", ""), command, d.get("ledger", ""), d.get("system", ""))

    @property
    def key_after(self) -> Key:
        """The key under which a finished run has nothing left to do."""
        return replace(self.key, ledger=self.detail.get("ledger_after", ""))

    @property
    def failure(self) -> Failure:
        """Why it failed; meaningful once it has."""
        d = self.detail
        return Failure(
            d.get("code", 21), d.get("reason", "the run was interrupted"), tuple(d.get("tail", ()))
        )

    def named(self, name: str) -> str | None:
        """Look up a text in the details."""
        value = self.detail.get(name)
        return None if value is None else str(value)


@dataclass(frozen=True)
class StartOver:
    """Nothing was migrated; ``leftovers`` is the unfinished run whose traces are to be cleared."""

    leftovers: Run | None = None


@dataclass(frozen=True)
class Conclude:
    """The migration was started: find out how it ended and go on."""

    run: Run


@dataclass(frozen=True)
class RollBack:
    """It was decided to put the database back: do it, or finish doing it."""

    run: Run


@dataclass(frozen=True)
class Report:
    """The database is closed and waits for its operator."""

    run: Run


def resume(entries: Sequence[Entry]) -> StartOver | Conclude | RollBack | Report:
    """Decide what a guard does first, from everything that the journal holds of one database."""
    runs = [run for run in fold(entries) if not run.came_to_nothing]
    if not runs:
        return StartOver()
    last = runs[-1]
    match last.phase:
        case Phase.STARTED | Phase.BACKING_UP | Phase.BACKED_UP:
            return StartOver(last)
        case Phase.CLONING | Phase.CLONED:
            return StartOver(last)
        case Phase.MIGRATING | Phase.EXITED:
            return Conclude(last)
        case Phase.FAILED | Phase.LOADING | Phase.SWAPPED:
            return StartOver(last) if last.by_hand else RollBack(last)
        case Phase.STRANDED:
            return RollBack(last) if last.retried else Report(last)
        case (
            Phase.COMMITTED | Phase.ROLLED_BACK | Phase.UNCHANGED | Phase.ABANDONED | Phase.RESTORED
        ):
            return StartOver(None if last.cleared else last)
        case (
            Phase.STOPPING | Phase.STARTED_SERVICES | Phase.RETRY | Phase.CLEARED | Phase.FORGOTTEN
        ):
            raise AssertionError(f"{last.phase} is not how far a run has come")
        case _:
            assert_never(last.phase)


def fold(entries: Iterable[Entry]) -> tuple[Run, ...]:
    """Gather the entries into runs, in the order in which the runs started."""
    runs: dict[str, Run] = {}
    for entry in entries:
        runs[entry.run] = _advance(runs.get(entry.run), entry)
    return tuple(runs.values())


def run_of(entries: Iterable[Entry], run_id: str) -> Run:
    """Find a run that has an entry."""
    return next(run for run in fold(entries) if run.id == run_id)


def origin(runs: Sequence[Run]) -> str:
    """
    Tell which database lives on this server: the identifier of the one it was first guarded on.

    It came out of a backup where that was put in place of nothing; empty where it is native.
    """
    placed = (run for run in reversed(runs) if run.swapped and run.by_hand)
    return next((found for run in placed if (found := run.named("origin"))), "")


def guarded(runs: Sequence[Run]) -> bool:
    """
    Tell whether a guard has brought the database of this server to where the app may start.

    The journal is on the server: one that was made anew under a running app has none.
    """
    return any(run.phase in FINAL - {Phase.ABANDONED} for run in runs)


def last_good(runs: Sequence[Run]) -> Mapping[str, str]:
    """Tell the images, by service, that belong to the data: those that last ran with it."""
    for run in reversed(runs):
        if run.phase in {Phase.COMMITTED, Phase.RESTORED}:
            images: Mapping[str, str] = run.detail.get("images", {})
            return images
    return {}


def _advance(run: Run | None, entry: Entry) -> Run:
    if run is None:
        run = Run(entry.run, Phase.STARTED, entry.at, entry.at, {})
    stopped = run.stopped
    if entry.phase is Phase.STOPPING:
        stopped = tuple(dict.fromkeys((*stopped, *entry.detail.get("services", ()))))
    if entry.phase is Phase.STARTED_SERVICES:
        stopped = tuple(entry.detail.get("left", ()))
    return replace(
        run,
        phase=run.phase if entry.phase in _SIDE else entry.phase,
        # what is noted afterwards does not make a run end later
        ended_at=run.ended_at if run.finished and entry.phase in _SIDE else entry.at,
        detail={**run.detail, **entry.detail},
        migrating_at=run.migrating_at or (entry.at if entry.phase is Phase.MIGRATING else None),
        stopped=stopped,
        # a retry counts until the run that it is about moves on
        retried=entry.phase is Phase.RETRY or (run.retried and entry.phase in _SIDE),
        forgotten=run.forgotten or entry.phase is Phase.FORGOTTEN,
        cleared=run.cleared or entry.phase is Phase.CLEARED,
        backed_up=run.backed_up or entry.phase is Phase.BACKED_UP,
        swapped=run.swapped or entry.phase is Phase.SWAPPED,
        exited=run.exited or entry.phase is Phase.EXITED,
    )
