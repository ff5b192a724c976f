"""The migration as a child process: real programs, started, followed and ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sidecar.child import Wrapping
from sidecar.clock import SystemClock
from sidecar.errors import DatabaseUnavailable, DeadlineExceeded, Interrupted
from sidecar.facts import Exit

RUN = "20260131-120000-3fa2"


class Stop:
    """A signal that comes once something is there."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path

    def check(self) -> None:
        """Raise Interrupted once it is there."""
        if self.path is not None and self.path.exists():
            raise Interrupted.by(15)


def wrapping(**environment: str) -> Wrapping:
    """Run things here."""
    return Wrapping({"PATH": os.environ["PATH"], **environment}, SystemClock())


def migrate(
    here: Wrapping, *command: str, deadline: float = 20, stop: Stop | None = None
) -> tuple[Exit | None, list[str]]:
    """Run a migration to its end."""
    lines: list[str] = []
    here.make_migration(RUN, command)
    here.start_migration(RUN)
    ended = here.follow_migration(RUN, deadline, lines.append, stop or Stop())
    here.end_migration(RUN)
    return ended, lines


@pytest.mark.parametrize(
    ("command", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137)]
)
def test_the_exit_code(command: str, code: int) -> None:
    """It is what a shell would say, and the output comes line by line."""
    ended, lines = migrate(wrapping(), "sh", "-c", f"echo one; echo two >&2; {command}")

    assert ended is not None
    assert (code, ("one", "two"), ["one", "two"]) == (ended.code, ended.tail, lines)


def test_the_environment() -> None:
    """The app's own, and a name for its sessions."""
    _, lines = migrate(wrapping(DATABASE_URL="x"), "sh", "-c", "echo $DATABASE_URL $PGAPPNAME")

    assert [f"x migsafe-{RUN}"] == lines


def test_a_command_that_there_is_not() -> None:
    """It did not run, which is a failure like others."""
    ended, _ = migrate(wrapping(), "/no/such/program")

    assert ended is not None
    assert not ended.good


@pytest.mark.parametrize("why", ["deadline", "signal", "lock"])
def test_it_is_ended(tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the deadline, at a signal, or when the lock is lost, with everything that it started."""
    monkeypatch.setattr("sidecar.child.PULSE", 0.2)
    here, started = wrapping(), tmp_path / "started"
    if why == "lock":
        here.pulse = _lost
    stop = Stop(started if why == "signal" else None)
    deadline = 0.5 if why == "deadline" else 20
    script = f"sleep 1000 & echo $! > {started}.new; mv {started}.new {started}; wait"
    expected = {"deadline": DeadlineExceeded, "signal": Interrupted, "lock": DatabaseUnavailable}

    with pytest.raises(expected[why]):
        migrate(here, "sh", "-c", script, deadline=deadline, stop=stop)
    here.end_migration(RUN)

    assert _gone(int(started.read_text()))


def _lost() -> None:
    raise DatabaseUnavailable("the lock is lost")


def test_who_does_not_end_when_asked_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration that ignores the signal has no more time than the grace."""
    monkeypatch.setattr("sidecar.child.GRACE", 0.3)
    here, deaf = wrapping(), tmp_path / "deaf"
    script = f"trap '' TERM; touch {deaf}; while :; do sleep 0.1; done"
    with pytest.raises(Interrupted):
        migrate(here, "sh", "-c", script, stop=Stop(deaf))
    here.end_migration(RUN)

    assert 137 == migrate_code(here)


def migrate_code(here: Wrapping) -> int | None:
    """Tell how the child ended."""
    assert here._child is not None
    return here._child.wait(5)


def test_it_does_not_outlive_us(tmp_path: Path) -> None:
    """Where we are killed the kernel kills the migration. Faults: 3."""
    mine = tmp_path / "pid"
    program = (
        "from sidecar.process import Child; import os\n"
        f"child = Child(['sh', '-c', 'echo $$ > {mine}; exec sleep 1000'], os.environ, print)\n"
        "child.wait(1000)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        until = time.monotonic() + 20
        while not (mine.exists() and mine.read_text().strip()):
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)

    assert _gone(int(mine.read_text()))


def _gone(pid: int) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_checks() -> None:
    """Other commands of the app's run beside, may be kept from writing, and have their time."""
    here = wrapping()
    reading = here.run_check(RUN, ("sh", "-c", "echo $PGOPTIONS; exit 2"), 20, read_only=True)
    hanging = here.run_check(RUN, ("sleep", "1000"), 0.2)

    assert (2, ("-c default_transaction_read_only=on",)) == (reading.code, reading.tail)
    assert hanging.error
    assert 127 == here.run_check(RUN, ("/no/such/program",), 20).code


def test_the_code_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The framework is known by its files, relative to where we are."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manage.py").write_text("x")

    assert wrapping().has_file("manage.py")
    assert "x" == wrapping().read_file("manage.py")
    assert not wrapping().has_file("bin/rails")
