"""Serve the bookshop on port 8000."""

from wsgiref.simple_server import make_server

from django.core.management.base import BaseCommand
from django.core.wsgi import get_wsgi_application

from shop.urls import summary


class Command(BaseCommand):
    help = "Serves the bookshop on port 8000; ends at once where the tables are missing."

    def handle(self, *args, **options) -> None:
        print("serving", summary())
        with make_server("", 8000, get_wsgi_application()) as server:
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                print("stopped")
