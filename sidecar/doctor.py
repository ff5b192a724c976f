"""What would defeat the promise: found by looking at the whole stack. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sidecar.facts import Look
from sidecar.preflight import Space, complaints, mega, no_restore_point

CLOCK_SECONDS = 60
"""So far may the clocks of migsafe and of the server be apart."""

SAME_DISK = 64 << 20
"""Two places with as much room, to so many bytes, are on one disk."""

_MUTABLE = frozenset({"latest", "master", "main", "edge", "nightly", "stable", "dev"})
_MIGRATES = re.compile(
    r"\bmigrate\b|db:migrate|db:prepare|upgrade heads?\b|migrate deploy|db:setup", re.IGNORECASE
)
_PART_OF_A_DUMP = re.compile(r"\bpg_dump\b[^|;&]*\s(-n\b|--schema[= ]|-t\b|--table[= ])")
_SCHEDULE = re.compile(r"\bschedule\b")
_PIPED_DUMP = re.compile(r"\bpg_dump(all)?\b[^;&|]*\|(?!\|)")


class Weight(StrEnum):
    """How much a finding matters."""

    BROKEN = "broken"
    """The promise does not hold."""
    RISKY = "risky"
    """It holds until something else goes wrong."""
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    weight: Weight
    what: str
    why: str
    change: str
    """Exactly what to do about it."""


@dataclass(frozen=True)
class Neighbour:
    """One service of the project."""

    service: str
    image: str
    command: str
    """Entrypoint and command, as one text."""
    uses: bool
    """It uses the database."""
    waits: bool
    """It waits for the guard to have completed."""
    ours: bool = False
    """It runs migsafe."""
    database: bool = False
    """It runs the database's server."""
    restart: str = "no"
    running: bool = True


@dataclass(frozen=True)
class Stack:
    """Everything that is looked at."""

    guard: str
    """Name of the guard's own service."""
    app: str
    neighbours: tuple[Neighbour, ...]
    look: Look
    space: Space
    backups_free: int
    backups_type: str
    """Of the file system that the folder of backups is on, such as ``ext4``."""
    code_mounts: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    """What keeps the client programs from being used."""
    vault: tuple[str, ...] = ()
    """What keeps a backup from being written."""
    clock_off: float = 0.0
    """Seconds that the server's clock is ahead of ours."""
    encrypts: bool = False
    """Backups are encrypted."""
    unreadable: str | None = None
    """Why backups can't be read here, where they can't."""
    key_beside: bool = False
    """The private key is in the folder of the backups that it opens."""
    stores: tuple[str, ...] = ()
    """Names of the stores away from here."""
    broken_stores: tuple[str, ...] = ()
    """What keeps them from being used."""
    behind: tuple[str, ...] = ()
    """What they lack."""
    copies_required: bool = False
    growth: float | None = None
    """Bytes a day that the database grows by, as its backups tell."""
    untold: tuple[str, ...] = ()
    """Who would not be told of a failure, and why."""
    in_memory: bool = False
    """The server keeps its data in memory."""
    here: bool = True
    """The server is a container of this engine: nobody else backs its disk up."""
    fills: bool = False
    """An empty database is filled from a backup (`MIGSAFE_EMPTY=restore`)."""
    initialises: bool = False
    """An empty database is taken for a new one (`MIGSAFE_EMPTY=initialise`)."""

    @property
    def scheduled(self) -> bool:
        """A service that runs takes backups between two migrations."""
        ours = (each for each in self.neighbours if each.ours and each.running)
        return any(_SCHEDULE.search(each.command) for each in ours)


def examine(stack: Stack) -> tuple[Finding, ...]:
    """Find everything that would defeat the promise, the worst first."""
    found = [
        *_around_the_gate(stack),
        *_no_way_back(stack),
        *_images(stack),
        *_other_backups(stack),
        *_between_migrations(stack),
        *_where_backups_are(stack),
        *_who_can_read_them(stack),
        *_the_rest(stack),
    ]
    return tuple(sorted(found, key=lambda finding: list(Weight).index(finding.weight)))


def sound(findings: tuple[Finding, ...]) -> bool:
    """Tell whether nothing stands in the way of the promise."""
    return all(finding.weight is not Weight.BROKEN for finding in findings)


