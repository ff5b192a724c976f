"""The failpoints, as they stand in the source: who adds one adds it to every sweep."""

import ast
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import sidecar
from sidecar.plan import Phase

SOURCE = Path(sidecar.__file__).parent

WORDS: Mapping[str, Sequence[str]] = {
    "phase": [phase.value for phase in Phase],
    "role": ["migration", "check"],
}
"""What may stand where a point's name has a variable."""


def points() -> tuple[str, ...]:
    """Name every failpoint of the package, in the order of its files."""
    return tuple(dict.fromkeys(itertools.chain.from_iterable(map(_in_file, _files()))))


def _files() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.name != "failpoints.py")


def _in_file(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and _name_of(node.func) in {"failpoint", "_failpoint"}:
            yield from _names(node.args[0])


def _name_of(function: ast.expr) -> str:
    match function:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name
    return ""


def _names(argument: ast.expr) -> Iterator[str]:
    match argument:
        case ast.Constant(str() as name):
            yield name
        case ast.JoinedStr(parts):
            for words in itertools.product(*map(_words, parts)):
                yield "".join(words)
        case ast.Name("point"):  # passed on
            return
        case _:
            raise AssertionError(f"not to be read from the source: {ast.unparse(argument)}")


def _words(part: ast.expr) -> Sequence[str]:
    match part:
        case ast.Constant(str() as text):
            return [text]
        case ast.FormattedValue(ast.Name(name)):
            return WORDS[name]
    raise AssertionError(f"not to be read from the source: {ast.unparse(part)}")
