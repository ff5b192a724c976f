"""
The guarded migration: lock, recover, look, back up, migrate, prove; commit or roll back.

Intent is journalled before an act and the outcome after it, so that a guard that is started after
any crash knows where the last one stopped (``plan.resume``).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from sidecar import gate, preflight
from sidecar.errors import (
    NothingChangedError,
    PreflightFailed,
    Refused,
    RollbackPending,
    RolledBackError,
)
from sidecar.facts import App, Look, Session, scratch_name
from sidecar.migration import Migration
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
    last_good,
    resume,
)
from sidecar.policy import AfterFailure, Fence, Policy, RestorePoint
from sidecar.ports import CannotClone, World
from sidecar.recipe import Recipe, choose
from sidecar.rollback import Rollback, stranded

FENCE_ROUNDS = 5
"""How often users of the database are looked for and stopped, before the rest are strangers."""


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
        self.migration = Migration(world)
        self.rollback = Rollback(world)

    def run(self) -> Done:
        """
        Bring the database to where the app may start.

        Raises:
            MigsafeError: the app may not start; the class says what state the data is in.

        """
        with self.journal.hold(self.run_id, self.policy.wait.total_seconds()):
            app = self.engine.app()
            self._recover(app)
            return self._guard(app)

    def _recover(self, app: App) -> None:
        """Bring a run that was killed to the end that it would have had."""
        match resume(self.journal.entries()):
            case StartOver(None):
                return
            case StartOver(leftovers) if leftovers is not None:
                self._clear(leftovers)
            case Conclude(run):
                self.tell.warn(f"run {run.id} was cut off while it migrated: concluding it")
                if self._unless_replaced(run, app, self._conclude):
                    self.tell.say(f"run {run.id} is concluded: it had migrated, and is proven")
            case RollBack(run):
                self.tell.warn(f"run {run.id} was cut off while it rolled back: finishing it")
                self._unless_replaced(run, app, self._put_back)
            case Report(run):
                raise stranded(run)

    def _unless_replaced(self, run: Run, app: App, finish: Callable[[Run], Run]) -> bool:
        """
        Finish a run, and tell whether it succeeded.

        Its failure is this run's failure too, unless the image was replaced meanwhile.
        """
        try:
            with _past_the_start():
                finish(run)
        except RolledBackError as failure:
            if run.key.image == app.image:
                raise
            self.tell.warn(f"the earlier run failed: {failure.message}; the image is another now")
            return False
        return True

    def _guard(self, app: App) -> Done:
        look = self.database.look()
        recipe = choose(self.policy.wishes, look, app, self.engine.has_file)
        runs = fold(self.journal.entries())
        found = gate.Found(_key(app, look, recipe), look, runs, app.code_mounts)
        if self._nothing_to_do(found, recipe):
            return Done(None, app, look)
        gate.refuse(found, self.world.vault.manifests(), initialise=self.policy.initialise)
        self._preflight(look)
        self._begin(found, app, recipe)
        self._prepare(found)
        with _past_the_start():
            self.tell.say(f"migrate: {recipe.title}")
            self.migration.start(self._run())
            return Done(self._conclude(self._run()), app, look)

    # --- look

    def _nothing_to_do(self, found: gate.Found, recipe: Recipe) -> bool:
        match gate.settled(found):
            case gate.Answer.NOTHING:
                return True
            case gate.Answer.ASK:
                return self.migration.none_pending(self.run_id, recipe)
            case gate.Answer.MIGRATE:
                return False

    def _preflight(self, look: Look) -> None:
        space = preflight.Space(self.engine.free_space())
        found = (
            *preflight.complaints(look, space, clone=self._may_clone(look, space)),
            *self.database.complaints(),
            *self.world.vault.complaints(look.size),
        )
        if found:
            raise PreflightFailed(
                "; ".join(found),
                hint="Nothing was changed. Mend this first: without it a failed migration could"
                " not be undone.",
            )

    def _may_clone(self, look: Look, space: preflight.Space) -> bool:
        if self.policy.restore_point is RestorePoint.NEVER:
            return False
        return preflight.no_restore_point(look, space) is None

    # --- before the migration: nothing of the app's has been changed

    def _begin(self, found: gate.Found, app: App, recipe: Recipe) -> None:
        look = found.look
        self.tell.say(
            f"guarding {app.service} ({app.image_name}): database {look.database!r},"
            f" {preflight.mega(look.size)}, PostgreSQL {look.server.version}, {recipe.preset.title}"
        )
        self.journal.append(
            self.run_id,
            Phase.STARTED,
            image=app.image,
            image_name=app.image_name,
            service=app.service,
            images=dict(app.images),
            command=list(recipe.command),
            preset=recipe.preset.name,
            ledger=found.key.ledger,
            system=found.key.system,
            deadline=self.policy.deadline.total_seconds(),
        )

    def _prepare(self, found: gate.Found) -> None:
        try:
            strangers = self._fence()
            self._back_up(found)
            self._make_restore_point(found.look, strangers or self._fence())
            self.world.stop.check()
        except NothingChangedError as error:
            self._abandon(error)
            raise

    def _fence(self) -> tuple[Session, ...]:
        """Stop the project's own users of the database; return the sessions that are left."""
        if self.policy.fence is Fence.NONE:
            return self.database.sessions()
        held = {c for run in fold(self.journal.entries()) for c in run.stopped}
        # what Compose is starting at this moment shows up a little later
        for _ in range(FENCE_ROUNDS):
            sessions = self.database.sessions()
            users = self.engine.users(s.address for s in sessions if s.address)
            if held or users:
                self.journal.append(self.run_id, Phase.STOPPING, services=sorted({*users, *held}))
                held = set()
            if not users:
                break
            self.tell.say(f"fence: stopping {', '.join(users)}")
            self.engine.stop(users)
        return self._strangers()

    def _strangers(self) -> tuple[Session, ...]:
        strangers = self.database.sessions()
        if not strangers:
            return ()
        names = "; ".join(session.title for session in strangers[:5])
        match self.policy.fence:
            case Fence.STRICT:
                raise Refused(
                    f"other sessions are on the database: {names}",
                    hint="End them, or set MIGSAFE_FENCE=services or terminate.",
                )
            case Fence.TERMINATE:
                self.tell.warn(f"fence: ending {names}")
                return self.database.end_sessions(session.pid for session in strangers)
            case _:
                self.tell.warn(
                    f"fence: not ours, and left alone: {names};"
                    " what they write from now on is lost from the live database if this rolls back"
                )
                return strangers

    def _back_up(self, found: gate.Found) -> None:
        self.world.stop.check()
        vault = self.world.vault
        backup = vault.next_backup()
        # looked at again: what was stopped may have written until it was
        look = self.database.look(catalog=True)
        self.journal.append(self.run_id, Phase.BACKING_UP, backup=backup.name, look=asdict(look))
        manifest = vault.take(backup, self.run_id, look, last_good(found.runs))
        self.journal.append(
            self.run_id,
            Phase.BACKED_UP,
            backup=backup.name,
            size=manifest.size,
            contents=asdict(manifest.contents),
        )

    def _make_restore_point(self, look: Look, strangers: tuple[Session, ...]) -> None:
        reason = self._why_no_clone(look, strangers)
        name = scratch_name(look.database, self.run_id)
        if reason is None:
            self.world.stop.check()
            started = self.world.clock.monotonic()
            self.journal.append(self.run_id, Phase.CLONING, restore_point=name)
            try:
                oid = self.database.clone(name, look.properties, look.size)
            except CannotClone as error:
                reason = str(error)
            else:
                self.journal.append(self.run_id, Phase.CLONED, restore_point_oid=oid)
                seconds = self.world.clock.monotonic() - started
                self.tell.say(f"restore point: {preflight.mega(look.size)} in {seconds:.1f} s")
        if reason is not None:
            self._do_without_restore_point(look, reason)

    def _why_no_clone(self, look: Look, strangers: tuple[Session, ...]) -> str | None:
        if self.policy.restore_point is RestorePoint.NEVER:
            return "MIGSAFE_RESTORE_POINT is never"
        if strangers:
            return f"{len(strangers)} sessions that are not ours are on the database"
        return preflight.no_restore_point(look, preflight.Space(self.engine.free_space()))

    def _do_without_restore_point(self, look: Look, reason: str) -> None:
        found = preflight.complaints(look, preflight.Space(None), clone=False)
        if self.policy.restore_point is RestorePoint.ALWAYS or found:
            raise PreflightFailed(
                "; ".join((f"no restore point can be made: {reason}", *found)),
                hint="Nothing was changed. Remove the cause, or set MIGSAFE_RESTORE_POINT=auto.",
            )
        self.tell.say(f"no restore point ({reason}): a rollback would load the backup")

    def _abandon(self, error: NothingChangedError) -> None:
        """Leave as found; what fails here must not hide the first error."""
        try:
            self.journal.append(
                self.run_id, Phase.ABANDONED, code=error.exit_code, reason=error.message
            )
            run = self._run()
            self._start_again(run)
            self._clear(run)
        except NothingChangedError as second:
            self.tell.warn(f"while leaving: {second.message}; the next run clears up")

    # --- migrate and conclude

    def _conclude(self, run: Run) -> Run:
        """Find out how the migration ended; commit, or roll back and raise its failure."""
        ended = self.migration.conclude(run, self.policy)
        if isinstance(ended, Failure):
            self.rollback.decide(run, ended)
            return self._put_back(self._reread(run))
        self.journal.append(
            run.id,
            Phase.COMMITTED,
            ledger_after=ended.ledger.fingerprint,
            versions_after=list(ended.ledger.versions),
        )
        run = self._reread(run)
        self._start_again(run)
        self._clear(run)
        return run

    def _put_back(self, run: Run) -> Run:
        """Roll back, then raise the failure that made it necessary."""
        error = self.rollback.finish(run, unchanged=self.migration.wrote_nothing)
        run = self._reread(run)
        if self.policy.after_failure is AfterFailure.RESUME:
            self._start_again(run)
        self._clear(run)
        raise error

    def _start_again(self, run: Run) -> None:
        if not run.stopped:
            return
        stuck = self.engine.start(run.stopped)
        if stuck:
            self.tell.warn(f"could not start again: {', '.join(stuck)}")
        self.journal.append(run.id, Phase.STARTED_SERVICES)

    def _clear(self, run: Run) -> None:
        """Remove what a run made and nobody needs: never anything that holds the only copy."""
        self.engine.remove_migration(run.id)
        for name in {run.named("restore_point"), run.named("scratch")} - {None}:
            if self.database.exists(str(name)):
                self.database.drop(str(name))
        self.journal.append(run.id, Phase.CLEARED)

    def _run(self) -> Run:
        return self._reread_by(self.run_id)

    def _reread(self, run: Run) -> Run:
        return self._reread_by(run.id)

    def _reread_by(self, run_id: str) -> Run:
        return next(run for run in fold(self.journal.entries()) if run.id == run_id)


@contextmanager
def _past_the_start() -> Iterator[None]:
    """From here on, "nothing was changed" is no longer true: the next run has to finish."""
    try:
        yield
    except NothingChangedError as error:
        raise RollbackPending(
            f"stopped in the middle of a run: {error.message}",
            hint="The app does not start. The next `docker compose up` finds out how the migration"
            " ended and puts the database right by itself.",
        ) from error


def _key(app: App, look: Look, recipe: Recipe) -> Key:
    return Key(app.image, recipe.command, look.ledger.fingerprint, look.server.system_identifier)
