"""How the second mode holds its lease: taken with each backup, renewed between them."""

from sidecar.backup_ports import Lease
from sidecar.errors import LeaseLost, MigsafeError, StoreFailed
from sidecar.ports import Clock, Teller

RENEWED, RENEWED_SOON = 1800.0, 300.0
"""Seconds after which the lease is renewed; and after that has failed."""


class Leaseholder:
    """Knows whose the backups are, and when that is to be confirmed."""

    def __init__(self, clock: Clock, tell: Teller, *, wanted: bool) -> None:
        """
        Hold nothing yet.

        Args:
            clock: when to renew is told by the one that never jumps.
            tell: is told what can't be renewed or released.
            wanted: another instance could be filled from these backups.

        """
        self.clock = clock
        self.tell = tell
        self.wanted = wanted
        self.unknown = ""
        """Why it is not known whose the backups are; empty where they are ours."""
        self.renew_at = 0.0

    @property
    def is_to_renew(self) -> bool:
        """Tell whether it is time."""
        return self.wanted and self.clock.monotonic() >= self.renew_at

    def take(self, lease: Lease) -> str:
        """
        Take it; where it is silent a backup that stays here is better than none.

        Returns:
            The token to release it with; empty where it is silent.

        Raises:
            LeaseHeld: another instance has it.

        """
        self.unknown = ""
        self._renew_in(RENEWED)
        try:
            return lease.take()
        except StoreFailed as error:
            self.unknown = error.advice
            self._renew_in(RENEWED_SOON)
            return ""

    def renew(self, lease: Lease) -> None:
        """
        Hold it for longer.

        Raises:
            LeaseLost: another instance has it, or somebody has removed it.

        """
        self._renew_in(RENEWED)
        try:
            lease.renew()
        except StoreFailed as error:
            self.failed(error)
        except LeaseLost:
            if not self.unknown:
                raise
            # it was never ours: the next backup takes it, or tells whose it is
            self.failed(StoreFailed(self.unknown))

    def failed(self, error: Exception) -> None:
        """Say that it was not renewed, and try again before long."""
        why = error.message if isinstance(error, MigsafeError) else repr(error)
        self.tell.warn(f"the lease is not renewed: {why}")
        self._renew_in(RENEWED_SOON)

    def release(self, lease: Lease, token: str) -> None:
        """Let another instance be filled at once; where that fails it runs out by itself."""
        try:
            lease.release(token)
        except StoreFailed as error:
            self.tell.warn(error.advice)

    def _renew_in(self, seconds: float) -> None:
        self.renew_at = self.clock.monotonic() + seconds
