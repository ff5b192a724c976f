"""
Backups: their names, and the manifest that makes a file one.

A backup is a file and its manifest. The manifest is written last and deleted first: a file without
one is not a backup, whatever its name.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from typing import Any

from sidecar.errors import BackupDamaged
from sidecar.facts import Contents, LedgerState, Properties, Server, fingerprint, revive

MANIFEST_SUFFIX = ".manifest.json"
PARTIAL_SUFFIX = ".partial"
SCHEMA = 1


class Kind(StrEnum):
    """Why a backup was taken."""

    PRE_MIGRATION = "pre-migration"
    SCHEDULED = "scheduled"
    MANUAL = "manual"
    SAFETY = "safety"


class Format(StrEnum):
    """How a backup is written: plain SQL for any psql, or an archive (custom format in zstd)."""

    SQL = "sql"
    ARCHIVE = "archive"

    @property
    def suffix(self) -> str:
        """The end of a backup's name."""
        return ".sql" if self is Format.SQL else ".dump.zst"


PROOF_SUFFIX = ".proof.json"
DELETING_SUFFIX = ".deleting.json"
"""Of a manifest's second copy in a store, from before a deletion there until it is at its end."""
DAMAGED_SUFFIX = ".damaged"
"""Of a file that was not what its manifest says, once a store's copy has taken its place."""
AGE_SUFFIX = ".age"
"""Of what is encrypted, after the suffix of what is in it: `age -d` takes it off."""


