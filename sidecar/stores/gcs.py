"""
Google Cloud Storage: nothing is written over, and what was uploaded is compared.

Credentials are found as Google's libraries do (Application Default Credentials): the key file that
GOOGLE_APPLICATION_CREDENTIALS names, workload identity, or the machine's own service account.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import google_crc32c
import requests
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.cloud import storage
from google.cloud.storage import exceptions as transfer
from google.cloud.storage.retry import DEFAULT_RETRY

from sidecar.backup_ports import Tick
from sidecar.errors import NameTaken, ObjectMissing, StoreFailed
from sidecar.store_urls import StoreUrl
from sidecar.stores.texts import decoded

if TYPE_CHECKING:
    from google.cloud.storage import Blob

CHUNK = 8 << 20
"""Of an upload: what is held in memory at once, and what is sent again after a failure."""

PIECE = 1 << 20
SECONDS = 60
PATIENCE = DEFAULT_RETRY.with_timeout(30.0)
"""Of one request; what lasts longer is for the wrapper around every store."""

_NEEDS = "storage.objects.create, get, list and delete (role Storage Object User)"


class Retained(StoreFailed):
    """The bucket's retention does not let an object go yet."""


class GcsStore:
    """A bucket, or a part of one."""

    def __init__(self, url: StoreUrl) -> None:
        self._name = url.title
        self.bucket_name = url.root
        self.prefix = f"{url.path}/" if url.path else ""
        self._bucket: Any = None

    @property
    def name(self) -> str:
        """What people call it."""
        return self._name

    def listing(self) -> Mapping[str, int]:
        """List every object below the prefix, page by page."""
        with translated():
            found = self._open().list_blobs(
                prefix=self.prefix, delimiter="/", timeout=SECONDS, retry=PATIENCE
            )
            sizes = {blob.name.removeprefix(self.prefix): int(blob.size) for blob in found}
        sizes.pop("", None)  # what a console makes for a folder
        return sizes

    def put(self, name: str, path: Path, tick: Tick) -> None:
        """Upload a file; only where there is nothing of that name."""
        with path.open("rb") as file:
            self._upload(name, _Watched(file, path.stat().st_size, tick))

    def put_text(self, name: str, text: str) -> None:
        """Write a small object."""
        data = text.encode()
        self._upload(name, _Watched(BytesIO(data), len(data), lambda _: None))

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """Read an object in ranges; a range that is cut short is an error, not an end."""
        with translated(name):
            size = int(self.present(name).size)
        while start < size:
            end = min(start + CHUNK, size) - 1
            with translated(name):
                data = self.blob(name).download_as_bytes(
                    raw_download=True,
                    start=start,
                    end=end,
                    timeout=SECONDS,
                    retry=PATIENCE,
                    checksum=None,
                )
            if len(data) != end - start + 1:
                raise StoreFailed.for_now(f"{name} was read short")
            start += len(data)
            yield data

    def text(self, name: str) -> str:
        """Read a small object."""
        return decoded(self.read(name), name)

    def remove(self, name: str) -> None:
        """Delete an object."""
        try:
            with translated(name):
                self.blob(name).delete(timeout=SECONDS, retry=PATIENCE)
        except ObjectMissing:
            return

    def present(self, name: str) -> "Blob":
        """Look at an object as it is now; raises ObjectMissing."""
        with translated(name):
            found = self._open().get_blob(self.prefix + name, timeout=SECONDS, retry=PATIENCE)
        if found is None:
            raise ObjectMissing(f"there is no {name}")
        return found

    def blob(self, name: str) -> "Blob":
        """Name an object, whether it is there or not."""
        return self._open().blob(self.prefix + name)

    def _upload(self, name: str, source: "_Watched") -> None:
        blob = self.blob(name)
        blob.chunk_size = CHUNK
        try:
            with translated(name):
                blob.upload_from_file(
                    source,
                    size=source.size,
                    content_type="application/octet-stream",
                    if_generation_match=0,
                    checksum="crc32c",
                    timeout=SECONDS,
                    retry=PATIENCE,
                )
        except ObjectMissing as error:
            raise StoreFailed.for_now(f"the upload of {name} was forgotten half-way") from error
        except NameTaken:
            # it may be our own: a try before this one arrived, and its reply was lost
            blob, mine = self.present(name), False
        else:
            mine = True
        if (int(blob.size), blob.crc32c) == (source.size, source.checksum()):
            return
        if mine:
            self._take_back(name, blob)
        raise NameTaken(
            f"{name} is there already with other contents, and nothing is ever overwritten",
            hint="Do two installations share this store? Give each a prefix of its own.",
        )

    def _take_back(self, name: str, blob: "Blob") -> NoReturn:
        """Delete what was just made, exactly that: it is not what was sent."""
        with translated(name):
            blob.delete(if_generation_match=blob.generation, timeout=SECONDS, retry=PATIENCE)
        raise StoreFailed.for_now(f"{name} arrived damaged: the checksums differ")

    def _open(self) -> Any:
        if self._bucket is None:
            # objects need no project, and not every kind of credentials names one
            client: Any = storage.Client(project=None)
            self._bucket = client.bucket(self.bucket_name)
        return self._bucket


