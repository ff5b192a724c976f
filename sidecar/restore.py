"""
An operator's restore: a backup takes the place of the live database.

What is there now is backed up and kept. The backup is loaded beside it and proven first, so until
the swap nothing has changed; after it the restored database is there, whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from sidecar.aftermath import Aftermath
from sidecar.backups import Kind, Manifest
from sidecar.errors import (
    DatabaseMissing,
    DatabaseUnavailable,
    Elsewhere,
    MigsafeError,
    NothingChangedError,
    PreflightFailed,
    RollbackPending,
    RunCutOff,
)
from sidecar.facts import App, kept_name, scratch_name
from sidecar.guard import Done, Guard
from sidecar.loading import load_whole, require_room
from sidecar.migration import look_before
from sidecar.plan import Conclude, Phase, RollBack, Run, run_of
from sidecar.policy import Policy
from sidecar.ports import World
from sidecar.preflight import mega
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


class Restore:
    """One restore, from the lock to its release."""

    def __init__(self, world: World, policy: Policy, run: str, next_run: str) -> None:
        self.world = world
        self.policy = policy
        self.run_id = run
        self.journal = world.journal
        self.database = world.database
        self.tell = world.tell
        self.aftermath = Aftermath(world)
        self.guard = Guard(world, policy, next_run)
        """Migrates what was restored, as a run of its own."""
        self._swapping = False

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
            manifest = wanted.manifest
            rows = manifest.contents.total
            self._begin(
                manifest.backup.name, f"{mega(manifest.size)}, {rows} rows", app, manifest.images
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
        manifest, server = wanted.manifest, self.database.server()
        name = manifest.backup.name
        mine = (server.system_identifier, self.database.name)
        theirs = (manifest.server.system_identifier, manifest.database)
        if theirs != mine and not wanted.from_elsewhere and not self._is_lost():
            raise Elsewhere(
                f"{name} is of {manifest.database!r} on server"
                f" {manifest.server.system_identifier}, this is {mine[1]!r} on {mine[0]}",
                hint="Nothing was changed. If it is the right one all the same, say"
                " `--from-elsewhere`.",
            )
        if manifest.server.major > server.major:
            raise PreflightFailed(
                f"{name} is of PostgreSQL {manifest.server.short}, and this server is"
                f" {server.short}: it may not load",
                hint="Nothing was changed. Restore it on a server of its own major or a newer one.",
            )
        if wanted.point is not None:
            return  # nothing is loaded
        require_room(self.world, manifest)
        # looked at before anybody is stopped; it is again when it is loaded
        self.world.vault.chunks(name)

    def _begin(self, name: str, about: str, app: App, images: Mapping[str, str]) -> None:
        self.tell.say(f"restoring {name} as {self.database.name!r}: {about}")
        self.journal.append(
            self.run_id,
            Phase.STARTED,
            restoring=name,
            service=app.service,
            image_name=app.image_name,
            images=dict(images),
            was_open=self._is_open(),
        )

    def _or_leave(self, act: Callable[[], None]) -> None:
        """Put something in place; where that fails, leave everything as it was found."""
        try:
            act()
        except MigsafeError as error:
            if self._may_be_in_place():
                raise self._pending(error) from error
            self._leave(error.message)
            raise
        except Exception as error:
            self._leave(f"a bug: {error}")
            raise

    def _may_be_in_place(self) -> bool:
        """Ask the journal; where it can't be asked, a swap that was begun may have been done."""
        try:
            return self._run().swapped
        except MigsafeError:
            return self._swapping

    def _pending(self, error: MigsafeError) -> RollbackPending:
        return RollbackPending(
            f"the restore was stopped when the backup was in place, or nearly: {error.message}",
            hint="Remove the cause, then `docker compose up`: the next run finds out what is in"
            " place, and migrates it if the image wants it. What was there before is kept.",
        )

    def _leave(self, reason: str) -> None:
        """Leave as found; what fails here must not hide the first error."""
        try:
            run = self._run()
            self.aftermath.reopen(run)
            self.journal.append(run.id, Phase.ABANDONED, reason=reason)
            self.aftermath.close(self._run())
        except MigsafeError as second:
            self.tell.warn(f"while leaving: {second.message}; the next run clears up")

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

    def _swap_in(self, scratch: str, *, connections: bool) -> None:
        """Give a scratch database the live one's place; until here nothing was changed."""
        self.world.stop.check()
        left = self.database.close()
        if left:
            raise PreflightFailed(
                "sessions on the database can't be ended:"
                f" {'; '.join(session.title for session in left)}",
                hint="Nothing was changed. End them on the server, then restore again.",
            )
        kept = kept_name(self.database.name, self.run_id)
        self._swapping = True
        self.database.swap(scratch, kept, self.run_id, connections)

    def _is_lost(self) -> bool:
        """Tell whether there is nothing that a backup of another server could be mistaken for."""
        try:
            return self.database.look().empty
        except DatabaseMissing:
            return True
        except DatabaseUnavailable:
            return False

    def _is_open(self) -> bool:
        try:
            return self.database.look().properties.allow_connections
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
        vault.take(backup, self.run_id, look, {})
        self.journal.append(self.run_id, Phase.BACKED_UP, backup=backup.name)

    def _proven_scratch(self, manifest: Manifest) -> str:
        """Load the backup into a database of its own, and hold it to its manifest."""
        name = scratch_name(self.database.name, self.run_id, "load")
        self.journal.append(self.run_id, Phase.LOADING, scratch=name)
        load_whole(self.world, manifest, name)
        return name

    # --- after the swap

    def _finish(self, name: str, app: App, *, migrate: bool) -> Done | None:
        try:
            return self._afterwards(name, app, migrate=migrate)
        except NothingChangedError as error:
            raise self._pending(error) from error

    def _afterwards(self, name: str, app: App, *, migrate: bool) -> Done | None:
        run = self._run()
        self.journal.append(self.run_id, Phase.RESTORED)
        kept = run.named("kept")
        self.tell.say(f"✓ restored {name}")
        if kept:
            self.tell.say(f"what was there before is kept, closed, as {kept!r}")
        if not migrate:
            self._leave_stopped(self._run())
            self.aftermath.copy(self._run())
            return None
        done = self.guard.migrate(app)
        # a migration that had something to do has started them already
        self.aftermath.start_again(self._run())
        self.aftermath.close(self._run())
        self.aftermath.copy(self._run())
        return done

    def _leave_stopped(self, run: Run) -> None:
        """Start nobody: whether the image fits the data that was restored is not known."""
        self.aftermath.close(run)
        if run.stopped:
            self.tell.say(f"stopped, and left stopped until the next up: {', '.join(run.stopped)}")

    def _run(self) -> Run:
        return run_of(self.journal.entries(), self.run_id)
