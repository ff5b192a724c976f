"""Dumps that others have made, with the flags that people use, loaded beside a database."""

import gzip
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.dumpfile import DumpFile
from sidecar.errors import BackupDamaged, Interrupted, MigsafeError, PreflightFailed, Refused
from sidecar.facts import LeftOut, scratch_name
from sidecar.journal import CONTROL
from sidecar.keys import Keys

from . import oracle
from .bench import Bench, Going, run_id
from .servers import NEWEST, OLDEST, Server

Opened = Callable[..., Bench]

ON = (OLDEST, NEWEST)
NEWEST_ONLY = pytest.mark.parametrize(
    "server", [NEWEST], ids="pg{}".format, indirect=True, scope="session"
)

SHOP = r"""
CREATE EXTENSION citext;
CREATE EXTENSION pg_trgm;
SET ROLE zoo_owner;
CREATE TABLE customer (id serial PRIMARY KEY, mail citext UNIQUE, note text DEFAULT 'a;b');
INSERT INTO customer (mail, note)
  SELECT 'm' || i, E'x\t\\.\n''$$' || i FROM generate_series(1, 99) i;
CREATE INDEX ON customer USING gin (note gin_trgm_ops);
CREATE TABLE secret AS SELECT 1 AS id;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE secret FORCE ROW LEVEL SECURITY;
CREATE POLICY nobody ON secret USING (false);
CREATE TABLE empty (id int);
CREATE FUNCTION count_all() RETURNS bigint LANGUAGE sql
  AS $$ SELECT count(*) FROM public.customer; $$;
CREATE MATERIALIZED VIEW mails AS SELECT mail FROM customer;
CREATE RULE twice AS ON INSERT TO empty DO ALSO (SELECT 1; SELECT 2);
SELECT lo_from_bytea(0, '\xdeadbeef');
GRANT SELECT ON customer TO zoo_reader;
REVOKE ALL ON FUNCTION count_all() FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO zoo_reader;
"""
ATOMIC = "CREATE FUNCTION one() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; END;"
ATOMIC_FROM = 14
"""First major whose functions can be SQL itself."""


@dataclass
class Shop:
    """A database, and what loads beside it."""

    bench: Bench
    server: Server
    folder: Path

    @property
    def name(self) -> str:
        """Its name."""
        return self.bench.name

    def dump(self, *flags: str, name: str = "") -> bytes:
        """Dump it as others do."""
        return self.server.program("pg_dump", *flags, database=name or self.name).stdout

    def load(self, data: bytes, stop: Going | None = None) -> tuple[str, LeftOut]:
        """Load a file beside it."""
        (self.folder / "x").write_bytes(data)
        file = DumpFile.find("x", self.folder, stop or Going(), Keys())
        file.examine(lambda _: None)
        name = scratch_name(self.name, run_id(), "load")
        wanted = self.bench.database.look().properties
        return name, self.bench.database.load_foreign(name, file.sql(), wanted, stop or Going())

    def left(self) -> list[str]:
        """Name the databases and roles that nobody needs any more."""
        found = self.server.rows(
            "SELECT datname::text FROM pg_database WHERE datname LIKE '%\\_\\_migsafe\\_%'"
            " UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE 'migsafe\\_lent%'"
        )
        return [name for (name,) in found]


@pytest.fixture
def shop(server: Server, opened: Opened, tmp_path: Path) -> Shop:
    """Make a database of somebody who is no superuser."""
    name = server.create("shop", "TEMPLATE template0 OWNER zoo_owner")
    server.run("GRANT CREATE ON SCHEMA public TO zoo_owner", name)
    server.script(SHOP + (ATOMIC if server.major >= ATOMIC_FROM else ""), name)
    return Shop(opened(server, name), server, tmp_path)


FLAGS = {
    "plain": (),
    "inserts": ("--inserts", "--rows-per-insert=7"),
    "clean": ("--clean",),
    "clean, if exists": ("--clean", "--if-exists"),
    "create": ("--create", "--clean"),
    "nobody's": ("--no-owner",),
    "set authorization": ("--use-set-session-authorization",),
    "quoted": ("--quote-all-identifiers",),
}


@NEWEST_ONLY
@pytest.mark.parametrize("flags", FLAGS.values(), ids=list(FLAGS))
def test_comes_back_whole_whatever_was_asked_for(shop: Shop, flags: Sequence[str]) -> None:
    """What pg_dump writes loads to what it was dumped of, whatever it was told to write."""
    comes_back_whole(shop, *flags)


def test_comes_back_whole(shop: Shop) -> None:
    """So it does on an old server."""
    comes_back_whole(shop, "--clean")


