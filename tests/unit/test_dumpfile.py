"""Files that others have made: what they are, however packed, and whether they are whole."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest
from backports import zstd

from sidecar import age
from sidecar.dumpfile import DumpFile
from sidecar.errors import (
    BackupDamaged,
    BackupNotFound,
    Interrupted,
    KeyMissing,
    MigsafeError,
    Refused,
)
from sidecar.keys import Keys

HEAD = b"""--
-- PostgreSQL database dump
--

-- Dumped from database version 16.9 (Debian 16.9-1)
-- Dumped by pg_dump version 17.6

"""
END = b"--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n\n"
ROWS = b"".join(b"SELECT %d;\n" % random.Random(1).getrandbits(900) for _ in range(3000))  # noqa: S311 - no secret
ZEROS = b"SELECT '" + b"0" * 5_000_000 + b"';\n"
DUMP = HEAD + ROWS + ZEROS + END
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "zst": zstd.compress,
    "sql": bytes,
}
NONE = Keys()


class Going:
    """Was never asked to stop."""

    def check(self) -> None:
        """Go on."""


def dump(folder: Path, data: bytes, keys: Keys = NONE) -> DumpFile:
    """Write a file and find it."""
    (folder / "x").write_bytes(data)
    return DumpFile.find("x", folder, Going(), keys)


def examine(file: DumpFile) -> tuple[int, str, str]:
    """Read a file to its end."""
    found = file.examine(lambda _: None)
    return found.size, found.server, found.program


@pytest.mark.parametrize("packed", PACKERS)
def test_is_unpacked(tmp_path: Path, packed: str) -> None:
    """Whatever packed it, all of it comes out; also of several parts one after another."""
    pack, half = PACKERS[packed], len(DUMP) // 2
    file = dump(tmp_path, pack(DUMP[:half]) + pack(DUMP[half:]))

    assert (len(DUMP), "16.9", "17.6") == examine(file)
    assert DUMP == b"".join(file.sql())


@pytest.mark.parametrize("packed", PACKERS)
@pytest.mark.parametrize("missing", [1, 40, 5000])
def test_what_is_cut_off_is_refused(tmp_path: Path, packed: str, missing: int) -> None:
    """
    A file that lost its end is damaged.

    Faults: 57, 59.
    """
    data = PACKERS[packed](DUMP)
    if packed == "sql" and missing < len(END):
        missing = len(END)
    with pytest.raises(BackupDamaged, match=r"cut off|damaged"):
        examine(dump(tmp_path, data[: -min(missing, len(data) - 30)]))


def tar(name: str) -> bytes:
    """Make a tar with one file in it."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as made:
        made.addfile(tarfile.TarInfo(name))
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "error", "why"),
    [
        (b"", BackupDamaged, "is empty"),
        (b" \n\n", BackupDamaged, "is empty"),
        (gzip.compress(b"", mtime=0), BackupDamaged, "is empty"),
        (b"PGDMP\x01\x0e", BackupDamaged, "is damaged"),
        (gzip.compress(b"PGDMP\x01\x0e", mtime=0), BackupDamaged, "is damaged"),
        (b"age-encryption.org/v1\n-> X25519", KeyMissing, "is encrypted, and no key is here"),
        (b"-----BEGIN PGP MESSAGE-----\n", BackupDamaged, "encrypted, with GnuPG"),
        (b"Salted__abcd", BackupDamaged, "encrypted, with OpenSSL"),
        (bytes(random.Random(2).randbytes(5000)), BackupDamaged, "nothing that pg_dump"),  # noqa: S311 - same
        (b"\xff\xfe-\0-\0", BackupDamaged, "UTF-16"),
        (b"-- MySQL dump 10.13\n", BackupDamaged, "MySQL"),
        (b"PK\x03\x04", BackupDamaged, "zip"),
        (b"SELECT 1;\n" * 1000, BackupDamaged, "nothing that pg_dump wrote"),
        (tar("backup/toc.dat"), BackupDamaged, "unpack it"),
        (b"--\n-- PostgreSQL database cluster dump\n--\n" + END, Refused, "pg_dumpall"),
    ],
)
def test_what_cant_be_loaded_is_refused(
    tmp_path: Path, data: bytes, error: type[MigsafeError], why: str
) -> None:
    """It is said what the file is, and what to do; nothing is tried."""
    with pytest.raises(error, match=why) as refused:
        examine(dump(tmp_path, data))

    assert refused.value.hint.startswith("Nothing was changed.")


@dataclass(frozen=True)
class Pair:
    """A key, and what is encrypted to it."""

    keys: Keys
    recipient: age.Recipient

    @classmethod
    def made(cls, folder: Path) -> "Pair":
        """Make a pair; the private key is in a file, as an operator mounts it."""
        (recipient, private), path = age.passing(), folder / "key.txt"
        path.write_text(str(private))
        return cls(Keys((), path), recipient)

    def sealed(self, data: bytes, *, armored: bool = False) -> bytes:
        """Encrypt as `age` does, or as `age --armor`."""
        return pyrage.encrypt(data, [self.recipient], armored=armored)


