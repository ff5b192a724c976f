"""
What a power cut may leave of a folder: a model of a disk that watches real system calls.

POSIX promises little: what was written to a file is there for certain once the file was synced, and
that a name was given, changed or taken away once the folder was. Until then every name may be what
it was, is, or was in between, each by itself; and a file may hold what it held, what was written,
a part of it, or as many zeros.
"""

import itertools
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

State = Mapping[str, bytes]
"""Files by name."""

WATCHED = ("open", "rename", "unlink", "fsync")


@dataclass
class _Inode:
    durable: bytes | None = None
    """What was synced."""
    written: bytes = b""

    def may_hold(self) -> set[bytes]:
        """Give everything that it may hold after a power cut."""
        if self.durable == self.written:
            return {self.written}
        half = self.written[: len(self.written) // 2]
        return {
            self.durable or b"",
            self.written,
            half,
            self.written[:-1],
            bytes(len(self.written)),
        }


@dataclass
class Disk:
    """One folder, from the first watched call on."""

    folder: Path
    points: list[tuple[str, State]] = field(default_factory=list)
    """Every state that a power cut may leave, with what had been done last."""
    returned: bool = False
    """The act that is watched has said that it was done."""
    after: list[State] = field(default_factory=list)
    """What a power cut may leave once it has."""
    syncs: int = 0

    def __post_init__(self) -> None:
        self._inodes: dict[int, _Inode] = {}
        self._numbers = itertools.count()
        self._now: dict[str, int] = {}
        self._durable: dict[str, int | None] = {}
        self._since: dict[str, list[int]] = {}
        for path in self.folder.iterdir():
            number = self._now[path.name] = next(self._numbers)
            self._durable[path.name] = number
            data = path.read_bytes()
            self._inodes[number] = _Inode(data, data)

    # --- what is done

    def opened(self, path: Path) -> None:
        """Note that a file was made."""
        if path.name in self._now:
            return
        number = next(self._numbers)
        self._inodes[number] = _Inode()
        self._name(path.name, number)
        self._point(f"{path.name} made")

    def renamed(self, old: Path, new: Path) -> None:
        """Note that a file was given another name."""
        number = self._now.pop(old.name)
        self._history(old.name)
        self._name(new.name, number)
        self._point(f"{old.name} renamed")

    def unlinked(self, path: Path) -> None:
        """Note that a name was taken away."""
        if self._now.pop(path.name, None) is not None:
            self._history(path.name)
            self._point(f"{path.name} unlinked")

    def synced(self, descriptor: int) -> None:
        """Note that a file or the folder was brought to the disk."""
        self.syncs += 1
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._since.clear()
            self._durable = dict(self._now)
            self._point("folder synced")
            return
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        inode = self._inodes[self._now[path.name]]
        self._point(f"{path.name} written")
        inode.durable = inode.written
        self._point(f"{path.name} synced")

    def wrote(self) -> None:
        """Note that something was written."""
        self._point("something written")

    def read(self) -> None:
        """Look at what the files hold now."""
        for name, number in self._now.items():
            self._inodes[number].written = (self.folder / name).read_bytes()

    def done(self) -> None:
        """Note that the act has returned."""
        self.returned = True
        self.after = [state for _, state in self._point("returned")]

    # --- what may be left

    def _name(self, name: str, number: int) -> None:
        self._history(name)
        self._now[name] = number
        self._since[name].append(number)

    def _history(self, name: str) -> None:
        self._since.setdefault(name, [])

    def _point(self, what: str) -> list[tuple[str, State]]:
        self.read()
        found = [(what, state) for state in self._states()]
        self.points += found
        return found

    def _states(self) -> Iterator[State]:
        names = sorted({*self._durable, *self._since})
        values = [{self._durable.get(name), *self._history_of(name)} for name in names]
        for chosen in itertools.product(*values):
            files = [(name, n) for name, n in zip(names, chosen, strict=True) if n is not None]
            numbers = sorted({number for _, number in files})
            holds = (sorted(self._inodes[number].may_hold()) for number in numbers)
            for contents in itertools.product(*holds):
                data = dict(zip(numbers, contents, strict=True))
                yield {name: data[number] for name, number in files}

    def _history_of(self, name: str) -> set[int | None]:
        if name not in self._since:
            return set()
        return {*self._since[name], self._now.get(name)}


@contextmanager
def watched(folder: Path) -> Iterator[Disk]:
    """Watch the system calls on a folder."""
    disk = Disk(folder)
    with pytest.MonkeyPatch.context() as patch:
        for name in WATCHED:
            patch.setattr(os, name, _watching(disk, name, getattr(os, name)))
        yield disk


def _watching(disk: Disk, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **keywords: Any) -> Any:
        disk.read()
        done = real(*args, **keywords)
        match name:
            case "open" if args[1] & os.O_CREAT:
                disk.opened(Path(args[0]))
            case "rename":
                disk.renamed(Path(args[0]), Path(args[1]))
            case "unlink":
                disk.unlinked(Path(args[0]))
            case "fsync":
                disk.synced(args[0])
        return done

    return call
