"""
Every call to the outside fails once, every answer is lost once, and a signal comes at any time.

The run that meets it ends with a code that tells the truth about the data, and the next run ends
where an undisturbed one would have.
"""

import pytest

from tests.fakes import Power, copy, entries
from tests.fakes_data import AFTER, BEFORE
from tests.fakes_machine import LIVE, Machine
from tests.scenarios import (
    SCENARIOS,
    End,
    Scenario,
    Way,
    broken,
    expected,
    run_guard,
    runs,
    state,
)
from tests.unit.test_crashes import BASELINE, every_scenario

COMMITTED = "journal: committed"


@every_scenario
def test_every_call_fails_once(scenario: Scenario) -> None:
    """Whatever does not answer, once: the exit code says what state the data is in."""
    original = scenario.machine()
    calls = run_guard(copy(original), scenario.release, scenario.policy).world.power.calls
    for number, name in enumerate(calls):
        here = copy(original)
        end = run_guard(here, scenario.release, scenario.policy, Power(here, fail_at=number))
        here.settle()

        _tells_the_truth(here, end, f"call {number}, {name}")
        _recovers(scenario, here, end, f"call {number}, {name}")


@every_scenario
def test_every_answer_is_lost_once(scenario: Scenario) -> None:
    """
    Whatever was done, and not confirmed: nothing is believed, everything is looked up.

    Faults: 15.
    """
    original = scenario.machine()
    effects = run_guard(copy(original), scenario.release, scenario.policy).world.power.effects
    for number, name in enumerate(effects):
        here = copy(original)
        end = run_guard(here, scenario.release, scenario.policy, Power(here, lose_at=number))
        here.settle()

        _tells_the_truth(here, end, f"effect {number}, {name}")
        _recovers(scenario, here, end, f"effect {number}, {name}")


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.way is Way.POINT], ids=str)
def test_a_signal_at_any_time(scenario: Scenario) -> None:
    """A signal ends a run where nothing is torn: nothing changed, put back, or done."""
    original = scenario.machine()
    effects = run_guard(copy(original), scenario.release, scenario.policy).world.power.effects
    for number in range(len(effects) + 1):
        here = copy(original)
        end = run_guard(here, scenario.release, scenario.policy, signal=number)
        here.settle()

        assert end.code in {143, 21, BASELINE[scenario.program]}, number
        assert [] == broken(here, end), number
        again = run_guard(here, scenario.release, scenario.policy)
        here.settle()
        first = {0: 0, 143: BASELINE[scenario.program], 21: BASELINE[scenario.program]}
        assert (first.get(end.code or 0, 17), []) == (again.code, broken(here, again)), number


def test_stopped_before_the_migration_everything_runs_again() -> None:
    """A signal before the migration: exit 143, what was stopped is started, nothing is left."""
    scenario = Scenario("good", Way.POINT)
    here = scenario.machine()

    end = run_guard(here, scenario.release, scenario.policy, signal=3)

    assert (143, BEFORE, []) == (end.code, state(here), broken(here, end))
    assert all(service.running for service in here.services.values())


def _tells_the_truth(here: Machine, end: End, when: str) -> None:
    """Hold the first digit of the exit code to the data."""
    code = end.code
    assert code is not None
    assert [] == here.violations, when
    match code // 10:
        case 0:
            assert AFTER == state(here), when
        case 1 | 2:
            assert BEFORE == state(here), f"{when}: exit {code}"
        case _ if code == 30:  # the backup could not be read when it was needed
            assert "store: " in when
            assert not here.databases[LIVE].properties.allow_connections, when
        case _:
            assert code == 32, when  # stopped in the middle: the next run decides


def _recovers(scenario: Scenario, here: Machine, first: End, when: str) -> None:
    stranded = any(entry.phase == "stranded" for entry in entries(here))
    wanted = {30} if stranded else {expected(BASELINE[scenario.program], here)}
    end = run_guard(here, scenario.release, scenario.policy)
    here.settle()

    assert end.code in wanted, when
    if not stranded:
        assert [] == broken(here, end, first), when
    assert runs(here)[-1].finished, when
