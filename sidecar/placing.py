"""
A database in the place of the live one: loaded beside it, proven, and swapped in.

Until the swap nothing has changed; after it what was loaded is there, whole. Who asks for it, an
operator or an empty database, is told by those that build on this.
"""

from collections.abc import Callable, Mapping

from sidecar.aftermath import Aftermath
from sidecar.backups import Manifest
from sidecar.errors import (
    DatabaseUnavailable,
    MigsafeError,
    PreflightFailed,
    RollbackPending,
    StoreFailed,
)
from sidecar.facts import App, kept_name, scratch_name
from sidecar.loading import load_whole
from sidecar.plan import Phase, Run, run_of
from sidecar.policy import Policy
from sidecar.ports import World
from sidecar.preparation import Preparation


class Placing:
    """What all that put a database in place have in common; the lock is held."""

    def __init__(self, world: World, policy: Policy, run: str) -> None:
        self.world = world
        self.policy = policy
        self.run_id = run
        self.journal = world.journal
        self.database = world.database
        self.tell = world.tell
        self.aftermath = Aftermath(world)
        self.preparation = Preparation(world, policy, run)
        self._swapping = False
        self._lease: str | None = ""
        """The token of the lease; None where whose the backups are is not known."""

    # --- before anything is done

    def _refuse_newer(self, manifest: Manifest) -> None:
        """Refuse what this server may not be able to load."""
        server, name = self.database.server(), manifest.backup.name
        if manifest.server.major > server.major:
            raise PreflightFailed(
                f"{name} is of PostgreSQL {manifest.server.short}, and this server is"
                f" {server.short}: it may not load",
                hint="Nothing was changed. Restore it on a server of its own major or a newer one.",
            )

    def _begin(
        self, name: str, about: str, app: App, images: Mapping[str, str], **detail: object
    ) -> None:
        self.tell.say(f"restoring {name} as {self.database.name!r}: {about}")
        self.journal.append(
            self.run_id,
            Phase.STARTED,
            restoring=name,
            service=app.service,
            image_name=app.image_name,
            images=dict(images),
            was_open=self._is_open(),
            **{name: value for name, value in detail.items() if value},
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

    def _let_others(self) -> None:
        """Release the lease: here is nothing that could part ways with what others hold."""
        try:
            self.world.lease.release(self._lease or "")
        except StoreFailed as error:
            self.tell.warn(error.advice)

    # --- beside the live database, then in its place

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

    def _is_open(self) -> bool:
        try:
            return self.database.look().properties.allow_connections
        except DatabaseUnavailable:
            return False

    def _proven_scratch(self, manifest: Manifest) -> str:
        """Load the backup into a database of its own, and hold it to its manifest."""
        name = scratch_name(self.database.name, self.run_id, "load")
        self.journal.append(self.run_id, Phase.LOADING, scratch=name)
        load_whole(self.world, manifest, name)
        return name

    def _run(self) -> Run:
        return run_of(self.journal.entries(), self.run_id)
