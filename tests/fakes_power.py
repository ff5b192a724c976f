"""The power, which can fail at any side effect; or the line, which can fail at any call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sidecar.errors import DatabaseUnavailable, EngineUnavailable, StoreFailed
from tests.fakes_machine import Machine


class Killed(BaseException):
    """The guard is dead: nothing of it runs any more."""


@dataclass
class Power:
    """
    Counts what a guard does to the outside, and can end it there.

    A guard that is dead can do nothing more: whatever its handlers try raises ``Killed`` again.
    """

    machine: Machine
    kill_at: int | None = None
    """Kill at the side effect of this number, from 0."""
    before: bool = False
    """Before it, instead of after it."""
    fail_at: int | None = None
    """Let the call of this number fail once, from 0; reading counts too."""
    lose_at: int | None = None
    """Let the side effect of this number happen, and its answer be lost."""
    watch: Callable[[int, str], None] | None = None
    """Called after each side effect."""
    effects: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    dead: bool = False

    def call(self, name: str) -> None:
        """Note that a port is used; its name begins with the port's."""
        if self.dead:
            raise Killed
        self.calls.append(name)
        if self.fail_at == len(self.calls) - 1:
            raise _failure(name)

    @contextmanager
    def effect(self, name: str) -> Iterator[None]:
        """Do something to the outside."""
        if self.dead:
            raise Killed
        self.machine.move()
        number = len(self.effects)
        self.effects.append(name)
        if self.kill_at == number and self.before:
            self.kill()
        yield
        if self.watch is not None:
            self.watch(number, name)
        if self.kill_at == number:
            self.kill()
        if self.lose_at == number:
            raise _failure(name)

    def reconnect(self) -> None:
        """Be there again for a session that was lost."""

    def kill(self) -> None:
        """End the guard here and now."""
        self.dead = True
        self.machine.lock = None
        raise Killed


def _failure(name: str) -> Exception:
    port = name.partition(":")[0]
    match port:
        case "engine":
            return EngineUnavailable("the engine does not answer")
        case "store":
            return OSError(28, "No space left on device")
        case "lease":
            return StoreFailed.for_now("the store does not answer")
        case _:
            return DatabaseUnavailable("the server does not answer")