@pytest.mark.parametrize("armored", [False, True])
@pytest.mark.parametrize("packed", PACKERS)
def test_is_decrypted(tmp_path: Path, packed: str, armored: bool) -> None:
    """With the key here a backup that was brought by hand is read as it is. Faults: 122."""
    pair = Pair.made(tmp_path)
    file = dump(tmp_path, pair.sealed(PACKERS[packed](DUMP), armored=armored), pair.keys)

    assert (len(DUMP), "16.9", "17.6") == examine(file)
    assert DUMP == b"".join(file.sql())
    assert file.examine(lambda _: None).kind.endswith("encrypted")


def test_without_its_key_it_is_refused(tmp_path: Path) -> None:
    """None is here, another, or what is no key: told, with what to mount. Faults: 122."""
    sealed = Pair.made(tmp_path).sealed(DUMP)
    other = tmp_path / "other"
    other.mkdir()
    (other / "none.txt").write_text("nothing")
    for keys, why in (
        (Keys(), "x is encrypted, and no key is here"),
        (Pair.made(other).keys, "key.txt is another key"),
        (Keys((), other / "none.txt"), "none.txt is no identity file"),
    ):
        with pytest.raises(KeyMissing, match=why) as refused:
            examine(dump(tmp_path, sealed, keys))
        assert 19 == refused.value.status
        assert "MIGSAFE_IDENTITY_FILE" in refused.value.hint


@pytest.mark.parametrize("at", [30, 250, -9, -70_000])
@pytest.mark.parametrize("act", ["cut", "flipped"])
def test_what_is_encrypted_and_damaged_is_refused(tmp_path: Path, at: int, act: str) -> None:
    """Cut or flipped anywhere: never loaded for a whole one. Faults: 57, 59, 122."""
    pair = Pair.made(tmp_path)
    data = pair.sealed(DUMP)
    at %= len(data)
    damaged = data[:at] if act == "cut" else data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    with pytest.raises((BackupDamaged, KeyMissing)) as refused:
        examine(dump(tmp_path, damaged, pair.keys))
    assert refused.value.hint.startswith("Nothing was changed.")


def test_an_encrypted_archive_is_handed_on_in_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pg_restore gets is the archive, and not the file."""
    pair, given = Pair.made(tmp_path), list[bytes]()

    @contextmanager
    def read(_argv: object, _environment: object, chunks: Iterator[bytes]) -> Iterator[list[bytes]]:
        given.extend(chunks)
        yield [DUMP]

    monkeypatch.setattr("sidecar.process.read", read)
    examine(dump(tmp_path, pair.sealed(b"PGDMP and so on"), pair.keys))
    assert b"PGDMP and so on" == b"".join(given)


def test_encrypted_twice_is_too_often(tmp_path: Path) -> None:
    """It is said what it is."""
    pair = Pair.made(tmp_path)
    with pytest.raises(BackupDamaged, match="encrypted twice"):
        examine(dump(tmp_path, pair.sealed(pair.sealed(DUMP)), pair.keys))


@pytest.mark.parametrize("packed", ["gz", "bz2", "xz", "zst"])
def test_a_bomb_comes_in_pieces(tmp_path: Path, packed: str) -> None:
    """What unpacks to much more than it is is never in memory at once."""
    file = dump(tmp_path, PACKERS[packed](HEAD + b"\n" * 30_000_000 + END))

    assert max(map(len, file.sql())) < 3_000_000


@pytest.mark.parametrize("name", [b"../../proc/1/environ", b"./../x", b"a/../../x"])
def test_a_folder_that_leads_out_of_itself_is_refused(tmp_path: Path, name: bytes) -> None:
    """
    What a forged table of contents names is not read, nor what a link in the folder leads to.

    Faults: 116, 121.
    """
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "toc.dat").write_bytes(b"PGDMP\0" + len(name).to_bytes(4, "little") + name)
    with pytest.raises(BackupDamaged, match="outside of itself"):
        examine(DumpFile.find("x", tmp_path, Going(), Keys()))

    (folder / "toc.dat").write_bytes(b"PGDMP")
    (folder / "1.dat").symlink_to("/etc/passwd")
    with pytest.raises(BackupDamaged, match="links"):
        examine(DumpFile.find("x", tmp_path, Going(), Keys()))


def test_a_mark_of_windows_is_no_sql(tmp_path: Path) -> None:
    """A byte order mark at the beginning is left out."""
    file = dump(tmp_path, b"\xef\xbb\xbf" + HEAD + END)

    assert HEAD + END == b"".join(file.sql())


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """The path is one inside the container: that is what is said."""
    (tmp_path / "folder").mkdir()
    for name in ("nothing.sql", "folder", "../x"):
        with pytest.raises(BackupNotFound) as missing:
            DumpFile.find(name, tmp_path, Going(), Keys())
        assert "inside the container" in missing.value.hint


def test_a_signal_stops_reading(tmp_path: Path) -> None:
    """A long file can be left in the middle."""

    class Stopped:
        def check(self) -> None:
            raise Interrupted.by(2)

    (tmp_path / "x").write_bytes(DUMP)
    with pytest.raises(Interrupted):
        examine(DumpFile.find("x", tmp_path, Stopped(), Keys()))
