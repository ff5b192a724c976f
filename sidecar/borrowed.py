"""
Client programs borrowed from the database's own container, by ``docker exec``.

They are of exactly the server's version, whatever it is: a newer pg_dump writes dumps that the same
server can't load, and an older one refuses to dump.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
        yield self._read(argv, database)

    def feed(self, argv: Sequence[str], database: str, chunks: Iterator[bytes]) -> None:
        """Run a program on a database, with an input."""
        with _translated():
            exec_id = self._create(argv, database, stdin=True)
            stream = self.client.exec_start(exec_id, socket=True)
            sock: Any = getattr(stream, "_sock", stream)
            complaint = _Complaint(stream)
            with suppress(BrokenPipeError, ConnectionResetError):  # its words say why
                for chunk in chunks:
                    sock.sendall(chunk)
            with suppress(OSError):
                sock.shutdown(1)  # SHUT_WR: the end of the input
            text = complaint.read()
            stream.close()
            self._end(argv, exec_id, text)

    def _read(self, argv: Sequence[str], database: str) -> Iterator[bytes]:
        with _translated():
            exec_id = self._create(argv, database, stdin=False)
            text = b""
            for out, err in self.client.exec_start(exec_id, stream=True, demux=True):
                if err:
                    text = (text + err)[-TAIL_BYTES:]
                if out:
                    yield out
            self._end(argv, exec_id, text)

    def _create(self, argv: Sequence[str], database: str, *, stdin: bool) -> str:
        environment = pgtools.environment(self.conninfo, database)
        created = self.client.exec_create(
            self.container, list(argv), stdin=stdin, environment=environment
        )
        return str(created["Id"])

    def _end(self, argv: Sequence[str], exec_id: str, text: bytes) -> None:
        code = self.client.exec_inspect(exec_id)["ExitCode"]
        if code != 0:
            raise ProgramFailed(argv[0], int(code), text.decode(errors="replace").strip())


class _Complaint(threading.Thread):
    """The end of what a program says on its standard error, read so that it never blocks."""

    def __init__(self, stream: Any) -> None:
        super().__init__(daemon=True)
        self.stream = stream
        self.text = b""
        self.start()

    def run(self) -> None:
        with suppress(OSError):
            for kind, part in frames_iter(self.stream, tty=False):  # type: ignore[no-untyped-call]  # the stubs lack it
                if kind == STDERR:
                    self.text = (self.text + part)[-TAIL_BYTES:]

    def read(self) -> bytes:
        self.join()
        return self.text


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (de.DockerException, RequestException) as error:
        raise EngineUnavailable(
            f"the database's container can't be used: {' '.join(str(error).split())}",
            hint="Nothing was changed.",
        ) from error
