"""
The folder that `begin`, the migration and `conclude` share.

It holds ``current``, which names the run that was handed over; ``run``, which the migration is to
be started with; and a folder for the run, with ``started`` (made by whoever comes first: the
migration, or a begin that settles the run), ``alive`` (touched once a second) and ``exit-code``.
Without ``started`` it says nothing: the migration may have been started in another way.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sidecar.errors import DeadlineExceeded, PreflightFailed, StoreFailed
from sidecar.facts import Exit
from sidecar.failpoints import failpoint
from sidecar.outside import Outside
from sidecar.ports import Clock, Stop
from sidecar.stores.local import sync

NOTHING = "nothing-to-do"
SILENCE = 15.0
"""Seconds without a sign of life after which a migration is dead: it gives one every second."""
POLL = 0.5
LATE = "late"
"""The exit code of a migration that was ended at its deadline."""

_SCRIPT = Path(__file__).with_name("run.sh")
_RUN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")
_CODE = re.compile(r"\d{1,3}")


class Handing(Outside):
    """
    Hands migrations over in a folder, and takes them back.

    Args:
        folder: that is shared.
        clock: tells the time.
        deadline: seconds that a migration may take.
        release: what the user calls that which migrates.
        app: what the user calls the app.

    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        deadline: float,
        release: str | None = None,
        app: str | None = None,
    ) -> None:
        super().__init__("begin", release, app)
        self.folder = folder
        self.clock = clock
        self.deadline = deadline
        self.told: int | None = None
        """The exit code, where who calls `conclude` knows it."""

    # --- the name of the run

    def withdraw(self) -> None:
        """Name no run."""
        with _or_store_failed(self.folder):
            self._current.unlink(missing_ok=True)
            sync(self.folder)
        failpoint("handover.withdrawn")

    def nothing_to_do(self) -> None:
        """Say that nothing is to be migrated, to whoever starts the migration all the same."""
        with _or_store_failed(self.folder):
            self._put_script()
        self._name(f"{NOTHING} 0")

    def named(self) -> str | None:
        """Tell the run that was handed over."""
        with _or_store_failed(self.folder):
            word = _text(self._current).partition(" ")[0]
        return "" if word == NOTHING else word or None

    def tell(self, file: Path) -> bool:
        """
        Take the exit code from a file that the migration has left; tell whether it could be.

        One that is not newer than the run is of an earlier one.
        """
        with _or_store_failed(file):
            found = _text(file).strip()
            newer = bool(found) and _changed(file) > _changed(self._current)
        if newer and _CODE.fullmatch(found):
            self.told = int(found)
        return self.told is not None

    # --- the migration

    def has_ended(self, run: str) -> bool | None:
        """Look for its exit code, else for a sign of life."""
        mine = self._of(run)
        if not (mine / "started").exists():
            return None
        alive = mine / "alive"
        before, until = _changed(alive), self.clock.monotonic() + SILENCE
        while self.clock.monotonic() < until:
            if (mine / "exit-code").exists():
                return True
            if _changed(alive) != before:
                return False
            self.clock.sleep(POLL)
        return True

    def claim(self, run: str) -> bool:
        """Take the place of the script that would start it, unless that was quicker."""
        with _or_store_failed(self.folder):
            try:
                (self._of(run) / "started").mkdir()
            except FileExistsError:
                return False
            except FileNotFoundError:
                pass  # another folder's, where nobody was told, either
        return True

    def make_migration(self, run: str, command: Sequence[str]) -> None:
        """Put a folder there for the run, open to whoever migrates, and what it is run with."""
        del command
        with _or_store_failed(self.folder):
            mine = self._of(run)
            mine.mkdir()
            mine.chmod(0o777)  # the app's user is not ours
            self._put_script()
        failpoint("handover.made")

    def start_migration(self, run: str) -> None:
        """Name the run: from here on it may be started."""
        self._name(f"{run} {int(self.clock.now().timestamp() + self.deadline)}")
        failpoint("handover.named")

    def follow_migration(
        self, run: str, deadline: float, on_line: Callable[[str], None], stop: Stop
    ) -> Exit | None:
        """
        Tell how it ended, from what it has left or what was told.

        Raises:
            DeadlineExceeded: it was ended at its deadline.

        """
        del deadline, on_line, stop
        noted = self._noted(run)
        if noted == LATE:
            raise DeadlineExceeded("the migration ran past its deadline")
        if noted is None:
            # what was started with our script, and has left nothing, did not come to its end
            cut_off = (self._of(run) / "started").exists() and not self.told
            return None if self.told is None or cut_off else Exit(self.told)
        return Exit(self.told or int(noted))

    def end_migration(self, run: str) -> None:
        """Keep it from being started once more; nobody here can end it."""
        mine = self._of(run)
        with _or_store_failed(self.folder):
            if mine.is_dir():
                (mine / "started").mkdir(exist_ok=True)

    def remove_migration(self, run: str) -> None:
        """Remove the run's folder; its name stays, so that `conclude` can be asked again."""
        with _or_store_failed(self.folder):
            shutil.rmtree(self._of(run), ignore_errors=True)

    # --- helpers

    def complaint(self, *, mounted: bool = False) -> PreflightFailed | None:
        """Tell why the folder can't be used; where it must be a mounted one, that it is not."""
        if mounted and self.source_of(self.folder) is None:
            return PreflightFailed(
                f"the folder {self.folder} is inside migsafe's own container: the migration does"
                " not see it",
                hint="Nothing was changed. Mount a volume there, in begin, the migration and"
                " conclude; where all three are one container, say so by MIGSAFE_SHARED.",
            )
        probe = self.folder / ".probe"
        try:
            probe.touch()
            probe.unlink()
        except OSError as error:
            return PreflightFailed(
                f"the folder {self.folder}, which begin, the migration and conclude share, can't be"
                f" written: {error.strerror}",
                hint="Nothing was changed. Mount a volume there, in all three; or name another"
                " folder: MIGSAFE_SHARED.",
            )
        return None

    def _noted(self, run: str) -> str | None:
        """Read what the script has noted; what it can't have written counts as nothing."""
        with _or_store_failed(self.folder):
            found = _text(self._of(run) / "exit-code").strip()
        return found if found == LATE or _CODE.fullmatch(found) else None

    def _name(self, text: str) -> None:
        with _or_store_failed(self.folder):
            self._put("current", f"{text}\n", 0o644)

    def _put_script(self) -> None:
        self._put("run", _SCRIPT.read_text(encoding="utf-8"), 0o755)

    def _put(self, name: str, text: str, mode: int) -> None:
        """Write a file, whole or not at all; never through a link that the app's user has laid."""
        new = self.folder / f"{name}.new"
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        new.chmod(mode)
        new.replace(self.folder / name)
        sync(self.folder)

    def _of(self, run: str) -> Path:
        assert _RUN.fullmatch(run), run  # noqa: S101 - it names what is removed
        return self.folder / run

    @property
    def _current(self) -> Path:
        return self.folder / "current"


def _text(file: Path) -> str:
    """Read the beginning of a small file; empty where there is none."""
    try:
        with file.open("rb") as opened:
            return opened.read(100).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _changed(file: Path) -> int:
    """Tell when a file was changed last, in its file system's own time; 0 where there is none."""
    try:
        with file.open("rb") as opened:  # opened, so that a network file system asks its server
            return os.fstat(opened.fileno()).st_mtime_ns
    except FileNotFoundError:
        return 0


@contextmanager
def _or_store_failed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreFailed(
            f"the shared folder can't be used: {error.filename or path}: {error.strerror}",
            hint="Nothing was changed. Mount a volume there, in begin, the migration and conclude.",
        ) from error
