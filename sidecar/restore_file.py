"""
An operator's restore of a dump that others have made.

It has no manifest to be held to. So it is loaded first, beside the live database and while the app
runs on; then the operator is shown what is in it, against what is live, and decides. The lock is
held meanwhile: nothing else may change the database that was compared.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from sidecar.errors import (
    UNCHANGED,
    BackupDamaged,
    DatabaseMissing,
    DatabaseUnavailable,
    PreflightFailed,
    RollbackFailed,
)
from sidecar.facts import Contents, Examined, LeftOut, Properties, scratch_name
from sidecar.guard import Done
from sidecar.loading import require_room_for
from sidecar.plan import Phase
from sidecar.ports import Dump
from sidecar.preflight import mega
from sidecar.restore import Restore


@dataclass(frozen=True)
class Loaded:
    """A dump that was loaded beside the live database."""

    name: str
    examined: Examined
    contents: Contents
    left_out: LeftOut


Confirm = Callable[[Loaded], None]
"""Shows what was loaded; raises where it is not wanted."""


class FileRestore(Restore):
    """One restore of a dump that others have made."""

    def run_file(self, dump: Dump, confirm: Confirm, *, migrate: bool) -> Done | None:
        """
        Put a dump in the place of the live database.

        Returns:
            How the migration afterwards ended, if there was one.

        Raises:
            NothingChangedError: the live database is as it was.
            MigsafeError: it is restored, and the migration afterwards failed.

        """
        with self.journal.hold(self.run_id, self.policy.wait.total_seconds()):
            app = self.world.engine.app()
            self._refuse_unfinished()
            self._hold_backups(migrate=migrate)
            with self.tell.progress("read") as progress:
                examined = dump.examine(progress)
            require_room_for(self.world, examined.size, "loading")
            wanted = self._properties()
            self._begin(dump.name, f"{examined.kind}, {mega(examined.size)} of SQL", app, {})
            self._or_leave(partial(self._load_and_swap, dump, examined, wanted, confirm))
            return self._finish(dump.name, app, migrate=migrate)

    def _properties(self) -> Properties:
        """Take owner, encoding and locale from the live database, else from its newest backup."""
        try:
            return self.database.look().properties
        except DatabaseUnavailable as error:
            manifests = self.world.vault.manifests()
            mine = next((m for m in manifests if m.database == self.database.name), None)
            if mine is not None:
                return self.world.vault.properties(mine)
            if isinstance(error, DatabaseMissing):
                error.hint = (
                    f"{UNCHANGED} Make an empty one (`createdb -O OWNER NAME`): its owner and its"
                    " locale are those that the dump gets. Then restore again."
                )
            raise

    def _load_and_swap(
        self, dump: Dump, examined: Examined, wanted: Properties, confirm: Confirm
    ) -> None:
        scratch = scratch_name(self.database.name, self.run_id, "load")
        self.journal.append(self.run_id, Phase.LOADING, scratch=scratch)
        confirm(self._loaded(dump, examined, wanted, scratch))
        self.world.stop.check()
        self.guard.preparation.stop_users(self.run_id)
        self._save_what_is_there()
        self._swap_in(scratch, connections=True)

    def _loaded(self, dump: Dump, examined: Examined, wanted: Properties, scratch: str) -> Loaded:
        wanted = replace(wanted, allow_connections=True)
        try:
            with self.tell.progress("load"):
                left = self.database.load_foreign(scratch, dump.sql(), wanted, self.world.stop)
        except RollbackFailed as error:
            raise PreflightFailed(
                f"{dump.name} can't be loaded on this server: {error.message}", hint=UNCHANGED
            ) from error
        contents = self.database.contents_of(scratch)
        if not contents.total:
            tables = f"{len(contents.tables)} tables and no rows" if contents.tables else "nothing"
            raise BackupDamaged(
                f"loaded, {dump.name} holds {tables}", hint=f"{UNCHANGED} Use another dump."
            )
        return Loaded(dump.name, examined, contents, left)
