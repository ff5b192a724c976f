"""Addresses: every spelling that apps use, every variable that names one, and no secret shown."""

from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sidecar.address import Address, parse
from sidecar.spellings import OtherDatabase

CANARY = "cAnArY"
UNREADABLE = (
    "its host and port can't be read: special characters of a password are written as %XX,"
    " an IPv6 address stands in brackets"
)


def _shop(**changes: Any) -> Address:
    return Address(**{"host": "db", "database": "shop", "user": "app", "password": "pw", **changes})


@pytest.mark.parametrize(
    "scheme",
    [
        "postgres",
        "postgresql",
        "POSTGRESQL",
        "postgresql+psycopg2",
        "postgresql+psycopg",
        "postgresql+asyncpg",
        "postgresql+pg8000",
        "postgis",
        "ecto",
        "pgsql",
        "psql",
        "pdo-pgsql",
        "timescale",
        "jdbc:postgresql",
        "jdbc:p6spy:postgresql",
        "r2dbc:postgresql",
        "r2dbc:pool:postgresql",
    ],
)
def test_schemes(scheme: str) -> None:
    """Every scheme that a framework gives to PostgreSQL is understood."""
    assert _shop() == parse(f"{scheme}://app:pw@db/shop")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://app:pw@db:5433/shop", _shop(port=5433)),
        ("  postgres://app:pw@db:/shop\n", _shop()),
        ("postgres://app:@db/shop", _shop(password="")),
        ("postgres://app@db/shop", _shop(password="")),
        ("postgres://db/shop", _shop(user="", password="")),
        ("postgres://app:pw@db", _shop(database="app")),
        ("postgres://app:pw@db/", _shop(database="app")),
        ("postgres://app:pw@[::1]:5433/shop", _shop(host="::1", port=5433)),
        ("postgres://app:pw@[fe80::1%25eth0]/shop", _shop(host="fe80::1%eth0")),
        ("postgres://app:pw@%2Frun%2Fpostgresql/shop", _shop(host="/run/postgresql")),
        ("postgres://app:pw@/shop?host=/run/postgresql", _shop(host="/run/postgresql")),
        ("postgres:///shop?host=/run/pg&user=app&password=pw", _shop(host="/run/pg")),
        ("postgres://app:pw@localhost/shop?host=%2Frun%2Fpg", _shop(host="/run/pg")),
        ("postgres://app:pw@db/a%2Fb", _shop(database="a/b")),
        ("postgres://app:pw@db/my%20shop%22%27", _shop(database="my shop\"'")),
        ("postgres://app:pw@db/my shop", _shop(database="my shop")),
        ("postgres://app:pw@db/L%C3%A4den", _shop(database="Läden")),
        (f"postgres://app:pw@db/{'x' * 63}", _shop(database="x" * 63)),
        ("postgres://app%40tenant:pw@db/shop", _shop(user="app@tenant")),
        ("postgres://app@tenant:pw@db/shop", _shop(user="app@tenant")),
        ("jdbc:postgresql://db/shop?user=app&password=p%26w", _shop(password="p&w")),
        ("jdbc:postgresql://db/shop?user=app&password=p+w", _shop(password="p w")),
        ("postgres://app:p+w@db/shop", _shop(password="p+w")),
    ],
)
def test_urls(url: str, expected: Address) -> None:
    """Each part of a URL ends where it belongs."""
    assert expected == parse(url)


@pytest.mark.parametrize("password", ["p@:/#%?&=+ w", "%41", "ä€", "'\"\\", "a/b@c"])
def test_encoded_passwords(password: str) -> None:
    """A password that is encoded as it should be is read whatever it holds."""
    assert password == parse(f"postgres://app:{quote(password, safe='')}@db/shop").password


@pytest.mark.parametrize("password", ["p@w", "p:w", "p/w", "p#w", "p%w", "50%", "p?w", "a/b?c#d:e"])
def test_unencoded_passwords(password: str) -> None:
    """A password that is not encoded is read where that is unambiguous."""
    assert _shop(password=password) == parse(f"postgres://app:{password}@db:5432/shop")


