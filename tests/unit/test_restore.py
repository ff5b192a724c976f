"""An operator's restore, on fakes: until its swap nothing has changed, after it all has."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from sidecar.backups import Kind, Manifest
from sidecar.errors import MigsafeError
from sidecar.guard import Guard
from sidecar.plan import Phase, Run, last_good
from sidecar.policy import Policy, RestorePoint
from sidecar.restore import Restore, Wanted
from sidecar.verify import Verification
from tests.fakes import FakeJournal, FakeWorld, Killed, Power, copy, machine
from tests.fakes_data import AFTER, BEFORE, EMPTY
from tests.fakes_engine import Release
from tests.fakes_machine import LIVE, Machine
from tests.scenarios import PROGRAMS, run_guard, runs, state

GOOD = Release("v2", PROGRAMS["good"])
BAD = Release("v3-bad", PROGRAMS["fails after a commit"])
POLICY = Policy()


@dataclass(frozen=True)
class End:
    """How a restore ended: None when it was killed."""

    code: int | None
    world: FakeWorld
    message: str = ""
    hint: str = ""


def migrated() -> tuple[Machine, Manifest]:
    """Make a machine that was migrated once, and name the backup from before."""
    here = machine()
    run_guard(here, GOOD, POLICY)
    here.pass_time(60)
    return here, FakeWorld(here, GOOD, POLICY).vault.manifests()[-1]


def restore(
    here: Machine,
    manifest: Manifest,
    *,
    migrate: bool = False,
    from_elsewhere: bool = False,
    release: Release = GOOD,
    power: Power | None = None,
    signal: int | None = None,
    point: Run | None = None,
) -> End:
    """Restore a backup as the command does."""
    here.runs += 2
    ids = [f"20260131-1200{n:02d}-{n:04x}" for n in (here.runs - 1, here.runs)]
    world = FakeWorld(here, release, POLICY, power, signal)
    try:
        Restore(world.world, POLICY, *ids).run(Wanted(manifest, migrate, from_elsewhere, point))
    except MigsafeError as error:
        return End(error.status, world, error.message, error.hint)
    except Killed:
        return End(None, world)
    return End(0, world)


def left(here: Machine) -> list[str]:
    """Name what nobody needs any more, and what is not as it should be."""
    found = [f"scratch {name}" for name in here.databases if "__migsafe_" in name]
    found += [f"container {name}" for name in here.containers]
    if not here.databases[LIVE].properties.allow_connections:
        found.append("the live database is closed")
    return found


def kept(here: Machine) -> list[object]:
    """Read what is in the databases that were set aside."""
    return [row.data.core for name, row in here.databases.items() if "__kept_" in name]


def stopped(here: Machine) -> list[str]:
    """Name the services that do not run."""
    return [service.name for service in here.services.values() if not service.running]


def test_puts_a_backup_in_place() -> None:
    """
    The backup is live, what was there is kept and backed up; who was stopped waits for an up.

    Faults: 90, 119.
    """
    here, manifest = migrated()

    end = restore(here, manifest)

    assert (0, BEFORE, [AFTER]) == (end.code, state(here), kept(here))
    assert ([], ["shop-app-1", "shop-worker-1"]) == (left(here), sorted(stopped(here)))
    newest = end.world.vault.manifests()[0]
    assert Kind.SAFETY is newest.backup.kind
    assert Phase.RESTORED is runs(here)[-1].phase


def test_migrates_what_it_has_restored() -> None:
    """The present image migrates the restored data, guarded as always."""
    here, manifest = migrated()

    end = restore(here, manifest, migrate=True)

    assert (0, AFTER, [AFTER]) == (end.code, state(here), kept(here))
    assert ([], []) == (left(here), stopped(here))
    assert [Phase.COMMITTED, Phase.RESTORED, Phase.COMMITTED] == [r.phase for r in runs(here)]


def test_a_migration_that_fails_afterwards_goes_back_to_the_restored_state() -> None:
    """It is what the backup holds, and the services remain stopped."""
    here, manifest = migrated()

    end = restore(here, manifest, migrate=True, release=BAD)

    assert (20, BEFORE) == (end.code, state(here))
    assert [] == left(here)
    assert ["shop-app-1", "shop-worker-1"] == sorted(stopped(here))


def test_twice_and_back() -> None:
    """The safety backup of a restore brings back what the restore replaced."""
    here, manifest = migrated()

    first = restore(here, manifest)
    second = restore(here, first.world.vault.manifests()[0])

    assert (0, 0, AFTER) == (first.code, second.code, state(here))
    assert [AFTER, BEFORE] == kept(here)


def test_the_images_of_what_was_there() -> None:
    """Whoever brings back what was there is told of the images that ran with it."""
    here, manifest = migrated()
    with_it = last_good(runs(here))

    end = restore(here, manifest)

    assert with_it
    assert with_it == end.world.vault.manifests()[0].images


def killed(here: Machine, manifest: Manifest, *, before: bool) -> Iterator[tuple[str, Machine]]:
    """Kill a restore before or after each of its side effects."""
    whole = Power(copy(here))
    restore(whole.machine, manifest, migrate=True, power=whole)
    for number, name in enumerate(whole.effects):
        there = copy(here)
        end = restore(there, manifest, migrate=True, power=Power(there, number, before))
        assert end.code is None
        yield f"{'before' if before else 'after'} {name}", there


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_anywhere(before: bool) -> None:
    """
    Wherever a restore is killed, the next start ends with migrated data, and nothing is lost.

    Faults: 1, 44, 92, 96.
    """
    original, manifest = migrated()
    written = dict(original.acknowledged)
    for where, here in killed(original, manifest, before=before):
        end = run_guard(here, GOOD, POLICY)
        if end.code == 21:  # the migration was cut off before its container: put back, then anew
            assert BEFORE == state(here), where
            end = run_guard(here, GOOD, POLICY)
        here.settle()

        assert (0, AFTER, []) == (end.code, state(here), left(here)), where
        events = frozenset().union(*(row.data.events for row in here.databases.values()))
        for client, count in written.items():
            assert {f"{client} {n}" for n in range(count)} <= events, where


def test_killed_and_restored_again() -> None:
    """
    So does a second restore: it clears up after the first.

    Faults: 1.
    """
    original, manifest = migrated()
    for where, here in killed(original, manifest, before=False):
        again = restore(here, manifest)
        here.settle()

        if again.code == 17:  # a migration is not at its end: that is the guard's
            assert "not at its end" in again.message, where
            continue
        assert (0, BEFORE, []) == (again.code, state(here), left(here)), where


def test_every_call_fails_once() -> None:
    """
    Whatever fails, the data is the old or the restored one, and the next start goes on.

    Faults: 7, 50.
    """
    original, manifest = migrated()
    whole = Power(copy(original))
    restore(whole.machine, manifest, power=whole)
    for number, name in enumerate(whole.calls):
        here = copy(original)
        end = restore(here, manifest, power=Power(here, fail_at=number))

        assert state(here) in (BEFORE, AFTER), name
        if end.code and end.code < 20:
            assert AFTER == state(here), name
        run_guard(here, GOOD, POLICY)
        here.settle()
        assert (AFTER, []) == (state(here), left(here)), name


def test_a_signal_before_the_swap_changes_nothing() -> None:
    """
    Stopped at any moment before the swap, everything is as it was; after it, it is restored.

    Faults: 2.
    """
    original, manifest = migrated()
    whole = Power(copy(original))
    restore(whole.machine, manifest, power=whole)
    for number in range(len(whole.effects)):
        here = copy(original)
        end = restore(here, manifest, signal=number)

        expected = (AFTER, 0) if end.code == 143 else (BEFORE, 2)
        assert (*expected, []) == (state(here), len(stopped(here)), left(here)), number


def test_a_lost_database_takes_any_backup_of_its_own() -> None:
    """
    An empty database on a new server is what a restore is for: no option is needed.

    Faults: 20, 21.
    """
    here, manifest = migrated()
    here.databases[LIVE].data = EMPTY
    server = replace(manifest.server, system_identifier="another")

    end = restore(here, replace(manifest, server=server))

    # the manifest on disk is the one that counts once it is loaded
    assert (0, BEFORE) == (end.code, state(here))


@pytest.mark.parametrize("what", ["database", "server"])
def test_a_backup_of_another_is_refused(what: str) -> None:
    """
    Both are named, and it takes an option to go on.

    Faults: 117.
    """
    here, manifest = migrated()
    other = replace(manifest, database="other")
    if what == "server":
        server = replace(manifest.server, system_identifier="another")
        other = replace(manifest, server=server)

    refused = restore(here, other)
    forced = restore(here, other, from_elsewhere=True)

    assert (17, 0) == (refused.code, forced.code)
    assert "other" in refused.message
    assert LIVE in refused.message


def test_a_newer_server_is_refused() -> None:
    """A dump of a newer major may load with errors: it is not tried."""
    here, manifest = migrated()
    newer = replace(manifest, server=replace(manifest.server, number=180000))

    assert 18 == restore(here, newer).code
    assert AFTER == state(here)


def test_a_damaged_backup_changes_nothing() -> None:
    """
    It is refused before anything is loaded, and who was stopped runs again.

    Faults: 59, 91.
    """
    here, manifest = migrated()
    here.files[manifest.backup.name] = here.files[manifest.backup.name][:-1]

    end = restore(here, manifest)

    assert (14, AFTER, [], []) == (end.code, state(here), left(here), stopped(here))


def test_a_backup_that_loads_otherwise_changes_nothing() -> None:
    """
    What is loaded is held to the manifest before it takes the live one's place.

    Faults: 94.
    """
    here, manifest = migrated()
    rows = replace(manifest.contents.tables[0], rows=999)
    contents = replace(manifest.contents, tables=(rows, *manifest.contents.tables[1:]))

    end = restore(here, replace(manifest, contents=contents))

    assert (14, AFTER, []) == (end.code, state(here), left(here))
    assert "rows instead of 999" in end.message


def test_a_closed_database_is_restored_and_not_opened_on_failure() -> None:
    """
    After a rollback that failed, a restore replaces what is closed; one that fails leaves it so.

    Faults: 104.
    """
    here, manifest = migrated()
    live = here.databases[LIVE]
    live.properties = replace(live.properties, allow_connections=False)
    there = copy(here)
    there.files[manifest.backup.name] = b"broken"

    assert 14 == restore(there, manifest).code
    assert ["the live database is closed"] == left(there)
    assert 0 == restore(here, manifest).code
    assert (BEFORE, []) == (state(here), left(here))


def test_a_failed_attempt_does_not_hide_a_run_that_needs_its_operator() -> None:
    """The journal's last word on a stranded run stays its last word."""
    here, manifest = migrated()
    world = FakeWorld(here, GOOD, POLICY)
    run_guard(here, BAD, POLICY)
    FakeJournal(here, world.power).append(runs(here)[-1].id, Phase.STRANDED, why_stranded="x")
    there = copy(here)
    there.files[manifest.backup.name] = b"broken"

    assert 14 == restore(there, manifest).code
    assert 30 == run_guard(there, GOOD, POLICY).code
    assert 0 == restore(here, manifest).code
    assert 0 == run_guard(here, GOOD, POLICY).code


