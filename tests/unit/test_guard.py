"""One guarded migration after another, under every policy: what becomes of the data and the app."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from random import Random

import pytest

from sidecar.backups import Backup, Manifest
from sidecar.backups import Kind as BackupKind
from sidecar.errors import DatabaseUnavailable, EngineUnavailable, RollbackFailed
from sidecar.facts import Host, Session
from sidecar.inventory import HERE, Inventory
from sidecar.plan import Phase
from sidecar.policy import AfterFailure, Fence, Policy, RestorePoint
from sidecar.proof import LossPolicy, OnLoss
from sidecar.recipe import Wishes
from tests.chaos import Chaos
from tests.fakes import FakeClock, FakeJournal, FakeWorld, Power, copy, machine
from tests.fakes_data import AFTER, BEFORE, EMPTY, Data
from tests.fakes_database import FakeDatabase
from tests.fakes_engine import Release
from tests.fakes_machine import LIVE, PROPERTIES, Machine
from tests.releases import Image, Kind
from tests.scenarios import PROGRAMS, End, broken, run_guard, runs, state

from .builders import manifest

GOOD = Release("v2", PROGRAMS["good"])
BAD = Release("v2-bad", PROGRAMS["fails after a commit"])
FIXED = Release("v3", PROGRAMS["good"])
EARLY = PROGRAMS["fails at once"]
QUICK = Policy(deadline=timedelta(seconds=20))
WEEK = 7 * 86400.0


def running(here: Machine) -> bool:
    """Tell whether every service runs."""
    return all(service.running for service in here.services.values())


def kept(here: Machine) -> list[str]:
    """Name the databases that were set aside."""
    return [name for name in here.databases if "__kept_" in name]


# --- which way it goes


def test_an_empty_database_is_migrated() -> None:
    """The first start of an app: the framework is known by its files."""
    here = machine(EMPTY)

    end = run_guard(here, replace(GOOD, versions=("3", "4")), QUICK)

    assert (0, ("3", "4")) == (end.code, here.databases[LIVE].data.ledger)


def test_a_lost_database_is_not_migrated() -> None:
    """It is empty although there are backups: refused, unless that is wanted."""
    here = machine()
    run_guard(here, GOOD, QUICK)
    here.databases[LIVE].data = EMPTY

    anew = replace(FIXED, versions=("3", "4"))
    refused = run_guard(here, anew, QUICK)
    wanted = run_guard(here, anew, replace(QUICK, initialise=True))

    assert (17, 0) == (refused.code, wanted.code)


def test_nothing_to_do_does_nothing() -> None:
    """The second start touches nothing: no container, no stop, no dump, no line in the journal."""
    here = machine()
    run_guard(here, GOOD, QUICK)

    end = run_guard(here, GOOD, QUICK)

    assert (0, []) == (end.code, end.world.power.effects)


def test_a_tag_that_moved_is_another_image() -> None:
    """What `latest` was yesterday says nothing of what it is today. Faults: 13, 35."""
    here, image = machine(), Image(1, Kind.GOOD, 3)
    run_guard(here, replace(GOOD, name="shop:latest"), QUICK)

    end = run_guard(here, replace(image.release, name="shop:latest"), QUICK)

    assert (0, image.target) == (end.code, state(here))


def test_a_bad_image_is_refused_until_somebody_looks() -> None:
    """The same failure is not tried again and again; `retry` lets it, a fixed image needs none."""
    here = machine()
    codes = [run_guard(here, BAD, QUICK).code for _ in range(2)]
    FakeJournal(here, Power(here)).append(runs(here)[-1].id, Phase.RETRY)
    codes += [run_guard(here, release, QUICK).code for release in (BAD, BAD, FIXED)]

    assert [20, 17, 20, 17, 0] == codes
    assert AFTER == state(here)


def test_back_to_the_image_of_the_data() -> None:
    """After a failed release the one before has nothing to do, and starts."""
    here = machine()
    run_guard(here, GOOD, QUICK)
    worse = Release("v3", (("begin", "loses users"), ("commit",), ("exit", "0")))

    codes = [run_guard(here, release, QUICK).code for release in (worse, GOOD)]

    assert [22, 0] == codes
    assert AFTER == state(here)


def test_an_image_older_than_the_data_is_refused() -> None:
    """What a newer image has migrated an older one does not run on."""
    here = machine()
    old = Release("v1", (("exit", "0"),), versions=("1", "2"))
    codes = [run_guard(here, release, QUICK).code for release in (old, GOOD, old)]

    assert [0, 0, 17] == codes
    assert AFTER == state(here)


def test_mounted_code_is_asked_for() -> None:
    """With code of the host mounted the framework says what is pending, and nothing is left."""
    here, release = machine(), replace(GOOD, code_mounts=("/app",))
    run_guard(here, release, QUICK)

    end = run_guard(here, release, QUICK)

    assert (0, []) == (end.code, broken(here, end))
    assert ["engine: check made", "engine: check removed"] == end.world.power.effects


def test_a_check_that_was_cut_off_is_cleared() -> None:
    """Killed while it asks what is pending, nothing is left behind by the next run."""
    here, release = machine(), replace(GOOD, code_mounts=("/app",))
    run_guard(here, release, QUICK)
    run_guard(here, release, QUICK, Power(here, kill_at=0))

    end = run_guard(here, release, QUICK)

    assert (0, []) == (end.code, broken(here, end))


def test_a_second_guard_waits_and_is_told() -> None:
    """While one run holds the lock another changes nothing."""
    here = machine()
    here.lock = "somebody"

    end = run_guard(here, GOOD, QUICK)

    assert (12, []) == (end.code, end.world.power.effects)


# --- the proof


@pytest.mark.parametrize(
    ("release", "policy"),
    [
        (replace(GOOD, versions=("1", "2", "3", "4", "5")), QUICK),
        (GOOD, replace(QUICK, assertions=("no such table",))),
        (replace(GOOD, versions=("5",)), replace(QUICK, wishes=Wishes(check=("bin/smoke",)))),
    ],
    ids=["still pending", "assertion", "check"],
)
def test_exit_code_0_is_not_enough(release: Release, policy: Policy) -> None:
    """A migration that says it succeeded, and did not, is put back."""
    here = machine()

    end = run_guard(here, release, policy)

    assert (22, BEFORE, []) == (end.code, state(here), broken(here, end))


def test_loss_may_be_no_more_than_a_warning() -> None:
    """By policy a table that shrank is told of, and stays as it is."""
    here = machine()
    policy = replace(QUICK, loss=LossPolicy(on_loss=OnLoss.WARN))

    end = run_guard(here, Release("v2", PROGRAMS["loses data"]), policy)

    assert 0 == end.code
    assert any("users" in line for line in end.world.tell.warnings)


def test_a_container_that_does_not_start_changes_nothing() -> None:
    """The engine refuses it: nothing is rolled back, because nothing was written."""
    here = machine()

    end = run_guard(here, replace(GOOD, refused="exec: no such file"), QUICK)

    assert (20, BEFORE, []) == (end.code, state(here), kept(here))
    assert (Phase.UNCHANGED, []) == (runs(here)[-1].phase, broken(here, end))


def test_an_engine_that_is_out_of_order_says_nothing_of_the_image() -> None:
    """
    Nothing is rolled back, and the same image is tried again by the next start.

    Faults: 78.
    """
    here = machine()
    broken_engine = replace(GOOD, refused="500 Server Error", out_of_order=True)

    first = run_guard(here, broken_engine, QUICK)
    assert (21, BEFORE, []) == (first.code, state(here), kept(here))

    second = run_guard(here, GOOD, QUICK)
    assert (0, AFTER, []) == (second.code, state(here), broken(here, second))


@pytest.mark.parametrize("code", ["0", "1"])
def test_a_migration_that_drops_the_database(code: str) -> None:
    """It is put back; there is nothing to be kept, and nothing is said to be."""
    here = machine()
    release = Release("v2", (("begin", "adds invoices"), ("commit",), ("drop",), ("exit", code)))

    end = run_guard(here, release, QUICK)

    assert ({"0": 22, "1": 20}[code], BEFORE) == (end.code, state(here))
    assert ([], None) == (kept(here), runs(here)[-1].named("kept"))


def test_a_killed_child_is_a_failure() -> None:
    """The migration says 0, and something in its container was killed for its memory."""
    here = machine()

    end = run_guard(here, Release("v2", (*PROGRAMS["good"][:-1], ("exit", "0", "oom"))), QUICK)

    assert (20, BEFORE, []) == (end.code, state(here), broken(here, end))


# --- the fence


def test_strangers_may_be_refused() -> None:
    """With a strict fence a console on the database stops the run, and everything runs again."""
    here = machine(strangers=["psql"])

    end = run_guard(here, GOOD, replace(QUICK, fence=Fence.STRICT))

    assert (17, BEFORE, True, []) == (end.code, state(here), running(here), broken(here, end))


def test_a_healthcheck_is_no_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is on the database for a moment is not refused, and keeps nobody from a restore point."""
    here = machine(strangers=["pg_isready"])

    def go_on(clock: FakeClock, seconds: float) -> None:
        here.strangers = ()
        for backend in [b for b in here.backends.values() if b.application == "pg_isready"]:
            here.end(backend)
        clock.machine.pass_time(seconds)

    monkeypatch.setattr(FakeClock, "sleep", go_on)
    end = run_guard(here, GOOD, replace(QUICK, fence=Fence.STRICT))

    assert (0, []) == (end.code, broken(here, end))
    assert "restore point: " in end.world.tell.text


