"""
The guarded migration: lock, recover, look, back up, migrate, prove; commit or roll back.

Intent is journalled before an act and the outcome after it, so that a guard that is started after
any crash knows where the last one stopped (``plan.resume``).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sidecar import gate, preflight, proof, takeover
from sidecar.aftermath import Aftermath
from sidecar.backups import Manifest
from sidecar.errors import (
    BUG,
    DatabaseLost,
    DatabaseUnavailable,
    NothingChangedError,
    RollbackPending,
    RolledBackError,
)
from sidecar.facts import App, Look
from sidecar.migration import Migration, look_before
from sidecar.plan import (
    Conclude,
    Failure,
    Key,
    Phase,
    Report,
    RollBack,
    Run,
    StartOver,
    fold,
    run_of,
)
from sidecar.policy import AfterFailure, Policy, RestorePoint
from sidecar.ports import World
from sidecar.preparation import Preparation, hold_backups
from sidecar.recipe import Recipe, choose
from sidecar.rollback import Rollback


@dataclass(frozen=True)
class Done:
    """How a run that did not fail ended."""

    run: Run | None
    """None when there was nothing to do."""
    app: App
    look: Look


class Guard:
    """One execution, from the lock to its release."""

    def __init__(self, world: World, policy: Policy, run: str) -> None:
        self.world = world
        self.policy = policy
        self.run_id = run
        self.journal = world.journal
        self.database = world.database
        self.engine = world.engine
        self.tell = world.tell
        self.aftermath = Aftermath(world)
        self.preparation = Preparation(world, policy, run)
        self.migration = Migration(world)
        self.rollback = Rollback(world)

    def run(self) -> Done:
        """
        Bring the database to where the app may start.

        Raises:
            MigsafeError: the app may not start; the class says what state the data is in.

        """
        with self.settled() as app:
            return self.migrate(app)

    @contextmanager
    def settled(self) -> Iterator[App]:
        """Hold the lock, once earlier runs are at their end, and an empty database was filled."""
        with self.journal.hold(self.run_id, self.policy.wait.total_seconds()):
            app = self.engine.app()
            self._recover(app)
            if self.policy.refill:
                from sidecar.refill import Refill  # noqa: PLC0415 - only in RAM mode

                Refill(self.world, self.policy, self.run_id).run(app)
            yield app

    def _recover(self, app: App) -> None:
        """Bring a run that was killed to the end that it would have had."""
        match self.aftermath.settle():
            case StartOver():
                return
            case Conclude(run) if run.awaited and self.engine.claim(run.id):
                self.aftermath.close(run)
            case Conclude(run):
                takeover.allow(self.world, run)
                self.tell.warn(f"run {run.id} was cut off while it migrated: concluding it")
                if self._unless_replaced(run, app, self.conclude):
                    self.tell.say(f"run {run.id} is concluded: it had migrated, and is proven")
            case RollBack(run) if self._repaired(run):
                self.tell.warn(f"run {run.id} was put right by hand: going on with what is there")
                self.journal.append(run.id, Phase.ABANDONED, reason="put right by hand")
                self.aftermath.clear(run)
            case RollBack(run):
                self.tell.warn(f"run {run.id} was cut off while it rolled back: finishing it")
                self._unless_replaced(run, app, self.put_back)
            case Report(run):
                raise self.rollback.report(run)

    def _repaired(self, run: Run) -> bool:
        """Tell whether an operator has decided which database is the right one."""
        try:
            original = self.database.look().oid == look_before(run).oid
        except DatabaseUnavailable:
            return False
        if run.phase is Phase.STRANDED:
            return not original
        # the journal says that the copy was swapped in: the operator has dropped it instead
        copy = run.named("swapped_in")
        return copy is not None and original and not self.database.exists(copy)

    def _unless_replaced(self, run: Run, app: App, finish: Callable[[Run], Run]) -> bool:
        """
        Finish a run, and tell whether it succeeded.

        Its failure is this run's failure too, unless the image was replaced meanwhile.
        """
        try:
            with past_the_start():
                # whoever was started since must not write to what may be put back
                self.preparation.stop_users(run.id)
                finish(self._reread(run))
        except RolledBackError as failure:
            if run.key.image == app.image:
                raise
            self.tell.warn(f"the earlier run failed: {failure.message}; the image is another now")
            return False
        return True

    def migrate(self, app: App) -> Done:
        """Guard one migration; the lock is held."""
        look = self.database.look()
        recipe = choose(self.policy.wishes, look, app, self.engine.has_file)
        if not self.make_ready(app, look, recipe):
            return Done(None, app, look)
        with past_the_start():
            self.tell.say(f"migrate: {recipe.title}")
            self.migration.start(self.present(), recipe.command)
            return Done(self.conclude(self.present()), app, look)

    def make_ready(self, app: App, look: Look, recipe: Recipe) -> bool:
        """
        Make the way back of a migration; False where there is nothing to do.

        Raises:
            NothingChangedError: it should not be started, and why.

        """
        runs = fold(self.journal.entries())
        found = gate.Found(_key(app, look, recipe), look, runs, app.code_mounts)
        if self._nothing_to_do(found, recipe):
            hold_backups(self.world)
            self.aftermath.start_restored(runs)
            return False
        self._refuse(found)
        self.world.lease.take()
        self.preparation.preflight(look)
        self._begin(found, app, recipe)
        self._prepare(found)
        return True

    # --- look

    def _refuse(self, found: gate.Found) -> None:
        try:
            gate.refuse(
                found,
                self._backups(found.look),
                initialise=self.policy.initialise,
                refill=self.policy.refill,
                loaded_from=self._loaded_from,
            )
        except DatabaseLost as lost:
            here = {m.backup.name for m in self.world.vault.manifests()}
            lost.afar = bool(lost.backup) and lost.backup not in here
            raise

    def _backups(self, look: Look) -> tuple[Manifest, ...]:
        """List the backups: where the database is empty, those that are only elsewhere, too."""
        vault = self.world.vault
        return vault.everywhere() if look.empty else vault.manifests()

    def _nothing_to_do(self, found: gate.Found, recipe: Recipe) -> bool:
        match gate.settled(found):
            case gate.Answer.NOTHING:
                return True
            case gate.Answer.ASK:
                # under one name for all runs: what a killed one left behind is replaced
                return self.migration.none_pending("pending", recipe)
            case gate.Answer.MIGRATE:
                return False

    def _loaded_from(self, backup: Manifest) -> bool:
        """Tell whether an operator has loaded a backup into a database that was lost."""
        mine, theirs = self.database.contents(), backup.contents
        if backup.database != self.database.look().database or mine.catalog != theirs.catalog:
            return False
        if proof.same_rows(theirs, mine):
            return False
        self.tell.say(f"the database holds exactly what {backup.backup.name} does")
        return True

    # --- before the migration: nothing of the app's has been changed

    def _begin(self, found: gate.Found, app: App, recipe: Recipe) -> None:
        look, host = found.look, self.engine.this_host()
        self.tell.say(
            f"guarding {app.title}, {recipe.preset.title}:"
            f" {look.database!r}, {preflight.mega(look.size)}, PostgreSQL {look.server.short}"
        )
        # a run that was killed at its very end has told nobody
        kept = [name for run in found.runs if (name := run.named("kept")) in look.databases]
        if kept:
            self.tell.say(f"kept from earlier runs: {', '.join(map(str, kept))}")
        self.journal.append(
            self.run_id,
            Phase.STARTED,
            image=app.image,
            image_name=app.image_name,
            service=app.service,
            project=app.project,
            engine=host.id,
            host=host.name,
            images=dict(app.images),
            command=list(recipe.shown),
            preset=recipe.preset.name,
            ledger=found.key.ledger,
            system=found.key.system,
            deadline=self.policy.deadline.total_seconds(),
            resumes=self.policy.after_failure is AfterFailure.RESUME,
            **({"by": host.by} if host.by else {}),
        )

    def _prepare(self, found: gate.Found) -> None:
        try:
            self.preparation.prepare(found)
            # a large backup takes its time: whoever came meanwhile is filled from an older one
            self.world.lease.renew()
        except NothingChangedError as error:
            self._abandon(error.exit_code, error.message)
            raise
        except Exception as error:
            self._abandon(BUG, f"a bug: {error}")
            raise

    def _abandon(self, code: int, reason: str) -> None:
        """Leave as found; what fails here must not hide the first error."""
        try:
            self._leave(code, reason)
        except NothingChangedError as second:
            self.tell.warn(f"while leaving: {second.message}")
            self._leave_with_lock(code, reason)

    def _leave_with_lock(self, code: int, reason: str) -> None:
        """Leave as found, unless another run may have taken over what was stopped."""
        try:
            if self.journal.regain(self.run_id):
                self._leave(code, reason)
                return
        except NothingChangedError as third:
            self.tell.warn(f"while leaving: {third.message}")
        stopped = ", ".join(self.preparation.stopped)
        left = f"; left stopped until then: {stopped}" if stopped else ""
        self.tell.warn(f"the next run clears up{left}")

    def _leave(self, code: int, reason: str) -> None:
        self.journal.append(self.run_id, Phase.ABANDONED, code=code, reason=reason)
        run = self.present()
        self.aftermath.start_again(run)
        self.aftermath.clear(run)

    # --- migrate and conclude

    def conclude(self, run: Run) -> Run:
        """Find out how the migration ended; commit, or roll back and raise its failure."""
        ended = self.migration.conclude(run, self.policy)
        if isinstance(ended, Failure):
            self.rollback.decide(run, ended)
            return self.put_back(self._reread(run))
        policy_keeps = self.policy.restore_point is RestorePoint.KEEP
        self.journal.append(
            run.id,
            Phase.COMMITTED,
            ledger_after=ended.ledger.fingerprint,
            versions_after=list(ended.ledger.versions),
            keeps_point=policy_keeps and "restore_point_oid" in run.detail,
        )
        run = self._reread(run)
        self.aftermath.start_again(run)
        self.aftermath.clear(run)
        self._copy(run)
        self.aftermath.tidy(run, self.policy.keep)
        return run

    def put_back(self, run: Run) -> Run:
        """Roll back, then raise the failure that made it necessary."""
        error = self.rollback.finish(run, unchanged=self.migration.wrote_nothing)
        run = self._reread(run)
        if run.resumes:
            self.aftermath.start_again(run)
        self.aftermath.clear(run)
        self._copy(run)
        raise error

    def _copy(self, run: Run) -> None:
        """Bring the backup to every store, unless that was done before the migration."""
        if not self.world.copies.required:
            self.aftermath.copy(run)

    def present(self) -> Run:
        """Read this run back from the journal."""
        return self._reread_by(self.run_id)

    def _reread(self, run: Run) -> Run:
        return self._reread_by(run.id)

    def _reread_by(self, run_id: str) -> Run:
        return run_of(self.journal.entries(), run_id)


@contextmanager
def past_the_start() -> Iterator[None]:
    """From here on, "nothing was changed" is no longer true: the next run has to finish."""
    try:
        yield
    except NothingChangedError as error:
        raise RollbackPending(
            f"stopped in the middle of a run: {error.message}",
            hint="The next start finds out how the migration ended, and puts the database right"
            " by itself.",
        ) from error


def _key(app: App, look: Look, recipe: Recipe) -> Key:
    return Key(app.image, recipe.shown, look.ledger.fingerprint, look.server.system_identifier)
