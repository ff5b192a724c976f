"""
The text of a lease in a place that two never replace at once: a folder, and what rclone reaches.

A bucket of Google's has one of its own, in ``gcs_slot``: the service itself decides there.
"""

import errno
import os
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from sidecar.backup_ports import Conflict, Store
from sidecar.errors import ObjectMissing, StoreFailed
from sidecar.ports import Clock
from sidecar.stores.local import sync, write_new

_NAME = re.compile(r"lease-(\d{8})\.json", re.ASCII)
_CLAIM = re.compile(r"lease-(\d{8})-[0-9a-f]{8}\.json", re.ASCII)
_BESIDE = ".lease-"
"""What begins the name of one that is being made."""

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What a file system says that has no hard links."""


LOOKS = 5
"""So often is looked again, where two claim the same."""

SETTLED = 2.0
"""Seconds that a store is given to list what was written before, between a claim and a look."""


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
        with suppress(StoreFailed):
            return str(self._path(max(self._generations(), default=1)))
        return str(self.folder)

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
                raise StoreFailed(str(error)) from error
        raise StoreFailed("it changes all the time")

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
            raise StoreFailed(str(error.strerror)) from error
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
            raise StoreFailed(str(error.strerror)) from error
        return [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]

    def _path(self, generation: int) -> Path:
        return self.folder / f"lease-{generation:08d}.json"


class ClaimSlot:
    """
    A file for each claim, in a store that can't refuse a second writer; the highest counts.

    Who claims the next generation writes a file under a name that nobody else has, and then looks.
    Alone, it has it. Of two at the same moment the later at least sees the other, and takes its own
    back: so never both have it, as long as the store lists what was written before.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock

    @property
    def name(self) -> str:
        """How people find it."""
        return f"{self.store.name}/lease-….json"

    def read(self) -> tuple[str, str]:
        """
        Read the text and its generation; both are empty where there is none.

        Raises:
            StoreFailed: it can't be read, or two have claimed the same and neither goes.

        """
        claims: Sequence[str] = ()
        for _ in range(LOOKS):
            claims = self._newest()
            if not claims:
                return "", ""
            if len(claims) == 1:
                with suppress(ObjectMissing):  # replaced at this moment: there is a newer one
                    return self.store.text(claims[0]), claims[0]
            self.clock.sleep(SETTLED)
        raise StoreFailed(
            f"{' and '.join(claims)} are of the same moment",
            hint="Nothing was changed. Which instance is the right one? Remove the other's file,"
            " and start again.",
        )

    def replace(self, text: str, generation: str) -> None:
        """
        Write another text in the place of that generation.

        Raises:
            Conflict: there is another generation.
            StoreFailed: it can't be written.

        """
        if self._newest() != ([generation] if generation else []):
            raise Conflict
        number = _number(generation) + 1
        name = f"lease-{number:08d}-{os.urandom(4).hex()}.json"
        self.store.put_text(name, text)
        self.clock.sleep(SETTLED)
        claims = self._claims()
        if any(_number(each) >= number for each in claims - {name}):
            self._take_back(name)
            raise Conflict
        if name not in claims:
            self._take_back(name)
            raise StoreFailed(f"{name} was written, and is not listed: nor may another's be")
        self._tidy(claims - {name})

    def _take_back(self, name: str) -> None:
        self.store.remove(name)
        # not at the same moment once more
        self.clock.sleep(SETTLED * (1 + os.urandom(1)[0] / 64))

    def _tidy(self, old: Collection[str]) -> None:
        """Remove what was replaced; what stays is in nobody's way."""
        with suppress(StoreFailed):
            for name in old:
                self.store.remove(name)

    def _newest(self) -> list[str]:
        claims = self._claims()
        last = max(map(_number, claims), default=0)
        return sorted(name for name in claims if _number(name) == last)

    def _claims(self) -> frozenset[str]:
        return frozenset(name for name in self.store.listing() if _CLAIM.fullmatch(name))


def _number(claim: str) -> int:
    """Tell a claim's generation; 0 of none."""
    match = _CLAIM.fullmatch(claim)
    return int(match[1]) if match else 0
