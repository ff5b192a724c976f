"""RAM mode on fakes: a database that came up empty is filled from a backup, or not at all."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from sidecar import advice, source
from sidecar.backups import MANIFEST_SUFFIX, PARTIAL_SUFFIX, Backup, Format, Kind, Manifest
from sidecar.errors import BackupDamaged, NoSource, PreflightFailed, Refused
from sidecar.facts import Place, Table
from sidecar.guard import Guard
from sidecar.plan import Phase
from sidecar.policy import Policy
from sidecar.restore import Restore, Wanted
from tests.fakes import FakeWorld, Power, copy, machine
from tests.fakes_data import AFTER, BEFORE, EMPTY, Data
from tests.fakes_engine import Release
from tests.fakes_machine import LIVE, PROPERTIES, Container, Machine
from tests.scenarios import PROGRAMS, End, aftermaths, run_guard, runs, state

from .builders import NOON, manifest

RAM = Policy(deadline=timedelta(seconds=20), refill=True)
ONCE = replace(RAM, refill=False, initialise=True)
FIRST = Release("v1", (("exit", "0"),), versions=("1", "2"))
GOOD = Release("v2", PROGRAMS["good"])
BAD = Release("v2-bad", PROGRAMS["fails after a commit"])
HOUR = timedelta(hours=1)
LATER = NOON + HOUR
NAMES = ("shop-app-1", "shop-worker-1")


def lose(here: Machine, *, running: bool = False, missing: bool = False) -> Machine:
    """Take the memory away: a new server comes up, with an empty database and no journal."""
    here.backends.clear()
    here.databases.clear()
    here.journal.clear()
    here.lock = None
    here.system = str(int(here.system) + 1)
    here.create("postgres", Data({}), PROPERTIES)
    if not missing:
        here.create(LIVE, EMPTY, PROPERTIES)
    for service in here.services.values():
        service.running = running
    # what was not in the backup is lost, and nobody promised otherwise
    here.acknowledged.clear()
    return here


def backed_up() -> Machine:
    """Make a machine that runs release 1, and has two backups, the newer with the app's data."""
    here = machine()
    assert 0 == run_guard(here, FIRST, RAM).code
    here.pass_time(3600)
    take(here)
    return here


def take(here: Machine, kind: Kind = Kind.SCHEDULED, policy: Policy = RAM) -> Manifest:
    """Take a backup as the second mode does."""
    world = FakeWorld(here, FIRST, policy)
    look = world.database.look(catalog=True)
    here.pass_time(60)
    return world.vault.take(world.vault.next_backup(kind), "r", look, {"app": "v1"})


def lost() -> Machine:
    """Make a machine that has lost its database in memory."""
    return lose(backed_up())


def left(here: Machine) -> list[str]:
    """Name what nobody needs, and what is not as it should be."""
    found = [f"scratch {name}" for name in here.databases if "__migsafe_" in name]
    found += [f"container {name}" for name in here.containers]
    found += [f"file {name}" for name in here.files if name.endswith(PARTIAL_SUFFIX)]
    if not here.databases[LIVE].properties.allow_connections:
        found.append("the live database is closed")
    return [*found, *here.violations]


def running(here: Machine) -> list[str]:
    """Name the services that run."""
    return [service.name for service in here.services.values() if service.running]


def test_an_empty_database_is_filled_and_migrated() -> None:
    """
    The newest backup is loaded, proven and swapped in; then comes the ordinary guarded run.

    Faults: 21, 124.
    """
    here = lost()

    end = run_guard(here, GOOD, RAM)

    assert (0, AFTER, []) == (end.code, state(here), left(here))
    assert [Phase.RESTORED, Phase.COMMITTED] == [run.phase for run in runs(here)]
    assert "is empty: filling it" in end.world.tell.text
    newest = end.world.vault.manifests()[0]
    assert (Kind.PRE_MIGRATION, BEFORE.contents.rows["public.users"]) == (
        newest.backup.kind,
        newest.contents.rows["public.users"],
    )