# --- to a restore point that has stayed

KEEP = replace(POLICY, restore_point=RestorePoint.KEEP)


def kept_point() -> tuple[Machine, Manifest, Run]:
    """Make a machine that was migrated once, and has kept what it was before."""
    here = machine()
    run_guard(here, GOOD, KEEP)
    here.pass_time(60)
    return here, FakeWorld(here, GOOD, KEEP).vault.manifests()[-1], runs(here)[-1]


def test_a_restore_point_stays_after_a_success() -> None:
    """Sealed, and until the next migration that succeeds: that one has its own."""
    here, _, run = kept_point()
    name = str(run.kept_point)
    row = here.databases[name]
    assert (BEFORE, False) == (row.data.core, row.properties.allow_connections)

    run_guard(here, BAD, KEEP)
    assert {name} == {name for name in here.databases if "__migsafe_" in name}
    run_guard(here, replace(GOOD, image="v4", name="v4"), POLICY)

    assert [] == left(here)


@pytest.mark.parametrize("release", [GOOD, BAD], ids=["good", "bad"])
def test_killed_where_restore_points_stay(release: Release) -> None:
    """
    Of a guard that is killed anywhere nothing stays but the restore point of what has succeeded.

    Faults: 1.
    """
    original, _, _ = kept_point()
    later = replace(release, image="v4", name="v4")
    whole = Power(copy(original))
    run_guard(whole.machine, later, KEEP, whole)
    for number, name in enumerate(whole.effects):
        here = copy(original)
        assert run_guard(here, later, KEEP, Power(here, number)).code is None
        run_guard(here, later, KEEP)
        here.settle()

        points = {run.kept_point for run in runs(here)} - {None}
        assert points == {n for n in here.databases if "__migsafe_" in n}, name
        assert 1 == len(points), name


