"""
Secrets are found nowhere: not in what is said, nor in what is left, nor in what others can see.

Every secret of this stack stands between two marks, which are looked for afterwards. The migration
prints everything that it knows.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .conftest import Make
from .shell import Result
from .shop import STACKS
from .stack import Stack

pytestmark = pytest.mark.long

MARK = "c4nary"
SETTING = "c4nary-of-the-tokens-c4nary"
ADMIN = "postgres://admin:c4nary%40of%2Fthe%3Amine%20c4nary@db/postgres"
OPTION = "sh /etc/migrate.sh --password=c4nary-typed-c4nary --token c4nary-too-c4nary"


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Give a shop that has lived without migsafe, with a secret in the database's settings."""
    made = make(STACKS / "canaries", "shop", settings={"MIGSAFE_MIGRATE": "sh /etc/migrate.sh"})
    made.compose("up", "-d", "--wait", "db")
    migrated = made.compose("run", "--rm", "--no-deps", "app", "bin/migrate")
    assert 0 == migrated.code, migrated.output
    made.psql(f"ALTER DATABASE shop SET app.jwt_secret = '{SETTING}'", "postgres")
    made.psql("CREATE ROLE admin SUPERUSER LOGIN PASSWORD 'c4nary@of/the:mine c4nary'")
    made.move_to("v2-late")
    made.compose("create", "app", "migsafe")
    return made


@pytest.fixture(scope="module")
def before(stack: Stack) -> str:
    """Sum up the data and the settings."""
    return stack.digest()


@pytest.mark.parametrize("log", ["console", "json"])
def test_failure(stack: Stack, before: str, log: str) -> None:
    """
    A migration that prints its secrets fails, and the backup is loaded: settings are put back.

    Faults: 57, 60, 85, 97, 134.
    """
    _again(stack)
    stack.configure(MIGSAFE_LOG=log, MIGSAFE_LOG_LEVEL="debug", MIGSAFE_RESTORE_POINT="never")
    with _watched() as seen:
        told = _guard(stack, 20)
    assert "loading the backup" in told.output
    assert "SECRET_KEY_BASE=***" in told.output
    assert "BEGIN" not in told.output
    assert (before, []) == (stack.digest(), seen)
    stack.configure(MIGSAFE_LOG="", MIGSAFE_LOG_LEVEL="", MIGSAFE_RESTORE_POINT="")
    _is_clean(stack)


def test_of_its_own(stack: Stack, before: str) -> None:
    """
    Secrets in migsafe's own settings: in URLs, in files, among the arguments of the migration.

    Faults: 60, 134.
    """
    (stack.folder / "url").write_text(_url(stack), encoding="utf-8")
    stack.configure(
        MIGSAFE_ADMIN_URL=ADMIN, MIGSAFE_DATABASE_URL_FILE="/etc/url", MIGSAFE_MIGRATE=OPTION
    )
    _mount(stack, ["./url:/etc/url:ro"])
    told = _guard(stack, 20)
    assert "--password=***" in told.output
    for command in ("status", "list", "config"):
        for option in ((), ("--json",)):
            asked = stack.compose("run", "--rm", "--no-deps", "-T", "migsafe", command, *option)
            assert (0, False) == (asked.code, MARK in asked.output), asked.output
    stack.configure(MIGSAFE_ADMIN_URL="", MIGSAFE_DATABASE_URL_FILE="")
    stack.configure(MIGSAFE_MIGRATE="sh /etc/migrate.sh")
    _mount(stack, [])
    assert before == stack.digest()
    _is_clean(stack)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgres://shop:c4nary%3Awrong%20c4nary@db/shop", 10),
        ("postgres://shop:c4nary-c4nary@db:port/shop", 2),
        ("postgres://shop:c4nary'/c4nary@@db/shop", 2),
        ("host=db dbname=shop user=shop password=c4nary:c4nary", 10),
    ],
)
def test_wrong(stack: Stack, url: str, code: int) -> None:
    """
    A password that is wrong, or can't be read, is not repeated.

    Faults: 134.
    """
    stack.configure(MIGSAFE_DATABASE_URL=url)
    _guard(stack, code)
    for command in ("status", "retry"):
        asked = stack.compose("run", "--rm", "--no-deps", "-T", "migsafe", command)
        assert (code, False) == (asked.code, MARK in asked.output), asked.output
    stack.configure(MIGSAFE_DATABASE_URL="")


