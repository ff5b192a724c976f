"""
The whole sweep: ``python -m tests.sweep``.

``--only`` plays one combination and shows everything that its runs have said.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import checker
from .combinations import Combination, Result, play
from .seat import Seat, seats
from .sweep import Tally, combinations, killed_again, learn, show, sweep


def main() -> int:
    """Run it."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="migsafe-sweep-") as folder:
        if options.only:
            with seats(1, Path(folder)) as (seat,):
                return _one(seat, Combination.of(options.only))
        with seats(options.workers, Path(folder)) as found:
            return _everything(found, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.sweep", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="seats that are played on")
    parser.add_argument("--seed", type=int, default=1, help="chooses the order, and the sample")
    parser.add_argument("--limit", type=int, default=0, help="plays so many combinations only")
    parser.add_argument("--twice", type=int, default=200, help="kills of the second run as well")
    parser.add_argument("--scenario", default="", help="of one scenario only")
    parser.add_argument("--only", default="", help="plays one: scenario:point@passing=action")
    return parser.parse_args()


def _one(seat: Seat, combination: Combination) -> int:
    result = play(seat, combination, checker.states(seat, combination.scenario))
    for number, (code, output) in enumerate(zip(result.codes, result.outputs, strict=True), 1):
        print(f"═══ run {number}: exit {code}\n{output}")
    show(result) if result.violations else print(f"✓ {combination}: every promise held")
    return bool(result.violations)


def _everything(found: Sequence[Seat], options: argparse.Namespace) -> int:
    started = time.monotonic()
    chance = random.Random(options.seed)  # noqa: S311 - a sample, no secret
    known = learn(found)
    print(f"{len(known.passed)} scenarios pass {len(known.reached)} points", flush=True)
    for result in known.wrong:
        show(result)
    todo = combinations(known)
    if options.scenario:
        todo = [each for each in todo if each.scenario.name == options.scenario]
    chance.shuffle(todo)
    todo = todo[: options.limit or None]
    tally = Tally(len(todo))
    results = sweep(found, todo, known.states, tally.note)
    again = killed_again(results, chance, options.twice)
    second = Tally(len(again))
    results += sweep(found, again, known.states, second.note)
    _conclude(results, known.wrong, time.monotonic() - started)
    return bool(known.wrong or tally.wrong or second.wrong)


def _conclude(results: Sequence[Result], undisturbed: Sequence[Result], seconds: float) -> None:
    tally = Tally(len(results))
    for result in results:
        tally.kinds[result.combination.kind] += 1
        tally.missed += not result.hit
    wrong = [result for result in (*undisturbed, *results) if result.violations]
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.kinds.items()))
    print(f"{len(results)} combinations ({kinds}) in {seconds / 60:.1f} min")
    print(f"{tally.missed} of them did not pass their point again")
    by_promise: dict[str, int] = {}
    for result in wrong:
        for violation in result.violations:
            promise = violation.partition(":")[0]
            by_promise[promise] = by_promise.get(promise, 0) + 1
    print(f"{len(wrong)} broke a promise {by_promise or ''}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
