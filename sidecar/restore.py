"""
An operator's restore: a backup takes the place of the live database.

What is there now is backed up and kept. The backup is loaded beside it and proven first, so until
the swap nothing has changed; after it the restored database is there, whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sidecar.backups import Kind, Manifest
from sidecar.errors import (
    DatabaseMissing,
    DatabaseUnavailable,
    Elsewhere,
    MigsafeError,
    NothingChangedError,
    RollbackPending,
    RunCutOff,
)
from sidecar.facts import App
from sidecar.guard import Done, Guard
from sidecar.loading import require_room
from sidecar.migration import look_before
from sidecar.placing import Placing
from sidecar.plan import Conclude, Phase, RollBack, Run, fold, guarded, last_good, origin
from sidecar.policy import Policy
from sidecar.ports import World
from sidecar.preflight import mega
from sidecar.preparation import NOT_KNOWN, hold_backups
from sidecar.rollback import Distrusted, Rollback


@dataclass(frozen=True)
class Wanted:
    """What the operator asked for."""

    manifest: Manifest
    migrate: bool = True
    """Migrate the restored data with the present image afterwards."""
    from_elsewhere: bool = False
    """The backup may be of another database or another server."""
    point: Run | None = None
    """The run whose restore point is still there: it is swapped in, and nothing is loaded."""


class Restore(Placing):
    """One restore, from the lock to its release."""

    def __init__(self, world: World, policy: Policy, run: str, next_run: str) -> None:
        super().__init__(world, policy, run)
        self.guard = Guard(world, policy, next_run)
        """Migrates what was restored, as a run of its own."""
        self._saved = ""
        """The backup of what was there before."""
        self._in_place = ""
        """The backup of what was put in place."""

    def run(self, wanted: Wanted) -> Done | None:
        """
        Put a backup in the place of the live database.

        Returns:
            How the migration afterwards ended, if there was one.

        Raises:
            NothingChangedError: the live database is as it was.
            MigsafeError: it is restored, and the migration afterwards failed.

        """
        with self.journal.hold(self.run_id, self.policy.wait.total_seconds()):
            app = self.world.engine.app()
            self._refuse_unfinished()
            self._refuse_unfit(wanted)
            self._hold_backups(migrate=wanted.migrate)
            manifest = wanted.manifest
            rows = manifest.contents.total
            self._begin(
                manifest.backup.name,
                f"{mega(manifest.size)}, {rows} rows",
                app,
                manifest.images,
                # what takes the place of nothing is that database from then on
                origin=manifest.born if self._takes_the_place(manifest) else "",
            )
            self._or_leave(partial(self._put_in_place, wanted))
            return self._finish(manifest.backup.name, app, migrate=wanted.migrate)

    # --- before anything is done

    def _refuse_unfinished(self) -> None:
        """Leave a migration that was cut off to the guard, which brings it to its end."""
        match self.aftermath.settle():
            case Conclude(run) | RollBack(run):
                raise RunCutOff(
                    f"run {run.id} was cut off while it migrated, and is not at its end",
                    hint="Nothing was changed. The next start (`docker compose up`) brings it to"
                    " its end; then restore.",
                )

    def _refuse_unfit(self, wanted: Wanted) -> None:
        manifest, name = wanted.manifest, wanted.manifest.backup.name
        if not (wanted.from_elsewhere or self._is_own(manifest)):
            raise Elsewhere(
                f"{name} is of {manifest.database!r}, first on server {manifest.born}, this is"
                f" {self.database.name!r}, first on {self._born()}",
                hint="Nothing was changed. If it is the right one all the same, say"
                " `--from-elsewhere`.",
            )
        self._refuse_newer(manifest)
        if wanted.point is not None:
            return  # nothing is loaded
        require_room(self.world, manifest)
        # looked at before anybody is stopped; it is again when it is loaded
        self.world.vault.chunks(name)

    def _hold_backups(self, *, migrate: bool) -> None:
        """Change nothing beside another instance; a store's silence stops a migration only."""
        self._lease = self.world.lease.take() if migrate else hold_backups(self.world)

    def _or_leave(self, act: Callable[[], None]) -> None:
        try:
            super()._or_leave(act)
        except NothingChangedError:
            if self._lease and self._is_lost():
                self._let_others()
            raise

    # --- beside the live database, then in its place

    def _put_in_place(self, wanted: Wanted) -> None:
        self.world.stop.check()
        self.guard.preparation.stop_users(self.run_id)
        scratch = self._restore_point(wanted.point)
        if scratch is None:
            self._save_what_is_there()
            scratch = self._proven_scratch(wanted.manifest)
        self._swap_in(scratch, connections=wanted.manifest.properties.allow_connections)

    def _restore_point(self, run: Run | None) -> str | None:
        """Open a restore point that has stayed; what is live is only renamed, and so kept."""
        if run is None:
            return None
        try:
            return Rollback(self.world).from_restore_point(run, look_before(run))
        except Distrusted as error:
            self.tell.warn(f"the backup is loaded instead: {error}")
            return None

    def _born(self) -> str:
        runs = fold(self.journal.entries())
        return origin(runs) or self.database.server().system_identifier

    def _takes_the_place(self, manifest: Manifest) -> bool:
        """Tell whether a backup is of the database that was lost here."""
        return manifest.database == self.database.name and (self._is_anew() or self._is_lost())

    def _is_own(self, manifest: Manifest) -> bool:
        system = self.database.server().system_identifier
        mine = manifest.is_of(self.database.name, self._born(), system)
        return mine or self._takes_the_place(manifest) or self._is_lost()

    def _is_anew(self) -> bool:
        """In memory a server without a journal is one that was made anew, whatever is on it."""
        return self.policy.refill and not guarded(fold(self.journal.entries()))

    def _is_lost(self) -> bool:
        """Tell whether there is nothing that a backup of another server could be mistaken for."""
        try:
            return self.database.look().empty
        except DatabaseMissing:
            return True
        except DatabaseUnavailable:
            return False

    def _save_what_is_there(self) -> None:
        """Back the live database up; it is kept as well, but a disk may be lost."""
        try:
            look = self.database.look(catalog=True)
        except DatabaseMissing:
            self.tell.say("there is no database now: nothing to back up")
            return
        except DatabaseUnavailable as error:
            self.tell.warn(f"no safety backup of what is there now: {error.message}; it is kept")
            return
        if look.empty:
            self.tell.say("the database is empty now: nothing to back up")
            return
        vault = self.world.vault
        backup = vault.next_backup(Kind.SAFETY)
        self.journal.append(self.run_id, Phase.BACKING_UP, backup=backup.name)
        vault.take(backup, self.run_id, look, last_good(fold(self.journal.entries())))
        self._saved = backup.name
        self.journal.append(self.run_id, Phase.BACKED_UP, backup=backup.name)

    def _pending(self, error: MigsafeError) -> RollbackPending:
        found = super()._pending(error)
        if self._saved:
            found.hint += f" Was it the wrong one? `restore {self._saved}` brings that back."
        return found

    # --- after the swap

    def _finish(self, name: str, app: App, *, migrate: bool) -> Done | None:
        try:
            done = self._afterwards(name, app, migrate=migrate)
        except MigsafeError as error:
            self._copy()
            if isinstance(error, NothingChangedError):
                raise self._pending(error) from error
            raise
        self._copy()
        return done

    def _copy(self) -> None:
        """Bring what was backed up to every store, whatever became of the migration."""
        if self._lease is None:
            self.tell.warn(f"not copied: {NOT_KNOWN}")
            return
        for name in filter(None, (self._saved, self._in_place)):
            self.aftermath.bring(name)

    def _afterwards(self, name: str, app: App, *, migrate: bool) -> Done | None:
        run = self._run()
        self.journal.append(self.run_id, Phase.RESTORED)
        kept = run.named("kept")
        self.tell.say(f"✓ restored {name}")
        if kept:
            self.tell.say(f"what was there before is kept, closed, as {kept!r}")
        if not migrate:
            self._leave_stopped(self._run())
            self._back_up_again(name)
            return None
        done = self.guard.migrate(app)
        if done.run is None:
            self._back_up_again(name)
        self.aftermath.close(self._run())
        return done

    def _back_up_again(self, name: str) -> None:
        """In memory, what fills the database after a loss is the newest backup: make it this."""
        if not self.policy.refill or not self._is_open():
            return
        vault, look = self.world.vault, self.database.look(catalog=True)
        backup, note = vault.next_backup(Kind.MANUAL), f"what was put in place: {name}"
        vault.take(backup, self.run_id, look, self._run().detail.get("images", {}), note)
        self._in_place = backup.name

    def _leave_stopped(self, run: Run) -> None:
        """Start nobody: whether the image fits the data that was restored is not known."""
        self.aftermath.close(run)
        if run.stopped:
            self.tell.say(f"stopped, and left stopped until the next up: {', '.join(run.stopped)}")
