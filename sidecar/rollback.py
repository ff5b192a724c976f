"""
The rollback: scratch first, proven, then one swap of names.

Nothing is ever loaded into a database that has something in it, and nothing that holds data is
dropped: the failed database is renamed and kept, closed.
"""

from collections.abc import Callable
from dataclasses import replace

from sidecar import proof
from sidecar.errors import (
    BackupDamaged,
    BackupNotFound,
    DatabaseUnavailable,
    DeadlineExceeded,
    EngineUnavailable,
    Interrupted,
    JournalDisagrees,
    MigrationFailed,
    MigrationInterrupted,
    MigsafeError,
    ProofFailed,
    RollbackFailed,
    RolledBackError,
    StoreFailed,
)
from sidecar.facts import Look, kept_name, scratch_name
from sidecar.loading import require_room
from sidecar.migration import contents_before, look_before
from sidecar.plan import Failure, Phase, Run
from sidecar.ports import World


class Rollback:
    """Puts the database back to where a run found it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.journal = world.journal
        self.database = world.database
        self.tell = world.tell

    def decide(self, run: Run, failure: Failure) -> None:
        """Journal that the run failed: from here on it is rolled back, whatever happens."""
        self.tell.warn(failure.reason)
        self.journal.append(
            run.id,
            Phase.FAILED,
            code=failure.code,
            reason=self.tell.redact(failure.reason),
            tail=[self.tell.redact(line) for line in failure.tail],
        )

    def finish(self, run: Run, *, unchanged: bool) -> RolledBackError:
        """
        Put the database back and return the failure that made it necessary.

        Args:
            run: the run that failed; it may be rolled back in part already.
            unchanged: the migration provably wrote nothing.

        Raises:
            RollbackFailed: it can't be done or not be proven; the database is closed.

        """
        if unchanged and not run.swapped:
            self.tell.say("rollback: not needed, the server saw no write while the migration ran")
            self.journal.append(run.id, Phase.UNCHANGED)
            return error_of(run.failure)
        try:
            self._put_back(run)
        except (DatabaseUnavailable, EngineUnavailable, JournalDisagrees, Interrupted):
            raise  # the next start goes on from here
        except MigsafeError as error:
            raise self._strand(run, error) from error
        return error_of(run.failure)

    def _put_back(self, run: Run) -> None:
        before = look_before(run)
        kept = kept_name(before.database, run.id)
        if not run.swapped:
            started = self.world.clock.monotonic()
            scratch = self._proven_scratch(run, before)
            self._close(before)
            self.database.swap(scratch, kept, run.id, before.properties.allow_connections)
            seconds = self.world.clock.monotonic() - started
            self.tell.say(f"rollback: put back and proven in {seconds:.1f} s")
        self._agree(run)
        self.journal.append(run.id, Phase.ROLLED_BACK, beyond=self._beyond(before))

    def _beyond(self, before: Look) -> list[str]:
        """Tell what the migration did to the server beside its database: that is not undone."""
        if not before.properties.allow_connections:
            return []
        found = list(proof.outside(before, self.database.look()))
        for change in found:
            self.tell.warn(f"not undone, for it is beyond the database: {change}")
        return found

    def _agree(self, run: Run) -> None:
        """Hold the server to the swap that the journal remembers from an earlier run."""
        scratch = run.named("swapped_in")
        if scratch is not None and self.database.exists(scratch):
            raise JournalDisagrees(
                f"the journal says that {scratch} has taken the place of the database, and it has"
                " not: the server was put back to an earlier state",
                hint="Nothing is touched. Look at both and decide: the copy is the database as it"
                " was before the migration, and the other one has been migrated.",
            )

    def _close(self, before: Look) -> None:
        left = self.database.close()
        if left:
            raise RollbackFailed(
                f"sessions on {before.database!r} can't be ended:"
                f" {'; '.join(session.title for session in left)}"
            )

    def _proven_scratch(self, run: Run, before: Look) -> str:
        """Return a database that is what the live one was before; from the server, or the file."""
        try:
            return self.from_restore_point(run, before)
        except Distrusted as error:
            self.tell.say(f"rollback: loading the backup ({error})")
            return self._from_backup(run, before)

    def from_restore_point(self, run: Run, before: Look) -> str:
        """
        Open the copy that a run has made on the server before it migrated, and prove it.

        Raises:
            Distrusted: there is none, or it is not what the database was.

        """
        name, oid = run.named("restore_point"), run.detail.get("restore_point_oid")
        if name is None or oid is None:
            raise Distrusted("there is no restore point")
        if reason := self.database.untouched(name, oid):
            raise Distrusted(reason)
        self.database.open(name)
        self._compare(run, before, name, Distrusted)
        return name

    def _from_backup(self, run: Run, before: Look) -> str:
        name = scratch_name(before.database, run.id, "load")
        manifest, chunks = self.world.vault.chunks(str(run.named("backup")))
        taken = run.named("checksum")  # a run of an older version did not note it
        if taken is not None and taken != manifest.checksum:
            raise BackupDamaged(f"{manifest.backup.name} is not the backup that run {run.id} took")
        require_room(self.world, manifest)
        self.journal.append(run.id, Phase.LOADING, scratch=name)
        if self.database.exists(name):  # left by a run that was killed while it loaded
            self.database.drop(name)
        with self.tell.progress("rollback"):
            # the journal has settings of apps as fingerprints only
            properties = self.world.vault.properties(manifest)
            self.database.load(name, chunks, manifest.backup.format, properties)
        self._compare(run, before, name, RollbackFailed)
        differences = proof.same_rows(contents_before(run), self.database.contents_of(name))
        if differences:
            raise RollbackFailed(f"the loaded backup is not whole: {'; '.join(differences[:5])}")
        return name

    def _compare(
        self, run: Run, before: Look, name: str, error: Callable[[str], Exception]
    ) -> None:
        found = self.database.look_at(name)
        properties = replace(
            found.properties.sealed(run.id), allow_connections=before.properties.allow_connections
        )
        before = replace(before, properties=before.properties.sealed(run.id))
        differences = proof.put_back(before, replace(found, properties=properties))
        if differences:
            raise error(f"{name} is not what the database was: {', '.join(differences)}")

    def _strand(self, run: Run, error: MigsafeError) -> RollbackFailed:
        """Keep the app out of a database that is neither before nor after."""
        why = {
            "why_stranded": self.tell.redact(error.message),
            "backup_lost": isinstance(error, BackupDamaged | BackupNotFound | StoreFailed),
            "open": not self._closed(),
        }
        self.journal.append(run.id, Phase.STRANDED, **why)
        return stranded(replace(run, detail={**run.detail, **why}))

    def report(self, run: Run) -> RollbackFailed:
        """Tell of a rollback that failed earlier; what could not be closed then is closed now."""
        if not run.detail.get("open"):
            return stranded(run)
        closed = self._closed()
        return stranded(replace(run, detail={**run.detail, "open": not closed}))

    def _closed(self) -> bool:
        """Close the live database, as well as it goes; tell whether nobody is in it any more."""
        try:
            left = self.database.close()
        except MigsafeError as error:
            self.tell.warn(f"the database could not be closed: {error.message}")
            return False
        if left:
            names = "; ".join(session.title for session in left)
            self.tell.warn(f"sessions could not be ended: {names}")
        return not left


class Distrusted(Exception):
    """The restore point can't be used; the text says why."""


def stranded(run: Run) -> RollbackFailed:
    """Tell that a run could not be rolled back, now or earlier."""
    state = (
        "The database could NOT be closed, or somebody is in it still: let nothing write to it."
        if run.detail.get("open")
        else "The database is closed, so that nothing writes to it."
    )
    return RollbackFailed(
        f"the rollback failed: {run.named('why_stranded')};"
        f" it was needed because {run.failure.reason}",
        hint=f"{state} Remove the cause, then try again: the rollback goes on.",
    )


def error_of(failure: Failure) -> RolledBackError:
    """Make the error that a failure ends with."""
    classes = {
        kind.exit_code: kind
        for kind in (MigrationFailed, MigrationInterrupted, ProofFailed, DeadlineExceeded)
    }
    return classes[failure.code](failure.reason)