def comes_back_whole(shop: Shop, *flags: str) -> None:
    """Dump, load beside, compare."""
    before = oracle.dump(shop.server, shop.name)

    name, left = shop.load(shop.dump(*flags))

    assert LeftOut() == left
    assert before == oracle.dump(shop.server, name)
    assert oracle.rows(shop.server, shop.name) == oracle.rows(shop.server, name)
    assert oracle.large_objects(shop.server, shop.name) == oracle.large_objects(shop.server, name)
    assert [name] == shop.left()


@pytest.mark.parametrize("server", [15], ids="pg{}".format, indirect=True, scope="session")
@pytest.mark.parametrize(
    ("flags", "pack"),
    [
        (("-Fc",), bytes),
        (("-Fc", "--compress=0"), gzip.compress),
        (("-Ft",), bytes),
        (("-Ft",), gzip.compress),
    ],
    ids=["custom", "custom in gzip", "tar", "tar in gzip"],
)
def test_archives_come_back_whole(
    shop: Shop, flags: Sequence[str], pack: Callable[[bytes], bytes]
) -> None:
    """So do archives, also in what packs files; those of other majors are tried on stacks."""
    name, left = shop.load(pack(shop.dump(*flags)))

    assert LeftOut() == left
    assert oracle.dump(shop.server, shop.name) == oracle.dump(shop.server, name)


