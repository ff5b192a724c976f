"""Small objects of stores, which are texts."""

from collections.abc import Iterable

from sidecar.errors import BackupDamaged


def decoded(chunks: Iterable[bytes], name: str) -> str:
    """Put a text together; raises BackupDamaged where it is none."""
    try:
        return b"".join(chunks).decode()
    except UnicodeDecodeError as error:
        raise BackupDamaged(f"{name} is no text") from error
