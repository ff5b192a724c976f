"""
The second mode: a backup whenever one is due, proven now and then, for as long as it is let.

Nothing that goes wrong ends it: it says what, turns unhealthy, deletes nothing, and tries again.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Protocol

from sidecar.backup_ports import NOT_YET, Copies, Vault
from sidecar.backups import Backup, Kind, Manifest, Proof
from sidecar.due import Rhythm
from sidecar.errors import (
    AlreadyRunning,
    DatabaseLost,
    Interrupted,
    LeaseHeld,
    LeaseLost,
    MigsafeError,
    StoreFailed,
)
from sidecar.gathering import Gathering
from sidecar.leaseholder import Leaseholder
from sidecar.notices import BACKUP, MIGRATION, PRUNING, STORES, VERIFY, Event, What
from sidecar.policy import Policy
from sidecar.ports import Clock, Notices, Signals, Teller
from sidecar.proving import Proving
from sidecar.retention import Generations
from sidecar.scheduled import Opened, Scheduled
from sidecar.state import Problem, State

TICK = 30.0
"""Seconds after which the clock is looked at again: a machine may sleep, clocks are set."""

BACKOFF, LONGEST_BACKOFF = 30.0, 1800.0
"""Seconds after a failure until it is tried again, if nothing is due before: doubled each time."""

BUG = 1

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


@dataclass(frozen=True)
class Wishes:
    """What the operator wants of the second mode."""

    schedule: Rhythm
    verify: Rhythm | None
    """How often backups are proven; None: never."""
    generations: Generations
    policy: Policy
    zone: tzinfo
    final: bool = False
    """A last backup is taken when it is stopped."""


@dataclass(frozen=True)
class Around:
    """What it works with between two backups, when no world is open."""

    open: Callable[[], AbstractContextManager[Opened]]
    reopen: Callable[[], AbstractContextManager[Opened]]
    """As it was the last time: of the app nothing may be left."""
    keeper: Keeper
    copies: Callable[[], Copies]
    """Opened anew for each backup: keys are changed, and somebody signs in again."""
    notices: Notices
    clock: Clock
    tell: Teller
    stop: Signals
    new_run: Callable[[], str]


class Schedule:
    """Takes a backup whenever one is due."""

    def __init__(self, wishes: Wishes, around: Around) -> None:
        self.wishes = wishes
        self.around = around
        self.clock = around.clock
        self.tell = around.tell
        self.state = replace(around.keeper.load(), schedule=wishes.schedule.text)
        self.seen_at = self.clock.now()
        self.next_at = self._first()
        self.failures = 0
        self.proving = Proving(wishes.verify, wishes.zone, wishes.policy, self.clock, self.tell)
        self.blind = False
        """The folder of backups could not be read just now."""
        self.failing = set[str]()
        """The stores of which it was told that they fail."""
        self.put_off = False
        """A backup went before a proof that was due."""
        self.figures = Gathering(
            wishes.schedule,
            wishes.verify,
            wishes.zone,
            around.keeper.proof,
            around.copies,
            around.notices,
            self.clock,
            self.tell,
        )
        self.lease = Leaseholder(self.clock, self.tell, wanted=wishes.policy.refill)

    def run(self) -> int:
        """Go on until a signal comes; return the exit code."""
        self.tell.say(
            f"backups: {self.wishes.schedule}, the next at {_time(self.next_at, self.wishes.zone)};"
            f" kept: {self.wishes.generations}; proven: {self.wishes.verify or 'never'}"
        )
        self._note()
        try:
            while True:
                self._wait()
                self.round()
        except Interrupted:
            self.tell.say("asked to stop")
        return self._last() if self.wishes.final else 0

    def round(self) -> None:
        """Do what is due, and whatever happens note how it ended."""
        self.next_at = self._after(self.clock.now())
        self.figures.begin(self.state)
        try:
            self._do()
            self.failures = 0
        except Interrupted:
            self._note()
            raise
        except LeaseHeld as error:  # no other run of ours: nobody backs up what is here
            self._failed(error)
        except AlreadyRunning as error:
            self.tell.say(f"skipped, the next is at {self._next()}: {error.message}")
        except Exception as error:  # noqa: BLE001 - a bug ends one backup, and not all that follow
            self._failed(error)
        self._note()

    # --- when

    def _first(self) -> datetime:
        """Make up once for what was missed while nobody was here."""
        now = self.clock.now()
        try:
            times = [
                m.backup.taken_at
                for m in self.around.keeper.manifests()
                if m.backup.kind is Kind.SCHEDULED
            ]
        except StoreFailed:
            return now
        return self._after(min(max(times), now)) if times else now

    def _wait(self) -> None:
        while (left := (self.next_at - self._now()).total_seconds()) > 0:
            self.around.stop.wait(min(left, TICK))
            self._watch()
        self.around.stop.check()

    def _now(self) -> datetime:
        """Tell the time; where it has gone back, what is due is counted from there."""
        now = self.clock.now()
        if now < self.seen_at:
            self.tell.warn(f"the clock went back from {self.seen_at:%H:%M:%S} to {now:%H:%M:%S}")
            self.next_at = self._after(now)
        self.seen_at = now
        return now

    def _after(self, moment: datetime) -> datetime:
        return self.wishes.schedule.after(moment, self.wishes.zone)

    def _next(self) -> str:
        return _time(self.next_at, self.wishes.zone)

    # --- what

    def _do(self) -> None:
        with self.around.open() as opened:
            self.state = replace(self.state, project=opened.project)
            try:
                self._back_up(opened, wait=0)
                self._prune(opened)
                self._verify(opened)
            except (AlreadyRunning, Interrupted):
                raise
            except MigsafeError:
                self.figures.publish(self.state, opened)
                raise
            self.figures.publish(self.state, opened)

    def _back_up(self, opened: Opened, wait: float) -> str:
        """Take a backup, and return the token of the lease that it was taken under."""
        run, started = self.around.new_run(), self.clock.monotonic()
        vault = opened.world.vault
        with opened.world.journal.hold(run, wait):
            self._tell(What.STARTED, "a backup was begun")
            token = self.lease.take(opened.world.lease)
            self._discard(vault)
            manifest = Scheduled(opened, self.wishes.policy, run).take(self._begin)
        self.state = replace(self.state, taking="", deleting=(), backup=None, doubt=None)
        if manifest.doubts:
            self._doubt(manifest)
        self.figures.seconds = self.clock.monotonic() - started
        self._note()  # it is there: an upload of hours makes it no older
        self._copy(opened)
        self._note()
        if not manifest.doubts:
            self._tell(What.SUCCEEDED, manifest.backup.name)
        return token

    def _begin(self, name: str) -> None:
        """Leave the name before anything is written under it: who kills us leaves half a file."""
        self.state = replace(self.state, taking=name)
        self.around.keeper.save(self.state)

    def _begin_to_delete(self, names: tuple[str, ...]) -> None:
        """Leave the names before any of them is deleted: who kills us leaves files without one."""
        if names:
            self.state = replace(self.state, deleting=names)
            self.around.keeper.save(self.state)

    def _discard(self, vault: Vault) -> None:
        """Clear up after a service that was killed; a whole backup stays."""
        for name in filter(None, (self.state.taking, *self.state.deleting)):
            vault.discard(name)

    def _doubt(self, manifest: Manifest) -> None:
        what = "; ".join(manifest.doubts[:5])
        self.tell.warn(f"{manifest.backup.name} is doubtful: {what}; nothing is deleted")
        hint = (
            "Nothing is deleted meanwhile. Was it meant? `docker compose run --rm migsafe backup`"
            " says so. Do rows come and go there, as in a queue? Name it in MIGSAFE_LOSS_ALLOWED."
            " Else `docker compose run --rm migsafe restore` shows what there was."
        )
        self.state = replace(self.state, doubt=Problem(17, f"data has vanished: {what}", hint))
        self._tell(What.FAILED, f"data has vanished: {what}", hint=hint)

    def _copy(self, opened: Opened) -> None:
        """Bring to every store what is not there, of the backups before this one, too."""
        # two instances must not mix what they bring to one place
        complaints = (self.lease.unknown,) if self.lease.unknown else self._brought(opened)
        for complaint in complaints:
            self.tell.warn(complaint)
        message = self.tell.redact("; ".join(complaints))
        problem = Problem(StoreFailed.exit_code, message) if complaints else None
        self.state = replace(self.state, stores=problem)
        if problem:
            self.failing |= {each.partition(": ")[0] for each in complaints} - {NOT_YET}
            cause = ", ".join(sorted(self.failing))
            self._tell(What.FAILED, message, subject=STORES, cause=cause)
        else:
            self.failing = set()
            self._tell(What.SUCCEEDED, "every backup is in every store", subject=STORES)

    def _brought(self, opened: Opened) -> tuple[str, ...]:
        """Bring what is missing, until a backup is due: a slow line takes days for a folder."""

        def has_time() -> bool:
            if self.lease.is_to_renew:
                self.lease.renew(opened.world.lease)
            return self.clock.now() < self.next_at

        try:
            return self.around.copies().catch_up(has_time)
        except LeaseLost as error:
            self.next_at = self.clock.now()  # the backup that is due now tells whose it is
            return (error.message,)
        except MigsafeError:
            raise
        except Exception as error:  # noqa: BLE001 - a store's library; the backup is there
            return (f"{type(error).__name__}: {error}",)

    def _prune(self, opened: Opened) -> None:
        """Delete what no generation needs; what keeps it from that is told, and is no failure."""
        if self.state.stores is not None:
            self.tell.say("nothing is deleted while a store is behind")
            return
        try:
            run = self.around.new_run()
            with opened.world.journal.hold(run, 0):
                scheduled = Scheduled(opened, self.wishes.policy, run)
                held = scheduled.prune(self.wishes.generations, self._begin_to_delete)
            self.state = replace(self.state, deleting=())
        except AlreadyRunning:
            return
        except Interrupted:
            raise
        except StoreFailed as error:
            self._hold(f"not everything that is old is deleted: {error.message}")
            return
        except MigsafeError as error:
            self.tell.warn(f"nothing was deleted: {error.message}")
            return
        self._hold(f"nothing is deleted: {held}" if held else "")

    def _hold(self, why: str) -> None:
        """Tell why nothing can be deleted; where a doubtful backup is the reason that is known."""
        if why:
            self.tell.warn(why)
        doubted = self.state.doubt is not None
        held = Problem(StoreFailed.exit_code, why) if why and not doubted else None
        self.state = replace(self.state, held=held)
        if held:
            self._tell(What.FAILED, why, subject=PRUNING)
        elif not why:
            self._tell(What.SUCCEEDED, "what is old is deleted again", subject=PRUNING)

    # --- whose the backups are

    def _keep(self) -> None:
        """Hold the lease between two backups, which may be days apart."""
        if not self.lease.is_to_renew:
            return
        try:
            with self.around.open() as opened:
                self.lease.renew(opened.world.lease)
        except LeaseLost as error:
            self.tell.warn(error.message)
            self.next_at = self.clock.now()  # the backup that is due now tells whose it is
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - the next backup tells more of it
            self.lease.failed(error)

    def _release(self, opened: Opened, token: str) -> None:
        """Let another instance be filled, where all is there and nobody writes here."""
        if token and self.state.stores is None and not opened.world.database.sessions():
            self.lease.release(opened.world.lease, token)

    # --- proving

    def _verify(self, opened: Opened) -> None:
        """Prove what is due: one that does not restore keeps no other from being tried."""
        vault = opened.world.vault
        proven, problems, left = list[str](), list[Problem](), False
        for manifest in self.proving.due(vault):
            name = manifest.backup.name
            if left := self._gives_way(name):
                break
            try:
                problem = self.proving.prove(opened.world, manifest, self.around.new_run())
            except AlreadyRunning as error:
                self.tell.say(f"{name} is proven later: {error.message}")
                left = True
                break
            if problem is None:
                proven.append(name)
            else:
                problems.append(problem)
        self._note_proofs(proven, problems, left=left)
        late, why_not = self.proving.late(vault), self.proving.unprovable(vault)
        self.state = replace(self.state, verify_stale_at=late, unprovable=why_not)

    def _gives_way(self, name: str) -> bool:
        """Let a backup that is due go first; but once, or nothing were ever proven."""
        self.put_off = self.clock.now() >= self.next_at and not self.put_off
        if self.put_off:
            self.tell.say(f"{name} is not proven now: a backup is due; the next one is")
        return self.put_off

    def _note_proofs(self, proven: list[str], problems: list[Problem], *, left: bool) -> None:
        if proven:
            self.state = replace(self.state, verified=proven[-1])
        if problems:
            message = self.tell.redact("; ".join(each.message for each in problems))
            found = replace(problems[0], message=message)
            self.tell.warn(message)
            self.state = replace(self.state, verify=found)
            self._tell(What.FAILED, message, hint=found.hint, subject=VERIFY)
        elif not left:  # whatever is due was proven: what did not restore was put right by hand
            if self.state.verify is not None and not proven:
                self._tell(What.SUCCEEDED, "all that is due is proven", subject=VERIFY)
            self.state = replace(self.state, verify=None)
        for name in proven if self.state.verify is None else ():
            self._tell(What.SUCCEEDED, name, subject=VERIFY)

    # --- how it ended

    def _failed(self, error: Exception) -> None:
        problem = self._problem(error)
        self.failures += 1
        pause = min(BACKOFF * 2 ** min(self.failures - 1, 10), LONGEST_BACKOFF)
        self.next_at = min(self.next_at, self.clock.now() + timedelta(seconds=pause))
        self.state = replace(self.state, backup=problem)
        self.tell.warn(f"no backup: {problem.message}; tried again at {self._next()}")
        self._tell(What.FAILED, problem.message, hint=problem.hint)

    def _problem(self, error: Exception) -> Problem:
        redact = self.tell.redact
        if isinstance(error, MigsafeError):
            return Problem(error.status, redact(error.message), redact(error.hint))
        what = f"a bug in migsafe: {type(error).__name__}: {error}"
        return Problem(BUG, redact(what), "Please report it.")

    def _watch(self) -> None:
        """See whether the guard needs an operator now, and whether no backup came in time."""
        if self.state.stale_at is not None and self.clock.now() >= self.state.stale_at:
            self._tell(What.SILENT, f"no backup in time: the newest is {self.state.newest}")
        if self.blind or self.around.keeper.guard() != self.state.guard:
            self._note()
        self._keep()

    def _note(self) -> None:
        """Leave the state for `health`, with the times from which on it is too old."""
        guard = self.around.keeper.guard()
        if guard is not None and guard != self.state.guard:
            self.tell.warn(guard.message)
            self._tell(What.NEEDS_OPERATOR, guard.message, hint=guard.hint, subject=MIGRATION)
        if guard is None and self.state.guard is not None:
            self._tell(What.SUCCEEDED, "the last run needs nobody any more", subject=MIGRATION)
        self.state = replace(self.state, at=self.clock.now(), due_at=self.next_at, guard=guard)
        shown = self.state
        try:
            self.figures.manifests = self.around.keeper.manifests()
        except StoreFailed as error:
            self.blind = True
            shown = replace(shown, backup=Problem(error.status, error.message, error.hint))
        else:
            self.blind = False
            good = [m for m in self.figures.manifests if not m.doubts]
            shown = self.state = self._aged(self.state, good)
        self.around.keeper.save(shown)
        self.figures.publish(shown)

    def _aged(self, state: State, manifests: Sequence[Manifest]) -> State:
        newest = max(manifests, key=lambda m: m.backup.taken_at, default=None)
        if newest is None:
            return replace(state, newest="", stale_at=None)
        late = self.wishes.schedule.late(newest.backup.taken_at, self.wishes.zone)
        return replace(state, newest=newest.backup.name, stale_at=late)

    def _last(self) -> int:
        """Take a last backup: whoever writes has been stopped, and the database is there still."""
        self.around.stop.spare()
        self.tell.say("taking a last backup before the database stops")
        self.next_at = self._after(self.clock.now())
        wait = self.wishes.policy.wait.total_seconds()
        try:
            with self.around.reopen() as opened:
                self._release(opened, self._back_up(opened, wait))
        except Exception as error:  # noqa: BLE001 - what is left says how it ended
            self._failed(error)
            self._note()
            return self.state.backup.code if self.state.backup else BUG
        return 0

    def _tell(
        self,
        what: What,
        message: str,
        *,
        subject: str = BACKUP,
        hint: str = "",
        cause: str = "",
    ) -> None:
        cause = self._cause() if subject == BACKUP else cause
        details = (hint,) if hint else ()
        event = Event(what, subject, message, self.clock.now(), details=details, cause=cause)
        self.around.notices.tell(event)

    def _cause(self) -> str:
        """Tell apart what passes by itself and what is told anew: data is gone, or another's."""
        if (found := self.state.backup) and found.code in SERIOUS:
            return str(found.code)
        return "doubt" if self.state.doubt else ""


def _time(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"
