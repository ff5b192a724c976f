"""Beside the stack: a server of the database's own image with its roles, to be thrown away."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from sidecar import connections, journal, queries, throwaway
from sidecar.backups import Manifest, Proof
from sidecar.borrowed import Borrowed
from sidecar.clients import Chosen
from sidecar.errors import BackupDamaged
from sidecar.facts import scratch_name
from sidecar.loading import load
from sidecar.ports import World
from sidecar.postgres import PostgresDatabase
from sidecar.reaching import patiently
from sidecar.settings import Settings
from sidecar.throwaway import Throwaway
from sidecar.wiring import Stack

SECONDS_TO_START = 120


@dataclass(frozen=True)
class Beside:
    """The server, its journal, and the database that is to be on it."""

    server: Throwaway
    control: journal.ControlDatabase
    database: PostgresDatabase


@contextmanager
def beside(stack: Stack, settings: Settings, run: str) -> Iterator[Beside]:
    """
    Make a server like the database's own, and remove it in the end.

    Raises:
        PreflightFailed: the database is no container of this engine.
        DatabaseUnavailable: the server does not come up.

    """
    engine, ways, name = stack.docker, stack.ways, stack.address.database
    with throwaway.server(engine.api, engine.me, engine.host, stack.address, run) as server:
        opened = partial(journal.open_control, server.conninfo, name, ways.clock)
        control = patiently(opened, SECONDS_TO_START)
        try:
            tools = Chosen(lambda: Borrowed(engine.api.client, server.container, server.conninfo))
            database = PostgresDatabase(
                control, server.conninfo, tools, ways.clock, settings.preset
            )
            _give_roles(stack, server)
            yield Beside(server, control, database)
        finally:
            control.close()


def portable(manifest: Manifest) -> Manifest:
    """Take out of a manifest where on its disks a server keeps the database."""
    return replace(manifest, properties=replace(manifest.properties, tablespace="pg_default"))


def proof(stack: Stack, settings: Settings, manifest: Manifest, run: str) -> Proof:
    """
    Prove that a backup restores where nothing but it is: load it there, and compare.

    Raises:
        MigsafeError: it could not be tried, which proves nothing, and is not kept.

    """
    clock, started = stack.ways.clock, stack.ways.clock.monotonic()
    with beside(stack, settings, run) as found:
        world = _without_the_live_one(stack, found)
        name = scratch_name(found.database.name, run, "load")
        try:
            complaints = load(world, portable(manifest), name)
        except BackupDamaged as error:
            complaints = (error.message,)
    seconds = round(clock.monotonic() - started, 1)
    proven = Proof(clock.now(), "isolated", complaints, seconds)
    stack.world.vault.note_proof(manifest.backup, proven)
    return proven


def _without_the_live_one(stack: Stack, found: Beside) -> World:
    return replace(stack.world, journal=found.control, database=found.database)


def _give_roles(stack: Stack, server: Throwaway) -> None:
    """Give the server the roles of the real one; the app may log in."""
    address = stack.address
    with connections.connect(server.conninfo, "postgres") as session:
        for (statement,) in stack.control.connection.execute(queries.ROLES).fetchall():
            with suppress(connections.Refused):  # a role that is there already, postgres for one
                session.execute(str(statement).encode())
        if address.user != server.conninfo["user"]:
            session.execute(connections.password_of(address.user, address.password))
