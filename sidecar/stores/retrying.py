"""One way to try again, for every store: what may pass is waited for, what will not is told."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import tenacity

from sidecar.backup_ports import Store, Tick
from sidecar.errors import StoreFailed
from sidecar.ports import Clock, Stop, Teller

SECONDS = 120.0
"""So long is tried again; an upload that took longer is begun once more all the same."""

LEAST = 2
"""So often is tried at least, however long the first try took."""

LONGEST_WAIT = 20.0

SILENT = 5.0
"""So many seconds is tried again without a word."""

T = TypeVar("T")


class Retrying:
    """A store that overcomes failures that pass, with growing pauses and a deadline."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        stop: Stop | None = None,
        tell: Teller | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self.store = store
        self.clock = clock
        self.stop = stop
        self.tell = tell
        self.seconds = seconds

    @property
    def name(self) -> str:
        """What people call it."""
        return self.store.name

    def listing(self) -> Mapping[str, int]:
        """List every object."""
        return self._patiently(self.store.listing)

    def put(self, name: str, path: Path, tick: Tick) -> None:
        """Upload a file; one that arrived although its reply was lost is found there."""
        self._patiently(lambda: self.store.put(name, path, tick))

    def put_text(self, name: str, text: str) -> None:
        """Write a small object."""
        self._patiently(lambda: self.store.put_text(name, text))

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """Read an object; a connection that is cut is taken up where it was."""
        done = start
        pending = self._patiently(lambda: _begun(self.store.read(name, done)))
        while pending is not None:
            chunk, rest = pending
            done += len(chunk)
            yield chunk
            pending = self._next(name, rest, done)

    def _next(
        self, name: str, rest: Iterator[bytes], done: int
    ) -> tuple[bytes, Iterator[bytes]] | None:
        try:
            return _begun(rest)
        except StoreFailed as error:
            if not error.passing:
                raise
        return self._patiently(lambda: _begun(self.store.read(name, done)))

    def text(self, name: str) -> str:
        """Read a small object."""
        return self._patiently(lambda: self.store.text(name))

    def remove(self, name: str) -> None:
        """Delete an object."""
        self._patiently(lambda: self.store.remove(name))

    def _patiently(self, act: Callable[[], T]) -> T:
        began = self.clock.monotonic()

        def over(state: tenacity.RetryCallState) -> bool:
            late = self.clock.monotonic() - began + state.upcoming_sleep > self.seconds
            return late and state.attempt_number >= LEAST

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            stop=over,
            wait=tenacity.wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT),
            sleep=self._sleep,
            before_sleep=self._told_once(began),
            reraise=True,
        )(act)

    def _told_once(self, began: float) -> Callable[[tenacity.RetryCallState], None]:
        told: list[BaseException] = []

        def tell(state: tenacity.RetryCallState) -> None:
            error = state.outcome and state.outcome.exception()
            waited = self.clock.monotonic() - began + state.upcoming_sleep
            if self.tell and isinstance(error, StoreFailed) and waited >= SILENT and not told:
                told.append(error)
                self.tell.warn(
                    f"{self.name}: {error.message}; trying again for {self.seconds:.0f} s"
                )

        return tell

    def _sleep(self, seconds: float) -> None:
        until = self.clock.monotonic() + seconds
        while (left := until - self.clock.monotonic()) > 0:
            if self.stop is not None:
                self.stop.check()
            self.clock.sleep(min(left, 1.0))


def _begun(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]] | None:
    """Read one chunk, so that what fails fails here; None at the end."""
    chunk = next(chunks, None)
    return None if chunk is None else (chunk, chunks)


def _passes(error: BaseException) -> bool:
    return isinstance(error, StoreFailed) and error.passing
