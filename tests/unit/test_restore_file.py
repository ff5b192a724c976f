"""A restore of a dump that others have made, on fakes: loaded first, and then asked about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from sidecar import pick
from sidecar.errors import BackupDamaged, MigsafeError, Refused
from sidecar.facts import Contents, Examined, Table
from sidecar.plan import Phase
from sidecar.policy import Policy
from sidecar.restore_file import FileRestore, Loaded
from tests.fakes import FakeWorld, Killed, Power, copy
from tests.fakes_data import AFTER, BEFORE, EMPTY
from tests.fakes_engine import Release
from tests.fakes_machine import LIVE, Machine
from tests.scenarios import run_guard, runs, state

from .test_restore import BAD, GOOD, End, kept, left, migrated, stopped

POLICY = Policy()


@dataclass
class Dump:
    """A file of others."""

    data: bytes = field(default_factory=BEFORE.dump)
    name: str = "shop.dump"
    size: int = 1000
    damaged: bool = False

    def examine(self, progress: Callable[[int], None]) -> Examined:
        """Read it to its end."""
        progress(self.size)
        if self.damaged:
            raise BackupDamaged("shop.dump is cut off", hint="Nothing was changed.")
        return Examined("an archive", self.size, "17.6", "17.6")

    def sql(self) -> Iterator[bytes]:
        """Give it in two pieces."""
        yield self.data[:10]
        yield self.data[10:]


def yes(_loaded: Loaded) -> None:
    """Agree."""


def restore(
    here: Machine,
    dump: Dump | None = None,
    confirm: Callable[[Loaded], None] = yes,
    *,
    migrate: bool = False,
    release: Release = GOOD,
    power: Power | None = None,
    signal: int | None = None,
    free: int | None = None,
) -> End:
    """Restore a file as the command does."""
    here.runs += 2
    ids = [f"20260131-1200{n:02d}-{n:04x}" for n in (here.runs - 1, here.runs)]
    world = FakeWorld(here, release, POLICY, power, signal)
    world.engine.free = free
    act = FileRestore(world.world, POLICY, ids[0], ids[1])
    try:
        act.run_file(dump or Dump(), confirm, migrate=migrate)
    except MigsafeError as error:
        return End(error.status, world, error.message)
    except Killed:
        return End(None, world)
    return End(0, world)


def test_puts_a_file_in_place() -> None:
    """
    What is in it is live, what was there is kept and backed up; who was stopped waits for an up.

    Faults: 90, 119.
    """
    here, _ = migrated()
    before = len(FakeWorld(here, GOOD, POLICY).vault.manifests())

    end = restore(here)

    assert (0, BEFORE, [AFTER]) == (end.code, state(here), kept(here))
    assert ([], ["shop-app-1", "shop-worker-1"]) == (left(here), sorted(stopped(here)))
    assert Phase.RESTORED is runs(here)[-1].phase
    assert before + 1 == len(end.world.vault.manifests())


def test_is_asked_about_while_the_app_runs() -> None:
    """Nobody is stopped for a file that nobody wants once they see what is in it."""
    here, _ = migrated()
    seen: list[tuple[object, list[str], str | None]] = []

    def no(loaded: Loaded) -> None:
        seen.append((loaded.contents.rows, stopped(here), here.lock))
        raise Refused("not confirmed")

    end = restore(here, confirm=no)

    assert 17 == end.code
    assert [(BEFORE.contents.rows, [], runs(here)[-1].id)] == seen
    assert (AFTER, [], [], []) == (state(here), left(here), kept(here), stopped(here))


@pytest.mark.parametrize(
    ("dump", "code", "why"),
    [
        (Dump(damaged=True), 14, "cut off"),
        (Dump(EMPTY.dump()), 14, "holds 1 tables and no rows"),
        (Dump(b"nonsense of others"), 18, "line 1"),
        (Dump(size=1 << 40), 18, "are free"),
    ],
    ids=["damaged", "empty", "refused", "too large"],
)
def test_what_is_refused_leaves_everything(dump: Dump, code: int, why: str) -> None:
    """
    A file that can't be used changes nothing, and leaves nothing behind.

    Faults: 57, 59, 94.
    """
    here, _ = migrated()

    end = restore(here, dump, free=1 << 30)

    assert (code, AFTER, []) == (end.code, state(here), left(here))
    assert ([], []) == (stopped(here), kept(here))
    assert why in end.message


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_anywhere(before: bool) -> None:
    """
    Wherever it is killed, the next start ends with migrated data, and nothing is lost.

    Faults: 1, 44, 92.
    """
    original, _ = migrated()
    whole = Power(copy(original))
    restore(whole.machine, power=whole)
    assert len(whole.effects) > 10
    for number, name in enumerate(whole.effects):
        here = copy(original)
        assert restore(here, power=Power(here, number, before)).code is None
        end = run_guard(here, GOOD, POLICY)
        here.settle()

        assert (0, AFTER, []) == (end.code, state(here), left(here)), name
        events = frozenset().union(*(row.data.events for row in here.databases.values()))
        for client, count in original.acknowledged.items():
            assert {f"{client} {n}" for n in range(count)} <= events, name


def test_a_signal_before_the_swap_changes_nothing() -> None:
    """
    Stopped at any moment before the swap, everything is as it was.

    Faults: 2.
    """
    original, _ = migrated()
    whole = Power(copy(original))
    restore(whole.machine, power=whole)
    for number in range(len(whole.effects)):
        here = copy(original)
        end = restore(here, signal=number)

        expected = (AFTER, 0) if end.code == 143 else (BEFORE, 2)
        assert (*expected, []) == (state(here), len(stopped(here)), left(here)), number


def test_is_migrated_and_put_back_as_ever() -> None:
    """The present image migrates it, guarded: one that fails goes back to what the file holds."""
    good, _ = migrated()
    bad = copy(good)

    assert 0 == restore(good, migrate=True).code
    assert 20 == restore(bad, migrate=True, release=BAD).code
    assert (AFTER, BEFORE) == (state(good), state(bad))


def test_without_a_live_database() -> None:
    """Its owner and its locale are those of its newest backup; without one it is to be made."""
    here, _ = migrated()
    del here.databases[LIVE]
    bare = copy(here)
    bare.files.clear()

    assert 0 == restore(here).code
    assert BEFORE == state(here)
    assert 10 == restore(bare).code


def test_the_plan_says_what_is_missing() -> None:
    """Tables and extensions that are live and do not come, and what of the file is left out."""
    tables = tuple(Table("public", name, 5) for name in ("a", "b"))
    contents = Contents(tables[:1], "c", extensions=(("plpgsql", "1"),))
    coming = pick.Coming(
        "x.dump", 99, contents, "17.6", foreign=True, notes=(("leaves out", "grants to reader"),)
    )
    live = {table.title: 7 for table in tables}
    present = pick.Present("shop", live, extensions=("plpgsql", "citext"))

    text = "\n".join(pick.plan(coming, present, "shop__kept", None))

    assert "leaves out grants to reader" in text
    assert "public.a: 5 rows then, 7 now (+2)" in text
    assert "lacks      1 tables that are live now: public.b" in text
    assert "lacks      the extension citext" in text
