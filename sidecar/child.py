"""The migration as a child process of ours: for `wrap`, where the app's code is at hand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sidecar import process
from sidecar.errors import DeadlineExceeded
from sidecar.facts import Exit
from sidecar.failpoints import failpoint
from sidecar.outside import Outside
from sidecar.ports import Clock, Stop

READ_ONLY = {"PGOPTIONS": "-c default_transaction_read_only=on"}
GRACE = 10.0
"""Seconds that a migration may take to end once it is asked to."""
PULSE = 3.0
"""Seconds between two looks whether we still hold the lock: much less than ``takeover.NOTICE``."""
POLL = 0.1


class Wrapping(Outside):
    """
    Runs the migration here.

    Args:
        environment: of the migration.
        clock: tells the time.
        release: what the user calls that which migrates.
        app: what the user calls the app.

    """

    def __init__(
        self,
        environment: Mapping[str, str],
        clock: Clock,
        release: str | None = None,
        app: str | None = None,
    ) -> None:
        super().__init__("wrap", release, app)
        self._environment = environment
        self.clock = clock
        self.pulse: Callable[[], object] = lambda: None
        """Raises when the lock's session is lost: then nobody may migrate on."""
        self._command: Sequence[str] = ()
        self._child: process.Child | None = None
        self._refused = ""
        self._lines: list[str] = []
        self._on_line: Callable[[str], None] = self._lines.append
        self._started = 0.0

    # --- the app

    def environment(self) -> Mapping[str, str]:
        """Share our environment with the app."""
        return self._environment

    def has_file(self, path: str) -> bool:
        """Whether the app has a file; relative to where we are."""
        return Path(path).exists()

    def read_file(self, path: str) -> str:
        """Read a file as the app would."""
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")

    # --- the migration

    def make_migration(self, run: str, command: Sequence[str]) -> None:
        """Take note of what is to be run."""
        del run
        self._command = command

    def start_migration(self, run: str) -> None:
        """Start it."""
        self._started = self.clock.monotonic()
        try:
            self._child = self._run(self._command, {"PGAPPNAME": f"migsafe-{run}"}, self._say)
        except OSError as error:
            self._refused = f"{error.filename}: {error.strerror}"
        failpoint("wrap.started")

    def follow_migration(
        self, run: str, deadline: float, on_line: Callable[[str], None], stop: Stop
    ) -> Exit | None:
        """
        Wait for its end.

        Raises:
            DeadlineExceeded: it still runs after so many seconds.
            Interrupted: we were asked to stop.
            DatabaseUnavailable: the lock is lost, and so the migration was ended.

        """
        del run
        if self._refused:
            return Exit(127, error=self._refused)
        if self._child is None:
            return None
        self._pass_on(on_line)
        until = self.clock.monotonic() + deadline
        beat = self.clock.monotonic() + PULSE
        while (code := self._child.wait(POLL)) is None:
            stop.check()
            if self.clock.monotonic() >= until:
                raise DeadlineExceeded("the migration ran past its deadline")
            if self.clock.monotonic() >= beat:
                self._beat()
                beat = self.clock.monotonic() + PULSE
        seconds = self.clock.monotonic() - self._started
        return Exit(code, seconds=seconds, tail=tuple(self._child.tail))

    def end_migration(self, run: str) -> None:
        """End it, and what it has started."""
        del run
        if self._child is not None:
            self._child.end(GRACE)
        failpoint("wrap.ended")

    def run_check(
        self, run: str, command: Sequence[str], timeout: float, *, read_only: bool = False
    ) -> Exit:
        """Run another command of the app's, for at most so many seconds."""
        del run
        try:
            child = self._run(command, READ_ONLY if read_only else {}, lambda _: None)
        except OSError as error:
            return Exit(127, error=f"{error.filename}: {error.strerror}")
        code = child.wait(timeout)
        child.end(0)
        if code is None:
            return Exit(125, error=f"it still ran after {timeout:.0f} s")
        return Exit(code, tail=tuple(child.tail))

    def leave(self) -> None:
        """Leave nothing running."""
        if self._child is not None:
            self._child.end(GRACE)

    # --- helpers

    def _run(
        self, command: Sequence[str], extra: Mapping[str, str], on_line: Callable[[str], None]
    ) -> process.Child:
        return process.Child(command, {**self._environment, **extra}, on_line)

    def _beat(self) -> None:
        try:
            self.pulse()
        except BaseException:
            # whoever has the lock now must find nobody at work
            self.end_migration("")
            raise

    def _say(self, line: str) -> None:
        self._on_line(line)

    def _pass_on(self, on_line: Callable[[str], None]) -> None:
        """Pass on what was said before anybody listened, and what will be."""
        self._on_line = on_line
        for line in self._lines:
            on_line(line)