@pytest.mark.parametrize("password", ["12/3", "a@b/c", "a/b@c", "a@b?c", "1?2"])
def test_ambiguous_passwords(password: str) -> None:
    """Where it could be read in two ways, the URL is refused rather than guessed at."""
    with pytest.raises(ValueError, match="%"):
        parse(f"postgres://app:{password}@db/shop")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sslmode=require&connect_timeout=5", {"sslmode": "require", "connect_timeout": "5"}),
        (
            "sslmode=verify-full&sslrootcert=/ca.pem",
            {"sslmode": "verify-full", "sslrootcert": "/ca.pem"},
        ),
        ("sslcert=/c.pem&sslkey=/k.pem", {"sslcert": "/c.pem", "sslkey": "/k.pem"}),
        ("sslcert=/server.pem&sslaccept=strict", {}),
        ("options=-c%20role%3Downer", {"options": "-c role=owner"}),
        ("channelBinding=require", {"channel_binding": "require"}),
        ("target_session_attrs=read-write", {"target_session_attrs": "read-write"}),
        ("gssencmode=disable", {"gssencmode": "disable"}),
        ("schema=public&connection_limit=5&pgbouncer=true&pool_timeout=0", {}),
        ("pool=5&timeout=5000&prepared_statements=false&encoding=unicode", {}),
        ("currentSchema=x&prepareThreshold=0&ApplicationName=x&reWriteBatchedInserts", {}),
        ("serverVersion=16&charset=utf8&application_name=x", {}),
        ("ssl=true", {"sslmode": "require"}),
        ("ssl", {"sslmode": "require"}),
        ("ssl=true&sslmode=verify-full", {"sslmode": "verify-full"}),
        ("ssl=false", {"sslmode": "disable"}),
        ("ssl=verify-ca", {"sslmode": "verify-ca"}),
        ("sslmode=no-verify", {"sslmode": "require"}),
        ("sslmode=", {}),
        ("", {}),
    ],
)
def test_parameters(query: str, expected: dict[str, str]) -> None:
    """What libpq knows is kept, what only a framework knows is dropped."""
    assert expected == parse(f"jdbc:postgresql://app:pw@db/shop?{query}").parameters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("host=db dbname=shop user=app password=pw", _shop()),
        ("host = db dbname = shop user=app password='pw'", _shop()),
        (r"host=db dbname='my \'shop\\' user=app password=pw", _shop(database="my 'shop\\")),
        (
            r"host=db dbname=my\ shop user=app password=p'w",
            _shop(database="my shop", password="p'w"),
        ),
        ("host=db port=6432 dbname=shop user=app password=a;b", _shop(port=6432, password="a;b")),
        ("user=app password=pw host=db dbname=shop TimeZone=UTC", _shop()),
        ("host=/run/pg dbname=shop user=app password=pw", _shop(host="/run/pg")),
        ("hostaddr=10.0.0.1 dbname=shop user=app password=pw", _shop(host="10.0.0.1")),
        ("Host=db;Port=5432;Database=shop;Username=app;Password=pw", _shop()),
        ("Host=db;Database=shop;User ID=app;Password='p;w';Pooling=true;", _shop(password="p;w")),
        ("Password=pw;Username=app;Host=db;Database=shop", _shop()),
        (
            'host=db; database="my shop"; username=app; password="p""w"',
            _shop(database="my shop", password='p"w'),
        ),
        (
            "Host=db;Database=shop;Username=app;Password=pw;SSL Mode=VerifyFull",
            _shop(parameters={"sslmode": "verify-full"}),
        ),
        ("pgsql:host=db;port=5432;dbname=shop;user=app;password=pw", _shop()),
    ],
)
def test_keys_and_values(text: str, expected: Address) -> None:
    """Lists of key=value are read as libpq, .NET and PDO read them."""
    assert expected == parse(text)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://app:cAnArY@db/shop", "it is a MySQL URL: only PostgreSQL is guarded"),
        ("mysql+pymysql://app:cAnArY@db/shop", "it is a MySQL URL: only PostgreSQL is guarded"),
        ("jdbc:mysql://db/shop?password=cAnArY", "it is a MySQL URL: only PostgreSQL is guarded"),
        ("sqlite:///db.sqlite3", "it is a SQLite URL: only PostgreSQL is guarded"),
        ("sqlite:db.sqlite3", "it is a SQLite URL: only PostgreSQL is guarded"),
        ("cAnArY://db/shop", "it is not a PostgreSQL URL: only PostgreSQL is guarded"),
        ("app:cAnArY@db/shop", "it is not a PostgreSQL URL: only PostgreSQL is guarded"),
        ("cAnArY", "it is not a PostgreSQL URL"),
        (
            "Server=db;Database=shop;User Id=sa;Password=cAnArY",
            "it has no Host=: only PostgreSQL is guarded",
        ),
    ],
)
def test_other_databases(url: str, message: str) -> None:
    """Another kind of database is told apart from a PostgreSQL URL that is wrong."""
    with pytest.raises(OtherDatabase) as caught:
        parse(url)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "prisma://accelerate.example/?api_key=cAnArY",
            "it goes through Prisma's proxy: the server's own URL is needed",
        ),
        (
            "postgres://a:cAnArY@h1,h2/shop",
            "it names several hosts: name the one that is written to",
        ),
        (
            "host=h1,h2 password=cAnArY dbname=x",
            "it names several hosts: name the one that is written to",
        ),
        ("postgres:///shop?password=cAnArY", "it names no host"),
        ("jdbc:postgresql:shop", "it names no host"),
        ("postgres://db", "it names no database"),
        (
            "postgres://app:cAnArY@db:54x/shop",
            UNREADABLE,
        ),
        (
            "postgres://app:cAnArY@::1/shop",
            UNREADABLE,
        ),
        ("postgres://app:cAnArY@db:0/shop", "its port is not a number from 1 to 65535"),
        ("postgres://app:cAnArY@db:65536/shop", "its port is not a number from 1 to 65535"),
        ("host=db port=cAnArY dbname=x", "its port is not a number from 1 to 65535"),
        (f"postgres://app:cAnArY@db/{'x' * 64}", "its database name is longer than 63 bytes"),
        (f"postgres://app:cAnArY@db/{'ä' * 32}", "its database name is longer than 63 bytes"),
        ("postgres://app:%ffcAnArY@db/shop", "its percent-encoding is not UTF-8: write % as %25"),
        ("postgres://app:cAnArY%00@db/shop", "it holds a NUL character"),
        (
            "postgres://app:cAnArY@db/shop?sslmode=cAnArY",
            "its sslmode is not one of disable, allow, prefer, require, verify-ca, verify-full",
        ),
        ("host=db password='cAnArY", "it is neither a URL nor a list of key=value"),
        ("host=db cAnArY", "it is neither a URL nor a list of key=value"),
        (
            "postgres://app:cAnArY@db/sh@p",
            "an unencoded @ or # makes it ambiguous: write %40 or %23",
        ),
        (
            "postgres://app:cAnArY@db/shop?x/y",
            "its parameters can't be read: write special characters as %XX",
        ),
    ],
)
def test_refused(url: str, message: str) -> None:
    """What can't be used is refused with the reason, without a word of what was read."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse(url)

    assert message == str(caught.value)
    assert not isinstance(caught.value, OtherDatabase)


def test_admin_default() -> None:
    """The default database stands in only where the URL names none."""
    expected = ["postgres", "other"]
    urls = ["postgres://root@db", "postgres://root@db/other"]

    assert expected == [parse(url, database="postgres").database for url in urls]


def test_shown_without_secrets() -> None:
    """An address is shown as a URL with neither password nor parameters."""
    address = _shop(password=CANARY, parameters={"sslpassword": CANARY, "sslmode": "require"})

    expected = "postgresql://app@db:5432/shop"

    assert expected == str(address)
    assert CANARY not in repr(address)
    assert CANARY in address.secrets()


def test_conninfo() -> None:
    """Keyword arguments hold all that is known, and nothing empty."""
    address = Address("db", 5433, "shop", "app", "pw", {"sslmode": "require"})
    expected = {
        "host": "db",
        "port": 5433,
        "dbname": "shop",
        "user": "app",
        "password": "pw",
        "sslmode": "require",
    }
    least = {"host": "db", "port": 5432, "dbname": "x"}

    assert expected == address.conninfo()
    assert least == Address("db", database="x").conninfo()


def test_hashable() -> None:
    """Addresses can be members of sets, parameters or not."""
    address = _shop(parameters={"sslmode": "require"})

    assert {address} == {_shop(parameters={"sslmode": "require"})}


_text = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=15)
_hosts = st.one_of(
    st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True),
    st.ip_addresses().map(str),
    st.from_regex(r"/[a-z/ .]{1,20}", fullmatch=True),
)
_passwords = _text.map(lambda text: CANARY + text)


@st.composite
def _addresses(draw: st.DrawFn) -> Address:
    port = draw(st.integers(1, 65535))
    return Address(draw(_hosts), port, draw(_text), draw(_text), draw(_passwords))


def _written(address: Address, scheme: str) -> str:
    host = f"[{address.host}]" if ":" in address.host else quote(address.host, safe="")
    user, password, name = (
        quote(part, safe="") for part in (address.user, address.password, address.database)
    )
    return f"{scheme}://{user}:{password}@{host}:{address.port}/{name}?pool=5"


@settings(deadline=None)
@given(_addresses(), st.sampled_from(["postgres", "postgresql+psycopg", "ecto", "jdbc:postgresql"]))
def test_round_trip(address: Address, scheme: str) -> None:
    """What is properly encoded comes back, whatever the characters; nothing shows the password."""
    found = parse(_written(address, scheme))

    assert address == found
    assert CANARY not in str(found) + repr(found)
    assert parse(str(address)) == parse(
        _written(Address(**{**vars(address), "password": ""}), scheme)
    )


@settings(deadline=None)
@given(_addresses())
def test_as_libpq(address: Address) -> None:
    """What libpq itself reads out of a URL is what we read, and what we hand to it."""
    url = _written(address, "postgresql").removesuffix("?pool=5")
    expected = {name: str(value) for name, value in parse(url).conninfo().items()}

    assert expected == conninfo_to_dict(url)
    assert expected == conninfo_to_dict(make_conninfo("", **expected))


@settings(deadline=None)
@given(_addresses())
def test_round_trip_as_keywords(address: Address) -> None:
    """The same holds for libpq's own notation."""
    escaped = {
        key: str(value).replace("\\", "\\\\").replace("'", "\\'")
        for key, value in address.conninfo().items()
    }

    assert address == parse(" ".join(f"{key}='{value}'" for key, value in escaped.items()))


@settings(deadline=None)
@given(
    st.text(max_size=20),
    st.text(max_size=20),
    st.sampled_from(
        ["postgres://", "jdbc:postgresql://", "mysql://", "prisma://", "host=", "", "Host=a;"]
    ),
)
def test_no_secret_in_errors(before: str, after: str, scheme: str) -> None:
    """However broken the text, the error shows no part of it."""
    assert CANARY not in _complaint(f"{scheme}{before}:{CANARY}{after}@db/shop")
    assert CANARY not in _complaint(f"{scheme}{before} password={CANARY}{after}")


def _complaint(text: str) -> str:
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return ""


@settings(deadline=None)
@given(_text)
def test_secrets_cover_encodings(password: str) -> None:
    """The password is listed as it is and as URLs write it."""
    found = _shop(password=password).secrets()

    assert {password, quote(password, safe=""), quote_plus(password)} <= set(found)