def test_goes_back_to_a_restore_point() -> None:
    """
    It is swapped in: nothing is loaded or backed up, and what was live is kept.

    Faults: 90.
    """
    here, manifest, run = kept_point()
    backups = len(FakeWorld(here, GOOD, POLICY).vault.manifests())

    end = restore(here, manifest, point=run)

    assert (0, BEFORE, [AFTER], []) == (end.code, state(here), kept(here), left(here))
    assert not [name for name in end.world.power.effects if "scratch" in name]
    assert backups == len(end.world.vault.manifests())


def test_a_restore_point_that_was_opened_is_not_trusted() -> None:
    """The backup is loaded instead, and what is live is backed up first."""
    here, manifest, run = kept_point()
    row = here.databases[str(run.kept_point)]
    row.properties = replace(row.properties, allow_connections=True)

    end = restore(here, manifest, point=run)

    assert (0, BEFORE, [AFTER]) == (end.code, state(here), kept(here))
    assert "the backup is loaded instead" in end.world.tell.text
    assert Kind.SAFETY is end.world.vault.manifests()[0].backup.kind


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_on_the_way_to_a_restore_point(before: bool) -> None:
    """
    Wherever it is killed, the next start ends with migrated data, and the same goes on later.

    Faults: 1, 44, 92.
    """
    original, manifest, run = kept_point()
    whole = Power(copy(original))
    restore(whole.machine, manifest, power=whole, point=run)
    for number, name in enumerate(whole.effects):
        here = copy(original)
        assert restore(here, manifest, power=Power(here, number, before), point=run).code is None
        again = copy(here)

        assert 0 == run_guard(here, GOOD, POLICY).code, name
        here.settle()
        assert AFTER == state(here), name
        assert {str(run.kept_point)} >= {n for n in here.databases if "__migsafe_" in n}, name
        assert 0 == restore(again, manifest, point=run).code, name
        assert BEFORE == state(again), name


