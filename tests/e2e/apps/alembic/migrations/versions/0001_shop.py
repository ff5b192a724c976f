"""Authors, books and orders."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def identity():
    return sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True)


def column(name, type_=sa.Text):
    return sa.Column(name, type_, nullable=False)


def upgrade():
    op.create_table("authors", identity(), column("name"))
    op.create_table(
        "books",
        identity(),
        sa.Column("author_id", sa.BigInteger, sa.ForeignKey("authors.id"), nullable=False),
        column("title"),
        column("price_cents", sa.Integer),
    )
    op.create_index("books_title", "books", ["title"])
    op.create_table(
        "orders",
        identity(),
        sa.Column("book_id", sa.BigInteger, sa.ForeignKey("books.id"), nullable=False),
        sa.Column("receipt", sa.BigInteger, nullable=False, unique=True),
        column("email"),
        column("status"),
        column("note"),
    )
    op.execute(sa.schema.CreateSequence(sa.Sequence("receipts", start=1000)))
