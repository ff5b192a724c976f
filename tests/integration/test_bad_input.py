"""What stands in the way is told with the right error, at once, and changes nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from sidecar import preflight, proof, reading
from sidecar.connections import connect
from sidecar.errors import DatabaseMissing, DatabaseUnavailable, MigsafeError, PreflightFailed
from sidecar.facts import Look
from sidecar.journal import CONTROL, open_control
from sidecar.ports import CannotClone
from sidecar.preflight import Space

from . import oracle
from .bench import CLOCK, Bench
from .servers import MAJORS, NEWEST, STANDBY_PORT, Server, fresh, quoted, running

Opened = Callable[..., Bench]

ON = (MAJORS[0], NEWEST)

STANDBY = f"""
set -e
rm -rf /tmp/standby
initdb --pgdata=/tmp/standby --auth=trust --username=postgres >/dev/null
echo "host all all all trust" >> /tmp/standby/pg_hba.conf
options="-p {STANDBY_PORT} -c listen_addresses=*"
start="pg_ctl --pgdata=/tmp/standby --wait --silent --log=/tmp/standby.log"
if [ "$1" = known ]; then
  $start start -o "$options"
  createdb --port={STANDBY_PORT} {CONTROL}
  psql --quiet --port={STANDBY_PORT} --dbname={CONTROL} --command="
    CREATE SCHEMA migsafe; CREATE TABLE migsafe.journal (sequence bigint, database text, run text,
    phase text, at timestamptz, detail jsonb)"
  $start stop
