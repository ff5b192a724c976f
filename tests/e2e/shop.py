"""A stack that has lived without migsafe, and gets it together with the next release."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .conftest import Make
from .stack import Stack

STACKS = Path(__file__).parent / "stacks"


def adopted(
    make: Make, source: Path, name: str, *, first: Sequence[str] = ("db",), **options: Any
) -> Stack:
    """Bring a stack to release v1 by hand, and make the containers of v2-good."""
    stack = make(source, name, **options)
    up = stack.compose("up", "-d", "--wait", *first)
    assert 0 == up.code, up.output
    migrated = stack.compose("run", "--rm", "--no-deps", "app", "bin/migrate")
    assert 0 == migrated.code, migrated.output
    stack.psql("ALTER SYSTEM SET autovacuum = off")
    stack.psql("SELECT pg_reload_conf()")
    stack.move_to("v2-good")
    stack.compose("create", "app", "migsafe")
    return stack


def inline(sql: str) -> str:
    """Write a migration that is one piece of SQL, as MIGSAFE_MIGRATE takes it."""
    return f"sh -c '. bin/database; query --command \"{sql}\"'"
