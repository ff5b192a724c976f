"""
Full disks: that of the backups, and that of the server, before a run and in the middle of it.

Nothing half is left, nothing whole is touched, and the server never panics because of us. Guards
that run alone, one after the other, on a stack whose disks are small.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Make
from .shell import Result, ended, wait_for
from .shop import STACKS, adopted, inline
from .stack import Stack

pytestmark = pytest.mark.long

PROBE = Path(__file__).with_name("full_disk.py")
MEGABYTE = 1 << 20
ROOM = 64 * MEGABYTE
"""What a rollback wants to have beyond the database's size."""

HOLD = ". bin/database; query -c 'DELETE FROM orders WHERE id <= 100'; echo holding; sleep 60"


@pytest.fixture(scope="module")
def shop(make: Make) -> Stack:
    """Give a shop whose next release waits, and somebody who fills its disks."""
    return adopted(
        make,
        STACKS / "full",
        "shop",
        first=("db", "hog"),
        variables={"MIGSAFE_BACKUPS_VOLUME": "backups"},
    )


@pytest.fixture
def stack(shop: Stack) -> Iterator[Stack]:
    """Give the shop; hold the test to a server that lives, and to data that is as it was."""
    before = shop.digest()
    yield shop
    _hog(shop, "rm -f /data/hog /backups/hog")
    assert "PANIC" not in shop.compose("logs", "--no-color", "db").output
    assert before == shop.digest()
    assert [] == shop.leftovers()
    assert [] == [name for name in shop.databases() if "__migsafe_" in name]
    assert [] == [name for name in _backups(shop) if name.endswith(".partial")]


# --- the disk of the backups


def test_no_room_for_a_backup(shop: Stack) -> None:
    """
    Whatever room there is, from none to enough: a backup is whole, or there is nothing of it.

    Faults: 46, 51, 52.
    """
    url = "postgres://shop:secret@db/shop"
    probe = ("--no-deps", "-T", "--entrypoint", "python3", "migsafe", "-", url)
    done = shop.run(("docker", "compose", "run", "--rm", *probe), stdin=PROBE.read_bytes())
    assert 0 == done.code, done.output
    first, *tries = json.loads(done.lines[-1])
    whole, refused = dict(first["files"]), 0
    for each in tries:
        if each["end"] == "whole":
            assert set(whole.items()) < set(each["files"].items())
            assert 2 == len(each["files"]) - len(whole), each
            whole = each["files"]
        else:
            assert each["end"].startswith("13: the backup failed: "), each
            assert "No space left on device" in each["end"]
            assert whole == each["files"], each
            refused += 1
    assert (tries[0]["end"][:2], tries[-1]["end"]) == ("13", "whole")
    assert 6 < refused < len(tries) - 6
    _hog(shop, "rm -f /backups/*")


def test_too_little_room_for_backups(stack: Stack) -> None:
    """
    Too little room is told beforehand, with figures.

    Faults: 25, 51.
    """
    _fails(stack, 20, "TABLE nowhere", MIGSAFE_RESTORE_POINT="never")
    before = _backups(stack)
    _leave(stack, "/backups", 9 * MEGABYTE)
    guard = _fails(stack, 18, "TABLE nobody")
    assert "9.0 MB are free in the folder of backups, and a backup needs about" in guard.text
    assert before == _backups(stack)


@pytest.mark.parametrize("point", ["backup.dumping", "backup.checked"])
def test_backups_fill_up(stack: Stack, point: str) -> None:
    """
    The disk of the backups fills up while the backup is written: no migration, and no half of it.

    Faults: 46, 51.
    """
    before = _backups(stack)
    guard = _filled_at(stack, f"{point}@1", "/backups", 0)
    assert 13 == guard.code, guard.output
    assert "No space left on device" in guard.text
    assert before == _backups(stack)


# --- the disk of the server


