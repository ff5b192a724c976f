"""The output of a container: bounded in memory and in the log, its end always told."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from sidecar import docker_logs
from sidecar.docker_logs import TAIL, WAITING, ContainerLogs


class Engine:
    """Gives the output of one container, as docker-py does."""

    def __init__(self, parts: Callable[[], Iterator[bytes]], end: bytes = b"") -> None:
        self.parts = parts
        self.end = end
        self.given = 0

    def logs(self, _container: str, *, stream: bool = False, **_options: Any) -> Any:
        """Give a stream, or the last lines."""
        return _Stream(self) if stream else self.end


class _Stream:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __iter__(self) -> Iterator[bytes]:
        for part in self.engine.parts():
            self.engine.given += len(part)
            yield part

    def close(self) -> None:
        """Hang up."""


def _read(engine: Engine) -> tuple[list[str], tuple[str, ...]]:
    """Read to the end; return what was handed over, and the tail."""
    told: list[str] = []
    client: Any = engine
    assert hasattr(docker.APIClient, "logs")
    tail = ContainerLogs(client, "c").finish(told.append)
    return told, tail


def test_lines_come_whole() -> None:
    """A line may come in several parts, and the last one may have no end."""
    told, tail = _read(Engine(lambda: iter([b"on", b"e\ntw", b"o\nthree"])))

    assert ["one", "two", "three"] == told
    assert ("one", "two", "three") == tail


def test_what_is_no_text_is_left_out() -> None:
    """Colours, a progress bar's earlier states, and what turns a terminal's text around."""
    raw = b"\x1b[31mred\x1b[0m\n 10%\r 99%\nbell\x07 \xe2\x80\xaenrut\n\xff\x00\n"
    told, _ = _read(Engine(lambda: iter([raw])))

    assert ["red", " 99%", "bell nrut", "\ufffd"] == told


def test_a_flood_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a set size is read and passed on, but the end is. Faults: 85."""
    monkeypatch.setattr(docker_logs, "MOST", 1 << 20)
    flood = Engine(lambda: (b"a line of output\n" for _ in range(10_000_000)), b"it\nfailed\n")
    told, tail = _read(flood)

    assert flood.given < 2 << 20
    assert sum(map(len, told)) < 2 << 20
    assert ("it", "failed") == tail
    assert [True, "it", "failed"] == ["the rest is left out" in told[-3], *told[-2:]]


def test_a_line_without_end_is_cut() -> None:
    """A line that never ends takes no memory. Faults: 85."""
    told, _ = _read(Engine(lambda: (b"x" * 65536 for _ in range(100))))

    assert [2000] == [len(line) for line in told]


def test_who_does_not_listen_is_waited_for() -> None:
    """What is not handed over yet is not read yet: it waits in the engine. Faults: 85."""
    engine = Engine(lambda: (b"line\n" for _ in range(WAITING * 9)))
    client: Any = engine
    logs = ContainerLogs(client, "c")
    waited = threading.Event().wait(0.3)

    assert (False, True) == (waited, engine.given <= 5 * (WAITING + 2))
    told: list[str] = []
    assert TAIL == len(logs.finish(told.append))
    assert WAITING * 9 == len(told)


@pytest.mark.parametrize(
    ("streamed", "end", "told"),
    [
        (b"one\n", b"one\ntwo\nERROR\n", ["one", "two", "ERROR"]),
        (b"", b"two\nERROR\n", ["two", "ERROR"]),
        (b"one\ntwo\n", b"one\ntwo\n", ["one", "two"]),
        (b"one\none\n", b"one\none\none\nERROR\n", ["one", "one", "one", "ERROR"]),
    ],
)
def test_a_stream_that_was_cut(streamed: bytes, end: bytes, told: list[str]) -> None:
    """What a proxy has cut off is asked for at the end, and no line is told twice."""
    client: Any = Engine(lambda: iter([streamed]), end)
    heard: list[str] = []
    logs = ContainerLogs(client, "c")
    logs._thread.join()
    logs.hand_over(heard.append)
    logs.runs_on()

    assert (tuple(told), told) == (logs.finish(heard.append), heard)
