"""What the stories need from the outside worlds: one adapter, and one fake, for each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from sidecar.backup_ports import Copies, Lease, NoCopies, NoLease, Vault
from sidecar.backups import Format
from sidecar.facts import (
    App,
    Contents,
    Examined,
    Exit,
    Host,
    LeftOut,
    Look,
    Properties,
    Server,
    Session,
)
from sidecar.plan import Entry, Phase

if TYPE_CHECKING:  # a guard with nothing to tell does without
    from sidecar.figures import Figures
    from sidecar.notices import Event


class Clock(Protocol):
    """Tells the time, and lets it pass."""

    def now(self) -> datetime:
        """Tell the time, in UTC."""
        ...

    def monotonic(self) -> float:
        """Count seconds from anywhere, never backwards."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Notices(Protocol):
    """Tells people and their machines. Never raises, and never takes longer than seconds."""

    def tell(self, event: "Event") -> None:
        """Tell what happened, where that is worth a message."""
        ...

    def publish(self, gather: "Callable[[], Figures]") -> None:
        """Hand the figures over to who wants them; else they are not gathered."""
        ...


class Stop(Protocol):
    """Whether the run was asked to end."""

    def check(self) -> None:
        """
        Go on, or not.

        Raises:
            Interrupted: a signal came.

        """
        ...


class Signals(Stop, Protocol):
    """A stop that somebody can wait for, who does nothing else meanwhile."""

    def wait(self, seconds: float) -> None:
        """
        Wait so long, or until a signal comes.

        Raises:
            Interrupted: a signal came.

        """
        ...

    def spare(self) -> None:
        """Take no more note of the signal that came: only of another."""
        ...


class Teller(Protocol):
    """Tells the operator what happens, line by line."""

    def say(self, message: str, **facts: Any) -> None:
        """Tell a step."""
        ...

    def warn(self, message: str, **facts: Any) -> None:
        """Tell what deserves a look."""
        ...

    def output(self, line: str) -> None:
        """Pass on a line of the migration's own output."""
        ...

    def redact(self, text: str) -> str:
        """Take the secrets out of what is to be kept or shown."""
        ...

    def progress(self, message: str) -> AbstractContextManager[Callable[[int], None]]:
        """Tell now and then that a long step goes on; called with the bytes so far."""
        ...


class Journal(Protocol):
    """What runs have done with one database, durable, and the lock that only one run holds."""

    def hold(self, run: str, wait: float) -> AbstractContextManager[None]:
        """
        Hold the lock, waiting for up to so many seconds.

        Raises:
            AlreadyRunning: another run holds it; names it, since when and where.

        """
        ...

    def entries(self) -> Sequence[Entry]:
        """Everything, oldest first."""
        ...

    def append(self, run: str, phase: Phase, **detail: Any) -> None:
        """Write a line; it is durable on return."""
        ...

    def regain(self, run: str) -> bool:
        """
        Take the lock again, once it was lost with its session.

        False where somebody has written to the journal since, or may have: whoever took the lock
        over decides from then on who may run, and on what.
        """
        ...


