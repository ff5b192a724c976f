"""Migrations of every kind, guards that are cut off, and what must hold in the end."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sidecar.backups import MANIFEST_SUFFIX, PARTIAL_SUFFIX, Backup
from sidecar.errors import MigsafeError
from sidecar.guard import Guard
from sidecar.keys import Keys
from sidecar.plan import Phase, Run, fold
from sidecar.policy import Policy, RestorePoint
from tests.fakes import FakeWorld, Killed, Power, copy, entries, machine
from tests.fakes_data import AFTER, BEFORE, Data
from tests.fakes_engine import Release
from tests.fakes_machine import LIVE, SECRET, Machine, Step

INTERRUPTED, KILLED = 21, 137
DEADLINE = 20
"""Seconds that a migration may run; the longest takes six."""

_FIRST: tuple[Step, ...] = (("begin", "adds invoices"), ("commit",))
_SECOND: tuple[Step, ...] = (("begin", "fills invoices"), ("commit",))

PROGRAMS: Mapping[str, tuple[Step, ...]] = {
    "good": (*_FIRST, *_SECOND, ("exit", "0")),
    "fails after a commit": (*_FIRST, ("exit", "1")),
    "fails at once": (("exit", "1"),),
    "loses data": (("begin", "loses users"), ("commit",), ("exit", "0")),
    "dirty ledger": (("begin", "marks bad"), ("commit",), ("exit", "0")),
    "out of memory": (*_FIRST, ("begin", "fills invoices"), ("exit", "137", "oom")),
    "hangs": (*_FIRST, ("begin", "fills invoices"), ("hang",)),
    "vanishes": (*_FIRST, ("begin", "fills invoices"), ("vanish",)),
}


class Way(StrEnum):
    """Whether the rollback has a restore point to go back to."""

    POINT = "restore point"
    STRANGERS = "strangers"
    NEVER = "never"


class Aftermath(StrEnum):
    """What becomes of a running migration after its guard was killed."""

    STAYS = "still runs when the next guard comes"
    WRITES = "writes once more"
    ENDS = "comes to its end"
    DIES = "is killed too"


@dataclass(frozen=True)
class Scenario:
    """One migration under one policy."""

    program: str
    way: Way

    @property
    def release(self) -> Release:
        """The image."""
        return Release("v2", PROGRAMS[self.program])

    @property
    def policy(self) -> Policy:
        """The settings."""
        point = RestorePoint.NEVER if self.way is Way.NEVER else RestorePoint.AUTO
        return Policy(restore_point=point, deadline=timedelta(seconds=DEADLINE))

    def machine(self) -> Machine:
        """Make the machine, as it is before the first guard."""
        strangers = ["psql"] if self.way is Way.STRANGERS else []
        made = machine(BEFORE, strangers=strangers)
        made.whole = (BEFORE, AFTER)
        return made


SCENARIOS = tuple(Scenario(program, way) for program in PROGRAMS for way in Way)


@dataclass(frozen=True)
class End:
    """How a guard ended: None when it was killed."""

    code: int | None
    world: FakeWorld
    message: str = ""
    hint: str = ""


def run_guard(
    here: Machine,
    release: Release,
    policy: Policy,
    power: Power | None = None,
    signal: int | None = None,
    keys: Keys | None = None,
) -> End:
    """Run a guard on a machine as its command does."""
    here.runs += 1
    world = FakeWorld(here, release, policy, power, signal, keys)
    guard = Guard(world.world, policy, f"20260131-1200{here.runs:02d}-{here.runs:04x}")
    try:
        guard.run()
    except MigsafeError as error:
        return End(error.status, world, error.message, error.hint)
    except Killed:
        return End(None, world)
    return End(0, world)


def snapshots(here: Machine, scenario: Scenario) -> tuple[End, list[tuple[str, Machine]]]:
    """Run a guard to its end, and keep what the machine is after each of its side effects."""
    kept: list[tuple[str, Machine]] = []

    def keep(_number: int, name: str) -> None:
        left = copy(here)
        left.lock = None
        kept.append((name, left))

    power = Power(here, watch=keep)
    end = run_guard(here, scenario.release, scenario.policy, power)
    return end, kept


def aftermaths(left: Machine) -> Iterator[tuple[Aftermath, Machine]]:
    """Let what runs on run on, in every way; the machine itself is the first of them."""
    running = [c.name for c in left.containers.values() if c.status == "running"]
    acts: Mapping[Aftermath, Callable[[Machine], None]] = {
        Aftermath.WRITES: lambda m: m.pass_time(2),
        Aftermath.ENDS: lambda m: m.pass_time(8),
        Aftermath.DIES: lambda m: m.stop_container(m.containers[running[0]]),
    }
    for how, act in acts.items() if running else ():
        other = copy(left)
        act(other)
        yield how, other
    yield Aftermath.STAYS, left


# --- what must hold


def broken(
    here: Machine, end: End, *earlier: End, before: Data = BEFORE, after: Data = AFTER
) -> list[str]:
    """Name the promises that do not hold once guards have ended, by their numbers in the design."""
    live = here.databases.get(LIVE)
    found = [*here.violations]
    if end.code == 0 and (live is None or live.data.core != after):
        found.append("1: exit 0, and the database is not migrated")
    if end.code != 0 and (live is None or live.data.core != before):
        found.append(f"2: exit {end.code}, and the live database is not as it was")
    if live is not None and live.properties != machine().databases[LIVE].properties:
        found.append(f"10: the live database has other properties: {live.properties}")
    if SECRET in str((here.journal, here.files)):
        found.append("9: a secret is in the journal or in a file")
    found += lost(here)
    found += _left(here)
    warnings = "".join(line for each in (*earlier, end) for line in each.world.tell.warnings)
    found += _held(here, end, warnings)
    return found


def lost(here: Machine, *, fenced: bool = True) -> Iterator[str]:
    """Name acknowledged writes that are nowhere; a fenced service's belong in the live database."""
    kept = [row.data for name, row in here.databases.items() if name == LIVE or "__kept_" in name]
    present = here.forgotten.union(*(data.events for data in kept))
    for client, count in here.acknowledged.items():
        lost = [n for n in range(count) if f"{client} {n}" not in present]
        if lost:
            yield f"5: writes {lost[:5]} of {client} are nowhere"
    live = here.databases.get(LIVE)
    for service in here.services if fenced else ():
        gone = range(here.acknowledged.get(service, 0))
        if live is not None and any(f"{service} {n}" not in live.data.events for n in gone):
            yield f"5: a write of {service} is not in the live database, though it was fenced"


