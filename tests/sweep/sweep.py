"""The sweep: which combinations there are, who plays them, and what came of it."""

import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TypeVar

from . import checker
from .checker import States
from .combinations import ACTIONS, Combination, Result, play, traced
from .scenarios import SCENARIOS, Scenario
from .seat import Seat

PASSINGS = 2
"""How many passings of one point are tried; of what is passed all the time, some more."""

BUSY = "engine.asked"
EVERY = 6
"""Every so many passings of the busy point are tried."""

START = "journal.before.migrating@1"
WHOLE = frozenset({"good", "bad", "at-once", "hangs", "loads"})
"""Scenarios in which every action is taken at every point; in the others it is the kill."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Known:
    """What undisturbed runs have taught."""

    states: dict[str, States] = field(default_factory=dict)
    passed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The points of each scenario, as ``name@passing``, in their order."""
    wrong: list[Result] = field(default_factory=list)
    """Undisturbed runs that broke a promise."""

    @property
    def reached(self) -> frozenset[str]:
        """The names of all points that some scenario passes."""
        return frozenset(
            passing.partition("@")[0] for passed in self.passed.values() for passing in passed
        )


def learn(seats: Sequence[Seat], scenarios: Iterable[Scenario] = SCENARIOS) -> Known:
    """Run each scenario undisturbed."""
    known = Known()

    def one(seat: Seat, scenario: Scenario) -> None:
        found = checker.states(seat, scenario)
        result, passed = traced(seat, scenario, found)
        known.states[scenario.name], known.passed[scenario.name] = found, passed
        if result.violations or result.codes[0] != scenario.code:
            known.wrong.append(result)

    for _ in spread(seats, list(scenarios), one):
        pass
    return known


def combinations(known: Known) -> list[Combination]:
    """List what is to be played."""
    found = []
    before = _before(known.passed.get("good", ()))
    seen: set[str] = set()
    for scenario in SCENARIOS:
        passed = known.passed.get(scenario.name, ())
        for passing in _chosen(passed):
            if scenario.name != "good" and passing in before:
                continue  # until the migration is started, all of them do the same
            point = passing.partition("@")[0]
            whole = scenario.name in WHOLE or point not in seen
            found += [
                Combination(scenario, f"{passing}={action}")
                for action in (ACTIONS if whole else ACTIONS[:1])
            ]
        seen |= {passing.partition("@")[0] for passing in passed}
    return found


def _before(passed: Sequence[str]) -> frozenset[str]:
    return frozenset(passed[: passed.index(START)] if START in passed else ())


def _chosen(passed: Sequence[str]) -> Iterator[str]:
    for passing in passed:
        point, _, number = passing.partition("@")
        if int(number) <= PASSINGS or (point == BUSY and int(number) % EVERY == 0):
            yield passing


def killed_again(results: Iterable[Result], chance: random.Random, count: int) -> list[Combination]:
    """Choose kills of the run that recovers, among the points that it was seen to pass."""
    found = [
        Combination(result.combination.scenario, result.combination.first, f"{passing}=kill")
        for result in results
        if result.combination.first.endswith("=kill") and result.codes[0] == 137
        for passing in _chosen(result.recovering)
        if not passing.startswith(BUSY)
    ]
    return chance.sample(found, min(count, len(found)))


def sweep(
    seats: Sequence[Seat],
    todo: Sequence[Combination],
    states: Mapping[str, States],
    tell: Callable[[int, Result], None],
    until: float = math.inf,
) -> list[Result]:
    """Play combinations on all seats; none is begun after a moment."""
    done: list[Result] = []

    def one(seat: Seat, combination: Combination) -> Result:
        return play(seat, combination, states[combination.scenario.name])

    for result in spread(seats, todo, one, until):
        done.append(result)
        tell(len(done), result)
    return done


def spread(
    seats: Sequence[Seat],
    todo: Sequence[T],
    act: Callable[[Seat, T], R],
    until: float = math.inf,
) -> Iterator[R]:
    """Have something done with each, on whichever seat is free; results as they come."""
    waiting: SimpleQueue[T] = SimpleQueue()
    for each in todo:
        waiting.put(each)
    done: SimpleQueue[R | BaseException | _Ready] = SimpleQueue()

    def work(seat: Seat) -> None:
        with suppress(Empty):
            while time.monotonic() < until:
                each = waiting.get_nowait()
                try:
                    done.put(act(seat, each))
                except BaseException as error:  # noqa: BLE001 - raised by whoever waits for it
                    error.add_note(f"while playing {each}")
                    done.put(error)
        done.put(_Ready())

    for seat in seats:
        threading.Thread(target=work, args=(seat,), daemon=True).start()
    working = len(seats)
    while working:
        match done.get():
            case _Ready():
                working -= 1
            case BaseException() as error:
                raise error
            case result:
                yield result


class _Ready:
    """A seat has nothing more to do."""


@dataclass
class Tally:
    """Counts what ran, and tells of it now and then."""

    total: int
    what: str = "combinations"
    started: float = field(default_factory=time.monotonic)
    wrong: int = 0

    def note(self, number: int, result: Result) -> None:
        """Count a result; one that broke a promise is shown at once."""
        if result.violations:
            self.wrong += 1
            show(result)
        if number % 25 == 0 or number == self.total:
            passed = (time.monotonic() - self.started) / 60
            print(
                f"          {number} of {self.total} {self.what} in {passed:.1f} min,"
                f" {self.wrong} broke a promise",
                flush=True,
            )


def show(result: Result) -> None:
    """Tell of a combination that broke a promise, and how to see it again."""
    print(f"✗ {result.combination}  (exit codes {result.codes})")
    for violation in result.violations:
        print(f"    {violation}")
    print(f"    again: make sweep ONLY='{result.combination}'", flush=True)
