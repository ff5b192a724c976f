"""How a run ended: the card, the report beside the backups, and the override that goes back."""

import re
import shlex
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from sidecar import __version__, advice, notices, presets, shell
from sidecar.errors import (
    BUG,
    KnownBad,
    MigsafeError,
    NeedsOperatorError,
    NothingChangedError,
    RolledBackError,
    StoreFailed,
)
from sidecar.failpoints import failpoint
from sidecar.log import Teller
from sidecar.migration import look_before
from sidecar.plan import Phase, Run, fold, last_good
from sidecar.settings import Settings
from sidecar.stores.local import LocalStore
from sidecar.wiring import Stack, Ways

REPORT = "last-report.txt"
HISTORY = "history.txt"
HISTORY_LINES = 200


def tell(
    store: LocalStore,
    ways: Ways,
    stack: Stack | None,
    run_id: str,
    error: MigsafeError | None,
    restoring: str | None = None,
) -> None:
    """
    Show the card, and leave it where the backups are: after `up -d` it is all that can be found.

    Args:
        store: the folder of backups.
        ways: the way to the operator.
        stack: the worlds, as far as they could be opened.
        run_id: the run's own id.
        error: why it failed, if it did.
        restoring: the operator's command, where one was to put data in place.

    """
    facts = replace(_facts(store, ways, stack, run_id, error), restoring=restoring)
    if facts.good and advice.goes_back(error):
        with suppress(OSError, StoreFailed):
            store.put(shell.PIN_FILE, advice.pin(facts.good))
    card = advice.card(facts, ways.tell.redact)
    failpoint("report.writing")
    code = error.status if error else 0
    ways.tell.card(card, code=code, run=facts.run.id if facts.run else None)
    _leave(store, ways.tell, card, code)
    _notify(ways, facts, card)


def told(
    stack: Stack,
    settings: Settings,
    run_id: str,
    act: Callable[[], Run | None],
    restoring: tuple[str, str] | None = None,
) -> None:
    """
    Act, and tell how it ended while the worlds are still open.

    Args:
        stack: the worlds.
        settings: say where the backups are.
        run_id: whose failure it would be.
        act: returns the run that has ended well, if one has.
        restoring: the operator's command that puts data in place, and the run that it is.

    Raises:
        MigsafeError: as the act does; it is told.

    """
    store = LocalStore(settings.backups)
    try:
        ended = act()
    except MigsafeError as error:
        typed, restore = restoring or (None, run_id)
        about = restore if isinstance(error, NothingChangedError) else run_id
        tell(store, stack.ways, stack, about, error, typed)
        error.told = True
        raise
    if ended is not None:
        tell(store, stack.ways, stack, ended.id, None)


def bug(store: LocalStore, ways: Ways) -> int:
    """Tell of a bug of ours; returns the exit code."""
    ways.tell.error(f"a bug in migsafe {__version__}, which ends the run here:")
    for line in traceback.format_exc().splitlines():
        ways.tell.error(line)
    last = traceback.format_exc().strip().splitlines()[-1]
    facts = advice.Facts(place=ways.place(), bug=last, outside=ways.outside)
    card = advice.card(facts, ways.tell.redact)
    ways.tell.card(card, code=BUG)
    _leave(store, ways.tell, card, BUG)
    _notify(ways, facts, card)
    return BUG


def _notify(ways: Ways, facts: advice.Facts, card: list[str]) -> None:
    """Tell people who do not watch, once all that is to be found later is written."""
    where = facts.place.project if facts.place else facts.database
    now = ways.clock.now()
    if facts.bug:
        ways.notices.tell(notices.of_bug(card, where, now))
    elif event := notices.of_run(facts.error, facts.run, card, where, now):
        ways.notices.tell(event)


def _facts(
    store: LocalStore, ways: Ways, stack: Stack | None, run_id: str, error: MigsafeError | None
) -> advice.Facts:
    if stack is None:
        return advice.Facts(error, ways.place(), outside=ways.outside)
    runs: tuple[Run, ...] = ()
    with suppress(MigsafeError):  # the database may be what failed
        runs = fold(stack.control.entries())
    found = _run(runs, run_id, error)
    preset = found and found.named("preset")
    return advice.Facts(
        error=error,
        place=stack.engine.place(store.folder),
        service=stack.app.service,
        database=stack.address.database,
        role=stack.engine.host.superuser_name() or stack.address.user or "postgres",
        owner=look_before(found).properties.owner if found and "look" in found.detail else "",
        run=found,
        good=last_good(runs),
        caution=presets.by_name(preset).caution if preset else "",
        outside=ways.outside,
        server=shlex.join(("-h", stack.address.host, "-p", str(stack.address.port))),
        folder=str(store.folder),
        whole=_whole(stack, found),
        kept=_kept(stack, runs),
    )


def _run(runs: Sequence[Run], run_id: str, error: MigsafeError | None) -> Run | None:
    """Find the run that the card is about: one that was cut off earlier ends under its own id."""
    found = next((run for run in reversed(runs) if run.id == run_id), None)
    if found is not None:
        return found
    if isinstance(error, KnownBad):
        return next((run for run in reversed(runs) if run.failed), None)
    if isinstance(error, RolledBackError | NeedsOperatorError) and runs:
        return runs[-1]
    return None


def _whole(stack: Stack, run: Run | None) -> str | None:
    """Find the newest backup that is what its manifest says, where the run's own is not."""
    if run is None or not run.detail.get("backup_lost"):
        return None
    vault = stack.world.vault
    with suppress(MigsafeError):
        for manifest in vault.manifests():
            with suppress(MigsafeError):
                vault.chunks(manifest.backup.name)
                return manifest.backup.name
    return None


def _kept(stack: Stack, runs: Sequence[Run]) -> tuple[str, ...]:
    kept = [run.named("kept") for run in runs if run.phase is Phase.ROLLED_BACK]
    with suppress(MigsafeError):
        return tuple(name for name in kept if name and stack.world.database.exists(name))
    return ()


def needs_operator(history: Sequence[str]) -> tuple[int, str] | None:
    """
    Read in the history that a run needs an operator: its code, and its words.

    A run since then that could not even begin has left the database as that one had left it.
    """
    operators = {kind.exit_code for kind in NeedsOperatorError.__subclasses__()}
    ended = {0, *(kind.exit_code for kind in RolledBackError.__subclasses__())}
    for match in filter(None, map(_LINE.fullmatch, reversed(history))):
        code = int(match["code"])
        if code in operators:
            return code, match["what"]
        if code in ended:
            return None
    return None


_LINE = re.compile(r".{19} UTC +(?P<code>\d+)  (?P<what>.*)")


def _leave(store: LocalStore, teller: Teller, card: list[str], code: int) -> None:
    when = f"{teller.clock.now():%Y-%m-%d %H:%M:%S} UTC"
    try:
        store.put(REPORT, "\n".join((when, *card)) + "\n")
        past = store.text(HISTORY).splitlines() if store.size(HISTORY) else []
        past.append(f"{when}  {code:>3}  {card[0]}")
        store.put(HISTORY, "\n".join(past[-HISTORY_LINES:]) + "\n")
    except (OSError, StoreFailed) as second:
        teller.warn(f"the report could not be written to the folder of backups: {second}")
