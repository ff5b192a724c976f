"""Take, list and check backups: write, sync, verify, name, and the manifest last."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

from sidecar import __version__, streams
from sidecar.backup_ports import Copies, no_doubt
from sidecar.backups import (
    DAMAGED_SUFFIX,
    MANIFEST_SUFFIX,
    PROOF_SUFFIX,
    Backup,
    Format,
    Kind,
    Manifest,
    Proof,
    newest_first,
)
from sidecar.errors import (
    UNCHANGED,
    BackupDamaged,
    BackupFailed,
    BackupNotFound,
    KeyMissing,
    StoreFailed,
)
from sidecar.facts import Contents, Look, Properties
from sidecar.failpoints import failpoint
from sidecar.inventory import FILE, HERE, Inventory
from sidecar.keys import Keys
from sidecar.manifests import each_manifest, read_manifest, read_manifests, read_proof
from sidecar.ports import Clock, Database, Stop, Teller
from sidecar.preflight import MEGABYTE, mega
from sidecar.stores.local import LocalStore, Stamp, Written

LAST = datetime(9998, 1, 1, tzinfo=UTC)


class LocalVault:
    """Backups in one folder."""

    def __init__(
        self,
        store: LocalStore,
        database: Database,
        written: Format,
        clock: Clock,
        tell: Teller,
        stop: Stop,
        *,
        mounted: bool = True,
        keys: Keys | None = None,
        copies: Copies | None = None,
    ) -> None:
        self.store = store
        self.database = database
        self.format = written
        self.clock = clock
        self.tell = tell
        self.stop = stop
        self.mounted = mounted
        """The folder outlives the container that we run in."""
        self.keys = keys or Keys()
        self.discarded: list[str] = []
        self._checked: dict[str, tuple[Stamp, Manifest]] = {}
        self.copies = copies
        """Stores away from here; None where there are none."""

    def manifests(self) -> tuple[Manifest, ...]:
        """All whole backups, the newest first."""
        return read_manifests(self.store, self.tell)

    def everywhere(self) -> tuple[Manifest, ...]:
        """All whole backups, those that are only in a store away from here too."""
        here = self.manifests()
        if self.copies is None:
            return here
        there = self.copies.beyond(m.backup.name for m in here)
        return newest_first((*here, *there))

    def inventory(self) -> Inventory:
        """Tell which whole backups are where now."""
        read = each_manifest(self.store)
        here = [name for name, found in read if isinstance(found, Manifest)]
        there = {} if self.copies is None else self.copies.whole()
        known = self.remembered()
        return Inventory.of({HERE: here, **there}, known.looks.at(self.clock.now()), known.going)

    def remembered(self) -> Inventory:
        """Tell which were where when this was last remembered."""
        if self.store.size(FILE) is None:
            return Inventory()
        with suppress(StoreFailed, UnicodeDecodeError):
            return Inventory.from_json(self.store.text(FILE))
        return Inventory()

    def remember(self, found: Inventory) -> None:
        """
        Keep what is where for the next time.

        A full disk does not keep us from making room: then nothing is kept, and nothing missed.
        """
        try:
            self.store.put(FILE, found.to_json())
        except (OSError, StoreFailed) as error:
            self.tell.warn(f"which backups are where can't be remembered: {error}")
            self.store.remove(FILE)

    def unreadable_manifests(self) -> tuple[str, ...]:
        """Name backups that are whole but for their manifests, which are damaged."""
        read = each_manifest(self.store)
        return tuple(name for name, found in read if isinstance(found, BackupDamaged))

    def next_backup(self, kind: Kind = Kind.PRE_MIGRATION) -> Backup:
        """Name a backup that is newer than every file here, even if the clock went back."""
        now = self.clock.now().replace(microsecond=0)
        names = [name.removesuffix(MANIFEST_SUFFIX) for name in self.store.names()]
        # whose run was thought dead may still be writing under the name that was discarded
        names += self.discarded
        # of the year 9999 is what somebody else has put there
        times = [b.taken_at for name in names if (b := Backup.parse(name)) and b.taken_at < LAST]
        newest = max(times, default=now - timedelta(seconds=1))
        # any psql can load the one that is made before every migration; the others are archives
        written = self.format if kind is Kind.PRE_MIGRATION else Format.ARCHIVE
        at = max(now, newest + timedelta(seconds=1))
        return Backup(kind, at, written, self.keys.encrypts)

    def delete(self, name: str) -> None:
        """Delete a backup: its manifest first, so that what is left is none."""
        self.store.remove(name + MANIFEST_SUFFIX)
        failpoint("delete.manifest-gone")
        for each in (name + PROOF_SUFFIX, name + DAMAGED_SUFFIX, name):
            self.store.remove(each)

    def note_proof(self, backup: Backup, proof: Proof) -> None:
        """Keep how the last attempt to prove a backup ended, beside it."""
        self.store.put(backup.name + PROOF_SUFFIX, proof.to_json())

    def proof(self, backup: Backup) -> Proof | None:
        """Tell how the last attempt to prove a backup ended; None where there was none."""
        return read_proof(self.store, backup)

    def discard(self, name: str) -> None:
        """Remove what a run that was killed has left of a backup; a whole one stays."""
        self.discarded.append(name)
        self.store.discard(name)

    def complaints(self, size: int) -> tuple[str, ...]:
        """Tell what would keep a backup of a database of so many bytes from being taken."""
        if not self.mounted:
            return (
                f"the folder of backups {self.store.folder} is inside migsafe's own container, and"
                " would be lost with it: mount a folder or a volume there",
            )
        found = self.keys.complaints()
        if complaint := self.store.complaint():
            return (*found, complaint)
        last = next((m.size for m in self.manifests()), None)
        need = (size if last is None else int(last * 1.2)) + 16 * MEGABYTE
        if self.store.free() >= need:
            return found
        return (
            *found,
            f"{mega(self.store.free())} are free in the folder of backups, and a backup needs"
            f" about {mega(need)}",
        )

    def take(
        self,
        backup: Backup,
        run: str,
        look: Look,
        images: Mapping[str, str],
        note: str = "",
        doubt: Callable[[Contents], tuple[str, ...]] = no_doubt,
    ) -> Manifest:
        """Back up the live database; durable and checked on return."""
        started = self.clock.monotonic()
        try:
            manifest = self._take(backup, run, look, images, note, doubt)
        except (OSError, StoreFailed) as error:
            raise BackupFailed(f"the backup failed: {error}", hint=UNCHANGED) from error
        finally:
            self.store.discard(backup.name)
        seconds = self.clock.monotonic() - started
        rows = sum(table.rows for table in manifest.contents.tables)
        self.tell.say(
            f"backup: {mega(manifest.size)} in {seconds:.1f} s, {rows} rows in"
            f" {len(manifest.contents.tables)} tables, sha256 {manifest.sha256[:12]}"
        )
        self.tell.say(f"✓ {backup.kind.capitalize()} backup created: {backup.name}")
        return manifest

    def chunks(self, name: str) -> tuple[Manifest, Iterator[bytes]]:
        """Check a backup against its manifest, then give the dump that is in it."""
        self.require_key(name)
        manifest = self._known(name)
        if not self._was_checked(manifest):
            self._check(manifest)
        # what is loaded is read again: it is held to the manifest once more, at its end
        raw = self._held(manifest)
        if manifest.backup.encrypted:
            raw = self.keys.decrypt(raw, manifest)
        plain = manifest.backup.format is Format.SQL
        return manifest, raw if plain else streams.decompress(raw)

    def check(self, name: str) -> Manifest:
        """Hold a file to its manifest, without a key; a store's copy replaces a damaged one."""
        manifest = self._known(name)
        self._check(manifest)
        return manifest

    def require_key(self, name: str) -> None:
        """Refuse a backup that is encrypted, where no key is here that opens it."""
        manifest = self._known(name)
        if manifest.backup.encrypted:
            head = streams.head(self.store.read(name))
            try:
                self.keys.require(manifest, head)
            except KeyMissing:
                if not self.keys.decrypts:
                    raise
                self.check(name)  # a damaged header looks as if it were for somebody else
                self.keys.require(manifest, streams.head(self.store.read(name)))

    def properties(self, manifest: Manifest) -> Properties:
        """Give what is to be made anew around a backup, with what its manifest hides."""
        return self.keys.reveal(manifest)

    def unreadable(self) -> str | None:
        """Tell why a backup that is taken now could not be read here again."""
        return self.keys.unreadable()

    def _take(
        self,
        backup: Backup,
        run: str,
        look: Look,
        images: Mapping[str, str],
        note: str,
        doubt: Callable[[Contents], tuple[str, ...]],
    ) -> Manifest:
        with self.database.dump(backup.format) as (chunks, counted):
            # not inside a generator: one that nobody reads to its end would never be over
            with (
                self.tell.progress("backup") as progress,
                closing(self._stream(chunks, backup, progress)) as stream,
            ):
                written = self.store.write(backup.name, stream)
            contents = counted()
        failpoint("backup.dumped")
        properties, encryption = look.properties, None
        if backup.encrypted:
            properties, encryption = self.keys.hide(look.properties)
        manifest = Manifest(
            backup=backup,
            run=run,
            database=look.database,
            size=written.size,
            sha256=written.sha256,
            server=look.server,
            properties=properties,
            ledger=look.ledger,
            contents=contents,
            images=images,
            migsafe=__version__,
            note=note,
            database_size=look.size,
            encryption=encryption,
            origin=look.origin,
            doubts=doubt(contents),
        )
        self._hold(manifest, self._read_to_end(backup))
        failpoint("backup.checked")
        self.store.publish(backup.name)
        failpoint("backup.published")
        if self.store.size(backup.name) != written.size:
            # who was held up for long has lost the lock, and the next run has cleared up after it
            raise BackupFailed(f"the backup failed: {backup.name} is gone", hint=UNCHANGED)
        self.store.put(backup.manifest_name, manifest.to_json())
        failpoint("backup.recorded")
        return manifest

    def _stream(
        self, chunks: Iterator[bytes], backup: Backup, progress: Callable[[int], None]
    ) -> Generator[bytes]:
        counted = self._counted(chunks, progress)
        stream = counted if backup.format is Format.SQL else streams.compress(counted)
        if backup.encrypted:
            stream = self.keys.encrypt(streams.proven(stream, backup.format))
        yield from stream

    def _counted(self, chunks: Iterator[bytes], progress: Callable[[int], None]) -> Iterator[bytes]:
        done = 0
        for chunk in chunks:
            self.stop.check()
            done += len(chunk)
            failpoint("backup.dumping")
            progress(done)
            yield chunk

    def _held(self, manifest: Manifest) -> Iterator[bytes]:
        hashed = streams.Hashed(self.store.read(manifest.backup.name))
        yield from hashed
        self._hold(manifest, hashed.written)

    def _hold(self, manifest: Manifest, found: Written) -> None:
        """Hold what was read to what the manifest says."""
        if difference := manifest.differs(found.size, found.sha256):
            raise BackupDamaged(difference)

    def _read_to_end(self, backup: Backup) -> Written:
        """
        Prove that the file ends where a dump does; a cut one can still load without an error.

        What is encrypted can't be read back without its key, which may be elsewhere. That it is
        whole was proven on its way into the file (``streams.proven``); that all of it was
        encrypted, by how long that became (``age.encrypt``), and the chunk with age's own mark of
        the end is the last of it. So if the file holds the bytes that were written, it holds a
        whole dump.
        """
        hashed = streams.Hashed(self.store.read(backup.name, partial=True))
        if backup.encrypted:
            return hashed.drain()
        plain = backup.format is Format.SQL
        for _ in streams.ended(hashed if plain else streams.decompress(hashed), backup.format):
            pass
        return hashed.written

    def _check(self, manifest: Manifest) -> None:
        name = manifest.backup.name
        stamp = self.store.stamp(name)
        try:
            self._hold(manifest, streams.Hashed(self.store.read(name)).drain())
            self._checked[name] = stamp, manifest
        except (BackupDamaged, StoreFailed) as damage:
            self._renew(manifest, damage)

    def _was_checked(self, manifest: Manifest) -> bool:
        """Tell whether we have held a file to this manifest, and nobody has touched it since."""
        name = manifest.backup.name
        return self._checked.get(name) == (self.store.stamp(name), manifest)

    def _renew(self, manifest: Manifest, damage: BackupDamaged | StoreFailed) -> None:
        """Have a store's copy take the place of a damaged file; raise the damage where none can."""
        if self.copies is None:
            raise damage
        self.tell.warn(f"{damage.message}: looking for a whole copy in the stores")
        try:
            self.copies.renew(manifest)
        except (BackupDamaged, BackupNotFound, StoreFailed) as error:
            self.tell.warn(f"no copy takes its place: {error.message}")
            raise damage from error

    def _is_here(self, name: str) -> bool:
        return all(self.store.taken(each) for each in (name, name + MANIFEST_SUFFIX))

    def _known(self, name: str) -> Manifest:
        if self.copies is not None and not self._is_here(name):
            self.copies.fetch(name)
        for needed in (name, name + MANIFEST_SUFFIX):
            if self.store.taken(needed) and self.store.size(needed) is None:
                raise BackupDamaged(f"{needed} is no file: a link, or something else")
        if self.store.size(name) is None:
            raise BackupNotFound(f"there is no backup {name}", hint="`list` shows what there is.")
        try:
            return read_manifest(self.store, name)
        except StoreFailed as error:
            raise BackupNotFound(f"{name} has no manifest: {error.message}") from error
