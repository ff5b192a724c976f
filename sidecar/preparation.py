"""Before the migration: the preflight, the fence, the backup, the restore point."""

from dataclasses import asdict, replace

from sidecar import gate
from sidecar.aftermath import Aftermath
from sidecar.baseline import inherited
from sidecar.errors import PreflightFailed, Refused, StoreFailed
from sidecar.facts import Look, Session, scratch_name
from sidecar.migration import who_stays
from sidecar.plan import Phase, fold, last_good
from sidecar.policy import Fence, Policy, RestorePoint
from sidecar.ports import CannotClone, World
from sidecar.preflight import Space, complaints, is_short, mega, no_restore_point

FENCE_ROUNDS = 5
"""How often users of the database are looked for and stopped, before the rest are strangers."""

NOT_KNOWN = "a store does not say whose the backups are; mend it, then `migsafe copy`"
"""Why what was backed up stays here alone."""


def hold_backups(world: World) -> str | None:
    """
    Let nobody go on beside another instance; a store that is silent does not stop it.

    Returns:
        The token of the lease; None where whose the backups are is not known. What is made then
        stays here: it must not be what another is filled from.

    Raises:
        LeaseHeld: another instance works on these backups.

    """
    try:
        return world.lease.take()
    except StoreFailed as error:
        # the data is here, and another may come only once this has lasted for hours
        world.tell.warn(error.advice)
        return None


class Preparation:
    """Makes the way back, before anything is changed."""

    def __init__(self, world: World, policy: Policy, run: str) -> None:
        self.world = world
        self.policy = policy
        self.run_id = run
        self.journal = world.journal
        self.database = world.database
        self.engine = world.engine
        self.tell = world.tell
        self.space = Space(None)
        self.stopped: list[str] = []
        """What this process has stopped."""

    def preflight(self, look: Look) -> None:
        """
        Find everything that would make a rollback impossible.

        Raises:
            PreflightFailed: all of it at once.

        """
        self.space = Space(self.engine.free_space())
        if is_short(look, self.space):
            # what has stayed for `rollback` goes first: a backup is the way back as well
            Aftermath(self.world).drop_points(fold(self.journal.entries()))
            self.space = Space(self.engine.free_space())
        found = (
            *complaints(look, self.space, clone=self._may_clone(look)),
            *self.database.complaints(),
            *self.world.vault.complaints(look.size),
            *self._no_other_way(self._why_no_clone(look, ())),
        )
        copies = self.world.copies
        stores = copies.complaints() if copies.required else ()
        if found:
            raise PreflightFailed(
                "; ".join((*found, *stores)),
                hint="Nothing was changed. Mend this first: without it a failed migration could"
                " not be undone.",
            )
        if stores:
            raise _no_copy(stores)

    def prepare(self, found: gate.Found) -> None:
        """
        Keep others out, back up, and make the restore point.

        Raises:
            NothingChangedError: one of them can't be done.

        """
        self.stop_users(self.run_id)
        strangers = self._strangers()
        self._back_up(found)
        self._make_restore_point(found.look, strangers or self._strangers())
        self.world.stop.check()

    def stop_users(self, run_id: str) -> None:
        """Stop the project's own users of the database, as a part of a run."""
        if self.policy.fence is Fence.NONE:
            return
        earlier = [run for run in fold(self.journal.entries()) if run.id != run_id]
        held = {container for run in earlier for container in run.stopped}
        # what Compose is starting at this moment shows up a little later
        for _ in range(FENCE_ROUNDS):
            sessions = self.database.sessions()
            users = self.engine.users(s.address for s in sessions if s.address)
            if held or users:
                self.journal.append(run_id, Phase.STOPPING, services=sorted({*users, *held}))
                held = set()
            if not users:
                return
            self.tell.say(f"fence: stopping {', '.join(users)}")
            self.stopped += users
            self.engine.stop(users)

    def _strangers(self) -> tuple[Session, ...]:
        strangers = who_stays(self.world, looks=2)
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
        sealed = replace(look, properties=look.properties.sealed(self.run_id))
        self.journal.append(self.run_id, Phase.BACKING_UP, backup=backup.name, look=asdict(sealed))
        doubts = inherited(vault.manifests(), found.runs, look.database)
        manifest = vault.take(
            backup, self.run_id, look, last_good(found.runs), doubt=lambda _: doubts
        )
        self.journal.append(
            self.run_id,
            Phase.BACKED_UP,
            backup=backup.name,
            size=manifest.size,
            checksum=manifest.checksum,
            contents=asdict(manifest.contents),
        )
        if self.world.copies.required and (missing := self.world.copies.copy(manifest)):
            raise _no_copy(missing)

    def _make_restore_point(self, look: Look, strangers: tuple[Session, ...]) -> None:
        # the backup may have been written to the same disk
        self.space = Space(self.engine.free_space())
        reason = self._why_no_clone(look, strangers)
        name = scratch_name(look.database, self.run_id)
        if reason is None:
            self.world.stop.check()
            started = self.world.clock.monotonic()
            self.journal.append(self.run_id, Phase.CLONING, restore_point=name)
            try:
                with self.tell.progress("restore point"):
                    oid = self.database.clone(name, look.properties, look.size)
            except CannotClone as error:
                reason = str(error)
            else:
                self.journal.append(self.run_id, Phase.CLONED, restore_point_oid=oid)
                seconds = self.world.clock.monotonic() - started
                self.tell.say(f"restore point: {mega(look.size)} in {seconds:.1f} s")
                if why := self.world.vault.unreadable():
                    self.tell.warn(f"{why}: the restore point is the only way back from here")
        if reason is not None:
            self._do_without_restore_point(look, reason)

    def _why_no_clone(self, look: Look, strangers: tuple[Session, ...]) -> str | None:
        if self.policy.restore_point is RestorePoint.NEVER:
            return "MIGSAFE_RESTORE_POINT is never"
        if strangers:
            return f"{len(strangers)} sessions that are not ours are on the database"
        return no_restore_point(look, self.space)

    def _do_without_restore_point(self, look: Look, reason: str) -> None:
        # what has become full meanwhile has no room for loading the backup either
        self.space = Space(self.engine.free_space())
        found = (*complaints(look, self.space, clone=False), *self._no_other_way(reason))
        if self.policy.restore_point is RestorePoint.ALWAYS or found:
            raise PreflightFailed(
                "; ".join((f"no restore point can be made: {reason}", *found)),
                hint="Nothing was changed. Remove the cause, or set MIGSAFE_RESTORE_POINT=auto.",
            )
        self.tell.say(f"no restore point ({reason}): a rollback would load the backup")

    def _no_other_way(self, no_clone: str | None) -> tuple[str, ...]:
        """Complain where neither a restore point nor a backup would be there for a rollback."""
        why = self.world.vault.unreadable()
        if why is None or no_clone is None:
            return ()
        return (
            f"{why}, so a rollback needs a restore point, and none can be made: {no_clone}; mount"
            " the key, or remove that cause",
        )

    def _may_clone(self, look: Look) -> bool:
        if self.policy.restore_point is RestorePoint.NEVER:
            return False
        return no_restore_point(look, self.space) is None


def _no_copy(complaints: tuple[str, ...]) -> StoreFailed:
    return StoreFailed(
        "; ".join(complaints),
        hint="Nothing was changed, and no migration was started: MIGSAFE_REQUIRE_REMOTE wants the"
        " backup in every store first. Mend the store, or set it to false.",
    )