class Database(Protocol):
    """The app's database and its server."""

    @property
    def name(self) -> str:
        """The live database's name."""
        ...

    def server(self) -> Server:
        """Read what the server says of itself."""
        ...

    def look(self, *, catalog: bool = False) -> Look:
        """
        Read the state of the live database; with the catalog's fingerprint only where asked for.

        Raises:
            DatabaseUnavailable: the server or the database is not there.

        """
        ...

    def contents(self) -> Contents:
        """Count the rows of every table, and fingerprint the catalog, as they are now."""
        ...

    def sessions(self) -> tuple[Session, ...]:
        """List other sessions on the live database."""
        ...

    def end_sessions(self, pids: Iterable[int]) -> tuple[Session, ...]:
        """Terminate sessions, wait for them to be gone and return those that are still there."""
        ...

    def now(self) -> datetime:
        """Tell the time by the server's clock."""
        ...

    def next_transaction(self) -> int:
        """Return the id that the server's next writing transaction will get."""
        ...

    def assertion(self, statement: str) -> str | None:
        """Complain unless the SQL statement returns true."""
        ...

    def complaints(self) -> tuple[str, ...]:
        """Tell what would keep the database from being dumped and loaded."""
        ...

    def dump(
        self, written: Format
    ) -> AbstractContextManager[tuple[Iterator[bytes], Callable[[], Contents]]]:
        """
        Read the live database in one snapshot: its dump, and the contents counted meanwhile.

        Raises:
            BackupFailed: the client tool ended with an error, while the bytes are read.

        """
        ...

    def clone(self, name: str, properties: Properties, size: int) -> int:
        """
        Copy the live database on the server, sealed against connections; return the copy's oid.

        Raises:
            CannotClone: the server would not, and says why.

        """
        ...

    def load(
        self, name: str, chunks: Iterator[bytes], written: Format, properties: Properties
    ) -> int:
        """Load a backup into a new database made from template0; return its oid."""
        ...

    def load_foreign(
        self,
        name: str,
        chunks: Iterator[bytes],
        wanted: Properties,
        stop: Stop,
    ) -> LeftOut:
        """
        Load a dump that others have made into a new database; all of it is its owner's then.

        The extensions of the live database are made first: not every dump says what it needs.

        Raises:
            BackupDamaged: it is no whole script, or not one for a server.
            Refused: it is of a whole server.
            PreflightFailed: this server does not take it.

        """
        ...

    def untouched(self, name: str, oid: int) -> str | None:
        """Tell why a sealed copy can't be trusted; None when it is the one that was made."""
        ...

    def open(self, name: str) -> None:
        """Allow connections."""
        ...

    def close(self) -> tuple[Session, ...]:
        """Keep everybody out of the live database; return the sessions that won't go."""
        ...

    def look_at(self, name: str) -> Look:
        """Read the state of a scratch database."""
        ...

    def contents_of(self, name: str) -> Contents:
        """Count what is in a scratch database."""
        ...

    def exists(self, name: str) -> bool:
        """Whether the server has a database of that name."""
        ...

    def swap(self, scratch: str, kept: str, run: str, connections: bool) -> None:
        """
        Put the scratch database in the place of the live one, in one transaction with the journal.

        The live one, if there is one, is kept under its new name, closed.
        """
        ...

    def drop(self, name: str) -> None:
        """Drop a scratch database of ours. Refuses any name that is not one."""
        ...

    def forget(self, name: str) -> None:
        """Drop a database that was set aside. Refuses any name that is not one."""
        ...


class Dump(Protocol):
    """A dump that others have made."""

    @property
    def name(self) -> str:
        """As it is shown."""
        ...

    def examine(self, progress: Callable[[int], None]) -> Examined:
        """
        Read it to its end.

        Raises:
            BackupDamaged: it is cut off, or nothing that can be loaded.
            Refused: it is of a whole server.

        """
        ...

    def sql(self) -> Iterator[bytes]:
        """Give it as plain SQL, in chunks."""
        ...


class ProgramFailed(Exception):
    """A program ended with an error; carries its exit code and the end of what it complained."""

    def __init__(self, program: str, code: int, complaint: str) -> None:
        super().__init__(f"{program} exited with {code}: {complaint or 'without a word'}")
        self.code = code
        self.complaint = complaint


class Tools(Protocol):
    """PostgreSQL's client programs, of the server's own major."""

    def read(self, argv: Sequence[str], database: str) -> AbstractContextManager[Iterator[bytes]]:
        """
        Run a program on a database and give its output in chunks.

        Raises:
            ProgramFailed: after the last chunk, when the exit code is not 0.

        """
        ...

    def feed(self, argv: Sequence[str], database: str, chunks: Iterator[bytes]) -> None:
        """
        Run a program on a database, with an input.

        Raises:
            ProgramFailed: the exit code is not 0.

        """
        ...


