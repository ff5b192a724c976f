"""Write without a pause, and say what the database has acknowledged."""

import time

from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection

from shop.models import Tick

PAUSE = 0.05


class Command(BaseCommand):
    help = "Writes a tick every 50 ms; each 'acknowledged N' is committed in the database."

    def handle(self, *args, **options) -> None:
        try:
            write_for_ever()
        except KeyboardInterrupt:
            print("stopped")


def write_for_ever() -> None:
    # No number is used twice, in any life of the worker: whoever looks for one finds that very write.
    counter = int(time.time() * 1000)
    while True:
        counter += 1
        try:
            Tick.objects.create(counter=counter)
            print("acknowledged", counter)
        except DatabaseError as error:
            print("waiting:", str(error).splitlines()[0])
            connection.close()
            time.sleep(0.5)
        time.sleep(PAUSE)
