"""From how it ended to what the operator reads: what happened, is my data safe, what to type."""

import re
import shlex
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sidecar import excerpt
from sidecar.backups import Backup
from sidecar.errors import (
    STARTS,
    UNCHANGED,
    BackupDamaged,
    DatabaseLost,
    Elsewhere,
    JournalDisagrees,
    KnownBad,
    LedgerAhead,
    MigrationInterrupted,
    MigsafeError,
    NeedsOperatorError,
    NothingChangedError,
    RollbackFailed,
    RolledBackError,
    RunCutOff,
)
from sidecar.facts import Place, kept_name, restored_name
from sidecar.plan import Phase, Run
from sidecar.shell import Plain, Shell

WIDTH = 100
LINES = 15
"""With the rule that is drawn above the card."""
LABEL = 14
"""Columns before the text."""
_NO_ROOM = re.compile(r"free on the server's volume|No space left")


@dataclass(frozen=True)
class Facts:
    """What the card is written from; what is not known is None."""

    error: MigsafeError | None = None
    place: Place | None = None
    service: str = "app"
    database: str = ""
    role: str = "postgres"
    """Who may load a backup by hand."""
    owner: str = ""
    run: Run | None = None
    good: Mapping[str, str] = field(default_factory=dict)
    """The images that belong to the data, by service."""
    caution: str = ""
    whole: str | None = None
    """The newest backup that was found whole, where the run's own is not."""
    kept: tuple[str, ...] = ()
    """Databases that were set aside and are still there, the oldest first."""
    bug: str = ""
    """A bug of ours, in one line."""
    outside: bool = False
    """Migsafe works without Docker, and so without Compose."""
    server: str = ""
    """Where it does: how a client program is told of the server."""
    folder: str = ""
    """And where the backups are."""
    restoring: str | None = None
    """An operator's command that puts data in place, where one was typed; empty if it can't be
    known how."""

    @property
    def shell(self) -> Shell:
        """Who writes the commands."""
        if self.outside:
            names = (self.service, self.database, self.role, self.owner)
            return Plain(None, *names, self.server, self.folder)
        return Shell(self.place, self.service, self.database, self.role, self.owner)

    @property
    def backup(self) -> Backup | None:
        """The backup to load by hand."""
        name = self.run and self.run.named("backup")
        if self.run is not None and self.run.detail.get("backup_lost"):
            name = self.whole
        return Backup.parse(name) if name else None


@dataclass(frozen=True)
class Item:
    """One thing on the card. Those of more weight are the first to be left out."""

    label: str
    text: str
    weight: int = 0

    def lines(self, most: int = 4) -> list[str]:
        """Lay it out within the width, in so many lines."""
        if most == 0:
            return []
        head = f"  {self.label:<10} " if self.label else ""
        return textwrap.wrap(
            self.text,
            WIDTH,
            initial_indent=head,
            subsequent_indent=" " * (len(head) or 2),
            break_on_hyphens=False,
            max_lines=most,
            placeholder=" …",
        )


class Quoted(Item):
    """What somebody else has said, line for line."""

    def lines(self, most: int = 4) -> list[str]:
        """Lay each line out within the width, the first ones first."""
        found: list[str] = []
        for number, text in enumerate(self.text.splitlines()):
            label = self.label if number == 0 else " "
            found += Item(label, text).lines(most - len(found))
        return found


class Command(Item):
    """Something to type: it breaks only where a shell lets it, and nothing of it is left out."""

    def lines(self, most: int = 4) -> list[str]:
        """Lay it out within the width, with a backslash where it goes on."""
        del most
        lines, line = [], f"  {self.label:<10}"
        for word in _words(self.text.lstrip()):
            if len(line) + len(word) + 3 > WIDTH and line.strip():
                lines.append(f"{line} \\")
                line = " " * LABEL
            line = f"{line} {word}"
        return [*lines, line]


