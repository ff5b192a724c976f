"""
What must hold once guards have ended: read off the server, Docker and the files, nothing else.

The numbers are those of the promises. What migsafe says counts in one respect only: what it left
kept or stopped must be named in what the operator reads.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from . import oracle
from .events import Event
from .scenarios import Scenario
from .seat import CANARY, CONTROL, LIVE, OUTDATED, Ran, Seat

PARTS = ("__migsafe_",)
KEPT = "__kept_"
RESTRICT = re.compile(rb"^\\(un)?restrict .*\n", re.MULTILINE)
TRUTHFUL = range(10, 30)


@dataclass(frozen=True)
class States:
    """What the database of a scenario may look like."""

    steps: tuple[str, ...]
    """Sums of what is in it: before, after each step."""
    properties: str
    dump: bytes
    """What a whole backup holds."""

    @property
    def before(self) -> str:
        """As it was."""
        return self.steps[0]

    @property
    def after(self) -> str:
        """As a migration that came to its end leaves it."""
        return self.steps[-1]


def states(seat: Seat, scenario: Scenario) -> States:
    """Learn the states by running the steps by hand on a copy."""
    seat.reset(scenario.shape)
    found = [oracle.inside(seat, LIVE)]
    dump = dumped(seat, LIVE)
    properties = oracle.properties(seat, LIVE)
    for step in scenario.steps:
        seat.execute(f"SET ROLE {scenario.shape.role}; {step}", LIVE)
        found.append(oracle.inside(seat, LIVE))
    return States(tuple(found), properties, dump)


def dumped(seat: Seat, database: str) -> bytes:
    """Dump a database by the server's own program."""
    argv = ["pg_dump", "-U", "postgres", "--no-password", "-d", database]
    created = seat.api.exec_create(seat.container("db"), argv, user="postgres")
    text = bytes(seat.api.exec_start(created["Id"]))
    assert 0 == seat.api.exec_inspect(created["Id"])["ExitCode"], text[-500:]
    return RESTRICT.sub(b"", text)


@dataclass
class Observed:
    """What is there after one run."""

    live: str | None
    """The sum of what is in the live database; None where it is closed or gone."""
    kept: frozenset[str]
    worker: bool


def observe(seat: Seat) -> Observed:
    """Look, between two runs."""
    live = None
    if oracle.open_to_all(seat, LIVE):
        live = oracle.inside(seat, LIVE)
    kept = frozenset(name for name in seat.databases() if KEPT in name)
    return Observed(live, kept, seat.worker_runs())


@dataclass
class Played:
    """One combination, as far as it was played."""

    scenario: Scenario
    states: States
    runs: list[Ran] = field(default_factory=list)
    seen: list[Observed] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    """What was found out while it was played."""


def told_wrong(played: Played) -> Iterator[str]:
    """Hold the exit code of the last run to the data."""
    run, seen = played.runs[-1], played.seen[-1]
    if run.code == 0 and seen.live != played.states.after:
        yield "I1: exit 0, and the database is not migrated"
    if (run.code in TRUTHFUL or run.code in {130, 143}) and seen.live != played.states.before:
        yield f"I2: exit {run.code}, and the database is not as it was"
    if (
        run.code in {10, 11, 13, 14, 15, 16, 18, 143}
        and not _stopped_before(played)
        and (not seen.worker)
    ):
        yield f"I10: exit {run.code}, nothing was changed, and the worker is stopped"


def _stopped_before(played: Played) -> bool:
    """Tell whether an earlier run has stopped the worker, and is not settled."""
    return any(not seen.worker for seen in played.seen[:-1])


def broken(seat: Seat, played: Played) -> list[str]:
    """Name what does not hold in the end."""
    seat.events.synchronise()
    return [
        *played.extra,
        *_live(seat, played),
        *_kept(seat, played),
        *_containers(seat, played),
        *_left(seat, played),
        *_files(seat),
        *_secrets(seat, played),
        *_services(seat, played),
    ]


def _live(seat: Seat, played: Played) -> Iterator[str]:
    scenario, wanted = played.scenario, played.states
    if not oracle.open_to_all(seat, LIVE):
        yield "I10: the live database is closed, or gone"
        return
    found = oracle.inside(seat, LIVE)
    if found not in {wanted.before, wanted.after}:
        yield "I2: the live database is neither as before nor as after"
    if found != (wanted.after if scenario.good else wanted.before):
        yield f"I9: the end is another than an undisturbed run's (exit {played.runs[-1].code})"
    if oracle.properties(seat, LIVE) != wanted.properties:
        yield "I2: properties of the live database have changed"


def _kept(seat: Seat, played: Played) -> Iterator[str]:
    names = [name for name in seat.databases() if KEPT in name]
    contents = set()
    for name in names:
        if oracle.open_to_all(seat, name):
            yield f"I10: kept database {name} is open"
        seat.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
        contents.add(oracle.inside(seat, name))
        if name not in _told(seat, played):
            yield f"I5: kept database {name} is named nowhere"
    if foreign := contents - set(played.states.steps):
        yield f"I4: kept databases hold what never was: {sorted(foreign)}"
    for seen in played.seen:
        if gone := seen.kept - set(names):
            yield f"I4: kept databases are gone: {sorted(gone)}"
        changed = set(played.states.steps) - {played.states.before}
        if not played.scenario.good and seen.live in changed and not contents & changed:
            yield "I4: what the failed migration wrote is nowhere"
    if played.scenario.good and any(code.code == 20 for code in played.runs):
        yield "I9: a good migration is said to have failed"


