"""The guard and its copies: before the migration where they are required, after it otherwise."""

import subprocess
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sidecar.aftermath import Aftermath
from sidecar.backups import MANIFEST_SUFFIX, Kind
from sidecar.errors import (
    DatabaseLost,
    Interrupted,
    MigrationFailed,
    MigsafeError,
    RollbackPending,
    StoreFailed,
)
from sidecar.guard import Guard
from sidecar.plan import Phase
from sidecar.policy import Policy, RestorePoint
from sidecar.remotes import Remotes
from sidecar.restore import Restore, Wanted
from tests.fakes import FakeWorld, Killed, machine
from tests.fakes_data import AFTER, BEFORE, EMPTY
from tests.fakes_engine import Release
from tests.fakes_machine import LIVE, Machine
from tests.fakes_remote import FakeRemote
from tests.scenarios import runs, state

from .builders import manifest
from .test_restore import BAD, GOOD

QUICK = Policy(deadline=timedelta(seconds=20))
LOAD = replace(QUICK, restore_point=RestorePoint.NEVER)
WEEKS, DAY = (timedelta(days=days).total_seconds() for days in (30, 1))


def guard(
    here: Machine,
    store: FakeRemote,
    release: Release = GOOD,
    *,
    required: bool = False,
    policy: Policy = QUICK,
) -> tuple[int, FakeWorld]:
    """Run a guard that has a store; return its exit code."""
    here.runs += 1
    world = opened(here, store, release, required=required)
    try:
        Guard(world.world, policy, f"20260131-1200{here.runs:02d}-0001").run()
    except MigsafeError as error:
        world.tell.warnings.append(f"{error.message} {error.hint}")
        return error.status, world
    return 0, world


def opened(
    here: Machine, store: FakeRemote, release: Release = GOOD, *, required: bool = False
) -> FakeWorld:
    """Open a world with a store."""
    world = FakeWorld(here, release, QUICK)
    parts: Any = world.world
    copies = Remotes(
        lambda: [store], world.store, parts.clock, world.tell, parts.stop, required=required
    )
    world.vault.copies = copies
    world.world = replace(world.world, copies=copies)
    # a file of the fake's is in memory, and is uploaded from there
    store.put = lambda name, _path, _tick: store._put(name, here.files[name])  # type: ignore[method-assign,assignment]
    return world


def names(store: FakeRemote) -> list[str]:
    """List what a store has, without manifests."""
    return [name for name in store.objects if not name.endswith(".json")]


@pytest.mark.parametrize("required", [False, True])
def test_a_backup_goes_to_every_store(required: bool) -> None:
    """Before the migration where that is required, and once."""
    here, store = machine(), FakeRemote()

    assert 0 == guard(here, store, required=required)[0]
    (name,) = names(store)
    assert {name, name + ".manifest.json"} == set(store.objects)
    assert 1 == store.acts.count(f"put {name}")
    assert AFTER == state(here)


@pytest.mark.parametrize("afar", [True, False])
def test_where_the_backup_of_a_lost_database_is(afar: bool) -> None:
    """What is loaded by hand is in the folder; what is in a store alone has to be fetched."""
    here, store = machine(), FakeRemote()
    guard(here, store)
    here.databases[LIVE].data = EMPTY
    if afar:
        for name in [name for name in here.files if name.startswith("pre-migration")]:
            del here.files[name]

    with pytest.raises(DatabaseLost) as lost:
        Guard(opened(here, store).world, QUICK, "20260131-130000-0001").run()
    assert lost.value.afar == afar


def test_what_fails_there_does_not_stop_the_app() -> None:
    """It is told, and the exit code is that of the migration. Faults: 66."""
    here, store = machine(), FakeRemote()
    store.failing["put"] = StoreFailed("403", hint="Change this.")

    code, world = guard(here, store)
    assert (0, AFTER) == (code, state(here))
    assert "not copied: gs://shop: 403: Change this." in world.tell.warnings


