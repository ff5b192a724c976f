"""The bytes of a backup on their way to its file and back: hashed, packed, held to their end."""

import hashlib
from collections.abc import Iterable, Iterator

from sidecar import pgtools
from sidecar.backups import Format
from sidecar.errors import UNCHANGED, BackupFailed
from sidecar.keys import HEAD
from sidecar.stores.local import Written

END_BYTES = 4096
"""Where the end of a plain dump is looked for."""


def head(chunks: Iterable[bytes]) -> bytes:
    """Read the beginning of a file, in which it says who can read it."""
    found = b""
    for chunk in chunks:
        found += chunk
        if len(found) >= HEAD:
            break
    return found


def ended(chunks: Iterable[bytes], written: Format) -> Iterator[bytes]:
    """Pass a dump on, and fail where it does not end as one does."""
    end = b""
    for chunk in chunks:
        end = (end + chunk)[-END_BYTES:]
        yield chunk
    if not end or (written is Format.SQL and pgtools.END_OF_DUMP not in end):
        raise BackupFailed("the backup failed: the dump is cut off", hint=UNCHANGED)


def proven(chunks: Iterator[bytes], written: Format) -> Iterator[bytes]:
    """Pass a file's bytes on, and fail at their end where they are not those of a whole dump."""
    if written is Format.SQL:
        return ended(chunks, written)
    from sidecar import archive  # noqa: PLC0415 - loads zstd, which most runs do not need

    return archive.checked(chunks)


def compress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pack an archive."""
    from sidecar import archive  # noqa: PLC0415 - loads zstd, which most runs do not need

    return archive.compress(chunks)


def decompress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Unpack an archive, and fail where it is not whole."""
    from sidecar import archive  # noqa: PLC0415 - same

    return archive.decompress(chunks)


class Hashed:
    """Chunks that are counted and hashed as they pass."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = chunks
        self.digest = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.digest.update(chunk)
            self.size += len(chunk)
            yield chunk

    @property
    def written(self) -> Written:
        """What has passed so far."""
        return Written(self.size, self.digest.hexdigest())

    def drain(self) -> Written:
        """Let all of them pass, and tell what they were."""
        for _ in self:
            pass
        return self.written
