"""
Age, the format that encrypted backups are in (https://age-encryption.org), through ``pyrage``.

The library reads and writes files; backups are streams of chunks. So it runs on a thread of its
own, and the two take turns: memory stays the same at any size, and what the chunks come from is
never called from another thread than the one that asks for them.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BufferedIOBase
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, cast

import pyrage

from sidecar.errors import BackupDamaged, BackupFailed, KeyMissing

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNK = 1 << 16
"""Bytes of plaintext that are sealed together; the format fixes it."""
TAG, NONCE = 16, 16
HEADER_MOST = 1 << 20
"""The longest header that is looked at: thousands of recipients."""
NO_MATCH = "No matching keys"
NO_HEADER = ("Header is invalid", "Header MAC is invalid", "Unknown age format")
"""What the library says of a beginning that is damaged, whoever's key it was for."""

Recipient = pyrage.x25519.Recipient | pyrage.ssh.Recipient
Identity = pyrage.x25519.Identity | pyrage.ssh.Identity


# --- keys


def recipient(text: str) -> Recipient:
    """Read a public key; raises ValueError with a sentence."""
    try:
        if text.startswith("ssh-"):
            return pyrage.ssh.Recipient.from_str(text)
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise ValueError(
            f"{_short(text)} is no public key of age (`age1…`) or SSH (`ssh-ed25519 …`,"
            " `ssh-rsa …`), or not all of one"
        ) from None


