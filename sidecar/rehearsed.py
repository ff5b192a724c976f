"""How a rehearsal went, in words. Pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar import excerpt
from sidecar.preflight import mega

_RELATIONS = {"r": "table", "p": "table", "v": "view", "m": "view", "S": "sequence", "f": "table"}
_INDEX = re.compile(r"INDEX (\S+) ON (?:ONLY )?(\S+)")
MOST = 20
"""Lines of changes that are shown."""


@dataclass(frozen=True)
class Report:
    """How a rehearsal went."""

    image: str
    backup: str
    server: str
    code: int
    """Exit code of the guard."""
    reason: str
    tail: tuple[str, ...]
    migrating: float
    """Seconds from the container's start to its end."""
    whole: float
    """Seconds of the guarded run, which is how long the app would be away."""
    locked: Mapping[str, float]
    """Seconds by table for which nobody else could read it, as far as was seen."""
    changes: tuple[str, ...]
    """To the schema."""
    rows: tuple[str, ...]
    """Tables with more or fewer rows."""
    size_before: int
    size_after: int


def differences(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Name what appeared, vanished and changed in a schema; the inputs are of ``catalog.LINES``."""
    then, now = _named(before), _named(after)
    for name in sorted({*then, *now}):
        if name not in then:
            yield f"+ {name}"
        elif name not in now:
            yield f"- {name}"
        elif then[name] != now[name]:
            yield f"~ {name}"


def _named(lines: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines:
        kind, *fields = json.loads(line)
        # a column that moved up because another went is the same
        rest = [fields[0], *fields[2:]] if kind == "column" else fields
        found.setdefault(_title(kind, fields), []).append(json.dumps(rest))
    return {name: sorted(values) for name, values in found.items()}


def _title(kind: str, fields: Sequence[Any]) -> str:
    match kind:
        case "column":
            return f"column {fields[0]}.{fields[2]}"
        case "relation":
            return f"{_RELATIONS.get(fields[0], 'relation')} {fields[2]}"
        case "constraint":
            return f"constraint {fields[0]} on {fields[1]}"
        case "policy":
            return f"policy {fields[1]} on {fields[0]}"
        case "comment" | "object":
            return f"{kind} on {fields[0]} {fields[1]}"
        case "type":
            return f"type {fields[1]}"
        case "index" if found := _INDEX.search(str(fields[0])):
            return f"index {found[1]} on {found[2]}"
    return f"{kind} {fields[0]}"


def lines(report: Report) -> list[str]:
    """Write the report for people."""
    verdict = "✓ passes" if report.code == 0 else f"✗ fails: {report.reason}"
    found = [
        f"rehearsed  {report.image} on {report.backup}, PostgreSQL {report.server}",
        f"verdict    {verdict}",
        *(f"           | {line}" for line in excerpt.telling(report.tail)),
        f"took       {report.migrating:.1f} s to migrate; the app would be away for about"
        f" {report.whole:.0f} s",
    ]
    locks = [f"{table} {seconds:.1f} s" for table, seconds in report.locked.items()]
    found.append(f"locked     {', '.join(locks) or 'nothing for long enough to be seen'}")
    found += _some("changes", report.changes, "nothing in the schema")
    found += _some("rows", report.rows, "as many as before")
    found.append(f"size       {mega(report.size_before)} before, {mega(report.size_after)} after")
    return found


def _some(label: str, items: Sequence[str], none: str) -> list[str]:
    shown = [*items[:MOST], *([f"and {len(items) - MOST} more"] if len(items) > MOST else [])]
    heads = [label, *[""] * len(shown)]
    return [f"{head:<10} {item}" for head, item in zip(heads, shown or [none], strict=False)]
