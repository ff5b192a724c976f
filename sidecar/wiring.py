"""The outside worlds, opened in order: Docker, the app, its database, the journal, the backups."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from sidecar import address as addresses
from sidecar import clients, connections, journal, masking, outside, preflight, reading
from sidecar.address import Address, Ambiguous
from sidecar.backup_ports import Copies, Lease, NoCopies, NoLease, Slot, Store
from sidecar.engine import DockerEngine, connect
from sidecar.errors import (
    LOST,
    DatabaseLost,
    DatabaseUnavailable,
    EngineUnavailable,
    PreflightFailed,
    SettingsError,
)
from sidecar.facts import App, Place
from sidecar.keys import Keys
from sidecar.options import Empty
from sidecar.ports import Clock, Notices, Signals, Tools, World
from sidecar.postgres import PostgresDatabase
from sidecar.settings import Settings
from sidecar.stores.local import LocalStore
from sidecar.vault import LocalVault

if TYPE_CHECKING:
    from sidecar.figures import Figures
    from sidecar.log import Teller
    from sidecar.notices import Event

SECRET_NAMES = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "PRIVATE", "_KEY", "DSN", "CREDENTIAL")
SHORTEST_SECRET = 6
RETRY = 0.5
"""Seconds between two tries to reach a server that is coming up."""

T = TypeVar("T")

Engine = DockerEngine | outside.Outside
"""Docker, or what stands for it where there is none."""


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
        control, conninfo = _open_control(settings, found, address, ways, known=known)
        try:
            tools = clients.Chosen(lambda: _tools(found, control, conninfo))
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


def _open_control(
    settings: Settings, found: Engine, address: Address, ways: Ways, *, known: bool
) -> tuple[journal.ControlDatabase, dict[str, Any]]:
    """Connect as the first role that may do what a rollback needs, waiting for the server."""

    def attempt() -> tuple[journal.ControlDatabase, dict[str, Any]]:
        ways.stop.check()
        # looked for anew each time: the container may be starting just now
        return _first_able(settings, found, address, found.reach(address), ways, known=known)

    try:
        return attempt()
    except DatabaseUnavailable as error:
        if not error.passing:
            raise
        ways.tell.say(f"waiting for the database at {address.host}:{address.port}")
    return patiently(attempt, settings.wait.total_seconds())


def patiently(attempt: Callable[[], T], seconds: float) -> T:
    """Try again and again for so many seconds, as long as waiting may help."""
    import tenacity  # noqa: PLC0415 - costs start-up time, and most servers are there

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: getattr(error, "passing", False)),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_fixed(RETRY),
        reraise=True,
    )
    return retrying(attempt)


def _first_able(
    settings: Settings,
    found: Engine,
    address: Address,
    host: str | None,
    ways: Ways,
    *,
    known: bool,
) -> tuple[journal.ControlDatabase, dict[str, Any]]:
    refused: PreflightFailed | None = None
    best: tuple[journal.ControlDatabase, dict[str, Any]] | None = None
    for candidate in _candidates(settings, found, address):
        conninfo = _conninfo(candidate, host if candidate.host == address.host else None)
        try:
            control = _control(conninfo, address.database, ways.clock, known=known)
        except PreflightFailed as error:
            refused = refused or _with_the_rest(error, conninfo, address.database)
            continue
        except DatabaseUnavailable:
            if best is None and refused is None:
                raise
            continue
        if _able(control, address.database):
            _close(best)
            if candidate.user != address.user:
                ways.tell.redact.more(candidate.password)
                ways.tell.say(
                    f"role {address.user!r} lacks rights: acts on databases are done by role"
                    f" {candidate.user!r}"
                )
            return control, conninfo
        best = best or (control, conninfo)
    if best is not None:
        return best  # the preflight says what is missing
    assert refused is not None  # noqa: S101 - there is a candidate, and it was refused
    raise refused


def _control(
    conninfo: Mapping[str, Any], database: str, clock: Clock, *, known: bool
) -> journal.ControlDatabase:
    if not known:
        return journal.open_control(conninfo, database, clock)
    found = journal.find_control(conninfo, database, clock)
    if found is None:
        raise DatabaseLost(
            "the server of the database is not the one that it was: migsafe's own database is not"
            " on it, and there are backups",
            hint=LOST,
        )
    return found


def _candidates(settings: Settings, found: Engine, address: Address) -> Iterator[Address]:
    if settings.admin_url is not None:
        yield settings.admin_url
        return
    yield address
    # the official image's superuser, only where the app's own role may not do it
    if superuser := found.host.superuser():
        user, password = superuser
        if user != address.user:
            yield replace(address, database="postgres", user=user, password=password)
    if lent := found.host.lend_superuser():
        yield replace(address, database="postgres", user=lent[0], password=lent[1])


def _able(control: journal.ControlDatabase, database: str) -> bool:
    rights = reading.rights(control.connection, database)
    return rights.superuser or (rights.create_database and rights.owns and rights.signal)


def _with_the_rest(
    error: PreflightFailed, conninfo: Mapping[str, Any], database: str
) -> PreflightFailed:
    """Add what else a preflight would find: the operator is to mend everything at once."""
    try:
        with (
            connections.connect(conninfo, database) as session,
            connections.translated(database),  # it may not even read the ledger
        ):
            look = reading.look(session, database, None, catalog=False)
    except (DatabaseUnavailable, PreflightFailed):
        return error
    rest = preflight.complaints(look, preflight.Space(None), clone=True)
    return PreflightFailed("; ".join((error.message, *rest)), hint=error.hint)


def _tools(found: Engine, control: journal.ControlDatabase, conninfo: Mapping[str, Any]) -> Tools:
    """Choose client programs of the server's own major: our own, or those of its container."""
    major = control.connection.info.server_version // 10000
    if clients.major() == major:
        return clients.Bundled(conninfo)
    if found.host.container is not None:
        borrowed = found.host.borrow(conninfo)
        if _same_server(borrowed, control):
            return borrowed
    raise PreflightFailed(
        f"there are no client programs for PostgreSQL {major}: migsafe brings those of"
        f" {clients.major()}, and the server is not a container that has its own",
        hint="Nothing was changed. Run the database as a container of this engine, or use a build"
        f" of migsafe with the client programs of PostgreSQL {major}.",
    )


