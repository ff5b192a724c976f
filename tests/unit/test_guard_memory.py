"""What a guard notes about its run, and what it makes of what an operator has done meanwhile."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from sidecar.backups import Manifest
from sidecar.errors import DatabaseUnavailable
from sidecar.facts import Contents
from sidecar.guard import Guard
from sidecar.plan import Phase
from sidecar.policy import Fence, Policy, RestorePoint
from tests.fakes import FakeWorld, Power, machine
from tests.fakes_data import AFTER, BEFORE, Data
from tests.fakes_engine import Release
from tests.fakes_machine import LIVE, Machine
from tests.scenarios import PROGRAMS, broken, run_guard, runs, state

GOOD = Release("v2", PROGRAMS["good"])
BAD = Release("v2-bad", PROGRAMS["fails after a commit"])
FIXED = Release("v3", PROGRAMS["good"])
POLICY = Policy(deadline=timedelta(seconds=20))
LOADED = replace(POLICY, restore_point=RestorePoint.NEVER)


# --- a database that was loaded by hand after a loss


def _lost_and_loaded() -> tuple[Machine, Manifest]:
    """Lose the server after a migration, and load the newest backup into a new one."""
    here = machine()
    run_guard(here, GOOD, POLICY)
    manifest = FakeWorld(here, GOOD, POLICY).vault.manifests()[0]
    here.system = "7000000000000000009"
    here.databases[LIVE].data = Data.load(here.files[manifest.backup.name])
    return here, manifest


def _rewrite(here: Machine, manifest: Manifest) -> None:
    here.files[manifest.backup.manifest_name] = manifest.to_json().encode()


def _another_database(here: Machine, manifest: Manifest) -> None:
    _rewrite(here, replace(manifest, database="blog"))


def _another_schema(here: Machine, manifest: Manifest) -> None:
    contents = Contents(manifest.contents.tables, "another")
    _rewrite(here, replace(manifest, contents=contents))


def _fewer_rows(here: Machine, _: Manifest) -> None:
    data = here.databases[LIVE].data
    tables = {**data.tables, "users": data.tables["users"][1:]}
    here.databases[LIVE].data = replace(data, tables=tables)


def test_a_database_that_holds_what_the_backup_does_is_migrated() -> None:
    """
    After a loss the operator has loaded the newest backup by hand: that is seen, and said.

    Faults: 20.
    """
    here, manifest = _lost_and_loaded()

    end = run_guard(here, GOOD, POLICY)

    assert (0, AFTER) == (end.code, state(here))
    assert f"holds exactly what {manifest.backup.name} does" in end.world.tell.text


@pytest.mark.parametrize("differs", [_another_database, _another_schema, _fewer_rows])
def test_a_database_that_differs_from_the_backup_is_refused(
    differs: Callable[[Machine, Manifest], None],
) -> None:
    """
    It is another's, or not whole: nothing is migrated, and no backup of it goes to the others.

    Faults: 20, 117.
    """
    here, manifest = _lost_and_loaded()
    differs(here, manifest)
    files = dict(here.files)

    end = run_guard(here, GOOD, POLICY)

    assert (17, files) == (end.code, here.files)
    assert "belongs to another database" in end.message


# --- what an operator has put right


def test_a_swap_that_was_undone_by_hand_is_gone_on_from() -> None:
    """The server was set back to before the swap, and the copy was dropped: no more is asked."""
    here = machine()
    whole = run_guard(machine(), BAD, POLICY).world.power.effects
    run_guard(here, BAD, POLICY, Power(here, kill_at=whole.index("database: swapped")))
    run = runs(here)[-1]
    copy = str(run.named("swapped_in"))
    here.databases[copy] = here.databases.pop(LIVE)
    here.databases[LIVE] = here.databases.pop(str(run.named("kept")))
    assert 31 == run_guard(here, FIXED, POLICY).code

    here.databases.pop(copy)
    here.databases[LIVE].properties = machine().databases[LIVE].properties
    end = run_guard(here, FIXED, POLICY)

    assert (0, AFTER) == (end.code, state(here))
    assert [Phase.ABANDONED, Phase.COMMITTED] == [each.phase for each in runs(here)]


def test_a_copy_that_is_still_there_is_a_question() -> None:
    """While both are there it is not for us to say which of them is the right one."""
    here = machine()
    whole = run_guard(machine(), BAD, POLICY).world.power.effects
    run_guard(here, BAD, POLICY, Power(here, kill_at=whole.index("database: swapped")))
    copy = str(runs(here)[-1].named("swapped_in"))
    here.databases[copy] = here.databases.pop(LIVE)
    here.databases[LIVE] = here.databases.pop(str(runs(here)[-1].named("kept")))
    here.databases[LIVE].properties = machine().databases[LIVE].properties

    assert [31, 31] == [run_guard(here, release, POLICY).code for release in (FIXED, BAD)]
    assert copy in here.databases


def test_what_was_put_right_by_hand_is_over() -> None:
    """The run that was stranded ends as abandoned, with the reason; no run is made up."""
    here = machine()

    def damage(_number: int, name: str) -> None:
        if name == "journal: failed":
            del here.files[next(name for name in here.files if name.endswith(".sql"))]

    run_guard(here, BAD, LOADED, Power(here, watch=damage))
    here.databases.pop(LIVE)
    here.create(LIVE, BEFORE, machine().databases[LIVE].properties)
    world = FakeWorld(here, FIXED, LOADED)
    world.journal.append(runs(here)[-1].id, Phase.RETRY)
    told = run_guard(here, FIXED, LOADED).world.tell.text

    first, second = runs(here)
    assert f"run {first.id} was put right by hand: going on with what is there" in told
    assert (Phase.ABANDONED, "put right by hand") == (first.phase, first.named("reason"))
    assert (Phase.COMMITTED, True) == (second.phase, first.cleared)


# --- what is said and noted


@pytest.mark.parametrize(("release", "proven"), [(GOOD, True), (BAD, False)])
def test_a_concluded_run_is_said_to_be_proven_only_if_it_is(release: Release, proven: bool) -> None:
    """A run that was cut off is brought to its end by the next image, and its end is told."""
    here = machine()
    effects = run_guard(machine(), release, POLICY).world.power.effects
    number = effects.index("engine: container started")
    run_guard(here, release, POLICY, Power(here, kill_at=number))

    end = run_guard(here, FIXED, POLICY)

    assert (0, []) == (end.code, broken(here, end))
    assert (
        f"run {runs(here)[0].id} was cut off while it migrated: concluding it"
        in end.world.tell.text
    )
    assert proven is ("it had migrated, and is proven" in end.world.tell.text)


def test_each_step_is_said() -> None:
    """In the order in which it is done; a log that ends tells where."""
    here = machine()

    lines = run_guard(here, GOOD, POLICY).world.tell.lines

    first = [line.partition(": ")[0].partition(" app")[0] for line in lines]
    assert [
        "guarding",
        "fence",
        "backup",
        "✓ Pre-migration backup created",
        "restore point",
        "migrate",
    ] == first
    assert "migrate: bin/rails db:migrate (Rails)" == lines[-1]


def test_a_rollback_that_is_finished_is_said() -> None:
    """By the next start, which has the earlier run's failure too."""
    here = machine()
    effects = run_guard(machine(), BAD, POLICY).world.power.effects
    run_guard(here, BAD, POLICY, Power(here, kill_at=effects.index("database: swapped")))

    end = run_guard(here, BAD, POLICY)

    assert (20, BEFORE) == (end.code, state(here))
    cut_off = f"run {runs(here)[0].id} was cut off while it rolled back: finishing it"
    assert [cut_off] == [each for each in end.world.tell.warnings if "cut off" in each]


