"""
The page for three in the morning: its commands are copied from it and typed, by symptom.

The tests are one story: each goes on where the one before it has ended. What is left of the page is
typed in ``test_recovery.py``.
"""

import time

import pytest

from . import apps
from .cards import page
from .conftest import Make
from .shell import Result
from .stack import Stack
from .terminal import Terminal

NAMES = {"USER": "shop", "NAME": "shop"}


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Give a shop whose update has failed."""
    made = make(apps.PLAIN.folder, "shop", settings=apps.PLAIN.settings)
    assert 0 == made.up("v1").code, made.logs().output
    assert 0 != made.up("v2-late").code
    assert 20 == made.exit_code()
    return made


def test_what_happened(stack: Stack) -> None:
    """Log and report end with the same card; `status` and `list` answer while the app is down."""
    log = _typed(stack, page("docker compose logs migsafe"))
    report = _typed(stack, page("cat data/db_backup/last-report.txt"))
    status = _typed(stack, page("docker compose run --rm migsafe status"))
    listed = _typed(stack, page("docker compose run --rm migsafe list"))

    assert all(line in log.output for line in report.lines[1:])
    assert "rolled-back" in status.output
    assert all(path.name in listed.output for path in stack.backups)


def test_look_at_the_failed_database(stack: Stack) -> None:
    """It is opened by the name on the card, and holds what the failed migration made."""
    names = {**NAMES, "KEPT": _kept(stack)}
    _typed(
        stack,
        page(
            "docker compose exec db psql -U USER -d postgres"
            " -c 'ALTER DATABASE \"KEPT\" ALLOW_CONNECTIONS true'",
            names,
        ),
    )
    seen = stack.run(page("docker compose exec db psql -U USER -d KEPT", names), stdin=b"\\dt\n")
    assert "customers" in seen.output


def test_go_back(stack: Stack) -> None:
    """The file beside the backups pins the images that last ran with this data."""
    _typed(
        stack,
        page(
            "docker compose -f compose.yaml -f compose.override.yml"
            " -f data/db_backup/compose.pin.yml up -d"
        ),
    )
    assert "running" == stack.state("app")
    assert "200" == stack.psql("SELECT count(*) FROM books")


def test_migrate_by_hand(stack: Stack) -> None:
    """The fixed release is migrated past the gate; the gate sees it, backs up, and opens."""
    stack.move_to("v2-good")
    names = {"MIGRATE-COMMAND": "bin/migrate"}
    _typed(stack, page("docker compose run --rm --no-deps app MIGRATE-COMMAND", names))
    _typed(stack, page("docker compose up -d"))
    assert "running" == stack.state("app")
    assert "0" == stack.psql("SELECT count(*) FROM reviews")


def test_take_the_update_back(stack: Stack) -> None:
    """`rollback` shows what was written since, asks, and prints what starts the old images."""
    stack.psql("DELETE FROM orders WHERE id = 1")
    assert 0 == stack.up("v3").code, stack.logs().output
    shown = _confirmed(stack, page("docker compose run --rm migsafe rollback"))
    _typed(stack, shown[-1])
    assert ("running", "4999") == (stack.state("app"), stack.psql("SELECT count(*) FROM orders"))
    assert "" == stack.psql("SELECT to_regclass('customers')")
    stack.move_to("v2-good")


def test_wrong_backup(stack: Stack) -> None:
    """A restore of the wrong backup is taken back: what was there is the newest safety backup."""
    before = stack.rows()
    names = {"BACKUP": stack.backups[-3].name}
    wrong = page("docker compose run --rm migsafe restore BACKUP --yes", names)
    assert 0 == stack.run(wrong.replace("run --rm", "run --rm -T")).code
    assert before != stack.rows()
    _confirmed(stack, page("docker compose run --rm migsafe restore"), "safety")
    assert before == stack.rows()


def test_a_dump_of_others(stack: Stack) -> None:
    """What pg_dump wrote beside migsafe is restored as backups are."""
    before = stack.rows()
    taken = "docker compose exec -T db pg_dump -U shop -Fc shop > shop.dump"
    _typed(stack, taken)
    stack.psql("DELETE FROM orders WHERE id = 2")
    _confirmed(
        stack,
        page("docker compose run --rm -v ./shop.dump:/shop.dump migsafe restore --file /shop.dump"),
    )
    assert before == stack.rows()


def test_the_disk_is_full(stack: Stack) -> None:
    """`status` names what was set aside, `forget` drops one."""
    status = _typed(stack, page("docker compose run --rm migsafe status"))
    name = _kept(stack)
    assert name in status.output
    _confirmed(stack, page("docker compose run --rm migsafe forget KEPT", {"KEPT": name}), of=name)
    assert name not in stack.databases()


def test_find_the_volume(stack: Stack) -> None:
    """Volumes are named after the project."""
    assert f"{stack.project}_data" in _typed(stack, page("docker volume ls")).output


def test_migsafe_is_gone(stack: Stack) -> None:
    """A backup is checked, loaded and put in place, and the app started, by psql alone."""
    backup = max(path for path in stack.backups if path.suffix == ".sql")
    names = {**NAMES, "BACKUP": backup.name.removesuffix(".sql")}
    variables = stack.variables
    stack.variables = {"MIGSAFE_IMAGE": "migsafe:gone"}
    stack.move_to("v2-good")
    assert 0 != stack.run("docker compose up -d").code

    assert backup.name in _typed(stack, page("ls -l data/db_backup/")).output
    checksum = _typed(stack, page("sha256sum data/db_backup/BACKUP.sql", names)).output.split()[0]
    noted = page("grep '\"sha256\"' data/db_backup/BACKUP.sql.manifest.json", names)
    assert checksum in _typed(stack, noted).output
    _typed(stack, page("docker compose stop"))
    _typed(stack, page("docker compose -f compose.yaml up -d db"))
    _typed(
        stack,
        page("until docker compose exec -T db pg_isready -q -h 127.0.0.1; do sleep 1; done"),
    )
    _typed(
        stack,
        page("docker compose exec -T db createdb -U USER -T template0 NAME_restored", names),
    )
    _typed(
        stack,
        page(
            "docker compose exec -T db psql -q -1 -v ON_ERROR_STOP=1 -U USER -d NAME_restored"
            " < data/db_backup/BACKUP.sql",
            names,
        ),
    )
    loaded = stack.rows("shop_restored")
    _typed(
        stack,
        page(
            "docker compose exec -T db psql -q -1 -v ON_ERROR_STOP=1 -U USER -d postgres"
            ' -c \'ALTER DATABASE "NAME" RENAME TO "NAME_broken"\''
            ' -c \'ALTER DATABASE "NAME_restored" RENAME TO "NAME"\'',
            names,
        ),
    )
    _typed(stack, page("docker compose -f compose.yaml up -d"))
    assert ("running", loaded) == (stack.state("app"), stack.rows())
    stack.variables = variables


def test_an_archive_without_migsafe(stack: Stack) -> None:
    """Archives are loaded by the programs that the database's own image has."""
    archive = max(path for path in stack.backups if path.name.endswith(".dump.zst"))
    names = {**NAMES, "BACKUP": archive.name.removesuffix(".dump.zst")}
    _typed(stack, "docker compose exec -T db createdb -U shop -T template0 shop_restored")
    _typed(
        stack,
        page(
            "docker compose exec -T db sh -c"
            " 'zstd -dc | pg_restore -e -1 -U USER -d NAME_restored'"
            " < data/db_backup/BACKUP.dump.zst",
            names,
        ),
    )
    tables = "SELECT count(*) FROM orders"
    assert int(stack.psql(tables, "shop_restored")) > 0


