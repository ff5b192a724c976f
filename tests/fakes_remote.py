"""A store away from this machine and a lease's slot in it, in memory; and what can go wrong."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from sidecar.backup_ports import Conflict, Tick
from sidecar.errors import NameTaken, ObjectMissing, StoreFailed
from sidecar.stores.texts import decoded


class FakeRemote:
    """Keeps objects, and fails where it is told to."""

    def __init__(self, name: str = "gs://shop") -> None:
        self._name = name
        self.objects: dict[str, bytes] = {}
        self.failing: dict[str, StoreFailed] = {}
        """By act, ``put`` or ``listing`` for example: what it fails with."""
        self.acts: list[str] = []
        self.short = 0
        """So many of its objects, the oldest first, no listing shows, silently."""

    @property
    def name(self) -> str:
        """What people call it."""
        return self._name

    def listing(self) -> Mapping[str, int]:
        """List every object."""
        self._act("listing", "")
        return {name: len(data) for name, data in list(self.objects.items())[self.short :]}

    def put(self, name: str, path: Path, tick: Tick) -> None:
        """Upload a file."""
        tick(0)
        self._put(name, path.read_bytes())

    def put_text(self, name: str, text: str) -> None:
        """Write a small object."""
        self._put(name, text.encode())

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """Read an object."""
        self._act("read", name)
        if name not in self.objects:
            raise ObjectMissing(f"there is no {name}")
        data = self.objects[name][start:]
        for place in range(0, len(data), 100):
            yield data[place : place + 100]

    def text(self, name: str) -> str:
        """Read a small object."""
        return decoded(self.read(name), name)

    def remove(self, name: str) -> None:
        """Delete an object."""
        self._act("remove", name)
        self.objects.pop(name, None)

    def _put(self, name: str, data: bytes) -> None:
        self._act("put", name)
        if self.objects.setdefault(name, data) != data:
            raise NameTaken(f"{name} is there already with other contents")

    def _act(self, act: str, name: str) -> None:
        if act in self.failing:
            raise self.failing[act]
        self.acts.append(f"{act} {name}".strip())


class FakeSlot:
    """Keeps one text, and fails where it is told to."""

    name = "gs://shop/lease.json"

    def __init__(self) -> None:
        self.text = ""
        self.generation = 0
        self.failing: StoreFailed | None = None

    def read(self) -> tuple[str, str]:
        """Read the text and its generation."""
        self._act()
        return self.text, str(self.generation or "")

    def replace(self, text: str, generation: str) -> None:
        """Write another text in the place of that generation."""
        self._act()
        if generation != str(self.generation or ""):
            raise Conflict
        self.text, self.generation = text, self.generation + 1

    def _act(self) -> None:
        if self.failing is not None:
            raise StoreFailed(self.failing.message, hint=self.failing.hint)