def test_a_bug_before_the_migration_leaves_all_as_it_was() -> None:
    """Nobody has thought of it: the run is given up like any other, and the bug is told as one."""
    here = machine()

    def stumble(_number: int, name: str) -> None:
        if name == "journal: backed-up":
            raise ZeroDivisionError("nobody thought of this")

    with pytest.raises(ZeroDivisionError):
        run_guard(here, GOOD, POLICY, Power(here, watch=stumble))

    (run,) = runs(here)
    assert (Phase.ABANDONED, True, ()) == (run.phase, run.cleared, run.stopped)
    assert (1, "a bug: nobody thought of this") == (run.detail["code"], run.detail["reason"])
    assert (BEFORE, {}) == (state(here), here.containers)
    assert all(service.running for service in here.services.values())


def test_who_can_not_leave_says_so() -> None:
    """The server is lost in the middle: the first error stays, and the rest is for the next run."""
    here = machine()

    class Lost(Power):
        def call(self, name: str) -> None:
            super().call(name)
            if name in {"database: clone", "journal: abandoned"}:
                raise DatabaseUnavailable("the connection is closed")

    end = run_guard(here, GOOD, POLICY, Lost(here))

    assert (10, BEFORE) == (end.code, state(here))
    assert [
        "while leaving: the connection is closed",
        "while leaving: the connection is closed",
        "the next run clears up; left stopped until then: shop-app-1, shop-worker-1",
    ] == end.world.tell.warnings


def test_where_no_restore_point_was_made_none_stays() -> None:
    """It was to be kept, and could not be made: `rollback` is not promised one."""
    here = machine(strangers=["psql"])

    end = run_guard(here, GOOD, replace(POLICY, restore_point=RestorePoint.KEEP))

    (run,) = runs(here)
    assert (0, False, None) == (end.code, run.detail["keeps_point"], run.kept_point)


def test_a_run_that_was_given_up_says_why() -> None:
    """The journal has the code and the words of what kept it from migrating, under its own id."""
    here = machine(strangers=["psql"])

    end = run_guard(here, GOOD, replace(POLICY, fence=Fence.STRICT))

    (run,) = runs(here)
    assert (Phase.ABANDONED, 17, end.message) == (
        run.phase,
        run.detail["code"],
        run.detail["reason"],
    )


def test_a_commit_notes_what_the_ledger_holds() -> None:
    """The next image is compared with it: it tells which one is older than the data."""
    here = machine()

    run_guard(here, GOOD, POLICY)

    detail = runs(here)[-1].detail
    assert list(AFTER.ledger) == detail["versions_after"]
    assert AFTER.state.fingerprint == detail["ledger_after"]


def test_a_run_notes_whose_it_is() -> None:
    """Cards and other hosts name the project, the service, the image and the engine from there."""
    here = machine()

    run_guard(here, GOOD, POLICY)

    detail = runs(here)[-1].detail
    wanted = {
        "image": "v2",
        "image_name": "shop:v2",
        "service": "app",
        "project": "shop",
        "engine": "E1",
        "host": "here",
        "images": {"app": "v2"},
        "preset": "rails",
        "deadline": 20.0,
        "resumes": False,
        "keeps_point": False,
    }
    assert wanted == {name: detail[name] for name in wanted}
    assert "by" not in detail


@pytest.mark.parametrize("times", [1, 2])
def test_who_asks_is_told_of_the_app_and_the_database(times: int) -> None:
    """Also where there was nothing to do."""
    here = machine()
    for number in range(times):
        world = FakeWorld(here, GOOD, POLICY)
        done = Guard(world.world, POLICY, f"20260131-12000{number}-000{number}").run()

    assert ("app", LIVE) == (done.app.service, done.look.database)
    assert (times == 1) is (done.run is not None)
