"""The output of a container, read while it runs."""

import re
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import docker

from sidecar.docker_acts import BROKEN

TAIL = 20
LONGEST_LINE = 2000
CONTROL_CHARACTERS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class ContainerLogs:
    """The output of a container, read by a thread and handed over by the caller's."""

    def __init__(self, client: docker.APIClient, container: str) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL)
        self._lines: deque[str] = deque()
        self._thread = threading.Thread(target=self._read, args=(client, container), daemon=True)
        self._thread.start()

    def hand_over(self, on_line: Callable[[str], None]) -> None:
        """Give what was read since the last time."""
        while self._lines:
            line = self._lines.popleft()
            self.tail.append(line)
            on_line(line)

    def finish(self, on_line: Callable[[str], None]) -> tuple[str, ...]:
        """Hand over what is left; a stream ends soon after its container."""
        self._thread.join(timeout=10)
        self.hand_over(on_line)
        return tuple(self.tail)

    def _read(self, client: docker.APIClient, container: str) -> None:
        rest = b""
        # a stream that breaks loses lines, never the exit code
        with suppress(*BROKEN, OSError):
            for part in client.logs(container, stream=True, follow=True):
                *lines, rest = (rest + part).split(b"\n")
                self._lines.extend(map(_clean, lines))
                rest = rest[-LONGEST_LINE * 4 :]
        if rest:
            self._lines.append(_clean(rest))


def _clean(line: bytes) -> str:
    text = line.decode(errors="replace").rsplit("\r", 1)[-1]
    return CONTROL_CHARACTERS.sub("", text)[:LONGEST_LINE].rstrip()
