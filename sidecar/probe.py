"""
The command `health`: Compose asks every few seconds, so it goes past the command line's parser.

It reads one small file, and loads nothing that would take longer than that.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

from sidecar import health
from sidecar.clock import SystemClock

FOLDER, VARIABLE, FILE = "/backups", "MIGSAFE_BACKUPS", "schedule.json"


def quick(words: Sequence[str]) -> bool:
    """Tell whether a command line is one that can be answered here."""
    return words[:1] == ["health"] and set(words[1:]) <= {"--explain", "--json"}


def main(words: Sequence[str]) -> int:
    """Answer `health`, with `--explain` or `--json` perhaps."""
    state = _read()
    found = health.judge(state, SystemClock().now())
    explain, as_json = "--explain" in words, "--json" in words
    print(health.answer(state, found, explain=explain, as_json=as_json), flush=True)
    return health.code(found)


def _read() -> dict[str, Any] | None:
    try:
        with open(f"{_folder()}/{FILE}", encoding="utf-8") as file:  # noqa: PTH123 - pathlib takes as long to load as all of this
            found = json.load(file)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _folder() -> str:
    if path := os.environ.get(VARIABLE + "_FILE"):
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - same
            return file.read().strip()
    return os.environ.get(VARIABLE) or FOLDER
