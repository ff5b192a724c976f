"""The migration itself: start it, learn how it ended, and prove what it did."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sidecar import excerpt, presets, proof
from sidecar.errors import (
    DatabaseMissing,
    DatabaseUnavailable,
    DeadlineExceeded,
    Interrupted,
    MigrationFailed,
    MigrationInterrupted,
    ProofFailed,
    RollbackPending,
)
from sidecar.facts import Contents, Exit, Look, Session
from sidecar.plan import Failure, Phase, Run
from sidecar.policy import Policy
from sidecar.ports import World
from sidecar.presets import Check, Pending
from sidecar.proof import OnLoss
from sidecar.recipe import Recipe, brief

MOMENT = 0.3
"""Seconds between two looks at who is connected."""

CHECK_SECONDS = 120
"""A check boots the app once and reads the ledger."""


def application(run: str) -> str:
    """Name the sessions of a run's migration, for programs that use libpq."""
    return f"migsafe-{run}"


def who_stays(world: World, looks: int) -> tuple[Session, ...]:
    """
    Look several times who is on the database; nobody, where one look finds nobody.

    A healthcheck such as pg_isready is there for a moment only.
    """
    for _ in range(looks - 1):
        if not world.database.sessions():
            return ()
        world.clock.sleep(MOMENT)
    return world.database.sessions()