def test_a_restore_point_makes_room() -> None:
    """Where the next migration has too little room, what has stayed for a rollback goes first."""
    here, _, run = kept_point()
    world = FakeWorld(here, replace(GOOD, image="v4", name="v4"), KEEP)
    world.engine.free = 1 << 20

    with suppress(MigsafeError):
        Guard(world.world, KEEP, "20260131-130000-00ff").run()

    assert run.kept_point not in here.databases
    assert AFTER == state(here)


# --- verify


def verify(here: Machine, power: Power | None = None) -> Verification:
    """Make what verifies backups."""
    here.runs += 1
    world = FakeWorld(here, GOOD, POLICY, power)
    return Verification(world.world, POLICY, f"20260131-1200{here.runs:02d}-{here.runs:04x}")


def test_verify_proves_and_leaves_nothing() -> None:
    """
    A good backup is proven, the proof is kept beside it, and the live database was not touched.

    Faults: 115.
    """
    here, manifest = migrated()

    found = verify(here).restore(manifest)

    vault = FakeWorld(here, GOOD, POLICY).vault
    assert found.good
    assert found == vault.proof(manifest.backup)
    assert (AFTER, [], []) == (state(here), left(here), stopped(here))


def test_verify_names_what_differs() -> None:
    """A damaged backup is not proven, however it is looked at."""
    here, manifest = migrated()
    here.files[manifest.backup.name] = here.files[manifest.backup.name][:-1]

    assert not verify(here).restore(manifest).good
    assert not verify(here).read(manifest).good
    assert [] == left(here)


def test_verify_loads_what_it_proves() -> None:
    """
    A backup whose file fits its manifest, and loads to something else, is told from a good one.

    Faults: 48, 94, 115.
    """
    here, manifest = migrated()
    payload = EMPTY.dump()
    digest = hashlib.sha256(payload).hexdigest()
    torn = replace(manifest, sha256=digest, size=len(payload))
    name = manifest.backup.name
    here.files |= {name: payload, manifest.backup.manifest_name: torn.to_json().encode()}

    assert verify(here).read(torn).good
    assert not verify(here).restore(torn).good
    assert [] == left(here)


def test_verify_killed_anywhere() -> None:
    """
    What a killed verification leaves is cleared by the next start.

    Faults: 1.
    """
    original, manifest = migrated()
    whole = Power(copy(original))
    verify(whole.machine, whole).restore(manifest)
    for number, name in enumerate(whole.effects):
        here = copy(original)
        with pytest.raises(Killed):
            verify(here, Power(here, number)).restore(manifest)

        assert 0 == run_guard(here, GOOD, POLICY).code, name
        assert (AFTER, []) == (state(here), left(here)), name
