"""A real SFTP server, of OpenSSH, for the time of a test: no shell, and so no checksums."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.serving import answers, free_port

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass
class Sftp:
    """The server, and how rclone reaches it."""

    root: Path
    environment: dict[str, str]
    process: "subprocess.Popen[bytes]"

    def remote(self, path: str) -> str:
        """Name a folder on it, as rclone does."""
        return f"nas:{self.root}/{path}"


def missing() -> str:
    """Tell what is not here; empty where all is."""
    needed = {"rclone": shutil.which("rclone"), "sshd": os.path.exists(SSHD)}  # noqa: PTH110
    return ", ".join(name for name, found in needed.items() if not found)


@contextmanager
def serving(folder: Path) -> Iterator[Sftp]:
    """Serve a folder."""
    if missing() or os.geteuid() != 0:
        pytest.skip(f"no SFTP server: {missing() or 'it wants root'} (scripts/machine stores)")
    root, port = folder / "srv", free_port()
    root.mkdir()
    for name in ("host", "user"):
        path = folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    (folder / "known_hosts").write_text(
        f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}", encoding="utf-8"
    )
    config = folder / "sshd_config"
    config.write_text(_config(folder, port), encoding="utf-8")
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", config], stderr=subprocess.DEVNULL)
    try:
        answers(port)
        yield Sftp(root, _environment(folder, port), process)
    finally:
        process.terminate()
        process.wait()


def _config(folder: Path, port: int) -> str:
    return f"""
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
ForceCommand internal-sftp
"""


def _environment(folder: Path, port: int) -> dict[str, str]:
    remote = {
        "TYPE": "sftp",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "USER": "root",
        "KEY_FILE": str(folder / "user"),
        "KNOWN_HOSTS_FILE": str(folder / "known_hosts"),
        "SHELL_TYPE": "none",
    }
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RCLONE_CONFIG": "/notfound",
        **{f"RCLONE_CONFIG_NAS_{name}": value for name, value in remote.items()},
    }
