"""The outside worlds, opened in order: Docker, the app, its database, the journal, the backups."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sidecar import address as addresses
from sidecar import clients, journal, masking, outside, reaching
from sidecar.address import Address, Ambiguous
from sidecar.backup_ports import Copies, Lease, NoCopies, NoLease, Slot, Store
from sidecar.engine import DockerEngine, connect
from sidecar.errors import EngineUnavailable, PreflightFailed, SettingsError
from sidecar.facts import App, Place
from sidecar.keys import Keys
from sidecar.options import Empty
from sidecar.ports import Clock, Notices, Signals, World
from sidecar.postgres import PostgresDatabase
from sidecar.reaching import Engine
from sidecar.settings import Settings
from sidecar.stores.local import LocalStore
from sidecar.vault import LocalVault

if TYPE_CHECKING:
    from sidecar.figures import Figures
    from sidecar.log import Teller
    from sidecar.notices import Event

NewRun = Callable[[], str]
"""Names another run."""


@dataclass(frozen=True)
class Stack:
    """What a command works on."""

    engine: Engine
    app: App
    address: Address
    world: World
    ways: "Ways"
    control: journal.ControlDatabase
    copies: Copies

    @property
    def docker(self) -> DockerEngine:
        """
        Docker, for what can't be done without it.

        Raises:
            EngineUnavailable: there is none here.

        """
        if isinstance(self.engine, DockerEngine):
            return self.engine
        raise EngineUnavailable(
            "this needs Docker's socket, and there is none here", hint="Nothing was changed."
        )


def _nowhere() -> Place | None:
    return None


class Late:
    """Ways to people that are opened once there is something to tell; most runs have nothing."""

    def __init__(self, open_notices: Callable[[], Notices] | None) -> None:
        self._open = open_notices
        """None where nobody wants to be told."""

    def tell(self, event: "Event") -> None:
        """Tell what happened."""
        if self._open is not None:
            self._open().tell(event)

    def publish(self, gather: "Callable[[], Figures]") -> None:
        """Hand the figures over."""
        if self._open is not None:
            self._open().publish(gather)


@dataclass
class Ways:
    """The clock, the mouth and the ears of the process, and where it is."""

    clock: Clock
    tell: "Teller"
    stop: Signals
    place: Callable[[], Place | None] = _nowhere
    """Tells where migsafe runs, once Docker was reached."""
    outside: bool = False
    """Migsafe works without Docker: what is typed is not typed to Compose."""
    notices: Notices = field(default_factory=lambda: Late(None))
    """Who is told beside the operator, by messages."""


def open_stack(
    settings: Settings, ways: Ways, *, docker: bool = False, known: bool = False
) -> AbstractContextManager[Stack]:
    """
    Open everything that a command needs, through Docker where it is there or must be.

    Args:
        settings: the settings.
        ways: the way to the operator.
        docker: Docker must be there.
        known: the server has been ours before: where our mark on it is missing, none is made.

    Raises:
        MigsafeError: as ``opened`` says; where Docker must be there, that it is not.

    """
    if not docker and outside.without_socket(settings.docker):
        return opened(settings, ways, outside.Outside(app=settings.app), known=known)
    found = connect(settings.docker, ways.clock, settings.app)
    ways.place = partial(found.place, settings.backups)
    return opened(settings, ways, found, known=known)


@contextmanager
def opened(
    settings: Settings,
    ways: Ways,
    found: Engine,
    *,
    known: bool = False,
    address: Address | None = None,
) -> Iterator[Stack]:
    """
    Open everything that a guarded run needs, and close it in the end.

    Args:
        settings: the settings.
        ways: the way to the operator.
        found: Docker, or what stands for it.
        known: as ``open_stack`` has it.
        address: the database's, where it was found before: of the app nothing may be left.

    Raises:
        SettingsError: no database is named, or several.
        EngineUnavailable: Docker or the app is not there.
        DatabaseUnavailable: the database is not there in time.
        DatabaseLost: the server has not our mark, and should have.
        PreflightFailed: no role may do what a rollback needs.

    """
    ways.outside = isinstance(found, outside.Outside)
    try:
        app = found.app()
        address = address or _address(settings, app, found.read_file)
        ways.tell.redact.more(*_secrets(app, address, found.read_file))
        ways.tell.redact.spare(
            address.user, address.database, address.host, app.project, app.service
        )
        control, conninfo = reaching.open_control(
            settings, found, address, ways.clock, ways.tell, ways.stop, known=known
        )
        try:
            tools = clients.Chosen(lambda: reaching.tools(found, control, conninfo))
            yield _stack(settings, ways, found, app, address, control, conninfo, tools)
        finally:
            control.close()
    finally:
        found.leave()


def _stack(
    settings: Settings,
    ways: Ways,
    found: Engine,
    app: App,
    address: Address,
    control: journal.ControlDatabase,
    conninfo: Mapping[str, Any],
    tools: clients.Chosen,
) -> Stack:
    database = PostgresDatabase(control, conninfo, tools, ways.clock, settings.preset)
    store = LocalStore(settings.backups)
    copies = copies_of(settings, ways)
    vault = LocalVault(
        store,
        database,
        settings.format,
        ways.clock,
        ways.tell,
        ways.stop,
        mounted=found.source_of(settings.backups) is not None,
        keys=keys_of(settings),
        copies=copies if settings.stores else None,
    )
    lease = _lease(settings, found, app, ways)
    world = World(control, database, found, vault, ways.clock, ways.tell, ways.stop, copies, lease)
    return Stack(found, app, address, world, ways, control, copies)


def keys_of(settings: Settings) -> Keys:
    """Make what encrypts and decrypts; nothing is read before it is needed."""
    return Keys(settings.encrypt_to, settings.identity_file)


def copies_of(settings: Settings, ways: Ways) -> Copies:
    """Make what copies to the further stores; they are opened when one is needed."""
    if not settings.stores:
        return NoCopies()
    from sidecar.remotes import Remotes  # noqa: PLC0415 - where there are stores

    def stores() -> tuple[Store, ...]:
        from sidecar.stores.opening import open_stores  # noqa: PLC0415 - most runs need none

        return open_stores(settings.stores, settings.access(), ways.clock, ways.stop, ways.tell)

    local = LocalStore(settings.backups)
    required = settings.require_remote
    return Remotes(stores, local, ways.clock, ways.tell, ways.stop, required=required)


def _lease(settings: Settings, found: Engine, app: App, ways: Ways) -> Lease:
    """Hold the backups for this instance, where it is filled from them."""
    if settings.empty is not Empty.RESTORE:
        return NoLease()
    host = found.this_host()
    if not host.id:  # a container's own name is another at each start: it would lock itself out
        return NoLease()
    from sidecar.lease import Leases, SlotLease  # noqa: PLC0415 - only in RAM mode

    holder = f"{app.project}/{app.service} on {host.name} ({host.id[:12]})"
    clock = ways.clock
    return Leases(
        lambda: [SlotLease(slot, clock, holder, _token) for slot in _slots(settings, ways)]
    )


def _slots(settings: Settings, ways: Ways) -> tuple[Slot, ...]:
    """Name every place that another instance could be filled from."""
    from sidecar.stores.opening import open_slots  # noqa: PLC0415 - only in RAM mode
    from sidecar.stores.slots import LocalSlot  # noqa: PLC0415 - same

    further = open_slots(settings.stores, settings.access(), ways.clock, ways.stop, ways.tell)
    return (LocalSlot(settings.backups), *further)


def _token() -> str:
    return os.urandom(8).hex()


def _address(settings: Settings, app: App, read: Callable[[str], str]) -> Address:
    """Take the address that was set; the app must migrate the same database."""
    if settings.database_url is None and not app.container:
        raise SettingsError(
            "no database is named, and no Docker's socket is here to ask the app for it",
            hint="Nothing was changed. Set MIGSAFE_DATABASE_URL.",
        )
    if settings.database_url is None:
        return _of_app(app, read)
    theirs = addresses.find(app.environment, read)
    mine = settings.database_url
    if isinstance(theirs, Address) and theirs.database != mine.database:
        raise PreflightFailed(
            f"database {mine.database!r} is to be guarded, and {app.service!r} migrates"
            f" {theirs.database!r}",
            hint="Nothing was changed. Correct MIGSAFE_DATABASE_URL, or leave it out.",
        )
    return mine


def _of_app(app: App, read: Callable[[str], str]) -> Address:
    """Read the database's address where the app does."""
    match addresses.find(app.environment, read):
        case Address() as found:
            return found
        case Ambiguous() as several:
            raise SettingsError(
                f"the environment of {app.service!r} does not tell the database: {several}",
                hint="Nothing was changed. Set MIGSAFE_DATABASE_URL.",
            )
        case _:
            raise SettingsError(
                f"the environment of {app.service!r} names no database (DATABASE_URL, PG*,"
                " POSTGRES_*, DB_* and others were looked for)",
                hint="Nothing was changed. Set MIGSAFE_DATABASE_URL.",
            )


def _secrets(app: App, address: Address, read: Callable[[str], str]) -> Iterator[str]:
    """List what no line may show: what the app's environment and the files that it names hold."""
    yield from address.secrets()
    for name, value in app.environment.items():
        yield from _hidden(masking.secrets_in((value,)))
        if masking.is_secret(name, value):
            yield from _hidden(addresses.encodings(_value(name, value, read)))


def _value(name: str, value: str, read: Callable[[str], str]) -> str:
    if not name.upper().endswith("_FILE"):
        return value
    try:
        return read(value).removesuffix("\n")
    except OSError:
        return ""


def _hidden(forms: Iterable[str]) -> Iterator[str]:
    yield from (form for form in forms if len(form) >= masking.SHORTEST)
