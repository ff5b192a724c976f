"""From how it ended to what the operator reads: what happened, is my data safe, what to type."""

import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from sidecar.backups import Backup, Format
from sidecar.errors import (
    MigrationInterrupted,
    MigsafeError,
    NeedsOperatorError,
    RolledBackError,
)
from sidecar.facts import Place
from sidecar.plan import Phase, Run

WIDTH = 100
LINES = 15
"""With the rule that is drawn above the card."""
DEFAULT_FILES = (
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
)
PIN_FILE = "compose.pin.yml"
_ERROR = re.compile(r"error|exception|fail|fatal|denied|not found", re.IGNORECASE)


@dataclass(frozen=True)
class Facts:
    """What the card is written from; what is not known is None."""

    error: MigsafeError | None = None
    place: Place | None = None
    service: str = "app"
    database: str = ""
    owner: str = "postgres"
    """A role that may load a backup by hand."""
    run: Run | None = None
    good: Mapping[str, str] = field(default_factory=dict)
    """The images that belong to the data, by service."""
    caution: str = ""


@dataclass(frozen=True)
class Item:
    """One thing on the card. Those of more weight are the first to be left out."""

    label: str
    text: str
    weight: int = 0

    def lines(self) -> list[str]:
        """Lay it out within the width."""
        head = f"  {self.label:<10} " if self.label else ""
        return textwrap.wrap(
            self.text,
            WIDTH,
            initial_indent=head,
            subsequent_indent=" " * (len(head) or 2),
            break_on_hyphens=False,
            max_lines=4,
            placeholder=" …",
        )


class Command(Item):
    """Something to type: it breaks only where a shell lets it, and nothing of it is left out."""

    def lines(self) -> list[str]:
        """Lay it out within the width, with a backslash where it goes on."""
        words = self.text.split(" ")
        lines, line = [], f"  {self.label:<10}"
        for word in words:
            if len(line) + len(word) + 3 > WIDTH and line.strip():
                lines.append(f"{line} \\")
                line = " " * 14
            line = f"{line} {word}"
        return [*lines, line]


def card(facts: Facts) -> list[str]:
    """Write the card: at most 14 lines of at most 100 columns, what matters least is left out."""
    error = facts.error
    if error is None:
        items = list(_success(facts))
    elif isinstance(error, RolledBackError):
        items = list(_rolled_back(facts, error))
    elif isinstance(error, NeedsOperatorError):
        items = list(_needs_operator(facts, error))
    else:
        items = list(_not_started(facts, error))
    return _fit(items)


def pin(good: Mapping[str, str]) -> str:
    """Write a compose override that pins the images that belong to the data."""
    lines = ["# written by migsafe: the images that last ran with this data", "services:"]
    for service, image in sorted(good.items()):
        lines += [f"  {service}:", f"    image: {image}", "    pull_policy: never"]
    return "\n".join(lines) + "\n"


def compose(place: Place | None, files: Sequence[str] = ()) -> str:
    """Write ``docker compose`` with the options that the operator's project needs."""
    if place is None:
        return "docker compose"
    used = [_shown(file, place) for file in place.config_files]
    words = ["docker", "compose"]
    if place.project != _default_project(place):
        words += ["-p", place.project]
    if files or any(file not in DEFAULT_FILES for file in used):
        for file in (*used, *files):
            words += ["-f", file]
    return shlex.join(words)


def short(place: Place | None) -> tuple[str, str | None]:
    """Write ``docker compose`` short, with the line that makes it so where it is long."""
    whole = compose(place)
    if len(whole) <= len("docker compose -p project"):
        return whole, None
    return "dc", f"alias dc={shlex.quote(whole)}"


def by_hand(facts: Facts) -> Iterator[str]:
    """Write the commands that load the backup without migsafe."""
    backup = Backup.parse(str(facts.run.named("backup"))) if facts.run else None
    place = facts.place
    if backup is None or place is None or place.database_service is None:
        return
    (docker, _), service = short(place), place.database_service
    name, user = shlex.quote(f"{facts.database}_restored"), shlex.quote(facts.owner)
    yield f"{docker} exec -T {service} createdb -U {user} -T template0 {name}"
    if backup.format is Format.ARCHIVE:
        load = f"{docker} exec -T {service} pg_restore -e -U {user} -d {name}"
        yield f"{_read(place, backup.name)} | zstd -d | {load}"
        return
    load = f"{docker} exec -T {service} psql -v ON_ERROR_STOP=1 -U {user} -d {name}"
    if _on_host(place):
        yield f"{load} < {shlex.quote(_backups(place, backup.name))}"
    else:
        yield f"{_read(place, backup.name)} | {load}"


def _read(place: Place, name: str) -> str:
    """Write a command that prints a file of the folder of backups, wherever that is."""
    if _on_host(place):
        return f"cat {shlex.quote(_backups(place, name))}"
    docker, _ = short(place)
    volume = f"-v {place.backups}:/b --entrypoint cat {place.database_service or place.service}"
    return f"{docker} run --rm --no-deps -T {volume} /b/{shlex.quote(name)}"


def go_back(place: Place) -> str:
    """Write the command that starts the images that belong to the data."""
    docker, alias = short(place)
    pin_file = _backups(place, PIN_FILE) if _on_host(place) else PIN_FILE
    pinned = f"{docker} -f {pin_file}" if alias else compose(place, [pin_file])
    fetch = "" if _on_host(place) else f"{_read(place, PIN_FILE)} > {PIN_FILE} && "
    return f"{fetch}{pinned} up -d"


