"""The archive format notices every cut and every flipped bit."""

import random
import subprocess
import sys

import pytest

from sidecar import archive
from sidecar.errors import BackupDamaged

DATA = b"".join(f"row {number}\t{number * 7919}\n".encode() for number in range(3000))
PACKED = b"".join(archive.compress([DATA[:5000], DATA[5000:]]))


def unpack(packed: bytes) -> bytes:
    """Read an archive to its end."""
    return b"".join(archive.decompress(packed[i : i + 999] for i in range(0, len(packed), 999)))


def test_round_trip() -> None:
    """What went in comes out."""
    assert DATA == unpack(PACKED)
    assert b"" == unpack(b"".join(archive.compress([])))


@pytest.mark.parametrize("kept", [0, 1, 4, 100, len(PACKED) // 2, len(PACKED) - 4, len(PACKED) - 1])
def test_cut_archives_are_damaged(kept: int) -> None:
    """A file that ends early never passes for a whole one. Faults: 92, 120."""
    with pytest.raises(BackupDamaged):
        unpack(PACKED[:kept])


def test_every_flipped_bit_is_noticed() -> None:
    """The content checksum catches what a plain custom dump restores silently. Faults: 59."""
    chosen = random.Random(1)  # noqa: S311 - a seed, so that a failure repeats
    for _ in range(150):
        place, bit = chosen.randrange(len(PACKED)), chosen.randrange(8)
        flipped = bytearray(PACKED)
        flipped[place] ^= 1 << bit
        try:
            assert DATA == unpack(bytes(flipped)), f"bit {bit} of byte {place}"
        except BackupDamaged:
            continue


def test_what_follows_the_end_is_damage() -> None:
    """Two archives glued together are not one."""
    with pytest.raises(BackupDamaged):
        unpack(PACKED + PACKED)


HEAVIEST = """
import os
os.cpu_count = lambda: 64
import sidecar.commands, sidecar.scheduling, sidecar.stores.gcs
from sidecar import age, archive, messengers
messengers.load()
noise = (os.urandom(1 << 16) for _ in range(4000))
for piece in age.encrypt(archive.checked(archive.compress(noise)), [age.passing()[0]]):
    pass
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_memory() -> None:
    """With every library loaded, what does not compress is compressed and encrypted in 150 MB."""
    command = [sys.executable, "-c", HEAVIEST]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert 0 == ran.returncode, ran.stderr
    assert int(ran.stdout) < 150_000, "kB at the most"
