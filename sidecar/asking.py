"""Asking the operator: only on a terminal, and a signal ends the question at once."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sidecar.errors import Refused, SettingsError
from sidecar.ports import Stop


def on_terminal() -> bool:
    """Tell whether somebody reads and can answer."""
    # there is no standard input at all where a script has closed it
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


def confirm(stop: Stop, database: str) -> None:
    """
    Have the operator type a database's name.

    Raises:
        SettingsError: there is no terminal to type it on.
        Refused: something else was typed.
        Interrupted: a signal came instead.

    """
    if not on_terminal():
        raise SettingsError(
            "this is no terminal to confirm on",
            hint="Nothing was changed. Say `--yes` to do what is written above.",
        )
    typed = ""
    try:
        with interruptible():
            typed = input(f"type the database's name ({database}) to do this: ")
    except (EOFError, KeyboardInterrupt):
        print()  # the shell's prompt belongs on a line of its own
        stop.check()
    if typed.strip() != database:
        raise Refused("not confirmed", hint="Nothing was changed.")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a signal raise KeyboardInterrupt, beside what it does anyway: `input` waits on."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupt(number: int, frame: FrameType | None) -> None:
        noted = before[signal.Signals(number)]
        if callable(noted):
            noted(number, frame)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
