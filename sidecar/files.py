"""Archives of one file, as Docker copies files out of containers."""

import io
import tarfile


def one_file(data: bytes) -> bytes:
    """
    Take the only file out of a tar archive.

    Raises:
        FileNotFoundError: it holds no file.

    """
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None:
                return file.read()
    raise FileNotFoundError("not a file")
