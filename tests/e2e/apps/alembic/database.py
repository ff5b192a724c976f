"""The connection to the database, from the parts that the environment names."""

import os

from sqlalchemy import URL, Engine, create_engine


def engine() -> Engine:
    return create_engine(
        URL.create(
            "postgresql+psycopg",
            host=os.environ["PGHOST"],
            username=os.environ["PGUSER"],
            password=os.environ["PGPASSWORD"],
            database=os.environ["PGDATABASE"],
        )
    )
