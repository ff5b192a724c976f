"""The way to the server: as whom, by which address, with whose programs, and how long to wait."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from sidecar import clients, connections, journal, outside, preflight, reading
from sidecar.address import Address
from sidecar.engine import DockerEngine
from sidecar.errors import LOST, DatabaseLost, DatabaseUnavailable, PreflightFailed
from sidecar.ports import Clock, Stop, Tools
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.log import Teller

RETRY = 0.5
"""Seconds between two tries to reach a server that is coming up."""

T = TypeVar("T")

Engine = DockerEngine | outside.Outside
"""Docker, or what stands for it where there is none."""


def open_control(
    settings: Settings,
    found: Engine,
    address: Address,
    clock: Clock,
    tell: "Teller",
    stop: Stop,
    *,
    known: bool,
) -> tuple[journal.ControlDatabase, dict[str, Any]]:
    """
    Connect as the first role that may do what a rollback needs, waiting for the server.

    Returns:
        The journal's database, and what reaches the server as that role.

    Raises:
        DatabaseUnavailable: the database is not there in time.
        DatabaseLost: the server has been ours before, and is not any more.
        PreflightFailed: no role may enter and do what is needed.

    """

    def attempt() -> tuple[journal.ControlDatabase, dict[str, Any]]:
        stop.check()
        # looked for anew each time: the container may be starting just now
        host = found.reach(address)
        return _first_able(settings, found, address, host, clock, tell, known=known)

    try:
        return attempt()
    except DatabaseUnavailable as error:
        if not error.passing:
            raise
        tell.say(f"waiting for the database at {address.host}:{address.port}")
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
    clock: Clock,
    tell: "Teller",
    *,
    known: bool,
) -> tuple[journal.ControlDatabase, dict[str, Any]]:
    refused: PreflightFailed | None = None
    best: tuple[journal.ControlDatabase, dict[str, Any]] | None = None
    for candidate in _candidates(settings, found, address):
        conninfo = _conninfo(candidate, host if candidate.host == address.host else None)
        try:
            control = _control(conninfo, address.database, clock, known=known)
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
                tell.redact.more(candidate.password)
                tell.say(
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


def tools(found: Engine, control: journal.ControlDatabase, conninfo: Mapping[str, Any]) -> Tools:
    """
    Choose client programs of the server's own major: our own, or those of its container.

    Raises:
        PreflightFailed: there are none of that major.

    """
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
