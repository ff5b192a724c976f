"""Arguments of the client programs: whole dumps, all or nothing, no secrets."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from sidecar import pgtools
from sidecar.backups import Format

HOSTILE = ["dbname=x user=postgres", "it's", 'quo"te', "back\\slash", "-v", "üñí", "a b"]


@pytest.mark.parametrize("written", Format)
def test_dumps_are_whole(written: Format) -> None:
    """Never a part of the database, and never without its snapshot. Faults: 53, 55."""
    argv = pgtools.dump(written, "0003-1")

    assert "--snapshot=0003-1" in argv
    assert any(word.startswith("--lock-wait-timeout=") for word in argv)
    forbidden = ("--schema", "-n", "--enable-row-security", "--clean", "--no-owner", "--no-acl")
    assert not [word for word in argv if word.startswith(forbidden)]


def test_an_archive_is_compressed_outside() -> None:
    """pg_dump's own compression is slower, and not there in every major."""
    assert {"--format=custom", "--compress=0"} <= set(pgtools.dump(Format.ARCHIVE, "1"))


def test_loads_stop_at_the_first_error() -> None:
    """A load is all of it in one transaction, in which rows keep their order. Faults: 92."""
    sql, packed = pgtools.load(Format.SQL, "x"), pgtools.load(Format.ARCHIVE, "x")

    assert {"--set=ON_ERROR_STOP=1", "--single-transaction", "--no-psqlrc"} <= set(sql)
    assert {"--exit-on-error", "--single-transaction"} <= set(packed)
    assert "--clean" not in packed


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_never_taken_for_more(name: str) -> None:
    """A database's name is a name, whatever it looks like. Faults: 33, 132."""
    assert name not in pgtools.load(Format.SQL, name)
    assert name == _told(pgtools.load(Format.ARCHIVE, name))["dbname"]
    assert "dbname" not in _told(pgtools.load(Format.SQL, name))
    assert name == pgtools.environment({}, name)["PGDATABASE"]


def test_passwords_go_by_the_environment() -> None:
    """Arguments can be read by everybody on the machine. Faults: 60, 134."""
    conninfo: dict[str, str | int] = {
        "host": "db",
        "port": 5433,
        "user": "u",
        "password": "canary",
        "pool": "no",
    }
    found = pgtools.environment(conninfo, "shop")

    assert "canary" == found["PGPASSWORD"]
    assert {"PGHOST": "db", "PGPORT": "5433", "PGUSER": "u"}.items() <= found.items()
    assert not [word for f in Format for word in pgtools.load(f, "x") if "canary" in word]


@pytest.mark.parametrize("written", Format)
def test_a_server_that_vanished_is_not_waited_for(written: Format) -> None:
    """Nothing in the environment says it to libpq: the tools are told by their arguments."""
    wanted = {key: str(value) for key, value in pgtools.KEEPALIVE.items()}
    for argv in (pgtools.dump(written, "1"), pgtools.load(written, "shop")):
        assert wanted.items() <= _told(argv).items()


def _told(argv: tuple[str, ...]) -> dict[str, object]:
    (argument,) = [word for word in argv if word.startswith("--dbname=")]
    return dict(conninfo_to_dict(argument.removeprefix("--dbname=")))