def _around_the_gate(stack: Stack) -> Iterator[Finding]:
    for each in stack.neighbours:
        if each.uses and not each.waits and not (each.ours or each.database):
            yield Finding(
                Weight.BROKEN,
                f"{each.service} uses the database and does not wait for {stack.guard}",
                "it starts on a database that is being migrated, or was put back",
                f"give {each.service} `depends_on: {stack.guard}: condition:"
                " service_completed_successfully`",
            )
        if each.service == stack.guard and each.restart not in {"", "no"}:
            yield Finding(
                Weight.BROKEN,
                f"{stack.guard} restarts by itself ({each.restart})",
                "a refusal becomes a loop, and the gate never closes",
                f'give {stack.guard} `restart: "no"`',
            )
        if each.waits and _MIGRATES.search(each.command):
            yield Finding(
                Weight.RISKY,
                f"{each.service} migrates at its own start: {each.command[:60]}",
                "what the gate has put back is migrated again, without a backup",
                f"take the migration out of the command of {each.service}: migsafe runs it",
            )
    yield Finding(
        Weight.NOTE,
        f"`docker compose restart {stack.app}` and `up --no-deps` go past the gate",
        "Compose looks at no dependency then",
        "use `docker compose up -d`",
    )


def _no_way_back(stack: Stack) -> Iterator[Finding]:
    reason = no_restore_point(stack.look, stack.space)
    for complaint in (
        *complaints(stack.look, stack.space, clone=reason is None),
        *stack.tools,
        *stack.vault,
    ):
        yield Finding(
            Weight.BROKEN,
            complaint,
            "the guard refuses to migrate: a rollback would not be possible",
            "mend it before the next update",
        )
    if reason:
        yield Finding(
            Weight.RISKY,
            f"no restore point can be made: {reason}",
            "a rollback has to load the backup, which takes as long as that takes",
            "make room where the server keeps its data, or accept it",
        )


def _images(stack: Stack) -> Iterator[Finding]:
    for each in stack.neighbours:
        if each.waits and _is_mutable(each.image):
            yield Finding(
                Weight.RISKY,
                f"{each.service} runs {each.image}, a tag that moves",
                "the image before an update has no name to go back to, but the pin that migsafe"
                " writes",
                f"name a version: `image: {each.image.rpartition(':')[0] or each.image}:VERSION`",
            )


def _is_mutable(image: str) -> bool:
    if "@sha256:" in image or image.startswith("sha256:"):
        return False
    name, colon, tag = image.rpartition(":")
    return not colon or "/" in tag or not name or tag in _MUTABLE


def _other_backups(stack: Stack) -> Iterator[Finding]:
    for each in stack.neighbours:
        if _PART_OF_A_DUMP.search(each.command):
            yield Finding(
                Weight.RISKY,
                f"{each.service} dumps only a part of the database: {each.command[:60]}",
                "such a dump lacks extensions, and can't be restored alone",
                "leave out --schema and --table, or let `migsafe backup` do it",
            )
        if _PIPED_DUMP.search(each.command) and "pipefail" not in each.command:
            yield Finding(
                Weight.RISKY,
                f"{each.service} pipes pg_dump without `set -o pipefail`",
                "an empty file counts as a backup when pg_dump fails",
                "add `set -o pipefail`, or let `migsafe backup` do it",
            )


def _between_migrations(stack: Stack) -> Iterator[Finding]:
    if stack.initialises:
        yield Finding(
            Weight.BROKEN if stack.in_memory else Weight.RISKY,
            "an empty database is taken for a new one (MIGSAFE_EMPTY=initialise)",
            "one that was lost is migrated from nothing, and the app starts on it",
            "take the setting out: it is for the very first start",
        )
    elif stack.in_memory and not stack.fills:
        yield Finding(
            Weight.RISKY,
            "the database is kept in memory, and an empty one is not filled",
            "after a reboot the guard refuses to start the app until somebody restores by hand",
            "set MIGSAFE_EMPTY=restore: docs/ram-mode.md says what comes with it",
        )
    if stack.in_memory and not stack.scheduled:
        yield Finding(
            Weight.BROKEN,
            "the database is kept in memory, and no `migsafe schedule` runs to back it up",
            "a reboot takes everything that was written since the last backup",
            "add `migsafe-backups`: docs/ram-mode.md shows it",
        )
    elif stack.here and not (stack.scheduled or _others_back_up(stack)):
        yield Finding(
            Weight.NOTE,
            "no `migsafe schedule` runs, and no other service is seen to back the database up",
            "what breaks the server's disk takes everything that was written since the last backup",
            "add `migsafe-backups`: docs/backups.md shows it",
        )


