"""What the stories need from the outside worlds: one adapter, and one fake, for each."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sidecar.backups import Backup, Format, Kind, Manifest, Proof
from sidecar.errors import BackupNotFound
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
from sidecar.inventory import Inventory
from sidecar.plan import Entry, Phase

if TYPE_CHECKING:  # a guard with nothing to tell does without
    from sidecar.figures import Figures
    from sidecar.notices import Event
Tick = Callable[[int], None]
"""Told the bytes so far."""


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


class Store(Protocol):
    """
    A place away from this machine that holds backups: objects with a name, in one folder.

    An object has its name only once it is whole, and is never written over. Every method raises
    StoreFailed, whose ``passing`` says whether another try may help.
    """

    @property
    def name(self) -> str:
        """What people call it, such as ``gs://bucket/shop``; without a secret."""
        ...

    def listing(self) -> Mapping[str, int]:
        """
        List every object with its size; also those that are not ours.

        Raises:
            StoreFailed: it can't be told, or not of all: never a part for the whole.

        """
        ...

    def put(self, name: str, path: Path, tick: Tick) -> None:
        """
        Upload a file and prove that it arrived. The same object being there already will do.

        Args:
            name: the object's.
            path: a file that does not change.
            tick: told the bytes so far now and then; what it raises ends the upload.

        Raises:
            NameTaken: something else has that name.

        """
        ...

    def put_text(self, name: str, text: str) -> None:
        """Write a small object, as ``put`` does."""
        ...

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        """
        Read an object in chunks, from a byte on.

        Raises:
            ObjectMissing: there is none.

        """
        ...

    def text(self, name: str) -> str:
        """Read a small object; raises ObjectMissing, or BackupDamaged where it is no text."""
        ...

    def remove(self, name: str) -> None:
        """Delete an object; there being none will do."""
        ...


class Copies(Protocol):
    """Backups in stores away from this machine, beside the local folder."""

    @property
    def required(self) -> bool:
        """No migration without a copy in every store."""
        ...

    def complaints(self) -> tuple[str, ...]:
        """Tell which stores can't be used, by writing, reading and deleting in each."""
        ...

    def copy(self, manifest: Manifest) -> tuple[str, ...]:
        """Bring a whole backup to every store; return complaints: none means it is proven there."""
        ...

    def catch_up(self) -> tuple[str, ...]:
        """Copy every local backup that is not in every store; return complaints."""
        ...

    def behind(self, names: Collection[str] | None = None) -> tuple[str, ...]:
        """Tell which stores lack what the local folder has (of those names), or don't answer."""
        ...

    def lacking(self) -> Mapping[str, int]:
        """Count by store the local backups that are not there; all, where it does not answer."""
        ...

    def beyond(self, known: Iterable[str]) -> tuple[Manifest, ...]:
        """
        Read the backups that stores have and that are not among those known, the newest first.

        Raises:
            StoreFailed: a store can't be listed.

        """
        ...

    def where(self) -> tuple[Mapping[str, tuple[str, ...]], tuple[str, ...]]:
        """Tell by backup in which stores it is whole, and which stores don't answer."""
        ...

    def fetch(self, name: str) -> Manifest:
        """
        Bring a backup into the local folder.

        Raises:
            BackupNotFound: no store has it.
            BackupDamaged: what arrived is not what its manifest says.

        """
        ...

    def renew(self, manifest: Manifest) -> None:
        """
        Have a whole copy take the place of a local file that is damaged; that one stays beside it.

        Raises:
            BackupNotFound: no store has it.
            BackupDamaged: what a store has is damaged as well, or is another backup.
            StoreFailed: a store does not answer, or there is no room here.

        """
        ...

    def whole(self) -> Mapping[str, frozenset[str]]:
        """
        Name by store the backups that are whole there.

        Raises:
            StoreFailed: a store can't be listed.

        """
        ...

    def torn(self) -> tuple[str, ...]:
        """
        Name what is not here, and of which a deletion that was cut off has left something there.

        Raises:
            StoreFailed: a store can't be listed.

        """
        ...

    def delete(self, name: str) -> tuple[str, ...]:
        """Delete a backup in every store, or what a deletion has left of it; return complaints."""
        ...


class NoCopies:
    """No store but the local folder."""

    required = False

    def complaints(self) -> tuple[str, ...]:
        """Have none."""
        return ()

    def copy(self, _manifest: Manifest) -> tuple[str, ...]:
        """Have nowhere to copy to."""
        return ()

    def catch_up(self) -> tuple[str, ...]:
        """Have nowhere to copy to."""
        return ()

    def behind(self, _names: Collection[str] | None = None) -> tuple[str, ...]:
        """Lack nothing."""
        return ()

    def lacking(self) -> Mapping[str, int]:
        """Lack nothing."""
        return {}

    def beyond(self, _known: Iterable[str]) -> tuple[Manifest, ...]:
        """Have nothing."""
        return ()

    def where(self) -> tuple[Mapping[str, tuple[str, ...]], tuple[str, ...]]:
        """Have nothing."""
        return {}, ()

    def fetch(self, name: str) -> Manifest:
        """Have nothing."""
        raise BackupNotFound(f"there is no backup {name}", hint="`list` shows what there is.")

    def renew(self, manifest: Manifest) -> None:
        """Have nothing."""
        self.fetch(manifest.backup.name)

    def whole(self) -> Mapping[str, frozenset[str]]:
        """Have nothing."""
        return {}

    def torn(self) -> tuple[str, ...]:
        """Have nothing."""
        return ()

    def delete(self, _name: str) -> tuple[str, ...]:
        """Have nothing to delete."""
        return ()


