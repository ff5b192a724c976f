"""
A rehearsal: the guard's own run, in a world that is thrown away.

The newest backup is loaded into a server of the database's own image, on a network of its own, and
the image that is to come migrates it there, guarded as it would be. The stack is not touched.
"""

import json
import re
import threading
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from shutil import rmtree
from typing import Any

from sidecar import catalog, connections, journal, oneoff, pick, queries, throwaway
from sidecar.backups import Format, Manifest
from sidecar.borrowed import Borrowed
from sidecar.clients import Chosen
from sidecar.docker_api import NotThere
from sidecar.errors import (
    DatabaseUnavailable,
    MigsafeError,
    PreflightFailed,
    SettingsError,
)
from sidecar.facts import App, Contents, Exit, Host
from sidecar.guard import Guard
from sidecar.loading import load_whole
from sidecar.oneoffs import OneOffs
from sidecar.plan import Entry, Phase
from sidecar.policy import Fence
from sidecar.ports import Stop, World
from sidecar.postgres import PostgresDatabase
from sidecar.preflight import mega
from sidecar.settings import Settings
from sidecar.stores.local import LocalStore
from sidecar.throwaway import Throwaway
from sidecar.vault import LocalVault
from sidecar.wiring import Stack, Ways, open_stack, patiently

SECONDS_TO_START = 120
SAMPLE = 0.1
"""Seconds between two looks at who holds which lock."""
_RELATIONS = {"r": "table", "p": "table", "v": "view", "m": "view", "S": "sequence", "f": "table"}
_INDEX = re.compile(r"INDEX (\S+) ON (?:ONLY )?(\S+)")
MOST = 20
"""Lines of changes that are shown."""

NewRun = Callable[[], str]


@dataclass(frozen=True)
class Report:
    """How a rehearsal went."""

    image: str
    backup: str
    server: str
    code: int
    """Exit code of the guard."""
    reason: str
    tail: tuple[str, ...]
    migrating: float
    """Seconds from the container's start to its end."""
    whole: float
    """Seconds of the guarded run, which is how long the app would be away."""
    locked: Mapping[str, float]
    """Seconds by table for which nobody else could read it, as far as was seen."""
    changes: tuple[str, ...]
    """To the schema."""
    rows: tuple[str, ...]
    """Tables with more or fewer rows."""
    size_before: int
    size_after: int


