"""Commands as a person types them, and what comes back."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

LONGEST = 120
"""Seconds that any one command may take."""

RULE = "────"
"""What is drawn above the card."""

FAILPOINT = "failpoint "
"""What begins the line that a failpoint prints when it is passed."""

LABEL = slice(2, 13)
"""The columns of an item's label on the card."""

T = TypeVar("T")

Process = subprocess.Popen[bytes]
"""A command that runs."""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    output: str
    """Standard output and error together, as a person would have seen them."""

    @property
    def lines(self) -> list[str]:
        """The output, line by line."""
        return self.output.splitlines()

    @property
    def card(self) -> list[str]:
        """What stands under the last rule."""
        # Docker keeps no order between the two streams: a failpoint, which speaks on standard
        # error only, may come out in the middle of what was printed after it
        lines = [line for line in self.lines if not line.startswith(FAILPOINT)]
        rules = [number for number, line in enumerate(lines) if line.startswith(RULE)]
        return lines[rules[-1] + 1 :] if rules else []

    @property
    def text(self) -> str:
        """The card with its lines put together, to look for words in."""
        return " ".join(" ".join(self.card).split())

    def item(self, label: str) -> str:
        """Read an item of the card; what was broken over lines is put together."""
        lines = iter(self.card)
        for line in lines:
            if line[LABEL].strip() != label:
                continue
            text = line[LABEL.stop :]
            while text.endswith("\\"):
                text = text[:-1] + next(lines).strip()
            return text
        raise AssertionError(f"the card has no {label!r}:\n" + "\n".join(self.card))

    def to_type(self, label: str) -> str:
        """Copy the commands of an item as they are printed, with what makes them short."""
        labels = [line[LABEL].strip() for line in self.card]
        assert label in labels, f"the card has no {label!r}:\n" + "\n".join(self.card)
        first = labels.index(label)
        rest = [number for number in range(first + 1, len(labels)) if labels[number]]
        lines = self.card[first : rest[0] if rest else None]
        short = self.to_type("first") if "first" in labels and label != "first" else ""
        return short + "".join(f"{line[LABEL.stop :].strip()}\n" for line in lines)


def run(command: str | Sequence[str], folder: Path, stdin: bytes = b"") -> Result:
    """Run a command; a text is typed into a shell, as one does with what a card says."""
    done = subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=environment(),
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LONGEST,
        check=False,
    )
    return Result(done.returncode, done.stdout.decode(errors="replace"))


def start(command: Sequence[str], folder: Path) -> Process:
    """Start a command and go on."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def ended(process: Process) -> Result:
    """Wait for a command that was started."""
    try:
        output, _ = process.communicate(timeout=LONGEST)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    return Result(process.returncode, output.decode(errors="replace"))


def wait_for(look: Callable[[], T], seconds: float = 60) -> T:
    """Look again and again until there is something to see."""
    until = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < until, "what was waited for did not come"
        time.sleep(0.1)
    return seen


def environment() -> dict[str, str]:
    """Give commands what a fresh terminal has: the project's .env decides."""
    ours = ("COMPOSE_", "MIGSAFE_")
    found = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    found.pop("RELEASE", None)
    return found