def test_migsafe_is_back(stack: Stack) -> None:
    """The next up goes on from what it finds; the journal remembers everything."""
    stack.move_to("v2-good")
    up = stack.run(page("docker compose up -d --force-recreate"))
    assert 0 == up.code, up.output + stack.logs().output
    told = _typed(
        stack,
        page(
            "docker compose exec db psql -U USER -d migsafe -c 'SELECT at, run, phase, detail"
            " FROM migsafe.journal ORDER BY sequence DESC LIMIT 20'",
            NAMES,
        ),
    )
    assert "cleared" in told.output
    seen = stack.run(page("docker compose exec db psql -U USER -d NAME", NAMES), stdin=b"\\dt\n")
    assert "orders" in seen.output


def _typed(stack: Stack, command: str) -> Result:
    done = stack.run(command)
    assert 0 == done.code, f"{command}\n{done.output}"
    return done


def _confirmed(stack: Stack, command: str, *chosen: str, of: str = "shop") -> list[str]:
    """Type a command on a terminal, and the name that it asks for; return what was shown."""
    terminal = Terminal(("sh", "-c", command), stack.folder)
    for choice in chosen:
        terminal.until("restore which backup?")
        terminal.press(choice)
        time.sleep(0.5)
        terminal.press("enter")
    terminal.until("type the database's name")
    terminal.press(f"{of}\r")
    assert 0 == terminal.ended(), terminal.shown
    return terminal.shown.splitlines()


def _kept(stack: Stack) -> str:
    return next(name for name in stack.databases() if "__kept_" in name)
