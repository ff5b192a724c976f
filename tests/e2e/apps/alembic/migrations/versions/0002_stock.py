"""Fill the shop: 20 authors, 200 books, 5000 orders of 500 readers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

AUTHORS = ["Ada O'Brien", 'Zoë "Z" Müller', "Камю", "川端 康成", "back\\slash"]
NOTES = [
    "",
    "gift wrap, please",
    'it\'s "urgent"',
    "two\nlines\tand a tab",
    "日本語 · ünïcode · 📚",
]


def table(name, *columns):
    return sa.table(name, *(sa.column(column) for column in columns))


def upgrade():
    op.bulk_insert(
        table("authors", "name"), [{"name": f"{AUTHORS[n % 5]} {n // 5 + 1}"} for n in range(20)]
    )
    op.bulk_insert(
        table("books", "author_id", "title", "price_cents"),
        [book(n) for n in range(200)],
    )
    op.bulk_insert(
        table("orders", "book_id", "receipt", "email", "status", "note"),
        [order(n) for n in range(1, 5001)],
    )
    op.execute("SELECT setval('receipts', 5999)")


def book(n):
    return {
        "author_id": n % 20 + 1,
        "title": f"Volume {n} – «l'été»",
        "price_cents": 500 + 10 * n,
    }


def order(n):
    # Every 100th reader types the same address with a capital letter.
    initial = "r" if n % 100 else "R"
    return {
        "book_id": n % 200 + 1,
        "receipt": 999 + n,
        "email": f"{initial}eader{n // 2 % 500}@example.org",
        "status": "sent" if n % 8 else "cancelled",
        "note": NOTES[n % 5],
    }
