"""What is migrated, under which settings, and how it must end."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from .seat import Shape

PRICES = "ALTER TABLE books ADD COLUMN price numeric NOT NULL DEFAULT 7.5"
INVOICES = (
    'CREATE TABLE invoices AS SELECT id AS "order", book, 7.5 AS total FROM orders;'
    " UPDATE orders SET note = upper(note)"
)
RUIN = "ALTER TABLE books DROP COLUMN subtitle CASCADE; DELETE FROM orders WHERE id % 3 = 0"
LOSS = "DELETE FROM orders"
PAUSE = "SELECT pg_sleep(0.25)"
FOR_EVER = "SELECT pg_sleep(600)"
ERROR = "SELECT 1 / 0"

DONE, FAILED, INTERRUPTED, UNPROVEN, TOO_LONG, REFUSED = 0, 20, 21, 22, 23, 17


@dataclass(frozen=True)
class Scenario:
    """One migration under one set of settings."""

    name: str
    steps: tuple[str, ...]
    """Each is a transaction of its own."""
    last: str = ""
    """What the migration does in the end, where that is no success."""
    code: int = DONE
    """What an undisturbed guard ends with."""
    settings: Mapping[str, str] = field(default_factory=dict)
    shape: Shape = field(default_factory=Shape)
    stranger: bool = False
    """Somebody from outside the project is on the database."""

    @property
    def good(self) -> bool:
        """The migration is to be committed."""
        return self.code == DONE

    @property
    def environment(self) -> dict[str, str]:
        """Set the guard's variables."""
        words = ["psql", "-qX", "-v", "ON_ERROR_STOP=1"]
        for step in (*self.steps, self.last):
            words += ["-c", step] if step else []
        return {"MIGSAFE_MIGRATE": json.dumps(words), **self.settings}


NEVER = {"MIGSAFE_RESTORE_POINT": "never"}
BAD = (RUIN, PAUSE)

SCENARIOS = (
    Scenario("good", (PRICES, PAUSE, INVOICES)),
    Scenario("bad", BAD, ERROR, FAILED),
    Scenario("at-once", (PAUSE,), ERROR, FAILED),
    Scenario("hangs", (RUIN,), FOR_EVER, TOO_LONG, {"MIGSAFE_DEADLINE": "2s"}),
    Scenario("loses", (LOSS,), code=UNPROVEN),
    Scenario("loads", BAD, ERROR, FAILED, NEVER),
    Scenario("archive", BAD, ERROR, FAILED, {**NEVER, "MIGSAFE_FORMAT": "archive"}),
    Scenario("lent", BAD, ERROR, FAILED, shape=Shape("poor")),
    Scenario(
        "apart",
        (PRICES, PAUSE, INVOICES),
        settings={"MIGSAFE_CHECK": "psql -qXc 'TABLE invoices'"},
        shape=Shape(apart=True),
    ),
    Scenario(
        "unproven",
        (PRICES, PAUSE, INVOICES),
        code=UNPROVEN,
        settings={"MIGSAFE_CHECK": "psql -qXc 'TABLE nowhere'"},
    ),
    Scenario(
        "resumes", BAD, ERROR, FAILED, {"MIGSAFE_AFTER_FAILURE": "resume"}, shape=Shape(apart=True)
    ),
    Scenario(
        "strict",
        (PRICES,),
        code=REFUSED,
        settings={"MIGSAFE_FENCE": "strict"},
        stranger=True,
    ),
    Scenario(
        "stranger",
        BAD,
        ERROR,
        FAILED,
        stranger=True,
    ),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
