"""A command on a terminal of its own: its keys are pressed, its screen is read."""

import os
import pty
import select
import termios
import time
from pathlib import Path

from .shell import LONGEST, environment

KEYS = {"down": b"\x1b[B", "enter": b"\r", "ctrl-c": b"\x03"}


class Terminal:
    """One command under a pseudo-terminal."""

    def __init__(self, command: tuple[str, ...], folder: Path, columns: int = 100) -> None:
        self.shown = ""
        self.pid, self.screen = pty.fork()
        if self.pid == 0:
            termios.tcsetwinsize(0, (24, columns))
            os.chdir(folder)
            env = {**environment(), "COLUMNS": str(columns), "TERM": "xterm"}
            os.execvpe(command[0], command, env)  # noqa: S606 - a terminal needs no shell

    def until(self, text: str) -> None:
        """Wait for a text to be shown."""
        end = time.monotonic() + LONGEST
        while text not in self.shown:
            assert time.monotonic() < end, self.shown
            if not self._read():
                raise AssertionError(f"ended without showing {text!r}:\n{self.shown}")

    def press(self, *keys: str) -> None:
        """Press keys by their names, or type a text."""
        for key in keys:
            os.write(self.screen, KEYS.get(key, key.encode()))

    def ended(self) -> int:
        """Wait for the end; return the exit code."""
        while self._read():
            pass
        os.close(self.screen)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.screen], [], [], LONGEST)
        assert ready, f"nothing more was shown:\n{self.shown}"
        try:
            found = os.read(self.screen, 65536)
        except OSError:  # what a terminal says when nobody is at its other end
            return False
        self.shown += found.decode(errors="replace")
        return bool(found)
