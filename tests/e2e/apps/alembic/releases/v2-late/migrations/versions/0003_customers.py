"""Move the addresses out of the orders into a table of customers.

Fails half-way: the block commits at every statement, the ledger does not know of it, and some
addresses differ only by a capital letter. Another try fails at its first statement.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_table(
            "customers",
            sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
            sa.Column("email", sa.Text, nullable=False),
        )
        op.add_column(
            "orders", sa.Column("customer_id", sa.BigInteger, sa.ForeignKey("customers.id"))
        )
        op.execute("INSERT INTO customers (email) SELECT DISTINCT email FROM orders")
        op.execute(
            "UPDATE orders SET customer_id = c.id FROM customers c WHERE c.email = orders.email"
        )
        op.execute("DELETE FROM orders WHERE status = 'cancelled'")
        op.drop_column("orders", "email")
        op.create_index(
            "one_customer",
            "customers",
            [sa.text("lower(email)")],
            unique=True,
            postgresql_concurrently=True,
        )
