"""Where further stores are, as MIGSAFE_STORES names them. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Service(StrEnum):
    """What a store is reached through: the scheme of its URL."""

    GCS = "gs"
    DRIVE = "gdrive"
    RCLONE = "rclone"


@dataclass(frozen=True)
class StoreUrl:
    """
    One store.

    >>> StoreUrl(Service.GCS, "bucket", "shop").title
    'gs://bucket/shop'
    """

    service: Service
    root: str
    """The bucket, the folder's id, or the remote of rclone's configuration."""
    path: str = ""
    """Below it, without a slash at its end."""

    @property
    def title(self) -> str:
        """The URL as people write it; it never holds a secret."""
        return f"{self.service}://{self.root}{'/' if self.path else ''}{self.path}"


@dataclass(frozen=True)
class Access:
    """What stores are opened with."""

    rclone: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables that are rclone's own, or of the services that it reaches."""
    drive_token: str = field(default="", repr=False)
    """Of the user, as `rclone authorize` gives it."""
    drive_key: str = field(default="", repr=False)
    """Of a service account: the JSON of its key."""
    team_drive: str = ""
    """The id of a shared drive."""


_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)
_FOLDER_ID = re.compile(r"[A-Za-z0-9_-]{5,}", re.ASCII)
_REMOTE = re.compile(r"[\w.+@][\w.+@ -]*", re.ASCII)

_KNOWN = "gs://bucket/prefix, gdrive://folder-id or rclone://remote/path"
_ROOTS = {
    Service.GCS: (_BUCKET, "the name of a bucket (3 to 222 of a-z 0-9 . _ -)"),
    Service.DRIVE: (_FOLDER_ID, "the id of a folder: the last part of its address in the browser"),
    Service.RCLONE: (_REMOTE, "the name of a remote, as `rclone listremotes` shows it"),
}


def parse(text: str) -> tuple[StoreUrl, ...]:
    """
    Read URLs, separated by space; raises ValueError with all complaints.

    >>> [url.title for url in parse("gs://bucket/shop/ rclone://nas/backups")]
    ['gs://bucket/shop', 'rclone://nas/backups']
    """
    found, complaints = [], []
    for number, word in enumerate(text.split(), 1):
        try:
            found.append(_one(word))
        except ValueError as error:
            complaints.append(f"the {_ordinal(number)}: {error}")
    complaints += [f"{title} is named twice" for title in _twice(found)]
    if complaints:
        raise ValueError("; ".join(complaints))
    return tuple(found)


def _one(word: str) -> StoreUrl:
    # what is wrong is told without the word itself: somebody may have written a password into it
    if "://" in word.partition(",")[2]:
        raise ValueError("there is a comma in it: stores are separated by space")
    scheme, separator, rest = word.partition("://")
    if not separator or scheme not in set(Service):
        raise ValueError(f"it is no {_KNOWN}")
    service = Service(scheme)
    root, _, path = rest.partition("/")
    pattern, what = _ROOTS[service]
    if not pattern.fullmatch(root):
        raise ValueError(f"after {service}:// comes {what}")
    # `rclone://nas//srv/backups`: an absolute path on what the remote is
    absolute = service is Service.RCLONE and path.startswith("/")
    path = path.strip("/")
    if service is Service.DRIVE and path:
        raise ValueError("a folder of Google Drive is named by its id alone")
    if any(part in {"", ".", ".."} for part in path.split("/")) and path:
        raise ValueError("a part of its path is empty, or . or ..")
    if not path.isprintable() or set(path) & set("?#*[]{}\\"):
        raise ValueError("its path holds a character that stores take for a pattern")
    return StoreUrl(service, root, f"/{path}" if absolute else path)


def _twice(found: list[StoreUrl]) -> Iterator[str]:
    titles = [url.title for url in found]
    yield from dict.fromkeys(title for title in titles if titles.count(title) > 1)


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