class CannotClone(Exception):
    """The server can't copy the database now; the text says why."""


class Engine(Protocol):
    """Docker: the app's container as a template, and the containers made from it."""

    def app(self) -> App:
        """
        Find the app.

        Raises:
            EngineUnavailable: it can't be found, and why.

        """
        ...

    def has_file(self, path: str) -> bool:
        """Whether the app's container has a file; relative to its working directory."""
        ...

    def this_host(self) -> Host:
        """Tell which engine this is: what another one runs can't be seen from here."""
        ...

    def has_ended(self, run: str) -> bool | None:
        """
        Whether a migration that was handed over has come to its end, however that was.

        None where it can't be told from here.
        """
        ...

    def claim(self, run: str) -> bool:
        """
        Keep a migration that was to be handed over from being started.

        False where it was started before: who comes first has it.
        """
        ...

    def make_migration(self, run: str, command: Sequence[str]) -> None:
        """Make the one-off container of the run. Its name makes a second impossible."""
        ...

    def start_migration(self, run: str) -> None:
        """Start the container that was made, unless it was removed since."""
        ...

    def follow_migration(
        self, run: str, deadline: float, on_line: Callable[[str], None], stop: Stop
    ) -> Exit | None:
        """
        Wait for the run's container to end; None when there is no such container.

        Raises:
            DeadlineExceeded: it still runs after so many seconds.
            Interrupted: the guard was asked to stop.

        """
        ...

    def end_migration(self, run: str) -> None:
        """Stop the run's container if it runs. Does nothing when there is none."""
        ...

    def addresses(self, run: str) -> frozenset[str]:
        """Network addresses that the run's container has or had."""
        ...

    def remove_migration(self, run: str) -> None:
        """Remove the run's container. Does nothing when there is none."""
        ...

    def end_strays(self, known: Iterable[str]) -> tuple[str, ...]:
        """
        Stop and remove the project's one-offs of runs that are not known; return their names.

        A journal is lost with its server: what it knew of may be running still.
        """
        ...

    def run_check(
        self, run: str, command: Sequence[str], timeout: float, *, read_only: bool = False
    ) -> Exit:
        """
        Run a command in another one-off container and remove it.

        Args:
            run: names the container.
            command: what to run.
            timeout: for at most so many seconds.
            read_only: its sessions must not write (as far as the program uses libpq): an image's
                own start-up script may migrate before it runs what it is told.

        """
        ...

    def users(self, addresses: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """
        Map the project's running containers to those of the addresses that are theirs.

        Without migsafe's own and the database's. Services that wait for the guard are in it even
        when no address is theirs.
        """
        ...

    def stop(self, containers: Iterable[str]) -> None:
        """Stop containers gracefully."""
        ...

    def start(self, containers: Iterable[str]) -> dict[str, str]:
        """Start containers again; return those that would not, each with the reason."""
        ...

    def free_space(self) -> int | None:
        """Bytes free where the server keeps its data; None where that can't be told."""
        ...


class HandOver(Protocol):
    """The folder that `begin`, whoever runs the migration, and `conclude` share."""

    def withdraw(self) -> None:
        """Name no run: what is started now finds none."""
        ...

    def nothing_to_do(self) -> None:
        """Say that nothing is to be migrated."""
        ...

    def named(self) -> str | None:
        """Tell the run that was handed over; empty where nothing was to do, None where none is."""
        ...


@dataclass(frozen=True)
class World:
    """Every outside world at once, as the stories are given it."""

    journal: Journal
    database: Database
    engine: Engine
    vault: Vault
    clock: Clock
    tell: Teller
    stop: Stop
    copies: Copies = field(default_factory=NoCopies)
    lease: Lease = field(default_factory=NoLease)
