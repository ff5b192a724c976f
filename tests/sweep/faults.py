"""
What happens to the worlds around a guard: its server dies, Docker is not there, it is held up.

Each fault comes at a phase: the guard stands at the failpoint behind a journal entry, and goes on
when the fault has happened.
"""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sidecar.plan import Phase

from . import checker
from .checker import Played, States
from .combinations import Combination, Result, settle
from .scenarios import BY_NAME, Scenario
from .seat import Ran, Seat

PHASES = (
    Phase.STARTED,
    Phase.BACKING_UP,
    Phase.BACKED_UP,
    Phase.CLONING,
    Phase.CLONED,
    Phase.MIGRATING,
    Phase.EXITED,
    Phase.COMMITTED,
    Phase.FAILED,
    Phase.LOADING,
    Phase.SWAPPED,
    Phase.ROLLED_BACK,
)
STANDS = 2.5
"""Seconds for which a guard stands at its failpoint."""

SILENCE = 2.0
"""Seconds for which Docker can't be reached."""

PLAIN = "migsafe guard"
"""Alone in the seat or not: what another guard has started is left alone."""


@dataclass(frozen=True)
class Fault:
    """One fault at one phase of one scenario."""

    kind: str
    scenario: Scenario
    phase: Phase

    @property
    def point(self) -> str:
        """The failpoint at which the guard stands."""
        return f"journal.after.{self.phase}@1"

    def __str__(self) -> str:
        return f"{self.scenario.name}:{self.point}={self.kind}"


def faults(passed: Mapping[str, tuple[str, ...]], kinds: tuple[str, ...]) -> list[Fault]:
    """List the faults, at each phase that a scenario has."""
    found = [
        Fault(kind, BY_NAME[name], phase)
        for kind in kinds
        for name in ("good", "bad", "loads")
        for phase in PHASES
    ]
    return [fault for fault in found if fault.point in passed.get(fault.scenario.name, ())]


def suffer(seat: Seat, fault: Fault, states: States) -> Result:
    """Let a guard meet a fault, then others until nothing is left to do."""
    seat.reset(fault.scenario.shape)
    played = Played(fault.scenario, states)
    started = time.monotonic()
    found: list[str] = []
    _KINDS[fault.kind](seat, fault, played)
    played.seen.append(checker.observe(seat))
    found += checker.told_wrong(played)
    settle(seat, played, found)
    found += checker.broken(seat, played)
    combination = Combination(fault.scenario, f"{fault.point}={fault.kind}")
    return Result.of(combination, played, found, time.monotonic() - started)


class _Guard(threading.Thread):
    """A guard that runs while something else happens."""

    def __init__(self, seat: Seat, environment: Mapping[str, str], failpoints: str) -> None:
        super().__init__(daemon=True)
        self.seat = seat
        self.exec_id = seat.begin(environment, failpoints, f"exec {PLAIN}")
        self.output = b""
        self.began = time.time()
        self.start()

    def run(self) -> None:
        """Read until it has ended."""
        for part in self.seat.own_api().exec_start(self.exec_id, stream=True):
            self.output += part

    def wait_for(self, words: str) -> None:
        """Wait until it has said something."""
        until = time.monotonic() + 60
        while words.encode() not in self.output and self.is_alive():
            assert time.monotonic() < until, self.output.decode()
            time.sleep(0.01)

    @property
    def pid(self) -> int:
        """Its process, on this machine."""
        return int(self.seat.api.exec_inspect(self.exec_id)["Pid"])

    def ended(self) -> Ran:
        """Wait for its end."""
        self.join(240)
        assert not self.is_alive(), self.output.decode()
        code = int(self.seat.api.exec_inspect(self.exec_id)["ExitCode"])
        return Ran(code, self.output.decode(errors="replace"), self.began, time.time())


def _standing(seat: Seat, fault: Fault, action: str, **more: str) -> _Guard:
    environment = {**fault.scenario.environment, **more}
    guard = _Guard(seat, environment, f"{fault.point}={action}")
    guard.wait_for(f"failpoint {fault.point}")
    return guard


def _server_dies(seat: Seat, fault: Fault, played: Played) -> None:
    guard = _standing(seat, fault, f"sleep:{STANDS}")
    seat.api.kill(seat.container("db"))
    seat.api.start(seat.container("db"))
    seat.wait_for_server()
    played.runs.append(guard.ended())


def _docker_is_away(seat: Seat, fault: Fault, played: Played) -> None:
    with relay() as between:
        guard = _standing(
            seat, fault, "sleep:0.3", DOCKER_HOST=f"tcp://{seat.gateway()}:{between.port}"
        )
        between.refuse()
        time.sleep(SILENCE)
        between.allow()
        played.runs.append(guard.ended())


def _held_up(seat: Seat, fault: Fault, played: Played) -> None:
    """Stop the guard, let another take over when its session has gone, and let it go on."""
    guard = _standing(seat, fault, "pause")
    seat.rows(
        "SELECT pg_terminate_backend(l.pid) FROM pg_locks l"
        " WHERE l.locktype = 'advisory' AND l.granted"
    )
    second = _Guard(seat, played.scenario.environment, "").ended()
    before = checker.observe(seat)
    os.kill(guard.pid, signal.SIGCONT)
    late = guard.ended()
    after = checker.observe(seat)
    played.runs += [late, second]
    played.seen.append(after)
    if before != after:
        played.extra.append(f"I7: who came too late has changed something: {before} {after}")


_KINDS: dict[str, Callable[[Seat, Fault, Played], None]] = {
    "server": _server_dies,
    "docker": _docker_is_away,
    "late": _held_up,
}
KINDS = tuple(_KINDS)


# --- Docker, behind a relay

_REQUEST = re.compile(r"^([A-Z]+ /\S+) HTTP/1.1\r$", re.MULTILINE)


class Relay:
    """Passes connections on to Docker's socket, until it is told not to."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("0.0.0.0", 0))  # noqa: S104 - for the seat's network
        self.port = int(self.listener.getsockname()[1])
        self.open: set[socket.socket] = set()
        self.made: list[socket.socket] = []
        self.asked: set[str] = set()
        """The requests that went by, each as its method and target."""
        self.refusing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def refuse(self) -> None:
        """Cut every connection, and take no more."""
        self.refusing = True
        for each in list(self.open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def allow(self) -> None:
        """Take connections again."""
        self.refusing = False

    def close(self) -> None:
        """Stop."""
        self.refuse()
        for each in (self.listener, *self.made):
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                mine, _ = self.listener.accept()
                if self.refusing:
                    mine.close()
                    continue
                theirs = socket.socket(socket.AF_UNIX)
                theirs.connect("/var/run/docker.sock")
                self.open |= {mine, theirs}
                self.made += [mine, theirs]
                for source, target in ((mine, theirs), (theirs, mine)):
                    threading.Thread(
                        target=self._pass_on, args=(source, target), daemon=True
                    ).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.asked |= set(_REQUEST.findall(data.decode("latin-1")))
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        self.open.discard(source)


@contextlib.contextmanager
def relay() -> Iterator[Relay]:
    """Put a relay before Docker."""
    made = Relay()
    try:
        yield made
    finally:
        made.close()
