"""What would make a rollback impossible."""

from dataclasses import replace

import pytest

from sidecar import preflight
from sidecar.facts import Look, Rights, Server
from sidecar.preflight import MEGABYTE, Space

from .builders import look

ROOMY = Space(100 << 30)
PLAIN = Rights("app", superuser=False, create_database=True, owns=True, signal=True)


def test_all_is_well() -> None:
    """A usual database has no complaint."""
    assert () == preflight.complaints(look(), ROOMY, clone=True)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (look(server=Server("17", 170000, "1", in_recovery=True)), "standby"),
        (look(server=Server("12.4", 120004, "1")), "older than 13"),
        (look(prepared=("gid-1",)), "prepared transactions"),
        (look(slots=("cdc",)), "logical replication slots"),
        (look(subscriptions=("sub",)), "subscriptions"),
        (look(rights=replace(PLAIN, create_database=False)), "may not create databases"),
        (look(rights=replace(PLAIN, owns=False)), "does not own database 'shop'"),
        (look(rights=replace(PLAIN, signal=False)), "may not end other sessions"),
    ],
)
def test_each_obstacle_is_named(found: Look, words: str) -> None:
    """Each thing that stands in the way is one complaint. Faults: 16, 22, 26, 27."""
    (complaint,) = preflight.complaints(found, ROOMY, clone=True)

    assert words in complaint


def test_all_obstacles_come_at_once() -> None:
    """Nobody mends one thing to be told of the next."""
    found = look(prepared=("a",), slots=("b",), rights=replace(PLAIN, create_database=False))

    assert len(preflight.complaints(found, Space(0), clone=True)) == 4


def test_a_full_volume_is_refused_with_figures() -> None:
    """Too little room for a rollback is refused before the server could panic. Faults: 25, 93."""
    (complaint,) = preflight.complaints(look(size=500 * MEGABYTE), Space(MEGABYTE), clone=True)

    assert "1.0 MB are free" in complaint
    assert "564.0 MB" in complaint


def test_unknown_space_is_no_obstacle() -> None:
    """Where the server is not a container its free space can't be told."""
    assert () == preflight.complaints(look(), Space(None), clone=True)


def test_little_room_means_no_restore_point() -> None:
    """Room for one copy but not for two: the backup alone is the way back."""
    found = look(size=500 * MEGABYTE)
    space = Space(700 * MEGABYTE)

    assert () == preflight.complaints(found, space, clone=True)
    assert "700.0 MB are free" in (preflight.no_restore_point(found, space) or "")


def test_changed_collations_mean_no_restore_point() -> None:
    """A clone is refused by the server then; the backup loads. Faults: 28."""
    assert "collations" in (preflight.no_restore_point(look(collation_changed=True), ROOMY) or "")


def test_what_only_a_superuser_loads_needs_a_restore_point() -> None:
    """Without a restore point the role must be able to load the backup. Faults: 23."""
    found = look(rights=PLAIN, needs_superuser=("event trigger audit",))

    assert () == preflight.complaints(found, ROOMY, clone=True)
    assert "event trigger audit" in preflight.complaints(found, ROOMY, clone=False)[0]
