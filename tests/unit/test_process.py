"""Programs are streamed, waited for and never left behind."""

import os
import time
from pathlib import Path

import pytest

from sidecar import process
from sidecar.ports import ProgramFailed

ENV = {"PATH": os.environ["PATH"]}


def shell(script: str) -> list[str]:
    """Run a script in a shell."""
    return ["sh", "-c", script]


def test_output_comes_whole() -> None:
    """Everything that a program writes is read, in order."""
    with process.read(shell("head -c 5000000 /dev/zero"), ENV) as chunks:
        assert 5_000_000 == sum(map(len, chunks))


def test_a_failure_comes_after_the_output() -> None:
    """The exit code is checked however much was written before. Faults: 46, 47."""
    with (
        pytest.raises(ProgramFailed, match=r"sh exited with 3: no luck") as caught,
        process.read(shell("echo half; echo no luck >&2; exit 3"), ENV) as chunks,
    ):
        list(chunks)

    assert 3 == caught.value.code


def test_a_killed_program_is_a_failure() -> None:
    """A signal is no success."""
    with pytest.raises(ProgramFailed), process.read(shell("kill -9 $$"), ENV) as chunks:
        list(chunks)


def test_input_is_fed_whole(tmp_path: Path) -> None:
    """A program gets everything, then the end."""
    target = tmp_path / "x"
    process.feed(["dd", f"of={target}", "status=none"], ENV, iter([b"a" * 70_000, b"b"]))

    assert 70_001 == target.stat().st_size


def test_a_program_that_gives_up_early_tells_why() -> None:
    """A broken pipe is not the error: what the program said is. Faults: 92."""
    with pytest.raises(ProgramFailed, match="enough"):
        process.feed(shell("echo enough >&2; exit 1"), ENV, iter([b"x" * 100_000] * 50))


def test_a_flood_of_complaints_does_not_block() -> None:
    """A program may say more on its standard error than a pipe holds."""
    with (
        pytest.raises(ProgramFailed),
        process.read(shell("yes complaint | head -c 1000000 >&2; exit 1"), ENV) as chunks,
    ):
        list(chunks)


def test_nothing_is_left_running() -> None:
    """A program that is not read to its end is killed."""
    with process.read(shell("echo $$; exec sleep 60"), ENV) as chunks:
        pid = int(next(chunks))
    time.sleep(0.05)

    assert not Path(f"/proc/{pid}").exists()


def test_the_environment_is_only_what_is_given() -> None:
    """No ~/.pgpass and no PGSERVICE of somebody else's."""
    with process.read(["env"], {"A": "1"}) as chunks:
        assert b"A=1\n" == b"".join(chunks)
