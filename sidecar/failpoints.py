"""
Failpoints: named places between two effects, where a test lets a run die, wait or see a call fail.

They do nothing unless ``MIGSAFE_FAILPOINTS`` arms them, for example with
``journal.after.migrating=kill store.written@2=fail``: at the point of that name, or at its second
passing, the action is taken. The idea is that of etcd's gofail.

=============  ==================================================================================
``kill``       SIGKILL to the process itself
``term``       SIGTERM to the process itself
``pause``      SIGSTOP to the process itself, until somebody continues it
``raise``      an error that nobody expects
``fail``       what the outside world says at this point when it fails: no space left, the
               connection is lost, the engine refuses
``sleep:2.5``  wait so many seconds
``trace``      only name the point on stderr
=============  ==================================================================================

``*`` stands for every point.
"""

import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_ARMED = re.compile(r"(?P<point>[a-z.*-]+)(@(?P<nth>\d+))?=(?P<action>[a-z]+)(:(?P<value>[\d.]+))?")

_SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "pause": signal.SIGSTOP}
ACTIONS = (*_SIGNALS, "raise", "fail", "sleep", "trace")


class Planted(Exception):
    """The error that nobody expects."""


@dataclass(frozen=True)
class Failpoint:
    """What is to happen at one point."""

    action: str
    nth: int | None = None
    """At which passing of the point; None at each."""
    seconds: float = 0.0


_armed: dict[str, Failpoint] = {}
_passed: Counter[str] = Counter()


def parse(text: str) -> Mapping[str, Failpoint]:
    """
    Read ``name=action`` and ``name@2=action``, separated by space.

    Raises:
        ValueError: with a sentence that says what is wrong.

    """
    found = {}
    for word in text.split():
        match = _ARMED.fullmatch(word)
        if match is None or match["action"] not in ACTIONS:
            raise ValueError(f"{word!r} is no point=action with an action of {', '.join(ACTIONS)}")
        nth = int(match["nth"]) if match["nth"] else None
        found[match["point"]] = Failpoint(match["action"], nth, float(match["value"] or 0))
    return found


def arm(failpoints: Mapping[str, Failpoint]) -> None:
    """Put failpoints in force, instead of those that were."""
    _armed.clear()
    _passed.clear()
    _armed.update(failpoints)


def failpoint(point: str, error: Callable[[], Exception] | None = None) -> None:
    """
    Pass a point.

    Args:
        point: its name.
        error: makes what the outside world says when it fails here.

    """
    if _armed:
        _act(point, error)


def _act(point: str, error: Callable[[], Exception] | None) -> None:
    found = _armed.get(point) or _armed.get("*")
    _passed[point] += 1
    if found is None or found.nth not in {None, _passed[point]}:
        return
    print(f"failpoint {point}@{_passed[point]}: {found.action}", file=sys.stderr, flush=True)
    match found.action:
        case "raise":
            raise Planted(point)
        case "fail":
            raise error() if error else Planted(point)
        case "sleep":
            time.sleep(found.seconds)
        case "trace":
            pass
        case name:
            os.kill(os.getpid(), _SIGNALS[name])
