"""
The whole sweep: ``python -m tests.sweep``.

At every failpoint kill, term, raise, fail, under migrations of every kind, then kills of the run
that recovers too; servers that die, a Docker that is not there, guards that come too late; and
kills around the swap. ``--only`` plays one combination and shows all that its runs have said.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from . import checker
from .combinations import Combination, Result, play
from .faults import KINDS, Fault, faults, suffer
from .scenarios import SCENARIOS
from .seat import Seat, seats
from .swaps import Swaps, killed_in_swaps
from .sweep import Known, Tally, combinations, killed_again, learn, show, spread, sweep

SHARE = 0.8
"""Of the time, for what is killed once; the rest is for what is killed twice."""


def main() -> int:
    """Run it."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="migsafe-sweep-") as folder:
        if options.only:
            return _one(options.only, Path(folder))
        return _Sweep(options, Path(folder)).run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.sweep", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="seats that are played on")
    parser.add_argument("--minutes", type=float, default=55, help="nothing is begun after them")
    parser.add_argument("--seed", type=int, default=1, help="chooses order, sample and moments")
    parser.add_argument("--limit", type=int, default=0, help="plays so many combinations only")
    parser.add_argument("--twice", type=int, default=200, help="kills of the second run as well")
    parser.add_argument("--faults", type=int, default=60, help="of server, Docker and lock")
    parser.add_argument("--swaps", type=int, default=1000, help="kills around the swap")
    parser.add_argument("--scenario", default="", help="of one scenario only")
    parser.add_argument("--only", default="", help="plays one: scenario:point@passing=action")
    return parser.parse_args()


def _one(name: str, folder: Path) -> int:
    text, _, kind = name.rpartition("=")
    with seats(1, folder, durable=kind in KINDS) as (seat,):
        if kind in KINDS:
            known = {scenario.name: (text.partition(":")[2],) for scenario in SCENARIOS}
            fault = next(each for each in faults(known, (kind,)) if str(each) == name)
            result = suffer(seat, fault, checker.states(seat, fault.scenario))
        else:
            combination = Combination.of(name)
            result = play(seat, combination, checker.states(seat, combination.scenario))
    for number, (code, output) in enumerate(zip(result.codes, result.outputs, strict=True), 1):
        print(f"═══ run {number}: exit {code}\n{output}")
    if result.violations:
        show(result)
    else:
        print(f"✓ {name}: every promise held")
    return bool(result.violations)


class _Sweep:
    """One execution of everything."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.chance = random.Random(options.seed)  # noqa: S311 - a sample, no secret
        self.started = time.monotonic()
        self.until = self.started + options.minutes * 60
        self.results: list[Result] = []
        self.swaps = Swaps()

    def run(self) -> int:
        """Run it, and tell what came of it."""
        with seats(self.options.workers, self.folder) as found:
            known = learn(found)
            count = len(known.reached)
            self._say(f"{len(known.passed)} scenarios pass {count} points undisturbed")
            for result in known.wrong:
                show(result)
            self._around(known)
            self._cut_off(found, known)
        return self._conclude(known)

    def _around(self, known: Known) -> None:
        """Play what happens to the worlds around a guard, and the kills around the swap."""
        todo = faults(known.passed, KINDS)
        todo = self.chance.sample(todo, min(self.options.faults, len(todo)))
        if not todo and not self.options.swaps:
            return
        with seats(max(2, self.options.workers), self.folder, durable=True) as (first, *others):
            swapping = threading.Thread(target=self._swap, args=(first,))
            swapping.start()
            tally = Tally(len(todo), "faults")

            def act(seat: Seat, fault: Fault) -> Result:
                return suffer(seat, fault, known.states[fault.scenario.name])

            for number, result in enumerate(spread(others, todo, act, self.until), 1):
                self.results.append(result)
                tally.note(number, result)
            swapping.join()

    def _swap(self, seat: Seat) -> None:
        if self.options.swaps:
            longest = self.until - time.monotonic()
            chance = random.Random(self.options.seed)  # noqa: S311 - moments, no secret
            self.swaps = killed_in_swaps(seat, self.options.swaps, chance, longest=longest)
            self._say(_told(self.swaps))

    def _cut_off(self, found: Sequence[Seat], known: Known) -> None:
        """Play what is cut off at a failpoint, once and twice."""
        todo = combinations(known)
        if self.options.scenario:
            todo = [each for each in todo if each.scenario.name == self.options.scenario]
        self.chance.shuffle(todo)
        todo = todo[: self.options.limit or None]
        self._say(f"{len(todo)} combinations are to be played")
        left = self.until - time.monotonic()
        first = time.monotonic() + (left * SHARE if self.options.twice else left)
        once = sweep(found, todo, known.states, Tally(len(todo), "combinations").note, first)
        again = killed_again(once, self.chance, self.options.twice)
        note = Tally(len(again), "kills of the second run").note
        self.results += [*once, *sweep(found, again, known.states, note, self.until)]

    def _conclude(self, known: Known) -> int:
        kinds = Counter(result.combination.kind for result in self.results)
        wrong = [result for result in (*known.wrong, *self.results) if result.violations]
        promises = Counter(
            violation.partition(":")[0] for result in wrong for violation in result.violations
        )
        runs = sum(len(result.codes) for result in self.results)
        print("─" * 76)
        print(f"combinations   {len(self.results)}, with {runs} runs of a guard")
        print(f"               {', '.join(f'{n} {kind}' for kind, n in kinds.most_common())}")
        missed = sum(not result.hit for result in self.results)
        print(f"               {missed} of them ended before they came to their point")
        print(f"points         {len(known.reached)} passed by {len(known.passed)} scenarios")
        print(f"swaps          {_told(self.swaps)}")
        told = ", ".join(f"{promise}: {n}" for promise, n in promises.most_common())
        print(f"violations     {len(wrong)} combinations broke a promise{told and f' ({told})'}")
        print(f"time           {(time.monotonic() - self.started) / 60:.1f} min")
        for result in wrong:
            print(f"    again: make sweep ONLY='{result.combination}'")
        return bool(wrong or self.swaps.torn)

    def _say(self, text: str) -> None:
        print(f"{(time.monotonic() - self.started) / 60:4.1f} min  {text}", flush=True)


def _told(swaps: Swaps) -> str:
    kinds = ", ".join(f"{n} of the {kind}" for kind, n in swaps.kinds.most_common())
    torn = "".join(f"\n    {line}" for line in swaps.torn)
    return (
        f"{len(swaps.torn)} torn of {sum(swaps.kinds.values())} kills ({kinds}) among"
        f" {swaps.done} swaps, {swaps.unknown} of them done unheard, in {swaps.seconds:.0f} s{torn}"
    )


if __name__ == "__main__":
    sys.exit(main())