@pytest.mark.parametrize("shown", [0, 1, 2, 3, 4, "always"])
def test_a_healthcheck_makes_no_rollback_necessary(
    monkeypatch: pytest.MonkeyPatch, shown: int | str
) -> None:
    """It looks in just when the migration has ended; who stays may have written something yet."""
    here, looks = machine(), count()

    def watched(database: FakeDatabase) -> tuple[Session, ...]:
        is_there = shown in {"always", next(looks) % 5}
        return (*sessions(database), *([Session(4711, "shop", "other", None)] if is_there else []))

    sessions = FakeDatabase.sessions
    monkeypatch.setattr(FakeDatabase, "sessions", watched)

    assert 20 == run_guard(here, Release("v2", EARLY), QUICK).code
    expected = Phase.ROLLED_BACK if shown == "always" else Phase.UNCHANGED
    assert (expected, BEFORE) == (runs(here)[-1].phase, state(here))


@pytest.mark.parametrize("fence", [Fence.TERMINATE, Fence.NONE])
@pytest.mark.parametrize("release", [GOOD, BAD])
def test_other_fences(fence: Fence, release: Release) -> None:
    """Whoever is kept out or not, no write that was acknowledged is lost."""
    here = machine(strangers=["psql"])

    end = run_guard(here, release, replace(QUICK, fence=fence))
    here.settle()

    assert release is BAD or end.code == 0
    assert [] == [promise for promise in broken(here, end) if "nowhere" in promise]
    assert fence is Fence.TERMINATE or not any("stopped" in e for e in end.world.power.effects)


