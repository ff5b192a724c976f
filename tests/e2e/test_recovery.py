"""
What recovery says: every command on a card is typed as it is printed, on a stack in that state.

The tests are one story of one shop, on which one disaster after the other comes down. Each begins
with the app running, and ends with the app running and no row lost. ``Cards:`` names the golden
files of ``tests/unit/golden`` that a test holds to their commands.
"""

import pytest

from .cards import page, told, typed
from .conftest import Make
from .shell import wait_for
from .shop import STACKS
from .stack import Stack

MIGRATE = "sh /etc/migrate.sh"
OBSTACLE = "CREATE TABLE obstacle AS SELECT 'BEGIN; PREPARE TRANSACTION ''till-7'''"
SWAPPED = """
INSERT INTO migsafe.journal (database, run, phase, detail)
SELECT database, run, 'swapped', jsonb_build_object('swapped_in', detail->>'restore_point')
FROM migsafe.journal WHERE phase = 'cloning' ORDER BY sequence DESC LIMIT 1
"""
"""What a journal says that was put back to a later state than the databases beside it."""


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Give a shop that has lived without migsafe."""
    made = make(STACKS / "recovery", "shop", settings={"MIGSAFE_MIGRATE": MIGRATE})
    override = made.folder / "compose.override.yml"
    override.rename(made.folder / "later")
    made.compose("up", "-d", "--wait", "db")
    migrated = made.compose("run", "--rm", "--no-deps", "app", "bin/migrate")
    assert 0 == migrated.code, migrated.output
    made.compose("up", "-d")
    (made.folder / "later").rename(override)
    return made


@pytest.fixture(scope="module")
def before(stack: Stack) -> str:
    """Sum up the data that must not be lost."""
    return stack.digest()


def test_app_that_does_not_wait(stack: Stack, before: str) -> None:
    """
    The app's container was made before the override, and has no trace of it.

    Cards: no-app.
    """
    stack.compose("up", "-d", "--no-deps", "migsafe")
    wait_for(lambda: stack.state("migsafe") == "exited")
    _ended(stack, 11)
    typed(stack, "then")
    _runs(stack, before)


def test_failed(stack: Stack, before: str) -> None:
    """
    A migration fails: the backup can be loaded by hand, and the release before comes back.

    Cards: failed.
    Faults: 71, 102, 104.
    """
    _up(stack, "v2-late", 20)
    assert "left stopped: worker-1" in told(stack).item("app")
    typed(stack, "no migsafe")
    _is_beside(stack)
    typed(stack, "go back")
    _runs(stack, before)


def test_known_bad(stack: Stack, before: str) -> None:
    """
    A bad image that writes nothing is started again and again: each card has the way out.

    Cards: failed, known-bad.
    Faults: 12, 71, 101.
    """
    _up(stack, "v2-early", 20)
    assert told(stack).card == typed(stack, "all of it").card
    _up(stack, "v2-early", 17)
    assert told(stack).card == typed(stack, "all of it").card
    typed(stack, "try again", 1)
    _ended(stack, 20)
    _up(stack, "v2-early", 17)
    typed(stack, "no migsafe")
    _is_beside(stack)
    typed(stack, "go back")
    _runs(stack, before)


def test_stopped(stack: Stack, before: str) -> None:
    """
    The guard gets a signal in the middle: the same image may be tried again.

    Cards: interrupted.
    Faults: 2.
    """
    stack.configure(MIGSAFE_FAILPOINTS="migration.started=term")
    _retried(stack)
    _up(stack, "v2-late", 21)
    assert told(stack).card == typed(stack, "all of it").card
    typed(stack, "no migsafe")
    _is_beside(stack)
    stack.configure(MIGSAFE_FAILPOINTS="")
    typed(stack, "try again", 1)
    _ended(stack, 20)
    typed(stack, "go back")
    _runs(stack, before)


def test_killed(stack: Stack, before: str) -> None:
    """
    The guard is killed while it puts the database back: there is no card, and `up -d` is enough.

    Faults: 1, 44, 61.
    """
    _retried(stack)
    stack.configure(MIGSAFE_FAILPOINTS="database.closed=kill")
    stack.up("v2-late")
    assert 137 == stack.exit_code()
    backups = stack.backups
    stack.configure(MIGSAFE_FAILPOINTS="")
    assert 1 == stack.run(page("docker compose up -d")).code
    _ended(stack, 20)
    assert backups == stack.backups  # what was found was not the state before
    typed(stack, "go back")
    _runs(stack, before)


def test_bug(stack: Stack, before: str) -> None:
    """
    A bug of migsafe's ends the run where it stands: the next one goes on from there.

    Cards: bug.
    """
    _retried(stack)
    stack.configure(MIGSAFE_FAILPOINTS="journal.after.exited=raise")
    _up(stack, "v2-late", 1)
    assert told(stack).card == typed(stack, "all of it").card
    stack.configure(MIGSAFE_FAILPOINTS="")
    typed(stack, "then", 1)
    _ended(stack, 20)
    typed(stack, "go back")
    _runs(stack, before)


def test_pending(stack: Stack, before: str) -> None:
    """
    The server goes away in the middle of a run: the next one finishes the rollback.

    Cards: pending.
    Faults: 7, 81.
    """
    _retried(stack)
    stack.configure(MIGSAFE_FAILPOINTS="journal.before.failed=fail")
    _up(stack, "v2-late", 32)
    stack.configure(MIGSAFE_FAILPOINTS="")
    typed(stack, "then", 1)
    _ended(stack, 20)
    typed(stack, "go back")
    _runs(stack, before)


def test_rollback_failed(stack: Stack, before: str) -> None:
    """
    Something keeps the database from being renamed; once it is gone the rollback goes on.

    Cards: stranded.
    Faults: 95.
    """
    _obstruct(stack)
    _clear(stack)
    typed(stack, "try again", 1)
    _ended(stack, 20)
    typed(stack, "go back")
    _runs(stack, before)


def test_damaged_backup(stack: Stack, before: str) -> None:
    """
    The copy on the server is gone and the backup is damaged: an earlier one is loaded by hand.

    Cards: stranded.
    Faults: 59, 91.
    """
    _obstruct(stack)
    stack.psql(f'DROP DATABASE "{_copy(stack)}"', "postgres")
    damaged = stack.backups[-1]
    damaged.write_bytes(damaged.read_bytes().replace(b"books", b"bocks", 1))
    _clear(stack)
    typed(stack, "try again", 1)
    _ended(stack, 30)
    assert f"{damaged.name} is not whole" in told(stack).item("backup")
    typed(stack, "no migsafe")
    assert before == stack.digest()
    typed(stack, "try again", 1)
    _ended(stack, 20)
    typed(stack, "go back")
    _runs(stack, before)


def test_disagrees(stack: Stack, before: str) -> None:
    """
    The journal remembers a swap that the server does not: the copy is what the database was.

    Cards: disagrees.
    Faults: 9.
    """
    _retried(stack)
    stack.configure(MIGSAFE_FAILPOINTS="database.closed=kill")
    stack.up("v2-late")
    stack.configure(MIGSAFE_FAILPOINTS="")
    stack.psql(SWAPPED, "migsafe")
    _up(stack, "v2-late", 31)
    typed(stack, "the copy", 1)
    _ended(stack, 20)
    typed(stack, "go back")
    _runs(stack, before)


def test_password(stack: Stack, before: str) -> None:
    """
    Somebody has changed the password in the server, and not in the environment.

    Cards: refused.
    """
    stack.psql("ALTER ROLE shop PASSWORD 'rotated'")
    _up(stack, "v2-late", 10)
    assert "password authentication failed" in told(stack).text
    stack.variables = {**stack.variables, "PASSWORD": "rotated"}
    stack.move_to("v1")
    typed(stack, "then")
    _runs(stack, before)


def test_database_down(stack: Stack, before: str) -> None:
    """
    The server does not come up after a change of its settings.

    Cards: refused.
    Faults: 16.
    """
    stack.configure(MIGSAFE_WAIT="2s")
    stack.variables = {**stack.variables, "PREPARED": "lots"}
    stack.move_to("v1")
    stack.compose("up", "-d", "db")
    guard = stack.guard()
    assert 10 == guard.code, guard.output
    stack.configure(MIGSAFE_WAIT="")
    stack.variables = {**stack.variables, "PREPARED": "5"}
    stack.move_to("v1")
    typed(stack, "then", of=guard)
    _runs(stack, before)


def test_lost_volume(stack: Stack, before: str) -> None:
    """
    The volume is gone, the backups are not: the newest is loaded, and the app starts on it.

    Cards: lost.
    Faults: 20, 21.
    """
    stack.down()
    _up(stack, "v1", 17)
    typed(stack, "load it")
    assert before == stack.digest()
    typed(stack, "then")
    _runs(stack, before)


def test_fixed(stack: Stack) -> None:
    """
    A fixed release migrates; a service that does not start again is told, with what to type.

    Cards: failed, known-bad, stuck.
    Faults: 104.
    """
    _up(stack, "v2-late", 20)
    _up(stack, "v2-late", 17)
    conf = stack.folder / "worker.conf"
    text = conf.read_text(encoding="utf-8")
    stack.compose("start", "worker")
    stack.move_to("v2-good")
    typed(stack, "yourself")
    conf.unlink()
    typed(stack, "fixed")
    conf.write_text(text, encoding="utf-8")
    assert "left stopped: worker-1 (" in told(stack).item("services")
    assert ("running", "exited") == (stack.state("app"), stack.state("worker"))
    typed(stack, "then")
    _runs(stack, stack.digest())
    assert "5000|0" == stack.psql("SELECT (SELECT count(*) FROM orders), count(*) FROM reviews")


def test_ahead(stack: Stack) -> None:
    """
    An image that is older than the data is refused, and the card has the newer one.

    Cards: ahead.
    """
    before = stack.digest()
    _up(stack, "v1", 17)
    typed(stack, "go back")
    _runs(stack, before)


def test_the_other(stack: Stack) -> None:
    """
    Where journal and server disagree, and the operator knows that the migrated one is right.

    Cards: disagrees.
    Faults: 9.
    """
    stack.configure(MIGSAFE_ASSERT="SELECT false", MIGSAFE_FAILPOINTS="database.closed=kill")
    stack.up("v3")
    assert 137 == stack.exit_code()
    stack.configure(MIGSAFE_ASSERT="", MIGSAFE_FAILPOINTS="")
    stack.psql(SWAPPED, "migsafe")
    _up(stack, "v3", 31)
    typed(stack, "the other")
    _runs(stack, stack.digest())
    assert "500|5000" == stack.psql(
        "SELECT count(DISTINCT customer_id), count(*) FROM orders WHERE customer_id IS NOT NULL"
    )


# --- what is seen


def _up(stack: Stack, release: str, code: int) -> None:
    """Move to a release whose gate stays closed."""
    up = stack.up(release)
    assert 0 != up.code, up.output
    _ended(stack, code)
    assert "running" != stack.state("app")


def _ended(stack: Stack, code: int) -> None:
    assert code == stack.exit_code(), stack.logs().output


def _runs(stack: Stack, before: str) -> None:
    assert ("running", "running") == (stack.state("app"), stack.state("worker"))
    assert (before, []) == (stack.digest(), stack.leftovers())
    assert 0 == stack.exit_code(), stack.logs().output


def _is_beside(stack: Stack) -> None:
    """See that the backup holds what the database does, and throw the copy away."""
    assert stack.rows() == stack.rows("shop_restored")
    stack.psql("DROP DATABASE shop_restored", "postgres")


# --- what goes wrong


def _retried(stack: Stack) -> None:
    """Let the bad image be tried again, by the page's words."""
    whole = page("docker compose run --rm migsafe retry && docker compose up -d")
    retry = stack.run(whole.split(" && ", maxsplit=1)[0])
    assert (0, True) == (retry.code, "tries again" in retry.output), retry.output


def _obstruct(stack: Stack) -> None:
    """Fail with a prepared transaction left behind, which keeps the database from a rename."""
    _retried(stack)
    stack.psql(OBSTACLE, "postgres")
    _up(stack, "v2-late", 30)


def _clear(stack: Stack) -> None:
    """Open the closed database, as the page says, and remove what was in the way."""
    stack.psql("DROP TABLE obstacle", "postgres")
    names = {"USER": "shop", "NAME": "shop", "GID": "till-7"}
    for command in (
        page(
            "docker compose exec db psql -U USER -d postgres"
            " -c 'ALTER DATABASE \"NAME\" ALLOW_CONNECTIONS true'",
            names,
        ),
        page("docker compose exec db psql -U USER -d NAME -c \"ROLLBACK PREPARED 'GID'\"", names),
    ):
        done = stack.run(command)
        assert 0 == done.code, done.output


def _copy(stack: Stack) -> str:
    return next(name for name in stack.databases() if "__migsafe_point_" in name)
