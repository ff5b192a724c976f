"""Whether a migration is needed, and whether it may be tried: decided from what was found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar import source
from sidecar.backups import Manifest, newest_first
from sidecar.errors import (
    DatabaseLost,
    KnownBad,
    LedgerAhead,
    MadeAnew,
    MigrationInterrupted,
    Refused,
)
from sidecar.facts import Look
from sidecar.plan import RELEASE, Key, Phase, Run, guarded


class Answer(StrEnum):
    """What to do with the database that was found."""

    NOTHING = "nothing"
    """It was migrated by this image already."""
    ASK = "ask"
    """It was, but code of the host is mounted: the framework's own check decides."""
    MIGRATE = "migrate"


@dataclass(frozen=True)
class Found:
    """Everything that the decision is made on."""

    key: Key
    look: Look
    runs: tuple[Run, ...]
    """Oldest first."""
    code_mounts: tuple[str, ...] = ()


def settled(found: Found) -> Answer:
    """Tell whether the last committed run left nothing to do. Cheap: no backup is looked at."""
    done = any(run.phase is Phase.COMMITTED and run.key_after == found.key for run in found.runs)
    if not done or found.look.empty:
        return Answer.MIGRATE
    return Answer.ASK if found.code_mounts else Answer.NOTHING


def refuse(
    found: Found,
    backups: Sequence[Manifest],
    *,
    initialise: bool,
    refill: bool = False,
    loaded_from: Callable[[Manifest], bool],
) -> None:
    """
    Refuse what would make things worse.

    Args:
        found: what was found.
        backups: every backup in the folder.
        initialise: an empty database is welcome although backups exist.
        refill: a database that comes up empty is filled from the newest backup.
        loaded_from: tells whether the database holds exactly what a backup does.

    Raises:
        Refused: with what to do instead.

    """
    _refuse_known_bad(found)
    _refuse_dirty(found)
    _refuse_made_anew(found, backups, refill=refill)
    _refuse_foreign(found, backups, loaded_from)
    _refuse_lost(found, backups, initialise=initialise)
    _refuse_ahead(found)


def _refuse_known_bad(found: Found) -> None:
    if found.code_mounts:  # the image does not say whether the code is the same
        return
    passed_over = {Phase.ABANDONED, Phase.RESTORED}
    ended = [run for run in found.runs if run.finished and run.phase not in passed_over]
    last = ended[-1] if ended else None
    if last is None or not last.failed or last.retried or last.key != found.key:
        return
    if last.failure.code == MigrationInterrupted.exit_code:
        return  # it was stopped, which says nothing of the image
    raise KnownBad(
        f"this {_what(found)} failed before on this database ({last.ended_at:%Y-%m-%d %H:%M} UTC):"
        f" {last.failure.reason}",
        hint=f"The data is as it was before. Use another {_what(found)}, or `migsafe retry` and"
        f" {'start' if _named(found) else 'up'} again.",
    )


def _named(found: Found) -> bool:
    """Tell whether it is a release that somebody has named, where there is no image to look at."""
    return found.key.image.startswith(RELEASE)


def _what(found: Found) -> str:
    return "release" if _named(found) else "image"


def _refuse_dirty(found: Found) -> None:
    ledger = found.look.ledger
    where = f"{ledger.schema}.{ledger.table}"
    if ledger.bad:
        raise Refused(
            f"the ledger {where} says that an earlier migration failed half-way:"
            f" {', '.join(ledger.bad[:5])}",
            hint="Repair it with the framework's own tool, by hand, before migrating again.",
        )
    if ledger.held_by is not None:
        raise Refused(
            f"the migration lock of {ledger.preset} is held: {ledger.held_by}",
            hint="If no migration is running it is stale: release it with the framework's tool.",
        )


def _refuse_foreign(
    found: Found, backups: Sequence[Manifest], loaded_from: Callable[[Manifest], bool]
) -> None:
    """
    Refuse where the newest backup is of another database, and this one was not loaded from it.

    Older ones may be: who has begun anew after a loss still has those from before. An empty
    database is asked about as a lost one.
    """
    if not backups or found.look.empty:
        return
    newest = newest_first(backups)[0]
    here, there, system = found.look.born, newest.born, found.look.server.system_identifier
    if newest.is_of(found.look.database, here, system) or loaded_from(newest):
        return
    raise Refused(
        f"the folder of backups belongs to another database: {newest.backup.name} is of"
        f" {newest.database!r} on server {there}, this is {found.look.database!r} on {here}",
        hint="Was a volume lost or swapped? Then do not go on. If this database rightly takes"
        " the other's place: move the old files away, or point /backups at another folder.",
    )


def _refuse_made_anew(found: Found, backups: Sequence[Manifest], *, refill: bool) -> None:
    """
    Refuse a database in memory that was lost, and that somebody has written to since.

    The app may have made its schema in it: that is nothing that a backup may silently replace.
    """
    if not refill or not backups or found.look.empty or guarded(found.runs):
        return
    fit = (m for m in newest_first(backups) if not source.unfit(m) and not m.doubts)
    newest = next(fit, None)
    if newest is None or newest.database != found.look.database or newest.born == found.look.born:
        return
    raise MadeAnew(
        f"the server of {found.look.database!r} was made anew, no guard was there, and somebody"
        f" has written to it since: it is not what {newest.backup.name} holds",
        hint="What is there now is kept when a backup takes its place.",
        then=(f"run --rm {{me}} restore {newest.backup.name}", "up -d"),
    )


def _refuse_lost(found: Found, backups: Sequence[Manifest], *, initialise: bool) -> None:
    if not found.look.empty or initialise:
        return
    full = next((m for m in backups if m.holds_data), None)
    if full is None:
        return
    lost = DatabaseLost(
        f"the database {found.look.database!r} is empty, although backups with data exist"
        f" ({full.backup.name})",
        hint="A volume was lost, or a restore failed. Find the volume, or load a backup. To begin"
        " with an empty database on purpose, say so for one start, and in no file:"
        " `docker compose run --rm --no-deps -e MIGSAFE_EMPTY=initialise migsafe guard`.",
    )
    lost.backup = full.backup.name
    raise lost


def _refuse_ahead(found: Found) -> None:
    """
    Refuse an image that is older than the data.

    Most frameworks accept a ledger that holds more than they know. What an image knows is what the
    ledger held when this image was last committed.
    """
    committed = [run for run in found.runs if run.phase is Phase.COMMITTED]
    mine = [i for i, run in enumerate(committed) if run.key.image == found.key.image]
    if not mine or found.code_mounts:
        return
    known = committed[mine[-1]]
    versions = set(known.detail.get("versions_after", ()))
    more = set(found.look.ledger.versions) - versions
    later = [run for run in committed[mine[-1] + 1 :] if run.key_after.ledger == found.key.ledger]
    if not later and not (versions and more and versions < set(found.look.ledger.versions)):
        return
    newer = later[-1].named("image_name") if later else None
    raise LedgerAhead(
        f"the database is ahead of this {_what(found)}: its ledger holds migrations that the"
        f" {_what(found)} did not have when it last ran ({', '.join(sorted(more)[:3])})",
        hint=f"Use the newer {_what(found)}{f' ({newer})' if newer else ''} again, or put the data"
        " back to what belongs to this one.",
    )