def test_a_bug_in_a_stores_library_does_not_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is migrated and proven, whatever becomes of the copy."""
    here, store = machine(), FakeRemote()
    monkeypatch.setattr(Remotes, "copy", lambda *_: 1 // 0)

    code, world = guard(here, store)
    assert 0 == code
    assert any("ZeroDivisionError" in line for line in world.tell.warnings)


def test_a_failed_migrations_backup_is_copied_too() -> None:
    """What was put back is worth as much."""
    here, store = machine(), FakeRemote()

    assert 20 == guard(here, store, BAD)[0]
    assert 1 == len(names(store))


@pytest.mark.parametrize("act", ["put", "listing", "remove", "read"])
def test_no_migration_without_a_copy_where_it_is_required(act: str) -> None:
    """A store that is out of order: refused with 16 before anything, and nothing was changed."""
    here, store = machine(), FakeRemote()
    store.failing[act] = StoreFailed("503")

    code, world = guard(here, store, required=True)
    if act == "listing":  # not needed for it
        assert 0 == code
        return
    assert (16, BEFORE) == (code, state(here))
    assert "MIGSAFE_REQUIRE_REMOTE" in world.tell.text
    assert not runs(here)
    assert all(service.running for service in here.services.values())


def test_a_store_that_breaks_down_after_the_preflight() -> None:
    """The probe was written, the backup is not: who was stopped runs again, nothing was changed."""
    here, store = machine(), FakeRemote()
    put_text = store.put_text

    def break_down(name: str, text: str) -> None:
        put_text(name, text)
        store.failing["put"] = StoreFailed("503")

    store.put_text = break_down  # type: ignore[method-assign]
    code, world = guard(here, store, required=True)

    assert (16, BEFORE) == (code, state(here))
    assert "no migration was started" in world.tell.text
    assert Phase.ABANDONED is runs(here)[-1].phase
    assert all(service.running for service in here.services.values())
    store.failing.clear()
    store.put_text = put_text  # type: ignore[method-assign]
    assert 0 == guard(here, store, required=True)[0]


def test_a_run_with_nothing_to_do_asks_no_store() -> None:
    """Most starts have nothing to do: no store is even opened."""
    here, store = machine(), FakeRemote()
    guard(here, store, required=True)
    store.acts.clear()

    assert 0 == guard(here, store, required=True)[0]
    assert [] == store.acts


@pytest.mark.parametrize(("failing", "code"), [(False, 17), (True, 16)])
def test_a_machine_that_was_lost_is_not_begun_anew(failing: bool, code: int) -> None:
    """
    Database and folder are empty, the store is not, or can't be asked: the app does not start.

    Faults: 123.
    """
    here, store = machine(), FakeRemote()
    guard(here, store)
    here.files.clear()
    here.databases[LIVE].data = EMPTY
    if failing:
        store.failing["listing"] = StoreFailed("no route to host")

    found, world = guard(here, store, required=True)
    assert (code, EMPTY) == (found, here.databases[LIVE].data)
    assert ("no route" in world.tell.text) is failing


# --- retention


@pytest.fixture
def old() -> tuple[Machine, FakeRemote]:
    """Make three releases, the first of them long ago."""
    here, store = machine(), FakeRemote()
    guard(here, store)
    for seconds in (WEEKS, 1.5 * DAY):  # one look is not enough to believe the clock
        here.pass_time(seconds)
        delete_old(here, store)
    return here, store


def prune(world: FakeWorld) -> None:
    """Prune as a guard does after a success."""
    aftermath = Aftermath(world.world)
    vault = aftermath.world.vault
    judged = aftermath.judged(vault.everywhere(), timedelta(days=7), world.world.clock.now(), {})
    if why := aftermath.prune(judged, vault.inventory()):
        world.tell.warn(f"nothing is deleted: {why}")


def make_newer(world: FakeWorld) -> str:
    """Take another backup of the same kind."""
    vault, look = world.vault, world.database.look(catalog=True)
    taken = vault.take(vault.next_backup(Kind.PRE_MIGRATION), "r", look, {})
    return taken.backup.name


def test_what_goes_here_goes_there(old: tuple[Machine, FakeRemote]) -> None:
    """Once the newer ones are in the store, the old one is deleted in both. Faults: 114."""
    here, store = old
    (first,) = names(store)
    world = opened(here, store)
    newer = make_newer(world)
    world.world.copies.copy(world.vault.manifests()[0])

    prune(world)
    assert [newer] == names(store) == [m.backup.name for m in world.vault.manifests()]
    assert first not in here.files


def test_nothing_goes_before_what_stays_is_there(old: tuple[Machine, FakeRemote]) -> None:
    """The newer one is not in the store yet: the old one stays, here and there. Faults: 114."""
    here, store = old
    (first,) = names(store)
    world = opened(here, store)
    make_newer(world)

    prune(world)
    assert [first] == names(store)
    assert first in here.files
    assert "nothing is deleted" in world.tell.text


def test_nothing_goes_when_a_listing_fails(old: tuple[Machine, FakeRemote]) -> None:
    """Whoever does not know what is there deletes nothing. Faults: 112."""
    here, store = old
    world = opened(here, store)
    make_newer(world)
    store.failing["listing"] = StoreFailed("503")

    with pytest.raises(StoreFailed):
        prune(world)
    assert 2 == len(world.vault.manifests())


def delete_old(here: Machine, store: FakeRemote, kill_at: int | None = None) -> FakeWorld:
    """Prune as a guard does of which nothing is left afterwards but files."""
    world = opened(here, store)
    world.power.kill_at = kill_at
    Aftermath(world.world).delete_old((), timedelta(days=7), {})
    return world


def test_nothing_goes_when_a_listing_shrank(old: tuple[Machine, FakeRemote]) -> None:
    """
    A store shows less than the last time, without an error: nobody of us has deleted it.

    Until it is there again. Faults: 109, 112.
    """
    here, store = old
    (first,) = names(store)
    elsewhere = replace(manifest().backup, kind=Kind.SCHEDULED)
    store.objects = {elsewhere.name: b"", elsewhere.manifest_name: b"", **store.objects}
    store.objects[elsewhere.manifest_name] = manifest(backup=elsewhere, size=0).to_json().encode()
    delete_old(here, store)
    world = opened(here, store)
    make_newer(world)
    world.world.copies.copy(world.vault.manifests()[0])
    store.short = 2

    for _ in range(2):
        told = delete_old(here, store).tell.text
        assert (
            f"nothing is deleted: backups are missing that were there before: {elsewhere.name}"
            in (told)
        )
        assert "in gs://shop" in told
        assert first in here.files
    store.short = 0
    delete_old(here, store)
    assert first not in {*here.files, *store.objects}
    assert elsewhere.name in store.objects


@pytest.mark.parametrize("effect", range(5))
def test_what_we_were_killed_at_is_not_missing(
    old: tuple[Machine, FakeRemote], effect: int
) -> None:
    """The deletion that was cut off is ended by the next. Faults: 109, 111."""
    here, store = old
    (first,) = names(store)
    delete_old(here, store)
    world = opened(here, store)
    make_newer(world)
    world.world.copies.copy(world.vault.manifests()[0])
    with pytest.raises(Killed):
        delete_old(here, store, effect)

    assert "missing" not in delete_old(here, store).tell.text
    assert first + MANIFEST_SUFFIX not in here.files
    assert not [name for name in store.objects if name.startswith(first)]


def test_what_the_bucket_holds_is_told_and_no_more(old: tuple[Machine, FakeRemote]) -> None:
    """A retention lock there does not keep the old backup here."""
    here, store = old
    (first,) = names(store)
    world = opened(here, store)
    make_newer(world)
    world.world.copies.copy(world.vault.manifests()[0])
    store.failing["remove"] = StoreFailed("held by the bucket's retention")

    prune(world)
    assert first not in here.files
    assert first in store.objects
    assert "not deleted in a store: gs://shop: held" in world.tell.text


def test_the_guard_loads_nothing_of_stores() -> None:
    """What runs at every start knows of no cloud, and starts no program, until one is needed."""
    code = "import sys, sidecar.commands, sidecar.wiring; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded = set(ran.stdout.split())
    assert not loaded & {"google.cloud.storage", "google_crc32c", "tenacity"}
    ours = {name for name in loaded if name.startswith("sidecar.stores.")}
    assert {"sidecar.stores.local"} == ours


def spoiling(here: Machine) -> FakeRemote:
    """Make a store that has the backup whole, after which the file here is damaged."""
    store = FakeRemote()
    put_text = store.put_text

    def put_and_spoil(name: str, text: str) -> None:
        put_text(name, text)
        payload = name.removesuffix(MANIFEST_SUFFIX)
        if payload in here.files:
            here.files[payload] = here.files[payload][:-1]

    store.put_text = put_and_spoil  # type: ignore[method-assign]
    return store


def test_a_rollback_fetches_what_is_damaged_here() -> None:
    """The backup rotted while the migration ran: the data is put back from the store's copy."""
    here = machine()
    store = spoiling(here)

    code, world = guard(here, store, BAD, required=True, policy=LOAD)
    assert (20, BEFORE) == (code, state(here))
    assert "✓ fetched from gs://shop" in world.tell.text


