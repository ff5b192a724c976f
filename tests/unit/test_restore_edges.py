"""A restore where something is missing, full or lost on the way; and what it notes of itself."""

from dataclasses import replace

import pytest

from sidecar.backups import Kind
from sidecar.errors import DatabaseUnavailable, PreflightFailed
from sidecar.facts import kept_name, scratch_name
from sidecar.plan import Phase, last_good, origin
from sidecar.restore import Restore, Wanted
from tests.fakes import FakeWorld, Power, copy
from tests.fakes_data import AFTER, BEFORE, EMPTY
from tests.fakes_machine import LIVE, Machine
from tests.scenarios import run_guard, runs, state

from .test_restore import GOOD, POLICY, kept, left, migrated, restore, stopped


class LosesTheServer(Power):
    """From one call on, or from when it was done, nobody answers."""

    def __init__(self, here: Machine, at: str, *, done: bool = False) -> None:
        super().__init__(here, watch=self._see)
        self.at = at
        self.done = done
        self.lost = False

    def call(self, name: str) -> None:
        """Use a port."""
        super().call(name)
        self.lost = self.lost or (name == self.at and not self.done)
        if self.lost and name.startswith(("journal: ", "database: ")):
            raise DatabaseUnavailable("the connection is closed")

    def _see(self, _number: int, name: str) -> None:
        if self.done and name == self.at:
            self.lost = True
            raise DatabaseUnavailable("the connection is closed")


# --- when the server is lost


@pytest.mark.parametrize(
    ("at", "done", "data"),
    [("database: swap", False, AFTER), ("database: swapped", True, BEFORE)],
    ids=["before", "after"],
)
def test_a_server_that_is_lost_at_the_swap(at: str, done: bool, data: object) -> None:
    """
    Nobody knows whether the swap was done: it is not said that nothing was changed.

    Faults: 96.
    """
    here, manifest = migrated()

    end = restore(here, manifest, power=LosesTheServer(here, at, done=done))

    assert (32, data) == (end.code, state(here))
    assert "in place, or nearly" in end.message
    here.lock = None
    assert (0, AFTER) == (run_guard(here, GOOD, POLICY).code, state(here))
    assert [] == left(here)


def test_the_wrong_backup_is_told_how_to_take_back() -> None:
    """What is put in place has no data, and is not migrated: the way back is named, and works."""
    here, _ = migrated()
    before = state(here)
    lost = copy(here)
    lost.databases[LIVE].data = EMPTY
    world = FakeWorld(lost, GOOD, POLICY)
    look = world.database.look(catalog=True)
    empty = world.vault.take(world.vault.next_backup(Kind.MANUAL), "r", look, {})
    here.files |= lost.files
    here.pass_time(60)

    end = restore(here, empty, migrate=True)
    safety = end.world.vault.manifests()[0]

    assert (32, EMPTY) == (end.code, state(here))
    assert f"`restore {safety.backup.name}` brings that back" in end.hint
    assert (0, before) == (restore(here, safety).code, state(here))


def test_a_server_that_is_lost_before_the_swap_has_changed_nothing() -> None:
    """It is said so, and the next start clears up and starts who was stopped."""
    here, manifest = migrated()

    end = restore(here, manifest, power=LosesTheServer(here, "database: load"))

    assert (10, AFTER) == (end.code, state(here))
    assert "the next run clears up" in end.world.tell.text
    here.lock = None
    assert 0 == run_guard(here, GOOD, POLICY).code
    assert ([], []) == (left(here), stopped(here))


# --- what may be restored


def test_a_database_that_is_gone_takes_any_backup() -> None:
    """
    There is nothing that it could be mistaken for, and nothing to be backed up or kept.

    Faults: 20, 21.
    """
    here, manifest = migrated()
    here.databases.pop(LIVE)
    server = replace(manifest.server, system_identifier="another")

    end = restore(here, replace(manifest, server=server))

    assert (0, BEFORE, []) == (end.code, state(here), kept(here))
    assert "there is no database now" in end.world.tell.text