def test_what_was_stopped_may_run_again_after_a_failure() -> None:
    """By policy the old app goes on with the old data."""
    here = machine()

    held, resumed = (
        run_guard(here, BAD, replace(QUICK, after_failure=policy)).code if running(here) else None
        for policy in (AfterFailure.RESUME, AfterFailure.HOLD)
    )

    assert (20, 17) == (held, resumed)
    assert running(here)


def test_what_a_failure_left_stopped_a_success_starts() -> None:
    """A fixed image starts what the bad one had stopped, also what Compose would not."""
    here = machine()
    run_guard(here, BAD, QUICK)
    held = running(here)

    run_guard(here, FIXED, QUICK)

    assert (False, True) == (held, running(here))


def test_an_engine_that_is_away_for_a_moment_is_waited_for() -> None:
    """What was stopped is tried again for some seconds before it is given up."""
    here = machine()
    calls = run_guard(machine(), GOOD, QUICK).world.power.calls

    end = run_guard(here, GOOD, QUICK, Power(here, fail_at=calls.index("engine: start")))

    assert (0, True) == (end.code, running(here))


def test_what_was_stopped_is_left_to_who_has_taken_over() -> None:
    """
    A guard that has lost its lock starts nothing once another one may have it.

    Faults: 3, 7.
    """
    here, left = machine(), machine()
    lost = run_guard(here, GOOD, QUICK, LosesTheLock(here, taken_over=True))
    alone = run_guard(left, GOOD, QUICK, LosesTheLock(left, taken_over=False))

    assert (10, False) == (lost.code, running(here))
    assert (10, True) == (alone.code, running(left))
    assert "left stopped until then: shop-app-1, shop-worker-1" in lost.world.tell.text
    given_up = runs(left)[-1]
    assert (Phase.ABANDONED, 10) == (given_up.phase, given_up.detail["code"])
    assert alone.message == given_up.named("reason")


