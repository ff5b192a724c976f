"""What would make a rollback impossible: found before the migration, all of it at once."""

from dataclasses import dataclass

from sidecar.facts import Look, Rights

MEGABYTE = 1 << 20
SMALL = 200 * MEGABYTE
"""Up to this size a copy through the WAL is faster than one by files and two checkpoints."""
OLDEST_SERVER = 13
"""The oldest major that the tests run on."""


@dataclass(frozen=True)
class Space:
    """Room for what is about to be made, in bytes."""

    server: int | None
    """Free on the server's volume; None where that can't be told."""


def complaints(look: Look, space: Space, *, clone: bool) -> tuple[str, ...]:
    """
    Tell everything that stands in the way of a rollback.

    Args:
        look: the database.
        space: the room that there is.
        clone: a restore point is to be made.

    """
    return (
        *_server(look),
        *_rights(look),
        *_held(look),
        *_space(look, space),
        *(() if clone else _loadable(look)),
    )


def no_restore_point(look: Look, space: Space) -> str | None:
    """Tell why a restore point should not be made, though the rollback is possible without."""
    if look.collation_changed:
        return "the operating system's collations changed since the database was made"
    # a small database is copied through the WAL, and so written twice
    copies = 3 if look.size < SMALL else 2
    if space.server is not None and space.server < _room(look, copies=copies):
        return f"only {mega(space.server)} are free on the server's volume"
    return None


def is_short(look: Look, space: Space) -> bool:
    """Tell whether more room would let a restore point be made, or the run be started at all."""
    roomy = Space(None)
    return no_restore_point(look, space) != no_restore_point(look, roomy) or (
        complaints(look, space, clone=True) != complaints(look, roomy, clone=True)
    )


def mega(size: int) -> str:
    """Write a number of bytes for people."""
    if size < MEGABYTE:
        return f"{size / 1024:,.0f} kB"
    return f"{size / MEGABYTE:,.1f} MB"


def _server(look: Look) -> tuple[str, ...]:
    found = []
    if look.server.in_recovery:
        found.append("the server is a standby (in recovery): it can't be written to")
    if look.server.major < OLDEST_SERVER:
        found.append(f"PostgreSQL {look.server.version} is older than {OLDEST_SERVER}")
    return tuple(found)


def _rights(look: Look) -> tuple[str, ...]:
    rights = look.rights
    if rights is None or rights.superuser:
        return ()
    return tuple(text for text in _missing(look, rights) if text)


def _missing(look: Look, rights: Rights) -> tuple[str, ...]:
    role = f"role {rights.role!r}"
    name = look.database
    return (
        ""
        if rights.create_database
        else f"{role} may not create databases: ALTER ROLE {rights.role} CREATEDB, or set"
        " MIGSAFE_ADMIN_URL to a role that may",
        ""
        if rights.owns
        else f"{role} does not own database {name!r} (its owner is {look.properties.owner!r}), so"
        " it can't rename it: set MIGSAFE_ADMIN_URL to a role that may",
        ""
        if rights.signal
        else f"{role} may not end other sessions: GRANT pg_signal_backend TO {rights.role}, or set"
        " MIGSAFE_ADMIN_URL to a role that may",
    )


def _held(look: Look) -> tuple[str, ...]:
    """Name what follows a database's oid and not its name, or keeps it from being renamed."""
    found = []
    if look.prepared:
        found.append(
            f"prepared transactions keep the database from being renamed: {_list(look.prepared)};"
            " COMMIT PREPARED or ROLLBACK PREPARED them"
        )
    if look.slots:
        found.append(
            f"logical replication slots would stay with the failed database: {_list(look.slots)};"
            " drop them, or migrate without migsafe"
        )
    if look.subscriptions:
        found.append(
            "subscriptions would stay with the failed database:"
            f" {_list(look.subscriptions)}; drop them, or migrate without migsafe"
        )
    return tuple(found)


def _space(look: Look, space: Space) -> tuple[str, ...]:
    """Keep the server from a PANIC, which is how it ends when WAL finds no space."""
    need = _room(look, copies=1)
    if space.server is None or space.server >= need:
        return ()
    return (
        f"{mega(space.server)} are free on the server's volume, and a rollback needs"
        f" {mega(need)}: free some room",
    )


def _loadable(look: Look) -> tuple[str, ...]:
    rights = look.rights
    if rights is None or rights.superuser or not look.needs_superuser:
        return ()
    return (
        f"without a restore point the backup must be loaded, and role {rights.role!r} can't load"
        f" {_list(look.needs_superuser)}: allow a restore point, or set MIGSAFE_ADMIN_URL",
    )


def _room(look: Look, copies: int) -> int:
    """Reckon the room for copies of the database, and WAL to spare."""
    return copies * look.size + 64 * MEGABYTE


def _list(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004 - a line's worth