def card(facts: Facts, redact: Callable[[str], str] = str) -> list[str]:
    """
    Write the card: at most 14 lines of at most 100 columns, what matters least is left out.

    Secrets are hidden before a text is laid out: a line may end in the middle of one. Commands are
    left as they are: they are made of names that Docker and the server show to everybody, and one
    that was changed would not work.
    """
    items = [*_items(facts)]
    if facts.shell.alias and any(_is_short(item) for item in items):
        first = next(number for number, item in enumerate(items) if isinstance(item, Command))
        items.insert(first, Command("first", facts.shell.alias))
    return _fit([_redacted(item, redact) for item in items])


def pin(good: Mapping[str, str]) -> str:
    """Write a compose override that pins the images that belong to the data."""
    lines = ["# written by migsafe: the images that last ran with this data", "services:"]
    for service, image in sorted(good.items()):
        lines += [f"  {service}:", f"    image: {image}", "    pull_policy: never"]
    return "\n".join(lines) + "\n"


def goes_back(error: MigsafeError | None) -> bool:
    """Tell whether the card has a way back to the images that belong to the data."""
    return isinstance(error, RolledBackError | KnownBad | LedgerAhead)


# --- what is on the card, by how it ended


def _items(facts: Facts) -> Iterable[Item]:
    match facts.error:
        case None if facts.bug:
            return _bug(facts)
        case None:
            return _success(facts)
        case NothingChangedError() as error if facts.restoring is not None:
            return _not_restored(facts, facts.restoring, error)
        case RolledBackError() as error:
            return _rolled_back(facts, error)
        case KnownBad() as error if facts.run is not None:
            return _known_bad(facts, facts.run, error)
        case JournalDisagrees() as error if facts.run is not None:
            return _disagrees(facts, facts.run, error)
        case NeedsOperatorError() as error:
            return _needs_operator(facts, error)
        case error:
            return _not_started(facts, error)


def _success(facts: Facts) -> Iterator[Item]:
    run = facts.run
    if run is None:
        return
    yield Item("", "✓ migrated and proven")
    before = run.detail.get("look", {}).get("ledger", {}).get("versions", ())
    new = len(run.detail.get("versions_after", ())) - len(before)
    if new > 0:
        yield Item("ledger", f"{new} migration{'s' if new > 1 else ''} applied")
    yield Item("backup", facts.shell.called(str(run.named("backup"))))
    if run.stopped:
        yield Item("services", f"the app may start{_left_stopped(facts)}")
        yield _again(facts)


def _rolled_back(facts: Facts, error: MigsafeError) -> Iterator[Item]:
    run = facts.run
    yield Item("", f"✗ {error.message}")
    if run is None:
        return
    yield Item("data", _state(run))
    yield Item("app", f"{facts.service!r} is not started{_left_stopped(facts)}")
    yield from _kept(run)
    if beyond := run.detail.get("beyond"):
        yield Item("not undone", f"{'; '.join(beyond)}: that is beyond the database")
    yield from _output(run)
    yield from _next(facts, run)
    if facts.caution:
        yield Item("note", facts.caution, weight=3)


def _known_bad(facts: Facts, run: Run, error: MigsafeError) -> Iterator[Item]:
    yield Item("", f"✗ {error.message}")
    yield Item("data", f"nothing was changed by this run; {_state(run)}")
    yield Item("app", f"{facts.service!r} is not started{_left_stopped(facts)}")
    yield from _kept(run)
    yield from _output(run)
    yield from _next(facts, run)


def _next(facts: Facts, run: Run) -> Iterator[Item]:
    shell = facts.shell
    interrupted = run.failure.code == MigrationInterrupted.exit_code
    if facts.outside:
        yield from _next_outside(facts, interrupted=interrupted)
        return
    yield Command("all of it", shell.logs(), weight=2)
    if not interrupted:
        yield Command("fixed", f"{shell.up()}   # with a fixed image")
    yield from _way_back(facts)
    yield Command("try again", shell.up() if interrupted else shell.retry())
    command = shlex.join(run.key.command)
    if command.isprintable():  # a script of many lines would be torn by the card's own
        yield Command("yourself", shell.yourself(run.key.command), weight=1)
    yield from _by_hand(facts)


def _next_outside(facts: Facts, *, interrupted: bool) -> Iterator[Item]:
    if interrupted:
        yield _again(facts, "try again")
    else:
        yield Item("fixed", "start a fixed release, as this one was started")
        yield Command("try again", facts.shell.retry())
    yield from _by_hand(facts)


