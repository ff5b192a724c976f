"""What Docker itself remembers of the containers of a project."""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import docker
from docker.utils import kwargs_from_env


@dataclass(frozen=True)
class Event:
    """One act on a container."""

    at: float
    action: str
    container: str
    run: str
    role: str
    attributes: str


class Events:
    """The stream of a project's events, gathered in the background."""

    def __init__(self, project: str) -> None:
        self.api = docker.APIClient(version="auto", **kwargs_from_env())
        self.project = project
        self.all: list[Event] = []
        self._stream = self.api.events(
            decode=True,
            since=int(time.time()),
            filters={"type": "container", "label": f"com.docker.compose.project={project}"},
        )
        threading.Thread(target=self._gather, daemon=True).start()

    def forget(self) -> None:
        """Begin anew."""
        self.synchronise()
        self.all.clear()

    def synchronise(self) -> None:
        """Wait until everything that has happened has been told."""
        word = f"marker-{time.time_ns()}"
        seat = f"{self.project}-migsafe-1"
        self.api.exec_create(seat, ["true", word])
        until = time.monotonic() + 20
        while not any(word in event.action for event in self.all[-50:]):
            assert time.monotonic() < until, "Docker's events have stopped"
            time.sleep(0.01)

    def of(self, role: str, *actions: str) -> list[Event]:
        """Give the events of containers that guards have made, of one role."""
        return [e for e in self.all if e.role == role and e.action in actions]

    def close(self) -> None:
        """Stop gathering."""
        with suppress(Exception):
            self._stream.close()

    def _gather(self) -> None:
        with suppress(Exception):  # the stream ends with the seat
            for found in self._stream:
                self.all.extend(_read(found))


def _read(found: dict[str, Any]) -> Iterator[Event]:
    attributes = found["Actor"]["Attributes"]
    yield Event(
        found["timeNano"] / 1e9,
        found["Action"],
        attributes.get("name", ""),
        attributes.get("migsafe.run", ""),
        attributes.get("migsafe.role", ""),
        str(attributes),
    )
