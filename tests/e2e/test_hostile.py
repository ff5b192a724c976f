"""
Migration containers that misbehave: killed, starved, removed, gone on in the server, too talkative.

Guards that run alone, one after the other, on one stack. Whatever the container did, the database
is what it was, the app waits, nothing is left over, and the card says what happened.
"""

import json
import time
from collections.abc import Iterator

import pytest

from .conftest import Make
from .shell import Result, ended, wait_for
from .shop import STACKS, adopted
from .stack import Stack

MEMORY = "150m"
"""More than that the guard does not get: it would be killed."""

WRITE = "query -c 'DELETE FROM orders WHERE id <= 100'"
HOLD = (WRITE, "echo holding", "sleep 60")

LATE = "INSERT INTO authors (name) SELECT 'too late' FROM pg_sleep(4)"
"""What a server goes on with when its client is no more, and commits."""

BY_SERVER = f"""
CREATE EXTENSION dblink;
SELECT dblink_connect('late', 'user=shop dbname=shop');
SELECT dblink_send_query('late', $late$ {LATE} $late$);
"""
"""The server is its own client: nothing tells whose session that is."""

OTHERS = """
SELECT pid FROM pg_stat_activity
WHERE datname LIKE 'shop%' AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.fixture(scope="module")
def shop(make: Make) -> Stack:
    """Give a shop whose next release waits for its migration, and a guard with little memory."""
    service = {"mem_limit": MEMORY, "memswap_limit": MEMORY}
    made = adopted(make, STACKS / "hostile", "shop", service=service)
    made.psql("ALTER DATABASE shop SET work_mem = '7MB'; COMMENT ON DATABASE shop IS 'the shop'")
    return made


@pytest.fixture
def stack(shop: Stack) -> Iterator[Stack]:
    """Give the shop, and hold the test to what every failure promises: all is as it was."""
    before = shop.digest()
    yield shop
    assert before == shop.digest()
    assert ("created", []) == (shop.state("app"), shop.leftovers())
    assert set() == _staying(shop)
    assert [] == [name for name in shop.databases() if "__migsafe_" in name]


def _staying(shop: Stack) -> set[str]:
    """Name the sessions on the shop that are still there a moment later: a healthcheck's is not."""
    seen = set(shop.psql(OTHERS, "postgres").split())
    if seen:
        time.sleep(1)
        seen &= set(shop.psql(OTHERS, "postgres").split())
    return seen


def _fails(guard: Result, code: int, *words: str) -> None:
    """Hold a failure to its exit code, its words, and the card's promises."""
    assert code == guard.code, guard.output
    missing = [word for word in words if word not in guard.text]
    assert [] == missing, guard.output
    assert guard.item("data").startswith("as it was"), guard.output
    assert len(guard.card) <= 15, guard.output


def _script(*lines: str) -> str:
    return json.dumps(["sh", "-c", "\n".join((". bin/database", *lines))])


# --- killed and starved


def test_out_of_memory(stack: Stack) -> None:
    """
    The kernel kills the migration: the card says who did it.

    Faults: 74.
    """
    guard = stack.guard(MIGSAFE_MIGRATE=_script(WRITE, "exec tail /dev/zero"))
    _fails(guard, 20, "exited with 137 (out of memory)")


def test_child_out_of_memory(stack: Stack) -> None:
    """
    The kernel kills a part of the migration, which then goes on and exits with 0.

    Faults: 73.
    """
    guard = stack.guard(MIGSAFE_MIGRATE=_script("tail /dev/zero", WRITE))
    _fails(guard, 20, "exited with 0 (out of memory)")


def test_killed(stack: Stack) -> None:
    """
    Somebody kills the migration's container.

    Faults: 74.
    """
    guard = _interfered(stack, "kill")
    _fails(guard, 20, "exited with 137")
    assert "memory" not in guard.text


def test_removed(stack: Stack) -> None:
    """
    Somebody removes the migration's container while it runs: nobody can tell how it ended.

    Faults: 10, 80.
    """
    guard = _interfered(stack, "rm", "--force")
    _fails(guard, 21, "no container that tells how it ended")


def _interfered(stack: Stack, *act: str) -> Result:
    """Do something to the migration's container after it has written."""
    # the command tells one migration from another: it must not be known as bad
    script = _script(*HOLD, f": {act[0]}")
    process = stack.start(*stack.alone(MIGSAFE_MIGRATE=script))
    (name,) = wait_for(stack.leftovers)
    wait_for(lambda: "holding" in stack.run(("docker", "logs", name)).output)
    (guard,) = stack.run(
        (
            *("docker", "ps", "--quiet", "--filter", "label=com.docker.compose.service=migsafe"),
            *("--filter", f"label=com.docker.compose.project={stack.project}"),
        )
    ).lines
    # looking away, it can't see what lies between a kill and a removal
    for command in (("pause", guard), (*act, name), ("unpause", guard)):
        assert 0 == stack.run(("docker", *command)).code
    return ended(process)


