"""Whether a migration that says it succeeded did, and whether a rollback put everything back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase

from sidecar.backups import Manifest
from sidecar.facts import KEPT, Contents, LedgerState, Look, Table


class OnLoss(StrEnum):
    """What a table that vanished or shrank means."""

    FAIL = "fail"
    WARN = "warn"


@dataclass(frozen=True)
class LossPolicy:
    """What counts as a loss of data."""

    on_loss: OnLoss = OnLoss.FAIL
    percent: float = 50
    """A table may lose up to so many percent of its rows."""
    allowed: tuple[str, ...] = ()
    """Tables that may shrink or vanish, as ``table`` or ``schema.table``, with ``*``."""


def migrated(before: Look, after: Look, *, moves: bool) -> tuple[str, ...]:
    """
    Complain of what a migration left behind.

    Args:
        before: the database as it was.
        after: the database as it is.
        moves: the ledger is one row whose value moves on, so that its old value may go.

    """
    return (
        *_same_database(before, after),
        *_clean(after.ledger),
        *_advanced(before.ledger, after.ledger, moves=moves),
        *_indexes(before, after),
    )


def losses(before: Contents, after: Contents, policy: LossPolicy) -> tuple[str, ...]:
    """Name the tables that vanished or shrank beyond what is allowed."""
    found = []
    by_oid = {table.oid: table for table in after.tables if table.oid}
    by_name = {table.title: table for table in after.tables}
    for table in before.tables:
        if table.rows == 0 or _may_shrink(table, policy.allowed):
            continue
        # a renamed table keeps its oid, one that was made anew keeps its name
        now = by_oid.get(table.oid) or by_name.get(table.title)
        if complaint := _loss(table, now, policy.percent):
            found.append(complaint)
    return tuple(found)


def doubts(before: Contents, after: Contents, policy: LossPolicy) -> tuple[str, ...]:
    """Name what a backup lacks that the last good one had."""
    if before.total and not after.total:
        return (f"all tables are empty, and there were {before.total} rows",)
    return losses(before, after, policy)


def outside(before: Look, after: Look) -> tuple[str, ...]:
    """Name what a migration changed beyond the database: a rollback does not undo it."""
    made = {name for name in after.databases if not KEPT.search(name)} - set(before.databases)
    gone = set(before.databases) - set(after.databases) - {before.database}
    return (
        *(f"database {name!r} was created" for name in sorted(made)),
        *(f"database {name!r} was dropped" for name in sorted(gone)),
        *(("roles of the server were changed",) if before.roles != after.roles else ()),
    )


def put_back(before: Look, after: Look) -> tuple[str, ...]:
    """Name what differs between the database before the migration and after the rollback."""
    found = [f"{name} differs" for name in before.properties.differences(after.properties)]
    if before.catalog != after.catalog:
        found.append("the schema differs")
    if before.ledger.fingerprint != after.ledger.fingerprint:
        found.append("the ledger differs")
    return tuple(found)


def restored(manifest: Manifest, look: Look, contents: Contents) -> tuple[str, ...]:
    """
    Name what differs between a loaded backup and its manifest.

    Another major of the server words a schema otherwise: there it does not count.
    """
    same_major = look.server.major == manifest.server.major
    before = replace(
        look,
        properties=replace(
            manifest.properties, allow_connections=look.properties.allow_connections
        ),
        catalog=manifest.contents.catalog if same_major else look.catalog,
        ledger=manifest.ledger if same_major or manifest.ledger.table else look.ledger,
    )
    found = {name for name, _ in contents.extensions}
    missing = [name for name, _ in manifest.contents.extensions if name not in found]
    return (
        *put_back(before, look),
        *same_rows(manifest.contents, contents),
        *(f"extension {name} is missing" for name in missing),
    )


def same_rows(expected: Contents, found: Contents) -> tuple[str, ...]:
    """Name the tables whose rows are not as many as the manifest says."""
    mine: Mapping[str, int] = expected.rows
    theirs: Mapping[str, int] = found.rows
    complaints = [
        f"{name} has {theirs.get(name, 'no')} rows instead of {rows}"
        for name, rows in mine.items()
        if theirs.get(name) != rows
    ]
    complaints += [f"{name} should not be there" for name in theirs if name not in mine]
    if expected.large_objects != found.large_objects:
        complaints.append(
            f"{found.large_objects} large objects instead of {expected.large_objects}"
        )
    return tuple(complaints)


def _same_database(before: Look, after: Look) -> Sequence[str]:
    if before.oid == after.oid:
        return ()
    return (f"database {after.database!r} was dropped and made anew",)


def _clean(ledger: LedgerState) -> Sequence[str]:
    found = []
    if ledger.bad:
        found.append(f"the ledger marks {', '.join(ledger.bad[:5])} as failed")
    if ledger.held_by is not None:
        found.append(f"the migration lock is still held: {ledger.held_by}")
    return found


def _advanced(before: LedgerState, after: LedgerState, *, moves: bool) -> Sequence[str]:
    if before.table and not after.table:
        return (f"the ledger {before.schema}.{before.table} is gone",)
    gone = set(before.versions) - set(after.versions)
    if moves or not gone:
        return ()
    return (f"the ledger lost {', '.join(sorted(gone)[:5])}",)


def _indexes(before: Look, after: Look) -> Sequence[str]:
    new = [name for name in after.invalid_indexes if name not in before.invalid_indexes]
    if not new:
        return ()
    return (f"left invalid indexes behind: {', '.join(new[:5])}",)


def _loss(table: Table, now: Table | None, percent: float) -> str | None:
    if now is None:
        return f"table {table.title} with {table.rows} rows is gone"
    if now.rows >= table.rows * (1 - percent / 100):
        return None
    return f"table {now.title} shrank from {table.rows} to {now.rows} rows"


def _may_shrink(table: Table, allowed: Sequence[str]) -> bool:
    return any(fnmatchcase(name, rule) for rule in allowed for name in (table.name, table.title))
