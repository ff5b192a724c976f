"""The commands about backups that an operator types: backup, show, export, verify, report."""

import json
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar import ending, isolation, manual, pick
from sidecar.backups import Manifest, Proof, newest_first
from sidecar.errors import (
    BackupDamaged,
    BackupNotFound,
    KeyMissing,
    LeaseHeld,
    SettingsError,
    StoreFailed,
)
from sidecar.loading import stoppable
from sidecar.manifests import read_manifests, read_proof
from sidecar.plan import fold, last_good
from sidecar.preparation import NOT_KNOWN, hold_backups
from sidecar.settings import Settings
from sidecar.stores.local import LocalStore
from sidecar.verify import Verification
from sidecar.wiring import NewRun, Stack, Ways, copies_of, open_stack


def backup(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Back the live database up, while the app runs on."""
    run = new_run()
    with (
        open_stack(settings, ways) as stack,
        stack.control.hold(run, settings.wait.total_seconds()),
    ):
        images = last_good(fold(stack.control.entries())) or stack.app.images
        vault = stack.world.vault
        look = manual.ready(stack.world, vault)
        ours = _hold_backups(stack)
        manifest = manual.take(vault, run, look, images, arguments.note)
    # without the lock: the backup is whole, and a copy may take long
    complaints = stack.copies.copy(manifest) if ours else (NOT_KNOWN,)
    if arguments.json:
        _print_json(_record(manifest, None))
    if complaints:
        raise StoreFailed(
            "; ".join(complaints),
            hint=f"{manifest.backup.name} is here, whole, and not in every store. Mend the store,"
            " then `migsafe copy`.",
        )
    return 0


def _hold_backups(stack: Stack) -> bool:
    """Tell whether it is for us to say what another instance is filled from: the newest backup."""
    try:
        return hold_backups(stack.world) is not None
    except LeaseHeld as error:
        error.hint += (
            " To save what is here all the same, where nothing is filled from it: `docker compose"
            " run --rm -e MIGSAFE_EMPTY=refuse -e MIGSAFE_STORES= -v ./apart:/backups migsafe"
            " backup`."
        )
        raise


def copy(settings: Settings, ways: Ways, _arguments: Namespace, _new_run: NewRun) -> int:
    """Bring every backup that is here to every store that lacks it."""
    require_stores(settings)
    if complaints := copies_of(settings, ways).catch_up():
        raise StoreFailed(
            "; ".join(complaints),
            hint="What is here is as it was. Mend the store, then `migsafe copy` again.",
        )
    print("every store has every backup that is here")
    return 0


def require_stores(settings: Settings) -> None:
    """Refuse what makes no sense without a store."""
    if not settings.stores:
        raise SettingsError("MIGSAFE_STORES names no store", hint="Nothing was changed. Set it.")


def show(settings: Settings, ways: Ways, arguments: Namespace, _new_run: NewRun) -> int:
    """Put a backup's manifest in words."""
    store = LocalStore(settings.backups)
    manifest = pick.pick(arguments.backup, everywhere(settings, ways, arguments.backup))
    proof = read_proof(store, manifest.backup)
    if arguments.json:
        _print_json(_record(manifest, proof))
    else:
        print("\n".join(pick.describe(manifest, proof, ways.clock.now())))
    return 0


def everywhere(settings: Settings, ways: Ways, name: str) -> tuple[Manifest, ...]:
    """Read the backups here, and those in stores where the one that is meant may be there."""
    here = read_manifests(LocalStore(settings.backups), ways.tell)
    if any(m.backup.name == name for m in here):
        return here
    there = copies_of(settings, ways).beyond(m.backup.name for m in here)
    return newest_first((*here, *there))


def export(settings: Settings, ways: Ways, arguments: Namespace, _new_run: NewRun) -> int:
    """Write what is in a backup to a file that needs no migsafe: all of it, or no file."""
    target = Path(arguments.path)
    place = LocalStore(target.parent)
    if place.taken(target.name):
        raise SettingsError(
            f"{target} is there already",
            hint="Nothing is written over. Name a file that is not there.",
        )
    with open_stack(settings, ways) as stack:
        vault = stack.world.vault
        manifest = pick.pick(arguments.backup, vault.everywhere())
        _, chunks = vault.chunks(manifest.backup.name)
        # under a name of its own: whatever else is in that folder is not ours
        mine = f".migsafe-export-{os.urandom(6).hex()}"
        try:
            place.write(mine, stoppable(chunks, ways.stop))
            place.publish(mine, target.name)
        except OSError as error:
            raise SettingsError(
                f"{target}: {error.strerror}", hint="Nothing was written there."
            ) from error
        finally:
            place.remove_partial(mine)
    print(pick.exported(manifest.backup, arguments.path))
    return 0


def verify(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Prove that backups restore; fails unless every one of them was proven."""
    if arguments.quick and arguments.isolated:
        raise SettingsError(
            "--quick only reads, so there is nothing to isolate",
            hint="`migsafe verify --help` shows how.",
        )
    with open_stack(settings, ways) as stack:
        manifests = stack.world.vault.everywhere()
        chosen = manifests if arguments.all else (pick.pick(arguments.backup, manifests),)
        found, locked = list[tuple[Manifest, Proof | None]](), list[KeyMissing]()
        for each in chosen:
            try:
                proof: Proof | None = _proven(stack, settings, each, new_run(), arguments)
            except KeyMissing as error:
                ways.tell.warn(f"NOT verified: {error.message}")
                proof = None
                locked.append(error)
            found.append((each, proof))
    if arguments.json:
        _print_json({"schema": 1, "backups": [_record(m, proof) for m, proof in found]})
    damaged = [m.backup.name for m, proof in found if proof and not proof.good]
    if damaged:
        raise BackupDamaged(
            f"not what their manifests say: {', '.join(damaged)}",
            hint="Do not rely on them. Take a new one: `migsafe backup`.",
        )
    if locked:
        names = ", ".join(m.backup.name for m, proof in found if proof is None)
        raise KeyMissing(f"could not be verified: {names}", hint=locked[0].hint)
    return 0


def _proven(
    stack: Stack, settings: Settings, manifest: Manifest, run: str, arguments: Namespace
) -> Proof:
    proof = _attempt(stack, settings, manifest, run, arguments)
    name, tell = manifest.backup.name, stack.ways.tell
    if proof.good:
        how = "restored on a server of its own" if arguments.isolated else proof.how
        tell.say(f"✓ {name}: {how} in {proof.seconds:.1f} s, all as its manifest says")
    else:
        tell.warn(f"{name}: {'; '.join(proof.complaints[:5])}")
    return proof


def _attempt(
    stack: Stack, settings: Settings, manifest: Manifest, run: str, arguments: Namespace
) -> Proof:
    verification = Verification(stack.world, settings.policy(), run)
    if arguments.isolated:
        damaged = verification.locked(manifest)
        return damaged or isolation.proof(stack, settings, manifest, run)
    return verification.read(manifest) if arguments.quick else verification.restore(manifest)


def report(settings: Settings, ways: Ways, _arguments: Namespace, _new_run: NewRun) -> int:
    """Show the last card again."""
    del ways
    store = LocalStore(settings.backups)
    if store.size(ending.REPORT) is None:
        raise BackupNotFound("there is no report yet", hint="The guard writes one when it ends.")
    print(store.text(ending.REPORT), end="")
    return 0


# --- how it is written


def _record(manifest: Manifest, proof: Proof | None) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(manifest.to_json())
    return values | {"proof": json.loads(proof.to_json()) if proof else None}


def _print_json(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer, indent=2, ensure_ascii=False))