def test_a_signal_while_a_rollback_fetches_strands_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rollback is not at its end; the next start ends it. Faults: 2."""
    here = machine()
    store = spoiling(here)
    with monkeypatch.context() as patched:
        patched.setattr(Remotes, "renew", interrupted)
        code, _ = guard(here, store, BAD, required=True, policy=LOAD)
    assert RollbackPending.exit_code == code

    assert 20 == guard(here, store, BAD, required=True, policy=LOAD)[0]
    assert BEFORE == state(here)


def interrupted(*_: Any) -> None:
    """Be stopped."""
    raise Interrupted.by(15)


@pytest.mark.parametrize("then", ["nothing", GOOD, BAD], ids=["alone", "good", "bad"])
def test_what_was_there_before_a_restore_goes_to_every_store(then: Release | str) -> None:
    """Its safety backup is the only one of what was written since the last."""
    here, store = machine(), FakeRemote()
    guard(here, store)
    world = opened(here, store, then if isinstance(then, Release) else GOOD)
    (found,) = world.vault.manifests()
    here.pass_time(60)

    with suppress(MigrationFailed) if then == BAD else nullcontext():
        Restore(world.world, QUICK, "20260131-120050-0001", "20260131-120051-0001").run(
            Wanted(found, migrate=then != "nothing")
        )

    assert Kind.SAFETY in {each.backup.kind for each in world.vault.manifests()}
    assert {each.backup.name for each in world.vault.manifests()} == set(names(store))


def test_a_restore_takes_the_whole_copy() -> None:
    """What is damaged here is loaded from where it is whole, and the line says so."""
    here, store = machine(), FakeRemote()
    guard(here, store)
    world = opened(here, store)
    (found,) = world.vault.manifests()
    name = found.backup.name
    here.files[name] = here.files[name][:-1]
    here.runs += 2
    Restore(world.world, QUICK, "20260131-120050-0001", "20260131-120051-0001").run(
        Wanted(found, migrate=False)
    )

    assert BEFORE == state(here)
    assert f"the damaged file is kept as {name}.damaged" in world.tell.text
