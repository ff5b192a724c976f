"""A restore point is the database as it was, sealed; a swap puts it in the live one's place."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from sidecar import proof
from sidecar.backups import Format
from sidecar.connections import connect
from sidecar.errors import RollbackFailed
from sidecar.facts import kept_name
from sidecar.plan import Phase
from sidecar.ports import CannotClone

from . import oracle
from .bench import Bench, run_id
from .servers import NEWEST, Server, literal, quoted

Opened = Callable[..., Bench]

ODD = 'Zoo "Odd" Rôle'

DESTROY = """
DROP SCHEMA zoo CASCADE;
CREATE TABLE new_feature (id int);
SELECT lo_unlink(70001);
DROP EXTENSION citext CASCADE;
"""

PROPERTIES = """
ALTER DATABASE {0} SET search_path = zoo, "Annexe ""Ü"" 1", public;
ALTER DATABASE {0} SET temp_tablespaces = pg_default, '';
ALTER DATABASE {0} SET work_mem = '7MB';
ALTER DATABASE {0} SET "DateStyle" = 'SQL, DMY';
ALTER DATABASE {0} SET app.x = 'it''s "quoted", = and, commas';
ALTER DATABASE {0} SET app."Name" TO '';
ALTER DATABASE {0} SET session_preload_libraries = 'auto_explain', plpgsql;
ALTER ROLE zoo_reader IN DATABASE {0} SET search_path = 'zoo', "$user";
ALTER ROLE zoo_reader IN DATABASE {0} SET statement_timeout = '3s';
ALTER ROLE {1} IN DATABASE {0} SET search_path = '';
COMMENT ON DATABASE {0} IS E'it''s "the" database;\\n-- with two lines \\\\';
ALTER DATABASE {0} CONNECTION LIMIT 33;
"""

GRANTS = """
REVOKE ALL ON DATABASE {0} FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE {0} TO zoo_writer WITH GRANT OPTION;
GRANT CREATE ON DATABASE {0} TO {1};
SET ROLE zoo_writer;
GRANT CONNECT ON DATABASE {0} TO zoo_reader WITH GRANT OPTION;
GRANT TEMPORARY ON DATABASE {0} TO PUBLIC;
SET ROLE zoo_reader;
GRANT CONNECT ON DATABASE {0} TO zoo_keeper;
RESET ROLE;
"""


def decorate(server: Server, name: str, *scripts: str) -> None:
    """Set everything that hangs on a database's row."""
    for script in scripts:
        server.run(script.format(quoted(name), quoted(ODD)))


def is_open(server: Server, name: str) -> bool:
    """Whether a superuser gets in."""
    try:
        with server.session(name):
            return True
    except psycopg.OperationalError as error:
        assert "not currently accepting connections" in str(error)  # noqa: PT017 - the other way out is right too
        return False


def test_is_a_sealed_copy(server: Server, zoo: str, opened: Opened) -> None:
    """
    A restore point has all the properties of the database, and lets nobody in.

    Faults: 43, 57, 97.
    """
    decorate(server, zoo, PROPERTIES, GRANTS)
    bench = opened(server, zoo)
    look = bench.database.look()

    name, oid = bench.clone(look)

    assert oid == server.value(
        "SELECT oid::int FROM pg_database WHERE datname = %s", "postgres", name
    )
    assert oracle.properties(server, zoo) == oracle.properties(server, name)
    assert bench.database.untouched(name, oid) is None
    assert not is_open(server, name)


@pytest.mark.parametrize("scripts", [(), (PROPERTIES, GRANTS)], ids=["plain", "decorated"])
def test_takes_the_place_of_the_live_one(
    server: Server, zoo: str, opened: Opened, scripts: tuple[str, ...]
) -> None:
    """
    After a swap everything is as before, the failed database is kept, closed, and has it all.

    Faults: 45, 57, 83, 84, 97, 99.
    """
    decorate(server, zoo, *scripts)
    before = oracle.everything(server, zoo)
    bench = opened(server, zoo)
    look = bench.database.look(catalog=True)
    point, _ = bench.clone(look)
    _ruin(server, zoo)
    run = run_id()
    kept = kept_name(zoo, run)

    assert () == bench.database.close()
    bench.database.swap(point, kept, run, connections=True)

    assert before == oracle.everything(server, zoo)
    assert () == proof.put_back(look, bench.database.look_at(zoo))
    assert is_open(server, zoo)
    assert not is_open(server, kept)
    assert not bench.database.exists(point)
    assert (run, Phase.SWAPPED, kept) == _last_entry(bench)
    bench.database.open(kept)
    assert 1 == server.value("SELECT count(*) FROM pg_class WHERE relname = 'new_feature'", kept)


