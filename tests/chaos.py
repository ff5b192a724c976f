"""A power, a line and a patience that fail by chance: at any call, and around any effect."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from random import Random

from sidecar.errors import (
    DatabaseUnavailable,
    EngineUnavailable,
    PreflightFailed,
    RollbackFailed,
)
from sidecar.ports import CannotClone
from tests.fakes import Power
from tests.fakes_machine import Machine


class Fault(StrEnum):
    """What goes wrong at a call, or around an effect."""

    ERROR = "an error"
    DELAY = "a delay"
    CUT = "the session on the control database is lost"
    BEFORE = "killed before it"
    AFTER = "killed after it"
    LOST = "done, and the answer is lost"
    AWAY = "done, then away while another guard runs"


AT_CALLS = (Fault.ERROR, Fault.DELAY, Fault.CUT)
AROUND_EFFECTS = (Fault.BEFORE, Fault.AFTER, Fault.LOST, Fault.DELAY, Fault.CUT, Fault.AWAY)

OWN_SESSIONS = ("look", "look at", "count", "assert", "dump", "read the dump", "complaints")
"""What is asked in a session of its own, and so without the one that holds the lock."""


class Chaos(Power):
    """A power, a line and a patience that fail by chance."""

    def __init__(
        self,
        here: Machine,
        dice: Random,
        chance: float,
        note: Callable[[str], None],
        another: Callable[[], None],
    ) -> None:
        super().__init__(here)
        self.dice = dice
        self.chance = chance
        self.note = note
        self.another = another
        self.cut = False

    def call(self, name: str) -> None:
        """Use a port, which may fail before anything is done."""
        super().call(name)
        self._refuse_when_cut(name)
        if self.cut and name == "engine: start":
            self.machine.violations.append("10: services are started by who has lost the lock")
        match self._drawn(AT_CALLS):
            case Fault.ERROR:
                self._note(name, Fault.ERROR)
                raise self._error(name)
            case Fault.DELAY:
                self._delay(name)
            case Fault.CUT:
                self._cut(name)
                self._refuse_when_cut(name)

    @contextmanager
    def effect(self, name: str) -> Iterator[None]:
        """Do something to the outside, which may be the last thing."""
        self._refuse_when_cut(name)
        fault = self._drawn(AROUND_EFFECTS)
        if fault is Fault.BEFORE:
            self._note(name, fault)
            self.kill()
        with super().effect(name):
            yield
        self._afterwards(name, fault)

    def _afterwards(self, name: str, fault: Fault | None) -> None:
        match fault:
            case Fault.AFTER:
                self._note(name, fault)
                self.kill()
            case Fault.LOST:
                self._note(name, fault)
                if _by_control(name):
                    self._cut(name)
                raise _lost_answer(name)
            case Fault.DELAY:
                self._delay(name)
            case Fault.CUT:
                self._cut(name)
            case Fault.AWAY if not self.cut:
                self._note(name, fault)
                self._cut(name)
                self.another()

    def _drawn(self, faults: tuple[Fault, ...]) -> Fault | None:
        return self.dice.choice(faults) if self.dice.random() < self.chance else None

    def _delay(self, name: str) -> None:
        seconds = self.dice.choice((1, 3, 10, 40))
        self.note(f"{name}: {seconds} s pass")
        self.machine.pass_time(seconds)

    def _cut(self, name: str) -> None:
        """Lose the session, and the lock with it."""
        if not self.cut:
            self._note(name, Fault.CUT)
            self.cut = True
            self.machine.lock = None

    def reconnect(self) -> None:
        """Give the guard another session; without the lock."""
        self.cut = False

    def _refuse_when_cut(self, name: str) -> None:
        if self.cut and _by_control(name):
            raise DatabaseUnavailable("the connection is closed")

    def _note(self, name: str, fault: Fault) -> None:
        self.note(f"{name} (call {len(self.calls)}, effect {len(self.effects)}): {fault}")

    def _error(self, name: str) -> Exception:
        return self.dice.choice(_errors(name))


def _by_control(name: str) -> bool:
    port, _, act = name.partition(": ")
    return port == "journal" or (port == "database" and act not in OWN_SESSIONS)


def _lost_answer(name: str) -> Exception:
    port = name.partition(":")[0]
    return {
        "engine": EngineUnavailable("the engine does not answer"),
        "store": OSError(5, "Input/output error"),
    }.get(port) or DatabaseUnavailable("the server closed the connection unexpectedly")


def _errors(name: str) -> tuple[Exception, ...]:
    """Give what the real port raises at such a call."""
    refused = RollbackFailed("the server refuses")
    more: dict[str, tuple[Exception, ...]] = {
        "database: clone": (CannotClone("no space left"), PreflightFailed("no such role")),
        "database: load": (refused,),
        "database: swap": (refused,),
        "database: close": (refused,),
        "database: open": (refused,),
        "store: write": (OSError(28, "No space left on device"),),
    }
    return (_lost_answer(name), *more.get(name, ()))