class _Watched:
    """A file whose being read is told of, and whose bytes are summed up as they are read first."""

    def __init__(self, file: IO[bytes], size: int, tick: Tick) -> None:
        self.file = file
        self.size = size
        self.tick = tick
        self.summed = 0
        self.sum = google_crc32c.Checksum()

    def read(self, size: int = -1) -> bytes:
        start = self.file.tell()
        self.tick(start)
        data = self.file.read(size)
        if start <= self.summed:  # the library reads a chunk again after a failure
            self.sum.update(data[self.summed - start :])
            self.summed = max(self.summed, start + len(data))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def checksum(self) -> str:
        """Tell the CRC32C of the whole file; what was not uploaded is read for it."""
        self.file.seek(self.summed)
        while self.read(PIECE):
            pass
        return base64.b64encode(self.sum.digest()).decode()


# --- what went wrong


@contextmanager
def translated(name: str = "") -> Iterator[None]:
    """Raise StoreFailed for whatever the library raises about that object."""
    try:
        yield
    except api.GoogleAPICallError as error:
        raise _refused(error, name) from error
    except transfer.InvalidResponse as error:
        raise _answer(error.response.status_code, _text(error.response), name) from error
    except transfer.DataCorruption as error:
        raise StoreFailed.for_now(f"{name} arrived damaged: the checksums differ") from error
    except api.RetryError as error:
        cause = error.cause or error
        raise StoreFailed.for_now(
            f"it does not answer: {_first_line(cause)}", hint="Try again later."
        ) from error
    except auth.GoogleAuthError as error:
        raise _unknown_here(error) from error
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        raise StoreFailed.for_now(
            f"it can't be reached: {_first_line(error)}", hint="Is the network there?"
        ) from error


def _refused(error: api.GoogleAPICallError, name: str) -> StoreFailed:
    reasons = " ".join(
        str(each.get("reason", "")) for each in error.errors if isinstance(each, dict)
    )
    return _answer(int(error.code or 0), f"{reasons} {error.message}", name)


_HELD = re.compile(
    r"retentionPolicyNotMet|retention policy|temporary hold|event-based hold", re.IGNORECASE
)
_BUSY = re.compile(r"rateLimitExceeded|userRateLimitExceeded|slowDown", re.IGNORECASE)
_NO_BUCKET = re.compile(r"bucket does not exist", re.IGNORECASE)
"""Not the word alone: of a missing object the service tells the name of its bucket."""
_PASSING = frozenset({408, 410, 429, 500, 502, 503, 504})


def _answer(code: int, text: str, name: str) -> StoreFailed:
    """Say what an answer means, and what to do."""
    said = f" ({code}: {text.strip()[:200]})"
    if code in _PASSING or _BUSY.search(text):
        return StoreFailed.for_now(f"it is busy or out of order{said}", hint="Try again later.")
    match code:
        case 401:
            return StoreFailed(
                f"the credentials have expired, or are none{said}",
                hint="Give migsafe a new key (GOOGLE_APPLICATION_CREDENTIALS).",
            )
        case 403 if _HELD.search(text):
            return Retained(
                f"{name} is held by the bucket's retention{said}",
                hint="It can be deleted when its time has come; that is as it should be.",
            )
        case 403:
            return StoreFailed(
                f"it refuses these credentials{said}", hint=f"They need {_NEEDS} on the bucket."
            )
        case 404 if _NO_BUCKET.search(text) or not name:
            return StoreFailed(f"there is no such bucket{said}", hint="Correct MIGSAFE_STORES.")
        case 404:
            return ObjectMissing(f"there is no {name}")
        case 412:
            return NameTaken(f"{name} is there already{said}")
    return StoreFailed(f"it refuses{said}")


def _unknown_here(error: auth.GoogleAuthError) -> StoreFailed:
    # beside its words the library hands on the whole answer
    text = _first_line(error.args[0]) if error.args else type(error).__name__
    if isinstance(error, auth.TransportError) or error.retryable:
        return StoreFailed.for_now(f"Google's sign-in can't be reached: {text}")
    if isinstance(error, auth.InvalidOperation):
        return _answer(401, text, "")
    if isinstance(error, auth.DefaultCredentialsError):
        return StoreFailed(
            f"there are no Google credentials here: {text}",
            hint="Mount a service account's key and name it in GOOGLE_APPLICATION_CREDENTIALS.",
        )
    if _CLOCK.search(text):
        return StoreFailed(
            f"Google refuses to sign in: {text}", hint="The clock of this machine is off: set it."
        )
    return StoreFailed(
        f"Google refuses to sign in: {text}",
        hint="The key was deleted or has expired: make a new one.",
    )


_CLOCK = re.compile(r"\biat\b|timeframe", re.IGNORECASE)


def _text(response: Any) -> str:
    return str(getattr(response, "text", ""))


def _first_line(error: object) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
