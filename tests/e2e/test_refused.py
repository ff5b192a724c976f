"""
What can't be guarded is refused before anything is touched, with the next step in plain words.

Guards that run alone, one after the other, on one stack whose next release waits.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sidecar.backups import MANIFEST_SUFFIX, Manifest

from .conftest import Make
from .shell import Result
from .shop import STACKS, adopted, inline
from .stack import Stack

CLERK = "postgres://clerk:reads-only@db/shop"
"""A role that may read, and nothing else."""

STRANGER = "postgres://stranger:from-afar@db/shop"
"""A role that may not even read."""


@pytest.fixture(scope="module")
def shop(make: Make) -> Stack:
    """Give a shop whose next release waits for its migration."""
    made = adopted(make, STACKS / "shop", "shop", settings={"MIGSAFE_MIGRATE": "bin/migrate"})
    made.psql("CREATE ROLE clerk LOGIN PASSWORD 'reads-only' IN ROLE pg_read_all_data")
    made.psql("CREATE ROLE stranger LOGIN PASSWORD 'from-afar'")
    return made


@pytest.fixture
def stack(shop: Stack) -> Iterator[Stack]:
    """Give the shop, and hold the test to what every refusal promises: nothing was changed."""
    before, backups = shop.digest(), shop.backups
    yield shop
    assert (before, backups) == (shop.digest(), shop.backups)
    assert [] == shop.leftovers()


def _refused(guard: Result, code: int, *words: str) -> None:
    """Hold a refusal to its exit code, its words, and the card's promises."""
    assert code == guard.code, guard.output
    missing = [word for word in words if word not in guard.text]
    assert [] == missing, guard.output
    assert "nothing was changed" in guard.item("data")
    assert guard.item("next")
    assert len(guard.card) <= 15


def test_rights_with_no_journal_yet(stack: Stack) -> None:
    """
    A role without CREATEDB, on its own: told before there is even a journal.

    Faults: 22.
    """
    assert "migsafe" not in stack.databases()
    guard = stack.guard(MIGSAFE_DATABASE_URL=CLERK, MIGSAFE_ADMIN_URL=CLERK)
    _refused(guard, 18, "'clerk' may not create databases", "does not own")
    guard = stack.guard(MIGSAFE_DATABASE_URL=STRANGER, MIGSAFE_ADMIN_URL=STRANGER)
    _refused(guard, 18, "CREATEDB")


def test_wrong_password(stack: Stack) -> None:
    """The server refuses the password: no waiting, and where to look."""
    guard = stack.guard(MIGSAFE_DATABASE_URL="postgres://shop:wrong-word@db/shop")
    _refused(guard, 10, "password authentication failed")
    assert "wrong-word" not in guard.output


def test_wrong_database(stack: Stack) -> None:
    """
    What is guarded is not what the app would migrate.

    Faults: 20.
    """
    guard = stack.guard(MIGSAFE_DATABASE_URL="postgres://shop:secret@db/shoppe")
    _refused(guard, 18, "'shoppe'", "'app' migrates 'shop'")


def test_no_such_database(shop: Stack) -> None:
    """
    The server is there and the database is not: that is not a first install.

    Faults: 20, 84.
    """
    before = shop.digest()
    shop.psql("ALTER DATABASE shop RENAME TO elsewhere", "postgres")
    guard = shop.guard()
    shop.psql("ALTER DATABASE elsewhere RENAME TO shop", "postgres")
    _refused(guard, 10, "'shop' does not exist")
    assert before == shop.digest()


def test_database_down(shop: Stack) -> None:
    """
    The database is waited for, and then not any longer.

    Faults: 16.
    """
    before = shop.digest()
    shop.compose("stop", "db")
    guard = shop.guard(MIGSAFE_WAIT="2s")
    shop.compose("up", "-d", "--wait", "db")
    _refused(guard, 10, "the database can't be used")
    assert "waiting for the database" in guard.output
    assert before == shop.digest()


def test_settings(stack: Stack) -> None:
    """Every complaint about settings comes at once, with the nearest name that there is."""
    guard = stack.guard(MIGSAFE_DEADLINE="soon", MIGSAFE_FROMAT="archive")
    words = ("MIGSAFE_DEADLINE", "MIGSAFE_FROMAT is unknown: the nearest setting is MIGSAFE_FORMAT")
    _refused(guard, 2, *words)
    report = (stack.backups_folder / "last-report.txt").read_text(encoding="utf-8")
    # `docker compose run` ends with an empty line where the exit code is not 0
    assert [line for line in guard.card if line] == report.splitlines()[1:]


def test_dangerous_command(stack: Stack) -> None:
    """A migrate command that is known to destroy data is not run."""
    guard = stack.guard(MIGSAFE_PRESET="django", MIGSAFE_MIGRATE="python manage.py flush")
    _refused(guard, 2, "flush", "destroys the data")


def test_no_socket(stack: Stack) -> None:
    """
    There is no socket.

    Faults: 36.
    """
    guard = stack.guard(DOCKER_HOST="unix:///nowhere/docker.sock")
    _refused(guard, 11, "there is no Docker socket", "Mount it")


