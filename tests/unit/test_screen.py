"""What is done with each statement of a dump that others have made."""

import pytest

from sidecar import screen
from sidecar.screen import Act, Extension


@pytest.mark.parametrize(
    ("statement", "act"),
    [
        ("SELECT pg_catalog.setval('public.a', 1, true)", Act.RUN),
        ("CREATE TABLE public.a (\n    owner text\n)", Act.RUN),
        ("ALTER TABLE ONLY public.a\n    ADD CONSTRAINT a PRIMARY KEY (id)", Act.RUN),
        ("CREATE USER MAPPING FOR a SERVER b", Act.RUN),
        ("ALTER TABLE public.a OWNER TO shop", Act.SKIP),
        ('ALTER FUNCTION public.f("A" text) OWNER TO "She ""x"" y"', Act.SKIP),
        ("SET SESSION AUTHORIZATION 'shop'", Act.SKIP),
        ("RESET ROLE", Act.SKIP),
        ("SET default_tablespace = fast", Act.SKIP),
        ("CREATE DATABASE shop WITH TEMPLATE = template0", Act.SKIP),
        ("drop  database shop", Act.SKIP),
        ("GRANT CONNECT ON DATABASE shop TO reader", Act.SKIP),
        ("ALTER ROLE shop IN DATABASE shop SET x TO 'y'", Act.SKIP),
        ("COMMENT ON EXTENSION citext IS 'x'", Act.SKIP),
        ("CREATE SUBSCRIPTION s CONNECTION 'host=elsewhere' PUBLICATION p", Act.SKIP),
        ("CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public", Act.EXTENSION),
        ("ALTER DEFAULT PRIVILEGES FOR ROLE a GRANT SELECT ON TABLES TO b", Act.DEFAULTS),
        ("GRANT SELECT ON TABLE public.a TO reader", Act.GRANT),
        ("REVOKE USAGE ON SCHEMA other FROM PUBLIC", Act.GRANT),
        ("REVOKE USAGE ON SCHEMA public FROM PUBLIC", Act.PUBLIC),
        ('GRANT ALL ON SCHEMA "public" TO reader', Act.PUBLIC),
        ("COMMENT ON SCHEMA public IS 'x'", Act.PUBLIC),
        ("DROP SCHEMA IF EXISTS public", Act.SKIP),
        ("DROP SCHEMA publicity", Act.LENIENT),
        ("SET transaction_timeout = 0", Act.LENIENT),
        ("CREATE SCHEMA public", Act.LENIENT),
        ("DROP TABLE public.a", Act.LENIENT),
        ("ALTER TABLE ONLY public.a DROP CONSTRAINT b", Act.LENIENT),
        ("CREATE ROLE shop", Act.REFUSE),
        ("ALTER USER shop SUPERUSER", Act.REFUSE),
        ("ALTER SYSTEM SET archive_command = 'rm'", Act.REFUSE),
    ],
)
def test_acts(statement: str, act: Act) -> None:
    """Who owns what, and which database it was, is the live one's to say."""
    assert act is screen.act_on(statement.encode())


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA public", Extension("citext", "public")),
        ('CREATE EXTENSION "uuid-ossp" SCHEMA "My ""s"', Extension("uuid-ossp", 'My "s')),
        ("create extension HStore", Extension("hstore", None)),
        ("CREATE EXTENSION 'x'", None),
    ],
)
def test_extensions(statement: str, found: Extension | None) -> None:
    """Names are read as the server reads them."""
    assert found == screen.extension(statement.encode())


def test_default_privileges_lose_whose_they_are() -> None:
    """They become those of the database's owner."""
    statement = b'ALTER DEFAULT PRIVILEGES FOR ROLE "old one" IN SCHEMA a GRANT ALL ON TABLES TO b'

    assert ("old one", b"ALTER DEFAULT PRIVILEGES IN SCHEMA a GRANT ALL ON TABLES TO b") == (
        screen.defaults(statement)
    )


def test_commands() -> None:
    """A command is its name and the rest of its line."""
    assert ("connect", "shop") == screen.command(rb"\connect shop")
    assert ("!", "id") == screen.command(rb"\! id")
