"""
The guard is cut off at every side effect, once and twice, and the next one puts it right.

What must hold is read off the machine alone: the server, the containers, the files. The state
before a side effect is the state after the one before it, so that the second kill only comes
after each.
"""

from collections.abc import Iterator
from time import monotonic

import pytest

from tests.fakes import Power, copy
from tests.fakes_data import AFTER, BEFORE
from tests.fakes_engine import Release
from tests.fakes_machine import Machine
from tests.scenarios import (
    DEADLINE,
    PROGRAMS,
    SCENARIOS,
    Aftermath,
    End,
    Scenario,
    Way,
    aftermaths,
    broken,
    expected,
    run_guard,
    snapshots,
    state,
)

BASELINE = {
    "good": 0,
    "fails after a commit": 20,
    "fails at once": 20,
    "loses data": 22,
    "dirty ledger": 22,
    "out of memory": 20,
    "hangs": 23,
    "vanishes": 21,
}


def _name(scenario: Scenario) -> str:
    return f"{scenario.program}-{scenario.way}"


every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=_name)


@pytest.fixture(scope="module", autouse=True)
def count() -> Iterator[list[int]]:
    """Count the scenarios, and tell how many there were."""
    ran: list[int] = []
    started = monotonic()
    yield ran
    print(f"\n{len(ran)} crashes were recovered from in {monotonic() - started:.1f} s")


@every_scenario
def test_uninterrupted(scenario: Scenario) -> None:
    """A run that nobody cuts off ends as its migration deserves, and keeps every promise."""
    here = scenario.machine()

    end = run_guard(here, scenario.release, scenario.policy)
    here.settle()

    assert BASELINE[scenario.program] == end.code
    assert [] == broken(here, end)


@every_scenario
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_once(scenario: Scenario, before: bool, count: list[int]) -> None:
    """Killed before or after any side effect, the next run ends where one run would have."""
    original = scenario.machine()
    for number in range(len(_effects(scenario))):
        here = copy(original)
        power = Power(here, kill_at=number, before=before)
        killed = run_guard(here, scenario.release, scenario.policy, power)

        assert killed.code is None
        for how, left in aftermaths(here):
            _recovers(
                scenario, left, f"{'before' if before else 'after'} {power.effects[-1]}; {how}"
            )
            count.append(1)


@pytest.mark.parametrize("way", [Way.POINT, Way.STRANGERS])
@pytest.mark.parametrize("program", PROGRAMS)
def test_killed_twice(program: str, way: Way, count: list[int]) -> None:
    """So it does when the run that recovers is killed too, after any of its side effects."""
    scenario = Scenario(program, way)
    for first, once in snapshots(scenario.machine(), scenario)[1]:
        for how, left in aftermaths(once):
            for second, twice in snapshots(left, scenario)[1]:
                _recovers(scenario, twice, f"after {first}; {how}; then after {second}")
                count.append(1)


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("program", [name for name in PROGRAMS if name != "good"])
def test_fixed_image_after_a_kill(program: str, way: Way, count: list[int]) -> None:
    """Killed with a bad image, the next run with a good one puts back and migrates."""
    scenario, fixed = Scenario(program, way), Release("v3", PROGRAMS["good"])
    for name, once in snapshots(scenario.machine(), scenario)[1]:
        for how, left in aftermaths(once):
            end = run_guard(left, fixed, scenario.policy)
            left.settle()

            assert (0, []) == (end.code, broken(left, end)), f"after {name}; {how}"
            count.append(1)


@every_scenario
def test_nothing_is_retried_for_ever(scenario: Scenario) -> None:
    """A third and a fourth start change nothing: a good image is done, a bad one refused."""
    here = scenario.machine()
    first = run_guard(here, scenario.release, scenario.policy)
    backups = len(here.files)

    codes = {run_guard(here, scenario.release, scenario.policy).code for _ in range(3)}

    again = {0: {0}, 21: {21}}.get(first.code or 0, {17})
    assert again == codes
    assert scenario.program == "vanishes" or backups == len(here.files)


def test_a_migration_that_outlives_its_guard_is_adopted() -> None:
    """The container that still runs is waited for, and its own exit code is taken."""
    scenario = Scenario("good", Way.POINT)
    left = dict(snapshots(scenario.machine(), scenario)[1])["engine: container started"]

    end = run_guard(left, scenario.release, scenario.policy)

    assert (0, AFTER) == (end.code, state(left))
    assert "engine: container created" not in end.world.power.effects


def test_what_a_dead_client_left_in_the_server_does_not_come_late() -> None:
    """A killed container's statement would commit seconds later: it is ended before anything."""
    scenario = Scenario("hangs", Way.POINT)
    left = dict(snapshots(scenario.machine(), scenario)[1])["engine: container started"]
    left.pass_time(4)
    died = dict(aftermaths(left))[Aftermath.DIES]
    assert any(backend.pending for backend in died.backends.values())

    end = run_guard(died, scenario.release, scenario.policy)
    died.settle()

    assert (20, BEFORE) == (end.code, state(died))


def test_the_deadline_is_one_for_all_guards() -> None:
    """A migration that hangs has no more time because its guard was killed and came again."""
    scenario = Scenario("hangs", Way.POINT)
    here = scenario.machine()
    started = here.time
    run_guard(here, scenario.release, scenario.policy, Power(here, kill_at=_started(scenario)))
    here.pass_time(DEADLINE - 5)

    end = run_guard(here, scenario.release, scenario.policy)

    assert 23 == end.code
    assert here.time - started < DEADLINE + 5


def _started(scenario: Scenario) -> int:
    return _effects(scenario).index("engine: container started")


def _effects(scenario: Scenario) -> list[str]:
    end, _ = snapshots(scenario.machine(), scenario)
    return end.world.power.effects


def _recovers(scenario: Scenario, left: Machine, when: str) -> None:
    wanted = expected(BASELINE[scenario.program], left)
    end: End = run_guard(left, scenario.release, scenario.policy)
    left.settle()

    assert (wanted, []) == (end.code, broken(left, end)), when
