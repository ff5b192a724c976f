"""The command ``doctor``: gathers what the stack is, and tells what was found in it."""

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from sidecar import doctor as findings
from sidecar.backups import Manifest
from sidecar.options import Empty
from sidecar.preflight import Space
from sidecar.settings import Settings
from sidecar.stores.local import LocalStore
from sidecar.wiring import NewRun, Stack, Ways, open_stack

SOUND, NOT_SOUND = 0, 18
DAY = 86400.0


def doctor(settings: Settings, ways: Ways, arguments: Namespace, _: NewRun) -> int:
    """Look at the whole stack; exit code 0 when nothing would defeat the promise."""
    with open_stack(settings, ways) as stack:
        untold = _untold(settings, ways, send=arguments.tell)
        found = findings.examine(_gathered(stack, settings, untold))
    good = findings.sound(found)
    if arguments.json:
        answer = {"schema": 1, "sound": good, "findings": [asdict(each) for each in found]}
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        print("\n".join(findings.lines(found)))
    return SOUND if good else NOT_SOUND


def _untold(settings: Settings, ways: Ways, *, send: bool) -> tuple[str, ...]:
    """Tell who would not be told of a failure; to try it, a message is sent."""
    if not settings.notify:
        return ()
    from sidecar import telling  # noqa: PLC0415 - loads Apprise

    told = telling.open_telling(settings, ways.tell, telling.GUARD)
    return told.trial() if send else told.complaints()


def _gathered(stack: Stack, settings: Settings, untold: tuple[str, ...]) -> findings.Stack:
    world, store = stack.world, LocalStore(settings.backups)
    look = world.database.look()
    place = stack.ways.place()
    return findings.Stack(
        guard=place.service if place else "migsafe",
        app=stack.app.service,
        neighbours=stack.docker.neighbours(),
        look=look,
        space=Space(stack.engine.free_space()),
        backups_free=store.free(),
        backups_type=store.type(),
        code_mounts=stack.app.code_mounts,
        tools=world.database.complaints(),
        vault=world.vault.complaints(look.size),
        clock_off=(world.database.now() - world.clock.now()).total_seconds(),
        encrypts=bool(settings.encrypt_to),
        unreadable=world.vault.unreadable(),
        key_beside=_key_beside(settings),
        stores=tuple(url.title for url in settings.stores),
        broken_stores=(broken := stack.copies.complaints()),
        behind=() if broken else stack.copies.behind(),
        copies_required=stack.copies.required,
        growth=_growth(world.vault.manifests()),
        untold=untold,
        in_memory=stack.docker.in_memory(),
        here=stack.docker.host.container is not None,
        fills=settings.empty is Empty.RESTORE,
        initialises=settings.empty is Empty.INITIALISE,
    )


def _key_beside(settings: Settings) -> bool:
    key = settings.identity_file
    return key is not None and key.resolve().is_relative_to(settings.backups.resolve())


def _growth(manifests: Sequence[Manifest]) -> float | None:
    """Tell how many bytes a day the database has grown by, from its newest to its oldest backup."""
    if len(manifests) < 2:  # noqa: PLR2004 - it takes two to tell
        return None
    newest, oldest = manifests[0], manifests[-1]
    days = (newest.backup.taken_at - oldest.backup.taken_at).total_seconds() / DAY
    return (newest.database_size - oldest.database_size) / days if days >= 1 else None
