"""Give the customers a table of their own. The orders keep what they have."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.create_table(
        "customers",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("email", sa.Text, nullable=False, unique=True),
    )
    op.add_column("orders", sa.Column("customer_id", sa.BigInteger))
    op.execute("INSERT INTO customers (email) SELECT DISTINCT lower(email) FROM orders")
    op.execute(
        "UPDATE orders SET customer_id = c.id FROM customers c WHERE c.email = lower(orders.email)"
    )
    op.create_foreign_key("orders_customer", "orders", "customers", ["customer_id"], ["id"])
