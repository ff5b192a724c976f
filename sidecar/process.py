"""Programs: started with fixed arguments, streamed, and never left behind."""

import fcntl
import os
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from sidecar.ports import ProgramFailed

CHUNK = 1 << 20
TAIL_BYTES = 4000
TAIL_LINES = 200
LAST_WORDS = 2.0
"""Seconds that the output of a program that has ended is waited for."""


@contextmanager
def read(
    argv: Sequence[str], env: Mapping[str, str], given: Iterator[bytes] | None = None
) -> Iterator[Iterator[bytes]]:
    """
    Run a program and give its output in chunks.

    Args:
        argv: the program and its arguments.
        env: its whole environment.
        given: its input, where it has one.

    Raises:
        ProgramFailed: after the last chunk, when the exit code is not 0.
        Exception: what went wrong with the input.

    """
    with _program(argv, env) as (process, complaint):
        feeder = None if given is None else _Feeder(_pipe(process.stdin), given)

        def chunks() -> Iterator[bytes]:
            output = _pipe(process.stdout).fileno()
            while chunk := os.read(output, CHUNK):  # what there is, without waiting for more
                yield chunk
            if feeder is not None:
                feeder.end()
            _end(argv, process, complaint)

        yield chunks()


def feed(argv: Sequence[str], env: Mapping[str, str], chunks: Iterator[bytes]) -> None:
    """
    Run a program on an input.

    Raises:
        ProgramFailed: the exit code is not 0.

    """
    with _program(argv, env) as (process, complaint):
        output = _pipe(process.stdout)
        drain = threading.Thread(target=output.read, daemon=True)
        drain.start()
        source = _pipe(process.stdin)
        with suppress(BrokenPipeError):  # it gave up early: its exit code and words say why
            for chunk in chunks:
                source.write(chunk)
        with suppress(BrokenPipeError):
            source.close()
        drain.join()
        _end(argv, process, complaint)


@contextmanager
def _program(
    argv: Sequence[str], env: Mapping[str, str]
) -> Iterator[tuple["subprocess.Popen[bytes]", "_Complaint"]]:
    process = subprocess.Popen(  # noqa: S603 - arguments are lists, no shell
        list(argv),
        env=dict(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C on the terminal is for us to pass on
    )
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # who has many pipes already goes on with small ones
            fcntl.fcntl(_pipe(pipe), fcntl.F_SETPIPE_SZ, CHUNK)
    complaint = _Complaint(_pipe(process.stderr))
    try:
        yield process, complaint
    finally:
        if process.poll() is None:
            process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(BrokenPipeError):
                _pipe(pipe).close()
        process.wait()
        complaint.join()


class Child:
    """
    A program that is let run for long, in a process group of its own; its output comes by lines.

    If we are killed the kernel kills it, too, where `setpriv` of util-linux is there.
    """

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], on_line: Callable[[str], None]
    ) -> None:
        mortal = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        self.process = subprocess.Popen(  # noqa: S603 - the operator's own command
            [*mortal, *argv],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.on_line = on_line
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def wait(self, seconds: float) -> int | None:
        """Wait so long for its end; return the exit code as a shell would tell it."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        # what it has left running may hold the pipe open
        self._reading.join(LAST_WORDS)
        return code if code >= 0 else 128 - code

    def end(self, grace: float) -> None:
        """End it and everything in its group: asked first, killed if it does not go."""
        if self.process.poll() is None:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _read(self) -> None:
        with _pipe(self.process.stdout) as output:
            for line in output:
                text = line.decode(errors="replace").rstrip("\r\n")
                self.tail.append(text)
                self.on_line(text)


class _Complaint(threading.Thread):
    """The end of what a program writes to its standard error."""

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self.source = source
        self.text = b""
        self.start()

    def run(self) -> None:
        with self.source:
            while part := self.source.read(CHUNK):
                self.text = (self.text + part)[-TAIL_BYTES:]

    def read(self) -> str:
        self.join()
        return self.text.decode(errors="replace").strip()


class _Feeder(threading.Thread):
    """Gives a program its input while its output is read; keeps what went wrong with it."""

    def __init__(self, target: IO[bytes], chunks: Iterator[bytes]) -> None:
        super().__init__(daemon=True)
        self.target = target
        self.chunks = chunks
        self.failure: Exception | None = None
        self.start()

    def run(self) -> None:
        try:
            for chunk in self.chunks:
                self.target.write(chunk)
        except (BrokenPipeError, ValueError):  # it gave up early, or was ended
            pass
        except Exception as error:  # noqa: BLE001 - raised where the output is read
            self.failure = error
        with suppress(OSError):
            self.target.close()

    def end(self) -> None:
        self.join()
        if self.failure is not None:
            raise self.failure


def _end(argv: Sequence[str], process: "subprocess.Popen[bytes]", complaint: _Complaint) -> None:
    code = process.wait()
    if code != 0:
        raise ProgramFailed(argv[0].rsplit("/", 1)[-1], code, complaint.read())


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101 - every pipe was asked for
    return pipe