def test_a_database_that_can_not_be_looked_at_is_not_taken_for_lost() -> None:
    """
    It is closed, and may be full: a backup of another server needs the operator's word.

    Faults: 117.
    """
    here, manifest = migrated()
    live = here.databases[LIVE]
    live.properties = replace(live.properties, allow_connections=False)
    server = replace(manifest.server, system_identifier="another")

    assert 17 == restore(here, replace(manifest, server=server)).code
    assert AFTER == state(here)


def test_where_nothing_is_a_backup_of_another_is_put_and_stays_another() -> None:
    """
    There is nothing that it could be mistaken for; but this is not the database that it is of.

    Faults: 20, 21, 117.
    """
    here, manifest = migrated()
    here.databases[LIVE].data = EMPTY
    server = replace(manifest.server, system_identifier="another")

    own = restore(copy(here), replace(manifest, server=server))
    other = restore(here, replace(manifest, database="other", server=server))

    assert (0, BEFORE) == (other.code, state(here))
    assert "another" == origin(runs(own.world.power.machine))
    assert "" == origin(runs(here))


def test_a_refusal_names_both_servers() -> None:
    """Whose backup it is, and whose this server is, though no restore has ever been made on it."""
    here, manifest = migrated()
    server = replace(manifest.server, system_identifier="another")

    end = restore(here, replace(manifest, server=server))

    assert f"first on server another, this is {LIVE!r}, first on {here.system}" in end.message


def test_what_is_damaged_or_too_large_is_refused_before_anybody_is_stopped() -> None:
    """
    The file and the room for it are looked at first: the app does not stand still for nothing.

    Faults: 59, 93.
    """
    here, manifest = migrated()
    full = FakeWorld(here, GOOD, POLICY)
    full.engine.free = 1 << 10
    with pytest.raises(PreflightFailed):
        Restore(full.world, POLICY, "20260131-120101-0001", "r2").run(Wanted(manifest))
    here.files[manifest.backup.name] = here.files[manifest.backup.name][:-1]
    damaged = restore(here, manifest)

    assert 14 == damaged.code
    assert ([], []) == (full.power.effects, damaged.world.power.effects)


def test_a_restore_waits_for_the_lock_and_no_longer() -> None:
    """Another run holds it: nothing is touched, and who it is is named."""
    here, manifest = migrated()
    here.lock = "somebody"
    before = here.time

    end = restore(here, manifest)

    assert (12, []) == (end.code, end.world.power.effects)
    assert "somebody" in end.message
    assert POLICY.wait.total_seconds() == here.time - before


# --- what it notes


def test_what_a_restore_notes() -> None:
    """The images that belong to the data now, the names that it uses, and its safety backup."""
    here, manifest = migrated()
    images = {"app": "sha256:old"}

    end = restore(here, replace(manifest, images=images))

    run = runs(here)[-1]
    safety = end.world.vault.manifests()[0]
    assert (images, images) == (last_good(runs(here)), run.detail["images"])
    assert (manifest.backup.name, "app", "shop:v2") == (
        run.named("restoring"),
        run.named("service"),
        run.named("image_name"),
    )
    assert scratch_name(LIVE, run.id, "load") == run.named("scratch") == run.named("swapped_in")
    assert kept_name(LIVE, run.id) == run.named("kept")
    assert (Kind.SAFETY, safety.backup.name, run.id) == (
        safety.backup.kind,
        run.named("backup"),
        safety.run,
    )
    assert AFTER.catalog == safety.contents.catalog
    assert {"app": "v2"} == safety.images
    assert f"is kept, closed, as {run.named('kept')!r}" in end.world.tell.text


def test_every_step_of_a_restore_is_noted() -> None:
    """In the order in which the next run has to know of them, and closed at its end."""
    here, manifest = migrated()
    restore(here, manifest)
    alone = [phase for run, phase, *_ in here.journal if run == runs(here)[-1].id]
    there, manifest = migrated()
    restore(there, manifest, migrate=True)
    followed = [phase for run, phase, *_ in there.journal if run == runs(there)[-2].id]

    first = ["started", "stopping", "backing-up", "backed-up", "loading", "swapped", "restored"]
    assert [*first, "cleared"] == alone
    assert [*first, "started-services", "cleared"] == followed


