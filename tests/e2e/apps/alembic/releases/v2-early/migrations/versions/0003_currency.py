"""Give every price its currency. Somebody forgot to say which one."""

import os

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    currency = os.environ["SHOP_CURRENCY"]
    op.add_column("books", sa.Column("currency", sa.Text, nullable=False, server_default=currency))
