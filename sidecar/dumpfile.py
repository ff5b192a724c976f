"""
A dump that others have made, as plain SQL: whatever pg_dump wrote, and however it was packed.

An archive is written out by pg_restore, which needs no server for that.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from sidecar import pgtools, process
from sidecar.clients import PATH
from sidecar.errors import UNCHANGED, BackupDamaged, BackupNotFound, Refused, StoreFailed
from sidecar.facts import Examined
from sidecar.keys import Keys
from sidecar.ports import ProgramFailed, Stop

CHUNK = 1 << 20
HEAD = 4096
"""Bytes in which a dump says what it is, at its beginning and at its end."""

ARCHIVE, TAR, SQL = "an archive", "a tar", "plain SQL"
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_AGE = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED")
_STRANGE = (
    *((magic, "is encrypted twice, with age: decrypt it first") for magic in _AGE),
    (b"-----BEGIN PGP", "is encrypted, with GnuPG: decrypt it first"),
    (b"\x85", "is encrypted, with GnuPG: decrypt it first"),
    (b"\x8c\x0d", "is encrypted, with GnuPG: decrypt it first"),
    (b"Salted__", "is encrypted, with OpenSSL: decrypt it first"),
    (b"PK\x03\x04", "is a zip: unpack it first"),
    (b"SQLite format 3", "is a database of SQLite"),
    (b"-- MySQL dump", "is a dump of MySQL"),
    (b"-- MariaDB dump", "is a dump of MariaDB"),
    (b"\xff\xfe", "is in UTF-16, as PowerShell's > writes: dump with `pg_dump --file` instead"),
)
_VERSION = re.compile(rb"-- Dumped (from database|by pg_dump) version (\S+)")
_OUTWARDS = re.compile(rb"(?:\x00\x00|/)\.\./")
"""A path that leads out: at the beginning of a text, which stands after its length, or in it."""
_CLUSTER = b"PostgreSQL database cluster dump"
_HEADER = b"PostgreSQL database dump"


class DumpFile:
    """A file, or a folder of pg_dump's directory format."""

    def __init__(self, path: Path, stop: Stop, keys: Keys) -> None:
        self.path = path
        self.stop = stop
        self.keys = keys
        self.name = path.name

    @classmethod
    def find(cls, path: str, folder: Path, stop: Stop, keys: Keys) -> "DumpFile":
        """
        Find a dump; what is no absolute path is looked for in the folder of backups.

        Raises:
            BackupNotFound: there is none.

        """
        found = folder / path
        if not (found.is_file() or (found / "toc.dat").is_file()):
            what = "is a folder, and none of pg_dump's" if found.is_dir() else "is not there"
            raise BackupNotFound(
                f"{found} {what}",
                hint=f"{UNCHANGED} The path is one inside the container: mount the file"
                f" (`run --rm -v ./x.dump:/x.dump migsafe restore --file /x.dump`), or put it into"
                " the folder of backups.",
            )
        return cls(found, stop, keys)

    def examine(self, progress: Callable[[int], None]) -> Examined:
        """
        Read a dump to its end.

        Raises:
            BackupDamaged: it is cut off, or nothing that can be loaded.
            KeyMissing: it is encrypted with age, and no key that opens it is here.
            Refused: it is of a whole server.

        """
        kind, chunks = self._open()
        head = tail = b""
        size = 0
        for chunk in chunks:
            size += len(chunk)
            head = (head + chunk)[:HEAD] if len(head) < HEAD else head
            tail = (tail + chunk)[-HEAD:]
            progress(size)
        self._hold(head, tail)
        versions = {what: version.decode() for what, version in _VERSION.findall(head)}
        return Examined(
            kind, size, versions.get(b"from database", ""), versions.get(b"by pg_dump", "")
        )

    def sql(self) -> Iterator[bytes]:
        """Give the dump as plain SQL, in chunks."""
        return self._open()[1]

    # --- what it is

    def _open(self) -> tuple[str, Iterator[bytes]]:
        if self.path.is_dir():
            self._hold_within()
            return "a folder", self._written_out(None)
        raw = self._raw()
        head, raw = _peek(raw)
        encrypted = head.startswith(_AGE)
        if encrypted:
            head, raw = _peek(self._decrypted(raw))
        packed = next((name for magic, name in _PACKED.items() if head.startswith(magic)), "")
        if packed:
            head, raw = _peek(self._unpacked(packed, raw))
        kind = self._kind(head)
        title = _title(kind, packed, encrypted=encrypted)
        if kind == SQL:
            return title, _without_mark(raw)
        return title, self._written_out(raw if packed or encrypted else None)

    def _hold_within(self) -> None:
        """
        Refuse a folder that leads out of itself: pg_restore would read what is there.

        Its table of contents holds the names of its files, and pg_restore takes them as they are.
        """
        if any(entry.is_symlink() for entry in self.path.iterdir()):
            raise self._unusable("has links in it: copy the files themselves")
        if _OUTWARDS.search((self.path / "toc.dat").read_bytes()):
            raise self._unusable("names files outside of itself: dump with `pg_dump -Fc` instead")

    def _kind(self, head: bytes) -> str:
        for magic, what in _STRANGE:
            if head.startswith(magic):
                raise self._unusable(what)
        if not head.strip():
            raise self._unusable("is empty")
        if head.startswith(b"PGDMP"):
            return ARCHIVE
        if head[257:262] == b"ustar":
            if head.startswith(b"toc.dat\0"):
                return TAR
            raise self._unusable("is a tar, and none of pg_dump's: unpack it first")
        if b"\0" in head:
            raise self._unusable("is nothing that pg_dump writes, or it is encrypted")
        return SQL

    def _hold(self, head: bytes, tail: bytes) -> None:
        if _CLUSTER in head:
            raise Refused(
                f"{self.name} is of a whole server, by pg_dumpall: it holds roles and every"
                " database",
                hint=f"{UNCHANGED} Load it into a server of its own, dump the one database there"
                " with `pg_dump -Fc`, and restore that.",
            )
        if _HEADER not in head:
            raise self._unusable("is nothing that pg_dump wrote: whether it is whole can't be told")
        if pgtools.END_OF_DUMP not in tail:
            raise self._unusable("is cut off: it does not end as pg_dump's dumps do")

    def _unusable(self, what: str) -> BackupDamaged:
        return BackupDamaged(f"{self.name} {what}", hint=UNCHANGED)

    # --- how it is read

    def _raw(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    self.stop.check()
                    yield chunk
        except OSError as error:
            raise StoreFailed(f"{self.path}: {error.strerror}", hint=UNCHANGED) from error

    def _decrypted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from self.keys.decrypt_file(chunks, self.name)
        except BackupDamaged as error:
            error.hint = UNCHANGED
            raise

    def _unpacked(self, packed: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Unpack in pieces that fit into memory, however much a byte stands for."""
        make, failure = _unpacker(packed)
        unpacker = make()
        try:
            for chunk in chunks:
                rest = chunk
                while rest or not (unpacker.eof or unpacker.needs_input):
                    if unpacker.eof:  # another one follows
                        unpacker = make()
                    if out := unpacker.decompress(rest, CHUNK):
                        yield out
                    rest = unpacker.unused_data if unpacker.eof else b""
        except failure as error:
            raise self._unusable(f"is damaged: {packed} says {error}") from error
        if not unpacker.eof:
            raise self._unusable(f"is cut off: {packed} misses its end")

    def _written_out(self, chunks: Iterator[bytes] | None) -> Iterator[bytes]:
        """Have pg_restore write an archive out as SQL."""
        argv = pgtools.write_out(None if chunks else str(self.path))
        try:
            with process.read(argv, {"PATH": PATH, "LC_ALL": "C.UTF-8"}, chunks) as output:
                for chunk in output:
                    self.stop.check()
                    yield chunk
        except ProgramFailed as error:
            raise self._unusable(f"is damaged, or of a newer kind: {error}") from error


def _peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Look at the beginning of what comes."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD:
            break
    return head[:HEAD], chain([head] if head else [], chunks)


def _without_mark(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(chunks, b"")
    yield first.removeprefix(b"\xef\xbb\xbf")
    yield from chunks


def _title(kind: str, packed: str, *, encrypted: bool) -> str:
    return f"{kind}{f' in {packed}' if packed else ''}{', encrypted' if encrypted else ''}"


class _Gzip:
    """zlib's object, with the face of the others."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    @property
    def needs_input(self) -> bool:
        return self._object.eof or not self._full

    def decompress(self, data: bytes, most: int) -> bytes:
        out = self._object.decompress(self._object.unconsumed_tail + data, most)
        self._full = bool(self._object.unconsumed_tail) or len(out) == most
        return out


def _unpacker(packed: str) -> tuple[Callable[[], Any], type[Exception]]:
    """Find what unpacks; the libraries are loaded by who needs them."""
    if packed == "gzip":
        return _Gzip, zlib.error
    if packed == "bzip2":
        import bz2  # noqa: PLC0415 - see above

        return bz2.BZ2Decompressor, OSError
    if packed == "xz":
        import lzma  # noqa: PLC0415 - same

        return lzma.LZMADecompressor, lzma.LZMAError
    from sidecar.archive import zstd  # noqa: PLC0415 - same

    return zstd.ZstdDecompressor, zstd.ZstdError
