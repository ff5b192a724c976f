"""
Google Drive on this machine, for rclone: behind a proxy that opens TLS with a certificate of ours.

As Drive does, it lets several files have one name, finds files by queries page by page, wants a
token that has not expired, refuses service accounts outside of shared drives, and takes an upload
in chunks that follow each other.
"""

import hashlib
import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.serving import serving

FOLDER = "1FolderOfBackups"
HOSTS = ("www.googleapis.com", "oauth2.googleapis.com")
PAGE = 100
NO_QUOTA = "Service Accounts do not have storage quota. Leverage shared drives"


@dataclass
class File:
    """A file, or a folder where it has no data."""

    id: str
    name: str
    parent: str
    data: bytes

    def shown(self) -> dict[str, Any]:
        """Describe it as the API does."""
        return {
            "id": self.id,
            "name": self.name,
            "parents": [self.parent],
            "mimeType": "application/octet-stream",
            "size": str(len(self.data)),
            "md5Checksum": hashlib.md5(self.data, usedforsecurity=False).hexdigest(),
            "modifiedTime": "2026-01-31T23:59:58.000Z",
            "createdTime": "2026-01-31T23:59:58.000Z",
            "trashed": False,
        }


@dataclass
class Drive:
    """What is in it, and what is wrong with it."""

    folder: Path
    """Where the certificates are."""
    files: dict[str, File] = field(default_factory=dict)
    uploads: dict[str, tuple[dict[str, Any], bytearray]] = field(default_factory=dict)
    port: int = 0
    token: str = "first"
    """The access token that is valid; a refresh gives it out."""
    refreshes: int = 0
    withdrawn: bool = False
    """The consent was withdrawn: no token is given out."""
    service_account: bool = False
    faults: list[tuple[str, int, str]] = field(default_factory=list)
    """A part of the path, a status and a reason: each befalls one request."""
    requests: list[str] = field(default_factory=list)

    def place(self, name: str, data: bytes) -> None:
        """Put a file into the folder."""
        made = File(f"id{len(self.requests)}-{len(self.files)}-{name}", name, FOLDER, data)
        self.files[made.id] = made

    def named(self, name: str) -> list[bytes]:
        """Read every file of that name."""
        return [found.data for found in self.files.values() if found.name == name]

    def environment(self) -> dict[str, str]:
        """Lead rclone here."""
        return {"HTTPS_PROXY": f"http://127.0.0.1:{self.port}", "RCLONE_CA_CERT": str(self.ca)}

    @property
    def ca(self) -> Path:
        """The certificate to trust."""
        return self.folder / "cert.pem"


@contextmanager
def drive(folder: Path) -> Iterator[Drive]:
    """Run it."""
    found = Drive(folder)
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=drive")
    files = ("-keyout", folder / "key.pem", "-out", found.ca, "-addext", f"subjectAltName={names}")
    subprocess.run(["openssl", *made, *files], check=True, capture_output=True)
    with serving(partial(_Proxy, found)) as found.port:
        yield found


class _Proxy(BaseHTTPRequestHandler):
    """Opens the tunnel that it is asked for, to itself."""

    protocol_version = "HTTP/1.1"

    def __init__(self, drive_: Drive, *args: Any) -> None:
        self.drive = drive_
        super().__init__(*args)

    def log_message(self, *_: Any) -> None:
        """Be quiet."""

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.drive.ca, self.drive.folder / "key.pem")
        try:
            with context.wrap_socket(self.connection, server_side=True) as opened:
                _Api(self.drive, opened, self.client_address, self.server)
        except OSError:
            pass  # whoever is done just hangs up
        self.close_connection = True


