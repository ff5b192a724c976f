"""Values to start a test from; each test changes what it is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sidecar.backups import Backup, Format, Kind, Manifest
from sidecar.facts import Contents, LedgerState, Look, Properties, Rights, Server, Table

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SERVER = Server("17.6", 170006, "7001")
PROPERTIES = Properties("shop", "UTF8", "C", "C")
LEDGER = LedgerState("rails", "public", "schema_migrations", ("1", "2"), fingerprint="two")
RIGHTS = Rights("shop", superuser=True, create_database=True, owns=True, signal=True)
USERS = Table("public", "users", 1000, 42)
CONTENTS = Contents((USERS,), "catalog")


def give_stack(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **parts: object) -> None:
    """Have the commands of a module open a stack that has these parts."""

    @contextmanager
    def opened(*_: object) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(**parts)

    monkeypatch.setattr(module, "open_stack", opened)


def look(**changes: Any) -> Look:
    """Look at a database that everything is well with."""
    found = Look(
        database="shop",
        server=SERVER,
        oid=16384,
        size=10 << 20,
        properties=PROPERTIES,
        ledger=LEDGER,
        tables=3,
        catalog="catalog",
        rights=RIGHTS,
        databases=("shop",),
        roles="roles",
    )
    return replace(found, **changes)


def manifest(**changes: Any) -> Manifest:
    """Describe a whole backup of that database."""
    found = Manifest(
        backup=Backup(Kind.PRE_MIGRATION, NOON, Format.SQL),
        run="20260131-120000-3fa2",
        database="shop",
        size=1234,
        sha256="a" * 64,
        server=SERVER,
        properties=PROPERTIES,
        ledger=LEDGER,
        contents=CONTENTS,
        images={"app": "sha256:old"},
        migsafe="0",
        note="",
        database_size=10 << 20,
    )
    return replace(found, **changes)
