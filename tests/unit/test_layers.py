"""The table of layers that people read is the one that the linter holds."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]


def _row(layer: str) -> set[str]:
    """Name the modules of a row of the table."""
    (row,) = re.findall(rf"^\| {layer} \|([^|]*)\|", TABLE, re.MULTILINE)
    return {f"sidecar.{name}" for name in re.findall(r"`(\w+)`", row)}


def _held(layer: str) -> set[str]:
    """Name the modules that the linter holds to what a layer may."""
    (found,) = (each for each in LINTER["contracts"] if each["name"].startswith(layer))
    return set(found["source_modules"])


def test_stories_are_those_of_the_table() -> None:
    """What is called a story there speaks to ports only, and nothing else is held to that."""
    assert _row("stories") == _held("stories")


def test_decisions_are_those_of_the_table() -> None:
    """What is called a decision there touches no outside world."""
    assert _row("decisions") <= _held("decisions")
