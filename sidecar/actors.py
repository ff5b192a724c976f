"""The engine of a rehearsal: Docker, as far as it needs it."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sidecar import connections, oneoff, queries
from sidecar.errors import DatabaseUnavailable
from sidecar.facts import App, Exit, Host
from sidecar.oneoffs import OneOffs
from sidecar.ports import Stop
from sidecar.postgres import PostgresDatabase
from sidecar.throwaway import Throwaway
from sidecar.wiring import Stack

SAMPLE = 0.1
"""Seconds between two looks at who holds which lock."""


class Actors:
    """One-offs of the image that is to come, and nobody else."""

    def __init__(
        self,
        stack: Stack,
        server: Throwaway,
        image: Mapping[str, Any],
        database: PostgresDatabase,
    ) -> None:
        self.real = stack.docker
        self.image = image
        self.server = server
        self.database = database
        self.locked: dict[str, float] = {}
        """Seconds by table."""
        self._one_offs = OneOffs(stack.docker.api, stack.ways.clock, stack.docker.discovery.project)
        self._done = threading.Event()
        self._sampler: threading.Thread | None = None
        template = stack.docker.template
        old = stack.docker.api.image(template["Image"])
        self._template = oneoff.rehearsal(template, old, image, server.network)

    def app(self) -> App:
        """Give the app, as it would be."""
        found = self.real.app()
        return replace(found, image=self.image["Id"], image_name=self.image["Name"], code_mounts=())

    def this_host(self) -> Host:
        """Tell which engine this is."""
        return self.real.this_host()

    def has_file(self, path: str) -> bool:
        """Whether the app's container has a file."""
        return self.real.has_file(path)

    def has_ended(self, run: str) -> bool | None:
        """Know of no migration that somebody else runs."""
        return self.real.has_ended(run)

    def claim(self, run: str) -> bool:
        """Keep a migration that was to be handed over from being started."""
        return self.real.claim(run)

    def make_migration(self, run: str, command: Sequence[str]) -> None:
        """Make the one-off container."""
        self._one_offs.make_migration(self._template, run, command)

    def start_migration(self, run: str) -> None:
        """Start it, and watch its locks."""
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        self._one_offs.start_migration(run)

    def follow_migration(
        self, run: str, deadline: float, on_line: Callable[[str], None], stop: Stop
    ) -> Exit | None:
        """Wait for its end."""
        return self._one_offs.follow_migration(run, deadline, on_line, stop)

    def end_migration(self, run: str) -> None:
        """Stop it, and what watches it."""
        self._one_offs.end_migration(run)
        self._done.set()
        if self._sampler is not None:
            self._sampler.join()

    def addresses(self, run: str) -> frozenset[str]:
        """Network addresses that it has or had."""
        return self._one_offs.addresses_of(run)

    def remove_migration(self, run: str) -> None:
        """Remove it."""
        self._one_offs.remove_migration(run)

    def end_strays(self, _known: Iterable[str]) -> tuple[str, ...]:
        """Know of none."""
        return ()

    def run_check(
        self, run: str, command: Sequence[str], timeout: float, *, read_only: bool = False
    ) -> Exit:
        """Run a command in another one-off container."""
        return self._one_offs.run_check(self._template, run, command, timeout, read_only=read_only)

    def users(self, _addresses: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Know of nobody: nobody else is on the network."""
        return {}

    def stop(self, _containers: Iterable[str]) -> None:
        """Stop nobody."""

    def start(self, _containers: Iterable[str]) -> dict[str, str]:
        """Start nobody."""
        return {}

    def free_space(self) -> int | None:
        """Tell the room of the real server's disk: both are on it."""
        return self.real.free_space()

    def _sample(self) -> None:
        with (
            suppress(DatabaseUnavailable, connections.Refused),
            connections.connect(self.server.conninfo, self.database.name) as session,
        ):
            while not self._done.wait(SAMPLE):
                for (table,) in session.execute(queries.LOCKED).fetchall():
                    self.locked[table] = self.locked.get(table, 0.0) + SAMPLE