class Migration:
    """One migration in a container of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.journal = world.journal
        self.database = world.database
        self.engine = world.engine
        self.tell = world.tell
        self.wrote_nothing = False
        """The server provably gave no transaction id to anybody while the migration ran."""
        self._first_transaction: int | None = None

    def start(self, run: Run, command: Sequence[str]) -> None:
        """Start the container, once its intent is journalled."""
        self.journal.append(run.id, Phase.MIGRATING, **self._others(run))
        self.engine.make_migration(run.id, command)
        try:
            # asked in the session of the lock: without it nothing starts. Who has the lock after
            # us removes what was made, and so it can't start later, either.
            self._first_transaction = self.database.next_transaction()
        except DatabaseUnavailable:
            self.engine.end_migration(run.id)
            raise
        self.engine.start_migration(run.id)
        addresses = sorted(self.engine.addresses(run.id))
        # a container that has ended no longer tells which addresses it had
        self.journal.append(
            run.id,
            Phase.MIGRATING,
            addresses=addresses,
            first_transaction=self._first_transaction,
        )

    def conclude(self, run: Run, policy: Policy) -> Look | Failure:
        """Wait for the end; return the migrated database, or why it is to be put back."""
        return self._ended(run) or self._prove(run, policy)

    def none_pending(self, run: str, recipe: Recipe) -> bool:
        """Ask the framework whether anything is to be migrated; unsure means that there is."""
        if recipe.check is None:
            return False
        return self._ask(run, recipe.check, read_only=True) is Pending.NONE

    def _others(self, run: Run) -> dict[str, list[str]]:
        """Name who is there already, where nothing else tells the sessions of the migration."""
        if not run.outside:
            return {}
        return {"others": [session.title for session in self.database.sessions()]}

    # --- how it ended

    def _ended(self, run: Run) -> Failure | None:
        if run.exited:
            return _failure_of(run, _recorded(run))
        ended = self._follow(run)
        self.engine.end_migration(run.id)
        self._silence(run)
        if run.handed_over:  # it was another process that looked before the migration
            self._first_transaction = run.detail.get("first_transaction")
        self._weigh()
        if isinstance(ended, Failure):
            return ended
        self.journal.append(
            run.id,
            Phase.EXITED,
            exit_code=ended.code,
            out_of_memory=ended.out_of_memory,
            engine_error=self.tell.redact(ended.error),
            seconds=ended.seconds,
            tail=[self.tell.redact(line) for line in ended.tail],
            passing=ended.passing,
        )
        return _failure_of(run, ended)

    def _follow(self, run: Run) -> Exit | Failure:
        passed = (self.world.clock.now() - (run.migrating_at or run.ended_at)).total_seconds()
        deadline = float(run.detail["deadline"])
        try:
            with self.tell.progress("migrate"):
                ended = self.engine.follow_migration(
                    run.id, max(deadline - passed, 0.0), self.tell.output, self.world.stop
                )
        except DeadlineExceeded:
            return Failure(
                DeadlineExceeded.exit_code,
                f"the migration was stopped: it ran longer than {deadline:.0f} s",
            )
        except Interrupted:
            return Failure(
                MigrationInterrupted.exit_code, "the migration was stopped: migsafe got a signal"
            )
        if ended is None:
            return Failure(
                MigrationInterrupted.exit_code,
                "the migration was interrupted: there is"
                f" {'nothing' if run.outside else 'no container'} that tells how it ended",
            )
        return replace(ended, tail=excerpt.shorten(ended.tail))

    def _silence(self, run: Run) -> None:
        """
        End the migration's server sessions.

        A killed client's statement runs on in the server, and may commit seconds later.
        """
        addresses = self.engine.addresses(run.id) | set(run.detail.get("addresses", ()))
        mine = [s for s in self.database.sessions() if _belongs(s, run, addresses)]
        left = self.database.end_sessions(session.pid for session in mine)
        if left:
            raise RollbackPending(
                f"sessions of the migration can't be ended: {'; '.join(s.title for s in left)}",
                hint="End them on the server, then start again: the next run finds out what the"
                " migration did.",
            )

    def _weigh(self) -> None:
        """Compare the server's transaction ids; one of them is the journal's own entry."""
        first = self._first_transaction
        own = 1
        self.wrote_nothing = (
            first is not None
            # a transaction that is still open has not been counted
            and not who_stays(self.world, looks=3)
            and 0 <= self.database.next_transaction() - first <= own
        )

    # --- what it did

    def _prove(self, run: Run, policy: Policy) -> Look | Failure:
        before = look_before(run)
        try:
            after = self.database.look()
        except DatabaseMissing as error:
            return Failure(ProofFailed.exit_code, f"the migration succeeded, but {error.message}")
        self._tell_outside(before, after)
        complaints = (
            *proof.migrated(before, after, moves=_moves(run)),
            *self._pending(run),
            *self._checks(run, policy),
            *self._losses(run, policy),
        )
        if complaints:
            reason = f"the migration exited with 0, but {'; '.join(complaints)}"
            return Failure(ProofFailed.exit_code, reason, tuple(run.detail.get("tail", ())))
        return after

    def _tell_outside(self, before: Look, after: Look) -> None:
        for change in proof.outside(before, after):
            self.tell.warn(f"the migration reached beyond its database: {change}")

    def _pending(self, run: Run) -> Iterable[str]:
        check = presets.by_name(str(run.named("preset"))).check
        if check is None or run.handed_over:  # the app's code is not at hand
            return ()
        match self._ask(run.id, check):
            case Pending.SOME:
                return (f"{shlex.join(check.argv)} says that migrations are still pending",)
            case Pending.UNKNOWN:
                self.tell.warn(f"{shlex.join(check.argv)} did not tell whether any are pending")
        return ()

    def _ask(self, run: str, check: Check, *, read_only: bool = False) -> Pending:
        ended = self.engine.run_check(run, check.argv, CHECK_SECONDS, read_only=read_only)
        if ended.error or ended.out_of_memory:
            return Pending.UNKNOWN
        return check.verdict(ended.code, "\n".join(ended.tail))

    def _checks(self, run: Run, policy: Policy) -> Iterable[str]:
        command = policy.wishes.check
        if command:
            ended = self.engine.run_check(run.id, command, CHECK_SECONDS)
            if not ended.good:
                yield f"the check {brief(command)} {how(ended)}"
        for statement in policy.assertions:
            if complaint := self.database.assertion(statement):
                yield f"{complaint}: {statement}"

    def _losses(self, run: Run, policy: Policy) -> tuple[str, ...]:
        found = proof.losses(contents_before(run), self.database.contents(), policy.loss)
        if policy.loss.on_loss is OnLoss.FAIL:
            return found
        for loss in found:
            self.tell.warn(f"data loss: {loss}")
        return ()


def look_before(run: Run) -> Look:
    """Read the state before the migration back from the journal."""
    return Look.of(run.detail["look"])


def contents_before(run: Run) -> Contents:
    """Read the rows before the migration back from the journal."""
    return Contents.of(run.detail["contents"])


def how(ended: Exit) -> str:
    """Tell how a container ended."""
    if ended.error:
        return f"did not start: {ended.error}"
    killed = " (out of memory)" if ended.out_of_memory else ""
    return f"exited with {ended.code}{killed}"


def _failure_of(run: Run, ended: Exit) -> Failure | None:
    if ended.good:
        return None
    reason = f"{brief(run.key.command) or 'the migration'} {how(ended)}"
    if ended.passing:
        return Failure(MigrationInterrupted.exit_code, reason)
    return Failure(MigrationFailed.exit_code, reason, ended.tail)


def _recorded(run: Run) -> Exit:
    d = run.detail
    return Exit(
        d["exit_code"],
        d["out_of_memory"],
        d["engine_error"],
        d["seconds"],
        tuple(d["tail"]),
        passing=d.get("passing", False),
    )


def _belongs(session: Session, run: Run, addresses: frozenset[str]) -> bool:
    if session.application == application(run.id) or session.address in addresses:
        return True
    # where no engine tells addresses, it may be any that was not there before
    return run.outside and session.title not in run.detail.get("others", ())


def _moves(run: Run) -> bool:
    ledger = presets.by_name(str(run.named("preset"))).ledger
    return ledger is None or ledger.moves
