"""
The archive format: pg_dump's custom format in one zstd frame with a content checksum. Pure.

Without the checksum a flipped bit in an uncompressed custom dump restores as wrong data with exit
code 0, and a reader that does not ask for the end of the frame takes half a file for a whole one.
"""

import os
import sys
from collections.abc import Iterable, Iterator

from sidecar.errors import BackupDamaged, BackupFailed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["checked", "compress", "decompress", "zstd"]

LEVEL = 3
MOST_WORKERS = 4
JOB_SIZE = 1 << 20
"""Bytes that a worker compresses at a time: by zstd's own choice 100 MB are held at once."""

PIECE = 1 << 20


def compress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Compress a stream into one frame."""
    parameter = zstd.CompressionParameter
    workers = min(os.cpu_count() or 1, MOST_WORKERS, parameter.nb_workers.bounds()[1])
    compressor = zstd.ZstdCompressor(
        options={
            parameter.compression_level: LEVEL,
            parameter.checksum_flag: 1,
            parameter.nb_workers: workers,
            parameter.job_size: JOB_SIZE,
        }
    )
    for chunk in chunks:
        if out := compressor.compress(chunk):
            yield out
    yield compressor.flush()


def decompress(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """
    Give back what was compressed.

    Raises:
        BackupDamaged: the frame is cut off, or its checksum is wrong.

    """
    decompressor = zstd.ZstdDecompressor()
    try:
        for chunk in chunks:
            if decompressor.eof:
                raise BackupDamaged("the archive goes on after its end")
            yield from _pieces(decompressor, chunk)
    except zstd.ZstdError as error:
        raise BackupDamaged(f"the archive is damaged: {error}") from error
    if not decompressor.eof:
        raise BackupDamaged("the archive ends before its end")
    if decompressor.unused_data:
        raise BackupDamaged("the archive goes on after its end")


def _pieces(decompressor: zstd.ZstdDecompressor, chunk: bytes) -> Iterator[bytes]:
    """Decompress in pieces that fit into memory, however much a byte stands for."""
    while True:
        if out := decompressor.decompress(chunk, PIECE):
            yield out
        chunk = b""
        if decompressor.eof or decompressor.needs_input:
            return


def checked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """
    Pass on what was compressed, and prove on the way that it can be decompressed to its end.

    Raises:
        BackupFailed: it can't, or there is nothing in it.

    """
    decompressor = zstd.ZstdDecompressor()
    size = 0
    for chunk in chunks:
        try:
            size += sum(map(len, _pieces(decompressor, chunk)))
        except (zstd.ZstdError, EOFError) as error:
            raise BackupFailed(f"the backup failed: zstd made no archive: {error}") from error
        yield chunk
    if not decompressor.eof or not size:
        raise BackupFailed("the backup failed: the dump is cut off")
