"""What is known of a migration framework: the types. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

Exists = Callable[[str], bool]
"""Tells whether the app's image has a file: relative to its working directory, or absolute."""

Tables = Mapping[tuple[str, str], frozenset[str]]
"""The columns of each table, by schema and name."""

DESTROYS = "destroys the data"
UNDOES = "takes migrations back"
PRETENDS = "records migrations as applied without running them"


class Pending(StrEnum):
    """What a framework says when it is asked whether migrations are pending."""

    NONE = "none"
    SOME = "some"
    UNKNOWN = "unknown"
    """It did not answer: it failed, is not in the image, or speaks other words."""


@dataclass(frozen=True)
class Ledger:
    """
    The framework's own table of applied migrations.

    Names are exact and unquoted; predicates are SQL over one row of the table.
    """

    table: str
    key: tuple[str, ...]
    """Columns that identify one applied migration, in the order to hash and to show; never NULL."""
    columns: tuple[str, ...] = ()
    """Further columns that must exist: they tell tools apart."""
    without: tuple[str, ...] = ()
    """Columns that must not exist."""
    beside: str | None = None
    """Another table that must exist in the same schema."""
    exact: bool = False
    """There are no columns but those of the key and the further ones."""
    bad: str | None = None
    """True where a migration failed half-way, or runs."""
    applied: str | None = None
    """True where a row counts as applied; None: every row does."""
    moves: bool = False
    """One row whose value moves on: advancing makes the old value vanish."""

    @property
    def specificity(self) -> int:
        """How much it asks of a table: of two that fit, the one that asks more is meant."""
        asked = len(self.key) + len(self.columns) + len(self.without)
        return asked + (self.beside is not None) + self.exact

    def fits(self, schema: str, tables: Tables) -> bool:
        """Tell whether this ledger is in the schema."""
        found = tables.get((schema, self.table))
        if found is None or not self._has_columns(found):
            return False
        return self.beside is None or (schema, self.beside) in tables

    def _has_columns(self, found: frozenset[str]) -> bool:
        needed = {*self.key, *self.columns}
        if self.exact and found != needed:
            return False
        return needed <= found and found.isdisjoint(self.without)


@dataclass(frozen=True)
class Lock:
    """A row in a table beside the ledger that locks migrations: it travels inside dumps."""

    table: str
    held: str
    """SQL over one row: true while it is locked."""
    holder: str | None = None
    """SQL that names who holds it; may come out NULL."""


@dataclass(frozen=True)
class Check:
    """The framework's own answer to whether anything is pending."""

    argv: tuple[str, ...]
    none_pending: frozenset[int] = frozenset({0})
    """Exit codes of an answer; they mean "none" unless a text says otherwise."""
    pending: frozenset[int] = frozenset()
    """Exit codes that mean "some"."""
    pending_text: str | None = None
    """Regular expression (per line) over the output that means "some", where codes say nothing."""
    none_text: str | None = None
    """Likewise for "none": without it the answer is not believed."""

    def verdict(self, code: int, output: str) -> Pending:
        """Read the answer; what is not certain is not NONE."""
        if code in self.pending:
            return Pending.SOME
        if code not in self.none_pending:
            return Pending.UNKNOWN
        if self.pending_text and re.search(self.pending_text, output, re.MULTILINE):
            return Pending.SOME
        if self.none_text and not re.search(self.none_text, output, re.MULTILINE):
            return Pending.UNKNOWN
        return Pending.NONE


@dataclass(frozen=True)
class Preset:
    """What we know of one framework."""

    name: str
    title: str
    ledger: Ledger | None
    migrate: tuple[str, ...] | None
    """None: it can't be known, the operator says it by MIGSAFE_MIGRATE."""
    check: Check | None = None
    lock: Lock | None = None
    signs: tuple[str, ...] = ()
    """Files that betray the framework, all of them: relative to the app's working directory."""
    refused: tuple[tuple[str, str], ...] = ()
    """Words of a migrate command, in this order, that are dangerous, and why."""
    caution: str = ""
    """One line for the operator when such a migration fails."""
    hint: str = ""
    """What to set where the command can't be known."""
    variant_of: str | None = None
    """Name of the preset whose ledger this one shares; only its signs tell them apart."""

    @property
    def family(self) -> str:
        """Name that variants share."""
        return self.variant_of or self.name

    def shows(self, exists: Exists) -> bool:
        """Tell whether the app's files betray this framework."""
        return bool(self.signs) and all(exists(sign) for sign in self.signs)


@dataclass(frozen=True)
class Found:
    """A ledger that was found in the database."""

    preset: Preset
    schema: str
    table: str
    lock: Lock | None = None
    """The preset's, if its table exists; in the same schema."""


@dataclass(frozen=True)
class Pieces:
    """What a query over a ledger is put together from: identifiers unquoted, predicates as SQL."""

    schema: str
    table: str
    key: tuple[str, ...]
    bad: str
    applied: str
    lock: Lock | None