class StartsNothing(Power):
    """Docker starts no service."""

    def call(self, name: str) -> None:
        """Fail at each start."""
        super().call(name)
        if name == "engine: start":
            raise EngineUnavailable("the engine does not answer")


class LosesTheLock(Power):
    """The session of the lock is lost when the backup is to be taken."""

    def __init__(self, here: Machine, *, taken_over: bool) -> None:
        super().__init__(here)
        self.taken_over = taken_over
        self.lost = False

    def call(self, name: str) -> None:
        """Know no journal any more, once it is lost."""
        super().call(name)
        if name == "journal: backing-up":
            self.lost = True
            self.machine.lock = "another run" if self.taken_over else None
        if self.lost and name.startswith("journal: "):
            raise DatabaseUnavailable("the connection is closed")

    def reconnect(self) -> None:
        """Know it again."""
        self.lost = False


def test_what_is_to_go_on_after_a_failure_does_so_after_a_kill() -> None:
    """
    A guard is killed when it has rolled back: the next one starts what was to be started again.

    Faults: 104.
    """
    here, policy = machine(), replace(QUICK, after_failure=AfterFailure.RESUME)
    effects = run_guard(machine(), BAD, policy).world.power.effects
    power = Power(here, kill_at=effects.index("journal: rolled-back"))

    run_guard(here, BAD, policy, power)
    stopped = not running(here)
    end = run_guard(here, BAD, policy)

    assert (True, 17, True) == (stopped, end.code, running(here))


def test_a_database_that_nobody_was_told_of_is_named() -> None:
    """A guard that is killed at its very end has kept a database: the next migration says so."""
    here = machine()
    effects = run_guard(machine(), BAD, QUICK).world.power.effects
    run_guard(here, BAD, QUICK, Power(here, kill_at=effects.index("journal: cleared")))
    (name,) = kept(here)

    end = run_guard(here, FIXED, QUICK)

    assert f"kept from earlier runs: {name}" in end.world.tell.lines


def test_what_does_not_start_again_is_told_and_remembered() -> None:
    """
    A service that does not start again: the run says so and why, and the next success tries anew.

    Faults: 104.
    """
    here = machine()

    end = run_guard(here, GOOD, QUICK, StartsNothing(here))
    run = runs(here)[-1]
    run_guard(here, FIXED, QUICK)

    assert 0 == end.code
    assert run.stopped
    assert dict.fromkeys(run.stopped, "the engine does not answer") == run.detail["left"]
    assert running(here)


# --- the way back


@pytest.mark.parametrize("point", [RestorePoint.AUTO, RestorePoint.NEVER])
def test_settings_of_the_app_are_put_back_and_not_journalled(point: RestorePoint) -> None:
    """
    Secrets that an app keeps in its database's settings are compared by their fingerprints.

    Faults: 57, 97, 134.
    """
    here = machine()
    settings = (("", "app.jwt_secret", "hush-hush"), ("", "search_path", "shop"))
    live = here.databases[LIVE]
    live.properties = replace(live.properties, settings=settings)

    end = run_guard(here, BAD, replace(QUICK, restore_point=point))

    assert (20, BEFORE) == (end.code, state(here))
    assert settings == here.databases[LIVE].properties.settings
    told = json.dumps(runs(here)[-1].detail)
    assert ("hush-hush" in told, "sealed:" in told, '"shop"' in told) == (False, True, True)


def test_a_restore_point_may_be_demanded() -> None:
    """Where none can be made nothing is migrated."""
    here = machine(strangers=["psql"])

    end = run_guard(here, GOOD, replace(QUICK, restore_point=RestorePoint.ALWAYS))

    assert (18, BEFORE, []) == (end.code, state(here), broken(here, end))


