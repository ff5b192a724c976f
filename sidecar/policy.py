"""What the operator decided beforehand: the settings, as the stories need them."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from sidecar.backups import Format
from sidecar.proof import LossPolicy
from sidecar.recipe import Wishes


class Fence(StrEnum):
    """Who is kept out while the database is migrated."""

    SERVICES = "services"
    STRICT = "strict"
    TERMINATE = "terminate"
    NONE = "none"


class RestorePoint(StrEnum):
    """Whether a clone on the server is made before migrating."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"
    KEEP = "keep"
    """As ``auto``; after a success it stays until the next one, for ``rollback``."""


class AfterFailure(StrEnum):
    """What happens to the services that were stopped, after a failure."""

    HOLD = "hold"
    RESUME = "resume"


@dataclass(frozen=True)
class Policy:
    """What the operator decided beforehand."""

    wishes: Wishes = field(default_factory=Wishes)
    assertions: tuple[str, ...] = ()
    format: Format = Format.SQL
    restore_point: RestorePoint = RestorePoint.AUTO
    deadline: timedelta = timedelta(hours=1)
    wait: timedelta = timedelta(seconds=60)
    fence: Fence = Fence.SERVICES
    loss: LossPolicy = field(default_factory=LossPolicy)
    after_failure: AfterFailure = AfterFailure.HOLD
    initialise: bool = False
    refill: bool = False
    """A database that comes up empty is filled from the newest backup: RAM mode."""
    keep: timedelta = timedelta(days=7)
