"""
A database that came up empty is filled from the newest backup: RAM mode.

It is a run of its own, journalled as a restore is, and so recovered as one: until its swap there is
an empty database, after it what the backup holds, whole and proven. The app is never started on
anything else. What cannot be filled keeps the gate closed.
"""

from functools import partial

from sidecar import source
from sidecar.errors import BackupDamaged, DatabaseMissing, NothingChangedError
from sidecar.facts import App
from sidecar.loading import require_room
from sidecar.placing import Placing
from sidecar.plan import Phase, fold
from sidecar.policy import Policy
from sidecar.ports import World
from sidecar.preflight import mega
from sidecar.source import Source


class Refill(Placing):
    """One look at the database, and one refill if it is empty; the lock is held."""

    def __init__(self, world: World, policy: Policy, guard: str) -> None:
        super().__init__(world, policy, f"{guard}f")  # beside the guard's own run

    def run(self, app: App) -> None:
        """
        Fill the database if it is empty, or is not there.

        Raises:
            NothingChangedError: it could not be filled.
            RollbackPending: it is filled, or nearly; the next run finds out.

        """
        if not self._is_empty():
            return
        self.tell.warn(f"the database {self.database.name!r} is empty: filling it from a backup")
        self._lease = self.world.lease.take()
        try:
            self._end_strays()
            found = self._choose()
            self._refuse_newer(found.manifest)
            require_room(self.world, found.manifest)
            self._fill(found, app)
        except NothingChangedError:
            self._let_others()
            raise

    def _is_empty(self) -> bool:
        try:
            return self.database.look().empty
        except DatabaseMissing:
            return True

    def _end_strays(self) -> None:
        """End what a journal knew of that was lost with its server: it would come late."""
        known = [run.id for run in fold(self.journal.entries())]
        for name in self.world.engine.end_strays(known):
            self.tell.warn(f"removed {name}: its run was lost with the server that knew of it")

    def _choose(self) -> Source:
        vault = self.world.vault
        # of every store, where there are others than the folder; one that is silent is an error
        manifests = vault.everywhere()
        damaged = {
            name: f"found by verify: {'; '.join(proof.complaints[:2])}"
            for name, proof in self.aftermath.proofs(manifests).items()
            if not proof.good
        }
        found = source.choose(self.database.name, manifests, vault.unreadable_manifests(), damaged)
        for why in found.passed_over:
            self.tell.warn(f"passed over, though newer: {why}")
        return found

    def _fill(self, found: Source, app: App) -> None:
        manifest = found.manifest
        name, taken = manifest.backup.name, manifest.backup.taken_at
        about = f"{mega(manifest.size)}, {manifest.contents.total} rows"
        self._begin(
            name,
            f"{about}, of {taken:%Y-%m-%d %H:%M:%S} UTC",
            app,
            manifest.images,
            origin=manifest.born,
            refill=True,
            lease=self._lease,
        )
        self._or_leave(partial(self._put_in_place, found))
        self._finish(name)

    def _put_in_place(self, found: Source) -> None:
        self.world.stop.check()
        self.preparation.stop_users(self.run_id)
        manifest = found.manifest
        try:
            scratch = self._proven_scratch(manifest)
        except BackupDamaged as error:
            raise source.refused(manifest.backup.name, error.message, found.older) from error
        self._swap_in(scratch, connections=manifest.properties.allow_connections)

    def _finish(self, name: str) -> None:
        try:
            self.journal.append(self.run_id, Phase.RESTORED)
            self.aftermath.close(self._run())
        except NothingChangedError as error:
            raise self._pending(error) from error
        self.tell.say(f"✓ restored {name}")
