"""What would defeat the promise, each thing in a stack that is sound but for it."""

from dataclasses import replace
from typing import Any

import pytest

from sidecar import doctor
from sidecar.doctor import Neighbour, Stack, Weight
from sidecar.preflight import Space

from .builders import look

GIGABYTE = 1 << 30
GUARD = Neighbour("migsafe", "migsafe:1", "guard", uses=False, waits=False, ours=True)
APP = Neighbour("app", "shop:1.2", "bin/serve", uses=True, waits=True)
DATABASE = Neighbour("db", "postgres:17", "postgres", uses=True, waits=False, database=True)
BACKUPS = Neighbour(
    "backups", "migsafe:1", "tini -- migsafe schedule", uses=True, waits=True, ours=True
)
CACHE = Neighbour("cache", "redis:latest", "redis-server", uses=False, waits=False)


def stack(*more: Neighbour, **changes: Any) -> Stack:
    """Describe a sound stack; services in ``more`` replace those of the same name."""
    named = {each.service: each for each in (GUARD, APP, DATABASE, BACKUPS, CACHE, *more)}
    found = Stack(
        guard="migsafe",
        app="app",
        neighbours=tuple(named.values()),
        look=look(),
        space=Space(9 * GIGABYTE),
        backups_free=GIGABYTE,
        backups_type="ext4",
        encrypts=True,
        stores=("gs://shop",),
    )
    return replace(found, **changes)


def found(examined: Stack) -> list[tuple[Weight, str]]:
    """Examine, and leave out the note that every stack gets."""
    return [(f.weight, f.what) for f in doctor.examine(examined) if "restart app" not in f.what]


def test_a_sound_stack() -> None:
    """Nothing is found where nothing is: the cache's moving tag is no concern of ours."""
    assert [] == found(stack())
    assert doctor.sound(doctor.examine(stack()))
    assert "✓ sound" == doctor.lines(doctor.examine(stack()))[-1]


@pytest.mark.parametrize(
    ("examined", "weight", "words"),
    [
        (stack(replace(APP, service="worker", waits=False)), Weight.BROKEN, "worker uses the"),
        (stack(replace(GUARD, restart="always")), Weight.BROKEN, "restarts by itself (always)"),
        (stack(replace(APP, command="sh -c rails db:migrate && puma")), Weight.RISKY, "migrates"),
        (stack(replace(APP, command="alembic upgrade head; serve")), Weight.RISKY, "migrates"),
        (stack(untold=("slakc://***: no",)), Weight.RISKY, "would not go out: slakc://***: no"),
        (stack(replace(APP, image="shop")), Weight.RISKY, "a tag that moves"),
        (stack(replace(APP, image="reg.example:5000/shop:latest")), Weight.RISKY, "that moves"),
        (stack(replace(APP, image="reg.example:5000/shop")), Weight.RISKY, "a tag that moves"),
        (
            stack(replace(CACHE, command="sh -c pg_dump --schema=public > /b/x")),
            Weight.RISKY,
            "only a part",
        ),
        (stack(replace(CACHE, command="sh -c pg_dump shop | gzip")), Weight.RISKY, "pipes pg_dump"),
        (stack(replace(BACKUPS, running=False)), Weight.NOTE, "no other service is seen"),
        (stack(initialises=True), Weight.RISKY, "taken for a new one"),
        (stack(initialises=True, in_memory=True), Weight.BROKEN, "taken for a new one"),
        (stack(in_memory=True), Weight.RISKY, "an empty one is not filled"),
        (
            stack(replace(BACKUPS, command="guard"), in_memory=True, fills=True),
            Weight.BROKEN,
            "in memory, and no `migsafe schedule` runs",
        ),
        (stack(replace(BACKUPS, ours=False)), Weight.NOTE, "no other service is seen"),
        (stack(backups_type="tmpfs"), Weight.BROKEN, "in memory"),
        (stack(backups_free=9 * GIGABYTE), Weight.NOTE, "on the same disk"),
        (stack(encrypts=False), Weight.NOTE, "are not encrypted"),
        (stack(unreadable="their key is elsewhere"), Weight.RISKY, "their key is elsewhere"),
        (stack(key_beside=True), Weight.RISKY, "lies in the folder of the backups"),
        (stack(clock_off=-90.0), Weight.RISKY, "-90 s off"),
        (stack(code_mounts=("/srv",)), Weight.NOTE, "/srv"),
        (stack(tools=("no tools",)), Weight.BROKEN, "no tools"),
        (stack(vault=("no room",)), Weight.BROKEN, "no room"),
        (stack(look=look(prepared=("gid",))), Weight.BROKEN, "prepared transactions"),
        (stack(growth=float(GIGABYTE)), Weight.RISKY, "for 9 days more"),
    ],
)
def test_each_is_found(examined: Stack, weight: Weight, words: str) -> None:
    """One thing that is wrong is one finding, with its weight, and it says what to change."""
    (only,) = found(examined)

    assert weight is only[0]
    assert words in only[1]
    assert (weight is not Weight.BROKEN) == doctor.sound(doctor.examine(examined))
    assert all(finding.change and finding.why for finding in doctor.examine(examined))


def test_one_disk_for_everything() -> None:
    """Where no store has a copy, a broken disk takes all that there is."""
    alone = found(stack(backups_free=9 * GIGABYTE, stores=()))

    assert (Weight.RISKY, "the backups seem to be on the same disk as the data") in alone
    assert (Weight.NOTE, "every backup is on this machine") in alone


@pytest.mark.parametrize(
    "examined",
    [
        stack(replace(APP, image="shop@sha256:" + "a" * 64)),
        stack(replace(APP, image="reg.example:5000/shop:1.2")),
        stack(replace(CACHE, command="sh -c set -o pipefail; pg_dump shop | gzip")),
        stack(replace(CACHE, command="sh -c pg_dump shop > x || exit 1")),
        stack(replace(APP, command="bin/serve --immigrate")),
        stack(space=Space(None)),
        stack(growth=1.0),
        stack(clock_off=3.0),
        stack(in_memory=True, fills=True),
        stack(replace(BACKUPS, ours=False, command="sh -c pg_dump shop > x || exit 1")),
        stack(replace(BACKUPS, ours=False, image="wal-g/wal-g:3", command="run")),
        stack(replace(BACKUPS, ours=False), here=False),
    ],
)
def test_what_looks_alike_is_not_found(examined: Stack) -> None:
    """A false alarm teaches people not to listen."""
    assert [] == found(examined)


def test_the_worst_comes_first() -> None:
    """Whoever reads one line reads the one that matters."""
    examined = stack(replace(APP, image="shop"), backups_type="tmpfs", code_mounts=("/srv",))

    weights = [finding.weight for finding in doctor.examine(examined)]

    assert sorted(weights, key=list(Weight).index) == weights
    assert Weight.BROKEN is weights[0]
