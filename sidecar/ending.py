"""How a run ended: the card, the report beside the backups, and the override that goes back."""

import traceback
from contextlib import suppress

from sidecar import __version__, advice, presets
from sidecar.errors import MigsafeError, NeedsOperatorError, RolledBackError, StoreFailed
from sidecar.failpoints import failpoint
from sidecar.log import Teller
from sidecar.plan import Run, fold, last_good
from sidecar.stores.local import LocalStore
from sidecar.wiring import Stack

REPORT = "last-report.txt"
HISTORY = "history.txt"
HISTORY_LINES = 200
BUG = 1


def tell(
    store: LocalStore, teller: Teller, stack: Stack | None, run_id: str, error: MigsafeError | None
) -> None:
    """
    Show the card, and leave it where the backups are: after `up -d` it is all that can be found.

    Args:
        store: the folder of backups.
        teller: the way to the operator.
        stack: the worlds, as far as they could be opened.
        run_id: the run's own id.
        error: why it failed, if it did.

    """
    facts = _facts(store, stack, error, run_id) if stack else advice.Facts(error)
    if facts.good and isinstance(error, RolledBackError):
        with suppress(OSError, StoreFailed):
            store.put(advice.PIN_FILE, advice.pin(facts.good))
    card = [teller.redact(line) for line in advice.card(facts)]
    failpoint("report.writing")
    teller.card(card, code=error.status if error else 0, run=facts.run.id if facts.run else None)
    _leave(store, teller, card, error)


def bug(teller: Teller) -> int:
    """Tell of a bug of ours; returns the exit code."""
    teller.error(f"a bug in migsafe {__version__}, which ends the run here:")
    for line in traceback.format_exc().splitlines():
        teller.error(line)
    teller.error(
        "the app does not start. The next `docker compose up` finds out where this run stopped and"
        " puts the database right. Please report the lines above."
    )
    return BUG


def _facts(
    store: LocalStore, stack: Stack, error: MigsafeError | None, run_id: str
) -> advice.Facts:
    runs: tuple[Run, ...] = ()
    with suppress(MigsafeError):  # the database may be what failed
        runs = fold(stack.control.entries())
    # a run that was cut off earlier ends under its own id
    found = next((run for run in reversed(runs) if run.id == run_id), None)
    if found is None and isinstance(error, RolledBackError | NeedsOperatorError) and runs:
        found = runs[-1]
    preset = found and found.named("preset")
    return advice.Facts(
        error=error,
        place=stack.engine.place(store.folder),
        service=stack.app.service,
        database=stack.address.database,
        owner=stack.engine.host.superuser_name() or stack.address.user or "postgres",
        run=found,
        good=last_good(runs),
        caution=presets.by_name(preset).caution if preset else "",
    )


def _leave(store: LocalStore, teller: Teller, card: list[str], error: MigsafeError | None) -> None:
    when = f"{teller.clock.now():%Y-%m-%d %H:%M:%S} UTC"
    try:
        store.put(REPORT, "\n".join((when, *card)) + "\n")
        past = store.text(HISTORY).splitlines() if store.size(HISTORY) else []
        past.append(f"{when}  {error.status if error else 0:>3}  {card[0]}")
        store.put(HISTORY, "\n".join(past[-HISTORY_LINES:]) + "\n")
    except (OSError, StoreFailed) as second:
        teller.warn(f"the report could not be written to the folder of backups: {second}")
