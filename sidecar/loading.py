"""Loading a backup beside the live database, and holding it to its manifest."""

from collections.abc import Iterator
from dataclasses import replace

from sidecar import proof
from sidecar.backups import Manifest
from sidecar.errors import UNCHANGED, BackupDamaged, PreflightFailed, RollbackFailed
from sidecar.ports import Stop, World
from sidecar.preflight import MEGABYTE, mega

ROOM = 64 * MEGABYTE
"""What a loaded database may need beyond its size."""


def load(world: World, manifest: Manifest, name: str) -> tuple[str, ...]:
    """
    Load a backup into a scratch database; return what differs from its manifest.

    Raises:
        BackupDamaged: the file is not what its manifest says.
        KeyMissing: it is encrypted, and no key here opens it.
        PreflightFailed: this server can't load it, and why.

    """
    backup = manifest.backup
    require_room(world, manifest)
    _, chunks = world.vault.chunks(backup.name)
    manifest = replace(manifest, properties=world.vault.properties(manifest))
    try:
        with world.tell.progress("load"):
            world.database.load(
                name, stoppable(chunks, world.stop), backup.format, manifest.properties
            )
    except RollbackFailed as error:
        raise PreflightFailed(
            f"{backup.name} can't be loaded on this server: {error.message}",
            hint="Nothing was changed. Give the server what is missing, a role or an extension for"
            " example, and try again.",
        ) from error
    return proof.restored(manifest, world.database.look_at(name), world.database.contents_of(name))


def load_whole(world: World, manifest: Manifest, name: str) -> None:
    """
    Load a backup into a scratch database, and hold it to its manifest.

    Raises:
        BackupDamaged: it is not what its manifest says.
        PreflightFailed: this server can't load it, and why.

    """
    if differences := load(world, manifest, name):
        raise BackupDamaged(
            f"loaded, {manifest.backup.name} is not what its manifest says:"
            f" {'; '.join(differences[:5])}",
            hint="Nothing was changed. Use another backup: `list` shows them.",
        )


def require_room(world: World, manifest: Manifest) -> None:
    """Refuse to load a backup that may fill the server's disk."""
    size = max(manifest.database_size, manifest.size)
    require_room_for(world, size, f"loading {manifest.backup.name}")


def require_room_for(world: World, size: int, what: str) -> None:
    """Refuse what may fill the server's disk with so many bytes: a full one makes it crash."""
    free, need = world.engine.free_space(), size + ROOM
    if free is not None and free < need:
        raise PreflightFailed(
            f"{mega(free)} are free where the server keeps its data, and {what} needs about"
            f" {mega(need)}",
            hint=f"{UNCHANGED} Make room first: `migsafe forget` drops a kept database.",
        )


def stoppable(chunks: Iterator[bytes], stop: Stop) -> Iterator[bytes]:
    """Stop between two chunks when a signal came."""
    for chunk in chunks:
        stop.check()
        yield chunk
