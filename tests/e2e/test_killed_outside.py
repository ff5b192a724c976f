"""Begin, conclude and wrap are killed at their own failpoints, and the next start puts it right."""

from dataclasses import dataclass

import pytest

from .conftest import Make
from .shell import Result
from .stack import IMAGE, ROOT, Stack
from .test_without_socket import Chain

POINTS = (
    "handover.withdrawn",
    "journal.before.migrating",
    "handover.made",
    "handover.named",
    "journal.after.migrating@2",
    "wrap.started",
    "wrap.ended",
)


@dataclass
class Room:
    """A container that has migsafe and a client program, and a database beside it."""

    stack: Stack

    def type(self, commands: str, failpoints: str = "") -> Result:
        """Type commands into a shell, until one fails."""
        settings = {
            "DATABASE_URL": "postgres://shop:secret@db/shop",
            "MIGSAFE_WAIT": "1s",
            "MIGSAFE_FAILPOINTS": failpoints,
        }
        env = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
        folders = ("-v", f"{self.stack.folder}/b:/backups", "-v", f"{self.stack.folder}/s:/migsafe")
        network = ("--network", f"{self.stack.project}_default")
        run = ("docker", "run", "--rm", *network, *folders, *env, "--entrypoint", "sh", IMAGE)
        return self.stack.run((*run, "-ec", commands))

    def chain(self, point: str, table: str, failpoints: str = "") -> Result:
        """Begin, migrate and conclude; or wrap."""
        migrate = f"sh -c \"psql -qX $DATABASE_URL -c 'CREATE TABLE {table} (id int)'\""
        if point.startswith("wrap"):
            return self.type(f"migsafe wrap --release {table} -- {migrate}", failpoints)
        begin = f"migsafe begin --release {table}"
        return self.type(f"{begin}\n/migsafe/run {migrate}\nmigsafe conclude", failpoints)


@pytest.fixture(scope="module")
def room(make: Make) -> Room:
    """Start a database."""
    stack = make(ROOT / "examples" / "without-socket", "killed", kind=Chain)
    assert 0 == stack.compose("up", "-d", "--wait", "db").code
    stack.psql("CREATE TABLE books AS SELECT generate_series(1, 1000) AS id")
    return Room(stack)


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_killed(room: Room, point: str) -> None:
    """
    It is put back or was never begun; the operator says that it is dead, where nobody can see it.

    Faults: 1, 2.
    """
    table = f"t{POINTS.index(point)}"
    killed = room.chain(point, table, f"{point}=kill")
    assert 137 == killed.code, killed.output
    codes: list[int] = []
    for _ in range(4):
        codes.append(room.chain(point, table).code)
        if codes[-1] == 12:
            assert 0 == room.type("migsafe retry").code
        elif codes[-1] != 21:
            break

    assert 0 == codes[-1], codes
    assert "1000" == room.stack.psql("SELECT count(*) FROM books")
    assert "0" == room.stack.psql(f"SELECT count(*) FROM {table}")
    assert not [name for name in room.stack.databases() if "__migsafe_" in name]
