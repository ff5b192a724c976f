"""
Google Cloud Storage on this machine, made strict, and out of order when asked.

The emulator of PyPI ignores generations, serves every listing on one page and lets retained objects
be deleted or replaced: a store that is careless would pass. What the real service refuses is
refused here: https://cloud.google.com/storage/docs/request-preconditions, and /bucket-lock.
"""

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import buckets, objects
from gcp_storage_emulator.server import RequestHandler, Router
from gcp_storage_emulator.storage import Storage

from tests.serving import serving

BUCKET = "shop-bucket"
PAGE = 1000
CHUNK_PATH = "upload_id="


@dataclass
class Fault:
    """Something that goes wrong with requests."""

    method: str
    """Of the requests that it befalls."""
    within: str = ""
    """A part of their paths."""
    act: str = "status"
    """``status``: another answer; ``reset``: in the middle of the request; ``lost``: done, and the
    answer never arrives; ``flip``: one byte of the answer; ``cut``: half of the answer."""
    status: int = 503
    reason: str = "backendError"
    message: str = "We encountered an internal error."
    after: int = 0
    """So many such requests go well first."""
    times: int = 1
    """So many do not."""


@dataclass
class Cloud:
    """The service, and what is wrong with it."""

    storage: Any
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    finished: dict[str, bytes] = field(default_factory=dict)
    """What was answered at the end of an upload, by its id."""
    admits: Callable[[str], bool] | None = None
    """Judges the header ``Authorization`` of each request; everybody is let in where it is not
    set."""

    @property
    def held(self) -> set[str]:
        """Names of objects that the bucket's retention holds."""
        found: set[str] = self.storage.held
        return found

    def fails(self, method: str, within: str = "", **more: Any) -> None:
        """Let requests fail from now on."""
        self.faults.append(Fault(method, within, **more))

    def names(self) -> list[str]:
        """List what is in the bucket, past every fault."""
        files, _ = self.storage.get_file_list(BUCKET, None, None, None)
        return sorted(each["name"] for each in files)

    def content(self, name: str) -> bytes:
        """Read an object, past every fault."""
        found: bytes = self.storage.get_file(BUCKET, name)
        return found

    def place(self, name: str, data: bytes) -> None:
        """Write an object, past every rule."""
        made = objects._make_object_resource("", BUCKET, name, "x/y", str(len(data)))
        self.storage.create_file(BUCKET, name, data, objects._checksums(data, made))

    def place_many(self, names: Iterable[str]) -> None:
        """Write many small objects at once."""
        for name in names:
            made = objects._make_object_resource("", BUCKET, name, "x/y", "1")
            self.storage.objects.setdefault(BUCKET, {})[name] = made

    def due(self, method: str, path: str) -> Fault | None:
        """Tell what befalls a request."""
        for fault in self.faults:
            if method != fault.method or fault.within not in path:
                continue
            if fault.after > 0:
                fault.after -= 1
            elif fault.times > 0:
                fault.times -= 1
                return fault
        return None


@contextmanager
def cloud(address: str = "127.0.0.1") -> Iterator[Cloud]:
    """Run the service with one bucket, at an address of this machine."""
    storage = _Generations()
    buckets.create_bucket(BUCKET, storage)
    found = Cloud(storage)
    with serving(partial(_Strict, found), address) as found.port:
        yield found


class _PreconditionFailed(Exception):
    """An object has not the generation that the request is for."""


class _Retained(Exception):
    """An object may not be replaced yet."""


class _Generations(Storage):  # type: ignore[misc]
    """Refuses to touch what has not the generation that was asked for."""

    def __init__(self) -> None:
        super().__init__(use_memory_fs=True)
        self.lock = threading.RLock()
        self.asked = threading.local()
        self.held: set[str] = set()

    def create_file(
        self, bucket: str, name: str, content: bytes, obj: Any, file_id: Any = None
    ) -> None:
        with self.lock:
            self.check(bucket, name)
            if name.rpartition("/")[2] in self.held and self.generation(bucket, name):
                raise _Retained(name)
            super().create_file(bucket, name, content, obj, file_id)

    def create_resumable_upload(self, bucket: str, name: str, obj: Any) -> Any:
        self.check(bucket, name)
        return super().create_resumable_upload(bucket, name, obj)

    def check(self, bucket: str, name: str) -> None:
        """Refuse what this thread's request is not for; 0 stands for no object."""
        wanted = getattr(self.asked, "generation", None)
        if wanted is not None and wanted != self.generation(bucket, name):
            raise _PreconditionFailed

    def generation(self, bucket: str, name: str) -> int:
        """Tell the generation of an object; 0 where there is none."""
        try:
            return int(self.get_file_obj(bucket, name)["generation"])
        except NotFound:
            return 0


