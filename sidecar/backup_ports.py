"""What the stories need of backups: the vault, its copies in stores, and the lease of them all."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from sidecar.backups import Backup, Kind, Manifest, Proof
from sidecar.errors import BackupNotFound
from sidecar.facts import Contents, Look, Properties
from sidecar.inventory import Inventory

Tick = Callable[[int], None]
"""Told the bytes so far."""

NOT_YET = "not in every store yet"
"""What begins a complaint of backups for which there was no time."""

Ask = Callable[[], bool]


def always() -> bool:
    """Have as much time as it takes."""
    return True


class Store(Protocol):
    """
    A place away from this machine that holds backups: objects with a name, in one folder.

    An object has its name only once it is whole, and is never written over. Every method raises
    StoreFailed, whose ``passing`` says whether another try may help.
    """

    @property
    def name(self) -> str:
        """What people call it, such as ``gs://bucket/shop``; without a secret."""
        ...

    def listing(self) -> Mapping[str, int]:
        """
        List every object with its size; also those that are not ours.

        Raises:
            StoreFailed: it can't be told, or not of all: never a part for the whole.

        """
        ...

    def put(self, name: str, path: Path, tick: Tick) -> None:
        """
        Upload a file and prove that it arrived. The same object being there already will do.

        Args:
            name: the object's.
            path: a file that does not change.
            tick: told the bytes so far now and then; what it raises ends the upload.

        Raises:
            NameTaken: something else has that name.

        """
        ...

    def put_text(self, name: str, text: str) -> None:
        """Write a small object, as ``put`` does."""
        ...

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """
        Read an object in chunks, from a byte on.

        Raises:
            ObjectMissing: there is none.

        """
        ...

    def text(self, name: str) -> str:
        """Read a small object; raises ObjectMissing, or BackupDamaged where it is no text."""
        ...

    def remove(self, name: str) -> None:
        """Delete an object; there being none will do."""
        ...


class Copies(Protocol):
    """Backups in stores away from this machine, beside the local folder."""

    @property
    def required(self) -> bool:
        """No migration without a copy in every store."""
        ...

    def complaints(self) -> tuple[str, ...]:
        """Tell which stores can't be used, by writing, reading and deleting in each."""
        ...

    def copy(self, manifest: Manifest) -> tuple[str, ...]:
        """Bring a whole backup to every store; return complaints: none means it is proven there."""
        ...

    def catch_up(self, has_time: Ask = always) -> tuple[str, ...]:
        """
        Copy every local backup that is not in every store, the newest first.

        Args:
            has_time: asked before each; where it says no, the newest and one more are brought all
                the same: however slow the line is, what is left becomes less.

        Returns:
            Complaints, and how many are left where there was no time.

        """
        ...

    def behind(self, names: Collection[str] | None = None) -> tuple[str, ...]:
        """Tell which stores lack what the local folder has (of those names), or don't answer."""
        ...

    def lacking(self) -> Mapping[str, int]:
        """Count by store the local backups that are not there; all, where it does not answer."""
        ...

    def beyond(self, known: Iterable[str]) -> tuple[Manifest, ...]:
        """
        Read the backups that stores have and that are not among those known, the newest first.

        Raises:
            StoreFailed: a store can't be listed.
            Interrupted: a signal came.

        """
        ...

    def where(self) -> tuple[Mapping[str, tuple[str, ...]], tuple[str, ...]]:
        """Tell by backup in which stores it is whole, and which stores don't answer."""
        ...

    def fetch(self, name: str) -> Manifest:
        """
        Bring a backup into the local folder.

        Raises:
            BackupNotFound: no store has it.
            BackupDamaged: what arrived is not what its manifest says.

        """
        ...

    def renew(self, manifest: Manifest) -> None:
        """
        Have a whole copy take the place of a local file that is damaged; that one stays beside it.

        Raises:
            BackupNotFound: no store has it.
            BackupDamaged: what a store has is damaged as well, or is another backup.
            StoreFailed: a store does not answer, or there is no room here.

        """
        ...

    def whole(self) -> Mapping[str, frozenset[str]]:
        """
        Name by store the backups that are whole there.

        Raises:
            StoreFailed: a store can't be listed.

        """
        ...

    def torn(self) -> tuple[str, ...]:
        """
        Name what is not here, and of which a deletion that was cut off has left something there.

        Raises:
            StoreFailed: a store can't be listed.

        """
        ...

    def delete(self, name: str) -> tuple[str, ...]:
        """Delete a backup in every store, or what a deletion has left of it; return complaints."""
        ...


class NoCopies:
    """No store but the local folder."""

    required = False

    def complaints(self) -> tuple[str, ...]:
        """Have none."""
        return ()

    def copy(self, _manifest: Manifest) -> tuple[str, ...]:
        """Have nowhere to copy to."""
        return ()

    def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
        """Have nowhere to copy to."""
        return ()

    def behind(self, _names: Collection[str] | None = None) -> tuple[str, ...]:
        """Lack nothing."""
        return ()

    def lacking(self) -> Mapping[str, int]:
        """Lack nothing."""
        return {}

    def beyond(self, _known: Iterable[str]) -> tuple[Manifest, ...]:
        """Have nothing."""
        return ()

    def where(self) -> tuple[Mapping[str, tuple[str, ...]], tuple[str, ...]]:
        """Have nothing."""
        return {}, ()

    def fetch(self, name: str) -> Manifest:
        """Have nothing."""
        raise BackupNotFound(f"there is no backup {name}", hint="`list` shows what there is.")

    def renew(self, manifest: Manifest) -> None:
        """Have nothing."""
        self.fetch(manifest.backup.name)

    def whole(self) -> Mapping[str, frozenset[str]]:
        """Have nothing."""
        return {}

    def torn(self) -> tuple[str, ...]:
        """Have nothing."""
        return ()

    def delete(self, _name: str) -> tuple[str, ...]:
        """Have nothing to delete."""
        return ()


