"""
Every way in which migsafe ends without having done what it was asked for.

The first digit of the exit code is the state of the data::

    MigsafeError
     ├─ SettingsError              2   settings or usage
     ├─ NothingChangedError       1x   nothing was changed
     │   ├─ DatabaseUnavailable   10
     │   │   └─ DatabaseMissing   10
     │   ├─ EngineUnavailable     11
     │   ├─ AlreadyRunning        12
     │   │   └─ LeaseHeld         12
     │   ├─ BackupFailed          13
     │   ├─ BackupDamaged         14
     │   ├─ BackupNotFound        15
     │   ├─ StoreFailed           16
     │   │   ├─ ObjectMissing     16
     │   │   └─ NameTaken         16
     │   ├─ Refused               17
     │   │   ├─ RunCutOff         17
     │   │   ├─ Elsewhere         17
     │   │   ├─ KnownBad          17
     │   │   ├─ LedgerAhead       17
     │   │   ├─ DatabaseLost      17
     │   │   ├─ LeaseLost         17
     │   │   ├─ MadeAnew          17
     │   │   └─ NoSource          17
     │   ├─ PreflightFailed       18
     │   ├─ KeyMissing            19
     │   └─ Interrupted          143   (130 after Ctrl-C)
     ├─ RolledBackError           2x   the data is as it was before the migration
     │   ├─ MigrationFailed       20
     │   ├─ MigrationInterrupted  21
     │   ├─ ProofFailed           22
     │   └─ DeadlineExceeded      23
     └─ NeedsOperatorError        3x   the database needs you
         ├─ RollbackFailed        30
         ├─ JournalDisagrees      31
         └─ RollbackPending       32

Anything else that escapes is a bug in migsafe and ends with 1.

Messages are lowercase fragments without a full stop; hints are sentences.
"""

from typing import ClassVar

UNCHANGED = "Nothing was changed."
"""What a hint begins with, before it says what to do."""


STARTS = ("up -d",)
"""What is typed after ``docker compose`` once the cause is gone, where nothing else is needed."""


BUG = 1
"""The exit code of a bug in migsafe."""


class MigsafeError(Exception):
    """A failure that the operator can read: what is wrong, and in ``hint`` what to do."""

    exit_code: ClassVar[int]
    meaning: ClassVar[str]

    def __init__(self, message: str, *, hint: str = "", then: tuple[str, ...] = STARTS) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.then = then
        """What to type after ``docker compose`` once the cause is gone."""
        self.status = self.exit_code
        """What the process exits with."""
        self.told = False
        """The operator has read it already."""


class SettingsError(MigsafeError):
    """The settings or the command line make no sense; all complaints at once."""

    exit_code = 2
    meaning = "settings or usage"


class NothingChangedError(MigsafeError):
    """Nothing was changed."""


class DatabaseUnavailable(NothingChangedError):
    """The database can't be reached, or refuses us."""

    exit_code = 10
    meaning = "database unavailable"
    passing = False
    """It may be there in a moment: a server that starts, or that nobody answers for."""
    denied = False
    """The role is who it says, and may not enter this database."""


class DatabaseMissing(DatabaseUnavailable):
    """The server is there, the database is not."""


class EngineUnavailable(NothingChangedError):
    """Docker can't be reached, or the app can't be found through it."""

    exit_code = 11
    meaning = "Docker unavailable, or the app not found through it"


class AlreadyRunning(NothingChangedError):
    """Another run holds the lock."""

    exit_code = 12
    meaning = "another run holds the lock"


class LeaseHeld(AlreadyRunning):
    """Another instance works on these backups."""


class BackupFailed(NothingChangedError):
    """No backup could be made; a migration is not started without."""

    exit_code = 13
    meaning = "backup failed"


class BackupDamaged(NothingChangedError):
    """A backup is not what its manifest says."""

    exit_code = 14
    meaning = "backup damaged"


class BackupNotFound(NothingChangedError):
    """No such backup."""

    exit_code = 15
    meaning = "backup not found"


class StoreFailed(NothingChangedError):
    """A place that holds backups can't be read or written."""

    exit_code = 16
    meaning = "store failed"
    passing = False
    """It may work in a moment: a server that is busy, a connection that was cut."""

    @classmethod
    def for_now(cls, message: str, *, hint: str = "") -> "StoreFailed":
        """Make an error that another try may overcome."""
        error = cls(message, hint=hint)
        error.passing = True
        return error

    def locate(self, place: str) -> None:
        """Begin the message with the place that it is about, unless it does."""
        if not self.message.startswith(place):
            self.message = f"{place}: {self.message}"
            self.args = (self.message,)

    @property
    def advice(self) -> str:
        """What is wrong and what to do, in one line."""
        return f"{self.message}: {self.hint}" if self.hint else self.message


