"""The folder that begin, the migration and conclude share, and the script that migrates."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sidecar import handing
from sidecar.clock import SystemClock
from sidecar.errors import DeadlineExceeded, StoreFailed
from sidecar.facts import Exit
from sidecar.handing import Handing

RUN, NEXT = "20260131-120000-3fa2", "20260131-130000-9f01"


class Quick(SystemClock):
    """Six times as fast, where somebody waits for a sign of life."""

    def monotonic(self) -> float:
        """Count six seconds for one."""
        return super().monotonic() * 6


@pytest.fixture
def shared(tmp_path: Path) -> Handing:
    """Hand a run over."""
    made = Handing(tmp_path, Quick(), 3600)
    made.make_migration(RUN, ())
    made.start_migration(RUN)
    return made


@pytest.fixture
def hung(shared: Handing) -> Iterator["subprocess.Popen[str]"]:
    """Start a migration that hangs."""
    process = start(shared, "sleep", "1000")
    wait_for(shared.folder / RUN / "alive")
    yield process
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def start(shared: Handing, *command: str) -> "subprocess.Popen[str]":
    """Start the script."""
    return subprocess.Popen(
        ["sh", shared.folder / "run", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(shared: Handing, *command: str) -> tuple[int, str]:
    """Run the script to its end."""
    process = start(shared, *command)
    output, _ = process.communicate(timeout=30)
    return process.returncode, output


def ended(shared: Handing) -> Exit | None:
    """Ask how the migration ended."""
    return shared.follow_migration(RUN, 60, print, Never())


class Never:
    """Nobody stops us."""

    def check(self) -> None:
        """Go on."""


def wait_for(path: Path) -> None:
    """Wait for a file."""
    until = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.02)


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_travels(shared: Handing, code: int) -> None:
    """What the migration ends with is noted, the script itself ends with 0."""
    status, output = run(shared, "sh", "-c", f"echo migrating; exit {code}")

    assert (0, Exit(code), True) == (status, ended(shared), shared.has_ended(RUN))
    assert output.splitlines() == ["migrating", f"migsafe: the migration ended with {code}"]


def test_another_user_can_note_it(shared: Handing) -> None:
    """The app's user is mostly not ours, and its umask may be narrow."""
    script = f"umask 077; exec setpriv --reuid 1234 --regid 1234 --clear-groups {shared.folder}/run"
    if os.geteuid() == 0:
        for folder in (shared.folder, *shared.folder.parents):
            if str(folder).startswith("/tmp/pytest"):  # noqa: S108 - of this test
                folder.chmod(0o755)
        subprocess.run(["sh", "-c", f"{script} id -u"], check=True, timeout=30)
        assert Exit(0) == ended(shared)
        assert 0o644 == (shared.folder / RUN / "exit-code").stat().st_mode & 0o777


def test_it_is_run_once(shared: Handing) -> None:
    """A second start of the same run does nothing, and the first one's end stays."""
    run(shared, "false")
    status, output = run(shared, "true")

    assert (0, Exit(1)) == (status, ended(shared))
    assert "not run" in output


def test_nothing_to_do_runs_nothing(shared: Handing) -> None:
    """The step is skipped, and the chain goes on; also where nothing was ever handed over."""
    (shared.folder / "run").unlink()
    shared.nothing_to_do()
    status, output = run(shared, "echo", "migrating")

    assert (0, "migsafe: nothing to do: not run\n", "") == (status, output, shared.named())


def test_nothing_handed_over_ends_the_chain(shared: Handing) -> None:
    """Without a begin that succeeded nothing is run, and that is no success."""
    shared.withdraw()

    assert 2 == run(shared, "true")[0]
    assert shared.named() is None


def test_what_was_settled_is_not_run(shared: Handing) -> None:
    """Who settles a run claims it; once it is cleared, it can't be started either."""
    shared.end_migration(RUN)
    late = run(shared, "touch", f"{shared.folder}/ran")
    shared.remove_migration(RUN)
    later = run(shared, "touch", f"{shared.folder}/ran")

    assert ((0, 0), None) == ((late[0], later[0]), ended(shared))
    assert not (shared.folder / "ran").exists()


def test_signals_are_passed_on(shared: Handing, hung: "subprocess.Popen[str]") -> None:
    """Who stops the container stops the migration, and its end is noted."""
    hung.terminate()

    assert (0, Exit(143)) == (hung.wait(10), ended(shared))


def test_a_running_migration_is_alive(shared: Handing, hung: "subprocess.Popen[str]") -> None:
    """It is seen to run, and nothing is known of its end."""
    assert (None, False, None) == (hung.poll(), shared.has_ended(RUN), ended(shared))


def test_a_killed_migration_is_dead(shared: Handing, hung: "subprocess.Popen[str]") -> None:
    """Everything of its container is gone: it gives no sign any more, and has noted nothing."""
    os.killpg(hung.pid, signal.SIGKILL)

    assert (True, None) == (shared.has_ended(RUN), ended(shared))


def test_the_deadline_ends_it(shared: Handing) -> None:
    """The script ends the migration itself, and says why."""
    shared.deadline = 0
    shared.start_migration(RUN)
    run(shared, "sleep", "1000")

    with pytest.raises(DeadlineExceeded):
        ended(shared)


def test_what_was_not_started_by_the_script_can_not_be_told(shared: Handing) -> None:
    """It may have been started in another way."""
    assert (None, None) == (shared.has_ended(RUN), shared.has_ended(NEXT))


@pytest.mark.parametrize("text", ["", "ok", "-1", "0\n0", "99999", "\0"])
def test_what_the_script_does_not_write_is_not_believed(shared: Handing, text: str) -> None:
    """Only an exit code is one."""
    (shared.folder / RUN / "exit-code").write_text(text)

    assert ended(shared) is None


def test_a_file_of_an_earlier_run_is_not_believed(shared: Handing) -> None:
    """An exit code that is not newer than the run is another one's."""
    file = shared.folder / "code"
    file.write_text("0\n")
    assert (True, Exit(0)) == (shared.tell(file), ended(shared))

    shared.told = None
    shared.make_migration(NEXT, ())
    shared.start_migration(NEXT)
    assert (False, None) == (shared.tell(file), shared.told)
    assert not shared.tell(shared.folder / "missing")


def test_links_are_not_written_through(shared: Handing) -> None:
    """The folder is open to the app's user: what it lays there leads nowhere."""
    victim = shared.folder / "victim"
    victim.write_text("mine")
    for name in ("current.new", "run.new"):
        (shared.folder / name).symlink_to(victim)
    shared.make_migration(NEXT, ())
    shared.start_migration(NEXT)

    assert ("mine", NEXT) == (victim.read_text(), shared.named())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It is said at once, before anything is done."""
    missing = Handing(tmp_path / "missing", Quick(), 60)
    complaint = missing.complaint()

    assert complaint is not None
    assert "MIGSAFE_SHARED" in complaint.hint
    with pytest.raises(StoreFailed):
        missing.nothing_to_do()


def test_the_silence_is_longer_than_a_beat() -> None:
    """A machine that is slow for a moment is not dead."""
    assert handing.SILENCE >= 10
