"""What tests say of themselves in their docstrings, read from the source."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent
_FAULTS = re.compile(r"^.*\bFaults: (?P<numbers>[\d,\s]+)\.\s*$", re.MULTILINE)
_CARDS = re.compile(r"^\s*Cards: (?P<names>[a-z, -]+)\.\s*$", re.MULTILINE)
_TYPING = ("typed", "to_type", "item")
"""What a test calls to take something from a card."""


@dataclass(frozen=True)
class Written:
    """One test."""

    name: str
    faults: frozenset[int]
    cards: frozenset[str]
    """The endings whose commands it types."""
    labels: frozenset[str]
    """The items of a card that it takes."""


def every_test(pattern: str = "*/test_*.py") -> Iterator[Written]:
    """Read every test, in a class or not, and the contracts that are run by several."""
    for path in (*sorted(TESTS.glob(pattern)), TESTS / "contracts.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield _read(path, node)


def commands_of(page: str) -> Iterator[str]:
    """Read every command on a page: the lines of its blocks, and what is a command in its text."""
    blocks = re.findall(r"^```\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = (line for block in blocks for line in block.splitlines())
    yield from (re.sub(r" +# .*", "", line) for line in lines)
    yield from re.findall(r"`((?:docker|migsafe|psql|sudo) [^`]+)`", page.replace("\n", " "))


def pages_typed() -> Iterator[str]:
    """Read every command that a test copies from the page for three in the morning."""
    for path in sorted(TESTS.glob("e2e/test_*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match call:
                case ast.Call(ast.Name("page"), [ast.Constant(str() as command), *_]):
                    yield command


def docker_requests() -> set[str]:
    """Read every request to Docker that the page for proxies names."""
    page = (TESTS.parent / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    return set(re.findall(r"`([A-Z]+ /[^`]+)`", page))


def docker_request(asked: str) -> str:
    """Leave of a request what that page says of it: no version, no name, no query."""
    path = re.sub(r"^([A-Z]+ )(/v[\d.]+)?([^?]*).*$", r"\1\3", asked)
    names = r"(/(?:containers|images|networks|exec))/(?!create$|json$)[^/]+"
    return re.sub(names, r"\1/…", path)


def _read(path: Path, node: ast.FunctionDef) -> Written:
    text = ast.get_docstring(node) or ""
    faults = [match["numbers"].split(",") for match in _FAULTS.finditer(text)]
    cards = [match["names"].split(", ") for match in _CARDS.finditer(text)]
    return Written(
        f"{path.name}::{node.name}",
        frozenset(int(number) for found in faults for number in found),
        frozenset(name for found in cards for name in found),
        frozenset(_labels(node)),
    )


def _labels(node: ast.FunctionDef) -> Iterator[str]:
    for call in ast.walk(node):
        if not isinstance(call, ast.Call):
            continue
        match call.func:
            case ast.Name(name) | ast.Attribute(attr=name) if name in _TYPING:
                yield from filter(None, map(_text, call.args))


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(str() as text):
            return text
    return ""
