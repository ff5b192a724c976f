"""
Copies of backups in stores away from this machine: brought there, fetched back, deleted.

What is read goes on being read from the local folder: a backup that is only elsewhere is fetched
into it first, as carefully as one is taken. In a store, too, the manifest is written last and
deleted first.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sidecar.backup_ports import NOT_YET, Ask, Store, Tick, always
from sidecar.backups import (
    DAMAGED_SUFFIX,
    DELETING_SUFFIX,
    MANIFEST_SUFFIX,
    PROOF_SUFFIX,
    Backup,
    Manifest,
    newest_first,
)
from sidecar.errors import (
    UNCHANGED,
    BackupDamaged,
    BackupNotFound,
    MigsafeError,
    ObjectMissing,
    StoreFailed,
)
from sidecar.failpoints import failpoint
from sidecar.manifests import each_manifest
from sidecar.ports import Clock, Stop, Teller
from sidecar.preflight import MEGABYTE, mega
from sidecar.stores.local import LocalStore
from sidecar.streams import Hashed

T = TypeVar("T")

ALWAYS_BROUGHT = 2
"""The newest, and one more: or on a slow line what is older would never get there."""

SHOWN = 3
"""So many names are told, where there are more."""


@dataclass(frozen=True)
class Seen:
    """What a store's listing shows of backups."""

    store: Store
    sizes: Mapping[str, int]

    @property
    def whole(self) -> frozenset[str]:
        """Backups that have their manifest."""
        ours = (name for name in self.sizes if Backup.parse(name))
        return frozenset(name for name in ours if name + MANIFEST_SUFFIX in self.sizes)

    @property
    def noted(self) -> frozenset[str]:
        """Backups whose deletion was begun, and that have no manifest any more."""
        noted = (n.removesuffix(DELETING_SUFFIX) for n in self.sizes if n.endswith(DELETING_SUFFIX))
        ours = (name for name in noted if Backup.parse(name))
        return frozenset(name for name in ours if name + MANIFEST_SUFFIX not in self.sizes)

    def has(self, manifest: Manifest) -> bool:
        """Tell whether a backup is there, with all its bytes."""
        name = manifest.backup.name
        return name in self.whole and self.sizes[name] == manifest.size


