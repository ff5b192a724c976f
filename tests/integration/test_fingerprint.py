"""The fingerprint of a schema moves with every change, and with nothing else."""

from collections.abc import Iterator

import psycopg
import pytest

from sidecar import catalog
from sidecar.connections import Connection, connect

from .changes import CHANGES, SAME, SINCE
from .servers import MAJORS, NEWEST, Server, literal


@pytest.fixture(scope="module")
def session(server: Server, menagerie: str) -> Iterator[Connection]:
    """Look at the zoo; changes are taken back."""
    with connect(server.conninfo, menagerie) as found:
        yield found


@pytest.fixture(scope="module")
def before(session: Connection) -> str:
    """Take the fingerprint of the untouched zoo."""
    return _fingerprint(session)


@pytest.mark.parametrize("server", [MAJORS[0], NEWEST], indirect=True)
@pytest.mark.parametrize("change", CHANGES)
def test_notices(session: Connection, before: str, change: str) -> None:
    """
    Every change of the schema moves the fingerprint.

    Faults: 71, 94.
    """
    assert before != _changed(session, CHANGES[change])


@pytest.mark.parametrize("change", SINCE)
def test_notices_what_is_newer(
    server: Server, session: Connection, before: str, change: str
) -> None:
    """
    So do changes that only newer servers know.

    Faults: 71, 94.
    """
    since, statement = SINCE[change]
    if server.major < since:
        with pytest.raises(psycopg.Error):
            _changed(session, statement)
    else:
        assert before != _changed(session, statement)


@pytest.mark.parametrize("server", [MAJORS[0], NEWEST], indirect=True)
@pytest.mark.parametrize("change", SAME)
def test_leaves_alone(session: Connection, before: str, change: str) -> None:
    """
    Rows, oids, numbers of columns and settings of a session are no part of the schema.

    Faults: 58, 71.
    """
    assert before == _changed(session, SAME[change])


@pytest.mark.parametrize("server", [MAJORS[0], NEWEST], indirect=True)
def test_does_not_depend_on_settings(server: Server, menagerie: str, before: str) -> None:
    """
    How a role wants values and names to be written does not matter.

    Faults: 58, 71.
    """
    who = f"ALTER ROLE {server.user} IN DATABASE {menagerie}"
    settings = {
        "IntervalStyle": "sql_standard",
        "DateStyle": "SQL, DMY",
        "TimeZone": "Asia/Tokyo",
        "search_path": "zoo, public",
        "bytea_output": "escape",
        "extra_float_digits": "-9",
        "quote_all_identifiers": "on",
    }
    for name, value in settings.items():
        server.run(f"{who} SET {name} = {value if ',' in value else literal(value)}")
    try:
        with connect(server.conninfo, menagerie) as session:
            assert before == _fingerprint(session)
    finally:
        server.run(f"{who} RESET ALL")


def _changed(session: Connection, statements: str) -> str:
    with session.transaction(force_rollback=True):
        session.execute(statements.encode())
        return _fingerprint(session)


def _fingerprint(session: Connection) -> str:
    row = session.execute(catalog.FINGERPRINT).fetchone()
    assert row is not None
    return str(row[0])
