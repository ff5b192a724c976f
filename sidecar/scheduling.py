"""The command `schedule`: the second mode, wired to the outside worlds."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from sidecar import ending, schedule, state
from sidecar.backups import Backup, Manifest, Proof
from sidecar.errors import StoreFailed
from sidecar.manifests import read_manifests, read_proof
from sidecar.plan import fold, last_good
from sidecar.scheduled import Opened
from sidecar.settings import Settings
from sidecar.stores.local import LocalStore
from sidecar.telling import SCHEDULE, open_telling
from sidecar.wiring import NewRun, Stack, Ways, copies_of, open_stack, opened
from sidecar.yielding import Watching, Yielding
from sidecar.zones import zone

REPORT = "`docker compose run --rm migsafe report` shows its card."


def run(settings: Settings, ways: Ways, _arguments: Namespace, new_run: NewRun) -> int:
    """Back up whenever it is due, until a signal comes."""
    wishes = schedule.Wishes(
        settings.schedule,
        settings.verify,
        settings.retention,
        settings.policy(),
        zone(settings.timezone),
        settings.final_backup,
    )
    watching = Watching(ways.stop, ways.clock)
    ways = replace(ways, stop=watching)
    worlds = Worlds(settings, ways)
    told = open_telling(settings, ways.tell, SCHEDULE)
    told.start()
    around = schedule.Around(
        worlds.open,
        worlds.reopen,
        Folder(LocalStore(settings.backups), ways),
        partial(copies_of, settings, ways),
        told,
        ways.clock,
        ways.tell,
        watching,
        new_run,
    )
    return schedule.Schedule(wishes, around).run()


class Worlds:
    """Opens the worlds for each backup anew: database, app and Docker come and go meanwhile."""

    def __init__(self, settings: Settings, ways: Ways) -> None:
        self.settings = settings
        self.stop = Yielding(ways.stop, ways.clock)
        self.ways = replace(ways, stop=self.stop)
        self.last: Stack | None = None
        """As it was found last, closed."""

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """Open everything; where there are backups, the server must be one that knows us."""
        known = bool(read_manifests(LocalStore(self.settings.backups), self.ways.tell))
        with open_stack(self.settings, self.ways, known=known) as stack:
            self.last = stack
            self.stop.wanted = stack.control.wanted
            try:
                yield _opened(stack)
            finally:
                self.stop.wanted = None

    @contextmanager
    def reopen(self) -> Iterator[Opened]:
        """Open the same again: Compose removes the app before it stops us."""
        if self.last is None:
            with self.open() as found:
                yield found
            return
        engine, address = self.last.engine, self.last.address
        with opened(self.settings, self.ways, engine, known=True, address=address) as stack:
            yield _opened(stack)


def _opened(stack: Stack) -> Opened:
    images = last_good(fold(stack.control.entries())) or stack.app.images
    return Opened(stack.world, images, stack.app.project)


class Folder:
    """The folder of backups, as others read it, and write to it."""

    def __init__(self, store: LocalStore, ways: Ways) -> None:
        self.store = store
        self.ways = ways

    def load(self) -> state.State:
        """Read the state as it was left."""
        with suppress(StoreFailed, UnicodeDecodeError):
            return state.State.from_json(self.store.text(state.FILE))
        return state.State()

    def save(self, found: state.State) -> None:
        """Leave the state; an old one would tell what is no longer so."""
        try:
            self.store.put(state.FILE, found.to_json())
        except (OSError, StoreFailed) as error:
            self.ways.tell.warn(f"the state can't be written: {error}")
            with suppress(StoreFailed):
                self.store.remove(state.FILE)

    def manifests(self) -> Sequence[Manifest]:
        """Every whole backup: a file that has lost its bytes is none, however new."""
        found = read_manifests(self.store, self.ways.tell)
        return tuple(m for m in found if self.store.size(m.backup.name) == m.size)

    def proof(self, backup: Backup) -> Proof | None:
        """Tell how the last attempt to prove a backup ended."""
        return read_proof(self.store, backup)

    def guard(self) -> state.Problem | None:
        """Tell whether a card says that the guard needs an operator, and no later one ended it."""
        with suppress(OSError, StoreFailed, UnicodeDecodeError, ValueError):
            if not self.store.size(ending.HISTORY):
                return None
            history = self.store.text(ending.HISTORY).splitlines()
            if found := ending.needs_operator(history):
                return state.Problem(found[0], f"the last run needs you: {found[1]}", REPORT)
        return None
