"""Programs: started with fixed arguments, streamed, and never left behind."""

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from sidecar.ports import ProgramFailed

CHUNK = 1 << 20
TAIL_BYTES = 4000


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
