"""What the card says to type: copied from where people read it, and typed into a shell."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tests.written import commands_of

from .shell import Result
from .stack import Stack

PAGE = Path(__file__).parents[2] / "docs" / "recovery.md"


def told(stack: Stack) -> Result:
    """Read the log as everybody does, and hold the report beside the backups to it."""
    found = stack.compose("logs", "--no-color", "--no-log-prefix", "migsafe")
    report = stack.backups_folder / "last-report.txt"
    if report.exists():
        assert found.card == report.read_text(encoding="utf-8").splitlines()[1:]
    assert len(found.card) <= 15
    return found


def typed(stack: Stack, label: str, code: int = 0, of: Result | None = None) -> Result:
    """Type what stands on the card at a label, line by line, until one fails."""
    command = (of or told(stack)).to_type(label)
    done = stack.run(f"set -e\n{command}")
    assert code == done.code, f"{command}\n{done.output}"
    # what `docker compose logs` writes before each line
    return Result(done.code, done.output.replace("migsafe-1  | ", ""))


def page(command: str, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """Copy a command from the page for three in the morning, with one's own names in it."""
    assert command in set(commands_of(PAGE.read_text(encoding="utf-8")))
    for name, own in names.items():
        command = re.sub(rf"\b{name}", own, command)
    return command
