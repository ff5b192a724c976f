"""What each role can do: enough without being a superuser, and every missing right is told."""

from collections.abc import Callable, Iterator

import pytest

from sidecar import preflight, proof, reading
from sidecar.backups import Format
from sidecar.connections import connect
from sidecar.errors import BackupFailed, PreflightFailed
from sidecar.facts import Look, kept_name
from sidecar.journal import CONTROL, open_control
from sidecar.preflight import Space

from . import oracle
from .bench import CLOCK, Bench, run_id
from .servers import MAJORS, NEWEST, Server, quoted

Opened = Callable[..., Bench]

ON = (MAJORS[0], NEWEST)

APP = """
CREATE EXTENSION citext;
CREATE TABLE customers (id serial PRIMARY KEY, mail citext UNIQUE, note text);
INSERT INTO customers (mail, note)
  SELECT i || '@example.org', repeat('x', i) FROM generate_series(1, 99) i;
CREATE VIEW short AS SELECT * FROM customers WHERE length(note) < 10;
CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql AS 'SELECT upper($1)';
ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY nobody ON customers USING (true);
SELECT lo_from_bytea(0, 'attached');
GRANT SELECT ON customers TO zoo_reader;
"""


@pytest.fixture(autouse=True)
def untouched_server(server: Server) -> Iterator[None]:
    """Let the role itself make the control database, and give up what it was granted."""
    forget = f"DROP DATABASE IF EXISTS {CONTROL} WITH (FORCE)"
    server.run(forget)
    yield
    server.run(forget)
    server.run("REVOKE pg_signal_backend FROM zoo_owner; ALTER ROLE zoo_owner CREATEDB")


@pytest.fixture
def app(server: Server) -> str:
    """Make an app's database, all of it owned by the app's role."""
    name = server.create("app", "TEMPLATE template0 OWNER zoo_owner")
    server.script(APP, name, "zoo_owner")
    return name


def complaints(look: Look) -> tuple[str, ...]:
    """Ask the preflight, which has all the room that it wants."""
    return preflight.complaints(look, Space(None), clone=True)


@pytest.mark.parametrize("written", Format)
def test_an_owner_can_do_it_all(server: Server, app: str, opened: Opened, written: Format) -> None:
    """
    An owner with CREATEDB and pg_signal_backend backs up, clones, loads, closes and swaps.

    Faults: 22, 42, 53, 54.
    """
    server.run("GRANT pg_signal_backend TO zoo_owner")
    server.run(f"GRANT CONNECT ON DATABASE {quoted(app)} TO zoo_reader")
    before = oracle.everything(server, app)
    bench = opened(server, app, "zoo_owner")
    run = run_id()

    with bench.control.hold(run, 0):
        look, manifest = bench.back_up(written)
        point, oid = bench.clone(look)
        loaded = bench.load(manifest.backup.name, look, written)
        server.run("DROP TABLE customers CASCADE", app)
        with server.session(app, "zoo_reader"):
            left = bench.database.close()
        distrust = bench.database.untouched(point, oid)
        bench.database.swap(point, kept_name(app, run), run, connections=True)

    assert ((), None, ()) == (left, distrust, complaints(look))
    assert before == oracle.everything(server, app)
    assert before == oracle.everything(server, loaded)
    assert () == proof.put_back(look, bench.database.look_at(app))
    bench.database.drop(loaded)


def test_a_copy_holds_what_a_superuser_made(server: Server, menagerie: str, opened: Opened) -> None:
    """
    A restore point has what the owner could not load: event triggers, other owners' tables.

    Faults: 23, 53.
    """
    name = server.create("theirs", f"TEMPLATE {menagerie} OWNER zoo_owner")
    before = oracle.everything(server, name)
    bench = opened(server, name, "zoo_owner")
    look = bench.database.look(catalog=True)
    point, _ = bench.clone(look)
    server.run("DROP SCHEMA zoo CASCADE", name)
    run = run_id()

    bench.database.close()
    bench.database.swap(point, kept_name(name, run), run, connections=True)

    assert before == oracle.everything(server, name)
    assert {"event trigger zoo_ddl", "extension file_fdw"} <= set(look.needs_superuser)
    assert complaints(look) == ()
    assert preflight.complaints(look, Space(None), clone=False) != ()


