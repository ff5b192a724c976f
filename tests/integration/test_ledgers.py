"""Every tool's ledger is recognised in a real database, and read for what it says."""

from collections.abc import Iterator

import pytest

from sidecar import presets, reading
from sidecar.connections import connect
from sidecar.facts import LedgerState

from .ledgers import SAMPLES, Sample
from .servers import Server

pytestmark = pytest.mark.parametrize("server", [17], indirect=True)


class Ledger:
    """One tool's ledger in a database of its own."""

    def __init__(self, server: Server, sample: Sample) -> None:
        self.server = server
        self.name = server.create("ledger")
        self.sample = sample
        server.run(sample.make, self.name)

    def after(self, *statements: str) -> LedgerState:
        """Read what it says after the tool has done something."""
        for statement in statements:
            self.server.run(statement, self.name)
        with connect(self.server.conninfo, self.name) as session:
            return reading.look(session, self.name, None, catalog=False).ledger


@pytest.fixture(params=SAMPLES, ids=lambda sample: sample.preset)
def ledger(request: pytest.FixtureRequest, server: Server) -> Iterator[Ledger]:
    """Make the ledger of one tool."""
    found = Ledger(server, request.param)
    yield found
    server.run(f"DROP DATABASE {found.name}")


def test_is_read(ledger: Ledger) -> None:
    """
    A ledger names its tool and its versions, and moves with each migration.

    Faults: 71, 73, 88.
    """
    empty = ledger.after()
    first = ledger.after(ledger.sample.first)
    second = ledger.after(ledger.sample.second)

    assert ledger.sample.preset == first.preset
    assert (ledger.sample.version,) == first.versions
    assert ((), ()) == (empty.versions, empty.bad)
    assert 3 == len({empty.fingerprint, first.fingerprint, second.fingerprint})
    assert ((), ()) == (first.bad, second.bad)
    assert (None, None) == (first.held_by, second.held_by)
    assert second == ledger.after()


def test_tells_what_failed(ledger: Ledger) -> None:
    """
    What a tool marks as failed is bad, is not applied, and moves the fingerprint.

    Faults: 71, 73, 82.
    """
    sample = ledger.sample
    good = ledger.after(sample.first, sample.second)
    bad = ledger.after(*filter(None, [sample.bad]))

    marks = presets.by_name(sample.preset).ledger
    assert marks is not None
    assert bool(marks.bad) == bool(sample.bad) == bool(bad.bad)
    assert bool(sample.bad) == (good.fingerprint != bad.fingerprint)
    assert set() == set(bad.bad) & set(bad.versions)


def test_tells_who_locked_it(ledger: Ledger) -> None:
    """
    A lock that a killed tool left behind is seen, and its holder named.

    Faults: 82.
    """
    sample = ledger.sample
    found = ledger.after(sample.first, *filter(None, [sample.lock]))

    assert bool(presets.by_name(sample.preset).lock) == bool(sample.lock)
    assert (sample.holder or None) == found.held_by


def test_columns_with_any_names(server: Server) -> None:
    """
    A ledger in a schema of its own, whatever that is called, is found, and two are told apart.

    Faults: 33.
    """
    name = server.create("schemas")
    server.run('CREATE SCHEMA "My ""App"" %"; CREATE SCHEMA other', name)
    rails, alembic = SAMPLES[0], SAMPLES[1]
    for sample, schema in ((rails, '"My ""App"" %"'), (alembic, "other")):
        server.run(f"SET search_path = {schema}; {sample.make}; {sample.first}", name)

    with connect(server.conninfo, name) as session:
        found = reading.look(session, name, None, catalog=False).ledger
        mine = reading.look(session, name, "alembic", catalog=False).ledger

    assert ("rails", 'My "App" %') == (found.preset, found.schema)
    assert ("alembic", "other", ("0001",)) == (mine.preset, mine.schema, mine.versions)
    assert found.fingerprint == mine.fingerprint


def test_every_ledger_has_a_sample(server: Server) -> None:
    """
    No preset is left out.

    Faults: 71.
    """
    assert 17 == server.major
    variants = {preset.name for preset in presets.PRESETS if preset.ledger == _base(preset)}
    named = {preset.name for preset in presets.PRESETS if preset.ledger} - variants

    assert named == {sample.preset for sample in SAMPLES}


def _base(preset: presets.Preset) -> presets.Ledger | None:
    """Give the ledger that a variant shares with the preset it is one of."""
    return presets.by_name(preset.variant_of).ledger if preset.variant_of else None