def _left(here: Machine) -> Iterator[str]:
    yield from (f"scratch {name} is left" for name in here.databases if "__migsafe_" in name)
    yield from (f"container {name} is left" for name in here.containers)
    for name in here.files:
        ours = name.removesuffix(PARTIAL_SUFFIX).removesuffix(MANIFEST_SUFFIX)
        if name.endswith(PARTIAL_SUFFIX) and Backup.parse(ours):
            yield f"file {name} is left"
    for name, row in here.databases.items():
        if "__kept_" in name and row.properties.allow_connections:
            yield f"kept database {name} is open"


def _held(here: Machine, end: End, warnings: str) -> Iterator[str]:
    stopped = {s.name for s in here.services.values() if not s.running and s.name not in warnings}
    if end.code == 0 and stopped:
        yield f"10: {sorted(stopped)} are stopped, though the migration succeeded"
    told = {name for run in runs(here) for name in run.stopped}
    if stopped - told:
        yield f"10: {sorted(stopped - told)} are stopped, and the journal does not know it"


def runs(here: Machine) -> tuple[Run, ...]:
    """Fold a machine's journal."""
    return fold(entries(here))


def expected(baseline: int, left: Machine) -> int:
    """
    Tell what the next guard ends with after one was killed, from what the machine shows.

    It is what an uninterrupted run would have ended with, but where the truth is another:

    - the verdict was in the journal already: that failure's code, or 17 once it was all done, as
      for every further start with an image that is known to fail (an interruption says nothing of
      the image: it is tried again);
    - there is no container that tells how it ended, or it was created and never started: 21;
    - it was killed with the guard, or by a guard at its deadline: 20, that is how it ended.
    """
    found = runs(left)
    if not found:
        return baseline
    last = found[-1]
    container = next(iter(c for c in left.containers.values() if "migration" in c.name), None)
    match last.phase:
        case Phase.FAILED | Phase.LOADING | Phase.SWAPPED:
            return int(last.detail["code"])
        case Phase.ROLLED_BACK | Phase.UNCHANGED:
            return baseline if last.failure.code == INTERRUPTED else 17
        case Phase.MIGRATING if container is None or container.status == "created":
            return INTERRUPTED
        case Phase.MIGRATING if container and container.code == KILLED:
            return 20
        case Phase.EXITED if last.detail["exit_code"] == KILLED:
            return 20
        case _:
            return baseline


def state(here: Machine) -> Data | None:
    """Read what is in the live database."""
    live = here.databases.get(LIVE)
    return live.data.core if live else None
