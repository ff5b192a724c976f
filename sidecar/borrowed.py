"""
Client programs borrowed from the database's own container, by ``docker exec``.

They are of exactly the server's version, whatever it is: a newer pg_dump writes dumps that the same
server can't load, and an older one refuses to dump.

The engine does not end a program whose caller has gone: it would wait for ever, and hold its locks
on the server. A shell therefore tells the program's id first, by which it can be killed.
"""

import socket
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

import docker
from docker import errors as de
from docker.utils.socket import frames_iter
from requests.exceptions import RequestException

from sidecar import pgtools
from sidecar.errors import EngineUnavailable
from sidecar.ports import ProgramFailed

TAIL_BYTES = 4000
STDERR = 2
POLL = 0.02
SECONDS_TO_END = 30.0
"""How long the engine may take to notice that a program has ended whose output has."""

_TELL_PID = ("sh", "-c", 'echo "$$" >&2 && exec "$@"', "sh")


class Borrowed:
    """Programs of the database's container, which reach the server over its local socket."""

    def __init__(
        self, client: docker.APIClient, container: str, conninfo: Mapping[str, Any]
    ) -> None:
        self.client = client
        self.container = container
        # the port is the server's own: the container was found by the address that we connect to
        self.conninfo = {k: conninfo[k] for k in ("user", "password", "port") if k in conninfo}

    @contextmanager
    def read(self, argv: Sequence[str], database: str) -> Iterator[Iterator[bytes]]:
        """Run a program on a database and give its output in chunks."""
        with closing(self._read(argv, database)) as chunks:
            yield chunks

    def feed(self, argv: Sequence[str], database: str, chunks: Iterator[bytes]) -> None:
        """Run a program on a database, with an input."""
        with _translated(), self._running(argv, database, stdin=True) as program:
            listener = threading.Thread(target=program.listen, daemon=True)
            listener.start()
            whole = program.send(chunks)
            listener.join()
            self._end(program)
            if not whole:  # it took the input for whole, and it was not
                raise ProgramFailed(argv[0], 0, "the connection to it broke")

    def _read(self, argv: Sequence[str], database: str) -> Generator[bytes]:
        with _translated(), self._running(argv, database, stdin=False) as program:
            yield from program.output()
            self._end(program)

    @contextmanager
    def _running(self, argv: Sequence[str], database: str, *, stdin: bool) -> Iterator["_Program"]:
        environment = pgtools.environment(self.conninfo, database)
        created = self.client.exec_create(
            self.container, [*_TELL_PID, *argv], stdin=stdin, environment=environment
        )
        stream = self.client.exec_start(created["Id"], socket=True)
        program = _Program(argv[0], str(created["Id"]), stream)
        try:
            yield program
        finally:
            program.close()
            with suppress(de.DockerException, RequestException):
                self._leave_none(program)

    def _end(self, program: "_Program") -> None:
        code = self._exit_code(program)
        if code != 0:
            raise ProgramFailed(program.name, code, program.complaint)

    def _exit_code(self, program: "_Program") -> int:
        pause = threading.Event()
        for _ in range(int(SECONDS_TO_END / POLL)):
            found = self.client.exec_inspect(program.exec_id)
            if not found["Running"]:
                return int(found["ExitCode"])
            pause.wait(POLL)
        raise EngineUnavailable(f"{program.name} does not end in the database's container")

    def _leave_none(self, program: "_Program") -> None:
        """Kill a program that was not waited for: it broke off, or we did."""
        if program.pid and self.client.exec_inspect(program.exec_id)["Running"]:
            kill = self.client.exec_create(
                self.container, ["sh", "-c", 'kill -KILL "$1"', "sh", program.pid]
            )
            self.client.exec_start(kill["Id"], detach=True)


class _Program:
    """A program that runs in the container, and the stream to it."""

    def __init__(self, name: str, exec_id: str, stream: Any) -> None:
        self.name = name
        self.exec_id = exec_id
        self.stream = stream
        self.sock: Any = getattr(stream, "_sock", stream)
        self.pid = ""
        self._said = b""

    @property
    def complaint(self) -> str:
        """The end of what it said on its standard error."""
        return self._said.decode(errors="replace").strip()

    def output(self) -> Iterator[bytes]:
        """Give what it writes, and keep what it complains of."""
        for kind, part in frames_iter(self.stream, tty=False):  # type: ignore[no-untyped-call]  # the stubs lack it
            if kind == STDERR:
                self._note(part)
            else:
                yield part

    def listen(self) -> None:
        """Read until it has ended, so that it never blocks; then nothing more is sent to it."""
        with suppress(OSError):
            for _ in self.output():
                pass
        # the engine itself would go on to take what nobody reads
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def send(self, chunks: Iterator[bytes]) -> bool:
        """Write its input; False when it, or the connection, ended before the input did."""
        try:
            for chunk in chunks:
                self.sock.sendall(chunk)
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Hang up."""
        # docker-py keeps the response at its stream; without it the socket would stay open
        response = getattr(self.stream, "_response", self.stream)
        with suppress(OSError):
            response.close()
            self.sock.close()

    def _note(self, part: bytes) -> None:
        self._said += part
        if not self.pid:
            first, newline, rest = self._said.partition(b"\n")
            if newline:
                self.pid, self._said = first.decode(), rest
        self._said = self._said[-TAIL_BYTES:]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (de.DockerException, RequestException) as error:
        raise EngineUnavailable(
            f"the database's container can't be used: {' '.join(str(error).split())}",
            hint="Nothing was changed.",
        ) from error
