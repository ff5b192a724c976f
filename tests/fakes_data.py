"""What is in a database, as a value; and what migrations do to it, by name."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from zlib import crc32

from sidecar.facts import Contents, LedgerState, Table, fingerprint

END = b"-- PostgreSQL database dump complete\n"
"""The last line of a plain dump."""


@dataclass(frozen=True)
class Data:
    """What is in a database, as a value."""

    tables: Mapping[str, tuple[str, ...]]
    ledger: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    """Versions that the ledger marks as failed."""
    events: frozenset[str] = frozenset()
    """What clients have written meanwhile."""

    @property
    def core(self) -> "Data":
        """Everything but what clients have written: that is told apart by who wrote it, when."""
        return replace(self, events=frozenset())

    @property
    def catalog(self) -> str:
        """Fingerprint of the schema."""
        return fingerprint(sorted(self.tables))

    @property
    def contents(self) -> Contents:
        """Count the rows."""
        rows = {
            **{name: len(rows) for name, rows in self.tables.items()},
            "events": len(self.events),
        }
        tables = (
            Table("public", name, n, crc32(name.encode())) for name, n in sorted(rows.items())
        )
        return Contents(tuple(tables), self.catalog)

    @property
    def state(self) -> LedgerState:
        """Read the ledger."""
        return LedgerState(
            preset="rails",
            schema="public",
            table="schema_migrations",
            versions=self.ledger,
            bad=self.bad,
            fingerprint=fingerprint([self.ledger, self.bad]),
        )

    def dump(self) -> bytes:
        """Write it as a plain dump ends: a line of JSON stands in for the SQL."""
        values = {**vars(self), "events": sorted(self.events), "tables": dict(self.tables)}
        return json.dumps(values).encode() + b"\n" + END

    @classmethod
    def load(cls, dump: bytes) -> "Data":
        """Read a dump back."""
        values = json.loads(dump.splitlines()[0])
        return cls(
            {name: tuple(rows) for name, rows in values["tables"].items()},
            tuple(values["ledger"]),
            tuple(values["bad"]),
            frozenset(values["events"]),
        )


BEFORE = Data(
    {"users": tuple(f"user {n}" for n in range(8)), "orders": ("1", "2", "3")}, ("1", "2")
)

EMPTY = Data({})

Change = Callable[[Data], Data]


def _adds(table: str, version: str) -> Change:
    def change(data: Data) -> Data:
        if version in data.ledger:
            return data
        tables = {**data.tables, table: (f"{table} 1", f"{table} 2")}
        return replace(data, tables=tables, ledger=(*data.ledger, version))

    return change


def _fills(table: str, version: str) -> Change:
    def change(data: Data) -> Data:
        if version in data.ledger:
            return data
        tables = {**data.tables, table: (*data.tables[table], f"{table} 3")}
        return replace(data, tables=tables, ledger=(*data.ledger, version))

    return change


def _loses_users(data: Data) -> Data:
    return replace(
        data, tables={**data.tables, "users": ("user 0",)}, ledger=(*data.ledger, "3", "4")
    )


def _marks_bad(data: Data) -> Data:
    return replace(data, ledger=(*data.ledger, "3", "4"), bad=("4",))


CHANGES: Mapping[str, Change] = {
    "adds invoices": _adds("invoices", "3"),
    "fills invoices": _fills("invoices", "4"),
    "adds refunds": _adds("refunds", "5"),
    "fills refunds": _fills("refunds", "6"),
    "adds coupons": _adds("coupons", "7"),
    "fills coupons": _fills("coupons", "8"),
    "loses users": _loses_users,
    "marks bad": _marks_bad,
}
"""What a migration's transactions do, by name: a machine holds values only."""

AFTER = CHANGES["fills invoices"](CHANGES["adds invoices"](BEFORE))
