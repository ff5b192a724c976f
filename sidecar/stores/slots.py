"""A small text in a store that two never replace at once: in a folder, and in a bucket."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sidecar.errors import StoreFailed
from sidecar.ports import Conflict
from sidecar.stores.local import sync, write_new

_NAME = re.compile(r"lease-(\d{8})\.json", re.ASCII)
_BESIDE = ".lease-"
"""What begins the name of one that is being made."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What a file system says that has no hard links."""


class LocalSlot:
    """
    A file for each generation; the highest counts.

    A generation is made whole beside its name, and linked to it: two can't have made the same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """How people find it."""
        newest = max(self._generations(), default=1)
        return str(self._path(newest))

    def read(self) -> tuple[str, str]:
        """Read the text and its generation; both are empty where there is none."""
        for _ in range(3):
            newest = max(self._generations(), default=0)
            if not newest:
                return "", ""
            try:
                return self._path(newest).read_text(encoding="utf-8"), str(newest)
            except FileNotFoundError:
                continue  # replaced at this moment: there is a newer one
            except (OSError, UnicodeDecodeError) as error:
                raise StoreFailed(f"{self._path(newest)}: {error}") from error
        raise StoreFailed(f"{self.folder}: the lease changes all the time")

    def replace(self, text: str, generation: str) -> None:
        """Write the next generation, unless somebody else has."""
        number = int(generation or 0)
        path = self._path(number + 1)
        if max(self._generations(), default=0) != number:
            raise Conflict
        try:
            # in a container every process has the same number
            self._make(self.folder / f"{_BESIDE}{os.urandom(6).hex()}", path, text)
        except (FileExistsError, FileNotFoundError):
            # somebody was quicker, and may have tidied up
            raise Conflict from None
        except OSError as error:
            raise StoreFailed(f"{path}: {error.strerror}") from error
        if max(self._generations(), default=0) != number + 1:
            # who was held up for long has made one that was replaced, and removed, long ago
            path.unlink(missing_ok=True)
            raise Conflict
        self._tidy(number)

    def _make(self, beside: Path, path: Path, text: str) -> None:
        try:
            write_new(beside, text)
            try:
                os.link(beside, path)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                write_new(path, text)  # whole in a moment: nobody else may have this name
        finally:
            beside.unlink(missing_ok=True)
        sync(self.folder)

    def _tidy(self, last: int) -> None:
        """Remove what was replaced, and what was left beside by a run that was killed."""
        with suppress(OSError):
            for path in self.folder.iterdir():
                old = (match := _NAME.fullmatch(path.name)) and int(match[1]) <= last
                if old or path.name.startswith(_BESIDE):
                    path.unlink(missing_ok=True)

    def _generations(self) -> list[int]:
        try:
            names = [path.name for path in self.folder.iterdir()]
        except OSError as error:
            raise StoreFailed(f"{self.folder}: {error.strerror}") from error
        return [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]

    def _path(self, generation: int) -> Path:
        return self.folder / f"lease-{generation:08d}.json"


class BlobSlot:
    """One object of a bucket, by google-cloud-storage: its generation decides."""

    def __init__(self, bucket: Any, prefix: str) -> None:
        self.bucket = bucket
        self.key = f"{prefix.strip('/')}/lease.json".lstrip("/")

    @property
    def name(self) -> str:
        """How people find it."""
        return f"gs://{self.bucket.name}/{self.key}"

    def read(self) -> tuple[str, str]:
        """Read the text and its generation; both are empty where there is none."""
        for _ in range(3):
            with suppress(Conflict), self._translated():
                blob = self.bucket.get_blob(self.key)
                if blob is None:
                    return "", ""
                # of exactly that generation: what was written since is another text
                text = blob.download_as_bytes(if_generation_match=blob.generation)
                return text.decode(errors="replace"), str(blob.generation)
        raise StoreFailed(f"{self.name} changes all the time")

    def replace(self, text: str, generation: str) -> None:
        """Write it, if it still has the generation that was read; 0 means that there is none."""
        wanted = int(generation or 0)
        try:
            with self._translated():
                self.bucket.blob(self.key).upload_from_string(
                    text, content_type="application/json", if_generation_match=wanted
                )
        except Conflict:
            # a retry whose first try had arrived is refused, too: then it is our own text
            if self.read()[0] != text:
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            # by its HTTP status: loading the library for its classes would cost half a second
            status = getattr(error, "code", None)
            if status in {404, 412}:
                raise Conflict from error
            if status is None:
                raise
            raise StoreFailed(f"{self.name}: {error}") from error