_NAME = re.compile(
    r"(?P<kind>pre-migration|scheduled|manual|safety)-(?P<time>\d{8}-\d{6})(?P<suffix>\.sql|\.dump\.zst)(?P<age>\.age)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Backup:
    """
    The name of a backup: kind, time (UTC, whole seconds), format, and whether it is encrypted.

    >>> Backup(Kind.PRE_MIGRATION, datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC), Format.SQL).name
    'pre-migration-20260131-235958.sql'
    """

    kind: Kind
    taken_at: datetime
    format: Format
    encrypted: bool = False

    @property
    def name(self) -> str:
        """The file's name, which is the contract with people and scripts."""
        age = AGE_SUFFIX if self.encrypted else ""
        return f"{self.kind}-{self.taken_at:%Y%m%d-%H%M%S}{self.format.suffix}{age}"

    @property
    def manifest_name(self) -> str:
        """The name of the manifest beside it."""
        return self.name + MANIFEST_SUFFIX

    @classmethod
    def parse(cls, name: str) -> "Backup | None":
        """Read a name back; None where it is not one of ours."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        try:
            taken_at = datetime.strptime(match["time"], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return None
        written = Format.SQL if match["suffix"] == ".sql" else Format.ARCHIVE
        return cls(Kind(match["kind"]), taken_at, written, match["age"] is not None)


@dataclass(frozen=True)
class Encryption:
    """
    What a manifest says in clear about a backup that is encrypted.

    No checksum of what is in it: whoever guesses at a few rows could see by it that they are
    right. With the key nothing is missing: age proves every chunk, and where the last one ends.
    """

    recipients: tuple[str, ...]
    """Who can read it, by key id."""
    settings: str = ""
    """
    The settings of the database, encrypted as the file is: apps keep secrets there. Empty where
    the manifest's own hide none.
    """


@dataclass(frozen=True)
class Manifest:
    """What is known about a backup; its presence is the commit."""

    backup: Backup
    run: str
    database: str
    size: int
    """Of the file, in bytes."""
    sha256: str
    """Of the file."""
    server: Server
    properties: Properties
    ledger: LedgerState
    contents: Contents
    images: Mapping[str, str]
    """Image by service, as they were to run with this data: digest where there is one, else id."""
    migsafe: str
    """The version that wrote it."""
    note: str
    """The operator's words."""
    database_size: int
    """On the server, in bytes."""
    encryption: Encryption | None = None
    """None where the file is in clear."""
    origin: str = ""
    """The system identifier of the server that it was first guarded on; empty: ``server``'s."""
    doubts: tuple[str, ...] = ()
    """What had vanished when it was taken: it is whole, and perhaps not what anybody wants back."""

    @property
    def born(self) -> str:
        """Which database it is of, whatever server that was on at the time."""
        return self.origin or self.server.system_identifier

    def is_of(self, database: str, born: str, system: str) -> bool:
        """Tell whether it is of a database: it was born with it, or taken on that very server."""
        known = self.born == born or self.server.system_identifier == system
        return self.database == database and known

    @property
    def holds_data(self) -> bool:
        """There is a row in it."""
        return any(table.rows for table in self.contents.tables)

    def differs(self, size: int, sha256: str) -> str:
        """Tell how a file is not the one that it is about; empty where it is that one."""
        name = self.backup.name
        if size != self.size:
            return f"{name} has {size} bytes, and its manifest says {self.size}"
        if sha256 != self.sha256:
            return f"the checksum of {name} is not the one in its manifest"
        return ""

    @property
    def checksum(self) -> str:
        """Of everything that it says; it holds the file's own, and so stands for the pair."""
        return fingerprint(self._values())

    def to_json(self) -> str:
        """Write it so that a person can read it too."""
        values = {**self._values(), "checksum": self.checksum}
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"

    def _values(self) -> dict[str, Any]:
        found = {"schema": SCHEMA, **asdict(self), "backup": self.backup.name}
        for later in ("encryption", "origin", "doubts"):  # an older one keeps its checksum
            if not found[later]:
                del found[later]
        return found

    @classmethod
    def from_json(cls, text: str, name: str) -> "Manifest":
        """
        Read a manifest and hold it to the name that it was found under.

        Raises:
            BackupDamaged: it is not a manifest, or not of this backup.

        """
        try:
            return _read(json.loads(text), name)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BackupDamaged(
                f"the manifest of {name} can't be read: {error}",
                hint="Nothing was changed. Use another backup: `list` shows them.",
            ) from None


@dataclass(frozen=True)
class Proof:
    """How the last attempt to prove a backup ended."""

    at: datetime
    how: str
    """
    ``read`` to its end, ``restored`` into a scratch database, or ``isolated``: restored on a server
    of its own.
    """
    complaints: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """It holds what its manifest says."""
        return not self.complaints

    @property
    def proves(self) -> bool:
        """It was loaded, and not only read, and all was as it should be."""
        return self.good and self.how != "read"

    def to_json(self) -> str:
        """Write it so that a person can read it too."""
        values = {**asdict(self), "at": self.at.isoformat()}
        return json.dumps({"schema": SCHEMA, **values}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Proof":
        """Read it back; raises ValueError, TypeError or KeyError where it is not one."""
        values = json.loads(text)
        if values.pop("schema") != SCHEMA:
            raise ValueError("it was written by another version of migsafe")
        return revive(cls, {**values, "at": datetime.fromisoformat(values["at"])})


def _read(values: dict[str, Any], name: str) -> Manifest:
    if values["schema"] != SCHEMA:
        raise ValueError("it was written by another version of migsafe")
    if values.pop("checksum") != fingerprint(values):
        raise ValueError("it is not as it was written, says its own checksum")
    del values["schema"]
    if values["backup"] != name:
        raise ValueError(f"it belongs to {values['backup']}")
    backup = Backup.parse(name)
    if backup is None:
        raise ValueError("its name is not one of a backup")
    encryption = values.pop("encryption", None)
    if backup.encrypted != (encryption is not None):
        raise ValueError("it does not say that the file is encrypted, or the name does not")
    found = Manifest(
        **{
            **values,
            "encryption": None if encryption is None else revive(Encryption, encryption),
            "backup": backup,
            "server": revive(Server, values["server"]),
            "properties": revive(Properties, values["properties"]),
            "ledger": revive(LedgerState, values["ledger"]),
            "contents": Contents.of(values["contents"]),
            "doubts": tuple(values.get("doubts", ())),
        }
    )
    _hold_types(found)
    return found


def key_id(public: str) -> str:
    """
    Name a public key: one of age by itself, one of SSH by its fingerprint.

    >>> key_id("ssh-ed25519 AAAA me@here")
    'ssh-ed25519 SHA256:cJ6AyISHokEeHuTfufIqhhSSny8fTVnNxrnEqyPFKKI'
    """
    if not public.startswith("ssh-"):
        return public
    words = public.split()
    try:
        digest = hashlib.sha256(base64.b64decode(words[1], validate=True)).digest()
    except (IndexError, binascii.Error):
        return words[0]
    return f"{words[0]} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _hold_types(found: Manifest) -> None:
    """Refuse what would be stumbled over much later."""
    sealed, server = found.encryption, found.server
    texts: tuple[object, ...] = (
        *(found.run, found.database, found.sha256, found.migsafe, found.origin),
        server.system_identifier,
        *((*sealed.recipients, sealed.settings) if sealed else ()),
        *found.doubts,
        *found.contents.rows,
        *chain(*found.images.items()),
    )
    numbers = [found.size, *found.contents.rows.values()]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text in it is none")
    if not all(isinstance(number, int) for number in numbers):
        raise TypeError("a number in it is none")


def newest_first(manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Order backups by when they were taken: "latest" is by time, over all kinds and stores."""
    return tuple(sorted(manifests, key=lambda m: m.backup.taken_at, reverse=True))
