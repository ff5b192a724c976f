"""A backup that is no migration's: somebody asks for it, or it is due. The app runs on."""

from collections.abc import Mapping

from sidecar.backup_ports import Vault
from sidecar.backups import Kind, Manifest
from sidecar.errors import UNCHANGED, PreflightFailed
from sidecar.facts import Look
from sidecar.plan import Conclude, resume
from sidecar.ports import World
from sidecar.takeover import busy


def take(vault: Vault, run: str, look: Look, images: Mapping[str, str], note: str = "") -> Manifest:
    """
    Back the live database up, with the lock held.

    Args:
        vault: where the backup goes.
        run: names it.
        look: of the live database, which is ``ready``.
        images: that belong to the data.
        note: why it is taken.

    """
    return vault.take(vault.next_backup(Kind.MANUAL), run, look, images, note)


def ready(world: World, vault: Vault) -> Look:
    """
    Look at the live database, and see whether it can be backed up.

    Raises:
        AlreadyRunning: a migration was handed over: it would be a copy of something in between.
        PreflightFailed: it can't be taken, or could not be restored.

    """
    match resume(world.journal.entries()):
        case Conclude(open_run) if open_run.handed_over:
            raise busy(open_run)
    look = world.database.look(catalog=True)
    complaints = (*world.database.complaints(), *vault.complaints(look.size))
    if complaints:
        raise PreflightFailed("; ".join(complaints), hint=UNCHANGED)
    return look
