"""A backup is whole: what comes out of it is what went in, whoever loads it."""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar import pgtools, proof
from sidecar.backups import Format, Manifest
from sidecar.errors import BackupDamaged, BackupFailed, Interrupted
from sidecar.facts import Session

from . import oracle
from .bench import Bench
from .servers import MAJORS, NEWEST, Server

Opened = Callable[..., Bench]

HERE = Path(__file__).parent


@pytest.mark.parametrize("written", Format)
def test_comes_back_whole(server: Server, menagerie: str, opened: Opened, written: Format) -> None:
    """
    A loaded backup is byte for byte the database that it was taken of, for our eyes and pg_dump's.

    Faults: 18, 48, 53, 54, 55, 57, 58, 94, 97, 103.
    """
    bench = opened(server, menagerie)
    look, manifest = bench.back_up(written)

    scratch = bench.load(manifest.backup.name, look, written)

    assert () == proof.put_back(look, bench.database.look_at(scratch))
    assert () == proof.same_rows(manifest.contents, bench.database.contents_of(scratch))
    assert oracle.everything(server, menagerie) == oracle.everything(server, scratch)
    assert server.value("SELECT count(*) FROM pg_stats WHERE schemaname = 'zoo'", scratch) > 0


@pytest.mark.parametrize("written", Format)
def test_rows_keep_their_order(server: Server, opened: Opened, written: Format) -> None:
    """As they lay, so they lie: who compares dumps, or asks for no order, sees no difference."""
    name = server.create("order")
    server.run(
        "CREATE TABLE t (id int PRIMARY KEY, body text);"
        " INSERT INTO t SELECT g, repeat('x', 20 + g * 37 % 900) FROM generate_series(1, 4000) g;"
        " UPDATE t SET body = 'short' WHERE id % 97 = 0",
        name,
    )
    order = "SELECT string_agg(id::text, ',' ORDER BY ctid) FROM t"
    bench = opened(server, name)
    look, manifest = bench.back_up(written)

    scratch = bench.load(manifest.backup.name, look, written)

    assert server.value(order, name) == server.value(order, scratch)


def test_loads_by_any_psql(server: Server, menagerie: str, opened: Opened) -> None:
    """
    A plain backup needs nothing of ours: an empty database and psql.

    Faults: 18, 58.
    """
    bench = opened(server, menagerie)
    _, manifest = bench.back_up(Format.SQL)
    empty = server.create("empty")

    text = (bench.store.folder / manifest.backup.name).read_bytes()
    server.program("psql", "--quiet", "--set=ON_ERROR_STOP=1", database=empty, stdin=text)

    assert oracle.dump(server, menagerie) == oracle.dump(server, empty)
    assert oracle.large_objects(server, menagerie) == oracle.large_objects(server, empty)


def test_what_dumps_reword_is_the_same(server: Server, opened: Opened) -> None:
    """
    A varchar IN a list, a column of a child, a partition's key: worded otherwise, yet the same.

    Faults: 58, 94.
    """
    name = server.create("reworded")
    server.script((HERE / "reworded.sql").read_text(), name)
    bench = opened(server, name)
    look, manifest = bench.back_up()

    scratch = bench.load(manifest.backup.name, look, Format.SQL)

    assert () == proof.put_back(look, bench.database.look_at(scratch))
    assert oracle.dump(server, name) != oracle.dump(server, scratch)


PUBLIC = {
    "owned": "ALTER SCHEMA public OWNER TO zoo_owner; CREATE TABLE public.t (i int)",
    "granted": "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT ALL ON SCHEMA public TO zoo_writer",
    "both": "ALTER SCHEMA public OWNER TO zoo_owner; REVOKE ALL ON SCHEMA public FROM PUBLIC;"
    " GRANT CREATE ON SCHEMA public TO zoo_reader WITH GRANT OPTION",
    "dropped": "DROP SCHEMA public; CREATE SCHEMA app; CREATE TABLE app.t (i int)",
    "made anew": "DROP SCHEMA public; CREATE SCHEMA public AUTHORIZATION zoo_owner",
    "told otherwise": "COMMENT ON SCHEMA public IS 'ours'",
    "untold": "COMMENT ON SCHEMA public IS NULL",
}