def _on_host(place: Place) -> bool:
    return place.backups is not None and place.backups.startswith("/")


# --- what is on the card, by how it ended


def _success(facts: Facts) -> Iterator[Item]:
    run = facts.run
    if run is None:
        return
    yield Item("", "✓ migrated and proven")
    before = run.detail.get("look", {}).get("ledger", {}).get("versions", ())
    new = len(run.detail.get("versions_after", ())) - len(before)
    if new > 0:
        yield Item("ledger", f"{new} migration{'s' if new > 1 else ''} applied")
    yield Item("backup", _backups(facts.place, str(run.named("backup"))))


def _rolled_back(facts: Facts, error: MigsafeError) -> Iterator[Item]:
    run = facts.run
    yield Item("", f"✗ {error.message}")
    if run is None:
        return
    yield Item("data", _state(run))
    yield Item("app", f"{facts.service!r} is not started{_left_stopped(facts)}")
    if run.phase is Phase.ROLLED_BACK and run.named("kept"):
        yield Item("kept", f"the failed database, closed, as {run.named('kept')!r}")
    if said := _telling(run.failure.tail):
        yield Item("output", said)
    yield from _next(facts, run)
    if facts.caution:
        yield Item("note", facts.caution, weight=3)


def _next(facts: Facts, run: Run) -> Iterator[Item]:
    docker, alias = short(facts.place)
    if alias:
        yield Command("first", alias)
    me = facts.place.service if facts.place else "migsafe"
    command = shlex.join(run.key.command)
    yield Command("all of it", f"{docker} logs {me}", weight=2)
    interrupted = run.failure.code == MigrationInterrupted.exit_code
    if not interrupted:
        yield Command("fixed", f"{docker} up -d   # with a fixed image")
    if facts.good and facts.place:
        yield Command("go back", go_back(facts.place))
    again = "" if interrupted else f"{docker} run --rm {me} retry && "
    yield Command("try again", f"{again}{docker} up -d")
    yield Command("yourself", f"{docker} run --rm --no-deps {facts.service} {command}", weight=1)
    for label, line in zip(("no migsafe", ""), by_hand(facts), strict=False):
        yield Command(label, line)


def _needs_operator(facts: Facts, error: MigsafeError) -> Iterator[Item]:
    yield Item("", f"✗ {error.message}")
    never = "not started, and must not be: do not use `restart` or `--no-deps`"
    yield Item("app", f"{never}{_left_stopped(facts)}")
    run = facts.run
    if run is not None and run.named("backup"):
        yield Item("backup", f"{_backups(facts.place, str(run.named('backup')))} is whole")
    yield Item("next", error.hint)
    _, alias = short(facts.place)
    if alias and run is not None:
        yield Command("first", alias)
    for label, line in zip(("no migsafe", ""), by_hand(facts), strict=False):
        yield Command(label, line)


def _not_started(facts: Facts, error: MigsafeError) -> Iterator[Item]:
    for number, line in enumerate(error.message.splitlines()):
        yield Item("", f"{' ' if number else '✗'} {line}")
    yield Item("data", "nothing was changed")
    yield Item("app", f"not started by this run{_left_stopped(facts)}")
    yield Item("next", error.hint.removeprefix("Nothing was changed. "))


def _telling(lines: Sequence[str]) -> str | None:
    """Choose the line of the output that tells most: the last that speaks of an error."""
    spoken = [line.strip() for line in lines if line.strip()]
    errors = [line for line in spoken if _ERROR.search(line)]
    return next(reversed(errors or spoken), None)


def _state(run: Run) -> str:
    if run.phase is Phase.UNCHANGED:
        return "as it was: the migration had not written anything"
    return "as it was before the migration: put back and proven"


def _left_stopped(facts: Facts) -> str:
    if facts.run is None or not facts.run.stopped:
        return ""
    # Compose names containers after the project, which the operator knows
    prefix = f"{facts.place.project}-" if facts.place else ""
    stopped = ", ".join(name.removeprefix(prefix) for name in facts.run.stopped)
    return f"; stopped, and left stopped: {stopped}"


# --- how it is laid out, and how things are called


def _fit(items: Sequence[Item]) -> list[str]:
    for most in (3, 2, 1, 0):
        lines = [line for item in items if item.weight <= most for line in item.lines()]
        if len(lines) <= LINES - 1:
            break
    return lines


def _backups(place: Place | None, name: str) -> str:
    """Name a file in the folder of backups as the operator finds it on the host."""
    if place is None or place.backups is None:
        return name
    if not _on_host(place):
        return f"{name} in volume {place.backups}"
    return _shown(str(PurePosixPath(place.backups) / name), place)


def _shown(path: str, place: Place) -> str:
    """Shorten a path to what it is from the project's folder."""
    try:
        return str(PurePosixPath(path).relative_to(place.working_directory))
    except ValueError:
        return path


def _default_project(place: Place) -> str:
    """Tell what Compose calls a project that nobody has named: its folder, in lower case."""
    name = PurePosixPath(place.working_directory).name.lower()
    return "".join(c for c in name if c.isalnum() or c in "_-").lstrip("_-")
