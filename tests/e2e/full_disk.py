"""
Run inside migsafe's image: back up, again and again, into a folder with less room or more.

The argument is the database's URL. Prints JSON: for each try, how much room there was, how it
ended, and what is in the folder then.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from sidecar.backups import Format
from sidecar.clients import Bundled, Chosen
from sidecar.clock import SystemClock
from sidecar.errors import MigsafeError
from sidecar.facts import Look
from sidecar.journal import open_control
from sidecar.postgres import PostgresDatabase
from sidecar.stores.local import LocalStore
from sidecar.vault import LocalVault

FOLDER = Path("/backups")
HOG = FOLDER / "hog"
PAGE = 4096


class Quiet:
    """Tells nobody."""

    def say(self, message: str, **facts: Any) -> None:
        """Say nothing."""

    def warn(self, message: str, **facts: Any) -> None:
        """Say nothing."""

    def redact(self, text: str) -> str:
        """Hide nothing."""
        return text

    def output(self, line: str) -> None:
        """Say nothing."""

    @contextmanager
    def progress(self, _message: str) -> Iterator[Callable[[int], None]]:
        """Watch nothing."""
        yield lambda _done: None


class Going:
    """Was never asked to stop."""

    def check(self) -> None:
        """Go on."""


def main(url: str) -> None:
    """Back up once with all the room, then once for each size: closely around what is needed."""
    conninfo, clock = conninfo_to_dict(url), SystemClock()
    control = open_control(conninfo, str(conninfo["dbname"]), clock)
    database = PostgresDatabase(control, conninfo, Chosen(lambda: Bundled(conninfo)), clock)
    store = LocalStore(FOLDER)
    vault = LocalVault(store, database, Format.SQL, clock, Quiet(), Going())
    look = database.look(catalog=True)
    size = vault.take(vault.next_backup(), "first", look, {}).size
    first = {"size": None, "end": "whole", "files": files()}
    near = range(size // PAGE * PAGE - 4 * PAGE, size + 12 * PAGE, PAGE)
    sizes = [0, PAGE, 16 * PAGE, size // 2, *near, 4 * size]
    print(json.dumps([first, *(found(each, vault, look) for each in sizes)]))


def found(size: int, vault: LocalVault, look: Look) -> dict[str, Any]:
    """Leave so much room, back up, and tell what became of it."""
    leave(size)
    end = "whole"
    try:
        vault.take(vault.next_backup(), "run", look, {})
    except MigsafeError as error:
        end = f"{error.exit_code}: {error.message}"
    HOG.unlink()
    return {"size": size, "end": end, "files": files()}


def leave(size: int) -> None:
    """Fill the folder until only so many bytes are free."""
    free = os.statvfs(FOLDER)
    with HOG.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - size)


def files() -> dict[str, str]:
    """Hash what is in the folder."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(FOLDER.iterdir())
    }


main(sys.argv[1])