fi
touch /tmp/standby/standby.signal
$start start -o "$options"
"""


def complaints(look: Look) -> tuple[str, ...]:
    """Ask the preflight, which has all the room that it wants."""
    return preflight.complaints(look, Space(None), clone=True)


class TestUnreachable:
    """A server that is not there, or does not want us."""

    @pytest.mark.parametrize("user", ["zoo_owner", "no_such_role", "no_such_database"])
    def test_a_wrong_password(self, server: Server, user: str) -> None:
        """
        Waiting does not mend a password: the refusal is told at once, without the password.

        Faults: 16, 60.
        """
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable) as told:
            open_control(server.conninfo_of(user, "wrong canary"), "any", CLOCK)

        assert time.monotonic() - started < 5
        assert (10, False) == (told.value.exit_code, told.value.passing)
        assert not isinstance(told.value, DatabaseMissing)
        assert "canary" not in f"{told.value.message} {told.value.hint}"

    def test_nobody_answers(self, server: Server) -> None:
        """
        A server that is not up may come up.

        Faults: 16.
        """
        with pytest.raises(DatabaseUnavailable) as told:
            open_control({**server.conninfo, "port": 1}, "any", CLOCK)

        assert (10, True) == (told.value.exit_code, told.value.passing)

    def test_no_such_host(self, server: Server) -> None:
        """
        So may a service whose name is not known yet.

        Faults: 16.
        """
        with pytest.raises(DatabaseUnavailable) as told:
            open_control({**server.conninfo, "host": "db.invalid"}, "any", CLOCK)

        assert (10, True) == (told.value.exit_code, told.value.passing)

    def test_a_server_that_is_full(self, server: Server) -> None:
        """
        A server without a free connection has one in a moment.

        Faults: 16.
        """
        name = server.create("crowd")
        server.run(f"ALTER DATABASE {quoted(name)} CONNECTION LIMIT 1")
        with (
            server.session(name, "zoo_owner"),
            pytest.raises(DatabaseUnavailable, match="too many connections") as told,
        ):
            connect(server.conninfo_of("zoo_owner"), name)

        assert (10, True) == (told.value.exit_code, told.value.passing)

    def test_a_server_that_recovers(self, server: Server) -> None:
        """
        A server whose backend was killed is back in a moment.

        Faults: 16, 50.
        """
        with running([server.major], killed=True) as found:
            victim = found[server.major]
            errors = _until_it_is_back(victim)

        assert errors
        assert {True} == {error.passing for error in errors}

    def test_a_missing_database(self, server: Server, opened: Opened) -> None:
        """
        A database that is not there is told from a server that is not there.

        Faults: 20, 21.
        """
        with pytest.raises(DatabaseMissing) as told:
            opened(server, fresh("nowhere")).database.look()

        assert (10, False) == (told.value.exit_code, told.value.passing)


def _until_it_is_back(server: Server) -> list[DatabaseUnavailable]:
    """Crash a backend, and gather what a client is told until the server is back."""
    with psycopg.connect(**server.conninfo, dbname="postgres", autocommit=True) as session:
        session.execute("CREATE TABLE crash AS SELECT generate_series(1, 300000)")
        server.program("sh", "-c", f"kill -KILL {session.info.backend_pid}")
    errors, until = list[DatabaseUnavailable](), time.monotonic() + 30
    while time.monotonic() < until:
        try:
            connect(server.conninfo, "postgres").close()
        except DatabaseUnavailable as error:
            errors.append(error)
        else:
            if errors:
                break
    return errors


@pytest.mark.parametrize("server", [MAJORS[0], NEWEST], indirect=True)
class TestStandby:
    """A server that only follows another one."""

    @contextmanager
    def standby(self, server: Server, kind: str) -> Iterator[dict[str, object]]:
        """Run a standby beside the server: it has recovered all there is, and waits for more."""
        server.program("bash", "-c", STANDBY, "standby", kind)
        yield {**server.conninfo, "port": server.standby_port, "password": "none"}
        server.program("pg_ctl", "--pgdata=/tmp/standby", "--mode=immediate", "--silent", "stop")

    def test_is_refused(self, server: Server) -> None:
        """
        A standby that knows a journal is looked at, and refused by the preflight.

        Faults: 16.
        """
        with self.standby(server, "known") as conninfo:
            control = open_control(conninfo, "postgres", CLOCK)
            control.close()
            with connect(conninfo, "postgres") as session:
                look = reading.look(session, "postgres", None, catalog=False)

        assert look.server.in_recovery
        assert any("standby" in complaint for complaint in complaints(look))

    def test_without_a_journal(self, server: Server) -> None:
        """
        A standby where no journal can be made is an error of ours, not a bug.

        Faults: 16.
        """
        with self.standby(server, "new") as conninfo, pytest.raises(MigsafeError) as told:
            open_control(conninfo, "postgres", CLOCK)

        assert told.value.exit_code in {10, 18}


class TestHeld:
    """What follows a database's oid and not its name, or keeps it from being renamed."""

    def test_a_prepared_transaction(self, server: Server, opened: Opened) -> None:
        """
        It is named before anything is done: neither a rename nor a copy would work.

        Faults: 26, 49.
        """
        name = server.create("prepared")
        bench = opened(server, name)
        server.run("BEGIN; CREATE TABLE t (i int); PREPARE TRANSACTION 'it''s %s'", name)
        try:
            (complaint,) = complaints(bench.database.look())
        finally:
            server.run("ROLLBACK PREPARED 'it''s %s'", name)

        assert "prepared transactions keep the database from being renamed: it's %s" in complaint

    def test_a_logical_slot(self, server: Server, opened: Opened) -> None:
        """
        A slot, though nobody reads from it, stays with the old database.

        Faults: 27, 98.
        """
        name, slot = server.create("slotted"), fresh("slot")
        server.run(f"SELECT pg_create_logical_replication_slot('{slot}', 'test_decoding')", name)
        try:
            (complaint,) = complaints(opened(server, name).database.look())
        finally:
            server.run(f"SELECT pg_drop_replication_slot('{slot}')", name)

        assert f"logical replication slots would stay with the failed database: {slot}" in complaint

    def test_a_subscription(self, server: Server, opened: Opened) -> None:
        """
        A subscription stays with the old database, too.

        Faults: 27, 98.
        """
        name = server.create("subscribed")
        server.run(
            "CREATE SUBSCRIPTION mine CONNECTION 'host=nowhere.invalid' PUBLICATION theirs"
            " WITH (connect = false, slot_name = NONE)",
            name,
        )
        (complaint,) = complaints(opened(server, name).database.look())
        server.run("DROP SUBSCRIPTION mine", name)

        assert "subscriptions would stay with the failed database: mine" in complaint

    def test_a_physical_slot_is_no_matter(self, server: Server, opened: Opened) -> None:
        """
        A standby follows the whole server, whatever its databases are called.

        Faults: 27.
        """
        slot = fresh("physical")
        server.run(f"SELECT pg_create_physical_replication_slot('{slot}')")
        try:
            assert () == complaints(opened(server, server.create("followed")).database.look())
        finally:
            server.run(f"SELECT pg_drop_replication_slot('{slot}')")