def test_too_little_room_for_a_rollback(stack: Stack) -> None:
    """
    A server without room for a rollback is not migrated; with a little, there is no restore point.

    Faults: 25, 93.
    """
    size = int(stack.psql("SELECT pg_database_size('shop')"))
    _leave(stack, "/data", size + ROOM - 4 * MEGABYTE)
    guard = _fails(stack, 18, "TABLE here")
    assert "are free on the server's volume, and a rollback needs" in guard.text
    _hog(stack, "rm /data/hog")
    _leave(stack, "/data", size + ROOM + 8 * MEGABYTE)
    guard = _fails(stack, 20, "DELETE FROM orders WHERE id <= 10; TABLE there")
    assert "no restore point (only" in guard.output
    assert "rollback: loading the backup" in guard.output


@pytest.mark.parametrize("point", ["backup.dumping@1", "journal.after.cloning"])
def test_server_fills_up(stack: Stack, point: str) -> None:
    """
    The server's disk fills up while the backup or the restore point is made: no migration.

    Faults: 25, 93.
    """
    guard = _filled_at(stack, point, "/data", 2 * MEGABYTE)
    assert 18 == guard.code, guard.output
    assert "no restore point can be made" in guard.text
    assert "are free on the server's volume, and a rollback needs" in guard.text


def test_migration_fills_it(stack: Stack) -> None:
    """
    A migration leaves no room to load the backup: the database is closed until there is some.

    Faults: 91, 93.
    """
    process = stack.start(
        *stack.alone(MIGSAFE_RESTORE_POINT="never", MIGSAFE_MIGRATE=json.dumps(["sh", "-c", HOLD]))
    )
    (name,) = wait_for(stack.leftovers)
    wait_for(lambda: "holding" in stack.run(("docker", "logs", name)).output)
    _leave(stack, "/data", 20 * MEGABYTE)
    stack.run(("docker", "kill", name))
    guard = ended(process)
    assert 30 == guard.code, guard.output
    assert "MB are free where the server keeps its data, and loading" in guard.text
    closed = "SELECT datallowconn FROM pg_database WHERE datname = 'shop'"
    assert "f" == stack.psql(closed, "postgres")
    _hog(stack, "rm /data/hog")
    assert 0 == stack.compose("run", "--rm", "migsafe", "retry").code
    guard = stack.guard(MIGSAFE_RESTORE_POINT="never")
    assert 20 == guard.code, guard.output


def _fails(stack: Stack, code: int, statement: str, **settings: str) -> Result:
    """Guard a migration that fails, or is not even tried."""
    guard = stack.guard(MIGSAFE_MIGRATE=inline(statement), **settings)
    assert code == guard.code, guard.output
    return guard


def _filled_at(stack: Stack, point: str, folder: str, size: int) -> Result:
    """Stop a guard at a failpoint, fill a disk until only so many bytes are free, and go on."""
    process = stack.start(
        *stack.alone(
            MIGSAFE_FAILPOINTS=f"{point}=pause", MIGSAFE_MIGRATE=inline(f"TABLE {point[:6]}")
        )
    )
    listing = ("docker", "ps", "--quiet", "--filter", "label=com.docker.compose.service=migsafe")
    project = ("--filter", f"label=com.docker.compose.project={stack.project}")
    (guard,) = wait_for(lambda: stack.run((*listing, *project)).lines)
    wait_for(lambda: "failpoint " in stack.run(("docker", "logs", guard)).output)
    _leave(stack, folder, size)
    assert 0 == stack.run(("docker", "exec", guard, "sh", "-c", "kill -CONT -1")).code
    return ended(process)


def _leave(stack: Stack, folder: str, size: int) -> None:
    """Fill a disk until only so many bytes are free."""
    stack.psql("CHECKPOINT")  # one that comes later would free the segments of its log
    free = int(_hog(stack, f"df -B1 --output=avail {folder} | tail -n 1"))
    _hog(stack, f"fallocate -l {free - size} {folder}/hog")


def _hog(stack: Stack, script: str) -> str:
    done = stack.compose("exec", "-T", "hog", "sh", "-euc", script)
    assert 0 == done.code, done.output
    return done.output


def _backups(stack: Stack) -> dict[str, str]:
    """Hash the backups, whole or not."""
    lines = _hog(stack, "cd /backups; find . -name '*migration*' | xargs -r sha256sum").splitlines()
    return {name: sha256 for sha256, name in (line.split() for line in lines)}
