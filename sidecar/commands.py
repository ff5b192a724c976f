"""The commands: wire the worlds, run a story, tell how it ended."""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar import failpoints
from sidecar.backups import newest_first
from sidecar.clock import SystemClock
from sidecar.errors import MigsafeError, SettingsError, StoreFailed
from sidecar.guard import Done, Guard
from sidecar.log import Redactor, Teller, is_journal, teller
from sidecar.manifests import read_manifests
from sidecar.options import BACKUPS
from sidecar.plan import Phase, fold
from sidecar.ports import Clock, Notices
from sidecar.settings import Settings
from sidecar.signals import SignalStop
from sidecar.stores.local import LocalStore
from sidecar.wiring import Late, Stack, Ways, copies_of, open_stack

GUARDS = frozenset({"guard", "begin", "conclude", "wrap"})
"""The commands that guard a migration: they speak on standard output, and leave a card."""
SERVICES = GUARDS | {"schedule"}
"""What Compose runs: their output is a log."""


def run(arguments: Namespace) -> int:
    """Run a command and return the exit code."""
    command = arguments.command
    if command == "health":
        return _health(arguments)
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        if command not in GUARDS:
            raise
        return _unusable(error, outside=command != "guard")
    if command == "config":
        return _config(settings, as_json=arguments.json)
    failpoints.arm(settings.failpoints)
    clock, stop = SystemClock(), SignalStop()
    stop.listen()
    mode = settings.log if command in SERVICES else "console"
    out = sys.stdout if command in SERVICES else sys.stderr
    tell = teller(mode, clock, Redactor(settings.secrets()), settings.log_level, out)
    tell.colour = tell.colour and settings.colour
    tell.journal = is_journal(settings.journal, out)
    ways = Ways(clock, tell, stop, notices=_notices(settings, tell, command))
    try:
        return _run(settings, ways, arguments)
    except MigsafeError as error:
        error.message, error.hint = tell.redact(error.message), tell.redact(error.hint)
        raise


def _notices(settings: Settings, tell: Teller, command: str) -> Notices:
    """Open the way to people: a guard may fail unseen, what is typed by hand is read."""
    wanted = settings.notify and command in GUARDS
    return Late((lambda: _open_notices(settings, tell)) if wanted else None)


def _open_notices(settings: Settings, tell: Teller) -> Notices:
    from sidecar import telling  # noqa: PLC0415 - not before there is something to tell

    return telling.open_telling(settings, tell, telling.GUARD)


def _run(settings: Settings, ways: Ways, arguments: Namespace) -> int:
    match arguments.command:
        case "guard":
            return _guard(settings, ways)
        case "status":
            return _status(settings, ways, as_json=arguments.json)
        case "list":
            return _list(settings, ways, arguments)
        case "retry":
            return _retry(settings, ways)
        case "begin" | "conclude" | "wrap":
            from sidecar import without_socket  # noqa: PLC0415 - `guard` needs none

            return without_socket.run(settings, ways, arguments, new_run(ways.clock))
        case "schedule":
            from sidecar import scheduling  # noqa: PLC0415 - same

            return scheduling.run(settings, ways, arguments, lambda: new_run(ways.clock))
    from sidecar import by_hand, connecting, examination, live, pruning, rehearsal  # noqa: PLC0415 - same

    acts = {
        "backup": by_hand.backup,
        "copy": by_hand.copy,
        "connect": connecting.connect,
        "show": by_hand.show,
        "verify": by_hand.verify,
        "export": by_hand.export,
        "report": by_hand.report,
        "doctor": examination.doctor,
        "rehearse": rehearsal.rehearse,
        "prune": pruning.prune,
        "restore": live.restore,
        "rollback": live.rollback,
        "forget": live.forget,
        "unfence": live.unfence,
    }
    act = acts[arguments.command]
    return act(settings, ways, arguments, lambda: new_run(ways.clock))


# --- guard


def _unusable(error: SettingsError, *, outside: bool) -> int:
    """Leave a card although no setting is known: the newest report must not be an older run's."""
    from sidecar import ending  # noqa: PLC0415 - see below

    clock = SystemClock()
    tell = teller("console", clock, Redactor(), out=sys.stdout)
    ways = Ways(clock, tell, SignalStop(), outside=outside)
    ending.tell(LocalStore(Path(BACKUPS)), ways, None, "", error)
    return error.status


