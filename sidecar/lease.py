"""
One instance at a time on one place of backups: two that were filled from it would part ways.

A lease is a small text in that place: who holds it, and until when. It is replaced only by who has
read what it replaces, so of two that come at once one is refused. The same holder takes it again at
once: after a loss of power it is the instance that it was. Another waits until it has run out.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sidecar.errors import LeaseHeld, LeaseLost, StoreFailed
from sidecar.ports import Clock, Conflict, Slot

SECONDS = 7200.0
"""How long a lease is held without being renewed: two intervals of hourly backups."""

SKEW = timedelta(minutes=5)
"""How far the clocks of two hosts may be apart."""

TRIES = 5
"""Somebody else may write at the same moment, again and again."""


@dataclass(frozen=True)
class Terms:
    """What is written down."""

    holder: str
    token: str
    until: datetime

    def to_json(self) -> str:
        """Write it so that a person can read it too."""
        return json.dumps({**asdict(self), "until": self.until.isoformat()}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Terms":
        """Read it back; raises ValueError, TypeError or KeyError where it is not one."""
        values = json.loads(text)
        until = datetime.fromisoformat(values["until"]).astimezone(UTC)
        return cls(str(values["holder"]), str(values["token"]), until)


class SlotLease:
    """The lease of one holder, in a slot of a store."""

    def __init__(self, slot: Slot, clock: Clock, holder: str, new_token: Callable[[], str]) -> None:
        self.slot = slot
        self.clock = clock
        self.holder = holder
        self.new_token = new_token

    def take(self, seconds: float = SECONDS) -> str:
        """
        Take the lease, or take it again; returns the token to renew and release it with.

        Raises:
            LeaseHeld: another instance has it.
            StoreFailed: it can't be read or written.

        """
        for _ in range(TRIES):
            found, generation = self._read()
            if found is not None and found.holder != self.holder and not self._is_over(found):
                raise self._held(found)
            token = self.new_token()
            try:
                self._write(token, seconds, generation)
            except Conflict:
                continue  # somebody was quicker: look who
            return token
        raise StoreFailed(f"the lease {self.slot.name} changes all the time")

    def renew(self, token: str, seconds: float = SECONDS) -> None:
        """
        Hold it for longer.

        Raises:
            LeaseLost: somebody has taken it since: what is here is no longer the only one.
            StoreFailed: it can't be read or written.

        """
        found, generation = self._read()
        if found is None or found.token != token:
            raise self._lost(found)
        try:
            self._write(token, seconds, generation)
        except Conflict:
            raise self._lost(self._read()[0]) from None

    def release(self, token: str) -> None:
        """Let others have it at once; does nothing where it is not ours any more."""
        found, generation = self._read()
        if found is None or found.token != token:
            return
        over = Terms(self.holder, token, self.clock.now() - SKEW)
        try:
            self.slot.replace(over.to_json(), generation)
        except Conflict:
            return

    # --- helpers

    def _read(self) -> tuple[Terms | None, str]:
        text, generation = self.slot.read()
        if not text:
            return None, generation
        try:
            return Terms.from_json(text), generation
        except (ValueError, TypeError, KeyError) as error:
            raise StoreFailed(
                f"the lease {self.slot.name} can't be read: {error}",
                hint="Nothing was changed. Is no other instance running? Then remove it, and start"
                " again.",
            ) from None

    def _write(self, token: str, seconds: float, generation: str) -> None:
        until = self.clock.now() + timedelta(seconds=seconds)
        self.slot.replace(Terms(self.holder, token, until).to_json(), generation)

    def _is_over(self, found: Terms) -> bool:
        return self.clock.now() >= found.until + SKEW

    def _held(self, found: Terms) -> LeaseHeld:
        free = found.until + SKEW
        return LeaseHeld(
            f"another instance works on these backups: {found.holder}, until"
            f" {found.until:%Y-%m-%d %H:%M:%S} UTC or longer",
            hint="Nothing was changed. Two that are filled from the same backups part ways: stop"
            f" that one, and start again after {free:%H:%M} UTC. Is it gone for good? Then remove"
            f" {self.slot.name}, and start again.",
        )

    def _lost(self, found: Terms | None) -> LeaseLost:
        who = f"{found.holder} has taken it" if found else "it is gone"
        return LeaseLost(
            f"the lease {self.slot.name} is not ours any more: {who}",
            hint="What is here is not backed up there any more. Find out which instance is the"
            " right one, and stop the other.",
        )
