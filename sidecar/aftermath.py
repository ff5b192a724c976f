"""
What is left after a run: cleared up, started again, opened, and one day deleted.

Nothing here decides how a run ended, and nothing that holds the only copy of anything is removed.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sidecar import retention
from sidecar.backups import Kind, Manifest, Proof
from sidecar.errors import NothingChangedError
from sidecar.inventory import Inventory
from sidecar.plan import Conclude, Phase, Report, RollBack, Run, StartOver, fold, resume
from sidecar.ports import World

SECONDS_TO_START = 10.0
"""How long services that were stopped are tried to be started: Docker may be on its way back."""

POLL = 0.5
"""Seconds between two tries."""


class Aftermath:
    """Clears up after runs, whoever has made them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.journal = world.journal
        self.database = world.database
        self.engine = world.engine
        self.tell = world.tell

    def settle(self) -> StartOver | Conclude | RollBack | Report:
        """Close runs that were cut off where the database needs nothing; return what is left."""
        found = resume(self.journal.entries())
        while isinstance(found, StartOver) and found.leftovers is not None:
            self.close(found.leftovers)
            found = resume(self.journal.entries())
        return found

    def close(self, run: Run) -> None:
        """Clear up after a run that was cut off where the database needs nothing."""
        if not run.finished:
            self._end(run)
        # who was stopped for a restore is started by Compose, once the restored data is migrated;
        # and nobody is started on a database that came up empty
        held = run.refills or (run.by_hand and run.swapped)
        if (run.resumes or not run.failed) and not held:
            self.start_again(run)
        self.clear(run)

    def _end(self, run: Run) -> None:
        if not run.by_hand:
            self.tell.warn(f"run {run.id} was cut off before its migration: nothing was changed")
            self.journal.append(run.id, Phase.ABANDONED, reason="cut off before the migration")
        elif run.swapped:
            self.tell.warn(f"a restore was cut off when {run.named('restoring')} was in place")
            self.journal.append(run.id, Phase.RESTORED)
        else:
            self.tell.warn("a restore was cut off before it changed anything")
            self.reopen(run)
            self.journal.append(run.id, Phase.ABANDONED, reason="cut off")

    def reopen(self, run: Run) -> None:
        """Let everybody in again, where a restore has closed a database that was open."""
        if run.detail.get("was_open") and self.database.exists(self.database.name):
            self.database.open(self.database.name)

    def start_again(self, run: Run) -> None:
        """Start what a run, and those before it, have stopped."""
        if not run.stopped:
            return
        stuck = self._start(run.stopped)
        # what earlier runs had left stopped was taken over by this one
        for each in fold(self.journal.entries()):
            if each.stopped:
                left = {name: stuck[name] for name in each.stopped if name in stuck}
                self.journal.append(each.id, Phase.STARTED_SERVICES, left=left)

    def start_restored(self, runs: Iterable[Run]) -> None:
        """Start what was stopped for a restore, where what was restored needs no migration."""
        for run in runs:
            if run.phase is Phase.RESTORED:
                self.start_again(run)

    def _start(self, containers: Iterable[str]) -> dict[str, str]:
        """Start containers; return those that do not start, each with the reason."""
        until = self.world.clock.monotonic() + SECONDS_TO_START
        found = self._try_to_start(containers)
        while found and self.world.clock.monotonic() < until:
            self.world.clock.sleep(POLL)
            found = self._try_to_start(found)
        stuck = {name: self.tell.redact(why) for name, why in found.items()}
        for name, why in stuck.items():
            self.tell.warn(f"could not start {name} again: {why}")
        return stuck

    def _try_to_start(self, containers: Iterable[str]) -> dict[str, str]:
        # asked in the session of the lock: who has lost it starts nothing that another has stopped
        self.journal.entries()
        return self.engine.start(containers)

    def clear(self, run: Run) -> None:
        """Remove what a run made and nobody needs: never anything that holds the only copy."""
        self.engine.remove_migration(run.id)
        point = None if run.kept_point else run.named("restore_point")
        for name in filter(None, (point, run.named("scratch"))):
            if self.database.exists(name):
                self.database.drop(name)
        if (backup := run.named("backup")) and not run.backed_up:
            self.world.vault.discard(backup)
        if run.phase is Phase.COMMITTED:
            runs = fold(self.journal.entries())
            self.drop_points(each for each in runs if each.id != run.id)
        self.journal.append(run.id, Phase.CLEARED)

    def copy(self, run: Run) -> None:
        """Bring a run's backup to every store; whatever fails there is only told."""
        if run.backed_up:
            self.bring(str(run.named("backup")))

    def bring(self, name: str) -> None:
        """Bring a backup to every store; whatever fails there is only told."""
        try:
            known = [m for m in self.world.vault.manifests() if m.backup.name == name]
            complaints = [each for m in known for each in self.world.copies.copy(m)]
        except NothingChangedError as error:
            complaints = [error.message]
        except Exception as error:  # noqa: BLE001 - a store's library must not undo a success
            complaints = [f"{type(error).__name__}: {error}"]
        for complaint in complaints:
            self.tell.warn(f"not copied: {complaint}")

    def tidy(self, run: Run, keep: timedelta) -> None:
        """Delete what is older than it is to be kept; only ever after a success."""
        runs = fold(self.journal.entries())
        pinned = {str(run.named("backup")): "the way back", **retention.needed(runs)}
        try:
            self.delete_old(runs, keep, pinned)
        except NothingChangedError as error:
            self.tell.warn(f"could not tidy up: {error.message}")

    def delete_old(self, runs: Sequence[Run], keep: timedelta, pinned: Mapping[str, str]) -> None:
        """Delete kept databases and backups that go by age, or say why nothing may be deleted."""
        vault = self.world.vault
        manifests, found = vault.everywhere(), vault.inventory()
        if why := self.held(manifests, found):
            self.tell.warn(f"nothing is deleted: {why}")
            return
        until = self.until(found)
        self._forget_old(runs, keep, until)
        if why := self.prune(self.judged(manifests, keep, until, pinned), found):
            self.tell.warn(f"no backup is deleted: {why}")
        for name in retention.half_deleted(runs, vault.manifests(), keep, until, pinned):
            vault.discard(name)

    def _forget_old(self, runs: Sequence[Run], keep: timedelta, until: datetime) -> None:
        for old in retention.old_kept(runs, keep, until):
            self.database.forget(str(old.named("kept")))
            self.journal.append(old.id, Phase.FORGOTTEN)

    def drop_points(self, runs: Iterable[Run]) -> None:
        """Drop restore points that stayed after a success: each has its backup beside it."""
        for run in runs:
            if run.kept_point is not None:
                self.database.drop(run.kept_point)
                self.journal.append(run.id, Phase.FORGOTTEN)
                self.tell.say(f"dropped the restore point of run {run.id}")

    def judged(
        self,
        manifests: Sequence[Manifest],
        keep: timedelta,
        until: datetime,
        pinned: Mapping[str, str],
        generations: retention.Generations | None = None,
        held: str = "",
    ) -> tuple[retention.Judged, ...]:
        """
        Say of each backup whether it stays, and why; scheduled ones go by generation only.

        Args:
            manifests: every backup.
            keep: how long pre-migration backups stay.
            until: the moment to which their ages are counted.
            pinned: what is needed, by name, and what for.
            generations: how many scheduled ones stay; without it they all do.
            held: why nothing is deleted now.

        """
        proofs = self.proofs(manifests)
        rotation = None
        if generations:
            proven = {name for name, proof in proofs.items() if proof.proves}
            rotation = retention.Rotation(generations, proven, held)
        damaged, database = retention.damaged(proofs), self.database.name
        return retention.judge(manifests, database, keep, until, pinned, damaged, rotation)

    def held(
        self, manifests: Sequence[Manifest], found: Inventory, *, accept_missing: bool = False
    ) -> str:
        """
        Tell why nothing may be deleted now, whatever its age; empty where nothing is against it.

        Args:
            manifests: every backup.
            found: what is where now.
            accept_missing: what is gone was deleted on purpose.

        """
        missing = "" if accept_missing else self.world.vault.remembered().missing(found)
        now = self.world.clock.now()
        return retention.holds(manifests, now, self.damaged(manifests), missing)

    def until(self, found: Inventory) -> datetime:
        """Tell the moment to which ages are counted: not to a clock that has just jumped ahead."""
        return found.looks.until or self.world.clock.now()

    def damaged(self, manifests: Iterable[Manifest]) -> frozenset[str]:
        """Name the backups that were found not to be what their manifests say."""
        return retention.damaged(self.proofs(manifests))

    def proofs(self, manifests: Iterable[Manifest]) -> dict[str, Proof]:
        """Read by name how the last attempt to prove each backup ended, where there was one."""
        vault = self.world.vault
        return {m.backup.name: found for m in manifests if (found := vault.proof(m.backup))}

    def prune(self, judged: Iterable[retention.Judged], found: Inventory) -> str:
        """
        Delete the backups that go, here and in every store, once what stays is in all stores.

        Args:
            judged: all of them.
            found: what is where now, of which nothing is missing; it is remembered.

        Returns:
            Why nothing was deleted, where that is so.

        Raises:
            StoreFailed: something can't be deleted here; what came before it is gone.
            Interrupted, AlreadyRunning: asked to stop, or to let another go first; so, too.

        """
        vault, copies, judged = self.world.vault, self.world.copies, tuple(judged)
        for name in found.going:
            vault.discard(name)  # what an earlier deletion that was cut off has left
        going = [each.manifest.backup for each in judged if each.goes]
        staying = {each.manifest.backup.name for each in judged if not each.goes}
        torn = copies.torn()
        if (going or torn) and (behind := copies.behind(staying)):
            return f"{'; '.join(behind)}; bring them: `migsafe copy`"
        # before the first is deleted: what we were killed at is not missing
        vault.remember(noted := found.without({backup.name for backup in going}))
        left = [complaint for name in torn for complaint in copies.delete(name)]
        for backup in going:
            self.world.stop.check()  # thousands in a store take a while
            left += copies.delete(backup.name)
            vault.delete(backup.name)
            why = "MIGSAFE_RETENTION" if backup.kind is Kind.SCHEDULED else "MIGSAFE_KEEP"
            self.tell.say(f"deleted, as {why} says: {backup.name}")
        if going:
            vault.remember(noted.without(()))  # nothing is half deleted
        if left:
            more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
            self.tell.warn(f"not deleted in a store: {left[0]}{more}")
        return ""