def no_doubt(_contents: Contents) -> tuple[str, ...]:
    """Take a backup for what it is."""
    return ()


class Vault(Protocol):
    """Every backup, wherever it is."""

    def manifests(self) -> tuple[Manifest, ...]:
        """All whole backups, the newest first."""
        ...

    def everywhere(self) -> tuple[Manifest, ...]:
        """
        All whole backups, those that are only in a store away from here too, the newest first.

        Raises:
            StoreFailed: a store can't be listed.

        """
        ...

    def inventory(self) -> Inventory:
        """
        Tell which whole backups are where.

        Raises:
            StoreFailed: the folder or a store can't be listed.

        """
        ...

    def remembered(self) -> Inventory:
        """Tell which were where when this was last remembered; nothing where it never was."""
        ...

    def remember(self, found: Inventory) -> None:
        """
        Keep what is where for the next time; where that can't be, forget what was.

        Raises:
            StoreFailed: the folder can't be changed at all.

        """
        ...

    def torn_manifests(self) -> tuple[str, ...]:
        """Name backups that are whole but for their manifests, which are damaged."""
        ...

    def next_backup(self, kind: Kind = Kind.PRE_MIGRATION) -> Backup:
        """Name a backup that is newer than every other."""
        ...

    def take(
        self,
        backup: Backup,
        run: str,
        look: Look,
        images: Mapping[str, str],
        note: str = "",
        doubt: Callable[[Contents], tuple[str, ...]] = no_doubt,
    ) -> Manifest:
        """
        Back up the live database; durable and checked on return.

        What `doubt` names, once the rows are counted, stands in the manifest.

        Raises:
            BackupFailed: there is no backup, nor a trace of one.

        """
        ...

    def chunks(self, name: str) -> tuple[Manifest, Iterator[bytes]]:
        """
        Check a backup against its manifest, then give what it holds.

        Raises:
            BackupNotFound: no such backup.
            BackupDamaged: it is not what its manifest says.
            KeyMissing: it is encrypted, and no key here opens it.

        """
        ...

    def check(self, name: str) -> Manifest:
        """
        Hold a file to its manifest, which takes no key.

        Raises:
            BackupNotFound: no such backup.
            BackupDamaged: it is not what its manifest says.

        """
        ...

    def require_key(self, name: str) -> None:
        """
        Refuse a backup that can't be read here, without reading all of it.

        Raises:
            BackupNotFound: no such backup.
            KeyMissing: it is encrypted, and no key here opens it.

        """
        ...

    def properties(self, manifest: Manifest) -> Properties:
        """
        Give what is to be made anew around a backup, with what its manifest hides.

        Raises:
            KeyMissing: it is encrypted, and no key here opens it.

        """
        ...

    def unreadable(self) -> str | None:
        """Tell why a backup that is taken now could not be read here; None where it could."""
        ...

    def note_proof(self, backup: Backup, proof: Proof) -> None:
        """Keep how the last attempt to prove a backup ended."""
        ...

    def proof(self, backup: Backup) -> Proof | None:
        """Tell how the last attempt to prove a backup ended; None where there was none."""
        ...

    def delete(self, name: str) -> None:
        """Delete a backup: its manifest first, so that what is left is none."""
        ...

    def discard(self, name: str) -> None:
        """Remove what a run that was killed has left of a backup; a whole one stays."""
        ...

    def complaints(self, size: int) -> tuple[str, ...]:
        """Tell what would keep a backup of about so many bytes from being taken."""
        ...


class Conflict(Exception):
    """Somebody has replaced what was read."""


class Slot(Protocol):
    """A place in a store for one small text, replaced only by who has read what it replaces."""

    @property
    def name(self) -> str:
        """How people find it."""
        ...

    def read(self) -> tuple[str, str]:
        """
        Read the text and its generation; both are empty where there is none.

        Raises:
            StoreFailed: it can't be read.

        """
        ...

    def replace(self, text: str, generation: str) -> None:
        """
        Write another text in the place of that generation.

        Raises:
            Conflict: there is another generation.
            StoreFailed: it can't be written.

        """
        ...


class Lease(Protocol):
    """
    Which instance may work on the backups.

    It runs out by itself some hours after it was last taken or renewed: who has died need not
    release it.
    """

    def take(self) -> str:
        """
        Take it, or take it again.

        Returns:
            The token to release it with.

        Raises:
            LeaseHeld: another instance has it.
            StoreFailed: who has it can't be found out.

        """
        ...

    def renew(self) -> None:
        """
        Hold it for longer.

        Raises:
            LeaseLost: another instance has taken it since, or somebody has removed it.
            StoreFailed: who has it can't be found out.

        """
        ...

    def release(self, token: str) -> None:
        """
        Let others have it at once; does nothing where somebody has taken it since.

        Args:
            token: of the act of taking that is over.

        Raises:
            StoreFailed: it can't be written.

        """
        ...


class NoLease:
    """Whoever comes may work on them: they are not what an instance is filled from."""

    def take(self) -> str:
        """Give an empty token."""
        return ""

    def renew(self) -> None:
        """Hold nothing."""

    def release(self, token: str) -> None:
        """Let nothing go."""


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
