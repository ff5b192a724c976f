"""A process that swaps two databases for each other, again and again, until it is killed."""

from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from sidecar.clock import SystemClock
from sidecar.errors import DatabaseUnavailable
from sidecar.journal import open_control
from sidecar.postgres import PostgresDatabase
from tests.integration.bench import no_tools


def swap(told: Connection, conninfo: Mapping[str, Any], live: str, other: str, first: int) -> None:
    """Swap, and tell the number of each swap that is done."""
    control = open_control(conninfo, live, SystemClock())
    database = PostgresDatabase(control, conninfo, no_tools(), SystemClock())
    told.send(0)
    with suppress(DatabaseUnavailable):  # the server is gone, or has ended the session
        for number in count(first):
            name = f"20260131-{number:06d}-beef"
            kept = f"{live}__kept_{name.replace('-', '_')}"
            database.close()
            database.swap(other, kept, name, connections=True)
            other = kept
            told.send(number)
