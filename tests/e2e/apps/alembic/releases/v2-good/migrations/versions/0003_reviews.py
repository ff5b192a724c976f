"""Give every book a slug, and readers a place for reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.add_column("books", sa.Column("slug", sa.Text, nullable=False, server_default=""))
    op.execute("UPDATE books SET slug = 'volume-' || id")
    op.create_table(
        "reviews",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("book_id", sa.BigInteger, sa.ForeignKey("books.id"), nullable=False),
        sa.Column("stars", sa.SmallInteger, nullable=False),
    )