def _told(seat: Seat, played: Played) -> str:
    reports = [path.read_text() for path in seat.folder.glob("*.txt")]
    return "".join((*(run.output for run in played.runs), *reports))


def _containers(seat: Seat, played: Played) -> Iterator[str]:
    events = seat.events.of("migration", "create", "start", "die", "destroy")
    created = [event.run for event in events if event.action == "create"]
    if len(created) != len(set(created)):
        yield "I7: a run has made two migration containers"
    running: set[str] = set()
    for event in events:
        if event.action == "start":
            if running:
                yield "I7: two migrations ran at once"
            running.add(event.container)
            yield from _backed_up(seat, played, event, events)
        if event.action == "die":
            running.discard(event.container)
    if running:
        yield f"I7: a migration still runs: {sorted(running)}"
    started = [event for event in events if event.action == "start"]
    if len(started) > 1 and played.runs and not _may_run_again(played):
        yield f"I7: {len(started)} migrations were started"


def _may_run_again(played: Played) -> bool:
    """Tell whether one was interrupted: that says nothing of the image, and it is tried again."""
    return any(run.code == 21 for run in played.runs[:-1])


def _backed_up(
    seat: Seat, played: Played, started: Event, events: Sequence[Event]
) -> Iterator[str]:
    """Find a whole backup that was there before a migration started, taken by the same run."""
    created = next(
        (e.at for e in events if e.action == "create" and e.container == started.container), 0.0
    )
    since = max((run.started for run in played.runs if run.started <= created), default=0.0)
    for manifest in seat.folder.glob("*.manifest.json"):
        if not since - 0.01 <= manifest.stat().st_mtime <= started.at:
            continue
        told = json.loads(manifest.read_text())
        payload = manifest.with_name(manifest.name.removesuffix(".manifest.json"))
        data = payload.read_bytes()
        if hashlib.sha256(data).hexdigest() != told["sha256"] or len(data) != told["size"]:
            continue
        if payload.suffix == ".sql" and _statements(data) != _statements(played.states.dump):
            continue
        return
    yield "I3: a migration was started without a whole backup of the state before"


def _statements(dump: bytes) -> bytes:
    """Take a dump without what tells by which program it was made."""
    lines = RESTRICT.sub(b"", dump).splitlines()
    return b"\n".join(line for line in lines if not line.startswith(b"--"))


def _left(seat: Seat, played: Played) -> Iterator[str]:
    for name in seat.databases():
        if any(part in name for part in PARTS):
            yield f"scratch database {name} is left"
    yield from (f"container {name} is left" for name in seat.one_offs())
    if not played.scenario.stranger:  # once the stranger is gone, nobody is lent a role any more
        yield from (f"role {name} is left" for name in seat.lent_roles())
    mine = {seat.front} | (set() if played.scenario.shape.apart else {seat.back})
    if extra := seat.networks() - mine:
        yield f"I10: networks are left joined: {sorted(extra)}"
    locks = seat.rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")[0][0]
    if locks:
        yield "I7: a lock is left"


def _files(seat: Seat) -> Iterator[str]:
    names = {path.name for path in seat.folder.iterdir()}
    for path in sorted(seat.folder.iterdir()):
        report = path.name.removesuffix(".partial").endswith((".txt", ".yml", "inventory.json"))
        # the next one is written over what a killed run has left of its own
        if path.name.startswith(".") or (path.name.endswith(".partial") and not report):
            yield f"file {path.name} is left"
        if path.suffix in {".sql", ".zst"} and f"{path.name}.manifest.json" not in names:
            yield f"file {path.name} is left without a manifest"
        if (
            path.name.endswith(".manifest.json")
            and path.name.removesuffix(".manifest.json") not in names
        ):
            yield f"manifest {path.name} is left alone"
        if path.stat().st_mode & 0o077:
            yield f"I8: others may read {path.name}"


def _secrets(seat: Seat, played: Played) -> Iterator[str]:
    written = {path.name: path.read_text(errors="replace") for path in seat.folder.iterdir()}
    written |= {f"output of run {n}": run.output for n, run in enumerate(played.runs, 1)}
    written["labels"] = "".join(event.attributes for event in seat.events.all)
    with suppress(psycopg.OperationalError):
        rows = seat.rows("SELECT j::text FROM migsafe.journal j", CONTROL)
        written["the journal"] = str(rows)
    for place, text in written.items():
        if CANARY in text or OUTDATED in text:
            yield f"I8: the password is in {place}"


def _services(seat: Seat, played: Played) -> Iterator[str]:
    if seat.worker_runs():
        held = played.scenario.settings.get("MIGSAFE_AFTER_FAILURE") != "resume"
        if held and not played.scenario.good and played.runs[-1].code != 17:
            yield "I10: the migration failed, and the worker runs on the data"
        return
    if played.scenario.good:
        yield "I10: the migration succeeded, and the worker is stopped"
    elif played.scenario.settings.get("MIGSAFE_AFTER_FAILURE") == "resume":
        yield "I10: the worker is stopped, and was to be started again"
    elif "worker-1" not in _told(seat, played).replace(f"stopping {seat.container('worker')}", ""):
        yield "I10: the worker is stopped, and named nowhere"
