"""
The second mode: a backup whenever one is due, proven now and then, for as long as it is let.

Nothing that goes wrong ends it: it says what, turns unhealthy, deletes nothing, and tries again.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, tzinfo

from sidecar.backup_ports import NOT_YET, Copies, Vault
from sidecar.backups import Kind, Manifest
from sidecar.bulletin import Bulletin, Keeper
from sidecar.due import Rhythm
from sidecar.errors import (
    AlreadyRunning,
    Interrupted,
    LeaseHeld,
    LeaseLost,
    MigsafeError,
    StoreFailed,
)
from sidecar.gathering import Gathering
from sidecar.leaseholder import Leaseholder
from sidecar.notices import PRUNING, STORES, VERIFY, What
from sidecar.policy import Policy
from sidecar.ports import Clock, Notices, Teller
from sidecar.proving import Proving
from sidecar.retention import Generations
from sidecar.scheduled import Opened, Scheduled
from sidecar.state import Problem
from sidecar.timetable import Timetable
from sidecar.yielding import TICK, Watching


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
        self.due = Timetable(wishes.schedule, wishes.zone, self.clock, self.tell)
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
        self.bulletin = Bulletin(
            around.keeper, around.notices, self.figures, self.due, self.clock, self.tell
        )
        self.lease = Leaseholder(self.clock, self.tell, wanted=wishes.policy.refill)
        self.proving = Proving(wishes.verify, wishes.zone, wishes.policy, self.clock, self.tell)
        self.failing = set[str]()
        """The stores of which it was told that they fail."""
        self.put_off = False
        """A backup went before a proof that was due."""
        self.opened: Opened | None = None
        """The worlds, while a backup is taken, copied or proven."""

    def run(self) -> int:
        """Go on until a signal comes; return the exit code."""
        self.due.begin(self._newest())
        self.tell.say(
            f"backups: {self.wishes.schedule}, the next at {self.due};"
            f" kept: {self.wishes.generations}; proven: {self.wishes.verify or 'never'}"
        )
        self.bulletin.note()
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
            self.bulletin.note()
            raise
        except LeaseHeld as error:  # no other run of ours: nobody backs up what is here
            self._failed(error)
        except AlreadyRunning as error:
            self.due.skipped()
            self.tell.say(f"skipped, the next is at {self.due}: {error.message}")
        except Exception as error:  # noqa: BLE001 - a bug ends one backup, and not all that follow
            self._failed(error)
        self.bulletin.note()

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
            self.bulletin.change(project=opened.project)
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
            manifest = Scheduled(opened, self.wishes.policy, run).take(self.bulletin.begin)
        self.bulletin.change(taking="", backup=None, doubt=None)
        if manifest.doubts:
            self._doubt(manifest)
        self.figures.seconds = self.clock.monotonic() - started
        self.bulletin.note()  # it is there: an upload of hours makes it no older
        self._copy()
        self.bulletin.note()
        if not manifest.doubts:
            self.bulletin.announce(What.SUCCEEDED, manifest.backup.name)
        return token

    def _discard(self, vault: Vault) -> None:
        """Clear up after a service that was killed; a whole backup stays."""
        if self.bulletin.state.taking:
            vault.discard(self.bulletin.state.taking)

    def _doubt(self, manifest: Manifest) -> None:
        what = "; ".join(manifest.doubts[:5])
        self.tell.warn(f"{manifest.backup.name} is doubtful: {what}; nothing is deleted")
        hint = (
            "Nothing is deleted meanwhile. Was it meant? `docker compose run --rm migsafe backup`"
            " says so. Do rows come and go there, as in a queue? Name it in MIGSAFE_LOSS_ALLOWED."
            " Else `docker compose run --rm migsafe restore` shows what there was."
        )
        doubt = self.bulletin.trouble(17, f"data has vanished: {what}", hint)
        self.bulletin.change(doubt=doubt)
        self.bulletin.announce(What.FAILED, doubt.message, hint=hint)

    def _copy(self) -> None:
        """Bring to every store what is not there, of the backups before this one, too."""
        # two instances must not mix what they bring to one place
        self._note_stores((self.lease.unknown,) if self.lease.unknown else self._brought())
        if self.bulletin.state.stores is None:
            self.bulletin.announce(What.SUCCEEDED, "every backup is in every store", subject=STORES)

    def _try_stores(self) -> None:
        """Write to each: what a key may not is told at the start, and not when it is due."""
        if self.due.is_due:
            return
        if found := self._asked(lambda: self.around.copies().complaints()):
            self._note_stores(found)
            self.bulletin.note()

    def _note_stores(self, complaints: tuple[str, ...]) -> None:
        for complaint in complaints:
            self.tell.warn(complaint)
        if not complaints:
            self.failing = set()
            self.bulletin.change(stores=None)
            return
        found = self.bulletin.trouble(StoreFailed.exit_code, "; ".join(complaints))
        self.bulletin.change(stores=found)
        self.failing |= {each.partition(": ")[0] for each in complaints} - {NOT_YET}
        cause = ", ".join(sorted(self.failing))
        self.bulletin.announce(What.FAILED, found.message, subject=STORES, cause=cause)

    def _brought(self) -> tuple[str, ...]:
        """Bring what is missing, until a backup is due: a slow line takes days for a folder."""

        def has_time() -> bool:
            self._keep()
            return not self.due.is_due

        return self._asked(lambda: self.around.copies().catch_up(has_time))

    def _asked(self, ask: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """Ask the stores, of which none may cost a backup; return what is wrong with them."""
        try:
            return ask()
        except (AlreadyRunning, Interrupted):
            raise
        except MigsafeError as error:
            return (error.message,)
        except Exception as error:  # noqa: BLE001 - a store's library; the backup is there
            return (f"{type(error).__name__}: {error}",)

    def _prune(self, opened: Opened) -> None:
        """Delete what no generation needs; what keeps it from that is told, and is no failure."""
        if self.bulletin.state.stores is not None:
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
            self.tell.warn(f"not everything that is old is deleted: {error.message}")
            return
        except Exception as error:  # noqa: BLE001 - a store's library; the backup is there
            self._tell_held(f"not all that is old is deleted: {type(error).__name__}: {error}")
            return
        self._tell_held(f"nothing is deleted: {held}" if held else "")

    def _tell_held(self, why: str) -> None:
        """Tell why nothing can be deleted; where a doubtful backup is the reason that is known."""
        if why:
            self.tell.warn(why)
        doubted = self.bulletin.state.doubt is not None
        held = self.bulletin.trouble(StoreFailed.exit_code, why) if why and not doubted else None
        self.bulletin.change(held=held)
        if held:
            self.bulletin.announce(What.FAILED, held.message, subject=PRUNING)
        elif not why:
            self.bulletin.announce(What.SUCCEEDED, "what is old is deleted again", subject=PRUNING)

    # --- meanwhile

    def _watch(self) -> None:
        """See to what can't wait until a backup, a copy or a proof has ended."""
        self.bulletin.watch()
        self._keep()

    def _keep(self) -> None:
        """
        Hold the lease meanwhile: two backups may be days apart, and an upload take hours.

        Raises:
            LeaseLost: another instance has it, and here something is still being done.
            Interrupted: a signal came.

        """
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
            if self.opened is not None:
                raise
        except Interrupted:
            raise
        except Exception as error:  # noqa: BLE001 - the next backup tells more of it
            self.lease.failed(error)

    def _release(self, opened: Opened, token: str) -> None:
        """Let another instance be filled, where all is there and nobody writes here."""
        if token and self.bulletin.state.stores is None and not opened.world.database.sessions():
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
            except (AlreadyRunning, LeaseLost) as error:
                self.tell.say(f"{name} is proven later: {error.message}")
                left = True
                break
            if problem is None:
                proven.append(name)
            else:
                problems.append(problem)
        self._note_proofs(proven, problems, left=left)
        late, why_not = self.proving.late(vault), self.proving.unprovable(vault)
        self.bulletin.change(verify_stale_at=late, unprovable=why_not)

    def _gives_way(self, name: str) -> bool:
        """Let a backup that is due go first; but once, or nothing were ever proven."""
        self.put_off = self.due.is_due and not self.put_off
        if self.put_off:
            self.tell.say(f"{name} is not proven now: a backup is due; the next one is")
        return self.put_off

    def _note_proofs(self, proven: list[str], problems: list[Problem], *, left: bool) -> None:
        if proven:
            self.bulletin.change(verified=proven[-1])
        if problems:
            message = "; ".join(each.message for each in problems)
            found = self.bulletin.trouble(problems[0].code, message, problems[0].hint)
            self.tell.warn(found.message)
            self.bulletin.change(verify=found)
            self.bulletin.announce(What.FAILED, found.message, hint=found.hint, subject=VERIFY)
        elif not left:  # whatever is due was proven: what did not restore was put right by hand
            if self.bulletin.state.verify is not None and not proven:
                self.bulletin.announce(What.SUCCEEDED, "all that is due is proven", subject=VERIFY)
            self.bulletin.change(verify=None)
        for name in proven if self.bulletin.state.verify is None else ():
            self.bulletin.announce(What.SUCCEEDED, name, subject=VERIFY)

    # --- how it ended

    def _failed(self, error: Exception, *, last: bool = False) -> None:
        problem = self.bulletin.problem(error)
        self.due.failed()
        self.bulletin.change(backup=problem)
        again = "" if last else f"; tried again at {self.due}"
        self.tell.warn(f"no backup: {problem.message}{again}")
        self.bulletin.announce(What.FAILED, problem.message, hint=problem.hint)

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
                self.tell.warn(f"the lease is not released: {self.bulletin.problem(error).message}")
                return 0
            self._failed(error, last=True)
            self.bulletin.note()
            return self.bulletin.problem(error).code
        return 0