def test_bug(stack: Stack, before: str) -> None:
    """
    A traceback shows no secret either.

    Faults: 134.
    """
    _again(stack)
    stack.configure(MIGSAFE_FAILPOINTS="journal.after.exited=raise")
    told = _guard(stack, 1)
    assert "Traceback" in told.output
    stack.configure(MIGSAFE_FAILPOINTS="")
    _guard(stack, 20)
    assert before == stack.digest()


def test_one_off(stack: Stack) -> None:
    """
    What we make of containers shows what the app's own shows, and nothing more.

    Faults: 86, 134.
    """
    _again(stack)
    stack.configure(MIGSAFE_FAILPOINTS="migration.ended=kill")
    assert 137 == stack.guard().code
    stack.configure(MIGSAFE_FAILPOINTS="")
    app, found = stack.inspect(stack.container("app")), stack.inspect(stack.leftovers()[0])
    mine = set(found["Config"].pop("Env")) - set(app["Config"]["Env"])
    assert MARK not in f"{mine} {json.dumps(found)}"
    _guard(stack, 20)


def test_success(stack: Stack) -> None:
    """
    All goes well, and nothing is told that should not be.

    Faults: 134.
    """
    stack.up("v2-good")
    told = stack.logs()
    assert (0, False) == (told.code, MARK in told.output), told.output
    _is_clean(stack)


def test_modes(stack: Stack) -> None:
    """
    Nobody else can read what is beside the backups.

    Faults: 133.
    """
    files = list(stack.backups_folder.iterdir())
    assert files
    assert {0o600} == {path.stat().st_mode & 0o777 for path in files}


def _guard(stack: Stack, code: int) -> Result:
    """Run a guard, and see that it says nothing; its settings are in files, not in arguments."""
    told = stack.guard()
    assert code == told.code, told.output
    assert MARK not in told.output, told.output
    return told


def _again(stack: Stack) -> None:
    """Let what has failed be tried again."""
    asked = stack.compose("run", "--rm", "--no-deps", "-T", "migsafe", "retry")
    assert 0 == asked.code, asked.output


def _mount(stack: Stack, volumes: list[str]) -> None:
    shipped = [
        "/var/run/docker.sock:/var/run/docker.sock",
        "${MIGSAFE_BACKUPS_VOLUME:-./data/db_backup}:/backups",
    ]
    stack.service = {**stack.service, "volumes": [*shipped, *volumes]}
    stack.configure()


def _url(stack: Stack) -> str:
    app = stack.inspect(stack.container("app"))
    found = dict(entry.partition("=")[::2] for entry in app["Config"]["Env"])
    return str(found["DATABASE_URL"])


def _is_clean(stack: Stack) -> None:
    """Look through all that is left: the journal, and the folder of backups."""
    journal = stack.psql("SELECT j::text FROM migsafe.journal j", "migsafe")
    assert MARK not in journal
    for path in stack.backups_folder.iterdir():
        text = path.read_text(encoding="utf-8")
        if path.name.endswith(".manifest.json"):  # the page of limits says so
            text = text.replace(SETTING, "")
        assert MARK not in text, path


@contextmanager
def _watched() -> Iterator[list[str]]:
    """Look at the arguments of every process of the machine, again and again."""
    seen: list[str] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.002):
            seen.extend(_arguments())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _arguments() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            text = process.read_bytes().decode(errors="replace")
            if MARK in text:
                yield text.replace("\0", " ")