def _gone(here: Machine, point: str) -> None:
    del here.databases[point]


def _other(here: Machine, point: str) -> None:
    here.databases[point].oid += 1000


def _opened(here: Machine, point: str) -> None:
    here.databases[point].transactions += 1


def _changed(here: Machine, point: str) -> None:
    here.databases[point].data = replace(BEFORE, ledger=("1",))


def _bare(here: Machine, point: str) -> None:
    row = here.databases[point]
    row.properties = replace(row.properties, comment="another")


@pytest.mark.parametrize("tamper", [_gone, _other, _opened, _changed, _bare])
def test_a_restore_point_that_is_not_the_one_is_not_used(
    tamper: Callable[[Machine, str], None],
) -> None:
    """Where it can't be trusted the backup is loaded instead."""
    here = machine()

    def meddle(_number: int, name: str) -> None:
        if name == "journal: failed":
            tamper(here, next(name for name in here.databases if "_point_" in name))

    end = run_guard(here, BAD, QUICK, Power(here, watch=meddle))

    assert (20, BEFORE) == (end.code, state(here))
    assert "database: scratch loaded" in end.world.power.effects
    assert [] == broken(here, end)


def test_without_a_way_back_the_database_is_closed_until_there_is_one() -> None:
    """A damaged backup is never loaded; repaired, and after `retry`, the rollback is done."""
    here, policy = machine(), replace(QUICK, restore_point=RestorePoint.NEVER)
    whole: dict[str, bytes] = {}

    def damage(_number: int, name: str) -> None:
        if name == "journal: failed":
            backup = next(name for name in here.files if name.endswith(".sql"))
            whole[backup] = here.files[backup]
            here.files[backup] = whole[backup].replace(b"user 3", b"user 4")

    codes = [run_guard(here, BAD, policy, Power(here, watch=damage)).code]
    closed = not here.databases[LIVE].properties.allow_connections
    codes.append(run_guard(here, FIXED, policy).code)
    FakeJournal(here, Power(here)).append(runs(here)[-1].id, Phase.RETRY)
    codes.append(run_guard(here, FIXED, policy).code)
    here.files |= whole
    FakeJournal(here, Power(here)).append(runs(here)[-1].id, Phase.RETRY)
    end = run_guard(here, FIXED, policy)

    assert ([30, 30, 30, 0], True) == ([*codes, end.code], closed)
    assert (AFTER, []) == (state(here), broken(here, end))


def test_what_was_put_right_by_hand_is_gone_on_with() -> None:
    """Another database in the place of the closed one, and `retry`: that one is migrated."""
    here, policy = machine(), replace(QUICK, restore_point=RestorePoint.NEVER)

    def damage(_number: int, name: str) -> None:
        if name == "journal: failed":
            del here.files[next(name for name in here.files if name.endswith(".sql"))]

    first = run_guard(here, BAD, policy, Power(here, watch=damage))
    here.databases["shop_broken"] = here.databases.pop(LIVE)
    here.create(LIVE, BEFORE, PROPERTIES)
    FakeJournal(here, Power(here)).append(runs(here)[-1].id, Phase.RETRY)
    second = run_guard(here, FIXED, policy)

    assert (30, 0, AFTER) == (first.code, second.code, state(here))
    assert "shop_broken" in here.databases


def _fewer_rows(data: Data) -> Data:
    return replace(data, tables={**data.tables, "users": data.tables["users"][1:]})


def _no_table(data: Data) -> Data:
    return replace(data, tables={"users": data.tables["users"]})


def _shorter_ledger(data: Data) -> Data:
    return replace(data, ledger=data.ledger[1:])


