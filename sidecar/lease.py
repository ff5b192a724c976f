"""
One instance at a time on one place of backups: two that were filled from it would part ways.

A lease is a small text in that place: who holds it, and until when. It is replaced only by who has
read what it replaces, so of two that come at once one is refused. The same holder takes it again at
once: after a loss of power it is the instance that it was. Another waits until it has run out.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TypeVar

from sidecar.backup_ports import Conflict, Slot
from sidecar.errors import LeaseHeld, LeaseLost, StoreFailed
from sidecar.ports import Clock

T = TypeVar("T")

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
        Take the lease, or take it again.

        Returns:
            The token to release it with: of this act of taking, and no other.

        Raises:
            LeaseHeld: another instance has it.
            StoreFailed: it can't be read or written.

        """
        for _ in range(TRIES):
            found, generation = self._read()
            self._refuse_held(found)
            token = self.new_token()
            if self._write(token, seconds, generation):
                return token
            # somebody was quicker: look who
        raise self._restless()

    def check(self) -> None:
        """
        Ask who has it, and write nothing.

        Raises:
            LeaseHeld: another instance has it.
            StoreFailed: it can't be read.

        """
        found, _ = self._read()
        self._refuse_held(found)

    def renew(self, seconds: float = SECONDS) -> None:
        """
        Hold it for longer, whichever run of this instance has taken it.

        Raises:
            LeaseLost: another instance has taken it since: what is here is no longer the only one.
            StoreFailed: it can't be read or written.

        """
        for _ in range(TRIES):
            found, generation = self._read()
            if found is None or found.holder != self.holder:
                raise self._lost(found)
            if self._write(found.token, seconds, generation):
                return
        raise self._restless()

    def release(self, token: str) -> None:
        """
        Let others have it at once; does nothing where somebody has taken it since.

        Raises:
            StoreFailed: it can't be read or written.

        """
        found, generation = self._read()
        if found is not None and (found.holder, found.token) == (self.holder, token):
            self._write(token, -SKEW.total_seconds(), generation)

    # --- helpers

    def _read(self) -> tuple[Terms | None, str]:
        with self._named():
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

    def _write(self, token: str, seconds: float, generation: str) -> bool:
        """Write the terms down; tell whether nobody was quicker."""
        until = self.clock.now() + timedelta(seconds=seconds)
        terms = Terms(self.holder, token, until)
        try:
            with self._named():
                self.slot.replace(terms.to_json(), generation)
        except Conflict:
            return False
        return True

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say of a failure that it was the lease's, and where that is."""
        try:
            yield
        except StoreFailed as error:
            error.locate(f"the lease {self.slot.name}")
            raise

    def _restless(self) -> StoreFailed:
        return StoreFailed(f"the lease {self.slot.name} changes all the time")

    def _refuse_held(self, found: Terms | None) -> None:
        if found is not None and found.holder != self.holder and not self._is_over(found):
            raise self._held(found)

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


class Leases:
    """The leases of every place from which another instance could be filled: all, or none."""

    def __init__(self, open_leases: Callable[[], Sequence[SlotLease]]) -> None:
        """
        Put them together.

        Args:
            open_leases: opens them, when they are needed first, in an order that is the same
                everywhere: of two that come at once one gets all.

        """
        self._open = open_leases

    @cached_property
    def leases(self) -> Sequence[SlotLease]:
        """One for each place."""
        return self._open()

    def take(self) -> str:
        """
        Take every one.

        What was taken before one is refused is kept: it may have been ours all along. One that is
        silent does not hide that another is held.

        Raises:
            LeaseHeld: another instance has one of them.
            StoreFailed: one can't be read or written, and of the others none is held.

        """
        return " ".join(self._each(SlotLease.take))

    def check(self) -> None:
        """Ask without taking; raises as ``take``."""
        self._each(SlotLease.check)

    def _each(self, act: Callable[[SlotLease], T]) -> list[T]:
        done, silent = list[T](), list[StoreFailed]()
        for lease in self.leases:
            try:
                done.append(act(lease))
            except StoreFailed as error:
                silent.append(error)
        if silent:
            raise silent[0]
        return done

    def renew(self) -> None:
        """Hold every one for longer, whichever is silent; raises LeaseLost or StoreFailed."""
        self._each(SlotLease.renew)

    def release(self, token: str) -> None:
        """Let others have every one; raises StoreFailed."""
        for lease, each in zip(self.leases, token.split(), strict=True):
            lease.release(each)