def test_no_backup_is_better_than_half_of_one(
    server: Server, menagerie: str, opened: Opened
) -> None:
    """
    A role that may not read everything gets an error, and no file.

    Faults: 53, 54.
    """
    name = server.create("half", f"TEMPLATE {menagerie} OWNER zoo_owner")
    bench = opened(server, name, "zoo_owner")
    vault = bench.vault()

    with pytest.raises(BackupFailed, match=r"permission denied|row-level security"):
        vault.take(vault.next_backup(), "run", bench.database.look(), {})

    assert [] == list(bench.store.folder.iterdir())


def test_without_createdb(server: Server, app: str) -> None:
    """
    A role that may not create databases can't even keep a journal, and is told how it could.

    Faults: 22.
    """
    server.run("ALTER ROLE zoo_owner NOCREATEDB")

    with pytest.raises(PreflightFailed, match="permission denied") as told:
        open_control(server.conninfo_of("zoo_owner"), app, CLOCK)

    assert 18 == told.value.exit_code
    assert "CREATEDB" in told.value.hint
    assert any("CREATEDB" in complaint for complaint in complaints(_look(server, app)))


def test_without_owning_it(server: Server, opened: Opened) -> None:
    """
    A role that does not own the database can't rename it.

    Faults: 22, 42.
    """
    name = server.create("foreign")
    look = opened(server, name, "zoo_owner").database.look()

    (complaint,) = complaints(look)
    assert f"role 'zoo_owner' does not own database '{name}'" in complaint


def test_without_the_right_to_end_sessions(server: Server, app: str, opened: Opened) -> None:
    """
    A role that may not end other roles' sessions is told so, if there are any.

    Faults: 22, 42.
    """
    bench = opened(server, app, "zoo_owner")

    with server.session(app, "zoo_reader"):
        (complaint,) = complaints(bench.database.look())
    with server.session(app, "zoo_owner"):
        none = complaints(bench.database.look())

    assert "GRANT pg_signal_backend TO zoo_owner" in complaint
    assert () == none


def test_what_can_not_be_ended_is_told(
    server: Server, app: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A superuser's session can't be ended by others: it is returned, and the rest are ended.

    Faults: 42.
    """
    monkeypatch.setattr("sidecar.postgres.SECONDS_TO_GO", 1.0)
    server.run("GRANT pg_signal_backend TO zoo_owner")
    bench = opened(server, app, "zoo_owner")

    with server.session(app) as superuser, server.session(app, "zoo_reader"):
        left = bench.database.close()

        assert [(superuser.info.backend_pid, "postgres")] == [(s.pid, s.user) for s in left]


def test_a_journal_of_another_role(server: Server, app: str) -> None:
    """
    A control database that another role made is a missing right, not a missing server.

    Faults: 22, 31.
    """
    open_control(server.conninfo, app, CLOCK).close()

    with pytest.raises(PreflightFailed) as told:
        open_control(server.conninfo_of("zoo_owner"), app, CLOCK)

    assert 18 == told.value.exit_code


def test_a_role_of_the_owner(server: Server, app: str, opened: Opened) -> None:
    """
    Being a member of the owner is as good as being it; the copies belong to the owner.

    Faults: 22, 97.
    """
    server.run("GRANT zoo_owner TO zoo_writer; ALTER ROLE zoo_writer CREATEDB")
    try:
        bench = opened(server, app, "zoo_writer")
        look = bench.database.look()
        point, _ = bench.clone(look)
        assert () == complaints(look)
        assert oracle.properties(server, app) == oracle.properties(server, point)
    finally:
        server.run("REVOKE zoo_owner FROM zoo_writer; ALTER ROLE zoo_writer NOCREATEDB")


def _look(server: Server, name: str) -> Look:
    with connect(server.conninfo_of("zoo_owner"), name) as session:
        return reading.look(session, name, None, catalog=False)