@pytest.mark.parametrize("loses", [_fewer_rows, _no_table, _shorter_ledger])
def test_a_load_that_loses_something_is_not_swapped_in(
    loses: Callable[[Data], Data], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program said that it loaded everything; it is compared and counted all the same."""
    here, policy = machine(), replace(QUICK, restore_point=RestorePoint.NEVER)
    load = Data.load
    monkeypatch.setattr(Data, "load", lambda dump: loses(load(dump)))

    end = run_guard(here, BAD, policy)

    assert (30, []) == (end.code, kept(here))
    assert not here.databases[LIVE].properties.allow_connections


def test_what_was_put_right_by_hand_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scratch database and the container of the run that was stranded go, too."""
    here, policy = machine(), replace(QUICK, restore_point=RestorePoint.NEVER)
    with monkeypatch.context() as patch:
        load = Data.load
        patch.setattr(Data, "load", lambda dump: _fewer_rows(load(dump)))
        stranded = run_guard(here, BAD, policy)

    events = here.databases[LIVE].data.events
    here.create(LIVE, replace(BEFORE, events=events), PROPERTIES)
    FakeJournal(here, Power(here)).append(runs(here)[-1].id, Phase.RETRY)
    end = run_guard(here, FIXED, policy)

    assert (30, 0, AFTER) == (stranded.code, end.code, state(here))
    assert [] == [promise for promise in broken(here, end) if "left" in promise]


def test_a_session_that_can_not_be_ended_keeps_the_database_closed() -> None:
    """Nothing is renamed under somebody who is still in it."""
    here = machine(strangers=["psql"])
    here.settle()

    def cling(_number: int, name: str) -> None:
        for backend in here.backends.values():
            backend.stubborn = name == "journal: failed" or backend.stubborn

    end = run_guard(here, BAD, QUICK, Power(here, watch=cling))

    assert (30, []) == (end.code, kept(here))
    assert "can't be ended: psql" in str(runs(here)[-1].named("why_stranded"))
    assert not here.databases[LIVE].properties.allow_connections


def test_sessions_of_the_migration_that_can_not_be_ended() -> None:
    """What may still commit is waited for: the run stops in the middle, the next one goes on."""
    here = machine()

    def cling(_number: int, name: str) -> None:
        for backend in here.backends.values():
            backend.stubborn = name == "engine: container stopped"

    hangs = Release("v2", PROGRAMS["hangs"])
    first = run_guard(here, hangs, QUICK, Power(here, watch=cling))
    here.settle()
    second = run_guard(here, hangs, QUICK)

    assert (32, 20) == (first.code, second.code)
    assert (BEFORE, []) == (state(here), broken(here, second))


def test_a_migration_on_another_host_is_left_alone() -> None:
    """
    A run that was cut off elsewhere may still migrate there: its own host finishes it.

    If that host is gone for good, somebody says so, and what it left is put back. Faults: 8, 77.
    """
    here = machine()
    run_guard(here, BAD, QUICK, Power(here, kill_at=_number("engine: container started")))
    here.host, home = Host("E2", "there"), here.host
    left = copy(here)

    away = run_guard(here, BAD, QUICK)
    assert (32, left.databases.keys()) == (away.code, here.databases.keys())
    assert ["running"] == [each.status for each in here.containers.values()]

    here.host = home
    back = run_guard(here, BAD, QUICK)
    assert (20, BEFORE, []) == (back.code, state(here), broken(here, back))

    left.settle()
    left.containers.clear()
    FakeJournal(left, Power(left)).append(runs(left)[-1].id, Phase.RETRY)
    told = run_guard(left, BAD, QUICK)
    assert (21, BEFORE, []) == (told.code, state(left), broken(left, told))


def test_a_server_that_was_set_back_is_not_guessed_about() -> None:
    """The journal knows of a swap and the server does not: nothing is touched, exit 31."""
    here = machine()
    run_guard(here, BAD, QUICK, Power(here, kill_at=_number("database: swapped")))
    scratch = str(runs(here)[-1].named("swapped_in"))
    here.databases[scratch] = here.databases.pop(LIVE)
    here.databases[LIVE] = here.databases.pop(kept(here)[0])
    before = dict(here.databases)

    codes = [run_guard(here, BAD, QUICK).code for _ in range(2)]

    assert ([31, 31], before) == (codes, here.databases)


def _number(effect: str) -> int:
    return run_guard(machine(), BAD, QUICK).world.power.effects.index(effect)


# --- afterwards


def test_what_is_old_goes_after_a_success_only() -> None:
    """Kept databases and backups go after their time; the newest and the way back stay."""
    here = machine()
    run_guard(here, BAD, QUICK)
    first = set(here.files)
    here.time += WEEK + 60
    run_guard(here, Release("v2-worse", PROGRAMS["fails at once"]), QUICK)
    before = (len(kept(here)), first <= set(here.files))

    end = run_guard(here, FIXED, QUICK)

    assert ((1, True), 0) == (before, end.code)
    assert ([], True) == (kept(here), first.isdisjoint(here.files))
    assert [] == [p for p in broken(here, end) if "nowhere" not in p]


def test_nothing_old_goes_while_anything_speaks_against_it() -> None:
    """A kept database may be the only copy of what was written: it stays, as backups do."""
    here = machine()
    run_guard(here, BAD, QUICK)
    here.time += WEEK + 60
    first = kept(here)
    gone = replace(manifest().backup, kind=BackupKind.SCHEDULED).name
    FakeWorld(here, FIXED, QUICK).vault.remember(Inventory.of({HERE: [gone]}))

    end = run_guard(here, FIXED, QUICK)

    assert (0, first) == (end.code, kept(here))
    assert "nothing is deleted: backups are missing" in end.world.tell.text


def test_months_between_two_migrations_delete_what_was_old_at_the_last() -> None:
    """Nobody looks in between: what has become old since the last look goes with the next."""
    here = machine()
    run_guard(here, BAD, QUICK)
    first = kept(here)
    found = []
    for number in range(3):
        assert 0 == run_guard(here, Release(f"v{number + 3}", PROGRAMS["good"]), QUICK).code
        found.append(kept(here))
        here.time += 4 * WEEK

    assert [first, first, []] == found


def test_the_images_of_the_data_are_remembered() -> None:
    """The backup before a migration names the image that belongs to it."""
    here = machine()
    run_guard(here, GOOD, QUICK)
    run_guard(here, Release("v3", PROGRAMS["fails at once"]), QUICK)

    newest = max(name for name in here.files if name.endswith(".json"))

    assert {"app": "v2"} == json.loads(here.files[newest])["images"]


# --- who has lost the lock


@pytest.mark.parametrize("when", ["journal: migrating", "engine: container created"])
def test_who_lost_the_lock_starts_nothing(when: str) -> None:
    """
    Away between its intent and its container's start while another guard ran, it starts nothing.

    Faults: 3, 7.
    """
    here = machine()
    here.whole = (BEFORE, AFTER)
    another: list[End] = []

    def away(_number: int, name: str) -> None:
        if name == when and not power.cut:
            power.cut, here.lock = True, None
            another.append(run_guard(here, FIXED, QUICK))

    power = Chaos(here, Random(0), 0.0, print, print)  # noqa: S311 - nothing fails by chance
    power.watch = away
    end = run_guard(here, BAD, QUICK, power)

    assert ([0], 32) == ([each.code for each in another], end.code)
    assert (AFTER, []) == (state(here), broken(here, another[0]))


def test_a_database_that_could_not_be_closed_is_closed_by_the_next_run() -> None:
    """
    A rollback failed and the server refused to close the database: that is told, and tried again.

    Faults: 44.
    """
    here = machine()
    policy = replace(QUICK, restore_point=RestorePoint.NEVER)
    first = run_guard(here, BAD, policy, _Closing(here))

    assert 30 == first.code
    assert here.databases[LIVE].properties.allow_connections
    assert "could not be closed" in first.world.tell.text
    second = run_guard(here, BAD, policy)

    assert 30 == second.code
    assert not here.databases[LIVE].properties.allow_connections


class _Closing(Power):
    """A server that refuses to close a database, however often it is asked."""

    def call(self, name: str) -> None:
        """Use a port."""
        super().call(name)
        if name == "database: close":
            raise RollbackFailed("the server refuses")


# --- what killed runs left in the folder


@pytest.mark.parametrize("left", ["half of {}", "{}.partial", "{}"])
def test_torn_backups_of_killed_runs_are_cleared(left: str) -> None:
    """
    Whatever a killed run left of a backup is gone after the next; what is not ours stays.

    Faults: 46, 113.
    """
    here = machine()
    theirs = {"pre-migration-20250101-000000.sql": b"by hand", "x.sql.partial": b"not ours"}
    here.files.update(theirs)
    effects = run_guard(copy(here), GOOD, QUICK).world.power.effects
    (name,) = [name for name in _backups_taken(effects) if name.endswith(".sql")]
    number = effects.index(f"store: {left.format(name)}")
    run_guard(here, GOOD, QUICK, Power(here, kill_at=number))
    assert 1 == len(set(here.files) - set(theirs))
    here.time += 60

    end = run_guard(here, GOOD, QUICK)

    assert (0, []) == (end.code, broken(here, end))
    whole = {name for name in here.files if f"{name}.manifest.json" in here.files}
    assert 1 == len(whole)
    told = {f"{name}.manifest.json" for name in whole} | {"inventory.json"}
    assert {*theirs, *whole, *told} == set(here.files)


def _backups_taken(effects: list[str]) -> set[str]:
    named = (effect.removeprefix("store: ") for effect in effects)
    return {name for name in named if Backup.parse(name)}


def test_a_deletion_that_was_cut_off_is_finished() -> None:
    """
    Killed between a manifest and its file, the file goes with the next release.

    Faults: 111.
    """
    here = machine()
    run_guard(here, BAD, QUICK)
    here.time += 2 * WEEK
    (old,) = [name for name in here.files if name.endswith(".sql")]
    effects = run_guard(copy(here), FIXED, QUICK).world.power.effects
    number = effects.index(f"store: {old}.manifest.json removed")
    run_guard(here, FIXED, QUICK, Power(here, kill_at=number))
    assert old in here.files

    here.time += 60
    end = run_guard(here, Release("v4", PROGRAMS["good"]), QUICK)

    assert (0, False) == (end.code, old in here.files)


# --- a backup that is not what it was


def _killed_before_the_rollback(here: Machine) -> str:
    """Leave a failed migration to the next run, without a restore point; name the backup."""
    policy = replace(QUICK, restore_point=RestorePoint.NEVER)
    effects = run_guard(copy(here), BAD, policy).world.power.effects
    run_guard(here, BAD, policy, Power(here, kill_at=effects.index("journal: failed")))
    (name,) = [name for name in here.files if name.endswith(".sql")]
    return name


def _another_of_that_name(here: Machine, name: str) -> None:
    """Put a whole backup of an older state in the place of the one that was taken."""
    manifest = Manifest.from_json(here.files[f"{name}.manifest.json"].decode(), name)
    payload = EMPTY.dump()
    older = replace(manifest, sha256=hashlib.sha256(payload).hexdigest(), size=len(payload))
    here.files |= {name: payload, f"{name}.manifest.json": older.to_json().encode()}


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_another_of_that_name, "is not the backup that run"),
        (lambda here, name: here.files.update({name: here.files[name][:-1]}), "bytes"),
        (lambda here, name: here.files.update({name: here.files[name] + b" "}), "bytes"),
        (lambda here, name: here.files.pop(name), "there is no backup"),
        (lambda here, name: here.files.pop(f"{name}.manifest.json"), "has no manifest"),
    ],
    ids=["another", "cut", "longer", "no file", "no manifest"],
)
def test_a_backup_that_is_not_the_one_is_not_loaded(
    damage: Callable[[Machine, str], object], why: str
) -> None:
    """
    It is refused before a scratch database is made or a name changed; the database is closed.

    Faults: 59, 91, 136.
    """
    here = machine()
    name = _killed_before_the_rollback(here)
    oid = here.databases[LIVE].oid
    whole = dict(here.files)
    damage(here, name)

    end = run_guard(here, BAD, QUICK)

    assert 30 == end.code
    assert why in str(runs(here)[-1].named("why_stranded"))
    assert runs(here)[-1].detail["open"] is False
    assert {"postgres", LIVE} == set(here.databases)
    assert (oid, False) == (here.databases[LIVE].oid, _open(here))
    # the right one is put back, and tried again
    here.files.clear()
    here.files.update(whole)
    FakeJournal(here, Power(here)).append(runs(here)[-1].id, Phase.RETRY)
    assert 20 == run_guard(here, BAD, QUICK).code
    assert (BEFORE, True) == (state(here), _open(here))


def _open(here: Machine) -> bool:
    return here.databases[LIVE].properties.allow_connections
