"""
Everything that rclone reaches: S3, B2, SFTP, WebDAV and others; and Google Drive.

No secret is in an argument: rclone reads its configuration from its environment, or from a file
that is mounted. Where the service can rename, an object gets its name only once it is whole and
compared; services that can't (object stores) show an object only once it is whole.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from sidecar import process
from sidecar.backup_ports import Tick
from sidecar.backups import PARTIAL_SUFFIX, Backup
from sidecar.errors import NameTaken, ObjectMissing, StoreFailed
from sidecar.ports import ProgramFailed
from sidecar.stores import rclone_words
from sidecar.stores.texts import decoded

PATIENT = (
    "--retries=1",  # the wrapper around every store tries again
    "--low-level-retries=3",
    "--contimeout=15s",
    "--timeout=60s",
    "--use-json-log",
    "--stats=0",
)
TICK = 0.5
"""Seconds between two looks at an upload."""

GRACE = 2.0
PIECE = 1 << 20


class RcloneStore:
    """A folder of one of rclone's remotes."""

    def __init__(self, name: str, remote: str, environment: Mapping[str, str]) -> None:
        """
        Name the store.

        Args:
            name: what people call it.
            remote: as rclone writes it, ``remote:path``.
            environment: of the program: its configuration, where that is not in a file.

        """
        self._name = name
        self.remote = remote
        self.environment = environment

    @property
    def name(self) -> str:
        """What people call it."""
        return self._name

    def listing(self) -> Mapping[str, int]:
        """
        List every object; a folder that is not there yet holds none.

        Raises:
            StoreFailed: the store can't be read, or is a bucket that is not there.

        """
        try:
            found = self._json(
                "lsjson", "--files-only", "--no-modtime", "--no-mimetype", self.remote
            )
        except ObjectMissing:
            if self._features["BucketBased"]:  # there a prefix that holds nothing is no failure
                raise StoreFailed(
                    "there is no such bucket", hint="Correct MIGSAFE_STORES, or make it."
                ) from None
            return {}
        sizes: dict[str, int] = {}
        for each in found:
            name, size = str(each["Name"]), int(each["Size"])
            if sizes.setdefault(name, size) != size and Backup.parse(name):
                raise StoreFailed(
                    f"two objects are named {name}, and they differ",
                    hint="Look at both by hand (`rclone lsl`), and delete the one that is wrong.",
                )
        return sizes

    def put(self, name: str, path: Path, tick: Tick) -> None:
        """Upload a file and compare it; only where there is nothing of that name."""
        tick(0)
        found = self._stat(name, hashes=True)
        if found is None:
            self._upload(name, path, tick)
            found = self._stat(name, hashes=True)
        if found is None:
            raise StoreFailed.for_now(f"{name} was uploaded, and is not there")
        if not self._same(name, found, path, tick):
            raise NameTaken(
                f"{name} is there already with other contents, and nothing is ever overwritten",
                hint="Do two installations share this store? Give each a folder of its own.",
            )

    def put_text(self, name: str, text: str) -> None:
        """Write a small object."""
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            self.put(name, Path(file.name), lambda _: None)

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """Read an object."""
        if self._stat(name) is None:  # of a missing file `cat` makes a folder that is empty
            raise ObjectMissing(f"there is no {name}")
        argv = self._argv("cat", f"--offset={start}", self._path(name))
        with _translated(name), process.read(argv, self.environment) as chunks:
            yield from chunks

    def text(self, name: str) -> str:
        """Read a small object."""
        return decoded(self.read(name), name)

    def remove(self, name: str) -> None:
        """Delete an object."""
        if self._stat(name) is not None:
            self._run("deletefile", self._path(name))

    # --- upload

    def _upload(self, name: str, path: Path, tick: Tick) -> None:
        if not self._renames:
            self._send(path, name, tick)
            return
        partial = name + PARTIAL_SUFFIX
        self._send(path, partial, tick)
        found = self._stat(partial, hashes=True)
        if found is None or not self._same(partial, found, path, tick):
            raise StoreFailed.for_now(f"{name} arrived damaged: what is there is another")
        self._run("moveto", "--ignore-existing", self._path(partial), self._path(name))

    def _send(self, path: Path, name: str, tick: Tick) -> None:
        said: list[str] = []
        flags = ("--ignore-times", "--no-check-dest", "--stats=1s", "--stats-log-level=NOTICE")
        argv = self._argv("copyto", *flags, str(path), self._path(name))
        done = _Done(said)
        child = _started(argv, self.environment, done)
        try:
            while (code := child.wait(TICK)) is None:
                tick(done.bytes)
        finally:
            child.end(GRACE)
        if code:
            raise _failure(code, "\n".join(said), name)

    def _same(self, name: str, found: Mapping[str, Any], path: Path, tick: Tick) -> bool:
        """Compare an object with a file: by checksum, or by reading where it has none."""
        if int(found["Size"]) != path.stat().st_size:
            return False
        theirs = {str(k).replace("-", ""): v for k, v in (found.get("Hashes") or {}).items() if v}
        kind = next((k for k in ("sha256", "sha1", "md5") if k in theirs), None)
        if kind is not None:
            return _digest(kind, _pieces(path), tick) == str(theirs[kind])
        return _digest("sha256", _pieces(path), tick) == _digest("sha256", self.read(name), tick)

    @property
    def _renames(self) -> bool:
        """Whether the service renames without copying; object stores do not."""
        return self._features["Move"]

    @cached_property
    def _features(self) -> Mapping[str, bool]:
        """What the service can, and is."""
        found: Mapping[str, bool] = self._json("backend", "features", self.remote)["Features"]
        return found

    # --- the program

    def _stat(self, name: str, *, hashes: bool = False) -> Mapping[str, Any] | None:
        more = ("--hash",) if hashes else ()
        try:
            found = self._json("lsjson", "--stat", "--no-mimetype", *more, self._path(name))
        except ObjectMissing:
            return None
        if not isinstance(found, dict) or found.get("IsDir"):
            return None
        return found

    def _json(self, *words: str) -> Any:
        text = self._run(*words)
        try:
            return json.loads(text)
        except ValueError as error:
            raise StoreFailed.for_now("rclone's answer is cut off") from error

    def _run(self, *words: str) -> bytes:
        argv = self._argv(*words)
        with _translated(words[-1]), process.read(argv, self.environment) as chunks:
            return b"".join(chunks)

    def _argv(self, *words: str) -> Sequence[str]:
        return ("rclone", words[0], *PATIENT, *words[1:])

    def _path(self, name: str) -> str:
        slash = "" if self.remote.endswith((":", "/")) else "/"
        return f"{self.remote}{slash}{name}"


