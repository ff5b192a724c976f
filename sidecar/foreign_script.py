"""A script that others have written, statement by statement on its way into a database."""

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import errors as pg
from psycopg import sql

from sidecar import properties, screen
from sidecar.connections import Connection, execute, words
from sidecar.errors import UNCHANGED, BackupDamaged, Interrupted, PreflightFailed, Refused
from sidecar.facts import LeftOut, Properties
from sidecar.ports import Stop
from sidecar.screen import Act, Extension
from sidecar.sqlscript import Command, Copy, Script, Statement

POLL = 0.3
"""Seconds between two looks at whether somebody wants us to stop."""
SHOWN = 80
"""Characters of a statement that are shown."""

_HARMLESS = (
    pg.UndefinedObject,
    pg.UndefinedTable,
    pg.UndefinedFunction,
    pg.InvalidSchemaName,
    pg.DuplicateSchema,
    pg.DuplicateObject,
    pg.DependentObjectsStillExist,
)
"""There already, not there to be dropped, or a setting of another version."""

_CONFIGURATION = "SELECT unnest(extconfig)::regclass::text FROM pg_extension WHERE extname = %s"


class ScriptLoad:
    """One script, on its way into one database."""

    def __init__(
        self,
        admin: Connection,
        session: Connection,
        loader: str,
        wanted: Properties,
        stop: Stop,
    ) -> None:
        self.admin = admin
        self.session = session
        self.loader = loader
        self.wanted = wanted
        self.stop = stop
        self.connected: str | None = None
        self.defaults: list[bytes] = []
        self.public: list[bytes] = []
        self.roles: dict[str, None] = {}
        self.skipped: dict[str, None] = {}

    def whole(self, script: Script, extensions: Iterable[Extension], *, lent: bool) -> LeftOut:
        """Load everything, and give it to the owner."""
        if lent:
            self._lend_public()
        else:
            self.session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self.wanted.owner)))
        for each in extensions:
            with suppress(psycopg.Error):  # the plan says which ones are missing
                self._make(each)
        self.session.execute("SET synchronous_commit = off")
        with _cancelled_by(self.stop, self.session):
            for piece in script:
                self._take(piece)
            self.session.execute("ANALYZE")
        if lent:
            self._admin("REASSIGN OWNED BY {} TO {}", self.loader, self.wanted.owner)
        self._admin("SET ROLE {}", self.wanted.owner)
        self._run_later(self.defaults)
        self.admin.execute("RESET ROLE")
        self._run_later(self.public)
        if self.wanted.public_owner == "":
            with suppress(pg.DependentObjectsStillExist):
                self.admin.execute("DROP SCHEMA public")
        if lent:
            self._admin("DROP OWNED BY {}", self.loader)
        return LeftOut(tuple(self.roles), tuple(self.skipped))

    # --- piece by piece

    def _take(self, piece: Statement | Command | Copy) -> None:
        if isinstance(piece, Command):
            self._command(piece)
            return
        act = screen.act_on(piece.text)
        if act is Act.REFUSE:
            raise Refused(
                f"line {piece.line} is of a dump of a whole server: {_shown(piece.text)}",
                hint=f"{UNCHANGED} Dump the one database with `pg_dump -Fc`, and restore that.",
            )
        try:
            self._perform(act, piece)
        except pg.QueryCanceled:
            self.stop.check()
            raise
        except psycopg.Error as error:
            if self.session.closed:
                raise
            raise PreflightFailed(
                f"line {piece.line} can't be loaded on this server: {words(error)}"
                f" ({_shown(piece.text)})",
                hint=f"{UNCHANGED} {_advice(error)}",
            ) from error

    def _command(self, command: Command) -> None:
        name, rest = screen.command(command.text)
        if name in screen.IGNORED:
            return
        if name not in screen.CONNECT:
            raise BackupDamaged(
                f"line {command.line} is a command of psql's that no dump needs:"
                f" {_shown(command.text)}",
                hint=f"{UNCHANGED} Nothing of it was run. Whoever wrote this file did more than"
                " dump: look into it.",
            )
        if self.connected not in {None, rest}:
            raise Refused(
                f"line {command.line} goes on to another database: the file holds several",
                hint=f"{UNCHANGED} Dump the one database with `pg_dump -Fc`, and restore that.",
            )
        self.connected = rest

    def _perform(self, act: Act, piece: Statement | Copy) -> None:
        if isinstance(piece, Copy):
            with self.session.cursor().copy(piece.text) as copy:
                for rows in piece.rows:
                    copy.write(rows)
            return
        match act:
            case Act.SKIP if b"SUBSCRIPTION" in piece.text[:30].upper():
                self.skipped["subscriptions"] = None
            case Act.SKIP:
                pass
            case Act.DEFAULTS:
                self.defaults.append(screen.defaults(piece.text)[1])
            case Act.PUBLIC:
                self.public.append(piece.text)
            case Act.EXTENSION if found := screen.extension(piece.text):
                self._make(found)
            case Act.GRANT:
                self._grant(piece.text)
            case Act.LENIENT:
                with suppress(*_HARMLESS):
                    self._alone(piece.text)
            case _:
                self.session.execute(piece.text)

    def _alone(self, statement: bytes) -> None:
        """Run a statement whose failure must not end the transaction that the script has begun."""
        if self.session.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS:
            with self.session.transaction():
                self.session.execute(statement)
        else:
            self.session.execute(statement)

    def _grant(self, statement: bytes) -> None:
        try:
            self._alone(statement)
        except pg.UndefinedObject as error:
            if not _of_a_role(error):
                raise
            self._note_role(error)
        except pg.InsufficientPrivilege:
            self.skipped["grants on what is not the database's own"] = None

    def _note_role(self, error: psycopg.Error) -> None:
        said = error.diag.message_primary or str(error)
        quoted = re.search(r'"(.+)"', said)
        self.roles[quoted[1] if quoted else said] = None

    # --- as the role that has the rights

    def _make(self, wanted: Extension) -> None:
        """Make an extension, with the rights of who may: its script is the server's own."""
        if wanted.schema is not None:
            self._admin(
                "CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}", wanted.schema, self.loader
            )
        schema = "" if wanted.schema is None else " SCHEMA {}"
        names = [wanted.name, *([] if wanted.schema is None else [wanted.schema])]
        self._admin(f"CREATE EXTENSION IF NOT EXISTS {{}}{schema} CASCADE", *names)
        for (table,) in self.admin.execute(_CONFIGURATION, (wanted.name,)).fetchall():
            self.admin.execute(
                sql.SQL("GRANT SELECT, INSERT ON {} TO {}").format(
                    sql.SQL(table), sql.Identifier(self.loader)
                )
            )

    def _lend_public(self) -> None:
        """Let the loader into the schema that every database has, whoever owns it."""
        if self.wanted.public_owner:
            self._admin("ALTER SCHEMA public OWNER TO {}", self.wanted.public_owner)
        self._admin("GRANT ALL ON SCHEMA public TO {}", self.loader)

    def _run_later(self, statements: Iterable[bytes]) -> None:
        """Run what is not for the loader to say; the screen knows what kind each of them is."""
        for statement in statements:
            try:
                # as a binary one, the server takes a single statement only
                self.admin.execute(statement, binary=True, prepare=False)
            except pg.UndefinedObject as error:
                self._note_role(error)
            except psycopg.Error as error:
                self.skipped[f"{_shown(statement)}: {words(error)}"] = None

    def _admin(self, text: str, *names: str) -> None:
        execute(self.admin, properties.Statement(text, tuple(map(properties.Name, names))))


@contextmanager
def _cancelled_by(stop: Stop, session: Connection) -> Iterator[None]:
    """Cancel the statement that runs when somebody wants us to stop."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(POLL):
            try:
                stop.check()
            except Interrupted:
                with suppress(psycopg.Error):
                    session.cancel_safe(timeout=5)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _of_a_role(error: psycopg.Error) -> bool:
    """Tell whether it is a role that is not here, in whatever language the server speaks."""
    return (error.diag.source_function or "").startswith("get_role")


def _advice(error: psycopg.Error) -> str:
    if isinstance(error, pg.InsufficientPrivilege):
        return (
            "It takes a superuser's rights, which a file from elsewhere does not get. Leave that"
            " out of the dump."
        )
    if isinstance(error, pg.UndefinedObject | pg.UndefinedFile | pg.FeatureNotSupported):
        return (
            "Give the server what is missing. Extensions that a dump does not make are taken from"
            " the live database: make them there first (CREATE EXTENSION …), then restore again."
        )
    return "Dump again, with the pg_dump of this server's version if need be."


def _shown(statement: bytes) -> str:
    text = " ".join(statement[: SHOWN * 4].decode(errors="replace").split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
