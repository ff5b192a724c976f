"""Dumps that others have made, put in place by hand: by several programs, in several shapes."""

import subprocess

import pytest

from .apps import APPS
from .conftest import Make
from .shell import Result
from .stack import Stack
from .terminal import Terminal

CHANGE = "DELETE FROM orders WHERE id % 7 = 0"


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Run release v1 under the gate."""
    found = make(APPS / "plainsql", "restore-file", settings={"MIGSAFE_MIGRATE": "bin/migrate"})
    up = found.up("v1")
    assert 0 == up.code, found.logs().output
    return found


def dumped(stack: Stack, *argv: str) -> bytes:
    """Run a program of the database's own container."""
    done = subprocess.run(
        ("docker", "exec", stack.container("db"), *argv), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def pg_dump(stack: Stack, *flags: str) -> bytes:
    """Dump the database with its own server's pg_dump."""
    return dumped(stack, "pg_dump", "-U", "shop", *flags, "shop")


def newer(stack: Stack, *flags: str) -> bytes:
    """Dump it with the pg_dump of the next major."""
    network = f"{stack.project}_default"
    done = subprocess.run(
        (
            *("docker", "run", "--rm", "--network", network, "-e", "PGPASSWORD=secret"),
            *("postgres:18", "pg_dump", "-h", "db", "-U", "shop", *flags, "shop"),
        ),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def put(stack: Stack, name: str, data: bytes) -> str:
    """Write a file where it can be mounted from."""
    path = stack.folder / name
    path.write_bytes(data)
    return str(path)


def restore(stack: Stack, path: str, *words: str, mount: bool = True) -> Result:
    """Type the restore of a file, as the documentation says."""
    inside = "/x.dump" if mount else path
    volume = ("-v", f"{path}:{inside}") if mount else ()
    return stack.compose(
        *("run", "--rm", "-T", *volume, "migsafe", "restore", "--file", inside, *words)
    )


def scratch(stack: Stack) -> list[str]:
    """Name the databases that nobody needs any more."""
    return [name for name in stack.databases() if "__migsafe_" in name]


def test_an_archive(stack: Stack) -> None:
    """
    It is in place, migrated, and the app runs on it; what was there is kept and backed up.

    Faults: 90, 119.
    """
    then = stack.digest()
    path = put(stack, "shop.dump", pg_dump(stack, "-Fc"))
    stack.psql(CHANGE)

    done = restore(stack, path, "--yes")

    assert 0 == done.code, done.output
    assert (then, "running") == (stack.digest(), stack.state("app"))
    assert "an archive, written by pg_dump 17" in done.output
    assert "orders: " in done.output
    (kept,) = [name for name in stack.databases() if "__kept_" in name]
    assert kept in done.output
    assert [] != list(stack.backups_folder.glob("safety-*"))
    assert [] == scratch(stack)


@pytest.mark.parametrize(
    "how",
    [
        "schema",
        pytest.param("folder", marks=pytest.mark.long),
        pytest.param("newer", marks=pytest.mark.long),
    ],
)
def test_other_shapes(stack: Stack, how: str) -> None:
    """A folder among the backups, one schema of Loomio's kind, an archive of a newer pg_dump."""
    then = stack.rows()
    mount = True
    if how == "folder":
        dumped(stack, "pg_dump", "-U", "shop", "-Fd", "-f", "/tmp/shop", "shop")  # noqa: S108 - in the container
        path, mount = "shop-folder", False
        copied = stack.run(
            ("docker", "cp", f"{stack.container('db')}:/tmp/shop", str(stack.backups_folder / path))
        )
        assert 0 == copied.code, copied.output
    elif how == "schema":
        path = put(stack, "shop.sql.gz", pg_dump(stack, "-Z6", "--schema=public", "--blobs"))
    else:
        path = put(stack, "newer.dump", newer(stack, "-Fc"))
    stack.psql(CHANGE)

    done = restore(stack, path, "--yes", "--no-migrate", mount=mount)

    assert 0 == done.code, done.output
    assert then == stack.rows()
    assert 0 == stack.up("v1").code
    assert ("running", then) == (stack.state("app"), stack.rows())


def test_what_is_refused_changes_nothing(stack: Stack) -> None:
    """
    Damaged, hostile, of a whole server, not there: each has its code, and the app runs on.

    Faults: 57, 59, 118, 121.
    """
    whole, before = pg_dump(stack), stack.digest()
    began = stack.inspect(stack.container("app"))["State"]["StartedAt"]
    evil = whole.replace(b"CREATE TABLE", b"\\! touch /backups/mark\nCREATE TABLE", 1)
    files = {
        "cut.sql": (whole[: len(whole) // 2], 14, "cut off"),
        "cut.dump": (pg_dump(stack, "-Fc")[:-2000], 14, "damaged"),
        "evil.sql": (evil, 14, "a command of psql's that no dump needs"),
        "all.sql": (dumped(stack, "pg_dumpall", "-U", "shop"), 17, "pg_dumpall"),
    }
    for name, (data, code, why) in files.items():
        done = restore(stack, put(stack, name, data), "--yes")
        assert code == done.code, done.output
        assert why in " ".join(done.output.split()), done.output
    missing = restore(stack, "nothing.dump", "--yes", mount=False)
    both = restore(stack, "nothing.dump", "latest", "--yes", mount=False)
    unsure = restore(stack, put(stack, "whole.sql", whole))

    assert [15, 2, 2] == [done.code for done in (missing, both, unsure)], unsure.output
    assert "keeps " in unsure.output
    assert not (stack.backups_folder / "mark").exists()
    assert (before, []) == (stack.digest(), scratch(stack))
    assert began == stack.inspect(stack.container("app"))["State"]["StartedAt"]
    roles = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'migsafe%'"
    assert "0" == stack.psql(roles)


def test_ctrl_c_when_it_is_asked(stack: Stack) -> None:
    """Ctrl-C ends the question at once, on a terminal of 60 columns too; nothing was changed."""
    before = stack.digest()
    path = put(stack, "asked.dump", pg_dump(stack, "-Fc"))
    words = ("run", "--rm", "-v", f"{path}:/x.dump", "migsafe", "restore", "--file", "/x.dump")
    terminal = Terminal(("docker", "compose", *words), stack.folder, columns=60)
    terminal.until("type the database's name")
    assert before == stack.digest()
    terminal.press("ctrl-c")

    assert 130 == terminal.ended(), terminal.shown
    assert "Traceback" not in terminal.shown
    rules = [line for line in terminal.shown.splitlines() if "────" in line]
    assert all(len(line.strip()) <= 60 for line in rules)
    assert (before, [], "running") == (stack.digest(), scratch(stack), stack.state("app"))


@pytest.mark.parametrize(
    ("point", "codes"),
    [
        pytest.param("journal.after.started", {130}, marks=pytest.mark.long),
        pytest.param("journal.after.stopping", {130}, marks=pytest.mark.long),
        pytest.param("backup.dumped", {130}, marks=pytest.mark.long),
        ("load.fed", {130}),
        pytest.param("database.closed", {0}, marks=pytest.mark.long),
        ("swap.committed", {0}),
    ],
)
def test_ctrl_c_anywhere(stack: Stack, point: str, codes: set[int]) -> None:
    """
    Ctrl-C in the middle of a restore: before the swap nothing was changed, after it it is whole.

    Faults: 2.
    """
    stack.up("v1")
    backup = newest(stack)
    was = stack.rows()
    stack.psql(CHANGE)
    changed = stack.rows()
    settings = ("-e", f"MIGSAFE_FAILPOINTS={point}=sleep:4", "-e", "NO_COLOR=1")
    words = ("run", "--rm", *settings, "migsafe", "restore", backup, "--yes", "--no-migrate")
    terminal = Terminal(("docker", "compose", *words), stack.folder)
    terminal.until(f"failpoint {point}")
    terminal.press("ctrl-c")

    code = terminal.ended()
    assert code in codes, terminal.shown
    assert "Traceback" not in terminal.shown
    assert "\x1b[33m" not in terminal.shown
    assert ((was if code == 0 else changed), []) == (stack.rows(), scratch(stack))
    if code:
        assert "running" == stack.state("app")
    stack.psql(CHANGE)


def test_back_to_a_restore_point_that_was_kept(stack: Stack) -> None:
    """
    With `keep`, going back is a swap: nothing is loaded, what was written since is told and kept.

    Faults: 90, 102.
    """
    stack.up("v1")
    before = stack.rows()
    stack.configure(MIGSAFE_RESTORE_POINT="keep")
    assert 0 == stack.up("v2-good").code, stack.logs().output
    (point,) = scratch(stack)
    stack.psql("DELETE FROM orders WHERE id = 1")
    safety = list(stack.backups_folder.glob("safety-*"))

    done = stack.compose("run", "--rm", "-T", "migsafe", "rollback", "--yes")

    assert 0 == done.code, done.output
    assert "nothing is loaded" in done.output
    assert "rows then" in done.output
    assert (before, []) == (stack.rows(), scratch(stack))
    assert safety == list(stack.backups_folder.glob("safety-*"))
    assert point not in stack.databases()
    stack.configure(MIGSAFE_RESTORE_POINT="auto")
    assert 0 == stack.up("v1").code


def newest(stack: Stack) -> str:
    """Take a backup now, and name it."""
    done = stack.compose("run", "--rm", "-T", "migsafe", "backup", "--json")
    assert 0 == done.code, done.output
    return max(path.name for path in stack.backups if path.name.startswith("manual"))


def test_a_pipe_that_is_closed_early(stack: Stack) -> None:
    """`migsafe list | head -1` ends without a word."""
    done = stack.run(
        "docker compose run --rm -T --entrypoint sh migsafe"
        " -c 'migsafe show latest 2>/tmp/said | head -1; wc -c < /tmp/said'"
    )

    assert (0, ["backup", "0"]) == (done.code, [line.split()[0] for line in done.lines[-2:]])
