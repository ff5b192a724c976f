"""
What recovery says where a disk is full, on a shop whose disks are small.

The tests are one story: each goes on where the one before it has ended.
"""

import shutil

import pytest

from . import apps
from .cards import told, typed
from .conftest import Make
from .shop import STACKS
from .stack import Stack

pytestmark = pytest.mark.long

PAD = "/var/lib/postgresql/data/pad"
SPARE = 60
"""Megabytes that are left of the server's disk: fewer than a rollback needs."""
PREFLIGHT = 18


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Start the shop, with its backups in a small volume."""
    variables = {"MIGSAFE_BACKUPS_VOLUME": "backups"}
    settings = {**apps.PLAIN.settings, "MIGSAFE_FORMAT": "archive"}
    made = make(STACKS / "narrow", "shop", settings=settings, variables=variables)
    up = made.up("v1")
    assert (0, 0) == (up.code, made.exit_code()), made.logs().output
    return made


def test_no_room_for_backups(stack: Stack) -> None:
    """
    The disk of the backups is full: once there is room, the same start goes on.

    The backups are archives in a volume: they are loaded from there, too.

    Cards: failed, refused.
    Faults: 25, 51.
    """
    before = stack.digest()
    _sh(stack, "shelf", "head -c 55m /dev/zero > /backups/junk")
    up = stack.up("v2-late")
    assert (1, 18, "created") == (up.code, stack.exit_code(), stack.state("app"))
    assert "free in the folder of backups" in told(stack).text
    _sh(stack, "shelf", "rm /backups/junk")
    typed(stack, "then", 1)
    assert 20 == stack.exit_code()
    if shutil.which("zstd"):
        typed(stack, "no migsafe")
        assert stack.rows() == stack.rows("shop_restored")
        stack.psql("DROP DATABASE shop_restored")
    typed(stack, "go back")
    assert ("running", before) == (stack.state("app"), stack.digest())


def test_kept_databases_fill_the_disk(stack: Stack) -> None:
    """
    What was set aside leaves no room for a rollback: the card says how to drop it.

    Cards: no-room.
    Faults: 25, 93, 99.
    """
    stack.psql("CREATE TABLE wide AS SELECT repeat('x', 900) FROM generate_series(1, 80000)")
    assert 0 == stack.compose("run", "--rm", "migsafe", "retry").code
    up = stack.up("v2-late")
    assert (1, 20) == (up.code, stack.exit_code()), stack.logs().output
    typed(stack, "go back")
    stack.psql("DROP TABLE wide")
    stack.psql("CHECKPOINT")
    kept = _kept(stack)
    free = f"$(($(df -Pm {PAD} | tail -n 1 | awk '{{ print $4 }}') - {SPARE}))"
    _sh(stack, "db", f"touch {PAD}; fallocate -l {free}m {PAD}")
    up = stack.up("v2-good")
    assert (1, 18, "created") == (up.code, stack.exit_code(), stack.state("app"))
    assert "free on the server's volume" in told(stack).text
    while stack.exit_code() == PREFLIGHT:
        typed(stack, "make room")
        stack.run(told(stack).to_type("then"))
    assert (0, "running") == (stack.exit_code(), stack.state("app")), stack.logs().output
    assert len(_kept(stack)) < len(kept)
    assert "5000|0" == stack.psql("SELECT (SELECT count(*) FROM orders), count(*) FROM reviews")


def _kept(stack: Stack) -> list[str]:
    return [name for name in stack.databases() if "__kept_" in name]


def _sh(stack: Stack, service: str, script: str) -> None:
    done = stack.compose("exec", "-T", service, "sh", "-c", script)
    assert done.code == 0, done.output
