"""
The second mode: a backup whenever one is due, proven now and then, for as long as it is let.

Nothing that goes wrong ends it: it says what, turns unhealthy, deletes nothing, and tries again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
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
from sidecar.ports import Clock, Notices, Teller
from sidecar.proving import Proving
from sidecar.retention import Generations
from sidecar.scheduled import Opened, Scheduled
from sidecar.state import Problem, State
from sidecar.timetable import Timetable
from sidecar.yielding import TICK, Watching

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
    stop: Watching
    new_run: Callable[[], str]


class Schedule:
    """Takes a backup whenever one is due."""

    def __init__(self, wishes: Wishes, around: Around) -> None:
        self.wishes = wishes
        self.around = around
        self.clock = around.clock
        self.tell = around.tell
        self.state = replace(around.keeper.load(), schedule=wishes.schedule.text)
        self.due = Timetable(wishes.schedule, wishes.zone, self.clock, self.tell)
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
        self.opened: Opened | None = None
        """The worlds, while a backup is taken, copied or proven."""

    def run(self) -> int:
        """Go on until a signal comes; return the exit code."""
        self.due.begin(self._newest())
        self.tell.say(
            f"backups: {self.wishes.schedule}, the next at {self.due};"
            f" kept: {self.wishes.generations}; proven: {self.wishes.verify or 'never'}"
        )
        self._note()
        try:
            self._try_stores()
            while True:
                self._wait()
                self.round()
        except Interrupted:
            self.tell.say("asked to stop")
        return self._last() if self.wishes.final else 0

    def round(self) -> None:
        """Do what is due, and whatever happens note how it ended."""
        self.due.advance()
        self.figures.begin()
        try:
            self._do()
            self.due.well()
        except Interrupted:
            self._note()
            raise
        except LeaseHeld as error:  # no other run of ours: nobody backs up what is here
            self._failed(error)
        except AlreadyRunning as error:
            self.due.skipped()
            self.tell.say(f"skipped, the next is at {self.due}: {error.message}")
        except Exception as error:  # noqa: BLE001 - a bug ends one backup, and not all that follow
            self._failed(error)
        self._note()

    def _newest(self) -> datetime | None:
        try:
            found = self.around.keeper.manifests()
        except StoreFailed:
            return None
        scheduled = (m.backup.taken_at for m in found if m.backup.kind is Kind.SCHEDULED)
        return max(scheduled, default=None)

    def _wait(self) -> None:
        while (left := self.due.left()) > 0:
            # a machine may sleep, and clocks are set: what is waited for is counted anew
            self.around.stop.wait(min(left, TICK))
            self._watch()
        self.around.stop.check()

    # --- what

    def _do(self) -> None:
        with self._opened(self.around.open) as opened:
            self.state = replace(self.state, project=opened.project)
            try:
                self._back_up(opened, wait=0)
                self._prune(opened)
                self._verify(opened)
            except (AlreadyRunning, Interrupted):
                raise
            except MigsafeError:
                self.figures.look(opened)
                raise
            self.figures.look(opened)

    @contextmanager
    def _opened(
        self, open_worlds: Callable[[], AbstractContextManager[Opened]]
    ) -> Iterator[Opened]:
        stop = self.around.stop
        with open_worlds() as opened:
            self.opened, stop.look = opened, self._watch
            try:
                yield opened
            finally:
                self.opened = stop.look = None

    def _back_up(self, opened: Opened, wait: float) -> str:
        """Take a backup, and return the token of the lease that it was taken under."""
        run, started = self.around.new_run(), self.clock.monotonic()
        vault = opened.world.vault
        with opened.world.journal.hold(run, wait):
            token = self.lease.take(opened.world.lease)
            self._discard(vault)
            manifest = Scheduled(opened, self.wishes.policy, run).take(self._begin)
        self.state = replace(self.state, taking="", backup=None, doubt=None)
        if manifest.doubts:
            self._doubt(manifest)
        self.figures.seconds = self.clock.monotonic() - started
        self._note()  # it is there: an upload of hours makes it no older
        self._copy()
        self._note()
        if not manifest.doubts:
            self._tell(What.SUCCEEDED, manifest.backup.name)
        return token

    def _begin(self, name: str) -> None:
        """Leave the name before anything is written under it: who kills us leaves half a file."""
        self._tell(What.STARTED, "a backup was begun")  # and not before: it might be skipped yet
        self.state = replace(self.state, taking=name)
        self.around.keeper.save(self.state)

    def _discard(self, vault: Vault) -> None:
        """Clear up after a service that was killed; a whole backup stays."""
        if self.state.taking:
            vault.discard(self.state.taking)

    def _doubt(self, manifest: Manifest) -> None:
        what = "; ".join(manifest.doubts[:5])
        self.tell.warn(f"{manifest.backup.name} is doubtful: {what}; nothing is deleted")
        hint = (
            "Nothing is deleted meanwhile. Was it meant? `docker compose run --rm migsafe backup`"
            " says so. Do rows come and go there, as in a queue? Name it in MIGSAFE_LOSS_ALLOWED."
            " Else `docker compose run --rm migsafe restore` shows what there was."
        )
        doubt = self._trouble(17, f"data has vanished: {what}", hint)
        self.state = replace(self.state, doubt=doubt)
        self._tell(What.FAILED, doubt.message, hint=hint)

    def _copy(self) -> None:
        """Bring to every store what is not there, of the backups before this one, too."""
        # two instances must not mix what they bring to one place
        self._note_stores((self.lease.unknown,) if self.lease.unknown else self._brought())
        if self.state.stores is None:
            self._tell(What.SUCCEEDED, "every backup is in every store", subject=STORES)

    def _try_stores(self) -> None:
        """Write to each: what a key may not is told at the start, and not when it is due."""
        if not self.due.is_due and (
            found := self._asked(lambda: self.around.copies().complaints())
        ):
            self._note_stores(found)
            self._note()

    def _note_stores(self, complaints: tuple[str, ...]) -> None:
        for complaint in complaints:
            self.tell.warn(complaint)
        problem = (
            self._trouble(StoreFailed.exit_code, "; ".join(complaints)) if complaints else None
        )
        self.state = replace(self.state, stores=problem)
        self.failing |= {each.partition(": ")[0] for each in complaints} - {NOT_YET}
        if problem:
            cause = ", ".join(sorted(self.failing))
            self._tell(What.FAILED, problem.message, subject=STORES, cause=cause)
        else:
            self.failing = set()

    def _brought(self) -> tuple[str, ...]:
        """Bring what is missing, until a backup is due: a slow line takes days for a folder."""

        def has_time() -> bool:
            self._keep()
            if self.lease.lost:
                raise LeaseLost(self.lease.lost)
            return not self.due.is_due

        return self._asked(lambda: self.around.copies().catch_up(has_time))

    def _asked(self, ask: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """Ask the stores, of which none may cost a backup; return what is wrong with them."""
        try:
            return ask()
        except LeaseLost as error:
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
                held = Scheduled(opened, self.wishes.policy, run).prune(self.wishes.generations)
        except AlreadyRunning:
            return
        except Interrupted:
            raise
        except StoreFailed as error:
            self._tell_held(f"not everything that is old is deleted: {error.message}")
            return
        except MigsafeError as error:
            self.tell.warn(f"nothing was deleted: {error.message}")
            return
        except Exception as error:  # noqa: BLE001 - a store's library; the backup is there
            self._tell_held(f"not all that is old is deleted: {type(error).__name__}: {error}")
            return
        self._tell_held(f"nothing is deleted: {held}" if held else "")

    def _tell_held(self, why: str) -> None:
        """Tell why nothing can be deleted; where a doubtful backup is the reason that is known."""
        if why:
            self.tell.warn(why)
        doubted = self.state.doubt is not None
        held = self._trouble(StoreFailed.exit_code, why) if why and not doubted else None
        self.state = replace(self.state, held=held)
        if held:
            self._tell(What.FAILED, held.message, subject=PRUNING)
        elif not why:
            self._tell(What.SUCCEEDED, "what is old is deleted again", subject=PRUNING)

    # --- whose the backups are

    def _keep(self) -> None:
        """Hold the lease meanwhile: two backups may be days apart, and an upload take hours."""
        if not self.lease.is_to_renew:
            return
        try:
            if self.opened is not None:
                self.lease.renew(self.opened.world.lease)
            else:
                with self.around.open() as opened:
                    self.lease.renew(opened.world.lease)
        except LeaseLost as error:
            self.tell.warn(error.message)
            self.due.at_once()  # the backup that is due now tells whose it is
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
        self.put_off = self.due.is_due and not self.put_off
        if self.put_off:
            self.tell.say(f"{name} is not proven now: a backup is due; the next one is")
        return self.put_off

    def _note_proofs(self, proven: list[str], problems: list[Problem], *, left: bool) -> None:
        if proven:
            self.state = replace(self.state, verified=proven[-1])
        if problems:
            message = "; ".join(each.message for each in problems)
            found = self._trouble(problems[0].code, message, problems[0].hint)
            self.tell.warn(found.message)
            self.state = replace(self.state, verify=found)
            self._tell(What.FAILED, found.message, hint=found.hint, subject=VERIFY)
        elif not left:  # whatever is due was proven: what did not restore was put right by hand
            if self.state.verify is not None and not proven:
                self._tell(What.SUCCEEDED, "all that is due is proven", subject=VERIFY)
            self.state = replace(self.state, verify=None)
        for name in proven if self.state.verify is None else ():
            self._tell(What.SUCCEEDED, name, subject=VERIFY)

    # --- how it ended

    def _failed(self, error: Exception, *, last: bool = False) -> None:
        problem = self._problem(error)
        self.due.failed()
        self.state = replace(self.state, backup=problem)
        again = "" if last else f"; tried again at {self.due}"
        self.tell.warn(f"no backup: {problem.message}{again}")
        self._tell(What.FAILED, problem.message, hint=problem.hint)

    def _problem(self, error: Exception) -> Problem:
        if isinstance(error, MigsafeError):
            return self._trouble(error.status, error.message, error.hint)
        what = f"a bug in migsafe: {type(error).__name__}: {error}"
        return self._trouble(BUG, what, "Please report it.")

    def _trouble(self, code: int, message: str, hint: str = "") -> Problem:
        """Write down what is wrong: others read it, so it holds no secret."""
        return Problem(code, self.tell.redact(message), self.tell.redact(hint))

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
        self.state = replace(self.state, at=self.clock.now(), due_at=self.due.next_at, guard=guard)
        shown = self.state
        try:
            self.figures.manifests = self.around.keeper.manifests()
        except StoreFailed as error:
            self.blind = True
            shown = replace(shown, backup=self._problem(error))
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
        name, taken_at, now = newest.backup.name, newest.backup.taken_at, self.clock.now()
        late = self.due.late(min(taken_at, now))
        if taken_at > now and name == state.newest and state.stale_at is not None:
            late = min(late, state.stale_at)  # of the future, it would never grow old
        return replace(state, newest=name, stale_at=late)

    def _last(self) -> int:
        """Take a last backup: whoever writes has been stopped, and the database is there still."""
        self.around.stop.spare()
        self.tell.say("taking a last backup before the database stops")
        self.due.advance()
        wait, done = self.wishes.policy.wait.total_seconds(), False
        try:
            with self._opened(self.around.reopen) as opened:
                token, done = self._back_up(opened, wait), True
                self._release(opened, token)
        except Exception as error:  # noqa: BLE001 - what is left says how it ended
            if done:
                self.tell.warn(f"the lease is not released: {self._problem(error).message}")
                return 0
            self._failed(error, last=True)
            self._note()
            return self._problem(error).code
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