def _guard(settings: Settings, ways: Ways) -> int:
    run_id = new_run(ways.clock)
    stack: Stack | None = None
    try:
        with open_stack(settings, ways, docker=True) as stack:
            done = _guarded(stack, settings, run_id)
    except MigsafeError as error:
        return _ended(settings, ways, stack, run_id, error)
    except Exception:  # noqa: BLE001 - a bug, told as one
        from sidecar import ending  # noqa: PLC0415 - see below

        return ending.bug(LocalStore(settings.backups), ways)
    if done.run is None:
        ways.tell.say(_nothing_to_do(done))
    return 0


def _guarded(stack: Stack, settings: Settings, run_id: str) -> Done:
    """Guard, and tell how it ended while the worlds are still open."""
    try:
        done = Guard(stack.world, settings.policy(), run_id).run()
    except MigsafeError as error:
        _ended(settings, stack.ways, stack, run_id, error)
        error.told = True
        raise
    if done.run is not None:
        _ended(settings, stack.ways, stack, run_id, None)
    return done


def _ended(
    settings: Settings, ways: Ways, stack: Stack | None, run_id: str, error: MigsafeError | None
) -> int:
    # most runs have nothing to do, and so nothing to tell: they do not load what tells it
    from sidecar import ending  # noqa: PLC0415

    if error is None or not error.told:
        ending.tell(LocalStore(settings.backups), ways, stack, run_id, error)
    return error.status if error else 0


def new_run(clock: Clock) -> str:
    """Name a run by its time, so that people can tell it, and a few random digits."""
    return f"{clock.now():%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"


def _nothing_to_do(done: Done) -> str:
    versions = len(done.look.ledger.versions)
    known = f"{versions} migrations applied" if versions else "the schema is the same"
    return f"nothing to do: {done.app.image_name} was migrated before, {known}"


# --- the others


def _status(settings: Settings, ways: Ways, *, as_json: bool) -> int:
    from sidecar import answers  # noqa: PLC0415 - `guard` needs none

    with open_stack(settings, ways) as stack:
        answer = answers.status(stack, settings, new_run(ways.clock))
    _answer(answer, answers.status_lines(answer), as_json=as_json)
    return 0


def _list(settings: Settings, ways: Ways, arguments: Namespace) -> int:
    from sidecar import answers  # noqa: PLC0415 - same

    here = read_manifests(LocalStore(settings.backups), ways.tell)
    copies = copies_of(settings, ways)
    seen, complaints = copies.where()
    places = answers.places_of((m.backup.name for m in here), seen)
    there = () if complaints else copies.beyond(m.backup.name for m in here)
    found = newest_first((*here, *there))
    manifests = [m for m in found if arguments.kind in {None, m.backup.kind}][: arguments.limit]
    answer = answers.backups(manifests, places)
    lines = answers.backup_lines(answer, ways.clock.now())
    _answer(answer, lines or ["no backups"], as_json=arguments.json)
    if complaints:
        raise StoreFailed("; ".join(complaints), hint="What is only there is not in this list.")
    return 0


def _health(arguments: Namespace) -> int:
    """Answer as the image does it, which does not come by here: a healthcheck has no time."""
    from sidecar import probe  # noqa: PLC0415 - same

    said = {"--explain": arguments.explain, "--json": arguments.json}
    return probe.main([word for word, wanted in said.items() if wanted])


def _retry(settings: Settings, ways: Ways) -> int:
    with open_stack(settings, ways) as stack, stack.control.hold(new_run(ways.clock), 0):
        ended = [run for run in fold(stack.control.entries()) if run.phase is not Phase.ABANDONED]
        if not ended or (ended[-1].finished and not ended[-1].failed):
            print("nothing to retry: the last run did not fail")
            return 0
        stack.control.append(ended[-1].id, Phase.RETRY)
        from sidecar import shell  # noqa: PLC0415 - same

        up = "start" if ways.outside else f"`{shell.compose(ways.place())} up -d`"
        print(f"the next {up} tries again")
    return 0


def _config(settings: Settings, *, as_json: bool) -> int:
    rows = settings.describe()
    answer = {
        row.name: {"value": row.value_masked, "source": row.source, "help": row.help}
        for row in rows
    }
    width = max(len(row.name) for row in rows)
    lines = [f"{row.name:<{width}}  {row.value_masked}  ({row.source})" for row in rows]
    _answer(answer, lines, as_json=as_json)
    return 0


def _answer(answer: Mapping[str, Any], lines: list[str], *, as_json: bool) -> None:
    text = json.dumps(answer, indent=2, ensure_ascii=False) if as_json else "\n".join(lines)
    print(text)