def _others_back_up(stack: Stack) -> bool:
    words = ("pg_dump", "backup", "wal-g", "pgbackrest", "barman")
    others = (f"{each.image} {each.command}" for each in stack.neighbours if not each.ours)
    return any(word in other.lower() for other in others for word in words)


def _where_backups_are(stack: Stack) -> Iterator[Finding]:
    if stack.backups_type in {"tmpfs", "ramfs"}:
        yield Finding(
            Weight.BROKEN,
            "the folder of backups is in memory",
            "a reboot takes the backups with it",
            "mount a folder or a volume at /backups",
        )
    elif (
        stack.space.server is not None and abs(stack.space.server - stack.backups_free) < SAME_DISK
    ):
        left, more = (
            (", and leaves what is in the stores", "")
            if stack.stores
            else ("", ", or copy them elsewhere")
        )
        yield Finding(
            Weight.NOTE if stack.stores else Weight.RISKY,
            "the backups seem to be on the same disk as the data",
            f"one broken disk takes both{left}",
            f"mount a folder of another disk at /backups{more}",
        )
    yield from _away(stack)
    if stack.growth and stack.space.server is not None:
        days = max(stack.space.server - 2 * stack.look.size, 0) / stack.growth
        if days < 30:  # noqa: PLR2004 - a month
            yield Finding(
                Weight.RISKY,
                f"the server's disk has room for a restore point for {days:.0f} days more"
                f" ({mega(int(stack.growth))} a day)",
                "then a rollback has to load the backup, and later the guard refuses",
                "make room where the server keeps its data",
            )


def _who_can_read_them(stack: Stack) -> Iterator[Finding]:
    if not stack.encrypts:
        yield Finding(
            Weight.NOTE,
            "backups are not encrypted",
            "who can read the folder, or a place that it is copied to, reads the data",
            "set MIGSAFE_ENCRYPT_TO to a public key, where backups leave this machine",
        )
    elif stack.unreadable:
        yield Finding(
            Weight.RISKY,
            stack.unreadable,
            "a rollback has the restore point and nothing else, and `verify` compares checksums",
            "mount the key, read-only, and name it in MIGSAFE_IDENTITY_FILE; or accept it",
        )
    if stack.key_beside:
        yield Finding(
            Weight.RISKY,
            "the private key lies in the folder of the backups that it opens",
            "who gets at the one has the other",
            "mount it from elsewhere, as a secret of Compose for example",
        )


def _away(stack: Stack) -> Iterator[Finding]:
    if not stack.stores:
        yield Finding(
            Weight.NOTE,
            "every backup is on this machine",
            "what takes the machine takes the backups, too",
            "set MIGSAFE_STORES: docs/stores.md shows how",
        )
    for complaint in stack.broken_stores:
        yield Finding(
            Weight.BROKEN if stack.copies_required else Weight.RISKY,
            complaint,
            "the guard refuses to migrate"
            if stack.copies_required
            else "backups stay on this machine alone",
            "mend it, then `migsafe copy`",
        )
    for complaint in stack.behind if not stack.broken_stores else ():
        yield Finding(
            Weight.RISKY,
            complaint,
            "these backups are on this machine alone",
            "bring them there: `migsafe copy`",
        )


def _the_rest(stack: Stack) -> Iterator[Finding]:
    if abs(stack.clock_off) > CLOCK_SECONDS:
        yield Finding(
            Weight.RISKY,
            f"the server's clock is {stack.clock_off:+.0f} s off",
            "backups are named and deleted by time",
            "synchronise the clocks of both",
        )
    for complaint in stack.untold:
        yield Finding(
            Weight.RISKY,
            f"a message would not go out: {complaint}",
            "a failure is found on the day when a backup is needed",
            "correct MIGSAFE_NOTIFY; `doctor --tell` sends a message to try it",
        )
    if stack.code_mounts:
        yield Finding(
            Weight.NOTE,
            f"code of the host is mounted: {', '.join(stack.code_mounts)}",
            "the image's id says nothing about it: the framework's own check decides at every up",
            "nothing, on a machine for development; elsewhere build the code into the image",
        )


def lines(findings: tuple[Finding, ...]) -> list[str]:
    """Write the findings for people."""
    marks: Mapping[Weight, str] = {Weight.BROKEN: "✗", Weight.RISKY: "!", Weight.NOTE: "·"}
    found = []
    for finding in findings:
        found += [
            f"{marks[finding.weight]} {finding.what}",
            f"    why     {finding.why}",
            f"    change  {finding.change}",
        ]
    return [*found, "✓ sound" if sound(findings) else "✗ not sound"]
