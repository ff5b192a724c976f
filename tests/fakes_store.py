"""A folder of backups in memory, with the power failing between any two steps."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sidecar.backups import DAMAGED_SUFFIX, MANIFEST_SUFFIX, PARTIAL_SUFFIX, PROOF_SUFFIX
from sidecar.errors import StoreFailed
from sidecar.stores.local import LocalStore, Stamp, Written
from tests.fakes_data import Data
from tests.fakes_machine import Machine
from tests.fakes_power import Power


class MemoryStore(LocalStore):
    """The same store, without a disk."""

    def __init__(self, machine: Machine, power: Power) -> None:
        super().__init__(Path("/nowhere"))
        self.machine = machine
        self.power = power
        self.files = machine.files

    def complaint(self) -> str | None:
        """Have none."""
        try:
            self.power.call("store: probe")
        except OSError as error:
            return f"the folder of backups can't be written: {error.strerror}"
        return None

    def free(self) -> int:
        """Have plenty."""
        return 1 << 40

    def names(self) -> tuple[str, ...]:
        """List what is whole."""
        self._call("store: list")
        return tuple(sorted(name for name in self.files if not name.endswith(PARTIAL_SUFFIX)))

    def write(self, name: str, chunks: Iterable[bytes]) -> Written:
        """Write a partial file, in two halves."""
        self.power.call("store: write")
        partial = name + PARTIAL_SUFFIX
        try:
            data = b"".join(chunks)
            with self.power.effect(f"store: half of {name}"):
                self.files[partial] = data[: len(data) // 2]
            with self.power.effect(f"store: {partial}"):
                self.files[partial] = data
        except Exception:
            self.files.pop(partial, None)
            raise
        return Written(len(data), hashlib.sha256(data).hexdigest())

    def publish(self, name: str, real: str | None = None) -> None:
        """Give a partial file its real name."""
        self.power.call("store: publish")
        target = real or name
        if target in self.files:
            raise StoreFailed(f"{target} is there already, and nothing is ever overwritten")
        with self.power.effect(f"store: {target}"):
            self.files[target] = self.files.pop(name + PARTIAL_SUFFIX)

    def set_aside(self, name: str) -> None:
        """Take its name from a file that is damaged."""
        self._call("store: set aside")
        with _or_store_failed(name), self.power.effect(f"store: {name} set aside"):
            self.files[name + DAMAGED_SUFFIX] = self.files.pop(name)

    def stamp(self, name: str) -> Stamp:
        """Tell one content from another."""
        return (hash(self.files[name]),) if name in self.files else None

    def discard(self, name: str) -> None:
        """Remove what is not whole."""
        with suppress(OSError):
            self.power.call("store: discard")
            self.files.pop(name + PARTIAL_SUFFIX, None)
            self.files.pop(name + MANIFEST_SUFFIX + PARTIAL_SUFFIX, None)
            if name + MANIFEST_SUFFIX not in self.files:
                self.files.pop(name + PROOF_SUFFIX, None)
                self.files.pop(name, None)

    def remove(self, name: str) -> None:
        """Delete a file."""
        self._call("store: remove")
        with _or_store_failed(name), self.power.effect(f"store: {name} removed"):
            self.files.pop(name, None)

    def put(self, name: str, text: str) -> None:
        """Write a small file, whole or not at all."""
        self._call("store: put")
        payload = name.removesuffix(MANIFEST_SUFFIX)
        if payload not in {name, *self.files}:
            self.machine.violations.append(f"3: {name} is there before what it speaks of")
        with _or_store_failed(name), self.power.effect(f"store: {name}"):
            self.files[name] = text.encode()

    def read(self, name: str, *, partial: bool = False) -> Iterator[bytes]:
        """Read a file in chunks."""
        self._call("store: read")
        found = self.files.get(name + PARTIAL_SUFFIX if partial else name)
        if found is None:
            raise StoreFailed(f"{name}: No such file or directory")
        for start in range(0, len(found), 256):
            yield found[start : start + 256]

    def size(self, name: str) -> int | None:
        """How many bytes a file has."""
        try:
            self.power.call("store: size")
        except OSError:
            return None
        found = self.files.get(name)
        return None if found is None else len(found)

    def taken(self, name: str) -> bool:
        """Whether the name is in use."""
        return name in self.files

    def _call(self, name: str) -> None:
        with _or_store_failed(name):
            self.power.call(name)


@contextmanager
def _or_store_failed(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(f"{name}: {error.strerror}") from error


def backup_in(here: Machine, name: str) -> Data | None:
    """Read a plain backup back, if it is one: whole, and with the manifest that fits."""
    payload, manifest = here.files.get(name), here.files.get(name + MANIFEST_SUFFIX)
    if payload is None or manifest is None:
        return None
    if json.loads(manifest)["sha256"] != hashlib.sha256(payload).hexdigest():
        return None
    return Data.load(payload)
