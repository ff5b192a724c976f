"""
Histories drawn from a seed: releases good and bad, guards that fail by chance, days that pass.

What must hold is read off the machine after every run; in the end, without faults, the next good
release must go through and leave everything as an undisturbed history would have.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

from sidecar import inventory
from sidecar.backups import MANIFEST_SUFFIX
from sidecar.plan import Phase, Run
from sidecar.policy import AfterFailure, Fence, Policy, RestorePoint
from tests.chaos import Chaos, Fault
from tests.fakes import FakeJournal, Power, machine
from tests.fakes_data import BEFORE, EMPTY, Data
from tests.fakes_machine import LIVE, PROPERTIES, SECRET, Machine
from tests.fakes_store import backup_in
from tests.releases import STAGES, Image, Kind
from tests.scenarios import DEADLINE, End, broken, lost, run_guard, runs

MOST_RUNS = 5
DAYS = 86400.0
KEEP = timedelta(days=7)


@dataclass
class History:
    """One history, as it is drawn and told."""

    seed: int
    dice: Random = field(init=False)
    here: Machine = field(init=False)
    policy: Policy = field(init=False)
    story: list[str] = field(default_factory=list)
    images: dict[str, Image] = field(default_factory=dict)
    """What each run was to migrate, by its id."""
    ends: list[End] = field(default_factory=list)
    faults: int = 0
    broken: list[str] = field(default_factory=list)
    lost_server: bool = False
    lost_backups: bool = False
    backups: frozenset[str] = frozenset()
    """Those that were whole before the last run."""

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)  # noqa: S311 - it is to be replayed
        strangers = ["psql"] if self.dice.random() < 0.25 else []
        self.here = machine(BEFORE, strangers=strangers)
        self.policy = self._policy()
        self.image = self._image(0)
        self.story.append(
            f"fence {self.policy.fence}, restore point {self.policy.restore_point},"
            f" after a failure {self.policy.after_failure}, strangers {strangers}"
        )

    def play(self) -> list[str]:
        """Play it to its end; return the promises that were broken."""
        for _ in range(self.dice.randint(1, MOST_RUNS)):
            self._run(self.dice.choice((0.0, 0.01, 0.03, 0.1)))
            if self.broken:
                return self.broken
            self._between()
        self._converge()
        return self.broken

    # --- drawn

    def _policy(self) -> Policy:
        fences = (*[Fence.SERVICES] * 5, Fence.TERMINATE, Fence.STRICT, Fence.NONE)
        return Policy(
            restore_point=self.dice.choice((*[RestorePoint.AUTO] * 3, RestorePoint.NEVER)),
            deadline=timedelta(seconds=DEADLINE),
            fence=self.dice.choice(fences),
            after_failure=self.dice.choice((AfterFailure.HOLD, AfterFailure.RESUME)),
            keep=KEEP,
        )

    def _image(self, stage: int, kind: Kind | None = None) -> Image:
        kinds = (*[Kind.GOOD] * 4, *Kind)
        number = len({image.number for image in self.images.values()}) + 2
        return Image(stage, kind or self.dice.choice(kinds), number)

    # --- one run

    def _run(self, chance: float, policy: Policy | None = None) -> End:
        here, policy = self.here, policy or self.policy
        self.backups = _whole(here)
        self.images[_next_run(here)] = self.image
        self.story.append(f"run {here.runs + 1}: {self.image.release.image} {self.image.kind}")
        here.whole = (BEFORE, *(i.target for i in self.images.values() if i.target))
        power = Chaos(here, self.dice, chance, self._fault, self._another)
        signal = self.dice.randint(0, 60) if chance and self.dice.random() < 0.1 else None
        if signal is not None:
            self.story.append(f"  a signal comes after effect {signal}")
        try:
            end = run_guard(here, self.image.release, policy, power, signal)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a bug
            self.broken.append(f"a bug: {type(error).__name__}: {error}")
            end = End(1, None)  # type: ignore[arg-type]  # nobody looks at it any more
        self.ends.append(end)
        self.story.append(f"  ends with {'a kill' if end.code is None else end.code}")
        self.broken += self._wrong(end)
        return end

    def _fault(self, text: str) -> None:
        self.faults += 1
        self.story.append(f"  {text}")

    def _another(self) -> None:
        """Let a guard of another host run while one is away."""
        self.images[_next_run(self.here)] = self.image
        power = Power(self.here)
        end = run_guard(self.here, self.image.release, self.policy, power)
        self.ends.append(end)
        self.story.append(f"  the other guard (run {self.here.runs}) ends with {end.code}")

    # --- what must hold after every run

    def _wrong(self, end: End) -> Iterator[str]:
        here, truth = self.here, self._truth()
        live = here.databases.get(LIVE)
        yield from self._in_passing()
        if truth is None:
            yield "1: a bad migration was committed"
            return
        # who can't reach the server does not know of the run that was cut off before
        blind = end.code in {10, 11, 12} and self._unsettled_run()
        middle = end.code is None or end.code // 10 == 3 or blind
        if not middle and (live is None or live.data.core != truth):
            yield f"2: exit {end.code}, and the live database is neither before nor after"
        if end.code == 0 and truth != self.image.target:
            yield "1: exit 0, and this image did not migrate the database"
        told = end.world and "could not be closed" in end.world.tell.text
        if end.code == 30 and live and live.properties.allow_connections and not told:
            yield "2: exit 30, and the database is open"
        if middle and not self.lost_backups and not _somewhere(here, truth):
            yield "2: the state before is in no database and no backup"
        if SECRET in str((here.journal, here.files)):
            yield "9: a secret is in the journal or in a file"
        if not self.lost_server:
            yield from lost(here, fenced=self.policy.fence is not Fence.NONE and not middle)
        yield from self._fewer_backups()

    def _in_passing(self) -> Iterator[str]:
        excused = tuple(self._excused())
        yield from (v for v in self.here.violations if not v.startswith(excused))

    def _truth(self) -> Data | None:
        """Tell what the database must hold: what the last committed run was to make of it."""
        if self.lost_server:
            return EMPTY
        committed = [run for run in runs(self.here) if run.phase is Phase.COMMITTED]
        return self.images[committed[-1].id].target if committed else BEFORE

    def _fewer_backups(self) -> Iterator[str]:
        """Hold the deletion of backups to what may be deleted."""
        left = _whole(self.here)
        gone = self.backups - left
        if not gone or self.lost_backups:
            return
        if max(left | gone) in gone:
            yield f"6: the newest backup {max(gone)} is gone"
        limit = f"pre-migration-{self.here.now - KEEP:%Y%m%d-%H%M%S}.sql"
        yield from (f"6: {name} is gone too early" for name in gone if name > limit)

    # --- what happens between runs

    def _between(self) -> None:
        self._to_containers()
        here, dice = self.here, self.dice
        if dice.random() < 0.3 and self._last_failed():
            self._retry()
        if dice.random() < 0.1:
            self.story.append("eight days pass")
            here.pass_time(30)
            here.time += 8 * DAYS
        if dice.random() < 0.03:
            self._lose()
        self._next_image()

    def _to_containers(self) -> None:
        """Let what runs on run on, in every way."""
        here = self.here
        for container in tuple(here.containers.values()):
            match self.dice.choice(("stays", "goes on", "ends", "is killed", "is removed")):
                case "goes on":
                    here.pass_time(2)
                case "ends":
                    here.pass_time(9)
                case "is killed":
                    self.story.append(f"{container.name} is killed")
                    here.stop_container(container)
                case "is removed":
                    self.story.append(f"{container.name} is removed")
                    here.stop_container(container)
                    here.containers.pop(container.name, None)

    def _last_failed(self) -> bool:
        last = self._last_run()
        return last is not None and last.failed

    def _last_run(self) -> Run | None:
        found = [run for run in runs(self.here) if run.phase is not Phase.ABANDONED]
        return found[-1] if found else None

    def _retry(self) -> None:
        last = self._last_run()
        if last is not None and last.failed:
            self.story.append(f"the operator lets run {last.id} be tried again")
            FakeJournal(self.here, Power(self.here)).append(last.id, Phase.RETRY)

    def _lose(self) -> None:
        here = self.here
        if self.lost_server:
            return
        if self.dice.random() < 0.5:
            self.story.append("the folder of backups is lost")
            here.files.clear()
            self.lost_backups = True
            return
        if not _whole(here):
            return  # nothing could tell an empty database from a new one
        self.story.append("the server's volume is lost: an empty one takes its place")
        here.system += "9"
        here.databases.clear()
        here.backends.clear()
        here.containers.clear()
        here.journal.clear()
        here.create("postgres", Data({}), PROPERTIES)
        here.create(LIVE, EMPTY, PROPERTIES)
        here.acknowledged.clear()
        self.lost_server = True

    def _next_image(self) -> None:
        if self._pending() or self.dice.random() < 0.4:
            if self.dice.random() < 0.2:
                self.image = self._image(self.image.stage)
            return
        done = self._truth() == self.image.target
        stage = min(self.image.stage + 1, len(STAGES) - 1) if done else self.image.stage
        self.image = self._image(stage)

    def _pending(self) -> bool:
        return any(not run.finished for run in runs(self.here)[-1:])

    def _unsettled_run(self) -> bool:
        stranded = any(run.phase is Phase.STRANDED for run in runs(self.here)[-1:])
        return stranded or self._pending()

    # --- the end

    def _converge(self) -> None:
        """Without faults, a good release goes through."""
        self.story.append("from here on nothing fails")
        self.here.settle()
        self.image = self._image(self.image.stage, Kind.GOOD)
        policy = replace(self.policy, fence=Fence.SERVICES)
        for _ in range(3):
            self._retry()
            end = self._run(0.0, policy)
            if end.code == 0 or self.broken:
                break
        if not self.broken:
            self.here.settle()
            self.broken += self._unsettled(end)

    def _unsettled(self, end: End) -> list[str]:
        if self.lost_server:
            return [] if end.code == 17 else [f"a lost volume ends with {end.code}"]
        if end.code == 30 and self.lost_backups:
            return []
        if end.code != 0:
            return [f"8: a good release ends with {end.code}"]
        target = self.image.target
        assert target is not None
        found = broken(self.here, end, *self.ends, before=target, after=target)
        found += [f"torn: {name} is left" for name in self.here.files if self._torn(name)]
        return [each for each in found if not each.startswith(tuple(self._excused()))]

    def _torn(self, name: str) -> bool:
        whole = {*_whole(self.here), inventory.FILE}
        return name not in whole and name.removesuffix(MANIFEST_SUFFIX) not in whole

    def _excused(self) -> Iterator[str]:
        if self.policy.fence is Fence.NONE:
            yield "5:"
        # away between the note that it stops a service and the stop: nothing can hold that back
        if any("stopp" in line and Fault.AWAY in line for line in self.story):
            yield "10:"
        # away between a backup and its manifest, which then speaks of what was cleared
        # already; what it leaves goes once it is old (retention.half_deleted)
        late = [line for line in self.story if Fault.AWAY in line]
        if any("store: " in line or "backing-up" in line for line in late):
            yield "3: pre-migration"
            yield "torn:"
        # the file system did not let it go: that is tried again when it is old, as above
        if any("store: discard" in line for line in self.story):
            yield "torn:"
            yield "file "


def _next_run(here: Machine) -> str:
    number = here.runs + 1
    return f"20260131-1200{number:02d}-{number:04x}"


def _whole(here: Machine) -> frozenset[str]:
    """Name the backups that are whole."""
    return frozenset(name for name in here.files if backup_in(here, name) is not None)


def _somewhere(here: Machine, wanted: Data) -> bool:
    """Tell whether a state is in a database or in a whole backup."""
    return any(row.data.core == wanted for row in here.databases.values()) or any(
        found.core == wanted for name in here.files if (found := backup_in(here, name))
    )
