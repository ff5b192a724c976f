"""The variables of an app's environment that name its database, as the frameworks read them."""

import shlex
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sidecar.address import Address, Ambiguous, Candidate, choose, find, from_environment

CANARY = "cAnArY"
URL = "postgres://app:pw@db/shop"


def _shop(**changes: Any) -> Address:
    return Address(**{"host": "db", "database": "shop", "user": "app", "password": "pw", **changes})


def _env(text: str) -> dict[str, str]:
    """Read ``A=1 B='2 3'``."""
    return dict(word.split("=", 1) for word in shlex.split(text))


def _no_file(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def _files(files: Mapping[str, str]) -> Callable[[str], str]:
    return lambda path: files[path] if path in files else _no_file(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"DATABASE_URL={URL}", _shop()),
        (f"database_url={URL}", _shop()),
        ("SQLALCHEMY_DATABASE_URI=postgresql+psycopg2://app:pw@db/shop", _shop()),
        (f"POSTGRES_URL={URL}", _shop()),
        (f"PG_URL={URL}", _shop()),
        (f"DB_URL={URL}", _shop()),
        ("DATABASE_DSN='host=db user=app password=pw dbname=shop'", _shop()),
        (
            "GOOSE_DRIVER=postgres GOOSE_DBSTRING='host=db user=app password=pw dbname=shop'",
            _shop(),
        ),
        (
            "SPRING_DATASOURCE_URL=jdbc:postgresql://db/shop SPRING_DATASOURCE_USERNAME=app "
            "SPRING_DATASOURCE_PASSWORD=pw",
            _shop(),
        ),
        (
            "spring.datasource.url=jdbc:postgresql://db/shop spring.datasource.username=app "
            "spring.datasource.password=pw",
            _shop(),
        ),
        ("FLYWAY_URL=jdbc:postgresql://db/shop FLYWAY_USER=app FLYWAY_PASSWORD=pw", _shop()),
        (
            "LIQUIBASE_COMMAND_URL=jdbc:postgresql://db/shop LIQUIBASE_COMMAND_USERNAME=app "
            "LIQUIBASE_COMMAND_PASSWORD=pw",
            _shop(),
        ),
        (
            "QUARKUS_DATASOURCE_JDBC_URL=jdbc:postgresql://db/shop "
            "QUARKUS_DATASOURCE_USERNAME=app QUARKUS_DATASOURCE_PASSWORD=pw",
            _shop(),
        ),
        (
            "ConnectionStrings__DefaultConnection=Host=db;Database=shop;Username=app;Password=pw",
            _shop(),
        ),
        (
            f"MM_SQLSETTINGS_DATASOURCE={URL}?sslmode=disable",
            _shop(parameters={"sslmode": "disable"}),
        ),
        (f"HASURA_GRAPHQL_DATABASE_URL={URL}", _shop()),
        ("MB_DB_CONNECTION_URI=jdbc:postgresql://db/shop?user=app&password=pw", _shop()),
        ("DATABASE_URL=postgres:///shop PGHOST=db PGUSER=app PGPASSWORD=pw", _shop()),
        ("DATABASE_URL=postgres://app@db/shop DATABASE_PASSWORD=pw", _shop()),
        ("PGHOST=db PGPORT=5433 PGDATABASE=shop PGUSER=app PGPASSWORD=pw", _shop(port=5433)),
        (
            "PGHOST=db PGUSER=app PGPASSWORD=pw PGSSLMODE=require",
            _shop(database="app", parameters={"sslmode": "require"}),
        ),
        (
            "POSTGRES_HOST=db POSTGRES_PORT=5432 POSTGRES_DB=shop POSTGRES_USER=app "
            "POSTGRES_PASSWORD=pw",
            _shop(),
        ),
        ("POSTGRES_HOST=db POSTGRES_DATABASE=shop POSTGRES_USER=app POSTGRES_PASSWORD=pw", _shop()),
        ("POSTGRES_HOST=db POSTGRES_NAME=shop POSTGRES_USER=app POSTGRES_PASSWORD=pw", _shop()),
        (
            "POSTGRESQL_HOST=db POSTGRESQL_DATABASE=shop POSTGRESQL_USERNAME=app "
            "POSTGRESQL_PASSWORD=pw",
            _shop(),
        ),
        ("DB_HOST=db DB_NAME=shop DB_USER=app DB_PASS=pw", _shop()),
        ("DB_CONNECTION=pgsql DB_HOST=db DB_DATABASE=shop DB_USERNAME=app DB_PASSWORD=pw", _shop()),
        ("DB_HOSTNAME=db DB_DATABASE_NAME=shop DB_USERNAME=app DB_PASSWORD=pw", _shop()),
        ("DATABASE_HOST=db DATABASE_NAME=shop DATABASE_USER=app DATABASE_PASSWORD=pw", _shop()),
        (
            "SQL_ENGINE=django.db.backends.postgresql SQL_HOST=db SQL_DATABASE=shop "
            "SQL_USER=app SQL_PASSWORD=pw",
            _shop(),
        ),
        (
            "DB_TYPE=postgresdb DB_POSTGRESDB_HOST=db DB_POSTGRESDB_DATABASE=shop "
            "DB_POSTGRESDB_USER=app DB_POSTGRESDB_PASSWORD=pw",
            _shop(),
        ),
        (
            "PAPERLESS_DBHOST=db PAPERLESS_DBNAME=shop PAPERLESS_DBUSER=app PAPERLESS_DBPASS=pw",
            _shop(),
        ),
        (
            "GITEA__database__DB_TYPE=postgres GITEA__database__HOST=db:5433 "
            "GITEA__database__NAME=shop GITEA__database__USER=app "
            "GITEA__database__PASSWD=pw",
            _shop(port=5433),
        ),
        (
            "GF_DATABASE_TYPE=postgres GF_DATABASE_HOST=db:5432 GF_DATABASE_NAME=shop "
            "GF_DATABASE_USER=app GF_DATABASE_PASSWORD=pw",
            _shop(),
        ),
        ("KC_DB_URL_HOST=db KC_DB_URL_DATABASE=shop KC_DB_USERNAME=app KC_DB_PASSWORD=pw", _shop()),
        (
            "AUTHENTIK_POSTGRESQL__HOST=db AUTHENTIK_POSTGRESQL__NAME=shop "
            "AUTHENTIK_POSTGRESQL__USER=app AUTHENTIK_POSTGRESQL__PASSWORD=pw",
            _shop(),
        ),
        ("SHOP_DB_HOST=db SHOP_DB_NAME=shop SHOP_DB_USER=app SHOP_DB_PASSWORD=pw", _shop()),
        (
            "POSTGRES_PORT=tcp://10.0.0.1:5433 POSTGRES_HOST=db POSTGRES_DB=shop "
            "POSTGRES_USER=app POSTGRES_PASSWORD=pw",
            _shop(port=5433),
        ),
        (f"DATABASE_URL={URL} POSTGRES_HOST=DB POSTGRES_DB=shop POSTGRES_USER=other", _shop()),
        (f"DATABASE_URL={URL} POSTGRES_PASSWORD=pw POSTGRES_DB=other", _shop()),
        (f"DATABASE_URL={URL} PGHOST=else PGDATABASE=postgres", _shop()),
        (
            f"DATABASE_URL={URL} CACHE_DATABASE_URL=postgres://c@db/cache "
            "TEST_DATABASE_URL=postgres://t@db/t",
            _shop(),
        ),
        (f"DATABASE_URL={URL} REPORTS_DATABASE_URL=postgres://r@db/reports", _shop()),
        (f"DATABASE_URL=postgres://x@pgbouncer:6432/shop DIRECT_URL={URL}", _shop()),
        (f"DATABASE_URL=prisma://accelerate.example/?api_key=x DIRECT_URL={URL}", _shop()),
        (f"DATABASE_URL=mysql://x@my/legacy POSTGRES_URL={URL}", _shop()),
        (f"DATABASE_URL= DB_URL={URL}", _shop()),
        (
            "ConnectionStrings__Redis=redis:6379,password=x "
            "ConnectionStrings__Main=Host=db;Database=shop;Username=app;Password=pw",
            _shop(),
        ),
        ("", None),
        ("PATH=/bin HOSTNAME=x DOCKER_HOST=tcp://x HOST=db USER=u", None),
        ("POSTGRES_USER=app POSTGRES_PASSWORD=pw POSTGRES_DB=shop", None),
        ("DB_HOST=db DB_PASSWORD=pw", None),
        ("MYSQL_HOST=db MYSQL_DATABASE=shop MYSQL_USER=app", None),
        ("REDIS_URL=redis://x CELERY_BROKER_URL=amqp://x", None),
        (f"MIGSAFE_DATABASE_URL={URL}", None),
    ],
)
def test_found(text: str, expected: Address | None) -> None:
    """The database is found as the frameworks find it."""
    assert expected == find(_env(text), _no_file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "DATABASE_URL=mysql://app:cAnArY@db/shop",
            "DATABASE_URL: it is a MySQL URL: only PostgreSQL is guarded",
        ),
        (
            "DB_CONNECTION=mysql DB_HOST=db DB_DATABASE=shop DB_USERNAME=app DB_PASSWORD=cAnArY",
            "DB_*: DB_CONNECTION says that it is another database: only PostgreSQL is guarded",
        ),
        (
            "DB_HOST=db DB_PORT=3306 DB_DATABASE=shop",
            "DB_*: by its port it is another database: only PostgreSQL is guarded",
        ),
        (
            "DATABASE_URL=postgres://app:cAnArY@db:x/shop PGHOST=db PGUSER=app",
            "DATABASE_URL: its host and port can't be read: special characters of a "
            "password are written as %XX, an IPv6 address stands in brackets",
        ),
        (
            "DATABASE_URL=prisma://x/?api_key=cAnArY",
            "DATABASE_URL: it goes through Prisma's proxy: the server's own URL is needed",
        ),
        (
            "DATABASE_URL=postgres://a:cAnArY@db/one DB_HOST=db DB_NAME=two",
            "several databases are named: DATABASE_URL: postgresql://a@db:5432/one; DB_*: "
            "postgresql://db:5432/two",
        ),
        (
            "A_DATABASE_URL=postgres://a:cAnArY@db/one B_DATABASE_URL=postgres://a:cAnArY@db/two",
            "several databases are named: A_DATABASE_URL: postgresql://a@db:5432/one; "
            "B_DATABASE_URL: postgresql://a@db:5432/two",
        ),
        ("DB_HOST=db DB_NAME=one DB_DATABASE=two", "DB_*: DB_NAME and DB_DATABASE differ"),
        (
            "DATABASE_URL_FILE=/run/secrets/url",
            "DATABASE_URL: DATABASE_URL_FILE: /run/secrets/url can't be read: No such file "
            "or directory",
        ),
        (
            "PGHOST=db PGUSER=app PGPASSWORD_FILE=/x",
            "PG*: PGPASSWORD_FILE: /x can't be read: No such file or directory",
        ),
        (
            "POSTGRES_HOST=db POSTGRES_USER=app POSTGRES_PORT=many",
            "POSTGRES_*: its port is not a number from 1 to 65535",
        ),
    ],
)
def test_not_found(text: str, expected: str) -> None:
    """What can't be used, and what leads to several databases, is reported and not guessed at."""
    found = find(_env(text), _no_file)

    assert isinstance(found, Ambiguous)
    assert expected == str(found)
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("DATABASE_URL_FILE=/run/secrets/url", {"/run/secrets/url": "postgres://app:pw@db/shop\n"}),
        ("DB_HOST=db DB_NAME=shop DB_USER=app DB_PASSWORD_FILE=/pw", {"/pw": "pw\r\n"}),
        (
            "POSTGRES_HOST_FILE=/h POSTGRES_DB_FILE=/d POSTGRES_USER_FILE=/u "
            "POSTGRES_PASSWORD_FILE=/p",
            {"/h": "db", "/d": "shop", "/u": "app", "/p": "pw"},
        ),
        (
            "GF_DATABASE_HOST=db GF_DATABASE_NAME=shop GF_DATABASE_USER=app "
            "GF_DATABASE_PASSWORD__FILE=/p",
            {"/p": "pw\n"},
        ),
        ("DATABASE_URL=postgres://app@db/shop DATABASE_PASSWORD_FILE=/p", {"/p": "pw\n"}),
    ],
)
def test_files(text: str, files: dict[str, str]) -> None:
    """Each variable may name a file in the app's container instead."""
    assert _shop() == find(_env(text), _files(files))


def test_undecodable_file() -> None:
    """A file that is no text is a complaint, not a crash."""
    expected = "DB_*: DB_HOST_FILE: /x can't be read: it is not text"

    found = find({"DB_HOST_FILE": "/x", "DB_NAME": "shop"}, lambda _: b"\xff".decode())

    assert expected == str(found)


def test_candidates() -> None:
    """Everything that names a database is listed with its source, as the environment spells it."""
    env = {"database_url": URL, "PGHOST": "db", "PGUSER": "app"}
    expected = ["database_url", "PG*"]

    found = from_environment(env, _no_file)

    assert expected == [candidate.source for candidate in found]
    assert found[0] == choose(found)


def test_nothing_to_choose() -> None:
    """No candidates, no address; only other kinds of database, the reasons."""
    foreign = Candidate("DATABASE_URL", 1, complaint="it is a MySQL URL", foreign=True)

    assert choose([]) is None
    assert Ambiguous((foreign,)) == choose([foreign])