class _Done:
    """Reads rclone's log: the bytes so far, and what went wrong."""

    def __init__(self, said: list[str]) -> None:
        self.said = said
        self.bytes = 0

    def __call__(self, line: str) -> None:
        if (found := re.search(r'"stats":\{.*?"bytes":(\d+)', line)) is not None:
            self.bytes = int(found[1])
        else:
            self.said.append(line)
            del self.said[:-20]


def _started(argv: Sequence[str], environment: Mapping[str, str], log: _Done) -> process.Child:
    try:
        return process.Child(argv, environment, log)
    except FileNotFoundError:
        raise _no_rclone() from None


@contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except ProgramFailed as error:
        raise _failure(error.code, error.complaint, name) from error
    except FileNotFoundError:
        raise _no_rclone() from None


def _failure(code: int, log: str, name: str) -> StoreFailed:
    return rclone_words.failure(code, log, name.rpartition("/")[2])


def _no_rclone() -> StoreFailed:
    return StoreFailed(
        "the program rclone is not here", hint="migsafe's own image has it; elsewhere install it."
    )


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def _digest(kind: str, chunks: Iterator[bytes], tick: Tick) -> str:
    digest, done = hashlib.new(kind, usedforsecurity=False), 0
    for chunk in chunks:
        done += len(chunk)
        tick(done)
        digest.update(chunk)
    return digest.hexdigest()
