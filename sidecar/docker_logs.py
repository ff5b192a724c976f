"""The output of a container, read while it runs."""

import queue
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import docker

from sidecar.docker_acts import BROKEN

TAIL = 200
"""Lines of the end that are kept: an error comes before pages about how it was got to."""
LONGEST_LINE = 2000
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

MOST = 8 << 20
"""So many bytes are passed on: what comes after them would fill our own log, and so the disk."""

WAITING = 1000
"""Lines that may be read and not yet be handed over."""

SECONDS_TO_END = 10.0
POLL = 0.1


class ContainerLogs:
    """The output of a container, read by a thread and handed over by the caller's."""

    def __init__(self, client: docker.APIClient, container: str) -> None:
        self.client = client
        self.container = container
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.cut = False
        """There was more than is passed on."""
        self.early = False
        """The stream has ended although the container ran on: a proxy cuts what is silent."""
        self._lines: queue.Queue[str] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def hand_over(self, on_line: Callable[[str], None]) -> None:
        """Give what was read since the last time."""
        with suppress(queue.Empty):
            while True:
                line = self._lines.get_nowait()
                self.tail.append(line)
                on_line(line)

    def runs_on(self) -> None:
        """Take note that the container still runs."""
        self.early = self.early or not self._thread.is_alive()

    def finish(self, on_line: Callable[[str], None]) -> tuple[str, ...]:
        """Hand over what is left; a stream ends soon after its container."""
        for _ in range(int(SECONDS_TO_END / POLL)):
            self._thread.join(timeout=POLL)
            self.hand_over(on_line)
            if not self._thread.is_alive():
                break
        self.hand_over(on_line)
        if self.cut or self._thread.is_alive():
            self._skip_to_the_end(on_line)
        elif self.early:
            self._catch_up(on_line)
        return tuple(self.tail)

    def _read(self) -> None:
        # a stream that breaks loses lines, never the exit code
        with suppress(*BROKEN, OSError):
            stream = self.client.logs(self.container, stream=True, follow=True)
            for line in _lines(self._at_most(stream)):
                self._lines.put(line)
            stream.close()

    def _at_most(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        left = MOST
        for part in stream:
            yield part[:left]
            left -= len(part)
            if left <= 0:
                self.cut = True
                return

    def _catch_up(self, on_line: Callable[[str], None]) -> None:
        """Ask for the last lines, and hand over those of them that the stream did not bring."""
        with suppress(*BROKEN, OSError):
            found = list(_lines([self.client.logs(self.container, tail=TAIL)]))
            told = list(self.tail)
            known = next(
                n
                for n in range(min(len(found), len(told)), -1, -1)
                if found[:n] == told[len(told) - n :]
            )
            for line in found[known:]:
                self.tail.append(line)
                on_line(line)

    def _skip_to_the_end(self, on_line: Callable[[str], None]) -> None:
        """Ask for the last lines: what went wrong is told there."""
        on_line(f"… more than {MOST >> 20} MB of output: the rest is left out, up to its end")
        with suppress(*BROKEN, OSError):
            end = self.client.logs(self.container, tail=TAIL)
            self.tail.clear()
            for line in _lines([end]):
                self.tail.append(line)
                on_line(line)


def _lines(parts: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from map(_clean, lines)
        rest = rest[-LONGEST_LINE * 4 :]
    if rest:
        yield _clean(rest)


def _clean(line: bytes) -> str:
    text = line.decode(errors="replace").rsplit("\r", 1)[-1]
    text = _COLOURS.sub("", text[: LONGEST_LINE * 4])
    if not text.isprintable():  # what moves a terminal's cursor, or turns its text around
        text = "".join(filter(str.isprintable, text.expandtabs()))
    return text[:LONGEST_LINE].rstrip()
