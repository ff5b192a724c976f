"""A folder of backups: nothing in it has its real name before it is whole and on disk."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sidecar.backups import DAMAGED_SUFFIX, MANIFEST_SUFFIX, PARTIAL_SUFFIX, PROOF_SUFFIX
from sidecar.errors import StoreFailed
from sidecar.failpoints import failpoint

CHUNK = 1 << 20
MODE = 0o600


Stamp = tuple[int, ...] | None
"""Which file it is and when it was touched last; two that are equal are of the same content."""


@dataclass(frozen=True)
class Written:
    """What a file holds."""

    size: int
    sha256: str


class LocalStore:
    """Files in one folder. Names come from ``Backup`` and are never taken from elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def complaint(self) -> str | None:
        """Tell why nothing can be written here, by writing something."""
        probe = self.folder / f".probe-{os.getpid()}"
        try:
            probe.unlink(missing_ok=True)  # left by a run that was killed
            os.close(self._create(probe))
            probe.unlink()
        except OSError as error:
            return f"the folder of backups {self.folder} can't be written: {error.strerror}"
        return None

    def free(self) -> int:
        """Bytes free for us."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def type(self) -> str:
        """Name the kind of file system that the folder is on, such as ``ext4``."""
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        known = dict(line.split()[1:3] for line in mounts)
        for parent in (self.folder, *self.folder.parents):
            if str(parent) in known:
                return known[str(parent)]
        return ""

    def names(self) -> tuple[str, ...]:
        """
        List what is here, without what is not whole.

        Raises:
            StoreFailed: the folder can't be read.

        """
        with _or_store_failed(self.folder):
            found = sorted(entry.name for entry in os.scandir(self.folder) if _is_file(entry))
        return tuple(name for name in found if not name.endswith(PARTIAL_SUFFIX))

    def write(self, name: str, chunks: Iterable[bytes]) -> Written:
        """Write a partial file and bring it to the disk; on an error there is none."""
        partial = self._partial(name)
        partial.unlink(missing_ok=True)  # left by a run that was killed
        digest, size = hashlib.sha256(), 0
        try:
            with os.fdopen(self._create(partial), "wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                failpoint("store.written", _full)
                file.flush()
                os.fsync(file.fileno())
            failpoint("store.synced", _full)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return Written(size, digest.hexdigest())

    def publish(self, name: str, real: str | None = None) -> None:
        """Give a partial file its real name, durably. Never over another file."""
        target = self.folder / (real or name)
        if self.taken(target.name):
            raise StoreFailed(f"{target} is there already, and nothing is ever overwritten")
        self._partial(name).rename(target)
        failpoint("store.renamed", _full)
        self._sync()

    def set_aside(self, name: str) -> None:
        """
        Take its name from a file that is damaged, and mark it as that; it stays beside.

        Raises:
            StoreFailed: it can't be renamed.

        """
        with _or_store_failed(self.folder):
            (self.folder / name).rename(self.folder / (name + DAMAGED_SUFFIX))
            self._sync()

    def discard(self, name: str) -> None:
        """Remove what is not whole: the partial files, and one that got no manifest."""
        torn = [self._partial(name), self._partial(name + MANIFEST_SUFFIX)]
        with suppress(OSError):
            if not self.taken(name + MANIFEST_SUFFIX):
                torn += [self.folder / (name + PROOF_SUFFIX), self.folder / name]
            found = [path for path in torn if os.path.lexists(path)]
            for path in found:
                path.unlink(missing_ok=True)
            if found:
                self._sync()

    def remove_partial(self, name: str) -> None:
        """Remove what was being written under a name, if anything."""
        with suppress(OSError):
            self._partial(name).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Delete a file, durably."""
        with _or_store_failed(self.folder):
            (self.folder / name).unlink(missing_ok=True)
            self._sync()

    def put(self, name: str, text: str) -> None:
        """Write a small file, whole or not at all, over what was there."""
        with _or_store_failed(self.folder):
            self.write(name, [text.encode()])
            self._partial(name).rename(self.folder / name)
            failpoint("store.put", _full)
            self._sync()

    def read(self, name: str, *, partial: bool = False) -> Iterator[bytes]:
        """
        Read a file in chunks.

        Raises:
            StoreFailed: it can't be read.

        """
        path = self._partial(name) if partial else self.folder / name
        with _or_store_failed(path), open(path, "rb", opener=_no_link) as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def text(self, name: str) -> str:
        """Read a small file."""
        return b"".join(self.read(name)).decode()

    def size(self, name: str) -> int | None:
        """How many bytes a file has; None where there is none, or something else."""
        try:
            found = (self.folder / name).lstat()
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def stamp(self, name: str) -> Stamp:
        """Tell which file bears a name, and when it was touched last; None where there is none."""
        try:
            found = (self.folder / name).lstat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def taken(self, name: str) -> bool:
        """Whether the name is in use, be it by what is no file."""
        return os.path.lexists(self.folder / name)

    def _partial(self, name: str) -> Path:
        return self.folder / (name + PARTIAL_SUFFIX)

    def _create(self, path: Path) -> int:
        descriptor = _new(path)
        if os.geteuid() == 0:  # whoever owns the folder can read the backups in it
            owner = self.folder.stat()
            with suppress(OSError):
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor

    def _sync(self) -> None:
        sync(self.folder)


def write_new(path: Path, text: str) -> None:
    """Write a small file that was not there, for its owner alone, and bring it to the disk."""
    with os.fdopen(_new(path), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _new(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, MODE)


def sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_file(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file(follow_symlinks=False)


def _full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


@contextmanager
def _or_store_failed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(f"{path}: {error.strerror}") from error