class ObjectMissing(StoreFailed):
    """A store answers, and has nothing of that name."""


class NameTaken(StoreFailed):
    """A store has something else under that name, and nothing is ever overwritten."""


class Refused(NothingChangedError):
    """Going on would be dangerous: known-bad image, lost database, ledger ahead or dirty."""

    exit_code = 17
    meaning = "refused: known-bad image, empty database with backups, ledger ahead or dirty"


class RunCutOff(Refused):
    """A run was cut off while it migrated; the next start brings it to its end."""


class Elsewhere(Refused):
    """A backup is of another database, or of another server."""


class KnownBad(Refused):
    """This image failed before on this database."""


class LedgerAhead(Refused):
    """The database holds migrations that this image does not know."""


class DatabaseLost(Refused):
    """The database is empty or on another server, although there are backups with data."""

    backup = ""
    """The newest backup that holds data."""
    afar = False
    """It is in a store alone."""


LOST = (
    "Nothing was backed up, and nothing was deleted. Stop what writes into it, and find out where"
    " the data is: a volume, or a server whose memory was lost. `docker compose up -d` says what to"
    " do; `docker compose run --rm migsafe restore latest` puts the newest backup in its place."
)
"""The hint of whoever finds another server under a running app."""


class MadeAnew(Refused):
    """A database in memory was lost under the app, and written to since."""


class LeaseLost(Refused):
    """Another instance has taken over these backups."""


class NoSource(Refused):
    """A database that came up empty can't be filled: no backup, or it is not clear which."""


class PreflightFailed(NothingChangedError):
    """Something would make the rollback impossible; all complaints at once."""

    exit_code = 18
    meaning = "preflight: something would make a rollback impossible"


class KeyMissing(NothingChangedError):
    """A backup is encrypted, and no key that opens it is here."""

    exit_code = 19
    meaning = "the backup is encrypted, and its key is not here"


class Interrupted(NothingChangedError):
    """Stopped by a signal before anything was changed."""

    exit_code = 143
    meaning = "stopped by a signal, nothing changed (130 after Ctrl-C)"

    @classmethod
    def by(cls, signal: int) -> "Interrupted":
        """Make the error of a signal; its exit code is the shell's, 128 and the number."""
        error = cls("stopped by a signal", hint="Nothing was changed.")
        error.status = 128 + signal
        return error


class RolledBackError(MigsafeError):
    """The data is as it was before the migration: put back, or provably never changed."""


class MigrationFailed(RolledBackError):
    """The migration ended with an error."""

    exit_code = 20
    meaning = "migration failed"


class MigrationInterrupted(RolledBackError):
    """The migration was stopped before its end."""

    exit_code = 21
    meaning = "migration interrupted"


class ProofFailed(RolledBackError):
    """The migration said that it succeeded, and the database says otherwise."""

    exit_code = 22
    meaning = "migration lost data or failed its proof"


class DeadlineExceeded(RolledBackError):
    """The migration ran longer than it may."""

    exit_code = 23
    meaning = "migration ran past its deadline"


class NeedsOperatorError(MigsafeError):
    """The database was changed and not put back."""


class RollbackFailed(NeedsOperatorError):
    """The rollback could not be done or not be proven; the database is closed."""

    exit_code = 30
    meaning = "rollback failed, the database is closed"


class JournalDisagrees(NeedsOperatorError):
    """The journal and the server tell different stories."""

    exit_code = 31
    meaning = "journal and server disagree"


class RollbackPending(NeedsOperatorError):
    """Stopped in the middle; the next run puts the database right by itself."""

    exit_code = 32
    meaning = "stopped in the middle: the next run finishes it by itself"


def exit_codes() -> list[tuple[int, str]]:
    """List every exit code with its meaning, from the classes."""
    found = {0: "done, or nothing to do", BUG: "a bug in migsafe: please report it"}
    waiting = [MigsafeError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if hasattr(kind, "exit_code"):
            found.setdefault(kind.exit_code, kind.meaning)
    return sorted(found.items())