class Remotes:
    """The stores of MIGSAFE_STORES."""

    def __init__(
        self,
        stores: Callable[[], Sequence[Store]],
        local: LocalStore,
        clock: Clock,
        tell: Teller,
        stop: Stop,
        *,
        required: bool = False,
    ) -> None:
        self._open = stores
        self._stores: Sequence[Store] | None = None
        self.local = local
        self.clock = clock
        self.tell = tell
        self.stop = stop
        self.required = required

    @property
    def stores(self) -> Sequence[Store]:
        """The stores, opened when they are needed first: most runs need none."""
        if self._stores is None:
            self._stores = self._open()
        return self._stores

    # --- is it all there?

    def complaints(self) -> tuple[str, ...]:
        """Write a small object to each store, read it, compare it, delete it; tell what fails."""
        return self._each(self._tried)

    def behind(self, names: Collection[str] | None = None) -> tuple[str, ...]:
        """Tell which stores lack what the local folder has (of those names), or don't answer."""
        if not self.stores:
            return ()
        found = self._local_manifests()
        local = tuple(m for m in found if names is None or m.backup.name in names)
        return self._each(partial(self._behind, local))

    def lacking(self) -> Mapping[str, int]:
        """Count by store the local backups that are not there; all, where it does not answer."""
        local, found = self._local_manifests() if self.stores else (), {}
        for store in self.stores:
            try:
                found[store.name] = len(_lacks(store, local))
            except StoreFailed:
                found[store.name] = len(local)
        return found

    def missing(self) -> tuple[Manifest, ...]:
        """
        Name the local backups that are not in every store, the newest first.

        Raises:
            StoreFailed: a store can't be listed.

        """
        seen = self.seen()
        return tuple(m for m in self._local_manifests() if not all(s.has(m) for s in seen))

    def seen(self) -> tuple[Seen, ...]:
        """
        List every store.

        Raises:
            StoreFailed: one of them can't be listed, and which.

        """
        return tuple(Seen(store, _named(store, store.listing)) for store in self.stores)

    def _tried(self, store: Store) -> Iterator[str]:
        name, text = f"migsafe-probe-{self.clock.now():%Y%m%d-%H%M%S-%f}", "migsafe writes here\n"
        try:
            store.put_text(name, text)
            if store.text(name) != text:
                yield "what was written is read back as something else"
        except StoreFailed:
            with suppress(StoreFailed):  # the first failure is the one to tell
                store.remove(name)
            raise
        store.remove(name)

    def _behind(self, local: Sequence[Manifest], store: Store) -> Iterator[str]:
        if lacking := _lacks(store, local):
            yield f"lacks {len(lacking)} of {len(local)} backups: {_some(lacking)}"

    def _local_manifests(self) -> tuple[Manifest, ...]:
        # whoever lists the folder tells of what is damaged; nothing damaged is copied
        return newest_first(
            found for _, found in each_manifest(self.local) if isinstance(found, Manifest)
        )

    # --- there

    def copy(self, manifest: Manifest) -> tuple[str, ...]:
        """
        Bring a whole backup to every store: payload, then manifest, each compared after.

        Returns:
            Complaints, a line for each store that has no proven copy now.

        Raises:
            Interrupted: a signal came.

        """
        if not self.stores:
            return ()
        try:
            self._hold(manifest)
        except (BackupDamaged, StoreFailed) as error:
            return (f"{manifest.backup.name} is not copied: {error.message}",)
        return self._each(partial(self._copied, manifest))

    def catch_up(self, has_time: Ask = always) -> tuple[str, ...]:
        """Copy what is not in every store, as long as there is time; return complaints."""
        try:
            missing = self.missing()
        except StoreFailed as error:
            return (error.advice,)
        found: dict[str, None] = {}
        for done, manifest in enumerate(missing):
            if not has_time() and done >= ALWAYS_BROUGHT:
                left = [m.backup.name for m in missing[done:]]
                return (*found, f"{NOT_YET}: {_some(left)} ({len(left)} in all)")
            complaints = self.copy(manifest)
            if complaints and self._is_deleted(manifest.backup):
                # nobody holds the lock while it is copied: a guard may prune
                self.tell.say(f"{manifest.backup.name} is not copied: it was deleted meanwhile")
                continue
            found |= dict.fromkeys(complaints)
        return tuple(found)

    def _hold(self, manifest: Manifest) -> None:
        """Hold the local file to its manifest: what is damaged here is not spread."""
        hashed = Hashed(self.local.read(manifest.backup.name))
        for _ in hashed:
            self.stop.check()
        if manifest.differs(hashed.written.size, hashed.written.sha256):
            raise BackupDamaged("its checksum is not the one in its manifest")

    def _copied(self, manifest: Manifest, store: Store) -> Iterator[str]:
        backup, began = manifest.backup, self.clock.monotonic()
        if self._is_deleted(backup):
            raise StoreFailed(f"{backup.name} was deleted meanwhile")
        with self.tell.progress(f"copy to {store.name}") as progress:
            store.put(backup.name, self.local.folder / backup.name, self._tick(progress))
            failpoint("copy.uploaded")
            store.put_text(backup.manifest_name, self._text_or_undo(backup, store))
            failpoint("copy.recorded")
        seconds = self.clock.monotonic() - began
        self.tell.say(
            f"✓ copied to {store.name}: {backup.name}, {mega(manifest.size)}, {seconds:.1f} s"
        )
        yield from ()

    def _text_or_undo(self, backup: Backup, store: Store) -> str:
        """Read the manifest; where it was deleted meanwhile leave no file that nobody deletes."""
        try:
            return self.local.text(backup.manifest_name)
        except StoreFailed:
            if self._is_deleted(backup) and not _has_manifest(store, backup):
                store.remove(backup.name)
            raise

    def _is_deleted(self, backup: Backup) -> bool:
        """Tell that it is gone from here; raises StoreFailed where the folder does not say."""
        return not {backup.name, backup.manifest_name} & set(self.local.names())

    def _tick(self, progress: Tick) -> Tick:
        def tick(done: int) -> None:
            self.stop.check()
            progress(done)

        return tick

    # --- and back

    def beyond(self, known: Iterable[str]) -> tuple[Manifest, ...]:
        """Read the backups that stores have and that are not among those known."""
        known, found = frozenset(known), dict[str, Manifest]()
        for seen in self.seen():
            for name in sorted(seen.whole - known - found.keys()):
                self.stop.check()
                if (manifest := self._manifest(seen.store, name)) is not None:
                    found[name] = manifest
        return newest_first(found.values())

    def where(self) -> tuple[Mapping[str, tuple[str, ...]], tuple[str, ...]]:
        """Tell by backup in which stores it is whole, and which stores don't answer."""
        found: dict[str, tuple[str, ...]] = {}

        def note(store: Store) -> Iterator[str]:
            for name in Seen(store, store.listing()).whole:
                found[name] = (*found.get(name, ()), store.name)
            yield from ()

        complaints = self._each(note)
        return found, complaints

    def fetch(self, name: str) -> Manifest:
        """Bring a backup into the local folder: partial, checked, named, and its manifest last."""
        return self._from_any(name, self._fetched)

    def renew(self, manifest: Manifest) -> None:
        """
        Have a whole copy take the place of a local file that is damaged.

        Nothing is touched here before the copy has arrived, whole. The damaged file stays beside it
        until that backup is deleted: its blocks may be bad, or tell somebody what happened.
        """
        self._from_any(manifest.backup.name, partial(self._renewed, manifest))

    def _from_any(self, name: str, act: Callable[[Store, str], T]) -> T:
        """Have the first store that can give a backup."""
        reasons: list[MigsafeError] = []
        for store in self.stores:
            try:
                return act(store, name)
            except ObjectMissing:
                continue
            except (StoreFailed, BackupDamaged) as error:
                reasons.append(error)
                self.tell.warn(f"{name} can't be fetched from {store.name}: {error.message}")
        if reasons:
            raise reasons[0]
        raise BackupNotFound(
            f"there is no backup {name}, neither here nor in a store",
            hint=f"{UNCHANGED} `list` shows what there is.",
        )

    def _fetched(self, store: Store, name: str) -> Manifest:
        text = store.text(name + MANIFEST_SUFFIX)
        manifest = Manifest.from_json(text, name)
        self._require_room(manifest)
        if self.local.size(name) is not None:
            self._refuse_another(manifest)
        else:
            self._download(store, manifest)
        self.local.put(name + MANIFEST_SUFFIX, text)
        failpoint("fetch.recorded")
        self.tell.say(f"✓ fetched from {store.name}: {name}, {mega(manifest.size)}")
        return manifest

    def _renewed(self, manifest: Manifest, store: Store, name: str) -> None:
        if Manifest.from_json(store.text(name + MANIFEST_SUFFIX), name) != manifest:
            raise BackupDamaged(f"what {store.name} has under that name is another backup")
        self._require_room(manifest)
        self._download(store, manifest, instead=True)
        self.local.remove(name + PROOF_SUFFIX)  # it is about the damaged one
        self.tell.say(
            f"✓ fetched from {store.name}: {name}, {mega(manifest.size)}; the damaged file is kept"
            f" as {name}{DAMAGED_SUFFIX}"
        )

    def _require_room(self, manifest: Manifest) -> None:
        free, need = self.local.free(), manifest.size + 16 * MEGABYTE
        if free < need:
            raise StoreFailed(
                f"{mega(free)} are free in the folder of backups, and {manifest.backup.name} needs"
                f" {mega(need)}",
                hint=f"{UNCHANGED} Make room there first.",
            )

    def _refuse_another(self, manifest: Manifest) -> None:
        """Let a file without a manifest be only where it is the very one: a torn deletion."""
        try:
            self._hold(manifest)
        except BackupDamaged as error:
            raise StoreFailed(
                f"a file named {manifest.backup.name} is in the folder of backups already, without"
                " a manifest, and it is another",
                hint=f"{UNCHANGED} Move it away, then try again.",
            ) from error

    def _download(self, store: Store, manifest: Manifest, *, instead: bool = False) -> None:
        """Download a file, and give it its name, instead of a damaged one or where none is."""
        name = manifest.backup.name
        try:
            with self.tell.progress(f"fetch from {store.name}") as progress:
                chunks = _told(store.read(name), self._tick(progress))
                written = self.local.write(name, chunks)
            failpoint("fetch.downloaded")
            if manifest.differs(written.size, written.sha256):
                raise BackupDamaged(
                    f"{name} in {store.name} is not what its manifest says",
                    hint=f"{UNCHANGED} Use another backup: `list` shows them.",
                )
            if instead:
                self.local.set_aside(name)
                failpoint("renew.set-aside")
            self.local.publish(name)
            failpoint("fetch.published")
        except OSError as error:
            raise StoreFailed(f"{name} can't be written here: {error.strerror}") from error
        finally:
            self.local.remove_partial(name)

    # --- away

    def whole(self) -> Mapping[str, frozenset[str]]:
        """
        Name by store the backups that are whole there.

        Raises:
            StoreFailed: a store can't be listed.

        """
        return {seen.store.name: seen.whole for seen in self.seen()}

    def torn(self) -> tuple[str, ...]:
        """
        Name what is not here, and of which a deletion that was cut off has left something there.

        What is here still goes there when it goes here, or is brought there again.

        Raises:
            StoreFailed: a store can't be listed.

        """
        here = set(self.local.names()) if self.stores else set()
        found = {name for seen in self.seen() for name in self._half_deleted(seen)}
        return tuple(sorted(found - here))

    def delete(self, name: str) -> tuple[str, ...]:
        """
        Delete a backup in every store that has it whole: its manifest first.

        Only with a manifest of ours that fits, and only what bears exactly that name. A second copy
        of the manifest is there until the end, so that what a deletion has left that was cut off is
        known for ours: it is deleted in the same way.
        """
        return self._each(partial(self._deleted, name))

    def _deleted(self, name: str, store: Store) -> Iterator[str]:
        if self._manifest(store, name) is not None:
            store.put_text(name + DELETING_SUFFIX, store.text(name + MANIFEST_SUFFIX))
            failpoint("uncopy.noted")
            store.remove(name + MANIFEST_SUFFIX)
            failpoint("uncopy.manifest-gone")
        elif name not in self._half_deleted(Seen(store, store.listing())):
            return
        store.remove(name)
        failpoint("uncopy.gone")
        store.remove(name + DELETING_SUFFIX)
        self.tell.say(f"deleted in {store.name}: {name}")
        yield from ()

    def _half_deleted(self, seen: Seen) -> frozenset[str]:
        """Name what has lost its manifest to a deletion; a file of another size is not ours."""
        return frozenset(
            name
            for name in seen.noted
            if (noted := self._manifest(seen.store, name, DELETING_SUFFIX)) is not None
            and seen.sizes.get(name, noted.size) == noted.size
        )

    # --- helpers

    def _manifest(self, store: Store, name: str, suffix: str = MANIFEST_SUFFIX) -> Manifest | None:
        """Read a manifest; None where there is none, or it is none of ours."""
        try:
            return Manifest.from_json(_named(store, partial(store.text, name + suffix)), name)
        except ObjectMissing:
            return None  # deleted since it was listed
        except BackupDamaged as error:
            self.tell.warn(f"{store.name}: {error.message}")
            return None

    def _each(self, act: Callable[[Store], Iterator[str]]) -> tuple[str, ...]:
        """Do something in every store; one that fails does not keep the others from it."""
        found = []
        for store in self.stores:
            try:
                found += [f"{store.name}: {complaint}" for complaint in act(store)]
            except StoreFailed as error:
                found.append(f"{store.name}: {error.advice}")
        return tuple(found)


def _has_manifest(store: Store, backup: Backup) -> bool:
    try:
        store.text(backup.manifest_name)
    except ObjectMissing:
        return False
    return True


def _lacks(store: Store, local: Sequence[Manifest]) -> list[str]:
    """Name the backups that a store has not, or not whole."""
    seen = Seen(store, store.listing())
    return [m.backup.name for m in local if not seen.has(m)]


def _named(store: Store, act: Callable[[], T]) -> T:
    """Say of a failure in which store it was."""
    try:
        return act()
    except StoreFailed as error:
        error.locate(store.name)
        raise


def _told(chunks: Iterator[bytes], tick: Tick) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        tick(done)
        yield chunk


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
