"""
What single settings change: guards that run alone, one after the other, on one stack.

Each migration is a different command, so that none of them is known to be bad.
"""

import subprocess

import pytest

from .conftest import Make
from .shell import Process, wait_for
from .shop import STACKS, adopted, inline
from .stack import Stack

SLEEP = "trap 'exit 143' TERM; . bin/database; query --command 'SELECT pg_sleep(600)' & wait"


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Give a shop whose next release waits for its migration."""
    return adopted(make, STACKS / "shop", "shop", settings={"MIGSAFE_MIGRATE": "bin/migrate"})


def test_rollback_from_the_file(stack: Stack) -> None:
    """
    Without a restore point the backup is loaded, whatever somebody has put into template1.

    Faults: 29, 30, 94.
    """
    before = stack.digest()
    stack.psql("CREATE TABLE junk (id int)", "template1")
    try:
        guard = stack.guard(
            MIGSAFE_RESTORE_POINT="never",
            MIGSAFE_MIGRATE=inline("DROP TABLE orders; TABLE nowhere"),
        )
    finally:
        stack.psql("DROP TABLE junk", "template1")
    assert 20 == guard.code, guard.output
    assert "no restore point (MIGSAFE_RESTORE_POINT is never)" in guard.output
    assert "rollback: loading the backup" in guard.output
    assert before == stack.digest()


def test_archive(stack: Stack) -> None:
    """
    Backups can be archives, and a rollback can be loaded from one.

    Faults: 59.
    """
    before = stack.digest()
    guard = stack.guard(
        MIGSAFE_FORMAT="archive",
        MIGSAFE_RESTORE_POINT="never",
        MIGSAFE_MIGRATE=inline("DROP TABLE orders; TABLE nobody"),
    )
    assert 20 == guard.code, guard.output
    assert stack.backups[-1].name.endswith(".dump.zst")
    assert stack.backups[-1].stat().st_size < stack.backups[-2].stat().st_size
    assert before == stack.digest()


def test_assertion(stack: Stack) -> None:
    """
    A migration that exits with 0 is put back where an assertion of the operator is not true.

    Faults: 73.
    """
    before = stack.digest()
    wanted = "SELECT count(*) = 5000 FROM public.orders"
    guard = stack.guard(
        MIGSAFE_ASSERT=wanted, MIGSAFE_MIGRATE=inline("DELETE FROM orders WHERE id = 7")
    )
    assert 22 == guard.code, guard.output
    assert f"is not true: {wanted}" in guard.text
    assert before == stack.digest()


def test_check(stack: Stack) -> None:
    """
    A command of the operator's proves the migrated database, or puts it back.

    Faults: 73, 87.
    """
    before = stack.digest()
    guard = stack.guard(
        MIGSAFE_CHECK="sh -c 'exit 5'", MIGSAFE_MIGRATE=inline("DELETE FROM orders WHERE id = 8")
    )
    assert 22 == guard.code, guard.output
    assert "exited with 5" in guard.text
    assert before == stack.digest()


def test_data_loss(stack: Stack) -> None:
    """A migration that exits with 0 and leaves most rows of a table behind is put back."""
    before = stack.digest()
    guard = stack.guard(MIGSAFE_MIGRATE=inline("DELETE FROM orders WHERE id > 100"))
    assert 22 == guard.code, guard.output
    assert "table public.orders shrank from 5000 to 100 rows" in guard.text
    assert before == stack.digest()


def test_deadline(stack: Stack) -> None:
    """
    A migration that hangs is ended, and so is what it left running in the server.

    Faults: 75, 76.
    """
    before = stack.digest()
    guard = stack.guard(MIGSAFE_DEADLINE="3s", MIGSAFE_MIGRATE=f'sh -c "{SLEEP}"')
    assert 23 == guard.code, guard.output
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'"
    assert "0" == stack.psql(f"{sleeping} AND pid <> pg_backend_pid()")
    assert before == stack.digest()


def test_command_that_is_not_there(stack: Stack) -> None:
    """
    A migration whose command is not in the image never reaches the server: nothing to put back.

    Faults: 72.
    """
    before, databases = stack.digest(), stack.databases()
    guard = stack.guard(MIGSAFE_MIGRATE="bin/nothing-of-that-name")
    assert 20 == guard.code, guard.output
    assert "rollback: not needed" in guard.output
    assert (before, databases) == (stack.digest(), stack.databases())


def test_json_log(stack: Stack) -> None:
    """Every line of the log is JSON where that is wanted, the card one record of it."""
    guard = stack.guard(MIGSAFE_LOG="json", MIGSAFE_MIGRATE=inline("TABLE nothing"))
    assert 20 == guard.code, guard.output
    lines = [line for line in guard.lines if line.startswith("{")]
    assert '"card": [' in lines[-1]
    assert '"code": 20' in lines[-1]


def test_secrets(stack: Stack) -> None:
    """
    No password is shown by anything that migsafe leaves or says.

    Faults: 60, 134.
    """
    stack.psql("ALTER ROLE shop PASSWORD 'c4nary-of-the-mine'")
    url = "postgres://shop:c4nary-of-the-mine@db/shop"
    told = stack.guard(
        "-e", f"MIGSAFE_DATABASE_URL={url}", MIGSAFE_MIGRATE=inline("TABLE nothing_at_all")
    )
    stack.psql("ALTER ROLE shop PASSWORD 'secret'")
    assert 20 == told.code, told.output
    assert "c4nary" not in told.output
    journal = stack.psql("SELECT string_agg(detail::text, ' ') FROM migsafe.journal", "migsafe")
    assert "c4nary" not in journal
    for path in stack.backups_folder.iterdir():
        assert b"c4nary" not in path.read_bytes(), path


def test_loss_allowed(stack: Stack) -> None:
    """What is a loss to one is housekeeping to another: a warning, and the app may start."""
    guard = stack.guard(
        MIGSAFE_ON_LOSS="warn", MIGSAFE_MIGRATE=inline("DELETE FROM orders WHERE id > 200")
    )
    assert 0 == guard.code, guard.output
    assert "! data loss: table public.orders shrank from 5000 to 200 rows" in guard.output
    assert "200" == stack.psql("SELECT count(*) FROM orders")


def test_strangers(stack: Stack) -> None:
    """
    A console that is open during the migration is named; by choice it is refused, or ended.

    Faults: 39, 42.
    """
    console = _console(stack)
    change = inline("UPDATE books SET price_cents = price_cents + 1")
    strict = stack.guard(MIGSAFE_FENCE="strict", MIGSAFE_MIGRATE=change)
    assert 17 == strict.code, strict.output
    assert "at_the_till" in strict.text
    assert console.poll() is None
    ended = stack.guard(MIGSAFE_FENCE="terminate", MIGSAFE_MIGRATE=change)
    assert 0 == ended.code, ended.output
    assert 0 != console.wait(timeout=20)


def _console(stack: Stack) -> Process:
    process = subprocess.Popen(
        (
            *("docker", "exec", stack.container("db"), "psql", "-U", "shop"),
            *("-d", "dbname=shop application_name=at_the_till", "-c", "SELECT pg_sleep(300)"),
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'at_the_till'"
    wait_for(lambda: stack.psql(there) == "1")
    return process