def _again(facts: Facts, label: str = "then", *before: str, last: str = "up -d") -> Item:
    """Start once more what was started: Compose, or what only the operator knows."""
    if facts.outside:
        return Item(label, "start it once more, as this run was started")
    return Command(label, facts.shell.up(*before, last=last))


def _way_back(facts: Facts) -> Iterator[Item]:
    if facts.good and (command := facts.shell.go_back()):
        yield Command("go back", command)


def _by_hand(facts: Facts) -> Iterator[Item]:
    """Load the backup without migsafe, beside the database."""
    if facts.backup is None:
        return
    lines = facts.shell.load_beside(facts.backup)
    for number, line in enumerate(lines):
        yield Command("" if number else "no migsafe", line)


def _needs_operator(facts: Facts, error: MigsafeError) -> Iterator[Item]:
    run, shell = facts.run, facts.shell
    yield from _never(facts, error)
    if run is not None and run.detail.get("backup_lost"):
        yield Item("backup", _earlier(facts, run))
    elif run is not None and run.named("backup"):
        yield Item("backup", f"{shell.called(str(run.named('backup')))} is whole")
    yield Item("next", error.hint)
    yield from _room(facts, error)
    if not isinstance(error, RollbackFailed):
        yield _again(facts)
        return
    yield Command("try again", shell.retry())
    yield from _by_hand(facts)
    if run is not None and facts.backup is not None:
        aside = kept_name(facts.database, run.id)
        if command := shell.put_in_place(restored_name(facts.database), aside):
            yield Command("", command)


def _disagrees(facts: Facts, run: Run, error: MigsafeError) -> Iterator[Item]:
    shell, copy = facts.shell, str(run.named("swapped_in"))
    up = "" if facts.outside else f" && {shell.up()}"
    yield from _never(facts, error)
    yield Item("next", error.hint)
    if command := shell.put_in_place(copy, kept_name(facts.database, run.id), closed=True):
        yield Command("the copy", f"{command}{up}")
    if (command := shell.open()) and (dropped := shell.drop(copy)):
        yield Command("the other", f"{command} && {dropped}{up}")


def _never(facts: Facts, error: MigsafeError) -> Iterator[Item]:
    yield Item("", f"✗ {error.message}")
    past = "" if facts.outside else ": do not use `restart` or `--no-deps`"
    yield Item("app", f"not started, and must not be{past}{_left_stopped(facts)}")


def _earlier(facts: Facts, run: Run) -> str:
    lost = f"{run.named('backup')} is not whole"
    if facts.whole is None:
        return f"{lost}, and there is no other"
    return f"{lost}; {facts.shell.called(facts.whole)} is, without what was written after it"


def _not_started(facts: Facts, error: MigsafeError) -> Iterator[Item]:
    for number, line in enumerate(error.message.splitlines()):
        yield Item("", f"{' ' if number else '✗'} {line}")
    yield Item("data", "nothing was changed")
    yield Item("app", f"not started by this run{_left_stopped(facts)}")
    # who was killed before it could tell is told of by the run that refuses the image
    yield from _kept(facts.run)
    yield from _hint(error)
    yield from _room(facts, error)
    match error:
        case DatabaseLost() if error.afar:
            yield Command(
                "load it", facts.shell.by_hand(f"restore {error.backup} --from-elsewhere")
            )
        case DatabaseLost() if backup := Backup.parse(error.backup):
            for line in facts.shell.load(backup, facts.database):
                yield Command("load it", line)
        case LedgerAhead():
            yield from _way_back(facts)
            return
    *before, last = (words.replace("{me}", facts.shell.me) for words in error.then)
    yield _again(facts, "then", *before, last=last)