def _ruin(server: Server, name: str) -> None:
    """Do what a migration may do to data and properties."""
    server.run(DESTROY, name)
    decorate(server, name, "ALTER DATABASE {0} RESET ALL; COMMENT ON DATABASE {0} IS 'migrated'")
    decorate(
        server, name, "GRANT ALL ON DATABASE {0} TO {1}; ALTER DATABASE {0} OWNER TO zoo_writer"
    )
    decorate(server, name, "ALTER ROLE zoo_reader IN DATABASE {0} SET work_mem = '1MB'")
    decorate(server, name, "ALTER DATABASE {0} CONNECTION LIMIT 3")


def _last_entry(bench: Bench) -> tuple[str, Phase, Any]:
    entry = bench.control.entries()[-1]
    return entry.run, entry.phase, entry.detail["kept"]


def test_backup_carries_the_properties_too(server: Server, opened: Opened) -> None:
    """
    A database that is loaded from a backup gets the properties that the manifest holds.

    Faults: 29, 57, 97.
    """
    name = server.create("decorated", "TEMPLATE template0 OWNER zoo_owner")
    server.run('CREATE SCHEMA zoo; CREATE SCHEMA "Annexe ""Ü"" 1"', name)
    decorate(server, name, PROPERTIES, GRANTS)
    bench = opened(server, name)
    look, manifest = bench.back_up()

    scratch = bench.load(manifest.backup.name, look, Format.SQL)

    assert look.properties == manifest.properties
    assert oracle.properties(server, name) == oracle.properties(server, scratch)


def test_templates_stay_templates(server: Server, opened: Opened) -> None:
    """
    A database that is marked as a template is swapped like any, and its restore point dropped.

    Faults: 57, 97.
    """
    name = server.create("stencil")
    server.run(f"ALTER DATABASE {quoted(name)} IS_TEMPLATE true")
    before = oracle.properties(server, name)
    bench = opened(server, name)
    look = bench.database.look()
    point, _ = bench.clone(look)
    second, _ = bench.clone(look)
    run = run_id()

    bench.database.close()
    bench.database.swap(point, kept_name(name, run), run, connections=True)
    bench.database.drop(second)

    assert before == oracle.properties(server, name)
    assert not bench.database.exists(second)


def test_closed_database_stays_closed(server: Server, opened: Opened) -> None:
    """
    A database that let nobody in before lets nobody in afterwards.

    Faults: 45.
    """
    name = server.create("shut")
    bench = opened(server, name)
    look = bench.database.look()
    point, _ = bench.clone(look)
    run = run_id()

    bench.database.close()
    bench.database.swap(point, kept_name(name, run), run, connections=False)

    assert not is_open(server, name)


def test_puts_back_a_database_that_was_dropped(server: Server, zoo: str, opened: Opened) -> None:
    """
    A migration that drops the database itself is undone all the same.

    Faults: 83, 84.
    """
    before = oracle.everything(server, zoo)
    bench = opened(server, zoo)
    point, _ = bench.clone(bench.database.look())
    server.run(f"DROP DATABASE {quoted(zoo)}")
    run = run_id()

    assert () == bench.database.close()
    bench.database.swap(point, kept_name(zoo, run), run, connections=True)

    assert before == oracle.everything(server, zoo)


class TestUntouched:
    """What is not the restore point that was made is not trusted."""

    @pytest.fixture
    def bench(self, server: Server, opened: Opened) -> Bench:
        """Open a small database."""
        name = server.create("small")
        server.run("CREATE TABLE t (i int)", name)
        return opened(server, name)

    def test_when_it_was_written(self, server: Server, bench: Bench) -> None:
        """
        Opened, written and closed again: its rows may be other ones.

        Faults: 20, 91.
        """
        name, oid = bench.clone(bench.database.look())
        bench.database.open(name)
        server.run("INSERT INTO t VALUES (1)", name)
        server.run(f"ALTER DATABASE {quoted(name)} ALLOW_CONNECTIONS false")

        assert f"the restore point {name} was opened" == _in_the_end(bench, name, oid)

    def test_not_when_somebody_was_refused(self, server: Server, bench: Bench) -> None:
        """
        A monitor that knocks at every database has changed nothing; older servers can't tell.

        Faults: 42, 91.
        """
        name, oid = bench.clone(bench.database.look())
        assert not is_open(server, name)

        time.sleep(1)
        if server.major >= 14:
            assert bench.database.untouched(name, oid) is None

    def test_when_it_is_open(self, bench: Bench) -> None:
        """
        Nobody can tell who is about to write to it.

        Faults: 91.
        """
        name, oid = bench.clone(bench.database.look())
        bench.database.open(name)

        assert f"the restore point {name} was opened" == bench.database.untouched(name, oid)

    def test_when_it_is_another(self, server: Server, bench: Bench) -> None:
        """
        Another database of the same name is not it.

        Faults: 20, 100.
        """
        name, oid = bench.clone(bench.database.look())
        bench.database.drop(name)
        server.run(f"CREATE DATABASE {quoted(name)} ALLOW_CONNECTIONS false")

        complaint = f"the restore point {name} is not the one that was made"
        assert complaint == bench.database.untouched(name, oid)

    def test_when_it_is_gone(self, bench: Bench) -> None:
        """
        Somebody dropped it.

        Faults: 91.
        """
        name, oid = bench.clone(bench.database.look())
        bench.database.drop(name)

        assert f"the restore point {name} is gone" == bench.database.untouched(name, oid)

    def test_autovacuum_is_no_stranger(self, server: Server, bench: Bench) -> None:
        """
        The server's own housekeeping leaves a sealed database alone, and keeps nobody waiting.

        Faults: 42.
        """
        name, oid = bench.clone(bench.database.look())
        for setting in ("autovacuum = on", "autovacuum_naptime = 1"):
            server.run(f"ALTER SYSTEM SET {setting}")
        server.run("SELECT pg_reload_conf()")
        try:
            time.sleep(3.5)
            assert () == bench.database.sessions()
            assert bench.database.untouched(name, oid) is None
        finally:
            server.run("ALTER SYSTEM RESET ALL")
            server.run("SELECT pg_reload_conf()")


