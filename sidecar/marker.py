"""
Whether the database that answers is still the one that the guard has left. Pure.

The marker is the journal itself: it lives on the database's own server, in its control database. A
server in memory that restarted has none, and the app may be writing to what came up instead. A
backup of that is no backup: it must not be taken for one, be copied, or rotate another away.
"""

from collections.abc import Sequence

from sidecar import source
from sidecar.backups import Manifest
from sidecar.facts import Look
from sidecar.plan import Run, guarded


def lost(runs: Sequence[Run], look: Look, manifests: Sequence[Manifest]) -> str | None:
    """
    Tell that the database was lost, and what to type; None where it is the one that it was.

    Args:
        runs: everything that the journal of the present server holds.
        look: the database, as it is now.
        manifests: every backup, the newest first. Without one with data nothing can be said.

    """
    newest = next((manifest for manifest in manifests if not source.unfit(manifest)), None)
    if newest is None:
        return None
    name, here = newest.backup.name, look.server.system_identifier
    if look.empty:
        return _told(f"the database {look.database!r} is empty, although {name} holds data")
    if guarded(runs) or newest.is_of(look.database, look.born, here):
        return None
    return _told(
        f"the server of {look.database!r} was made anew since {name} was taken (it was"
        f" {newest.server.system_identifier}, and is {here}), and no guard has been there since"
    )


def _told(what: str) -> str:
    return f"{what}; `docker compose up -d` lets the guard look at it and put it right"