class _Api(BaseHTTPRequestHandler):
    """The API itself."""

    protocol_version = "HTTP/1.1"

    def __init__(self, drive_: Drive, *args: Any) -> None:
        self.drive = drive_
        super().__init__(*args)

    def log_message(self, *_: Any) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def do_PATCH(self) -> None:
        self._serve("PATCH")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        self.drive.requests.append(f"{method} {self.path}")
        self.body = self._read()
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/token":
            self._token()
            return
        for fault in self.drive.faults:
            if fault[0] in f"{method} {self.path}":
                self.drive.faults.remove(fault)
                self._refuse(fault[1], fault[2])
                return
        if self.headers.get("Authorization") != f"Bearer {self.drive.token}":
            self._refuse(401, "authError", "Invalid Credentials")
            return
        self._route(method, url.path)

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _route(self, method: str, path: str) -> None:
        file_id = path.rpartition("/files/")[2]
        if path == "/drive/v3/files" and method == "GET":
            self._list()
        elif path == "/upload/drive/v3/files" and "upload_id" in self.query:
            self._chunk(self.query["upload_id"])
        elif path == "/upload/drive/v3/files" and method == "POST":
            self._upload()
        elif file_id not in self.drive.files:
            self._refuse(404, "notFound", f"File not found: {file_id}.")
        elif method == "DELETE":
            del self.drive.files[file_id]
            self._send(204)
        elif method == "PATCH":
            self.drive.files[file_id].name = json.loads(self.body)["name"]
            self._json(self.drive.files[file_id].shown())
        elif self.query.get("alt") == "media":
            self._download(self.drive.files[file_id].data)
        else:
            self._json(self.drive.files[file_id].shown())

    def _token(self) -> None:
        if self.drive.withdrawn:
            self._json({"error": "invalid_grant", "error_description": "revoked"}, 400)
            return
        self.drive.refreshes += 1
        self._json({"access_token": self.drive.token, "expires_in": 3600, "token_type": "Bearer"})

    def _list(self) -> None:
        asked = self.query.get("q", "")
        parents = re.findall(r"'([^']+)' in parents", asked)
        if any(parent != FOLDER for parent in parents):
            self._refuse(404, "notFound", f"File not found: {parents[0]}.")
            return
        names = re.findall(r"name\s*=\s*'((?:[^'\\]|\\.)*)'", asked)
        wanted = {re.sub(r"\\(.)", r"\1", name) for name in names}
        found = [each for each in self.drive.files.values() if not names or each.name in wanted]
        if "mimeType='application/vnd.google-apps.folder'" in asked.replace(" ", ""):
            found = []
        start = int(self.query.get("pageToken", "0"))
        answer: dict[str, Any] = {"files": [f.shown() for f in found[start : start + PAGE]]}
        if start + PAGE < len(found):
            answer["nextPageToken"] = str(start + PAGE)
        self._json(answer)

    def _upload(self) -> None:
        if self.query.get("uploadType") == "resumable":
            meta = json.loads(self.body)
            if self._accepted(meta):
                upload_id = f"u{len(self.drive.requests)}"
                self.drive.uploads[upload_id] = (meta, bytearray())
                where = f"https://{HOSTS[0]}/upload/drive/v3/files?upload_id={upload_id}"
                self._send(200, b"", ("Location", where))
            return
        boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
        assert boundary is not None
        _, head, payload, _ = self.body.split(b"--" + boundary[1].encode())
        meta = json.loads(head.partition(b"\r\n\r\n")[2])
        if self._accepted(meta):
            self._create(meta, payload.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n"))

    def _accepted(self, meta: dict[str, Any]) -> bool:
        if self.drive.service_account and not self.query.get("supportsAllDrives_of_a_shared_one"):
            self._refuse(403, "storageQuotaExceeded", NO_QUOTA)
            return False
        if meta["parents"] != [FOLDER]:
            self._refuse(404, "notFound", f"File not found: {meta['parents']}.")
            return False
        return True

    def _chunk(self, upload_id: str) -> None:
        meta, data = self.drive.uploads[upload_id]
        sent = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", self.headers.get("Content-Range") or "")
        if sent is not None and int(sent[1]) == len(data):
            data += self.body
        if sent is not None and len(data) == int(sent[3]):
            self._create(meta, bytes(data))
        else:
            self._send(308, b"", ("Range", f"bytes=0-{len(data) - 1}"))

    def _create(self, meta: dict[str, Any], data: bytes) -> None:
        made = File(f"file{len(self.drive.requests)}", meta["name"], FOLDER, data)
        self.drive.files[made.id] = made
        self._json(made.shown())

    def _download(self, data: bytes) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is None:
            self._send(200, data)
            return
        end = int(asked[2]) + 1 if asked[2] else len(data)
        part = data[int(asked[1]) : end]
        where = f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(data)}"
        self._send(206, part, ("Content-Range", where))

    def _refuse(self, status: int, reason: str, message: str = "") -> None:
        errors = [{"domain": "global", "reason": reason, "message": message}]
        self._json({"error": {"code": status, "message": message, "errors": errors}}, status)

    def _json(self, answer: Any, status: int = 200) -> None:
        self._send(status, json.dumps(answer).encode(), ("Content-Type", "application/json"))

    def _send(self, status: int, body: bytes = b"", *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