def test_a_database_that_is_not_there_is_filled() -> None:
    """The server came up without it: there is nothing to be kept."""
    here = lose(backed_up(), missing=True)

    end = run_guard(here, FIRST, RAM)

    assert (0, BEFORE, []) == (end.code, state(here), left(here))
    assert not [name for name in here.databases if "__kept_" in name]


def test_a_migration_that_fails_goes_back_to_what_was_filled() -> None:
    """
    The brief's first scenario: restored, backed up, failed, rolled back to the restored state.

    Faults: 82, 99.
    """
    here = lost()

    end = run_guard(here, BAD, RAM)

    assert (20, BEFORE, []) == (end.code, state(here), left(here))
    assert [] == running(here)
    assert 17 == run_guard(here, BAD, RAM).code
    assert (0, AFTER) == (run_guard(here, GOOD, RAM).code, state(here))


def test_what_it_has_forgotten_it_learns_again() -> None:
    """The breaker is in memory too: after a loss the same image is tried once, and put back."""
    here = lost()
    codes = []
    for _ in range(2):
        codes += [run_guard(here, BAD, RAM).code, run_guard(here, BAD, RAM).code]
        assert BEFORE == state(here)
        lose(here)

    assert [20, 17, 20, 17] == codes


def test_a_database_with_data_is_left_alone() -> None:
    """RAM mode does nothing where there is something; and so it does at the next start."""
    here = backed_up()

    end = run_guard(here, FIRST, RAM)
    again = run_guard(lose(here), FIRST, RAM)
    nothing = run_guard(here, FIRST, RAM)

    assert (0, 0, 0) == (end.code, again.code, nothing.code)
    assert ([], []) == (end.world.power.effects, nothing.world.power.effects)


def test_loss_after_loss() -> None:
    """
    Each server is another, and its backups are all of one database.

    Faults: 20, 117.
    """
    here = machine()
    run_guard(here, FIRST, RAM)
    first = here.system
    for _ in range(3):
        here.pass_time(60)
        take(here)
        lose(here)
        assert (0, BEFORE) == (run_guard(here, FIRST, RAM).code, state(here))
    found = FakeWorld(here, FIRST, RAM).vault.manifests()
    assert {first} == {manifest.born for manifest in found}
    assert 4 == len({manifest.server.system_identifier for manifest in found})


# --- it has to be clear what is loaded


def test_the_very_first_start_is_told_so_once() -> None:
    """
    Without any backup an empty database is refused; the card has the one command that helps.

    Faults: 123.
    """
    here = machine(EMPTY)
    new = replace(FIRST, program=(("begin", "adds invoices"), ("commit",), ("exit", "0")))
    new = replace(new, versions=("3",))

    refused = run_guard(here, new, RAM)
    assert (17, EMPTY) == (refused.code, state(here))
    once = run_guard(here, new, ONCE)
    after = run_guard(here, new, RAM)

    assert (0, 0, []) == (once.code, after.code, after.world.power.effects)
    assert 17 == run_guard(lose(here), new, RAM).code  # its one backup holds nothing


def test_what_cannot_be_listed_keeps_the_gate_closed() -> None:
    """
    A store that does not answer is not a store without backups.

    Faults: 123.
    """
    here = lost()

    end = run_guard(here, GOOD, RAM, StoreIsGone(here))

    assert (16, EMPTY, []) == (end.code, state(here), left(here))
    assert [] == running(here)


class StoreIsGone(Power):
    """The place of the backups can't be listed."""

    def call(self, name: str) -> None:
        """Fail."""
        super().call(name)
        if name == "store: list":
            raise OSError(5, "Input/output error")


@pytest.mark.parametrize("how", ["payload", "manifest", "rows"])
def test_a_damaged_newest_is_never_replaced_in_silence(how: str) -> None:
    """
    It is refused with both names; the older one is the operator's to choose.

    Faults: 59, 91, 94.
    """
    here = backed_up()
    older, newest = take(here), take(here)
    name = newest.backup.name
    if how == "payload":
        here.files[name] = here.files[name][:-1] + b"?"
    if how == "manifest":
        here.files[name + MANIFEST_SUFFIX] = here.files[name + MANIFEST_SUFFIX][:-9]
    if how == "rows":
        tables = (Table("public", "events", 999), *newest.contents.tables[1:])
        other = replace(newest, contents=replace(newest.contents, tables=tables))
        here.files[name + MANIFEST_SUFFIX] = other.to_json().encode()
    lose(here, running=True)

    end = run_guard(here, GOOD, RAM)

    assert (14, EMPTY, []) == (end.code, state(here), left(here))
    assert [] == [name for name in NAMES if name in running(here) and how != "manifest"]
    assert (name in end.message, older.backup.name in end.message) == (True, True)

    chosen = restore(here, older)
    assert (0, AFTER) == (chosen.code, state(here))
    assert 0 == run_guard(here, GOOD, RAM).code


