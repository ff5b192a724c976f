"""
Kills around the swap: whatever dies in the middle of it, nothing is torn.

A client that swaps all the time is killed, has its session ended, or loses its server, at a moment
drawn by the seed. Each time the live database must be the one that the journal says it is.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess

import psycopg

from . import swapper
from .seat import CANARY, CONTROL, Seat

LIVE = "swapped"
OTHER = "swapped__other"
LONGEST = 0.12
"""Seconds after which the kill comes at the latest: a few swaps."""

_PROCESSES = get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.sweep.swapper"])


@dataclass
class Swaps:
    """What came of the kills."""

    kinds: Counter[str] = field(default_factory=Counter)
    done: int = 0
    """Swaps that were reported as done."""
    unknown: int = 0
    """Kills after which a swap was done that nobody had been told of."""
    torn: list[str] = field(default_factory=list)
    seconds: float = 0.0


def killed_in_swaps(
    seat: Seat, kills: int, chance: random.Random, of_server: int = 25, longest: float = 600
) -> Swaps:
    """
    Kill so many times.

    Args:
        seat: its server is used.
        kills: how often.
        chance: draws the moments.
        of_server: every so many kills, it is the server that is killed; 0 for never.
        longest: seconds after which no more are begun.

    """
    found, started = Swaps(), time.monotonic()
    _prepare(seat)
    first, other = 1, OTHER
    for number in range(1, kills + 1):
        if time.monotonic() - started > longest:
            break
        server = of_server and number % of_server == 0
        kind = "server" if server else chance.choice(("client", "client", "session"))
        last = _swap_until_killed(seat, other, first, kind, chance.uniform(0, LONGEST))
        found.kinds[kind] += 1
        first, other = _weigh(seat, found, number, first, last, other)
    found.seconds = time.monotonic() - started
    return found


def _prepare(seat: Seat) -> None:
    seat.execute(f"DROP DATABASE IF EXISTS {CONTROL} WITH (FORCE)")
    for name, letter in ((LIVE, "a"), (OTHER, "b")):
        seat.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        seat.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY FILE_COPY")
        seat.execute(f"CREATE TABLE which AS SELECT '{letter}' AS letter", name)


def _swap_until_killed(seat: Seat, other: str, first: int, kind: str, seconds: float) -> int:
    """Let a client swap for a moment; return the number of the last swap that it has told of."""
    conninfo = {"host": seat.address, "user": "sweep", "password": CANARY}
    mine, theirs = _PROCESSES.Pipe(duplex=False)
    client = _PROCESSES.Process(target=swapper.swap, args=(theirs, conninfo, LIVE, other, first))
    client.start()
    theirs.close()
    told = [mine.recv()]
    time.sleep(seconds)
    _KILLS[kind](seat, client)
    with suppress(EOFError):
        while True:
            told.append(mine.recv())
    client.join(60)
    return int(max(first - 1, *told))


def _kill_client(_seat: Seat, client: ForkServerProcess) -> None:
    client.kill()


def _end_session(seat: Seat, _client: ForkServerProcess) -> None:
    seat.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        " AND application_name <> 'sweep'",
        "postgres",
        CONTROL,
    )


def _kill_server(seat: Seat, client: ForkServerProcess) -> None:
    seat.api.kill(seat.container("db"))
    client.join(60)
    seat.api.start(seat.container("db"))
    seat.wait_for_server()


_KILLS: dict[str, Callable[[Seat, ForkServerProcess], None]] = {
    "client": _kill_client,
    "session": _end_session,
    "server": _kill_server,
}


def _weigh(
    seat: Seat, found: Swaps, number: int, first: int, last: int, other: str
) -> tuple[int, str]:
    """Hold the server to the journal; return how it goes on."""
    _wait_for_the_end(seat)
    rows = seat.rows("SELECT detail FROM migsafe.journal ORDER BY sequence", CONTROL)
    journalled = len(rows)
    found.done += last - first + 1
    found.unknown += journalled == last + 1
    for complaint in _torn(seat, rows, last, other):
        found.torn.append(f"kill {number}: {complaint}")
    return journalled + 1, str(rows[-1][0]["kept"]) if rows else other


def _wait_for_the_end(seat: Seat) -> None:
    """Wait until the server has noticed that the client is gone."""
    for _ in count():
        with suppress(psycopg.OperationalError):
            if not seat.sessions("migsafe"):
                return
        time.sleep(0.005)


def _torn(seat: Seat, rows: list[tuple[dict[str, str]]], last: int, other: str) -> Iterator[str]:
    if len(rows) not in {last, last + 1}:
        yield f"{last} swaps were told of, and the journal has {len(rows)}"
    kept = rows[-1][0]["kept"] if rows else other
    there = sorted(name for name in seat.databases() if name.startswith(LIVE))
    if there != sorted([LIVE, kept]):
        yield f"the databases are {there}, and the journal says {kept}"
        return
    seat.execute(f"ALTER DATABASE {LIVE} ALLOW_CONNECTIONS true")
    letter = seat.rows("SELECT letter FROM which", LIVE)[0][0]
    if letter != "ab"[len(rows) % 2]:
        yield f"the live database is {letter!r} after {len(rows)} swaps"
