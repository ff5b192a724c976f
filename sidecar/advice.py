"""From how it ended to what the operator reads: what happened, is my data safe, what to type."""

import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from sidecar.backups import Backup, Format
from sidecar.errors import (
    MigsafeError,
    NeedsOperatorError,
    NothingChangedError,
    RolledBackError,
)
from sidecar.facts import Place
from sidecar.plan import Phase, Run

WIDTH = 100
LINES = 15
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


def card(facts: Facts) -> list[str]:
    """Write the card: at most 15 lines of at most 100 columns."""
    error = facts.error
    if error is None:
        lines = list(_success(facts))
    elif isinstance(error, RolledBackError):
        lines = list(_rolled_back(facts, error))
    elif isinstance(error, NeedsOperatorError):
        lines = list(_needs_operator(facts, error))
    else:
        lines = list(_not_started(error))
    return [part for line in lines for part in _fit(line)][: LINES - 2]


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


def by_hand(facts: Facts) -> Iterator[str]:
    """Write the commands that load the backup without migsafe."""
    backup = Backup.parse(str(facts.run.named("backup"))) if facts.run else None
    place = facts.place
    if backup is None or place is None or place.database_service is None:
        return
    docker, service = compose(place), place.database_service
    name, user = shlex.quote(f"{facts.database}_restored"), shlex.quote(facts.owner)
    file = shlex.quote(_backups(place, backup.name))
    yield f"{docker} exec -T {service} createdb -U {user} -T template0 {name}"
    if backup.format is Format.SQL:
        yield f"{docker} exec -T {service} psql -v ON_ERROR_STOP=1 -U {user} -d {name} < {file}"
    else:
        yield f"zstd -dc {file} | {docker} exec -T {service} pg_restore -e -U {user} -d {name}"


def _success(facts: Facts) -> Iterator[str]:
    run = facts.run
    if run is None:
        return
    yield "✓ migrated and proven"
    new = len(run.detail.get("versions_after", ())) - len(
        run.detail.get("look", {}).get("ledger", {}).get("versions", ())
    )
    if new > 0:
        yield _item("ledger", f"{new} migrations applied")
    yield _item("backup", _backups(facts.place, str(run.named("backup"))))


def _rolled_back(facts: Facts, error: MigsafeError) -> Iterator[str]:
    run = facts.run
    yield from _headline(error)
    if run is None:
        return
    kept = run.named("kept") if run.phase is Phase.ROLLED_BACK else None
    yield _item("data", _state(run))
    yield _item("app", _app_state(facts, run))
    if kept:
        yield _item("kept", f"the failed database, closed, as {kept!r}")
    if facts.caution:
        yield _item("note", facts.caution)
    tail = [line for line in run.failure.tail if line.strip()]
    if tail:
        yield _item("output", tail[-1])
    yield from _next(facts, run)


def _next(facts: Facts, run: Run) -> Iterator[str]:
    docker = compose(facts.place)
    me = facts.place.service if facts.place else "migsafe"
    command = shlex.join(run.key.command)
    yield _item("all output", f"{docker} logs {me}")
    yield _item("fixed", f"{docker} up -d   (with a fixed image)")
    if facts.good and facts.place:
        pinned = compose(facts.place, [_backups(facts.place, PIN_FILE)])
        yield _item("go back", f"{pinned} up -d")
    yield _item("try again", f"{docker} run --rm {me} retry && {docker} up -d")
    yield _item("by hand", f"{docker} run --rm --no-deps {facts.service} {command}")
    for label, line in zip(("no migsafe", ""), by_hand(facts), strict=False):
        yield _item(label, line)


def _needs_operator(facts: Facts, error: MigsafeError) -> Iterator[str]:
    yield from _headline(error)
    yield _item("app", "not started, and must not be: do not use `restart` or `--no-deps`")
    run = facts.run
    if run is not None and run.named("backup"):
        yield _item("backup", f"{_backups(facts.place, str(run.named('backup')))} is whole")
    yield from _hint(error)
    for label, line in zip(("by hand", ""), by_hand(facts), strict=False):
        yield _item(label, line)


def _not_started(error: MigsafeError) -> Iterator[str]:
    yield from _headline(error)
    state = "nothing was changed" if isinstance(error, NothingChangedError) else "not touched"
    yield _item("data", state)
    yield _item("app", "not started by this run")
    yield from _hint(error)


def _headline(error: MigsafeError) -> Iterator[str]:
    lines = [
        part
        for line in error.message.splitlines()
        for part in textwrap.wrap(line, WIDTH - 4) or [""]
    ]
    yield f"✗ {lines[0]}"
    yield from (f"  {line}" for line in lines[1:6])


def _hint(error: MigsafeError) -> Iterator[str]:
    for number, line in enumerate(textwrap.wrap(error.hint, WIDTH - 14)):
        yield _item("" if number else "next", line)


def _item(label: str, text: str) -> str:
    return f"  {label:<10} {text}"


def _fit(line: str) -> list[str]:
    """Break a line that is too long where a shell would let one break it."""
    if len(line) <= WIDTH:
        return [line]
    cut = line.rfind(" ", 14, WIDTH - 2)
    if cut < 0:
        return [line[:WIDTH]]
    return [f"{line[:cut]} \\", *_fit(" " * 13 + line[cut:])]


def _state(run: Run) -> str:
    if run.phase is Phase.UNCHANGED:
        return "as it was: the migration had not written anything"
    return "as it was before the migration: put back and proven"


def _app_state(facts: Facts, run: Run) -> str:
    if not run.stopped:
        return f"{facts.service!r} is not started"
    return f"{facts.service!r} is not started; stopped, and left stopped: {', '.join(run.stopped)}"


def _backups(place: Place | None, name: str) -> str:
    """Name a file in the folder of backups as the operator finds it on the host."""
    if place is None or place.backups is None:
        return name
    if not place.backups.startswith("/"):
        return f"{name} (in volume {place.backups})"
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