# --- never really started


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("sh -c 'exec bin/database'", "exited with 126"),
        ("sh -c 'exec bin/nowhere'", "exited with 127"),
        ("bin/database", "did not start"),
    ],
)
def test_not_to_be_run(stack: Stack, command: str, words: str) -> None:
    """
    What can't be run never reaches the server: nothing is to be put back.

    Faults: 72.
    """
    guard = stack.guard(MIGSAFE_MIGRATE=command)
    _fails(guard, 20, words, "had not written anything")


def test_no_entrypoint(stack: Stack) -> None:
    """
    An image whose entrypoint is not there.

    Faults: 35, 72.
    """
    stack.compose("--profile", "broken", "create", "--no-recreate", "broken")
    guard = stack.guard(MIGSAFE_APP="broken", MIGSAFE_MIGRATE="bin/migrate")
    stack.compose("--profile", "broken", "rm", "-f", "broken")
    _fails(guard, 20, "did not start", "/no/such/entrypoint", "had not written anything")


def test_prompt(stack: Stack) -> None:
    """
    A migration that asks a question gets no answer, and does not wait for one.

    Faults: 75.
    """
    script = _script(WRITE, "echo 'really? [y/N]'", "read answer || exit 7")
    guard = stack.guard(MIGSAFE_MIGRATE=script)
    _fails(guard, 20, "exited with 7", "really? [y/N]")


# --- gone on


def test_statement_goes_on(stack: Stack) -> None:
    """
    A statement whose client was killed would commit seconds after the container has ended.

    Faults: 76.
    """
    script = _script(f'query -c "{LATE}" &', "sleep 1; kill -9 $!; exit 6")
    guard = stack.guard(MIGSAFE_MIGRATE=script)
    _fails(guard, 20, "exited with 6")


def test_background_writer(stack: Stack) -> None:
    """
    A writer that the migration leaves running in the background dies with the container.

    Faults: 76.
    """
    loop = f"while {WRITE}; do :; done & sleep 1; exit 8"
    guard = stack.guard(MIGSAFE_MIGRATE=_script(loop))
    _fails(guard, 20, "exited with 8")


def test_server_goes_on_by_itself(stack: Stack) -> None:
    """
    What the migration has set going inside the server is ended too, though it is nobody's client.

    Faults: 42, 76.
    """
    guard = stack.guard(MIGSAFE_MIGRATE=_script(f"query -c '{BY_SERVER}'", "exit 4"))
    _fails(guard, 20, "exited with 4")


# --- too much to say


def test_flood(stack: Stack) -> None:
    """
    200 MB of output take no more memory than a few lines do, and leave the card as it is.

    Faults: 85.
    """
    # long lines: the engine is slow with short ones
    flood = "yes $(printf %01500d 7) | head -c 200000000"
    guard = stack.guard(MIGSAFE_MIGRATE=_script(WRITE, flood, "echo; echo ERROR: 4711; exit 3"))
    _fails(guard, 20, "exited with 3", "ERROR: 4711")
    assert "the rest is left out" in guard.output
    assert len(guard.output) < 10_000_000
    journal = "SELECT max(length(detail::text)) FROM migsafe.journal"
    assert int(stack.psql(journal, "migsafe")) < 100_000


def test_binary(stack: Stack) -> None:
    """
    Output without an end of a line, and of every byte there is.

    Faults: 85.
    """
    script = _script(WRITE, "head -c 50000000 /dev/zero", "head -c 2000000 /dev/urandom", "exit 2")
    guard = stack.guard(MIGSAFE_MIGRATE=script)
    _fails(guard, 20, "exited with 2")
    assert all(line.isprintable() for line in guard.card)


# --- beyond the database


@pytest.mark.parametrize(
    ("statements", "exit_code", "words"),
    [
        ("DROP DATABASE shop WITH (FORCE)", 1, ()),
        ("DROP DATABASE shop WITH (FORCE)", 0, ("'shop' does not exist",)),
        ("ALTER DATABASE shop RENAME TO bazaar", 0, ("'shop' does not exist", "'bazaar'")),
        (
            "ALTER DATABASE shop RENAME TO mall; CREATE DATABASE shop",
            0,
            ("dropped and made anew", "'mall'"),
        ),
        (
            "CREATE ROLE thief SUPERUSER; ALTER DATABASE shop OWNER TO thief;"
            " ALTER DATABASE shop RESET ALL; COMMENT ON DATABASE shop IS NULL;"
            " REVOKE ALL ON DATABASE shop FROM PUBLIC; ALTER DATABASE shop CONNECTION LIMIT 3;"
            " CREATE DATABASE loot",
            5,
            ("'loot' was created", "roles of the server were changed"),
        ),
    ],
    ids=["dropped", "dropped with 0", "renamed", "renamed and made anew", "taken over"],
)
def test_beyond(stack: Stack, statements: str, exit_code: int, words: tuple[str, ...]) -> None:
    """
    The database is dropped, renamed or taken over: it is put back, and what is not is named.

    Faults: 83, 84, 97.
    """
    asked = " ".join(f'-c "{each.strip()}"' for each in statements.split(";"))
    script = _script(f"query -d postgres {asked}", f"exit {exit_code}")
    guard = stack.guard(MIGSAFE_MIGRATE=script)
    _fails(guard, 20 if exit_code else 22, *words)