def _same_server(tools: Tools, control: journal.ControlDatabase) -> bool:
    query = "SELECT system_identifier FROM pg_control_system()"
    argv = ("psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command={query}")
    mine = reading.one(control.connection, query)[0]
    with tools.read(argv, journal.CONTROL) as chunks:
        return b"".join(chunks).decode().strip() == str(mine)


def _conninfo(address: Address, host: str | None) -> dict[str, Any]:
    found: dict[str, Any] = address.conninfo()
    return {**found, "hostaddr": host} if host else found


def _close(best: tuple[journal.ControlDatabase, dict[str, Any]] | None) -> None:
    if best is not None:
        best[0].close()


def _secrets(app: App, address: Address, read: Callable[[str], str]) -> Iterator[str]:
    """List what no line may show: what the app's environment and the files that it names hold."""
    yield from address.secrets()
    for name, value in app.environment.items():
        yield from _hidden(masking.secrets_in((value,)))
        if any(word in name.upper() for word in SECRET_NAMES):
            yield from _hidden(addresses.encodings(_value(name, value, read)))


def _value(name: str, value: str, read: Callable[[str], str]) -> str:
    if not name.upper().endswith("_FILE"):
        return value
    try:
        return read(value).removesuffix("\n")
    except OSError:
        return ""


def _hidden(forms: Iterable[str]) -> Iterator[str]:
    yield from (form for form in forms if len(form) >= SHORTEST_SECRET)
