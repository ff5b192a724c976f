"""
The three scenarios of Loomio's operators, by the names of their Makefile, as one does it at night.

The tests are one story: each goes on where the one before it has ended.
"""

from dataclasses import dataclass

import pytest

from .conftest import Make
from .loomio import SERVICES, Loomio, copied
from .shell import Result, ended, wait_for
from .terminal import Terminal

pytestmark = pytest.mark.long

RUNNING = dict.fromkeys(SERVICES, "running")
CONFIRM = "type the database's name"


@dataclass
class Night:
    """What later chapters need to know of earlier ones."""

    stack: Loomio
    before: str
    """The data of release v1."""
    lost: str
    """The backup of it, from the server that was lost."""
    manual: str = ""
    """The same, from the present one."""


@pytest.fixture(scope="module")
def night(make: Make) -> Night:
    """Install Loomio, and take a backup."""
    stack = copied(make, "night")
    up = stack.make("init")
    assert 0 == up.code, up.output + stack.logs().output
    return Night(stack, stack.rows(), _backed_up(stack))


def test_start_on_lost_memory(night: Night) -> None:
    """
    Scenario 1: the database was in memory, and the release that starts can't migrate the backup.

    The gate stays closed on the empty database; the backup that is restored is put back, whole,
    when its migration fails; the release before starts on it.

    Faults: 20, 21.
    """
    stack = night.stack
    assert 0 == stack.make("stop").code
    stack.compose("rm", "--force", "db")
    empty = "find /pgdata -mindepth 1 -delete"
    folder = f"{stack.folder}/pgdata:/pgdata"
    stack.run(("docker", "run", "--rm", "-v", folder, "debian:trixie-slim", *empty.split()))
    stack.move_to("v2-late")

    start = stack.make("start")
    assert (17, True) == (stack.exit_code(), start.code != 0), start.output
    restored = _restore(stack, night.lost)
    assert 0 != restored.code
    assert "put back and proven" in restored.output, restored.output
    assert night.before == stack.rows()
    assert "running" not in stack.states().values()

    stack.move_to("v1")
    assert 0 == stack.make("start").code, stack.logs().output
    assert (RUNNING, night.before) == (stack.states(), stack.rows())
    night.manual = _backed_up(stack)


def test_update_again_and_again(night: Night) -> None:
    """
    Scenario 2: an update fails, is started again, taken back, and migrated by hand (options A, B).

    Loomio mounts folders of the host, and they may be code: what failed is tried again each time.

    Faults: 102.
    """
    stack = night.stack
    for _ in range(2):
        assert 0 != stack.update("v2-late").code
        assert (20, night.before) == (stack.exit_code(), stack.rows()), stack.logs().output
    stack.move_to("v1")
    assert 0 == stack.make("start").code, stack.logs().output
    assert (RUNNING, night.before) == (stack.states(), stack.rows())

    stack.move_to("v2-good")
    by_hand = stack.run("docker compose run --rm --no-deps app rake db:migrate")
    assert 0 == by_hand.code, by_hand.output
    assert 0 == stack.make("start").code, stack.logs().output
    assert (RUNNING, "0") == (stack.states(), stack.psql("SELECT count(*) FROM tags"))


def test_rollback_after_rollback(night: Night) -> None:
    """What has been taken back already is taken back once more: to the same data and images."""
    stack = night.stack
    before = stack.rows()
    assert 0 == stack.update("v3").code, stack.logs().output
    assert before != stack.rows()
    for _ in range(2):
        done = stack.compose("run", "--rm", "-T", "migsafe", "rollback", "--yes")
        assert 0 == done.code, done.output
        assert before == stack.rows()
    images = "start them with:"
    back = stack.run(done.output[done.output.index(images) + len(images) :])
    assert 0 == back.code, back.output
    assert (RUNNING, before) == (stack.states(), stack.rows())
    stack.move_to("v2-good")


def test_wrong_backup(night: Night) -> None:
    """
    Scenario 3: the backup from before the installation is picked, and the question answered.

    It is put in place, empty as it is, and the app does not start on it; what was there before is
    the newest safety backup.
    """
    stack = night.stack
    before = stack.rows()
    wrong = min(path.name for path in stack.backups if path.name.startswith("pre-migration-"))
    put = _restore(stack, wrong)
    assert 0 != put.code
    assert "is empty, although backups with data exist" in put.output
    assert before != stack.rows()
    assert "running" not in stack.states().values()
    rightly = _restore(stack, max(path.name for path in stack.backups if "safety-" in path.name))
    assert 0 == rightly.code, rightly.output
    assert (RUNNING, before) == (stack.states(), stack.rows())


def test_restore_twice(night: Night) -> None:
    """Who does not trust the first restore does it again, and gets the same."""
    stack = night.stack
    seen = []
    for _ in range(2):
        restored = _restore(stack, night.manual)
        assert 0 == restored.code, restored.output
        seen.append(stack.rows())
    assert seen[0] == seen[1]
    assert RUNNING == stack.states()


def test_ctrl_c_in_the_middle(night: Night) -> None:
    """
    Ctrl-C while the backup is loaded beside the database: nothing was changed, and all run again.

    Faults: 2, 92.
    """
    stack = night.stack
    before = stack.rows()
    stack.configure(MIGSAFE_FAILPOINTS="load.made=sleep:5")
    terminal = _confirmed(stack, night.manual)
    wait_for(lambda: _scratch(stack))
    terminal.press("ctrl-c")
    assert 0 != terminal.ended(), terminal.shown
    stack.configure(MIGSAFE_FAILPOINTS="")
    wait_for(lambda: not _runs(stack))
    assert before == stack.rows()
    start = stack.make("start")
    assert 0 == start.code, start.output + stack.logs().output
    assert (RUNNING, before, []) == (stack.states(), stack.rows(), _scratch(stack))


def test_restore_during_an_update(night: Night) -> None:
    """
    A restore that comes while an update migrates is told who is at work, and changes nothing.

    Faults: 4, 12.
    """
    stack = night.stack
    stack.configure(MIGSAFE_FAILPOINTS="migration.started=sleep:15")
    stack.move_to("v3")
    update = stack.start("up", "-d")
    wait_for(stack.leftovers)
    words = ("-e", "MIGSAFE_WAIT=2s", "migsafe", "restore", night.manual, "--yes")
    restore = stack.compose("run", "--rm", "-T", *words)
    assert 12 == restore.code, restore.output
    up = ended(update)
    assert 0 == up.code, up.output
    assert (RUNNING, "5") == (
        stack.states(),
        stack.psql("SELECT count(*) FROM anonymous_discussions"),
    )


def _backed_up(stack: Loomio) -> str:
    assert 0 == stack.make("db-backup").code
    return max(path.name for path in stack.backups if path.name.startswith("manual-"))


def _restore(stack: Loomio, backup: str) -> Result:
    """Type `make restore-db`, and confirm."""
    terminal = _confirmed(stack, backup)
    return Result(terminal.ended(), terminal.shown)


def _confirmed(stack: Loomio, backup: str) -> Terminal:
    terminal = Terminal(("make", "restore-db", f"BACKUP={backup}"), stack.folder)
    terminal.until(CONFIRM)
    terminal.press("loomio_production\r")
    return terminal


def _scratch(stack: Loomio) -> list[str]:
    return [name for name in stack.databases() if "__migsafe_" in name]


def _runs(stack: Loomio) -> list[str]:
    """Name the containers of commands that were typed and still run."""
    name = f"name={stack.project}-migsafe-run-"
    return stack.run(("docker", "ps", "-q", "--filter", name)).lines
