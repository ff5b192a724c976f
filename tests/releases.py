"""Releases of an app that are built on one another, and what each makes of the database."""

from dataclasses import dataclass
from enum import StrEnum

from tests.fakes_data import BEFORE, CHANGES, Data
from tests.fakes_engine import Release
from tests.fakes_machine import Step

STAGES = ("invoices", "refunds", "coupons")
"""What the releases add, one after another."""


class Kind(StrEnum):
    """What becomes of a release's migration."""

    GOOD = "good"
    LATE = "fails after a commit"
    AT_ONCE = "fails at once"
    LOSES = "loses users"
    BAD = "dirty ledger"
    MEMORY = "out of memory"
    HANGS = "hangs"
    VANISHES = "vanishes"
    UNSTARTED = "does not start"


def _program(kind: Kind, stage: str) -> tuple[Step, ...]:
    first: tuple[Step, ...] = (("begin", f"adds {stage}"), ("commit",))
    second: tuple[Step, ...] = (("begin", f"fills {stage}"),)
    endings: dict[Kind, tuple[Step, ...]] = {
        Kind.GOOD: (*first, *second, ("commit",), ("exit", "0")),
        Kind.LATE: (*first, ("exit", "1")),
        Kind.AT_ONCE: (("exit", "1"),),
        Kind.LOSES: (("begin", "loses users"), ("commit",), ("exit", "0")),
        Kind.BAD: (("begin", "marks bad"), ("commit",), ("exit", "0")),
        Kind.MEMORY: (*first, *second, ("exit", "137", "oom")),
        Kind.HANGS: (*first, *second, ("hang",)),
        Kind.VANISHES: (*first, *second, ("vanish",)),
        Kind.UNSTARTED: (),
    }
    return endings[kind]


@dataclass(frozen=True)
class Image:
    """A release of one stage."""

    stage: int
    kind: Kind
    number: int

    @property
    def release(self) -> Release:
        """As the engine knows it."""
        known = ("1", "2", *(str(3 + n) for n in range(2 * (self.stage + 1))))
        refused = "no such file: rails" if self.kind is Kind.UNSTARTED else ""
        program = _program(self.kind, STAGES[self.stage])
        return Release(f"v{self.number}", program, known, refused=refused)

    @property
    def target(self) -> Data | None:
        """What the database holds once this was migrated; None where it never is."""
        if self.kind is not Kind.GOOD:
            return None
        data = BEFORE
        for stage in STAGES[: self.stage + 1]:
            data = CHANGES[f"fills {stage}"](CHANGES[f"adds {stage}"](data))
        return data
