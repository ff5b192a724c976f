"""Databases of any name, in any encoding: everything that is done with one is done with all."""

from collections.abc import Callable

import pytest

from sidecar import proof
from sidecar.backups import Format
from sidecar.facts import kept_name

from . import oracle
from .bench import Bench, run_id
from .servers import MAJORS, NEWEST, Server, quoted

Opened = Callable[..., Bench]

NAMES = (
    "dbname=postgres user=nobody",
    "postgresql://nobody:x@nowhere/x?sslmode=require",
    """It's "quoted" \\ %s {0} $1 ;--""",
    "-d UPPER lower " + "ü" * 24,
    "x" * 63,
)

LATIN = """
CREATE TYPE "gemüt" AS ENUM ('fröhlich', 'traurig');
CREATE TABLE "größe" (id int PRIMARY KEY, "straße" text DEFAULT 'weiß', wie "gemüt");
INSERT INTO "größe" SELECT i, 'Nr. ' || i || ' é à ÿ §', 'fröhlich' FROM generate_series(1, 9) i;
CREATE FUNCTION "übung"() RETURNS text LANGUAGE sql AS 'SELECT ''ß''::text';
COMMENT ON TABLE "größe" IS 'die Größe';
CREATE INDEX ON "größe" ("straße");
CREATE VIEW "übersicht" AS SELECT * FROM "größe" WHERE "straße" > 'ä';
"""


@pytest.fixture
def named(server: Server, request: pytest.FixtureRequest) -> str:
    """Make a database of that name with a table in it, and clear everything like it away first."""
    name = str(request.param)
    for (old,) in server.rows(
        "SELECT datname FROM pg_database WHERE left(datname, 9) = left(%s, 9)", "postgres", name
    ):
        server.run(f"DROP DATABASE {quoted(old)}")
    server.run(f"CREATE DATABASE {quoted(name)}")
    server.run("CREATE TABLE t (i int); INSERT INTO t VALUES (1), (2)", name)
    return name


@pytest.mark.parametrize("server", [MAJORS[0], NEWEST], indirect=True)
@pytest.mark.parametrize("named", NAMES, indirect=True, ids=range(len(NAMES)))
def test_any_name(server: Server, named: str, opened: Opened) -> None:
    """
    Back up, clone, load, close, swap and drop, whatever the database is called.

    Faults: 33, 100, 131, 132.
    """
    server.run(f"COMMENT ON DATABASE {quoted(named)} IS 'odd'")
    before = oracle.everything(server, named)
    bench = opened(server, named)
    run = run_id()
    kept = kept_name(named, run)

    with bench.control.hold(run, 0):
        look, manifest = bench.back_up(Format.SQL)
        _, second = bench.back_up(Format.ARCHIVE)
        loaded = [
            bench.load(manifest.backup.name, look, Format.SQL),
            bench.load(second.backup.name, look, Format.ARCHIVE),
        ]
        point, oid = bench.clone(look)
        server.run("DROP TABLE t", named)
        assert () == bench.database.close()
        assert bench.database.untouched(point, oid) is None
        bench.database.swap(point, kept, run, connections=True)

    assert [before] * 3 == [oracle.everything(server, name) for name in (named, *loaded)]
    assert {named: True, kept: True} == {
        name: bench.database.exists(name) for name in (named, kept)
    }
    assert (named, kept) == (manifest.database, bench.control.entries()[-1].detail["kept"])
    for name in loaded:
        bench.database.drop(name)
    bench.database.forget(kept)


SQL_ON = (13, 17)
"""Majors on which backups are plain SQL here; on the others they are archives."""

ENCODINGS = {
    "latin1": (13, "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"),
    "utf8": (13, "ENCODING 'UTF8' LC_COLLATE 'en_US.utf8' LC_CTYPE 'C'"),
    "ascii": (13, "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"),
    "icu": (15, "LOCALE_PROVIDER icu ICU_LOCALE 'de-AT' LC_COLLATE 'en_US.utf8' ENCODING 'UTF8'"),
    "icu with rules": (16, "LOCALE_PROVIDER icu ICU_LOCALE 'und' ICU_RULES '&V << w <<< W'"),
    "builtin": (17, "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' ENCODING 'UTF8'"),
    "builtin c": (
        17,
        "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C' ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    ),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_encoding(server: Server, opened: Opened, encoding: str) -> None:
    """
    A database is loaded into one of the same encoding, provider, locale and rules.

    Faults: 29, 58.
    """
    since, options = ENCODINGS[encoding]
    if server.major < since:
        assert encoding.startswith(("icu", "builtin"))
        return
    name = server.create("encoded", f"TEMPLATE template0 {options}")
    server.script(LATIN, name)
    bench = opened(server, name)
    written = Format.SQL if server.major in SQL_ON else Format.ARCHIVE
    look, manifest = bench.back_up(written)

    scratch = bench.load(manifest.backup.name, look, written)
    point, _ = bench.clone(look)

    assert () == proof.put_back(look, bench.database.look_at(scratch))
    assert () == proof.same_rows(manifest.contents, bench.database.contents_of(scratch))
    assert oracle.everything(server, name) == oracle.everything(server, scratch)
    assert oracle.properties(server, name) == oracle.properties(server, point)


def test_bytes_that_are_no_text(server: Server, opened: Opened) -> None:
    """
    A database without an encoding may hold anything, and gets it back.

    Faults: 29, 58.
    """
    name = server.create(
        "bytes", "TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    server.run(r"CREATE TABLE t AS SELECT convert_from('\xff80c3'::bytea, 'SQL_ASCII') AS x", name)
    bench = opened(server, name)
    written = Format.SQL if server.major in SQL_ON else Format.ARCHIVE
    look, manifest = bench.back_up(written)

    scratch = bench.load(manifest.backup.name, look, written)

    assert b"\xff\x80\xc3" == server.value("SELECT convert_to(x, 'SQL_ASCII') FROM t", scratch)
    assert () == proof.put_back(look, bench.database.look_at(scratch))