class _Strict(RequestHandler):  # type: ignore[misc]
    """Answers as the service does."""

    wfile: Any

    def __init__(self, cloud_: Cloud, *args: Any) -> None:
        self.cloud = cloud_
        super().__init__(cloud_.storage, *args)

    def do_GET(self) -> None:  # noqa: N802 - the library calls it so
        self._serve("GET")

    def do_POST(self) -> None:  # noqa: N802 - the library calls it so
        self._serve("POST")

    def do_PUT(self) -> None:  # noqa: N802 - the library calls it so
        self._serve("PUT")

    def do_DELETE(self) -> None:  # noqa: N802 - the library calls it so
        self._serve("DELETE")

    def log_message(self, *_: Any) -> None:
        """Be quiet."""

    def _serve(self, method: str) -> None:
        self.cloud.requests.append(f"{method} {self.path}")
        if self.cloud.admits and not self.cloud.admits(self.headers.get("Authorization") or ""):
            self._drain()
            self._refuse(401, "authError", "Invalid Credentials")
            return
        fault = self.cloud.due(method, self.path)
        if fault is not None and fault.act == "status":
            self._drain()
            self._refuse(fault.status, fault.reason, fault.message)
        elif fault is not None and fault.act == "reset":
            self.rfile.read(min(1000, int(self.headers.get("Content-Length") or 0)))
            self._reset()
        else:
            self._answer(method, fault)

    def _answer(self, method: str, fault: Fault | None) -> None:
        held = self._object().rpartition("/")[2]
        if method == "DELETE" and held in self.cloud.held:
            self._refuse_retained(held)
            return
        query = parse_qs(urlsplit(self.path).query)
        if (known := self._resumed(query)) is not None:
            self._drain()
            self._send(known, fault)
            return
        self.storage.asked.generation = next(map(int, query.get("ifGenerationMatch", [])), None)
        try:
            raw = self._routed(method)
        except _PreconditionFailed:
            message = "At least one of the pre-conditions you specified did not hold."
            self._drain()
            self._refuse(412, "conditionNotMet", message)
            return
        except _Retained as error:
            self._drain()
            self._refuse_retained(str(error))
            return
        raw = self._as_the_service(method, raw, query)
        if "upload_id" in query and raw.split(b" ", 2)[1] == b"200":
            self.cloud.finished[query["upload_id"][0]] = raw
        self._send(raw, fault)

    def _routed(self, method: str) -> bytes:
        """Let the emulator answer, which is made for one request at a time."""
        out, self.wfile = self.wfile, BytesIO()
        try:
            with self.storage.lock:
                if (name := self._object()) and self.storage.generation(BUCKET, name):
                    self.storage.check(BUCKET, name)
                Router(self).handle(method)
            raw: bytes = self.wfile.getvalue()
            return raw
        finally:
            self.wfile = out

    def _object(self) -> str:
        """Name the object that the path is of; none where it is in the body or the query."""
        return unquote(urlsplit(self.path).path.partition("/o/")[2])

    def _resumed(self, query: Any) -> bytes | None:
        """Answer for bytes that have arrived before: the service ignores them."""
        upload = query.get("upload_id", [""])[0]
        if upload in self.cloud.finished:
            return self.cloud.finished[upload]
        sent = re.match(r"bytes (\d+)-(\d+)/", self.headers.get("Content-Range") or "")
        if not upload or sent is None:
            return None
        try:
            received = self.storage.get_resumable_byte_count(upload)
        except NotFound:
            return None
        if received == 0 or int(sent[2]) >= received:
            return None
        head = f"HTTP/1.0 308 Resume Incomplete\r\nRange: bytes=0-{received - 1}"
        return _with(head.encode(), b"")

    def _as_the_service(self, method: str, raw: bytes, query: Any) -> bytes:
        head, _, body = raw.partition(b"\r\n\r\n")
        code = int(head.split(b" ", 2)[1])
        path = urlsplit(self.path).path
        if code == 404 and not body:
            message = "The specified bucket does not exist."
            if self._bucket_is_there(path):
                message = f"No such object: {BUCKET}/{self._object()}"
            answer = {"error": {"code": 404, "message": message, "errors": []}}
            return _with(head, json.dumps(answer).encode())
        if method == "GET" and path.endswith("/o") and code == 200:
            return _with(head, _page(json.loads(body), query))
        return raw

    def _bucket_is_there(self, path: str) -> bool:
        name = path.partition("/b/")[2].partition("/")[0]
        return bool(self.storage.get_bucket(name))

    def _send(self, raw: bytes, fault: Fault | None) -> None:
        match fault.act if fault else "":
            case "lost":
                self._reset()
            case "cut":
                self.wfile.write(raw[: len(raw) - 100])
                self._reset()
            case "flip":
                place = len(raw) - 10
                self.wfile.write(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            case _:
                self.wfile.write(raw)

    def _drain(self) -> None:
        left = int(self.headers.get("Content-Length") or 0)
        self.connection.settimeout(0.2)
        try:
            while left > 0 and (part := self.rfile.read(min(left, 1 << 16))):
                left -= len(part)
        except OSError:
            return  # it was read before
        finally:
            self.connection.settimeout(None)

    def _refuse(self, code: int, reason: str, message: str) -> None:
        errors = [{"domain": "global", "reason": reason, "message": message}]
        body = json.dumps({"error": {"code": code, "message": message, "errors": errors}}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refuse_retained(self, name: str) -> None:
        message = f"Object '{name}' is subject to bucket's retention policy"
        self._refuse(403, "retentionPolicyNotMet", message)

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.shutdown(socket.SHUT_RD)
        self.connection.close()
        self.rfile = BytesIO()


def _with(head: bytes, body: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


def _page(answer: Any, query: Any) -> bytes:
    """Serve a listing as the service does, never more than a thousand at once."""
    start = int(query.get("pageToken", ["0"])[0])
    items = sorted(answer["items"], key=lambda each: str(each["name"]))
    answer["items"] = items[start : start + PAGE]
    if start + PAGE < len(items):
        answer["nextPageToken"] = str(start + PAGE)
    return json.dumps(answer).encode()
