"""
Everything that may happen to a backup on a disk, as pairs of a file and its manifest.

What is done to the file is done at many places of it, chosen by its length alone: the same file is
damaged in the same ways each time.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sidecar.backups import MANIFEST_SUFFIX

BLOCKS = (512, 4096)
PAGE = 4096
NONCE, SEALED = 16, (1 << 16) + 16
"""Before the first of age's chunks, and one of them with its tag."""
FRAME_HEADER = 6
"""Bytes before the first block of a frame that is compressed as a stream: no size, a window."""


@dataclass(frozen=True)
class Pair:
    """A backup as it is on the disk."""

    name: str
    file: bytes | None
    manifest: str | None
    links: tuple[str, ...] = ()
    """Names that are links to elsewhere, with what they should hold."""

    @classmethod
    def read(cls, folder: Path, name: str) -> "Pair":
        """Read a backup."""
        manifest = (folder / (name + MANIFEST_SUFFIX)).read_text()
        return cls(name, (folder / name).read_bytes(), manifest)

    def lay(self, folder: Path) -> None:
        """Put it on the disk, instead of what was there."""
        _put(folder, self.name, self.file, linked=self.name in self.links)
        manifest = None if self.manifest is None else self.manifest.encode()
        name = self.name + MANIFEST_SUFFIX
        _put(folder, name, manifest, linked=name in self.links)


@dataclass(frozen=True)
class Damage:
    """One thing that happened."""

    kind: str
    title: str
    pair: Pair
    code: int = 14
    """Exit code of the error that is due."""


def damages(whole: Pair, other: Pair, few: int) -> Iterator[Damage]:
    """
    Damage a backup in every way.

    Args:
        whole: it.
        other: an older one, of another state of the database.
        few: at about so many places each.

    """
    assert whole.file is not None
    for kind, title, data in to_a_file(whole.file, few):
        yield Damage(kind, title, replace(whole, file=data))
    yield Damage("swapped file", f"the file of {other.name}", replace(whole, file=other.file))
    yield from _manifests(whole, other)
    yield from _missing(whole)


def to_a_file(data: bytes, few: int) -> Iterator[tuple[str, str, bytes]]:
    """Damage a file in every way; gives the kind, where, and what is left."""
    for length in sorted(_lengths(data, few)):
        yield "cut", f"cut at {length} of {len(data)}", data[:length]
    for position in sorted({*_spread(len(data), 3 * few), 0, len(data) - 1}):
        for bit in (0, 7):
            flipped = bytes([data[position] ^ (1 << bit)])
            title = f"bit {bit} of byte {position} flipped"
            yield "flipped", title, data[:position] + flipped + data[position + 1 :]
    pages = {position // PAGE * PAGE for position in _spread(len(data), few)}
    for start in sorted(pages):
        zeros = bytes(len(data[start : start + PAGE]))
        if zeros != data[start : start + PAGE]:
            yield "zeroed", f"page at {start} zeroed", data[:start] + zeros + data[start + PAGE :]
    yield "zeroed", "all of it zeroed", bytes(len(data))
    for more in (b"\n", b"DROP TABLE users;\n", bytes(PAGE), data):
        yield "longer", f"{len(more)} bytes added", data + more
    yield "longer", "a byte added before it", b"\n" + data


def _manifests(whole: Pair, other: Pair) -> Iterator[Damage]:
    assert whole.manifest is not None
    foreign = replace(whole, manifest=other.manifest)
    yield Damage("swapped manifest", f"the manifest of {other.name}", foreign)
    older = replace(whole, file=other.file, manifest=other.manifest)
    yield Damage("older pair", f"{other.name} under the newer name", older)
    for title, text in _edited(whole.manifest):
        yield Damage("edited manifest", title, replace(whole, manifest=text))
    for length in (0, 1, len(whole.manifest) // 2, len(whole.manifest) - 2):
        cut = replace(whole, manifest=whole.manifest[:length])
        yield Damage("cut manifest", f"manifest cut at {length}", cut)


def _missing(whole: Pair) -> Iterator[Damage]:
    yield Damage("missing", "no file", replace(whole, file=None), 15)
    yield Damage("missing", "no manifest", replace(whole, manifest=None), 15)
    yield Damage("a link", "the file is a link", replace(whole, links=(whole.name,)))
    manifest = whole.name + MANIFEST_SUFFIX
    yield Damage("a link", "the manifest is a link", replace(whole, links=(manifest,)))


def _edited(text: str) -> Iterator[tuple[str, str]]:
    values = json.loads(text)
    for path, value in _leaves(values, ()):
        for changed in (_another(value), None):
            if changed != value:
                yield f"{_written(path)} is {changed!r}", _with(text, path, changed)
        yield f"{_written(path)} is gone", _with(text, path, ...)
    yield "a field more", json.dumps({**values, "more": 1})


def _leaves(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    match value:
        case dict() if value:
            for key, inner in value.items():
                yield from _leaves(inner, (*path, key))
        case list() if value:
            for number, inner in enumerate(value):
                yield from _leaves(inner, (*path, number))
        case _:
            yield path, value


def _another(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case _:
            return "x"


def _with(text: str, path: tuple[Any, ...], value: Any) -> str:
    found = json.loads(text)
    inner = found
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _written(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


# --- places


def _lengths(data: bytes, few: int) -> set[int]:
    """Choose where to cut: anywhere, and exactly where something ends."""
    size = len(data)
    found = {0, 1, size - 1, *_spread(size, few)}
    for block in BLOCKS:
        found |= {position // block * block for position in _spread(size, few)}
    found |= {end + more for end in _sealed(data) for more in (-1, 0, 1)}
    for ends in (_lines(data), _frames(data)):
        found |= {ends[n] for n in _spread(len(ends), few)} if ends else set()
    return {length for length in found if 0 <= length < size}


def _spread(size: int, count: int) -> set[int]:
    """Choose positions from the first to the last, and not in step with any block."""
    if size == 0:
        return set()
    return {round(n * (size - 1) / max(count - 1, 1)) for n in range(count)}


def _lines(data: bytes) -> list[int]:
    """Find the ends of lines; the last one is no cut."""
    return [n + 1 for n, byte in enumerate(data[:-1]) if byte == ord("\n")]


def _frames(data: bytes) -> list[int]:
    """Find the ends of the blocks in a zstd frame, each of which says how long it is."""
    if not data.startswith(b"\x28\xb5\x2f\xfd"):
        return []
    found, position = [], FRAME_HEADER
    while position + 3 <= len(data):
        header = int.from_bytes(data[position : position + 3], "little")
        run_length = (header >> 1) & 3 == 1
        position += 3 + (1 if run_length else header >> 3)
        found.append(position)
        if header & 1:
            break
    assert found, "a frame has at least one block"
    assert len(data) - found[-1] in {0, 4}, "after the last block there is a checksum or nothing"
    return found


def _sealed(data: bytes) -> list[int]:
    """Find the ends of age's chunks: a file that is cut there has no torn one."""
    if not data.startswith(b"age-encryption.org/"):
        return []
    start = data.index(b"\n", data.index(b"\n--- ") + 1) + 1 + NONCE
    return [start, *range(start + SEALED, len(data), SEALED)]


def _put(folder: Path, name: str, data: bytes | None, *, linked: bool) -> None:
    path, elsewhere = folder / name, folder.parent / f"{name}.elsewhere"
    path.unlink(missing_ok=True)
    if data is None:
        return
    if linked:
        elsewhere.write_bytes(data)
        path.symlink_to(elsewhere)
        return
    path.write_bytes(data)
