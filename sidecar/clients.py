"""The client programs that come with migsafe."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sidecar import pgtools
from sidecar.ports import ProgramFailed, Tools

PATH = "/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/bin:/bin"


def major() -> int | None:
    """Tell the major of the programs that are here; None where there are none."""
    from sidecar import process  # noqa: PLC0415 - most runs start no program

    argv = ("pg_dump", "--version")
    try:
        with process.read(argv, {"PATH": PATH}) as chunks:
            text = b"".join(chunks).decode()
    except (OSError, ProgramFailed):
        return None
    found = re.search(r"\b(\d+)\.\d+", text)
    return int(found[1]) if found else None


class Chosen:
    """Programs that are looked for when they are needed first: most runs need none."""

    def __init__(self, choose: Callable[[], Tools]) -> None:
        self._choose = choose
        self._tools: Tools | None = None

    def ready(self) -> Tools:
        """
        Look for the programs.

        Raises:
            PreflightFailed: there are none of the server's major.

        """
        self._tools = self._tools or self._choose()
        return self._tools

    def read(self, argv: Sequence[str], database: str) -> AbstractContextManager[Iterator[bytes]]:
        """Run a program on a database and give its output in chunks."""
        return self.ready().read(argv, database)

    def feed(self, argv: Sequence[str], database: str, chunks: Iterator[bytes]) -> None:
        """Run a program on a database, with an input."""
        self.ready().feed(argv, database, chunks)


class Bundled:
    """Programs of migsafe's own image, which reach the server over the network."""

    def __init__(self, conninfo: Mapping[str, Any]) -> None:
        self.conninfo = conninfo

    def read(self, argv: Sequence[str], database: str) -> AbstractContextManager[Iterator[bytes]]:
        """Run a program on a database and give its output in chunks."""
        from sidecar import process  # noqa: PLC0415 - same

        return process.read(argv, self._environment(database))

    def feed(self, argv: Sequence[str], database: str, chunks: Iterator[bytes]) -> None:
        """Run a program on a database, with an input."""
        from sidecar import process  # noqa: PLC0415 - same

        process.feed(argv, self._environment(database), chunks)

    def _environment(self, database: str) -> dict[str, str]:
        # nothing of ours but what they need: no PGSERVICE, no ~/.pgpass
        base = {"PATH": PATH, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"}
        return {**base, **pgtools.environment(self.conninfo, database)}
