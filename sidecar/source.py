"""
Which backup fills a database that came up empty. Pure.

It is the newest that is fit, over all kinds and stores. Where that one is damaged, or was doubtful
when it was taken, no older one takes its place: what was written between the two would be lost
without anybody having said so. The operator is told of both, and types which.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sidecar.backups import Backup, Kind, Manifest, newest_first
from sidecar.errors import BackupDamaged, NoSource

FIRST = "run --rm --no-deps -e MIGSAFE_EMPTY=initialise {me} guard"
"""What is typed once, where there is nothing to begin with; ``{me}`` stands for our service."""


@dataclass(frozen=True)
class Source:
    """The backup to load."""

    manifest: Manifest
    older: Manifest | None = None
    """The one before it, for the operator to choose."""
    passed_over: tuple[str, ...] = ()
    """Newer ones that are not fit, each with why."""


def unfit(manifest: Manifest) -> str:
    """Tell why a backup is not what a lost database was; empty where it is fit."""
    if manifest.backup.kind is Kind.SAFETY:
        return "an operator has replaced what is in it"
    return "" if manifest.holds_data else "it holds no data"


def choose(
    database: str,
    manifests: Sequence[Manifest],
    unreadable: Collection[str] = (),
    damaged: Mapping[str, str] | None = None,
) -> Source:
    """
    Choose the backup to load.

    Args:
        database: the database's name.
        manifests: every backup.
        unreadable: names of backups whose manifests are damaged.
        damaged: names of backups that were found to be damaged, each with how.

    Raises:
        NoSource: there is none, they are of several databases, or the newest was doubted.
        BackupDamaged: the newest is damaged.

    """
    ordered = newest_first(manifests)
    fit = [manifest for manifest in ordered if not unfit(manifest)]
    _refuse_nothing(database, fit, unreadable)
    _refuse_several(database, fit)
    newest = fit[0]
    older = next((m for m in fit[1:] if not m.doubts), None)
    torn = [b for name in unreadable if (b := Backup.parse(name)) and b.kind is not Kind.SAFETY]
    for backup in sorted(torn, key=lambda backup: backup.taken_at, reverse=True):
        if backup.taken_at > newest.backup.taken_at:
            raise refused(backup.name, "its manifest can't be read", newest)
    if how := (damaged or {}).get(newest.backup.name):
        raise refused(newest.backup.name, how, older)
    _refuse_doubted(newest, older)
    over = [m for m in ordered if m.backup.taken_at > newest.backup.taken_at]
    return Source(newest, older, tuple(f"{m.backup.name}: {unfit(m)}" for m in over))


def refused(name: str, how: str, older: Manifest | None) -> BackupDamaged:
    """Refuse the newest backup, and name the one before it."""
    message = f"the newest backup, {name}, is damaged ({how}): the empty database is not filled"
    if older is None:
        return BackupDamaged(message, hint="Nothing was changed. There is no other that is fit.")
    return BackupDamaged(
        f"{message}; the one before it is {older.backup.name}",
        hint="Nothing was changed. Is a whole copy of it anywhere? Put it in its place, and start"
        " again. To go on with the one before, and lose what was written since:",
        then=(f"run --rm --no-deps {{me}} restore {older.backup.name}", "up -d"),
    )


def _refuse_nothing(database: str, fit: Sequence[Manifest], unreadable: Collection[str]) -> None:
    if fit:
        return
    if unreadable:
        raise BackupDamaged(
            f"the database {database!r} is empty, and no backup can fill it: the manifests of"
            f" {', '.join(sorted(unreadable)[:3])} can't be read",
            hint="Nothing was changed. Put whole copies of them in their place, and start again.",
        )
    raise NoSource(
        f"the database {database!r} is empty, and there is no backup with data to fill it from",
        hint="Are the backups somewhere else (a folder that is not mounted, another store)? Then"
        " mend that, and start again. Is it the very first start? Say so, this once:",
        then=(FIRST, "up -d"),
    )


def _refuse_doubted(newest: Manifest, older: Manifest | None) -> None:
    if not newest.doubts:
        return
    name, what = newest.backup.name, "; ".join(newest.doubts[:2])
    before = f"{older.backup.name} is the last from before that" if older else "there is no other"
    raise NoSource(
        f"the newest backup with data, {name}, was doubtful when it was taken ({what}): the empty"
        " database is not filled by itself",
        hint=f"Nothing was changed. Which one is right only you know: {name} has what was written"
        f" until then, {before}. Choose one; what is in it counts as meant from then on:",
        then=("run --rm --no-deps {me} restore", "up -d"),
    )


def _refuse_several(database: str, fit: Sequence[Manifest]) -> None:
    newest = fit[0]
    of = {(m.database, m.born): m for m in reversed(fit)}
    if list(of) == [(database, newest.born)]:
        return
    each = "; ".join(
        f"{m.backup.name} is of {m.database!r}, first on server {m.born}" for m in of.values()
    )
    raise NoSource(
        f"the database {database!r} is empty, and the backups are of more than one, or of another:"
        f" {each}",
        hint="Give each database a place of its own for its backups, or choose: what is chosen now"
        " does not decide the next time.",
        then=("run --rm --no-deps {me} restore", "up -d"),
    )