def test_socket_not_permitted(stack: Stack) -> None:
    """
    Whoever is neither root nor in the socket's group may not use it.

    Faults: 36.
    """
    guard = stack.guard("--user", "1234:1234")
    _refused(guard, 11, "no permission on Docker's socket", "group_add")


def test_nobody_answers(stack: Stack) -> None:
    """
    A socket proxy that is not there.

    Faults: 36.
    """
    guard = stack.guard(DOCKER_HOST="tcp://127.0.0.1:2375")
    _refused(guard, 11, "Docker does not answer", "DOCKER_HOST")


def test_nobody_waits(stack: Stack) -> None:
    """No service waits for this guard: it has no app."""
    guard = stack.guard(service="lonely")
    _refused(guard, 11, "no service of project", "waits for 'lonely'", "depends_on")


def test_several_wait(stack: Stack) -> None:
    """Two apps of different images wait for one guard: it does not guess, but can be told."""
    stack.compose("--profile", "wrong", "create", "left", "right")
    guard = stack.guard(service="between")
    _refused(guard, 11, "left, right", "MIGSAFE_APP")
    told = stack.guard(service="between", MIGSAFE_APP="rigth")
    _refused(told, 11, "'rigth'", "right")
    stack.compose("--profile", "wrong", "rm", "-f", "left", "right")


def test_folder_not_writable(stack: Stack) -> None:
    """Where no backup can be written, no migration runs."""
    (stack.folder / "sealed").mkdir(exist_ok=True)
    guard = stack.guard("-v", "./sealed:/sealed:ro", MIGSAFE_BACKUPS="/sealed")
    _refused(guard, 18, "/sealed can't be written")


def test_folder_too_small(stack: Stack) -> None:
    """
    Where the backup would not fit, none is begun.

    Faults: 25, 51.
    """
    guard = stack.guard(
        service="between",
        MIGSAFE_APP="app",
        MIGSAFE_MIGRATE="bin/migrate",
        MIGSAFE_BACKUPS="/small",
    )
    _refused(guard, 18, "are free in the folder of backups")


def test_rights(stack: Stack) -> None:
    """
    A role that may use the database and nothing else, while a journal is there.

    Faults: 22.
    """
    # whoever gets as far as this has a journal
    _refused(stack.guard(MIGSAFE_MIGRATE="rake db:drop", MIGSAFE_PRESET="rails"), 2, "destroys")
    assert "migsafe" in stack.databases()
    guard = stack.guard(MIGSAFE_DATABASE_URL=CLERK, MIGSAFE_ADMIN_URL=CLERK)
    _refused(guard, 18, "'clerk' may not create databases")


def test_prepared_transactions(stack: Stack) -> None:
    """
    A prepared transaction keeps a database from being renamed, and so from being put back.

    Faults: 26.
    """
    stack.psql("BEGIN; UPDATE books SET price_cents = 1; PREPARE TRANSACTION 'till-7'")
    guard = stack.guard()
    stack.psql("ROLLBACK PREPARED 'till-7'")
    _refused(guard, 18, "till-7", "ROLLBACK PREPARED")


def test_logical_slot(stack: Stack) -> None:
    """
    A logical slot would stay with the failed database.

    Faults: 27.
    """
    stack.psql("SELECT pg_create_logical_replication_slot('audit', 'pgoutput')")
    guard = stack.guard()
    stack.psql("SELECT pg_drop_replication_slot('audit')")
    _refused(guard, 18, "audit")


def test_all_at_once(stack: Stack) -> None:
    """What can be found together is told together."""
    (stack.folder / "sealed").mkdir(exist_ok=True)
    stack.psql("SELECT pg_create_logical_replication_slot('audit', 'pgoutput')")
    guard = stack.guard("-v", "./sealed:/sealed:ro", MIGSAFE_BACKUPS="/sealed")
    stack.psql("SELECT pg_drop_replication_slot('audit')")
    _refused(guard, 18, "audit", "/sealed can't be written")


def test_backups_of_another_database(shop: Stack) -> None:
    """
    A folder of backups that belongs to another database: something was swapped.

    Faults: 8, 20.
    """
    guard = shop.guard(MIGSAFE_MIGRATE=inline("TABLE nowhere"))
    assert 20 == guard.code, guard.output
    foreign = shop.folder / "foreign"
    shutil.copytree(shop.backups_folder, foreign)
    for path in foreign.glob("*.manifest.json"):
        mine = Manifest.from_json(path.read_text(), path.name.removesuffix(MANIFEST_SUFFIX))
        server = replace(mine.server, system_identifier="7000000000000000001")
        path.write_text(replace(mine, server=server, database="elsewhere").to_json())
    before = shop.digest()
    guard = shop.guard("-v", "./foreign:/foreign", MIGSAFE_BACKUPS="/foreign")
    _refused(guard, 17, "belongs to another database", "7000000000000000001")
    assert before == shop.digest()