@pytest.mark.parametrize("server", [MAJORS[0], NEWEST], indirect=True)
@pytest.mark.parametrize("change", PUBLIC)
def test_schema_public_comes_back(server: Server, opened: Opened, change: str) -> None:
    """
    What was done to the schema that is always there is done again, although dumps leave it out.

    Faults: 57, 58, 94, 97.
    """
    name = server.create("public")
    server.run(PUBLIC[change], name)
    bench = opened(server, name)
    look, manifest = bench.back_up()

    scratch = bench.load(manifest.backup.name, look, Format.SQL)

    differences = proof.put_back(look, bench.database.look_at(scratch))
    if server.major < 15 and change == "made anew":  # its pg_dump loses the rights: that is told
        assert ("the schema differs", "the ledger differs") == differences
        return
    assert () == differences
    assert oracle.dump(server, name) == oracle.dump(server, scratch)


@pytest.mark.parametrize("written", Format)
def test_manifest_says_what_is_there(
    server: Server, menagerie: str, opened: Opened, written: Format
) -> None:
    """
    The manifest beside a backup agrees with the file, the server and the tables.

    Faults: 48, 52, 54, 59, 133.
    """
    bench = opened(server, menagerie)
    look, manifest = bench.back_up(written)

    file = bench.store.folder / manifest.backup.name
    text = (bench.store.folder / manifest.backup.manifest_name).read_text()
    counted = oracle.rows(server, menagerie)

    assert manifest == Manifest.from_json(text, file.name)
    assert (manifest,) == bench.vault().manifests()
    assert file.stat().st_size == manifest.size
    assert hashlib.sha256(file.read_bytes()).hexdigest() == manifest.sha256
    assert 0o600 == file.stat().st_mode & 0o777
    assert {name: counted[name] for name in manifest.contents.rows} == manifest.contents.rows
    assert len(manifest.contents.tables) > 30
    assert 3 == manifest.contents.large_objects
    assert server.major == manifest.server.major == json.loads(text)["server"]["number"] // 10000
    assert look.properties == manifest.properties
    assert sorted(path.name for path in bench.store.folder.iterdir()) == [
        file.name,
        manifest.backup.manifest_name,
    ]


@pytest.mark.parametrize("written", Format)
def test_damage_is_found_before_anything_is_loaded(
    server: Server, menagerie: str, opened: Opened, written: Format
) -> None:
    """
    A flipped bit, a cut and an emptied file are all found by reading, before a database is made.

    Faults: 59, 91.
    """
    bench = opened(server, menagerie)
    _, manifest = bench.back_up(written)
    file = bench.store.folder / manifest.backup.name
    whole = file.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]

    for damaged in (flipped, whole[:-1], whole[:middle], b"", whole + b"\n"):
        file.write_bytes(damaged)
        with pytest.raises(BackupDamaged):
            bench.vault().chunks(file.name)


def test_counts_what_it_dumps(server: Server, opened: Opened) -> None:
    """
    Rows that are written meanwhile are in both, the backup and its manifest, or in neither.

    Faults: 40, 94.
    """
    name = server.create("busy")
    server.run(
        "CREATE TABLE t (id serial); INSERT INTO t SELECT FROM generate_series(1, 5000)", name
    )
    bench = opened(server, name)
    stop = threading.Event()

    def write() -> None:
        with server.session(name) as session:
            while not stop.is_set():
                session.execute("INSERT INTO t SELECT FROM generate_series(1, 10)")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        look, manifest = bench.back_up()
    finally:
        stop.set()
        writer.join()

    scratch = bench.load(manifest.backup.name, look, Format.SQL)

    assert manifest.contents.rows == {"public.t": server.value("SELECT count(*) FROM t", scratch)}
    assert server.value("SELECT count(*) FROM t", name) > manifest.contents.rows["public.t"]


