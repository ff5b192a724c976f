"""A bucket that keeps nothing, and is as quick as this machine: for timings of an upload."""

import base64
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import google_crc32c

PIECE = 1 << 20


class Sink(BaseHTTPRequestHandler):
    """Answers resumable uploads as the service does: by ranges, in the end with the checksum."""

    protocol_version = "HTTP/1.1"
    uploads: dict[str, Any] = {}  # noqa: RUF012 - one for all requests
    wbufsize = -1

    def do_POST(self) -> None:
        """Begin an upload."""
        self._body(None)
        name = f"upload{len(self.uploads)}"
        self.uploads[name] = google_crc32c.Checksum()
        host = self.headers["Host"]
        self._answer(200, b"{}", Location=f"http://{host}/upload?upload_id={name}")

    def do_PUT(self) -> None:
        """Take a chunk."""
        checksum = self.uploads[self.path.partition("upload_id=")[2]]
        self._body(checksum)
        match = re.match(r"bytes \d+-(\d+)/(\d+|\*)", self.headers["Content-Range"])
        assert match, self.headers["Content-Range"]
        last, total = match.groups()
        if total == "*" or int(last) + 1 < int(total):
            self._answer(308, b"", Range=f"bytes=0-{last}")
            return
        found = base64.b64encode(checksum.digest()).decode()
        self._answer(200, json.dumps({"size": total, "crc32c": found, "generation": "1"}).encode())

    def _body(self, checksum: Any) -> None:
        left = int(self.headers.get("Content-Length") or 0)
        while left > 0:
            piece = self.rfile.read(min(left, PIECE))
            left -= len(piece)
            if checksum is not None:
                checksum.update(piece)

    def _answer(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    print(server.server_address[1], flush=True)
    server.serve_forever()