def _not_restored(facts: Facts, typed: str, error: MigsafeError) -> Iterator[Item]:
    """Tell why nothing was restored: the app goes on with what it had."""
    for number, line in enumerate(error.message.splitlines()):
        yield Item("", f"{' ' if number else '✗'} {line}")
    yield Item("data", "nothing was changed by this command")
    yield Item("app", f"as it was before{_left_stopped(facts)}")
    yield from _hint(error)
    yield from _room(facts, error)
    match error:
        case BackupDamaged():
            yield Command("another", facts.shell.by_hand("restore"))
            return
        case Elsewhere():
            yield Command("another", facts.shell.by_hand("restore"))
            if typed.startswith("restore"):
                yield Command("insist", facts.shell.by_hand(f"{typed} --from-elsewhere"))
            return
        case RunCutOff():
            yield _again(facts, "start")
        case _ if error.then != STARTS:
            yield _again(facts, "start", *error.then[:-1], last=error.then[-1])
    if typed:
        yield Command("then", facts.shell.by_hand(typed))
    else:
        yield Item("then", "restore the file once more, as this time")


def _hint(error: MigsafeError) -> Iterator[Item]:
    """Tell what to do, where the hint says more than that nothing was changed."""
    if hint := error.hint.removeprefix(UNCHANGED).strip():
        yield Item("next", hint)


def _room(facts: Facts, error: MigsafeError) -> Iterator[Item]:
    """Where the server's disk is full, what was set aside can go: it was put back, and proven."""
    if not facts.kept or not _NO_ROOM.search(error.message):
        return
    if command := facts.shell.drop(facts.kept[0]):
        yield Item(
            "kept", f"{len(facts.kept)} failed databases are still there, set aside", weight=1
        )
        yield Command("make room", command)


def _bug(facts: Facts) -> Iterator[Item]:
    yield Item("", f"✗ a bug in migsafe: {facts.bug}")
    yield Item("app", f"not started by this run{_left_stopped(facts)}")
    yield Item(
        "next",
        "Start again: the next run finds out where this one stopped, and puts the database right."
        " Please report what the log says.",
    )
    if not facts.outside:
        yield Command("all of it", facts.shell.logs())
    yield _again(facts)


def _output(run: Run) -> Iterator[Item]:
    if said := excerpt.telling(run.failure.tail):
        yield Quoted("output", "\n".join(said))


def _state(run: Run) -> str:
    if run.phase is Phase.UNCHANGED:
        return "as it was: the migration had not written anything"
    return "as it was before the migration: put back and proven"


def _kept(run: Run | None) -> Iterator[Item]:
    if run and run.phase is Phase.ROLLED_BACK and run.named("kept") and not run.forgotten:
        yield Item("kept", f"the failed database, closed, as {run.named('kept')!r}")


def _left_stopped(facts: Facts) -> str:
    if facts.run is None or not facts.run.stopped:
        return ""
    # Compose names containers after the project, which the operator knows
    prefix = f"{facts.place.project}-" if facts.place else ""
    why = facts.run.detail.get("left", {})
    stopped = ", ".join(
        name.removeprefix(prefix) + (f" ({why[name]})" if name in why else "")
        for name in facts.run.stopped
    )
    return f"; stopped, and left stopped: {stopped}"


# --- how it is laid out


def _fit(items: Sequence[Item]) -> list[str]:
    for weight, brief in _ROUNDS:
        left = [item for item in items if item.weight <= weight]
        lines = [line for item in left for line in item.lines(brief.get(item.label, 4))]
        if len(lines) <= LINES - 1:
            break
    return lines


_ROUNDS: tuple[tuple[int, dict[str, int]], ...] = (
    (3, {}),
    # a detail of the error is worth less than what can be typed
    *((weight, brief) for weight in (2, 1, 0) for brief in ({}, {"output": 2}, {"output": 1})),
    # the log above has the output, and `status` what is kept
    (0, {"output": 0}),
    (0, {"output": 0, "kept": 0}),
)
"""What is left out while a card is too long: the greatest weight, and lines by label."""


def _redacted(item: Item, redact: Callable[[str], str]) -> Item:
    return item if isinstance(item, Command) else replace(item, text=redact(item.text))


def _is_short(item: Item) -> bool:
    return isinstance(item, Command) and item.text.startswith("dc ")


def _words(command: str) -> list[str]:
    """Take a command apart where a shell lets it go on in the next line: outside of quotes."""
    words = [""]
    quote = ""
    for char in command:
        if char in "'\"" and not quote:
            quote = char
        elif char == quote:
            quote = ""
        if char == " " and not quote:
            words.append("")
        else:
            words[-1] += char
    return words