def test_what_a_restore_says() -> None:
    """What was put in place, what is kept, and who stays stopped; of nobody stopped, nothing."""
    here, manifest = migrated()
    said = restore(here, manifest).world.tell.lines
    again = restore(here, manifest).world.tell.lines  # nobody is there to be stopped

    assert [
        f"✓ restored {manifest.backup.name}",
        f"what was there before is kept, closed, as {kept_name(LIVE, runs(here)[-2].id)!r}",
        "stopped, and left stopped until the next up: shop-app-1, shop-worker-1",
    ] == said[-3:]
    for service in here.services.values():
        service.running = False
    here.journal.clear()
    nobody = restore(here, manifest).world.tell.lines
    assert said[-1] == again[-1]  # a restore takes over whom an earlier one has stopped
    assert "is kept, closed, as" in nobody[-1]


@pytest.mark.parametrize("migrate", [False, True])
def test_nothing_was_kept_and_nothing_is_said_of_it(migrate: bool) -> None:
    """Where there was no database there is nothing to speak of."""
    here, manifest = migrated()
    here.databases.pop(LIVE)

    end = restore(here, manifest, migrate=migrate)

    assert 0 == end.code
    assert "is kept, closed" not in end.world.tell.text


def test_who_was_stopped_is_started_where_nothing_is_to_be_migrated() -> None:
    """What was restored is as the image wants it: the app runs on it when the command ends."""
    here, manifest = migrated()
    first = restore(here, manifest)
    assert 2 == len(stopped(here))

    back = restore(here, first.world.vault.manifests()[0], migrate=True)

    assert (0, AFTER, []) == (back.code, state(here), stopped(here))
    assert [Phase.RESTORED, True, ()] == [
        runs(here)[-1].phase,
        runs(here)[-1].cleared,
        runs(here)[-1].stopped,
    ]


def test_an_empty_database_is_kept_and_not_backed_up() -> None:
    """It is said so."""
    here, manifest = migrated()
    here.databases[LIVE].data = EMPTY

    end = restore(here, manifest)

    assert (0, [EMPTY.core]) == (end.code, kept(here))
    assert "the database is empty now: nothing to back up" in end.world.tell.lines
    assert Kind.SAFETY not in {each.backup.kind for each in end.world.vault.manifests()}


def test_a_closed_database_has_no_safety_backup() -> None:
    """It can't be looked at; it is kept, and the operator is told why there is no backup."""
    here, manifest = migrated()
    live = here.databases[LIVE]
    live.properties = replace(live.properties, allow_connections=False)

    end = restore(here, manifest)

    (warning,) = end.world.tell.warnings
    assert 0 == end.code
    assert warning.startswith("no safety backup of what is there now: ")
    assert warning.endswith("; it is kept")


def test_a_signal_before_the_first_step_stops_nobody() -> None:
    """Who is asked to end before anybody is stopped stops nobody to start them again."""
    here, manifest = migrated()

    end = restore(here, manifest, signal=0)

    assert 143 == end.code
    assert [] == [name for name in end.world.power.effects if name.startswith("engine: ")]


def test_a_restore_that_was_given_up_says_why() -> None:
    """The journal has the words, under the run's own id."""
    here, manifest = migrated()
    rows = replace(manifest.contents.tables[0], rows=999)
    contents = replace(manifest.contents, tables=(rows, *manifest.contents.tables[1:]))

    end = restore(here, replace(manifest, contents=contents))

    run = runs(here)[-1]
    assert (Phase.ABANDONED, end.message) == (run.phase, run.named("reason"))
    assert run.cleared


def test_who_asked_is_told_how_the_migration_afterwards_ended() -> None:
    """The answer is that of the run that migrated; without a migration there is none."""
    here, manifest = migrated()
    done = Restore(FakeWorld(here, GOOD, POLICY).world, POLICY, "20260131-120101-0001", "r2").run(
        Wanted(manifest)
    )
    none = Restore(FakeWorld(here, GOOD, POLICY).world, POLICY, "20260131-120103-0003", "r4").run(
        Wanted(manifest, migrate=False)
    )

    assert done is not None
    assert done.run is not None
    assert ("r2", Phase.COMMITTED) == (done.run.id, done.run.phase)
    assert none is None
