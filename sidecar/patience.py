"""A deadline for what may hang: the process ends although an act has not."""

import threading
from collections.abc import Callable, Sequence

from sidecar.ports import Clock

UNANSWERED = "no answer within {seconds:.0f} s"


def within(seconds: float, clock: Clock, acts: Sequence[Callable[[], str]]) -> list[str]:
    """
    Do all at the same time, and wait so long for them.

    Args:
        seconds: for all of them together. What takes longer goes on by itself, until the process
            ends; it does not hold the end up.
        clock: counts.
        acts: each returns what went wrong, or nothing.

    Returns:
        What went wrong, in the order of the acts.

    """
    results = [UNANSWERED.format(seconds=seconds)] * len(acts)

    def perform(number: int) -> None:
        try:
            results[number] = acts[number]()
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold a secret
            results[number] = type(error).__name__

    threads = [
        threading.Thread(target=perform, args=(number,), daemon=True) for number in range(len(acts))
    ]
    end = clock.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - clock.monotonic()))
    return list(results)