def test_gives_up_on_a_locked_table(
    server: Server, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A table that stays locked ends the backup with an error, and leaves nothing behind.

    Faults: 46, 49.
    """
    monkeypatch.setattr(pgtools, "LOCK_WAIT", "1s")
    name = server.create("locked")
    server.run("CREATE TABLE t (id int)", name)
    bench = opened(server, name)

    with server.session(name) as session, session.transaction():
        session.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        started = time.monotonic()
        with pytest.raises(BackupFailed, match="timeout"):
            _take_for_at_most(15, bench, session.info.backend_pid)
        assert time.monotonic() - started < 10

    assert [] == list(bench.store.folder.iterdir())


@pytest.mark.parametrize("written", Format)
def test_a_cut_connection_leaves_nothing(server: Server, opened: Opened, written: Format) -> None:
    """
    A dump whose server session ends is an error, although its first part was written.

    Faults: 46, 47, 50.
    """
    name = _bulky(server)
    bench = opened(server, name)

    def cut() -> None:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY %'"
        with server.session() as session:
            until = time.monotonic() + 20
            while not session.execute(ended).fetchall() and time.monotonic() < until:
                time.sleep(0.002)

    cutter = threading.Thread(target=cut)
    cutter.start()
    with pytest.raises(BackupFailed, match=r"terminat|closed|lost"):
        bench.back_up(written)
    cutter.join()

    assert [] == list(bench.store.folder.iterdir())


def _bulky(server: Server) -> str:
    """Make a database whose dump takes a moment."""
    name = server.create("bulky")
    server.run(
        "CREATE TABLE t AS SELECT repeat(md5(i::text), 1000) FROM generate_series(1, 3000) i", name
    )
    return name


def _take_for_at_most(seconds: int, bench: Bench, holder: int) -> None:
    """Back up; should it hang, end the session that it waits for."""
    rescue = threading.Timer(
        seconds, bench.server.value, (f"SELECT pg_terminate_backend({holder})",)
    )
    rescue.start()
    try:
        vault = bench.vault()
        vault.take(vault.next_backup(), "run", bench.database.look(), {})
    finally:
        rescue.cancel()


def test_a_backup_that_is_broken_off_holds_no_lock(server: Server, opened: Opened) -> None:
    """
    Whoever stops a backup half-way leaves no file, and no session that keeps its locks.

    Faults: 46, 51, 95.
    """
    name = _bulky(server)
    bench = opened(server, name)
    vault = bench.vault(Format.ARCHIVE)
    vault.stop = _AfterSome()

    with pytest.raises(Interrupted):
        vault.take(vault.next_backup(), "run", bench.database.look(), {})

    assert () == _sessions_in_the_end(bench)
    assert [] == list(bench.store.folder.iterdir())


def test_names_no_secret(server: Server, menagerie: str, opened: Opened) -> None:
    """
    The password is in no manifest and in no name.

    Faults: 60, 134.
    """
    bench = opened(server, menagerie)
    _, manifest = bench.back_up()

    assert "canary" not in manifest.to_json()
    assert [] == [line for line in bench.told.said if "canary" in line]


class _AfterSome:
    """Stops at the third question."""

    def __init__(self) -> None:
        self.asked = 0

    def check(self) -> None:
        """Go on twice."""
        self.asked += 1
        if self.asked == 3:
            raise Interrupted.by(15)


def _sessions_in_the_end(bench: Bench) -> tuple[Session, ...]:
    """Give the server a moment to notice that a client is gone."""
    until = time.monotonic() + 5
    while (found := bench.database.sessions()) and time.monotonic() < until:
        time.sleep(0.05)
    return found
