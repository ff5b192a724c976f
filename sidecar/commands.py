"""The commands: wire the worlds, run a story, tell how it ended."""

import json
import secrets
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sidecar import __version__, advice, answers, presets
from sidecar.clock import SystemClock
from sidecar.errors import MigsafeError, RolledBackError, StoreFailed
from sidecar.guard import Done, Guard
from sidecar.log import Redactor, Teller, teller
from sidecar.plan import Phase, Run, fold, last_good
from sidecar.ports import Clock
from sidecar.settings import Settings
from sidecar.signals import SignalStop
from sidecar.stores.local import LocalStore
from sidecar.vault import read_manifests
from sidecar.wiring import Stack, Ways, open_stack

REPORT = "last-report.txt"
HISTORY = "history.txt"
HISTORY_LINES = 200
BUG = 1


def run(command: str, *, as_json: bool) -> int:
    """Run a command by its name and return the exit code."""
    settings = Settings.from_environment()
    if command == "config":
        return _config(settings, as_json=as_json)
    clock, stop = SystemClock(), SignalStop()
    stop.listen()
    mode = settings.log if command == "guard" else "console"
    out = sys.stdout if command == "guard" else sys.stderr
    tell = teller(mode, clock, Redactor(settings.secrets()), settings.log_level, out)
    ways = Ways(clock, tell, stop)
    match command:
        case "guard":
            return _guard(settings, ways)
        case "status":
            return _status(settings, ways, as_json=as_json)
        case "list":
            return _list(settings, ways, as_json=as_json)
        case "retry":
            return _retry(settings, ways)
    raise AssertionError(f"no such command: {command}")


# --- guard


def _guard(settings: Settings, ways: Ways) -> int:
    run_id = new_run(ways.clock)
    try:
        with open_stack(settings, ways) as stack:
            return _guarded(stack, settings, ways.tell, run_id)
    except MigsafeError as error:
        _tell_error(ways.tell, advice.Facts(error))
        return error.status
    except Exception:  # noqa: BLE001 - a bug, told as one
        return _bug(ways.tell)


def _guarded(stack: Stack, settings: Settings, tell: Teller, run_id: str) -> int:
    try:
        done = Guard(stack.world, settings.policy(), run_id).run()
    except MigsafeError as error:
        facts = _facts(stack, error, run_id)
        _leave_pin(stack, facts)
        _tell_error(tell, facts)
        _leave_report(stack, tell, facts)
        return error.status
    if done.run is None:
        tell.say(_nothing_to_do(done))
        return 0
    facts = replace(_facts(stack, None, run_id), run=done.run)
    tell.card(advice.card(facts))
    _leave_report(stack, tell, facts)
    return 0


def new_run(clock: Clock) -> str:
    """Name a run by its time, so that people can tell it, and a few random digits."""
    return f"{clock.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def _nothing_to_do(done: Done) -> str:
    versions = len(done.look.ledger.versions)
    known = f"{versions} migrations applied" if versions else "the schema is the same"
    return f"nothing to do: {done.app.image_name} was migrated before, {known}"


def _facts(stack: Stack, error: MigsafeError | None, run_id: str) -> advice.Facts:
    runs: tuple[Run, ...] = ()
    with suppress(MigsafeError):  # the database may be what failed
        runs = fold(stack.control.entries())
    # a run that was cut off earlier ends under its own id
    found = next((run for run in reversed(runs) if run.id == run_id), None)
    if found is None and isinstance(error, RolledBackError) and runs:
        found = runs[-1]
    preset = found and found.named("preset")
    return advice.Facts(
        error=error,
        place=stack.engine.place(),
        service=stack.app.service,
        database=stack.address.database,
        owner=stack.address.user or "postgres",
        run=found,
        good=last_good(runs),
        caution=presets.by_name(preset).caution if preset else "",
    )


def _tell_error(tell: Teller, facts: advice.Facts) -> None:
    assert facts.error is not None  # noqa: S101 - it is what is told
    tell.card(advice.card(facts), code=facts.error.status, run=facts.run.id if facts.run else None)


def _leave_pin(stack: Stack, facts: advice.Facts) -> None:
    """Write the override that goes back to the images that belong to the data."""
    if facts.good and isinstance(facts.error, RolledBackError):
        with suppress(OSError, StoreFailed):
            stack.store.put(advice.PIN_FILE, advice.pin(facts.good))


def _leave_report(stack: Stack, tell: Teller, facts: advice.Facts) -> None:
    """Leave the card where the backups are: after `up -d` it is all that can be found."""
    card = [tell.redact(line) for line in advice.card(facts)]
    when = f"{tell.clock.now():%Y-%m-%d %H:%M:%S} UTC"
    try:
        stack.store.put(REPORT, "\n".join((when, *card)) + "\n")
        past = stack.store.text(HISTORY).splitlines() if stack.store.size(HISTORY) else []
        past.append(f"{when}  {facts.error.status if facts.error else 0:>3}  {card[0]}")
        stack.store.put(HISTORY, "\n".join(past[-HISTORY_LINES:]) + "\n")
    except (OSError, StoreFailed) as error:
        tell.warn(f"the report could not be written to the folder of backups: {error}")


def _bug(tell: Teller) -> int:
    tell.error(f"a bug in migsafe {__version__}, which ends the run here:")
    for line in traceback.format_exc().splitlines():
        tell.error(line)
    tell.error(
        "the app does not start. The next `docker compose up` finds out where this run stopped and"
        " puts the database right. Please report the lines above."
    )
    return BUG


# --- the others


def _status(settings: Settings, ways: Ways, *, as_json: bool) -> int:
    with open_stack(settings, ways) as stack:
        answer = answers.status(stack, settings, new_run(ways.clock))
    _answer(answer, answers.status_lines(answer), as_json=as_json)
    return 0


def _list(settings: Settings, ways: Ways, *, as_json: bool) -> int:
    manifests = read_manifests(LocalStore(settings.backups), ways.tell)
    answer = answers.backups(manifests)
    lines = answers.backup_lines(answer, ways.clock.now())
    _answer(answer, lines or ["no backups"], as_json=as_json)
    return 0


def _retry(settings: Settings, ways: Ways) -> int:
    with open_stack(settings, ways) as stack, stack.control.hold(new_run(ways.clock), 0):
        ended = [run for run in fold(stack.control.entries()) if run.phase is not Phase.ABANDONED]
        if not ended or not ended[-1].failed:
            print("nothing to retry: the last run did not fail")
            return 0
        stack.control.append(ended[-1].id, Phase.RETRY)
        print(f"the next `{advice.compose(stack.engine.place())} up -d` tries again")
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