@pytest.mark.parametrize("server", [15], ids="pg{}".format, indirect=True, scope="session")
def test_a_damaged_archive_changes_nothing(shop: Shop) -> None:
    """
    One that is cut off is refused when it is read, before the server hears of it.

    Faults: 57, 59.
    """
    whole = shop.dump("-Fc")

    with pytest.raises(BackupDamaged):
        shop.load(whole[: len(whole) * 2 // 3])
    assert [] == shop.left()


def test_one_schema_only(shop: Shop) -> None:
    """A dump of one schema does not make the extensions that it needs: the live ones are taken."""
    text = shop.dump("--schema=public", "--blobs")
    assert b"CREATE EXTENSION" not in text

    name, _ = shop.load(text)

    assert oracle.rows(shop.server, shop.name) == oracle.rows(shop.server, name)
    assert oracle.dump(shop.server, shop.name) == oracle.dump(shop.server, name)


def test_of_other_owners(shop: Shop) -> None:
    """Everything is the live database's owner's; roles that are not here are named."""
    server = shop.server
    server.run("CREATE ROLE passer_by; CREATE ROLE other_owner")
    try:
        server.run("CREATE SCHEMA theirs AUTHORIZATION other_owner", shop.name)
        server.run("CREATE TABLE theirs.x (id int); GRANT ALL ON theirs.x TO passer_by", shop.name)
        server.run("ALTER TABLE theirs.x OWNER TO other_owner", shop.name)
        text = shop.dump()
        server.run("DROP OWNED BY other_owner, passer_by CASCADE", shop.name)
    finally:
        server.run("DROP ROLE passer_by; DROP ROLE other_owner")

    name, left = shop.load(text)

    assert ("passer_by",) == left.roles
    owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE oid >= 16384"
    found = {row[0] for row in server.rows(owners, name)}
    assert found <= {"zoo_owner", "postgres"}
    assert "zoo_owner" == server.value(
        "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'x'", name
    )


@pytest.mark.parametrize("server", [OLDEST], ids="pg{}".format, indirect=True, scope="session")
def test_by_a_newer_program(shop: Shop) -> None:
    """Settings that this server does not know are no reason to refuse its own data."""
    text = (
        shop.dump().replace(
            b"SET lock_timeout = 0;\n",
            b"SET lock_timeout = 0;\nSET transaction_timeout = 0;\n\\restrict Abc\n",
        )
        + b"\n\\unrestrict Abc\n"
    )

    name, _ = shop.load(text)

    assert oracle.dump(shop.server, shop.name) == oracle.dump(shop.server, name)


HOSTILE = {
    "a program here": r"\! touch {mark}",
    "a program here, by a pipe": r"\o | touch {mark}",
    "a program here, by copy": r"\copy customer to program 'touch {mark}'",
    "a program here, in a statement": r"SELECT 1 \g | touch {mark}",
    "a program there": "COPY customer TO PROGRAM 'touch {mark}';",
    "a file there": "COPY customer TO '{mark}';",
    "a file there, read": "SELECT pg_read_file('PG_VERSION');",
    "as a superuser": "SET SESSION AUTHORIZATION postgres; COPY customer TO '{mark}';",
    "as a superuser, by and by": "DO 'BEGIN SET ROLE postgres; END';",
    "as who it was": "RESET SESSION AUTHORIZATION; RESET ROLE; COPY customer TO '{mark}';",
    "as a superuser, hidden": "SELECT 1; /* ' */ DO $$BEGIN SET ROLE postgres; END$$; --'",
    "the server's settings": "ALTER SYSTEM SET archive_command = 'touch {mark}';",
    "roles": "CREATE ROLE intruder SUPERUSER;",
    "roles, hidden": "DO 'BEGIN CREATE ROLE intruder; END';",
    "the database": "DO 'BEGIN EXECUTE $x$ALTER DATABASE \"{live}\" SET work_mem = 9$x$; END';",
    "its name": "DO 'BEGIN ALTER DATABASE \"{live}\" RENAME TO mine; END';",
    "another database": "\\connect postgres\n\\connect template1",
}


@NEWEST_ONLY
@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_hostile_gets_nowhere(shop: Shop, what: str, tmp_path: Path) -> None:
    """
    A file that wants to do more than load is refused, and has done nothing.

    Faults: 121.
    """
    mark = tmp_path / "mark"
    before = shop.server.rows("SELECT oid::text, datname::text FROM pg_database ORDER BY 1")
    evil = HOSTILE[what].format(mark=mark, live=shop.name).encode()
    end = b"--\n-- PostgreSQL database dump complete"

    with pytest.raises((BackupDamaged, PreflightFailed, Refused)) as refused:
        shop.load(shop.dump().replace(end, evil + b"\n" + end))

    assert "Nothing was changed." in refused.value.hint
    assert not mark.exists()
    assert 0 != shop.server.program("ls", str(mark), check=False).returncode
    assert 0 == shop.server.value("SELECT count(*) FROM pg_roles WHERE rolname = 'intruder'")
    assert 0 == shop.server.value("SELECT count(*) FROM pg_db_role_setting WHERE setdatabase <> 0")
    assert before == shop.server.rows("SELECT oid::text, datname::text FROM pg_database ORDER BY 1")
    assert [] == shop.left()


@NEWEST_ONLY
@pytest.mark.parametrize(
    "statement", ["DROP DATABASE {live} WITH (FORCE);", "ALTER DATABASE {live} CONNECTION LIMIT 0;"]
)
def test_what_is_said_of_the_database_itself_does_not_count(shop: Shop, statement: str) -> None:
    """A dump that makes its database anew leaves the live one alone."""
    name, _ = shop.load(shop.dump() + statement.format(live=shop.name).encode() + b"\n")

    assert oracle.dump(shop.server, shop.name) == oracle.dump(shop.server, name)
    assert -1 == shop.bench.database.look().properties.connection_limit


@NEWEST_ONLY
def test_a_signal_ends_a_long_statement(shop: Shop) -> None:
    """Whoever presses Ctrl-C does not wait for the server."""

    class Pressed(Going):
        """Is asked to stop after a moment."""

        def __init__(self) -> None:
            self.now = threading.Event()
            threading.Timer(1.5, self.now.set).start()

        def check(self) -> None:
            if self.now.is_set():
                raise Interrupted.by(2)

    end = b"--\n-- PostgreSQL database dump complete"
    with pytest.raises(Interrupted):
        shop.load(shop.dump().replace(end, b"SELECT pg_sleep(60);\n" + end), Pressed())
    assert [] == shop.left()


@NEWEST_ONLY
def test_what_the_server_refuses_is_told_by_line(shop: Shop) -> None:
    """The line of the file, the server's words, the statement, and what to do."""
    text = shop.dump()
    bad = text.replace(b"CREATE INDEX", b"CREATE NO INDEX", 1)
    line = bad[: bad.index(b"CREATE NO INDEX")].count(b"\n") + 1

    with pytest.raises(MigsafeError, match=f"line {line} can't be loaded.*syntax error"):
        shop.load(bad)
    assert [] == shop.left()


@NEWEST_ONLY
def test_without_a_superuser(server: Server, opened: Opened, tmp_path: Path) -> None:
    """Where no role can be made for it, the database's owner loads, with what rights he has."""
    forget = f"DROP DATABASE IF EXISTS {CONTROL} WITH (FORCE)"
    server.run(forget)
    server.run("ALTER ROLE zoo_owner CREATEDB")
    name = server.create("poor", "TEMPLATE template0 OWNER zoo_owner")
    server.run("GRANT ALL ON SCHEMA public TO zoo_owner", name)
    server.run("CREATE EXTENSION citext; CREATE TABLE t (a citext)", name, "zoo_owner")
    server.run("INSERT INTO t VALUES ('x')", name, "zoo_owner")
    shop = Shop(opened(server, name, "zoo_owner"), server, tmp_path)

    scratch, _ = shop.load(shop.dump())

    assert oracle.dump(server, name) == oracle.dump(server, scratch)
    shop.bench.close()
    server.run(forget)