class TestTemplates:
    """What the server's own templates hold is no concern of ours."""

    def test_template1_is_polluted_and_in_use(self, server: Server, opened: Opened) -> None:
        """
        Neither a table in template1 nor a session on it is in the way of anything.

        Faults: 30, 94.
        """
        server.run(f"DROP DATABASE IF EXISTS {CONTROL} WITH (FORCE)")
        name = server.create("clean")
        server.run("CREATE TABLE t (i int)", name)
        server.run("CREATE TABLE dirt (i int)", "template1")
        try:
            with server.session("template1"):
                bench = opened(server, name)
                look, manifest = bench.back_up()
                scratch = bench.load(manifest.backup.name, look, manifest.backup.format)
                bench.clone(look)
        finally:
            server.run("DROP TABLE dirt", "template1")

        assert () == proof.put_back(look, bench.database.look_at(scratch))
        assert {"public.t": 0} == oracle.rows(server, scratch)
        assert 0 == server.value("SELECT count(*) FROM pg_class WHERE relname = 'dirt'", CONTROL)

    @pytest.mark.parametrize("server", [NEWEST], indirect=True)
    def test_without_a_database_postgres(self, server: Server) -> None:
        """
        The database ``postgres`` is only a habit.

        Faults: 31.
        """
        server.run(f"DROP DATABASE IF EXISTS {CONTROL} WITH (FORCE)")
        server.run("ALTER DATABASE postgres RENAME TO habit", "template1")
        try:
            open_control(server.conninfo, "any", CLOCK).close()
        finally:
            server.run("ALTER DATABASE habit RENAME TO postgres", "template1")

        assert 1 == server.value(f"SELECT count(*) FROM pg_database WHERE datname = '{CONTROL}'")


class TestAwkwardServers:
    """Settings of databases and roles that get in the way of those who rely on the defaults."""

    def test_settings_that_hurt(self, server: Server, opened: Opened) -> None:
        """
        Read-only defaults, short timeouts, odd search paths: backup, copy and load go on.

        Faults: 29, 53, 57.
        """
        name = server.create("hurt")
        server.run("CREATE TABLE t AS SELECT generate_series(1, 50000) AS i", name)
        for setting in (
            "default_transaction_read_only = on",
            "statement_timeout = '50ms'",
            "lock_timeout = '1ms'",
            "idle_in_transaction_session_timeout = '20ms'",
            "search_path = nowhere",
            "row_security = off",
            "synchronous_commit = off",
            "client_encoding = 'LATIN1'",
            "DateStyle = 'German'",
            "default_transaction_isolation = 'serializable'",
        ):
            server.run(f"ALTER DATABASE {quoted(name)} SET {setting}")
        bench = opened(server, name)
        look, manifest = bench.back_up()

        scratch = bench.load(manifest.backup.name, look, manifest.backup.format)
        point, _ = bench.clone(look)

        assert {"public.t": 50000} == manifest.contents.rows
        assert () == proof.put_back(look, bench.database.look_at(scratch))
        assert oracle.properties(server, name) == oracle.properties(server, point)

    def test_an_assertion_can_not_write(self, server: Server, opened: Opened) -> None:
        """
        What the operator asks of the database changes nothing, whatever it says.

        Faults: 87.
        """
        name = server.create("asked")
        server.run(
            "CREATE TABLE t (i int); CREATE FUNCTION f() RETURNS boolean LANGUAGE sql AS"
            " 'INSERT INTO t VALUES (1) RETURNING true'",
            name,
        )
        database = opened(server, name).database

        assert database.assertion("SELECT count(*) = 0 FROM t") is None
        assert "is not true" == database.assertion("SELECT count(*) > 0 FROM t")
        assert "is not true" == database.assertion("SELECT NULL::boolean")
        assert "can't be asked" in str(database.assertion("SELECT * FROM no_such_table"))
        assert "can't be asked" in str(database.assertion("SELECT f()"))
        assert "can't be asked" in str(database.assertion("SELECT '%s' || 1 / 0"))
        assert 0 == server.value("SELECT count(*) FROM t", name)

    def test_no_client_programs(self, server: Server, opened: Opened) -> None:
        """
        Without client programs of the server's major there is a complaint before anything else.

        Faults: 17, 18.
        """
        bench = opened(server, server.create("toolless"))

        def none() -> object:
            raise PreflightFailed("there are no client programs")

        bench.database.tools._tools = None
        bench.database.tools._choose = none  # type: ignore[assignment]  # it never returns

        assert ("there are no client programs",) == bench.database.complaints()

    @pytest.mark.parametrize("server", [NEWEST], indirect=True)
    def test_no_room_for_properties(self, server: Server, opened: Opened) -> None:
        """
        A copy under a name that is taken is no copy.

        Faults: 100.
        """
        bench = opened(server, server.create("double"))
        look = bench.database.look()
        name, _ = bench.clone(look)

        with pytest.raises(CannotClone, match="already exists"):
            bench.database.clone(name, look.properties, look.size)