def _in_the_end(bench: Bench, name: str, oid: int) -> str | None:
    """Give the statistics of older servers a moment: they come by post."""
    until = time.monotonic() + 5
    while (found := bench.database.untouched(name, oid)) is None and time.monotonic() < until:
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("server", [NEWEST], indirect=True)
def test_no_copy_of_a_busy_database(server: Server, opened: Opened) -> None:
    """
    A session on the database keeps it from being copied, and the reason is told.

    Faults: 41, 95.
    """
    name = server.create("used")
    bench = opened(server, name)
    look = bench.database.look()

    with server.session(name), pytest.raises(CannotClone, match="accessed by other users"):
        bench.clone(look)


def test_no_swap_into_a_name_that_is_taken(server: Server, opened: Opened) -> None:
    """
    A swap that can't be whole changes nothing, neither a name nor the journal.

    Faults: 96, 100.
    """
    name = server.create("torn")
    bench = opened(server, name)
    point, _ = bench.clone(bench.database.look())
    taken = server.create("taken")
    bench.database.close()

    with pytest.raises(RollbackFailed, match="already exists"):
        bench.database.swap(point, taken, run_id(), connections=True)

    assert bench.database.exists(point)
    assert not is_open(server, name)
    assert [] == list(bench.control.entries())


def test_only_ours_are_dropped(server: Server, opened: Opened) -> None:
    """
    A name without our mark is refused, whatever state it is in.

    Faults: 99.
    """
    name = server.create("precious")
    bench = opened(server, name)

    for precious in (name, "postgres", kept_name(name, run_id())):
        with pytest.raises(AssertionError, match="refusing"):
            bench.database.drop(precious)

    assert bench.database.exists(name)


class TestCollationVersion:
    """The operating system's collations changed beneath the server (docker-library #1356)."""

    @pytest.fixture
    def aged(self, server: Server, opened: Opened) -> Bench:
        """Forge the version that a database was made with."""
        name = server.create(
            "aged", "TEMPLATE template0 LC_COLLATE 'en_US.utf8' LC_CTYPE 'en_US.utf8'"
        )
        server.run("CREATE TABLE t (x text PRIMARY KEY); INSERT INTO t VALUES ('é'), ('e')", name)
        if server.major >= 15:
            server.run(
                f"UPDATE pg_database SET datcollversion = '0.9' WHERE datname = {literal(name)}"
            )
        return opened(server, name)

    def test_is_seen(self, server: Server, aged: Bench) -> None:
        """
        Servers that remember the version tell of the change, the others can't.

        Faults: 28.
        """
        assert (server.major >= 15) == aged.database.look().collation_changed

    def test_backup_still_loads(self, server: Server, aged: Bench) -> None:
        """
        The database can't be copied; a backup of it can be loaded, and has the new version.

        Faults: 28, 30.
        """
        look, manifest = aged.back_up(Format.ARCHIVE)
        if server.major >= 15:
            with pytest.raises(CannotClone, match="collation version"):
                aged.clone(look)

        scratch = aged.load(manifest.backup.name, look, Format.ARCHIVE)

        found = aged.database.look_at(scratch)
        assert () == proof.put_back(look, found)
        assert not found.collation_changed
        assert oracle.rows(server, aged.name) == oracle.rows(server, scratch)


def test_lost_updates_are_not_copied_from_the_future(server: Server, opened: Opened) -> None:
    """
    A restore point is the past: what is committed after it was made is in the live one only.

    Faults: 40.
    """
    name = server.create("moving")
    server.run("CREATE TABLE t (i int)", name)
    bench = opened(server, name)
    look = bench.database.look(catalog=True)
    point, _ = bench.clone(look)

    server.run("INSERT INTO t VALUES (1)", name)
    bench.database.open(point)

    with connect(server.conninfo, point) as session:
        assert [] == session.execute("SELECT * FROM public.t").fetchall()
    found = bench.database.look_at(point)
    assert () == proof.put_back(look, replace(found, properties=look.properties))