def restore(here: Machine, manifest: Manifest, *, migrate: bool = True) -> End:
    """Restore as the operator does."""
    world = FakeWorld(here, GOOD, RAM)
    here.runs += 2
    ids = [f"20260131-1300{n:02d}-{n:04x}" for n in (here.runs - 1, here.runs)]
    Restore(world.world, RAM, *ids).run(Wanted(manifest, migrate))
    return End(0, world)


def test_what_verify_has_found_damaged_is_damaged() -> None:
    """The proof beside a backup counts, though its file be what the manifest says."""
    here = backed_up()
    newest = take(here)
    proof = '{"schema": 1, "at": "2026-01-31T12:00:00+00:00", "how": "restored",'
    proof += ' "complaints": ["rows differ"], "seconds": 1.0}'
    here.files[newest.backup.name + ".proof.json"] = proof.encode()

    end = run_guard(lose(here), GOOD, RAM)

    assert (14, EMPTY) == (end.code, state(here))
    assert "rows differ" in end.message


def test_what_is_no_fit_source_is_passed_over_and_said() -> None:
    """What holds nothing, and what an operator has replaced, is no state to go back to."""
    here = backed_up()
    good = take(here)
    safety = take(here, Kind.SAFETY)
    here.databases[LIVE].data = replace(EMPTY, tables={"users": ()})
    for service in here.services.values():
        service.running = False
    here.backends.clear()
    hollow = take(here)

    end = run_guard(lose(here), FIRST, RAM)

    assert (0, BEFORE) == (end.code, state(here))
    assert f"restoring {good.backup.name}" in end.world.tell.text
    for name in (safety.backup.name, hollow.backup.name):
        assert f"passed over, though newer: {name}" in end.world.tell.text


def test_backups_of_two_databases_are_not_guessed_between() -> None:
    """
    Two that are called the same share a place: the operator chooses.

    Faults: 117, 127.
    """
    here = backed_up()
    other = machine()
    other.system, other.files = "8000000000000000001", here.files
    other.pass_time(here.time + 60)
    take(other)

    end = run_guard(lose(here), GOOD, RAM)

    assert (17, EMPTY) == (end.code, state(here))
    assert "of more than one" in end.message


def test_a_foreign_backup_is_refused_still() -> None:
    """
    Whatever is in memory, what is of another database does not take its place unasked.

    Faults: 117.
    """
    here = backed_up()
    run_guard(lose(here), FIRST, RAM)
    theirs = replace(here.server, system_identifier="8000000000000000001")
    foreign = replace(take(here), origin="", server=theirs)
    with pytest.raises(Refused, match="first on server 8000000000000000001"):
        restore(here, foreign)

    mine = FakeWorld(here, FIRST, RAM).vault.manifests()[-1]
    assert mine.server.system_identifier != here.system
    assert 0 == restore(here, mine).code


def test_a_lost_database_that_the_app_has_written_to() -> None:
    """
    Restarted empty under a running app: refused, and the command on the card puts it right.

    Faults: 124.
    """
    here = lose(backed_up(), running=True)
    here.databases[LIVE].data = replace(EMPTY, tables={"users": ("a new user",)}, ledger=("1",))
    here.pass_time(5)

    end = run_guard(here, GOOD, RAM)
    assert 17 == end.code
    assert "was made anew" in end.message
    newest = next(m for m in end.world.vault.manifests() if m.backup.name in end.message)
    done = restore(here, newest)

    assert (0, AFTER) == (done.code, state(here))
    kept = [row.data.tables for name, row in here.databases.items() if "__kept_" in name]
    assert [{"users": ("a new user",)}] == kept
    assert 0 == run_guard(lose(here), GOOD, RAM).code
    assert AFTER == state(here)


