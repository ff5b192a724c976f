"""A real S3 server for the time of a test: `rclone serve s3` of an rclone newer than the client."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.store_urls import Access
from sidecar.stores.opening import environment
from tests.serving import answers, free_port

SERVER = Path(sys.prefix) / "bin" / "rclone-server"
"""Of `scripts/machine stores`; not called rclone, so that nobody takes it for the client."""

BUCKET = "backups"


@dataclass
class S3:
    """The server, and how rclone reaches it."""

    root: Path
    """The bucket's folder."""
    environment: dict[str, str]
    process: "subprocess.Popen[bytes]"

    def remote(self, path: str) -> str:
        """Name a prefix in its bucket, as rclone does."""
        return f"cloud:{BUCKET}/{path}"


@contextmanager
def serving(folder: Path) -> Iterator[S3]:
    """Serve a folder in which there is one bucket; requests must be signed with its key."""
    if not SERVER.exists():
        pytest.skip("no S3 server: scripts/machine stores fetches one")
    root, port = folder / "srv" / BUCKET, free_port()
    root.mkdir(parents=True)
    argv = (SERVER, "serve", "s3", f"--addr=127.0.0.1:{port}", "--auth-key=KEY,SECRET")
    # what a test lays into the folder is to be seen at once
    process = subprocess.Popen(
        [*argv, "--config=/notfound", "--dir-cache-time=0", root.parent], stderr=subprocess.DEVNULL
    )
    try:
        answers(port)
        yield S3(root, _environment(port), process)
    finally:
        process.terminate()
        process.wait()


def _environment(port: int) -> dict[str, str]:
    """Make the variables of an operator who has such a server, with what migsafe adds."""
    remote = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": f"http://127.0.0.1:{port}",
        "ACCESS_KEY_ID": "KEY",
        "SECRET_ACCESS_KEY": "SECRET",
    }
    variables = {f"RCLONE_CONFIG_CLOUD_{name}": value for name, value in remote.items()}
    return environment(Access({"RCLONE_CONFIG": "/notfound", **variables}))
