"""Serve the bookshop on port 8000."""

import os
from wsgiref.simple_server import make_server

from sqlalchemy import text

from database import engine

SUMMARY = text("SELECT (SELECT count(*) FROM books), (SELECT count(*) FROM orders)")


def summary() -> str:
    """Say which release runs and how much it sees."""
    with pool.connect() as connection:
        books, orders = connection.execute(SUMMARY).one()
    return f"release {os.environ.get('RELEASE', '?')}: {books} books, {orders} orders"


def page(_environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{summary()}\n".encode()]


if __name__ == "__main__":
    pool = engine()
    print("serving", summary())
    try:
        make_server("", 8000, page).serve_forever()
    except KeyboardInterrupt:
        print("stopped")