def test_what_an_operator_has_put_in_place_is_backed_up() -> None:
    """After the next loss it is what comes back, and not what it has replaced."""
    here = backed_up()
    run_guard(here, GOOD, RAM)
    take(here)
    before = FakeWorld(here, GOOD, RAM).vault.manifests()[-1]

    restore(here, before, migrate=False)
    assert BEFORE == state(here)
    end = run_guard(lose(here), FIRST, RAM)

    assert (0, BEFORE) == (end.code, state(here))


def test_a_migration_whose_journal_was_lost_is_ended() -> None:
    """
    It would write to what was filled: it is removed before anything else.

    Faults: 3, 124.
    """
    here = lost()
    name = "shop-migsafe-migration-20260131-110000-abcd"
    program = (("hang",),)
    here.containers[name] = Container(name, "v9", program, "172.18.9.9", status="running")

    end = run_guard(here, GOOD, RAM)

    assert (0, []) == (end.code, left(here))
    assert f"removed {name}" in end.world.tell.text


@pytest.mark.parametrize("release", [FIRST, GOOD], ids=["nothing to migrate", "migrates"])
def test_what_is_put_in_place_is_backed_up_once(release: Release) -> None:
    """Where it is migrated afterwards, its migration has backed it up already."""
    here = backed_up()
    (newest, *_) = FakeWorld(here, FIRST, RAM).vault.manifests()
    here.pass_time(60)

    world = FakeWorld(here, release, RAM)
    Restore(world.world, RAM, "20260131-130001-0001", "20260131-130002-0002").run(Wanted(newest))

    kinds = [each.backup.kind for each in world.vault.manifests()]
    assert (Kind.MANUAL if release is FIRST else Kind.PRE_MIGRATION) is kinds[0]
    assert (release is FIRST) == (Kind.MANUAL in kinds)


def test_too_little_memory_is_told_beforehand() -> None:
    """
    Nothing is loaded where it does not fit.

    Faults: 126.
    """
    here = lost()
    world = FakeWorld(here, GOOD, RAM)
    world.engine.free = 1 << 20

    with pytest.raises(PreflightFailed, match="are free where the server keeps its data"):
        Guard(world.world, RAM, "20260131-140000-0001").run()

    assert (EMPTY, []) == (state(here), left(here))


# --- killed anywhere


def killed(here: Machine, release: Release, *, before: bool) -> Iterator[tuple[str, Machine]]:
    """Kill a guard before or after each of its side effects."""
    whole = Power(copy(here))
    run_guard(whole.machine, release, RAM, whole)
    for number, name in enumerate(whole.effects):
        there = copy(here)
        assert run_guard(there, release, RAM, Power(there, number, before)).code is None
        for how, after in aftermaths(there):
            yield f"{'before' if before else 'after'} {name}; {how}", after


def filling(here: Machine) -> Iterator[tuple[str, Machine]]:
    """Kill a guard after each side effect until the database is filled, and at the next one."""
    for where, after in killed(here, GOOD, before=False):
        yield where, after
        if state(after) != EMPTY and "cleared" in where:
            return


def put_right(here: Machine, where: str) -> None:
    """Start again, and hold the end to what one start would have ended with."""
    end = run_guard(here, GOOD, RAM)
    if end.code in {17, 20, 21}:  # the migration was cut off, or killed: put back, then anew
        assert BEFORE == state(here), where
        end = run_guard(here, replace(GOOD, image="v2-again"), RAM)
    assert (0, AFTER) == (end.code, state(here)), where
    here.settle()
    assert [] == left(here), where


