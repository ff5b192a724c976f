"""A database that restarted empty under a running app is told from one that is new."""

from dataclasses import replace

from sidecar.backups import Backup, Format, Kind, Manifest
from sidecar.facts import Contents, Server
from sidecar.marker import lost
from sidecar.plan import Entry, Phase, fold

from .builders import NOON, SERVER, look, manifest

ANEW = Server("17.6", 170006, "9999")
DONE = fold([Entry("r", Phase.STARTED, NOON), Entry("r", Phase.COMMITTED, NOON)])
CUT = fold([Entry("r", Phase.STARTED, NOON), Entry("r", Phase.ABANDONED, NOON)])
CHECKED = fold(
    [Entry("r", Phase.STARTED, NOON, {"verifying": "x"}), Entry("r", Phase.ABANDONED, NOON)]
)


def test_the_one_that_the_guard_has_left() -> None:
    """Its journal says so, on whatever server it is."""
    assert lost(DONE, look(), [manifest()]) is None
    assert lost(DONE, look(server=ANEW), [manifest()]) is None


def test_one_that_was_made_anew() -> None:
    """
    Another server, and no guard has been there: told, with what to type.

    Faults: 124.
    """
    for runs in ((), CUT, CHECKED):
        told = lost(runs, look(server=ANEW), [manifest()])

        assert told is not None
        assert "made anew since pre-migration-20260131-120000.sql" in told
        assert "`docker compose up -d`" in told


def test_one_that_is_empty() -> None:
    """
    Whoever has emptied it: there is data in the newest backup.

    Faults: 124.
    """
    assert "is empty, although" in str(lost(DONE, look(tables=0), [manifest()]))


def test_one_that_is_new() -> None:
    """Without a backup that holds data there is nothing that it could have lost."""
    hollow = manifest(contents=Contents((), "x"))

    assert lost((), look(tables=0), []) is None
    assert lost((), look(tables=0, server=ANEW), [hollow]) is None


def test_a_server_that_only_has_backups() -> None:
    """Where backups are taken and no guard has run yet, the server is the one it was."""
    assert lost((), look(), [manifest()]) is None


def test_one_that_came_out_of_a_backup() -> None:
    """Its backups have the origin, and servers that come and go."""
    older = manifest(server=ANEW, origin=SERVER.system_identifier)
    newer = replace(older, backup=Backup(Kind.SAFETY, NOON, Format.ARCHIVE), origin="")

    assert lost((), look(), [older]) is None
    assert lost((), look(), [newer, older]) is None


def test_a_manifest_with_an_origin_comes_back() -> None:
    """What it says is kept, and one without is written as an older version did."""
    with_origin = manifest(origin="7777")
    back = Manifest.from_json(with_origin.to_json(), with_origin.backup.name)

    assert (with_origin, "7777") == (back, back.born)
    assert "origin" not in manifest().to_json()
    assert "7001" == manifest().born
