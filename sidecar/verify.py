"""Proving that a backup restores: read to its end, or loaded beside the live database."""

from sidecar.aftermath import Aftermath
from sidecar.backups import Manifest, Proof
from sidecar.errors import BackupDamaged, KeyMissing, MigsafeError, Refused
from sidecar.facts import scratch_name
from sidecar.loading import load, stoppable
from sidecar.plan import Phase, StartOver, run_of
from sidecar.policy import Policy
from sidecar.ports import World


class Verification:
    """Proves backups, one after another."""

    def __init__(self, world: World, policy: Policy, run: str) -> None:
        self.world = world
        self.policy = policy
        self.run_id = run
        self.aftermath = Aftermath(world)

    def read(self, manifest: Manifest) -> Proof:
        """
        Read a backup to its end, and hold it to its manifest.

        Raises:
            KeyMissing: it can't be read here, which proves nothing.

        """
        return self.locked(manifest) or self._proof(manifest, quick=True)

    def restore(self, manifest: Manifest) -> Proof:
        """
        Load a backup into a scratch database, compare it with its manifest, and drop it again.

        Raises:
            AlreadyRunning: a guarded run or another restore is going on.
            Refused: a run is not at its end.
            KeyMissing: it can't be read here, which proves nothing.

        """
        if damaged := self.locked(manifest):
            return damaged
        with self.world.journal.hold(self.run_id, self.policy.wait.total_seconds()):
            if not isinstance(self.aftermath.settle(), StartOver):
                raise Refused(
                    "a run is not at its end: nothing is loaded on its server now",
                    hint="Nothing was changed. Start first (`docker compose up`): that ends it.",
                )
            self.world.journal.append(self.run_id, Phase.STARTED, verifying=manifest.backup.name)
            try:
                return self._proof(manifest, quick=False)
            finally:
                self._leave()

    def locked(self, manifest: Manifest) -> Proof | None:
        """
        See whether a backup can be read here; where not, whether its checksum at least is right.

        Returns:
            None where it can be read, else the proof that it is damaged.

        Raises:
            KeyMissing: the file is as it was written; that it restores is not proven.

        """
        vault, name = self.world.vault, manifest.backup.name
        try:
            vault.require_key(name)
        except BackupDamaged:
            pass  # found again, by who reads it
        except KeyMissing as error:
            try:
                vault.check(name)
            except BackupDamaged as damage:
                found = Proof(self.world.clock.now(), "read", (damage.message,))
                return self._noted(manifest, found)
            raise KeyMissing(
                f"{error.message}: the file is as it was written, and more can't be told",
                hint=error.hint,
            ) from error
        return None

    def _noted(self, manifest: Manifest, found: Proof) -> Proof:
        self.world.vault.note_proof(manifest.backup, found)
        return found

    def _leave(self) -> None:
        try:
            self.world.journal.append(self.run_id, Phase.ABANDONED, reason="verified")
            self.aftermath.close(run_of(self.world.journal.entries(), self.run_id))
        except MigsafeError as error:
            self.world.tell.warn(f"while leaving: {error.message}; the next run clears up")

    def _proof(self, manifest: Manifest, *, quick: bool) -> Proof:
        started = self.world.clock.monotonic()
        try:
            complaints = self._read(manifest) if quick else self._load(manifest)
        except BackupDamaged as error:
            complaints = (error.message,)
        seconds = self.world.clock.monotonic() - started
        how = "read" if quick else "restored"
        found = Proof(self.world.clock.now(), how, complaints, round(seconds, 1))
        return self._noted(manifest, found)

    def _read(self, manifest: Manifest) -> tuple[str, ...]:
        with self.world.tell.progress("verify") as progress:
            done = 0
            for chunk in stoppable(
                self.world.vault.chunks(manifest.backup.name)[1], self.world.stop
            ):
                done += len(chunk)
                progress(done)
        return ()

    def _load(self, manifest: Manifest) -> tuple[str, ...]:
        name = scratch_name(self.world.database.name, self.run_id, "load")
        self.world.journal.append(self.run_id, Phase.LOADING, scratch=name)
        return load(self.world, manifest, name)
