"""Who can read the backups: to whom they are encrypted, and whether a key is here."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.backups import Encryption, Manifest, key_id
from sidecar.errors import BackupDamaged, BackupFailed, KeyMissing
from sidecar.facts import Properties

if TYPE_CHECKING:
    from sidecar.age import Identity, Recipient

PROBE = "can somebody read this?"
HEAD = 1 << 16

MOUNT = (
    "Nothing was changed. Mount the identity file into the migsafe container, read-only, and set"
    " MIGSAFE_IDENTITY_FILE to its path there"
    " (`run --rm -v ./key.txt:/key.txt:ro -e MIGSAFE_IDENTITY_FILE=/key.txt migsafe …`)."
)


@dataclass(frozen=True)
class Keys:
    """The settings about encryption. Nothing is loaded or read before it is needed."""

    encrypt_to: tuple[str, ...] = ()
    """Public keys; without any, backups are written in clear."""
    identity: Path | None = None
    """The file with the private key; None where it is elsewhere."""

    @classmethod
    def passing(cls) -> "Keys":
        """Make keys that go with this process: for what is not to outlive it."""
        return _Passing(("a key that goes with this run",))

    @property
    def encrypts(self) -> bool:
        """Backups are encrypted from now on."""
        return bool(self.encrypt_to)

    @property
    def decrypts(self) -> bool:
        """A key is here, though it may be another's."""
        return self.identity is not None

    def complaints(self) -> tuple[str, ...]:
        """Tell everything that would make encrypted backups worthless: unreadable for everybody."""
        recipients, bad = self._recipients()
        keys = None
        if self.identity is not None:
            try:
                keys = self._identities
            except ValueError as error:
                bad.append(f"MIGSAFE_IDENTITY_FILE: {error}")
        if recipients and keys and not bad and not _fit(recipients, keys):
            bad.append(
                f"MIGSAFE_IDENTITY_FILE: {self.identity} opens nothing that is encrypted to"
                f" {', '.join(map(key_id, self.encrypt_to))}: it is the key of somebody else"
            )
        return tuple(bad)

    def unreadable(self) -> str | None:
        """Tell why a backup that is written now could not be read here again."""
        if not self.encrypts or self.decrypts:
            return None  # a key that does not fit is complained of
        return "backups are encrypted, and their key is elsewhere (MIGSAFE_IDENTITY_FILE)"

    # --- writing

    def encrypt(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """
        Encrypt a stream.

        Raises:
            BackupFailed: a recipient is none, or the library can't.

        """
        from sidecar import age  # noqa: PLC0415 - loads a library that most runs do not need

        return age.encrypt(chunks, self._usable())

    def hide(self, properties: Properties) -> tuple[Properties, Encryption]:
        """Take what may be secret out of what a manifest says in clear."""
        from sidecar import age  # noqa: PLC0415 - same

        hidden = properties.hidden()
        sealed = ""
        if hidden != properties:
            sealed = age.seal(age.settings_text(properties.settings), self._usable())
        return hidden, Encryption(self._ids(), sealed)

    # --- reading

    def require(self, manifest: Manifest, head: bytes) -> None:
        """
        Refuse a backup that no key here opens.

        Args:
            manifest: of the backup.
            head: the file's first bytes.

        Raises:
            KeyMissing: none of the keys here opens it.

        """
        from sidecar import age  # noqa: PLC0415 - same

        if not age.opens(head, self._keys_for(manifest)):
            raise self._unfit(manifest)

    def decrypt(self, chunks: Iterator[bytes], manifest: Manifest) -> Iterator[bytes]:
        """
        Decrypt a stream.

        Raises:
            KeyMissing: no key here opens it.
            BackupDamaged: it is not as it was encrypted.

        """
        from sidecar import age  # noqa: PLC0415 - same

        return age.decrypt(chunks, self._keys_for(manifest), manifest.backup.name)

    def decrypt_file(self, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
        """
        Decrypt a file that no manifest speaks of.

        Raises:
            KeyMissing: no key is here, or none that opens it.
            BackupDamaged: it is not as it was encrypted, or cut off.

        """
        from sidecar import age  # noqa: PLC0415 - same

        keys = self._keys_of(name)
        try:
            yield from age.decrypt(chunks, keys, name)
        except KeyMissing:
            raise KeyMissing(
                f"{name} is encrypted, and {self.identity} is another key", hint=MOUNT
            ) from None

    def reveal(self, manifest: Manifest) -> Properties:
        """
        Give the properties as they were, with what the manifest does not say in clear.

        Raises:
            KeyMissing: no key here opens it.
            BackupDamaged: it is not what was written.

        """
        if manifest.encryption is None or not manifest.encryption.settings:
            return manifest.properties
        from sidecar import age  # noqa: PLC0415 - same

        try:
            text = age.unseal(manifest.encryption.settings, self._keys_for(manifest))
            return replace(manifest.properties, settings=age.settings_of(text))
        except KeyMissing:
            raise self._unfit(manifest) from None
        except (ValueError, TypeError) as error:
            raise BackupDamaged(
                f"the manifest of {manifest.backup.name} can't be decrypted: {error}"
            ) from error

    # --- helpers

    def _keys_for(self, manifest: Manifest) -> "list[Identity]":
        return self._keys_of(manifest.backup.name, _to(manifest))

    def _keys_of(self, name: str, to: str = "") -> "list[Identity]":
        if self.identity is None:
            raise KeyMissing(f"{name} is encrypted{to}, and no key is here", hint=MOUNT)
        try:
            return self._identities
        except ValueError as error:
            raise KeyMissing(
                f"{name} is encrypted{to}, and MIGSAFE_IDENTITY_FILE {error}", hint=MOUNT
            ) from None

    def _unfit(self, manifest: Manifest) -> KeyMissing:
        return KeyMissing(
            f"{manifest.backup.name} is encrypted{_to(manifest)}, and {self.identity} is another"
            " key",
            hint=MOUNT,
        )

    @cached_property
    def _identities(self) -> "list[Identity]":
        from sidecar import age  # noqa: PLC0415 - same

        assert self.identity is not None  # noqa: S101 - whoever asks has looked
        try:
            return age.identities(self.identity.read_bytes())
        except OSError as error:
            raise ValueError(f"{self.identity} can't be read: {error.strerror}") from None
        except ValueError as error:
            raise ValueError(f"{self.identity} {error}") from None

    def _recipients(self) -> "tuple[list[Recipient], list[str]]":
        if not self.encrypt_to:
            return [], []
        from sidecar import age  # noqa: PLC0415 - same

        found, bad = [], []
        for text in self.encrypt_to:
            try:
                found.append(age.recipient(text))
            except ValueError as error:
                bad.append(f"MIGSAFE_ENCRYPT_TO: {error}")
        return found, bad

    def _usable(self) -> "list[Recipient]":
        found, bad = self._recipients()
        if bad:
            raise BackupFailed("; ".join(("the backup failed", *bad)))
        return found

    def _ids(self) -> tuple[str, ...]:
        return tuple(map(key_id, self.encrypt_to))


class _Passing(Keys):
    """Keys that no disk ever sees."""

    @cached_property
    def _pair(self) -> "tuple[Recipient, Identity]":
        from sidecar import age  # noqa: PLC0415 - loads a library that most runs do not need

        return age.passing()

    @property
    def decrypts(self) -> bool:
        """It has its own."""
        return True

    def _keys_for(self, manifest: Manifest) -> "list[Identity]":
        del manifest
        return [self._pair[1]]

    def _recipients(self) -> "tuple[list[Recipient], list[str]]":
        return [self._pair[0]], []


def _to(manifest: Manifest) -> str:
    found = manifest.encryption.recipients if manifest.encryption else ()
    return f" to {', '.join(found)}" if found else ""


def _fit(recipients: "list[Recipient]", keys: "list[Identity]") -> bool:
    """Have the keys read back what was encrypted to the recipients."""
    from sidecar import age  # noqa: PLC0415 - same

    try:
        return age.unseal(age.seal(PROBE, recipients), keys) == PROBE
    except KeyMissing:
        return False