def rehearse(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Try the image that is to come on a copy of the data; exit code as the guard's would be."""
    with open_stack(settings, ways) as stack:
        manifest = pick.pick(arguments.backup, stack.world.vault.manifests())
        report = _rehearsed(stack, settings, manifest, arguments.image, new_run())
    if arguments.json:
        print(json.dumps({"schema": 1, **vars(report)}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines(report)))
    return report.code


def _rehearsed(
    stack: Stack, settings: Settings, manifest: Manifest, wanted: str | None, run: str
) -> Report:
    image = _image(stack, wanted or stack.app.image_name)
    engine = stack.docker
    stack.ways.tell.say(f"rehearsal: a server of its own, and {manifest.backup.name} in it")
    with (
        throwaway.server(engine.api, engine.me, engine.host, stack.address, run) as server,
        _world(stack, settings, server, image, run) as (world, control),
    ):
        _fill(stack, world, server, manifest)
        return _played(settings, manifest, image, world, control, server, run)


def _image(stack: Stack, name: str) -> dict[str, Any]:
    try:
        return {**stack.docker.api.image(name), "Name": name}
    except NotThere:
        raise SettingsError(
            f"the image {name} is not on this machine",
            hint="Nothing was changed. `docker compose pull`, or build it, then rehearse again.",
        ) from None


@contextmanager
def _world(
    stack: Stack, settings: Settings, server: Throwaway, image: Mapping[str, Any], run: str
) -> Iterator[tuple[World, journal.ControlDatabase]]:
    """Open every world on the server that is thrown away."""
    ways, name = stack.ways, stack.address.database
    folder = settings.backups / f".rehearsal-{run}"
    folder.mkdir(mode=0o700)
    try:
        control = patiently(
            partial(journal.open_control, server.conninfo, name, ways.clock), SECONDS_TO_START
        )
        try:
            client = stack.docker.api.client
            tools = Chosen(lambda: Borrowed(client, server.container, server.conninfo))
            database = PostgresDatabase(
                control, server.conninfo, tools, ways.clock, settings.preset
            )
            vault = LocalVault(
                LocalStore(folder), database, Format.ARCHIVE, ways.clock, ways.tell, ways.stop
            )
            actors = Actors(stack, server, image, database)
            yield World(control, database, actors, vault, ways.clock, ways.tell, ways.stop), control
        finally:
            control.close()
    finally:
        rmtree(folder, ignore_errors=True)


def _fill(stack: Stack, world: World, server: Throwaway, manifest: Manifest) -> None:
    """Give the server the roles of the real one, and the data of the backup."""
    name, address = world.database.name, stack.address
    if world.database.exists(name):
        raise PreflightFailed(
            f"a database {name!r} is on every new server: it can't be rehearsed with",
            hint="Nothing was changed.",
        )
    with connections.connect(server.conninfo, "postgres") as session:
        for (statement,) in stack.control.connection.execute(queries.ROLES).fetchall():
            with suppress(connections.Refused):  # a role that is there already, postgres for one
                session.execute(str(statement).encode())
        if address.user != server.conninfo["user"]:
            session.execute(connections.password_of(address.user, address.password))
    properties = replace(manifest.properties, tablespace="pg_default")
    with_backups = replace(world, vault=stack.world.vault)
    load_whole(with_backups, replace(manifest, properties=properties), name)


def _played(
    settings: Settings,
    manifest: Manifest,
    image: Mapping[str, Any],
    world: World,
    control: journal.ControlDatabase,
    server: Throwaway,
    run: str,
) -> Report:
    before, size = world.database.contents(), world.database.look().size
    schema = _schema(server, world.database.name)
    policy = replace(settings.policy(), fence=Fence.NONE)
    code, reason, tail = 0, "", ()
    try:
        Guard(world, policy, run).run()
    except MigsafeError as error:
        code, reason = error.status, error.message
    entries = control.entries()
    failed = next((e for e in entries if e.phase is Phase.FAILED), None)
    if failed is not None:
        tail = tuple(failed.detail.get("tail", ()))
    after: Contents = world.database.contents()
    actors = world.engine
    assert isinstance(actors, Actors)  # noqa: S101 - this module made it
    return Report(
        image=str(image["Name"]),
        backup=manifest.backup.name,
        server=manifest.server.short,
        code=code,
        reason=reason,
        tail=tail,
        migrating=_between(entries, Phase.MIGRATING, Phase.EXITED),
        whole=_between(entries, Phase.STARTED, Phase.COMMITTED, Phase.ROLLED_BACK, Phase.UNCHANGED),
        locked=dict(sorted(actors.locked.items(), key=lambda item: -item[1])[:MOST]),
        changes=tuple(differences(schema, _schema(server, world.database.name))),
        rows=tuple(pick.since(before.rows, after.rows)),
        size_before=size,
        size_after=world.database.look().size,
    )


def _schema(server: Throwaway, name: str) -> list[str]:
    with connections.connect(server.conninfo, name) as session:
        return [str(row[0]) for row in session.execute(catalog.LINES).fetchall()]


def _between(entries: Sequence[Entry], first: Phase, *last: Phase) -> float:
    begins = [entry.at for entry in entries if entry.phase is first]
    ends = [entry.at for entry in entries if entry.phase in last]
    return round((ends[-1] - begins[0]).total_seconds(), 1) if begins and ends else 0.0


# --- in words


def differences(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Name what appeared, vanished and changed in a schema; the inputs are of ``catalog.LINES``."""
    then, now = _named(before), _named(after)
    for name in sorted({*then, *now}):
        if name not in then:
            yield f"+ {name}"
        elif name not in now:
            yield f"- {name}"
        elif then[name] != now[name]:
            yield f"~ {name}"


def _named(lines: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        kind, *fields = json.loads(line)
        # a column that moved up because another went is the same
        rest = [fields[0], *fields[2:]] if kind == "column" else fields
        found.setdefault(_title(kind, fields), []).append(json.dumps(rest))
    return {name: sorted(values) for name, values in found.items()}


def _title(kind: str, fields: Sequence[Any]) -> str:
    match kind:
        case "column":
            return f"column {fields[0]}.{fields[2]}"
        case "relation":
            return f"{_RELATIONS.get(fields[0], 'relation')} {fields[2]}"
        case "constraint":
            return f"constraint {fields[0]} on {fields[1]}"
        case "policy":
            return f"policy {fields[1]} on {fields[0]}"
        case "comment" | "object":
            return f"{kind} on {fields[0]} {fields[1]}"
        case "type":
            return f"type {fields[1]}"
        case "index" if found := _INDEX.search(str(fields[0])):
            return f"index {found[1]} on {found[2]}"
    return f"{kind} {fields[0]}"


def lines(report: Report) -> list[str]:
    """Write the report for people."""
    verdict = "✓ passes" if report.code == 0 else f"✗ fails: {report.reason}"
    found = [
        f"rehearsed  {report.image} on {report.backup}, PostgreSQL {report.server}",
        f"verdict    {verdict}",
        *(f"           | {line}" for line in report.tail[-5:]),
        f"took       {report.migrating:.1f} s to migrate; the app would be away for about"
        f" {report.whole:.0f} s",
    ]
    locks = [f"{table} {seconds:.1f} s" for table, seconds in report.locked.items()]
    found.append(f"locked     {', '.join(locks) or 'nothing for long enough to be seen'}")
    found += _some("changes", report.changes, "nothing in the schema")
    found += _some("rows", report.rows, "as many as before")
    found.append(f"size       {mega(report.size_before)} before, {mega(report.size_after)} after")
    return found


def _some(label: str, items: Sequence[str], none: str) -> list[str]:
    shown = [*items[:MOST], *([f"and {len(items) - MOST} more"] if len(items) > MOST else [])]
    heads = [label, *[""] * len(shown)]
    return [f"{head:<10} {item}" for head, item in zip(heads, shown or [none], strict=False)]


# --- Docker, as far as a rehearsal needs it


class Actors:
    """The engine of a rehearsal: one-offs of the image that is to come, and nobody else."""

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
