"""One combination: a scenario, a failpoint that is armed, and what is played with it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from . import checker
from .checker import Observed, Played, States
from .scenarios import BY_NAME, FAILED, INTERRUPTED, REFUSED, TOO_LONG, Scenario
from .seat import Seat

KILLED = 137
ACTIONS = ("kill", "term", "raise", "fail")
_NAME = re.compile(r"(?P<scenario>[\w-]+):(?P<first>[\w.@-]+=\w+)(,(?P<second>[\w.@-]+=\w+))?")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Combination:
    """What one play is called, and consists of."""

    scenario: Scenario
    first: str
    """The failpoint of the first run."""
    second: str = ""
    """The failpoint of the run that recovers."""

    def __str__(self) -> str:
        more = f",{self.second}" if self.second else ""
        return f"{self.scenario.name}:{self.first}{more}"

    @property
    def kind(self) -> str:
        """What is done, for the count."""
        return "kill twice" if self.second else self.first.rpartition("=")[2]

    @classmethod
    def of(cls, text: str) -> "Combination":
        """Read one back from its name."""
        found = _NAME.fullmatch(text)
        if found is None or found["scenario"] not in BY_NAME:
            raise ValueError(f"{text!r} is no combination: scenario:point@passing=action")
        return cls(BY_NAME[found["scenario"]], found["first"], found["second"] or "")


@dataclass
class Result:
    """How a combination ended."""

    combination: Combination
    violations: list[str]
    codes: list[int]
    hit: bool
    """The failpoint was passed."""
    recovering: tuple[str, ...]
    """The points that the run which recovered has passed."""
    outputs: list[str]
    passed: tuple[str, ...]
    """The points at which the first run did something."""
    seconds: float

    @classmethod
    def of(
        cls, combination: Combination, played: Played, found: list[str], seconds: float
    ) -> "Result":
        """Sum up what was played."""
        return cls(
            combination,
            sorted(set(found)),
            [run.code for run in played.runs],
            bool(played.runs[0].passed),
            played.runs[1].passed,
            [run.output for run in played.runs],
            played.runs[0].passed,
            seconds,
        )


def play(seat: Seat, combination: Combination, states: States) -> Result:
    """Run a guard that is cut off, and then others until nothing is left to do."""
    scenario = combination.scenario
    played = Played(scenario, states)
    started = time.monotonic()
    seat.reset(scenario.shape)
    found: list[str] = []
    if scenario.stranger:
        with seat.session("shop"):
            _all(seat, combination, played, found)
    else:
        _all(seat, combination, played, found)
    found += checker.broken(seat, played)
    return Result.of(combination, played, found, time.monotonic() - started)


def _all(seat: Seat, combination: Combination, played: Played, found: list[str]) -> None:
    armed = [combination.first, *filter(None, [combination.second])]
    for failpoints in armed:
        _one(seat, played, failpoints, found)
    settle(seat, played, found)


def settle(seat: Seat, played: Played, found: list[str]) -> None:
    """Run guards that nobody disturbs, until nothing is left to do."""
    _one(seat, played, "*=trace", found)
    found += _deserved(seat, played)
    if played.runs[-1].code == INTERRUPTED:
        _one(seat, played, "", found)
        found += _deserved(seat, played, again=True)


def _one(seat: Seat, played: Played, failpoints: str, found: list[str]) -> None:
    played.runs.append(seat.guard(played.scenario.environment, failpoints))
    played.seen.append(checker.observe(seat))
    found += checker.told_wrong(played)


def _deserved(seat: Seat, played: Played, *, again: bool = False) -> list[str]:
    """Hold the run that recovers to what the migration deserves."""
    code, wanted = played.runs[-1].code, {played.scenario.code}
    if not played.scenario.good:
        wanted |= {REFUSED}
    if played.scenario.code == TOO_LONG:
        wanted |= {FAILED}
    if not again:
        wanted |= {INTERRUPTED} if _interrupted(seat, played) else set()
    if code in wanted:
        return []
    return [f"I9: the run that recovers ended with {code} instead of {sorted(wanted)}"]


def _interrupted(seat: Seat, played: Played) -> bool:
    """Tell whether a killed run has left a migration that was never started."""
    seat.events.synchronise()
    created = {event.run for event in seat.events.of("migration", "create")}
    started = {event.run for event in seat.events.of("migration", "start")}
    earlier = [run for run in played.runs[:-1] if run.code in {KILLED, 1, 32}]
    return bool(earlier) and (not started or bool(created - started))


def traced(seat: Seat, scenario: Scenario, states: States) -> tuple[Result, tuple[str, ...]]:
    """Run a guard undisturbed, and list the points that it passes."""
    result = play(seat, Combination(scenario, "*=trace"), states)
    return result, result.passed


__all__ = ["ACTIONS", "Combination", "Observed", "Result", "play", "traced"]
