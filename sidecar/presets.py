"""Which framework migrates this database: recognised by its ledger, its files or its name. Pure."""

import re
from collections.abc import Mapping, Sequence

from sidecar.frameworks import FRAMEWORKS
from sidecar.migration_tools import TOOLS
from sidecar.preset_types import (
    Check,
    Exists,
    Found,
    Ledger,
    Lock,
    Pending,
    Pieces,
    Preset,
    Tables,
)

__all__ = [
    "GENERIC",
    "PRESETS",
    "TABLES",
    "Check",
    "Found",
    "Ledger",
    "Lock",
    "Pending",
    "Pieces",
    "Preset",
    "by_name",
    "pieces",
    "recognise",
    "recognise_by_files",
    "refine",
    "refused_flags",
]

PRESETS: tuple[Preset, ...] = (*FRAMEWORKS, *TOOLS)
"""In the order in which an app's files are looked for."""

GENERIC = Preset(
    name="generic",
    title="no framework known",
    ledger=None,
    migrate=None,
    hint="Set MIGSAFE_MIGRATE to the command that migrates, as the app's service runs it.",
)
"""Without a ledger: the catalog's fingerprint stands in for it."""

ALIASES: Mapping[str, str] = {
    "ruby-on-rails": "rails",
    "activerecord": "rails",
    "flask": "flask-migrate",
    "artisan": "laravel",
    "symfony": "doctrine",
    "sequelize-cli": "sequelize",
    "migrate": "golang-migrate",
    "golang-migrate/migrate": "golang-migrate",
    "ef": "efcore",
    "ef-core": "efcore",
    "entity-framework": "efcore",
    "entity-framework-core": "efcore",
    "dotnet": "efcore",
    "mix-ecto": "mix",
    "elixir": "ecto",
}
"""Other names that people use."""

_ORDER = {preset.name: place for place, preset in enumerate(PRESETS)}
_BY_NAME = {preset.name: preset for preset in (*PRESETS, GENERIC)}


def _tables() -> tuple[str, ...]:
    names = {preset.ledger.table for preset in PRESETS if preset.ledger}
    names |= {preset.ledger.beside for preset in PRESETS if preset.ledger and preset.ledger.beside}
    names |= {preset.lock.table for preset in PRESETS if preset.lock}
    return tuple(sorted(names))


TABLES = _tables()
"""Names of every table that `recognise` wants to know of."""


def recognise(tables: Tables) -> tuple[Found, ...]:
    """
    Find every ledger in the database, the one that is known most surely first.

    Args:
        tables: the columns of each table that is named in TABLES, by (schema, name).

    """
    found = [_owner(schema, table, tables) for schema, table in tables]
    return tuple(sorted(filter(None, found), key=_rank))


def refine(preset: Preset, exists: Exists) -> Preset:
    """
    Choose between presets that share a ledger, by the app's files.

    Flask-Migrate's ledger is Alembic's, and only a release tells how Ecto is run.
    """
    if preset.shows(exists):
        return preset
    kin = (other for other in PRESETS if other.family == preset.family)
    return next((other for other in kin if other.shows(exists)), preset)


def recognise_by_files(exists: Exists) -> Preset | None:
    """Recognise the framework before there is a ledger: the first whose files all exist."""
    return next((preset for preset in PRESETS if preset.shows(exists)), None)


def by_name(name: str) -> Preset:
    """
    Give the preset of that name; case, ``_`` and spaces do not matter.

    Raises:
        ValueError: there is none; names the nearest.

    """
    wanted = re.sub(r"[\s_]+", "-", name.strip().lower())
    wanted = ALIASES.get(wanted, wanted)
    if wanted in _BY_NAME:
        return _BY_NAME[wanted]
    from difflib import get_close_matches  # noqa: PLC0415 - only for a complaint

    near = get_close_matches(wanted, [*_BY_NAME, *ALIASES], n=1, cutoff=0.5)
    advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(_BY_NAME)}"
    raise ValueError(f"unknown preset {name!r}: {advice}")


def refused_flags(preset: Preset, argv: Sequence[str]) -> list[str]:
    """Complain of what is dangerous in a migrate command, also inside ``sh -c "…"``."""
    words = [word for part in argv for word in re.findall(r"[^\s;&|()'\"]+", part)]
    return [f"{flag!r} {why}" for flag, why in preset.refused if _in_order(flag.split(), words)]


def pieces(found: Found) -> Pieces:
    """
    Give what a query over the ledger is put together from.

    Every row is to be read with its key, whether it is bad and whether it is applied: a fingerprint
    over all three moves with every change of state.
    """
    ledger = found.preset.ledger
    if ledger is None:
        raise ValueError(f"preset {found.preset.name!r} has no ledger")
    return Pieces(
        found.schema,
        found.table,
        ledger.key,
        ledger.bad or "false",
        ledger.applied or "true",
        found.lock,
    )


def _owner(schema: str, table: str, tables: Tables) -> Found | None:
    fitting = [
        preset
        for preset in PRESETS
        if preset.ledger and preset.ledger.table == table and preset.ledger.fits(schema, tables)
    ]
    # max keeps the first of equals: the preset itself comes before its variants
    best = max(fitting, key=_specificity, default=None)
    if best is None:
        return None
    lock = best.lock if best.lock and (schema, best.lock.table) in tables else None
    return Found(best, schema, table, lock)


def _specificity(preset: Preset) -> int:
    return preset.ledger.specificity if preset.ledger else 0


def _rank(found: Found) -> tuple[int, int, bool, str, str]:
    order = _ORDER[found.preset.name]
    return (-_specificity(found.preset), order, found.schema != "public", found.schema, found.table)


def _in_order(wanted: Sequence[str], words: Sequence[str]) -> bool:
    rest = iter(words)
    return all(word in rest for word in wanted)