def identities(data: bytes) -> list[Identity]:
    """
    Read an identity file: private keys of age, a line each, or one of SSH.

    Raises:
        ValueError: with a sentence that shows none of it.

    """
    if data.startswith((b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED")):
        raise ValueError("is protected by a passphrase: nobody is there to type it")
    if b"-----BEGIN" in data:
        return [_ssh(data)]
    lines = [line.strip() for line in data.splitlines()]
    keys = [line for line in lines if line and not line.startswith(b"#")]
    if not keys:
        raise ValueError("holds no key")
    try:
        return [pyrage.x25519.Identity.from_str(key.decode()) for key in keys]
    except (pyrage.IdentityError, UnicodeDecodeError):
        raise ValueError("is no identity file of age, and no private key of SSH") from None


def passing() -> tuple[Recipient, Identity]:
    """Make a key that no disk ever sees."""
    made = pyrage.x25519.Identity.generate()
    return made.to_public(), made


def _ssh(data: bytes) -> Identity:
    try:
        return pyrage.ssh.Identity.from_buffer(data)
    except pyrage.IdentityError as error:
        why = str(error)
        if "decrypted first" in why or "Encrypted" in why:
            raise ValueError("is protected by a passphrase: nobody is there to type it") from None
        raise ValueError("is no private key that age can use (ed25519 or rsa)") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 30 else f"{text[:20]}…{text[-6:]}")  # noqa: PLR2004 - a line's worth


# --- small things


def seal(text: str, recipients: Sequence[Recipient]) -> str:
    """Encrypt a short text, as one that can stand in JSON."""
    return base64.b64encode(pyrage.encrypt(text.encode(), recipients)).decode()


def unseal(text: str, keys: Sequence[Identity]) -> str:
    """
    Decrypt a short text.

    Raises:
        KeyMissing: none of the keys is one that it was encrypted to.
        ValueError: it is damaged.

    """
    try:
        return pyrage.decrypt(base64.b64decode(text, validate=True), keys).decode()
    except pyrage.DecryptError as error:
        if NO_MATCH in str(error):
            raise KeyMissing("no key fits") from None
        raise ValueError(str(error)) from None


def opens(head: bytes, keys: Sequence[Identity]) -> bool:
    """Tell whether one of the keys opens a file, from its beginning; none opens a damaged one."""
    try:
        pyrage.decrypt(head, keys)
    except pyrage.DecryptError as error:  # of what is cut off it says something else
        return not any(words in str(error) for words in (NO_MATCH, *NO_HEADER))
    except OSError:  # the key fits, and what follows is cut off
        return True
    return True


# --- streams


def encrypt(chunks: Iterable[bytes], recipients: Sequence[Recipient]) -> Iterator[bytes]:
    """
    Encrypt a stream; an error of its source ends it without the end that makes a file whole.

    Raises:
        BackupFailed: the library can't, or what it wrote is not as long as it must be.

    """
    counted = _Counted(chunks)
    measured = _Measured()

    def act(reader: "_Reader", writer: "_Writer") -> None:
        pyrage.encrypt_io(reader, writer, recipients)

    try:
        for chunk in _through(act, counted):
            measured.add(chunk)
            yield chunk
    except _Failed as error:
        raise BackupFailed(f"the backup failed: it can't be encrypted: {error}") from error
    if measured.payload != _sealed_size(counted.size):
        raise BackupFailed("the backup failed: what was encrypted is not all there")


def decrypt(chunks: Iterable[bytes], keys: Sequence[Identity], name: str) -> Iterator[bytes]:
    """
    Decrypt a stream.

    Raises:
        KeyMissing: none of the keys is one that it was encrypted to.
        BackupDamaged: it is not as it was encrypted, or cut off.

    """

    def act(reader: "_Reader", writer: "_Writer") -> None:
        pyrage.decrypt_io(reader, writer, keys)

    try:
        yield from _through(act, chunks)
    except _Failed as error:
        if NO_MATCH in str(error):
            raise KeyMissing(f"no key here opens {name}") from error
        raise BackupDamaged(f"{name} can't be decrypted: {error}") from error


def _sealed_size(size: int) -> int:
    """Reckon how long so many bytes are once encrypted, without the header."""
    return NONCE + size + TAG * max(1, -(-size // CHUNK))


class _Failed(Exception):
    """The library has given up."""


class _Given:
    """The chunks have come to an error, or nobody wants them any more."""


Turn = bytes | None | Exception
"""What the library's thread hands over: output (it wants more), its end, or how it failed."""


def _through(
    act: Callable[["_Reader", "_Writer"], None], chunks: Iterable[bytes]
) -> Iterator[bytes]:
    """
    Run what reads and writes files on a stream.

    The library's thread works only while this one waits for it, and the other way round.
    """
    wanted: SimpleQueue[Turn] = SimpleQueue()
    given: SimpleQueue[bytes | _Given] = SimpleQueue()
    writer = _Writer()
    thread = Thread(target=_work, args=(act, wanted, given, writer), daemon=True)
    source = iter(chunks)
    thread.start()
    try:
        while isinstance(turn := wanted.get(), bytes):
            if turn:
                yield turn
            given.put(next(source, b""))
        if turn is not None:
            raise _Failed(str(turn)) from turn
        if last := writer.taken():
            yield last
    finally:
        given.put(_Given())  # who still waits for more gives up, and writes no end
        thread.join()


def _work(
    act: Callable[["_Reader", "_Writer"], None],
    wanted: "SimpleQueue[Turn]",
    given: "SimpleQueue[bytes | _Given]",
    writer: "_Writer",
) -> None:
    try:
        act(_Reader(wanted, given, writer), writer)
    except Exception as error:  # noqa: BLE001 - told to who waits for it
        wanted.put(error)
    except BaseException as error:  # noqa: BLE001 - a panic of the library is no Exception
        wanted.put(RuntimeError(f"{type(error).__name__}: {error}"))
    else:
        wanted.put(None)


class _Reader(BufferedIOBase):
    """What the library takes for a file to read."""

    def __init__(
        self,
        wanted: "SimpleQueue[Turn]",
        given: "SimpleQueue[bytes | _Given]",
        writer: "_Writer",
    ) -> None:
        super().__init__()
        self.wanted = wanted
        self.given = given
        self.writer = writer
        self.rest = memoryview(b"")
        self.ended = False

    def read(self, size: int | None = -1, /) -> bytes:
        """Give at most so many bytes; none at the end."""
        while not self.rest and not self.ended:
            self.wanted.put(self.writer.taken())
            chunk = self.given.get()
            if isinstance(chunk, _Given):
                raise EOFError("given up")  # noqa: TRY004 - no type is wrong
            self.rest = memoryview(chunk)
            self.ended = not chunk
        found = self.rest if size is None or size < 0 else self.rest[:size]
        self.rest = self.rest[len(found) :]
        return bytes(found)


class _Writer(BufferedIOBase):
    """What the library takes for a file to write."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[bytes] = []

    def write(self, buffer: "Buffer", /) -> int:
        """Keep it until it is taken."""
        self.parts.append(bytes(buffer))
        return len(self.parts[-1])

    def flush(self) -> None:
        """Have nothing to do."""

    def taken(self) -> bytes:
        """Take what was written."""
        found = b"".join(self.parts)
        self.parts.clear()
        return found


class _Counted:
    """Chunks that are counted as they pass; an empty one would be taken for the end."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = chunks
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            if chunk:
                self.size += len(chunk)
                yield chunk


class _Measured:
    """Counts what comes after the header of a file."""

    def __init__(self) -> None:
        self.head = b""
        self.payload = 0
        self.past = False

    def add(self, chunk: bytes) -> None:
        if self.past:
            self.payload += len(chunk)
            return
        self.head += chunk
        start = self.head.find(b"\n--- ")
        end = self.head.find(b"\n", start + 1) if start >= 0 else -1
        if end < 0:
            if len(self.head) > HEADER_MOST:
                raise BackupFailed("the backup failed: the header of the encrypted file has no end")
            return
        self.past = True
        self.payload = len(self.head) - end - 1
        self.head = b""


def settings_text(settings: Sequence[tuple[str, str, str]]) -> str:
    """Write settings of a database as a text to be sealed."""
    return json.dumps(settings, ensure_ascii=False)


def settings_of(text: str) -> tuple[tuple[str, str, str], ...]:
    """Read them back."""
    return tuple(cast("tuple[str, str, str]", tuple(each)) for each in json.loads(text))
