"""
Whole histories, drawn from seeds: releases, crashes, errors, lost answers, days that pass.

A seed that fails tells its story; ``scripts/simulate SEED`` plays it again.
"""

from time import monotonic

import pytest

from tests.simulation import History

BATCHES, SEEDS = 12, 100


@pytest.mark.parametrize("batch", range(BATCHES))
def test_no_history_breaks_a_promise(batch: int) -> None:
    """
    Whatever fails, in whatever order: the data is before or after, and nothing is lost.

    Faults: 1, 3, 7, 12, 15, 20, 40, 44, 61, 77, 80, 88, 89, 92, 96, 101, 104.
    """
    started, runs, faults = monotonic(), 0, 0
    for seed in range(batch * SEEDS, (batch + 1) * SEEDS):
        history = History(seed)
        broken = history.play()
        runs, faults = runs + len(history.ends), faults + history.faults
        assert [] == broken, "\n  ".join((f"scripts/simulate {seed}:", *history.story))
    seconds = monotonic() - started
    print(f"{SEEDS} seeds, {runs} runs, {faults} faults in {seconds:.1f} s")


def test_a_seed_is_played_again() -> None:
    """The same seed tells the same story, so that a failure can be looked at."""
    first, second = History(4711), History(4711)

    assert first.play() == second.play()
    assert first.story == second.story
