"""
Three services, one after the other, and Docker's socket nowhere: begin, migrate, conclude.

The compose file is the example's own. The tests are one story: each goes on where the one before it
has ended.
"""

import json

import pytest
import yaml

from .conftest import Make
from .shell import Result, ended, wait_for
from .stack import IMAGE, ROOT, Stack

HELD = """
. bin/database
query --command "DELETE FROM orders WHERE id <= 100"
echo holding
query --command "SELECT pg_sleep(1000)"
"""
"""A migration that commits something, and then is at work in the server for long."""


class Chain(Stack):
    """A stack without the override."""

    def configure(self, **settings: str) -> None:
        """Set MIGSAFE_ variables of begin and conclude."""
        self.settings = {**self.settings, **settings}
        ours = {"environment": dict(self.settings)}
        self.override({"begin": ours, "conclude": ours})

    def override(self, services: object) -> None:
        """Write what differs from the example."""
        text = yaml.safe_dump({"services": services})
        (self.folder / "compose.override.yml").write_text(text, encoding="utf-8")

    def migrate_by(self, *command: str) -> None:
        """Have the migration run something else."""
        ours = {"environment": dict(self.settings)}
        migrate = {"command": ["/migsafe/run", *command]}
        self.override({"begin": ours, "conclude": ours, "migrate": migrate})

    def begin(self, *options: str, command: str = "begin") -> Result:
        """Run a begin, or another command of migsafe's, alone."""
        return self.compose("run", "--rm", "--no-deps", "-T", *options, "begin", command)


@pytest.fixture(scope="module")
def stack(make: Make) -> Chain:
    """Take the example as it is."""
    made = make(
        ROOT / "examples" / "without-socket",
        "chain",
        kind=Chain,
        settings={"MIGSAFE_WAIT": "3s"},
        variables={"SHOP_IMAGE": "migsafe-e2e-plainsql"},
    )
    assert isinstance(made, Chain)
    return made


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    """Remember what must not be lost."""
    return {}


def test_no_socket(stack: Chain) -> None:
    """
    Nobody in the whole stack has Docker's socket.

    Faults: 129.
    """
    config = json.loads(stack.compose("config", "--format", "json").output)

    assert "docker.sock" not in json.dumps(config)
    assert {"begin", "migrate", "conclude", "app", "db"} == set(config["services"])


def test_first_install(stack: Chain, before: dict[str, str]) -> None:
    """An empty database is migrated, proven, and the app starts."""
    up = stack.up("v1")

    assert 0 == up.code, stack.logs("begin").output + stack.logs("conclude").output
    assert ("running", 0) == (stack.state("app"), stack.exit_code("conclude"))
    assert "✓ migrated and proven" == stack.logs("conclude").card[0]
    assert "200" == stack.psql("SELECT count(*) FROM books")
    stack.psql("ALTER SYSTEM SET autovacuum = off")
    stack.psql("SELECT pg_reload_conf()")
    before["v1"] = stack.digest()


def test_nothing_to_do(stack: Chain, before: dict[str, str]) -> None:
    """The same release once more: no backup, no migration, and the app runs on."""
    backups = stack.backups
    up = stack.up()

    assert (0, 0, 0, 0) == (up.code, *map(stack.exit_code, ("begin", "migrate", "conclude")))
    assert backups == stack.backups
    assert ["migsafe: nothing to do: not run"] == stack.logs("migrate").lines
    assert before["v1"] == stack.digest()


def test_failed(stack: Chain, before: dict[str, str]) -> None:
    """
    A release that fails half-way: put back, the app is not started, and it is not tried again.

    Cards: outside-failed.
    """
    up = stack.up("v2-late")
    told = stack.logs("conclude")

    assert (1, 20, "created") == (up.code, told.code, stack.state("app"))
    assert "exit 20" in up.output
    assert before["v1"] == stack.digest()
    assert "put back and proven" in told.item("data")
    assert "docker" not in " ".join(told.card)
    again = stack.up()
    assert (1, 17) == (again.code, stack.exit_code("begin"))
    retry = told.item("try again").split("#")[0].split()
    assert ["migsafe", "retry"] == retry
    assert 0 == stack.begin(command=retry[1]).code


def test_by_hand(stack: Chain, before: dict[str, str]) -> None:
    """
    What the card says to type loads the backup, where the server and the folder can be reached.

    Cards: outside-failed.
    """
    lines = stack.logs("begin").to_type("no migsafe")
    image = ("-v", f"{stack.backups_folder}:/backups", "-e", "PGPASSWORD=secret")
    network = ("--network", f"{stack.project}_default")
    run = ("docker", "run", "--rm", "-i", *network, *image, "--entrypoint", "bash", "postgres:17")
    typed = stack.run((*run, "-e"), stdin=lines.encode())

    assert 0 == typed.code, lines + typed.output
    assert before["v1"].split()[0] == stack.rows("shop_restored")
    stack.psql("DROP DATABASE shop_restored", "postgres")


def test_while_a_migration_runs(stack: Chain, before: dict[str, str]) -> None:
    """
    A second begin changes nothing, wherever it is, nor does a guard that has the socket.

    A migration that was killed is settled by the next begin; what it was still doing in the server
    is ended before anybody looks.
    """
    stack.migrate_by("sh", "-c", HELD)
    stack.move_to("v2-good")
    first = stack.start("up", "-d")
    wait_for(lambda: "holding" in stack.compose("logs", "migrate").output)

    here = stack.begin()
    elsewhere = stack.begin("-e", "MIGSAFE_SHARED=/tmp")
    socket = ("-v", "/var/run/docker.sock:/var/run/docker.sock", "-e", "MIGSAFE_APP=app")
    guard = stack.begin(*socket, command="guard")
    assert (12, 12) == (here.code, elsewhere.code), here.output + elsewhere.output
    assert (12, here.card[0]) == (guard.code, guard.card[0]), guard.output
    assert "migrates" in here.text
    assert "4900" == stack.psql("SELECT count(*) FROM orders")

    stack.run(("docker", "kill", stack.container("migrate")))
    assert 1 == ended(first).code
    assert "1" == stack.psql(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1000)' "
        "AND pid <> pg_backend_pid()"
    )
    stack.configure()
    up = stack.up()
    assert (1, 21, "created") == (up.code, stack.exit_code("begin"), stack.state("app"))
    assert before["v1"] == stack.digest()


def test_success(stack: Chain) -> None:
    """The next start migrates, and the app runs."""
    assert 0 == stack.up().code
    assert ("running", "0") == (stack.state("app"), stack.psql("SELECT count(*) FROM reviews"))
    assert not [name for name in stack.databases() if "__migsafe_" in name]


def test_status(stack: Chain) -> None:
    """What an operator asks is answered without the socket, too."""
    told = stack.begin(command="status")

    assert 0 == told.code, told.output
    assert "committed" in told.output
    assert 11 == stack.begin(command="doctor").code


def test_folders_that_are_not_mounted(stack: Chain) -> None:
    """What goes with a container, or is not seen by the others, is refused before anything."""
    stack.move_to("another")
    begin = stack.begin("-e", "MIGSAFE_BACKUPS=/var/backups")

    assert 18 == begin.code, begin.output
    assert "inside migsafe's own container" in begin.text
    alone = ("docker", "run", "--rm", "-e", "DATABASE_URL=postgres://shop@db/shop", IMAGE, "begin")
    lonely = stack.run(alone)
    assert 18 == lonely.code, lonely.output
    assert "does not see it" in lonely.text
