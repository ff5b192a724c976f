"""Which backups are to be proven, and whether they restore: what makes a backup one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from itertools import islice

from sidecar.backup_ports import Vault
from sidecar.backups import Kind, Manifest, newest_first
from sidecar.due import Rhythm
from sidecar.errors import (
    BUG,
    AlreadyRunning,
    BackupDamaged,
    Interrupted,
    KeyMissing,
    LeaseLost,
    MigsafeError,
)
from sidecar.policy import Policy
from sidecar.ports import Clock, Teller, World
from sidecar.retention import proven_at
from sidecar.state import Problem
from sidecar.verify import Verification

ASKED_AGAIN = 86_400.0
"""Seconds after which a backup that no key here opened is asked about again."""

HINT = "It is tried again with the next backup; until then do not rely on this one."


class Proving:
    """Loads the newest backup of each kind now and then."""

    def __init__(
        self, rhythm: Rhythm | None, zone: tzinfo, policy: Policy, clock: Clock, tell: Teller
    ) -> None:
        self.rhythm = rhythm
        """How often; None: never."""
        self.zone = zone
        self.policy = replace(policy, wait=timedelta(0))
        self.clock = clock
        self.tell = tell
        self.tried: dict[Kind, float] = {}
        """When one of a kind was tried last, by the clock that never jumps."""
        self.closed = dict[str, float]()
        """Backups that no key here opens, and when to ask again, by the same clock."""

    def due(self, vault: Vault) -> tuple[Manifest, ...]:
        """
        Choose the newest backup of each kind of which none was proven for so long.

        Whose turn was longest ago comes first: one that never restores starves no other.
        """
        manifests, now = vault.manifests(), self.clock.now()
        found = list[Manifest]()
        for kind in Kind if self.rhythm else ():
            mine = [m for m in manifests if m.backup.kind is kind and not m.doubts]
            if mine and self._is_due(_proven_at(mine, vault, now), now):
                found += islice((m for m in newest_first(mine) if self._opens(vault, m)), 1)
        return tuple(sorted(found, key=lambda m: self.tried.get(m.backup.kind, -1.0)))

    def late(self, vault: Vault) -> datetime | None:
        """Tell from when on it is too long ago that a backup was proven."""
        provable = [
            m for m in vault.manifests() if not m.doubts and m.backup.name not in self.closed
        ]
        now = self.clock.now()
        since = _proven_at(provable, vault, now) or min(
            (m.backup.taken_at for m in provable), default=now
        )
        return self.rhythm.late(since, self.zone) if self.rhythm else None

    def unprovable(self, vault: Vault) -> str:
        """Tell why none can be proven here, where no key opens any."""
        names = {m.backup.name for m in vault.manifests() if not m.doubts}
        return "no key here opens a backup" if names and names <= set(self.closed) else ""

    def prove(self, world: World, manifest: Manifest, run: str) -> Problem | None:
        """
        Load a backup and compare it; None where it holds what it says.

        Raises:
            AlreadyRunning, LeaseLost: somebody else is at work, here or elsewhere.
            Interrupted: a signal came.

        """
        name = manifest.backup.name
        self.tried[manifest.backup.kind] = self.clock.monotonic()
        try:
            found = Verification(world, self.policy, run).restore(manifest)
        except (AlreadyRunning, Interrupted, LeaseLost):
            raise
        except MigsafeError as error:
            return Problem(error.status, f"{name} could not be proven: {error.message}", HINT)
        except Exception as error:  # noqa: BLE001 - the backup is there, whatever is wrong with us
            what = f"a bug in migsafe: {type(error).__name__}: {error}"
            return Problem(BUG, f"{name} could not be proven: {what}", "Please report it.")
        if not found.good:
            what = "; ".join(found.complaints[:5])
            return Problem(BackupDamaged.exit_code, f"{name} does not restore: {what}", HINT)
        self.tell.say(f"✓ {name}: restored and compared in {found.seconds:.1f} s")
        return None

    def _opens(self, vault: Vault, manifest: Manifest) -> bool:
        name = manifest.backup.name
        if not manifest.backup.encrypted:
            return True
        try:
            if self.clock.monotonic() >= self.closed.get(name, 0.0):
                vault.require_key(name)
                self.closed.pop(name, None)
        except KeyMissing:
            # to find that out all of it may be read: once a day
            self.closed[name] = self.clock.monotonic() + ASKED_AGAIN
        except MigsafeError:
            pass  # what else is wrong with it is found by who reads it
        return name not in self.closed

    def _is_due(self, last: datetime | None, now: datetime) -> bool:
        return self.rhythm is not None and (
            last is None or self.rhythm.after(last, self.zone) <= now
        )


def _proven_at(manifests: Sequence[Manifest], vault: Vault, now: datetime) -> datetime | None:
    return proven_at((vault.proof(m.backup) for m in manifests), now)
