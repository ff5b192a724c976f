"""What a copy lacks, as statements."""

from dataclasses import replace

import pytest

from sidecar import properties
from sidecar.facts import Properties
from sidecar.properties import Name, Value

from .builders import PROPERTIES


def texts(wanted: Properties) -> list[str]:
    """Write the statements with their parts in place."""
    return [
        s.text.format(*(f'"{p}"' if isinstance(p, Name) else f"'{p}'" for p in s.parts))
        for s in properties.apply("copy", wanted)
    ]


def test_defaults_need_nothing() -> None:
    """A database that nothing was set on needs no statement."""
    assert [] == texts(PROPERTIES)


def test_everything_that_hangs_on_the_row() -> None:
    """Limit, template flag, comment, settings for all and for one role. Faults: 57, 97."""
    wanted = replace(
        PROPERTIES,
        connection_limit=7,
        is_template=True,
        comment="it's",
        settings=(("", "work_mem", "8MB"), ("app", "statement_timeout", "5s")),
    )
    expected = [
        'ALTER DATABASE "copy" CONNECTION LIMIT 7',
        'ALTER DATABASE "copy" IS_TEMPLATE true',
        "COMMENT ON DATABASE \"copy\" IS 'it's'",
        'ALTER DATABASE "copy" SET "work_mem" TO \'8MB\'',
        'ALTER ROLE "app" IN DATABASE "copy" SET "statement_timeout" TO \'5s\'',
    ]

    assert expected == texts(wanted)


def test_lists_stay_lists() -> None:
    """A search path of two schemas must not become one schema with a comma in its name."""
    wanted = replace(PROPERTIES, settings=(("", "search_path", 'app, "Odd One"'),))
    found = texts(wanted)

    assert "SELECT set_config('search_path', 'app, \"Odd One\"', true)" == found[0]
    assert found[1].endswith("FROM CURRENT")


def test_grants_of_others_come_after_the_owners() -> None:
    """Who grants on the strength of a grant option does so after having got it."""
    acl = (
        ("app", "guest", "CONNECT", False),
        ("shop", "app", "CONNECT", True),
        ("shop", "", "TEMPORARY", False),
    )
    found = texts(replace(PROPERTIES, default_acl=False, acl=acl))
    expected = [
        'REVOKE ALL ON DATABASE "copy" FROM PUBLIC',
        'REVOKE ALL ON DATABASE "copy" FROM "shop"',
        'GRANT CONNECT ON DATABASE "copy" TO "app" WITH GRANT OPTION',
        'GRANT TEMPORARY ON DATABASE "copy" TO PUBLIC',
        'SET LOCAL ROLE "app"',
        'GRANT CONNECT ON DATABASE "copy" TO "guest"',
        "RESET ROLE",
    ]

    assert expected == found


def test_an_unknown_privilege_gets_into_no_statement() -> None:
    """What is not a database's privilege is a bug and not SQL. Faults: 131."""
    acl = (("shop", "app", "CONNECT ON x; DROP", False),)

    with pytest.raises(KeyError):
        texts(replace(PROPERTIES, default_acl=False, acl=acl))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (PROPERTIES, "TEMPLATE template0"),
        (replace(PROPERTIES, provider="i", icu_locale="de-DE"), "ICU_LOCALE {}"),
        (replace(PROPERTIES, provider="b", icu_locale="C.UTF-8"), "BUILTIN_LOCALE {}"),
        (replace(PROPERTIES, icu_rules="&a < b"), "ICU_RULES {}"),
    ],
)
def test_a_new_database_is_made_alike(wanted: Properties, words: str) -> None:
    """Encoding and locale are the original's, from template0. Faults: 29, 30."""
    made = properties.create("load", wanted, 17)

    assert words in made.text
    assert made.text.count("{}") == len(made.parts)
    assert Value("UTF8") in made.parts


def test_a_clone_is_closed_from_its_first_moment() -> None:
    """Nobody can have been in a restore point."""
    made = properties.clone("point", "shop", "shop", "WAL_LOG")

    assert "ALLOW_CONNECTIONS false" in made.text
    assert made.text.endswith("STRATEGY WAL_LOG")
