"""The one page of the bookshop."""

import os

from django.db import connection
from django.http import HttpResponse
from django.urls import path


def summary() -> str:
    """Say which release runs and how much it sees."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (SELECT count(*) FROM books), (SELECT count(*) FROM orders)")
        books, orders = cursor.fetchone()
    return f"release {os.environ.get('RELEASE', '?')}: {books} books, {orders} orders"


def index(request) -> HttpResponse:
    return HttpResponse(summary() + "\n", content_type="text/plain")


urlpatterns = [path("", index)]
