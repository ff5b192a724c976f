"""Of everything that a migration prints, the lines that say what went wrong."""

from pathlib import Path

import pytest

from sidecar import excerpt

OUTPUTS = Path(__file__).parent / "outputs"
INDEX = 'could not create unique index "one_customer"'
KEY = "Key (lower(email))=(ann@example.org) is duplicated."
TOLD = {
    "alembic-early": ("KeyError: 'SHOP_CURRENCY'",),
    "alembic-late": (
        f"sqlalchemy.exc.IntegrityError: (psycopg.errors.UniqueViolation) {INDEX}",
        "DETAIL: Key (lower(email))=(reader250@example.org) is duplicated.",
    ),
    "django-early": ("RuntimeError: SHOP_CURRENCY is not set",),
    "django-late": (
        f"django.db.utils.IntegrityError: {INDEX}",
        "DETAIL: Key (lower(email))=(reader250@example.org) is duplicated.",
    ),
    "ecto": (f"** (Postgrex.Error) ERROR 23505 (unique_violation) {INDEX}",),
    "flyway": (f"Message : ERROR: {INDEX}", f"Detail: {KEY}"),
    "goose": (
        "2024/08/22 06:34:24 goose run: ERROR 00003_customers.sql: failed to run SQL migration:"
        ' failed to execute SQL query "CREATE UNIQUE INDEX one_customer ON customers'
        f' (lower(email));": ERROR: {INDEX} (SQLSTATE 23505)',
    ),
    "knex": (
        f'error: create unique index "one_customer" on "customers" (lower("email")) - {INDEX}',
    ),
    "laravel": (
        f"SQLSTATE[23505]: Unique violation: 7 ERROR: {INDEX}",
        f'DETAIL: {KEY} (Connection: pgsql, SQL: create unique index "one_customer" on "customers"'
        " (lower(email)))",
    ),
    "laravel-php": ("Undefined variable $currency",),
    "node": ("Error: connect ECONNREFUSED 172.18.0.2:5432",),
    "prisma": (f"ERROR: {INDEX}", f"DETAIL: {KEY}"),
    "prisma-again": (
        "migrate found failed migrations in the target database, new migrations will not be"
        " applied. Read more about how to resolve migration issues in a production database:"
        " https://pris.ly/d/migrate-resolve",
    ),
    "psql": (f"psql:migrations/0003_customers.sql:9: ERROR: {INDEX}", f"DETAIL: {KEY}"),
    "psql-away": (
        'psql: error: connection to server at "db" (172.18.0.2), port 5432 failed: FATAL: password'
        ' authentication failed for user "shop"',
    ),
    "rails-early": ('KeyError: key not found: "SHOP_CURRENCY"',),
    "rails-late": (
        f"PG::UniqueViolation: ERROR: {INDEX}",
        "DETAIL: Key (lower(email))=(reader250@example.org) is duplicated.",
    ),
    "spring": (f"Caused by: org.postgresql.util.PSQLException: ERROR: {INDEX}", f"Detail: {KEY}"),
    "typeorm": (f"driverError: error: {INDEX}",),
}
"""What went wrong, by the output of a framework: the first two are what our own apps print."""


def output(name: str) -> list[str]:
    """Read a framework's output."""
    return (OUTPUTS / f"{name}.txt").read_text().splitlines()


def test_every_output_is_held() -> None:
    """No output lies there that nobody reads."""
    assert sorted(TOLD) == sorted(file.stem for file in OUTPUTS.glob("*.txt"))


@pytest.mark.parametrize("name", TOLD)
def test_it_says_what_went_wrong(name: str) -> None:
    """The error is told, and neither how the framework got there nor what it says about it."""
    assert TOLD[name] == excerpt.telling(output(name))


@pytest.mark.parametrize("name", TOLD)
def test_it_is_told_again_from_what_was_kept(name: str) -> None:
    """What the journal holds of an output is short, and leaves nothing out that a card needs."""
    kept = excerpt.shorten(output(name))

    assert len(kept) <= 20
    assert TOLD[name] == excerpt.telling(kept)


@pytest.mark.parametrize("name", TOLD)
def test_lines_that_were_held_back_do_not_hide_it(name: str) -> None:
    """What a framework had still to print, and prints after its error, is not the error."""
    later = [f"== 2024020100000{n} Step: migrated (0.1 s) ==" for n in range(40)]
    kept = excerpt.shorten([*output(name), *later])

    assert TOLD[name] == excerpt.telling(kept)
    assert later[-1] in kept


def test_a_later_reason_is_told_as_well() -> None:
    """What the server said may have been lived with; then what ended the migration counts."""
    lines = ["ERROR:  relation is missing", "going on", "ValueError: no currency"]

    assert ("ERROR: relation is missing", "ValueError: no currency") == excerpt.telling(lines)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], ()),
        (["", "  "], ("",)),
        (["one", "two", ""], ("two",)),
        (["it could not be found: not found", "bye"], ("it could not be found: not found",)),
        (
            ["main.rb aborted!", "Shop::Broken: no stock", "main.rb:3:in `x'"],
            ("Shop::Broken: no stock",),
        ),
        (['{"level":"error","msg":"no stock"}', "bye"], ('{"level":"error","msg":"no stock"}',)),
    ],
)
def test_without_a_known_form(lines: list[str], told: tuple[str, ...]) -> None:
    """Whatever it is, the line that tells most is the last resort's last line."""
    assert tuple(filter(None, told)) == excerpt.telling(lines)


def test_few_lines_are_kept_as_they_are() -> None:
    """Nothing is left out of a short output."""
    assert ("one", "", "two") == excerpt.shorten(["one", "", "two"])
