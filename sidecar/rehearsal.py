"""
A rehearsal: the guard's own run, in a world that is thrown away.

A backup, or the live database as it is now, is loaded into a server of the database's own image, on
a network of its own, and the image that is to come migrates it there, guarded as it would be. The
stack is not touched.
"""

import json
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

from sidecar import catalog, connections, isolation, manual, pick
from sidecar.actors import Actors
from sidecar.backup_ports import Vault
from sidecar.backups import Format, Manifest
from sidecar.docker_api import NotThere
from sidecar.errors import MigsafeError, PreflightFailed, SettingsError
from sidecar.guard import Guard
from sidecar.isolation import Beside
from sidecar.keys import Keys
from sidecar.loading import load_whole
from sidecar.plan import Entry, Phase
from sidecar.policy import Fence
from sidecar.ports import Database, World
from sidecar.rehearsed import MOST, Report, differences, lines
from sidecar.settings import Settings
from sidecar.stores.local import LocalStore
from sidecar.throwaway import Throwaway
from sidecar.vault import LocalVault
from sidecar.wiring import NewRun, Stack, Ways, open_stack

LIVE = "the live database"


def rehearse(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Try the image that is to come on a copy of the data; exit code as the guard's would be."""
    if arguments.live and arguments.backup:
        raise SettingsError(
            "either a backup is rehearsed with, or the live database",
            hint="`migsafe rehearse --help` shows how.",
        )
    with open_stack(settings, ways) as stack:
        report = _rehearsed(stack, settings, arguments, new_run())
    if arguments.json:
        print(json.dumps({"schema": 1, **vars(report)}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines(report)))
    return report.code


def _rehearsed(stack: Stack, settings: Settings, arguments: Namespace, run: str) -> Report:
    image = _image(stack, arguments.image or stack.app.image_name)
    if not arguments.image and image["Id"] == stack.app.image:
        # what stands in a compose file, or in .env, is not known before `up`
        stack.ways.tell.warn(
            f"{stack.app.image_name} is what the app has already; one of another name:"
            " `rehearse --image REF`"
        )
    with _folder(settings, run) as folder:
        manifest, vault = _data(stack, settings, arguments, folder, run)
        data = LIVE if arguments.live else manifest.backup.name
        stack.ways.tell.say(f"rehearsal: a server of its own, and {data} in it")
        with isolation.beside(stack, settings, run) as beside:
            world = _world(stack, settings, beside, image, folder)
            _fill(replace(world, vault=vault), manifest)
            report = _played(settings, manifest, image, world, beside, run)
    return replace(report, backup=data)


@contextmanager
def _folder(settings: Settings, run: str) -> Iterator[Path]:
    """Make a folder among the backups, and remove it in the end."""
    folder = settings.backups / f".rehearsal-{run}"
    folder.mkdir(mode=0o700)
    try:
        (folder / "live").mkdir(mode=0o700)
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def _data(
    stack: Stack, settings: Settings, arguments: Namespace, folder: Path, run: str
) -> tuple[Manifest, Vault]:
    """Choose the backup, or make one of the live database that goes with the rehearsal."""
    world = stack.world
    if not arguments.live:
        chosen = pick.pick(arguments.backup or pick.LATEST, world.vault.manifests())
        world.vault.require_key(chosen.backup.name)
        return chosen, world.vault
    vault = _vault(stack, settings, world.database, folder / "live")
    # nobody may migrate meanwhile: it would be a copy of something in between, and hold its locks
    with stack.control.hold(run, settings.wait.total_seconds()):
        copy = manual.take(vault, run, manual.ready(world, vault), {})
    stack.ways.tell.say("that one is the rehearsal's own, and goes with it")
    return copy, vault


def _vault(stack: Stack, settings: Settings, database: Database, folder: Path) -> LocalVault:
    ways = stack.ways
    # nothing is ever written in clear where backups are encrypted; only we must read this again
    keys = Keys.passing() if settings.encrypt_to else None
    store = LocalStore(folder)
    return LocalVault(store, database, Format.ARCHIVE, ways.clock, ways.tell, ways.stop, keys=keys)


def _image(stack: Stack, name: str) -> dict[str, Any]:
    try:
        return {**stack.docker.api.image(name), "Name": name}
    except NotThere:
        raise SettingsError(
            f"the image {name} is not on this machine",
            hint="Nothing was changed. `docker compose pull`, or build it, then rehearse again.",
        ) from None


def _world(
    stack: Stack, settings: Settings, beside: Beside, image: Mapping[str, Any], folder: Path
) -> World:
    """Put every world together on the server that is thrown away; its backups go, too."""
    return replace(
        stack.world,
        journal=beside.control,
        database=beside.database,
        engine=Actors(stack, beside.server, image, beside.database),
        vault=_vault(stack, settings, beside.database, folder),
    )


def _fill(world: World, manifest: Manifest) -> None:
    """Load the data."""
    name = world.database.name
    if world.database.exists(name):
        raise PreflightFailed(
            f"a database {name!r} is on every new server: it can't be rehearsed with",
            hint="Nothing was changed.",
        )
    load_whole(world, isolation.portable(manifest), name)


def _played(
    settings: Settings,
    manifest: Manifest,
    image: Mapping[str, Any],
    world: World,
    beside: Beside,
    run: str,
) -> Report:
    before, size = world.database.contents(), world.database.look().size
    schema = _schema(beside.server, world.database.name)
    policy = replace(settings.policy(), fence=Fence.NONE)
    code, reason, tail = 0, "", ()
    try:
        Guard(world, policy, run).run()
    except MigsafeError as error:
        code, reason = error.status, error.message
    entries = beside.control.entries()
    failed = next((e for e in entries if e.phase is Phase.FAILED), None)
    if failed is not None:
        tail = tuple(failed.detail.get("tail", ()))
    after = world.database.contents()
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
        changes=tuple(differences(schema, _schema(beside.server, world.database.name))),
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
