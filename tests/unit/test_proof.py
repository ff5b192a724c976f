"""Whether a migration did what it says, and a rollback put everything back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import proof
from sidecar.facts import Contents, LedgerState, Table
from sidecar.proof import LossPolicy

from .builders import CONTENTS, LEDGER, PROPERTIES, USERS, look

NEXT = replace(LEDGER, versions=("1", "2", "3"), fingerprint="three")


def test_an_advanced_and_clean_ledger_is_proof() -> None:
    """A migration that added to the ledger has no complaint."""
    assert () == proof.migrated(look(), look(ledger=NEXT), moves=False)


def test_an_unchanged_ledger_is_no_complaint() -> None:
    """Where nothing was pending nothing advances."""
    assert () == proof.migrated(look(), look(), moves=False)


def test_a_ledger_that_lost_rows_is_a_complaint() -> None:
    """A migration only adds to what is applied."""
    (complaint,) = proof.migrated(look(ledger=NEXT), look(), moves=False)

    assert "the ledger lost 3" in complaint


def test_a_moving_ledger_may_lose_its_old_value() -> None:
    """Alembic's one row moves on."""
    before = look(ledger=LedgerState("alembic", "public", "alembic_version", ("a",)))
    after = look(ledger=LedgerState("alembic", "public", "alembic_version", ("b",)))

    assert () == proof.migrated(before, after, moves=True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"oid": 1}, "dropped and made anew"),
        ({"ledger": replace(NEXT, bad=("3",))}, "marks 3 as failed"),
        ({"ledger": replace(NEXT, held_by="knex says somebody")}, "lock is still held"),
        ({"ledger": LedgerState("generic")}, "ledger public.schema_migrations is gone"),
        ({"invalid_indexes": ("half",)}, "invalid indexes behind: half"),
    ],
)
def test_what_a_migration_left_behind(changes: dict[str, object], words: str) -> None:
    """Exit code 0 is not believed. Faults: 73, 82, 84."""
    complaints = proof.migrated(look(), look(**changes), moves=False)

    assert any(words in complaint for complaint in complaints)


def test_an_index_that_was_invalid_before_is_no_complaint() -> None:
    """Only new invalid indexes are the migration's."""
    before = look(invalid_indexes=("old",))

    assert () == proof.migrated(before, before, moves=False)


@pytest.mark.parametrize(
    ("now", "lost"),
    [
        ((USERS,), False),
        ((replace(USERS, rows=500),), False),
        ((replace(USERS, rows=499),), True),
        ((), True),
        ((replace(USERS, name="people"),), False),
        ((replace(USERS, oid=7),), False),
        ((replace(USERS, name="people", rows=1),), True),
        ((replace(USERS, name="people", oid=7),), True),
    ],
)
def test_tables_that_vanished_or_shrank(now: tuple[Table, ...], lost: bool) -> None:
    """A renamed table keeps its oid, one that was copied its name; rows must be there."""
    found = proof.losses(CONTENTS, Contents(now, "x"), LossPolicy())

    assert lost == bool(found)


@pytest.mark.parametrize("rule", ["users", "public.users", "use*", "public.*"])
def test_tables_that_may_shrink(rule: str) -> None:
    """Tables that the operator named are no loss."""
    policy = LossPolicy(allowed=("sessions", rule))

    assert () == proof.losses(CONTENTS, Contents((), "x"), policy)


def test_empty_tables_are_no_loss() -> None:
    """A table without rows may go."""
    before = Contents((replace(USERS, rows=0),), "x")

    assert () == proof.losses(before, Contents((), "x"), LossPolicy())


@given(rows=st.integers(1, 10_000), now=st.integers(0, 10_000), percent=st.floats(0, 100))
def test_the_limit_is_what_it_says(rows: int, now: int, percent: float) -> None:
    """A table may lose exactly the percentage that is allowed, and no row more."""
    before = Contents((replace(USERS, rows=rows),), "x")
    after = Contents((replace(USERS, rows=now),), "x")
    found = proof.losses(before, after, LossPolicy(percent=percent))

    assert bool(found) == (now < rows * (1 - percent / 100))


def test_what_lies_outside_is_named() -> None:
    """Roles and other databases are not rolled back, so they are told. Faults: 83."""
    after = look(databases=("shop", "other"), roles="changed")

    expected = ("database 'other' was created", "roles of the server were changed")
    assert expected == proof.outside(look(), after)


def test_what_is_ours_lies_not_outside() -> None:
    """A database that a rollback set aside, and the one that it put back, are no surprise."""
    after = look(databases=("shop__kept_20260131_120000_3fa2", "shop__kept_by_hand"))

    assert ("database 'shop__kept_by_hand' was created",) == proof.outside(look(), after)


def test_put_back_is_exact() -> None:
    """Schema, ledger and every property of the database are compared. Faults: 45, 94, 97."""
    after = look(
        catalog="other", ledger=NEXT, properties=replace(PROPERTIES, owner="x", comment="y")
    )

    assert () == proof.put_back(look(), look())
    assert 4 == len(proof.put_back(look(), after))


def test_same_rows() -> None:
    """A loaded backup holds the rows of its manifest, table by table. Faults: 94."""
    fewer = Contents((replace(USERS, rows=1),), "x")
    more = Contents((USERS, Table("public", "extra", 0)), "x")

    assert () == proof.same_rows(CONTENTS, CONTENTS)
    assert ("public.users has 1 rows instead of 1000",) == proof.same_rows(CONTENTS, fewer)
    assert ("public.extra should not be there",) == proof.same_rows(CONTENTS, more)
    assert 1 == len(proof.same_rows(CONTENTS, replace(CONTENTS, large_objects=3)))
