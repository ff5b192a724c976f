"""Exit codes are an interface."""

import re
from collections.abc import Iterator
from pathlib import Path

from sidecar import errors
from sidecar.errors import MigsafeError, exit_codes

README = Path(__file__).parents[2] / "README.md"

DESIGN = {0, 1, 2, *range(10, 20), 20, 21, 22, 23, 30, 31, 32, 143}


def test_the_codes_are_those_of_the_contract() -> None:
    """Scripts and dashboards rely on the numbers."""
    assert set(DESIGN) == {code for code, _ in exit_codes()}


def test_every_class_has_a_meaning() -> None:
    """Every error that can end a run has its words."""
    for kind in _kinds():
        if not kind.__subclasses__():
            assert kind.meaning
            assert kind.__doc__


def test_the_tree_has_them_all() -> None:
    """Who opens the module sees each with the code that it ends with."""
    drawn = re.findall(r"[├└]─ (\w+) +(\d+)\b", str(errors.__doc__))
    here = [kind for kind in _kinds() if kind.__module__ == errors.__name__]
    ending = {(kind.__name__, str(kind.exit_code)) for kind in here if hasattr(kind, "exit_code")}

    assert ending == set(drawn)


def _kinds() -> Iterator[type[MigsafeError]]:
    waiting = [MigsafeError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        yield kind


def test_the_readme_has_the_same_table() -> None:
    """The README's table is the classes' own."""
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", README.read_text(), re.MULTILINE)

    assert exit_codes() == [(int(code), meaning) for code, meaning in rows]