def no_doubt(_contents: Contents) -> tuple[str, ...]:
    """Take a backup for what it is."""
    return ()


class Vault(Protocol):
    """Every backup, wherever it is."""

    def manifests(self) -> tuple[Manifest, ...]:
        """All whole backups, the newest first."""
        ...

    def everywhere(self) -> tuple[Manifest, ...]:
        """
        All whole backups, those that are only in a store away from here too, the newest first.

        Raises:
            StoreFailed: a store can't be listed.

        """
        ...

    def inventory(self) -> Inventory:
        """
        Tell which whole backups are where.

        Raises:
            StoreFailed: the folder or a store can't be listed.

        """
        ...

    def remembered(self) -> Inventory:
        """Tell which were where when this was last remembered; nothing where it never was."""
        ...

    def remember(self, found: Inventory) -> None:
        """
        Keep what is where for the next time; where that can't be, forget what was.

        Raises:
            StoreFailed: the folder can't be changed at all.

        """
        ...

    def unreadable_manifests(self) -> tuple[str, ...]:
        """Name backups that are whole but for their manifests, which are damaged."""
        ...

    def next_backup(self, kind: Kind = Kind.PRE_MIGRATION) -> Backup:
        """Name a backup that is newer than every other."""
        ...

    def take(
        self,
        backup: Backup,
        run: str,
        look: Look,
        images: Mapping[str, str],
        note: str = "",
        doubt: Callable[[Contents], tuple[str, ...]] = no_doubt,
    ) -> Manifest:
        """
        Back up the live database; durable and checked on return.

        What `doubt` names, once the rows are counted, stands in the manifest.

        Raises:
            BackupFailed: there is no backup, nor a trace of one.

        """
        ...

    def chunks(self, name: str) -> tuple[Manifest, Iterator[bytes]]:
        """
        Check a backup against its manifest, then give what it holds.

        Raises:
            BackupNotFound: no such backup.
            BackupDamaged: it is not what its manifest says.
            KeyMissing: it is encrypted, and no key here opens it.

        """
        ...

    def check(self, name: str) -> Manifest:
        """
        Hold a file to its manifest, which takes no key.

        Raises:
            BackupNotFound: no such backup.
            BackupDamaged: it is not what its manifest says.

        """
        ...

    def require_key(self, name: str) -> None:
        """
        Refuse a backup that can't be read here, without reading all of it.

        Raises:
            BackupNotFound: no such backup.
            KeyMissing: it is encrypted, and no key here opens it.

        """
        ...

    def properties(self, manifest: Manifest) -> Properties:
        """
        Give what is to be made anew around a backup, with what its manifest hides.

        Raises:
            KeyMissing: it is encrypted, and no key here opens it.

        """
        ...

    def unreadable(self) -> str | None:
        """Tell why a backup that is taken now could not be read here; None where it could."""
        ...

    def note_proof(self, backup: Backup, proof: Proof) -> None:
        """Keep how the last attempt to prove a backup ended."""
        ...

    def proof(self, backup: Backup) -> Proof | None:
        """Tell how the last attempt to prove a backup ended; None where there was none."""
        ...

    def delete(self, name: str) -> None:
        """Delete a backup: its manifest first, so that what is left is none."""
        ...

    def discard(self, name: str) -> None:
        """Remove what a run that was killed has left of a backup; a whole one stays."""
        ...

    def complaints(self, size: int) -> tuple[str, ...]:
        """Tell what would keep a backup of about so many bytes from being taken."""
        ...


class Conflict(Exception):
    """Somebody has replaced what was read."""


class Slot(Protocol):
    """A place in a store for one small text, replaced only by who has read what it replaces."""

    @property
    def name(self) -> str:
        """How people find it."""
        ...

    def read(self) -> tuple[str, str]:
        """
        Read the text and its generation; both are empty where there is none.

        Raises:
            StoreFailed: it can't be read.

        """
        ...

    def replace(self, text: str, generation: str) -> None:
        """
        Write another text in the place of that generation.

        Raises:
            Conflict: there is another generation.
            StoreFailed: it can't be written.

        """
        ...


class Lease(Protocol):
    """
    Which instance may work on the backups.

    It runs out by itself some hours after it was last taken or renewed: who has died need not
    release it.
    """

    def take(self) -> str:
        """
        Take it, or take it again.

        Returns:
            The token to release it with.

        Raises:
            LeaseHeld: another instance has it.
            StoreFailed: who has it can't be found out.

        """
        ...

    def check(self) -> None:
        """
        Ask whether another has it, and write nothing: also where there is no room to.

        Raises:
            LeaseHeld: another instance has it.
            StoreFailed: who has it can't be found out.

        """
        ...

    def renew(self) -> None:
        """
        Hold it for longer.

        Raises:
            LeaseLost: another instance has taken it since, or somebody has removed it.
            StoreFailed: who has it can't be found out.

        """
        ...

    def release(self, token: str) -> None:
        """
        Let others have it at once; does nothing where somebody has taken it since.

        Args:
            token: of the act of taking that is over.

        Raises:
            StoreFailed: it can't be written.

        """
        ...


class NoLease:
    """Whoever comes may work on them: they are not what an instance is filled from."""

    def take(self) -> str:
        """Give an empty token."""
        return ""

    def check(self) -> None:
        """Let everybody."""

    def renew(self) -> None:
        """Hold nothing."""

    def release(self, token: str) -> None:
        """Let nothing go."""