@pytest.mark.parametrize("running", [True, False], ids=["app runs", "app is down"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_once(*, running: bool, before: bool) -> None:
    """
    Wherever it is killed, the next start ends with what the backup holds, migrated.

    Faults: 1, 44, 92, 96.
    """
    original = lose(backed_up(), running=running)
    for where, here in killed(original, GOOD, before=before):
        put_right(here, where)


def test_killed_twice() -> None:
    """So it does when the start that puts it right is killed too: within each one's refill."""
    for first, once in filling(lose(backed_up(), running=True)):
        for second, twice in filling(once):
            put_right(twice, f"{first}; then {second}")


def test_killed_and_lost_again() -> None:
    """The memory is lost with the kill: what the next start begins with is a backup."""
    for where, here in killed(lost(), GOOD, before=False):
        put_right(lose(here), where)


def test_every_call_fails_once() -> None:
    """
    Whatever fails, there is the empty database, the filled one or the migrated one.

    The app runs on nothing else, and the next start goes on.

    Faults: 7, 50.
    """
    original = lose(backed_up(), running=True)
    whole = Power(copy(original))
    run_guard(whole.machine, GOOD, RAM, whole)
    for number, name in enumerate(whole.calls):
        here = copy(original)
        end = run_guard(here, GOOD, RAM, Power(here, fail_at=number))
        assert end.code or AFTER == state(here), name
        assert state(here) in (EMPTY, BEFORE, AFTER) or end.code == 32, name
        if state(here) == EMPTY and any("app-1 stopped" in e for e in end.world.power.effects):
            assert "shop-app-1" not in running(here), name
        put_right(here, name)


def test_a_signal_leaves_the_app_stopped() -> None:
    """Stopped at any moment, the app is not started on an empty database."""
    original = lose(backed_up(), running=True)
    whole = Power(copy(original))
    run_guard(whole.machine, GOOD, RAM, whole)
    for number in range(len(whole.effects)):
        here = copy(original)
        end = run_guard(here, GOOD, RAM, signal=number)
        if state(here) == EMPTY and any("stopped" in e for e in end.world.power.effects):
            assert [] == [name for name in NAMES if name in running(here)], number
        put_right(here, str(number))


# --- what is typed


def test_the_card_has_what_is_typed() -> None:
    """By the service's own name, whatever the operator calls it."""
    here = machine(EMPTY)
    world = FakeWorld(here, FIRST, RAM)
    with pytest.raises(NoSource) as refused:
        Guard(world.world, RAM, "20260131-140000-0001").run()
    place = Place("shop", "gate", "/srv/shop")
    card = "\n".join(advice.card(advice.Facts(refused.value, place)))

    assert "run --rm --no-deps -e MIGSAFE_EMPTY=initialise gate guard" in card
    assert "{me}" not in card


def test_what_was_doubted_is_for_the_operator_to_choose() -> None:
    """
    What has vanished from it is in the one before, what was written since is not.

    Neither is lost without anybody having said so.
    """
    older, newest = manifest(), manifest(backup=Backup(Kind.SCHEDULED, LATER, Format.ARCHIVE))
    doubted = replace(newest, doubts=("users shrank from 8 to 1 rows",))

    with pytest.raises(NoSource, match="users shrank from 8 to 1 rows") as refused:
        source.choose("shop", [doubted, older])
    assert doubted.backup.name in refused.value.message
    assert f"{older.backup.name} is the last from before" in refused.value.hint
    with pytest.raises(NoSource) as refused:
        source.choose("shop", [doubted])
    assert "there is no other" in refused.value.hint

    assert older is source.choose("shop", [older]).manifest
    meant = replace(doubted, doubts=(), backup=replace(doubted.backup, kind=Kind.MANUAL))
    assert meant is source.choose("shop", [meant, older]).manifest
    damaged = {meant.backup.name: "rows differ"}
    with pytest.raises(BackupDamaged, match=f"the one before it is {older.backup.name}"):
        source.choose("shop", [meant, replace(doubted), older], (), damaged)


def test_a_manifest_that_cannot_be_read_counts() -> None:
    """Newer than what can be read it is refused; older it is of no matter; alone it is no start."""
    newest = manifest()
    before, after = (
        Backup(Kind.SCHEDULED, newest.backup.taken_at + hour, Format.ARCHIVE).name
        for hour in (-HOUR, HOUR)
    )
    assert newest is source.choose("shop", [newest], [before]).manifest
    for manifests in ([newest], []):
        with pytest.raises(BackupDamaged, match="can't be read"):
            source.choose("shop", manifests, [after])
