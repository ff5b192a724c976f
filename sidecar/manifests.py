"""What a folder of backups says of itself: each backup's manifest, and how it was proven."""

from collections.abc import Iterator

from sidecar.backups import MANIFEST_SUFFIX, PROOF_SUFFIX, Backup, Manifest, Proof, newest_first
from sidecar.errors import BackupDamaged, StoreFailed
from sidecar.ports import Teller
from sidecar.stores.local import LocalStore


def read_manifests(store: LocalStore, tell: Teller) -> tuple[Manifest, ...]:
    """Read all whole backups of a folder, the newest first; tell of manifests that are damaged."""
    found = []
    for _, manifest in each_manifest(store):
        if isinstance(manifest, BackupDamaged):
            tell.warn(manifest.message)
        else:
            found.append(manifest)
    return newest_first(found)


def each_manifest(store: LocalStore) -> Iterator[tuple[str, Manifest | BackupDamaged]]:
    """Read the manifest of each file of a folder that has one, or why it says nothing any more."""
    names = frozenset(store.names())
    for name in sorted(names):
        payload = name.removesuffix(MANIFEST_SUFFIX)
        if payload == name or payload not in names:
            continue
        try:
            yield payload, read_manifest(store, payload)
        except BackupDamaged as error:
            yield payload, error


def read_manifest(store: LocalStore, name: str) -> Manifest:
    """
    Read the manifest of one backup.

    Raises:
        BackupDamaged: it says nothing any more.
        StoreFailed: there is none, or it can't be read.

    """
    try:
        text = store.text(name + MANIFEST_SUFFIX)
    except UnicodeDecodeError as error:
        raise BackupDamaged(f"the manifest of {name} can't be read: {error.reason}") from error
    return Manifest.from_json(text, name)


def read_proof(store: LocalStore, backup: Backup) -> Proof | None:
    """Read how the last attempt to prove a backup ended; what can't be read proves nothing."""
    name = backup.name + PROOF_SUFFIX
    if store.size(name) is None:
        return None
    try:
        return Proof.from_json(store.text(name))
    except (StoreFailed, ValueError, TypeError, KeyError):
        return None
