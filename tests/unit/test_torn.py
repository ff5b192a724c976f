"""Deletions in a store that are cut off: what they leave is found, and nothing else is taken."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.aftermath import Aftermath
from sidecar.backups import DELETING_SUFFIX, MANIFEST_SUFFIX, Manifest
from sidecar.errors import StoreFailed
from sidecar.remotes import Remotes
from tests.fakes import machine
from tests.fakes_remote import FakeRemote

from .builders import NOON, manifest
from .test_copies import guard, opened
from .test_vault import World

COUNT = 3


class Killed(BaseException):
    """Nothing of ours runs after it."""


class Mortal(FakeRemote):
    """A store whose user is killed before or after its so manieth change of it."""

    def __init__(self) -> None:
        super().__init__()
        self.left: int | None = None
        self.before = True
        self.broken: list[str] = []
        """Payloads that had gone while their manifest was still there."""

    def _put(self, name: str, data: bytes) -> None:
        self._change(lambda: FakeRemote._put(self, name, data))

    def remove(self, name: str) -> None:
        """Delete an object."""
        self._change(lambda: FakeRemote.remove(self, name))

    def _change(self, act: Any) -> None:
        last = self.left == 0
        if self.left is not None:
            self.left -= 1
        if last and self.before:
            raise Killed
        act()
        manifests = {n.removesuffix(MANIFEST_SUFFIX) for n in self.objects if _is_manifest(n)}
        self.broken += manifests - set(self.objects)
        if last:
            raise Killed


def _is_manifest(name: str) -> bool:
    return name.endswith(MANIFEST_SUFFIX)


class Here:
    """The folder of backups: what is in it."""

    def __init__(self, *names: str) -> None:
        self.found = names

    def names(self) -> Sequence[str]:
        """List it."""
        return self.found


def remotes(store: FakeRemote, *here: str) -> Remotes:
    """Reach the store from a folder that holds such files."""
    world: Any = World()
    folder: Any = Here(*here)
    return Remotes(lambda: [store], folder, world, world, world)


def backups() -> list[tuple[Manifest, bytes]]:
    """Make some, each with what it holds."""
    found = []
    for number in range(COUNT):
        data = b"dump %d" % number * (number + 1)
        backup = replace(manifest().backup, taken_at=NOON + timedelta(hours=number))
        digest = hashlib.sha256(data).hexdigest()
        found.append((manifest(backup=backup, size=len(data), sha256=digest), data))
    return found


def laid(store: FakeRemote, found: Manifest, data: bytes) -> None:
    """Have a backup whole in a store."""
    store.objects[found.backup.name] = data
    store.objects[found.backup.manifest_name] = found.to_json().encode()


_STRANGE = st.sampled_from(
    [
        "holiday.jpg",
        "pre-migration-20250101-000000.sql",
        "pre-migration-20250101-000000.sql" + DELETING_SUFFIX,
        "holiday.jpg" + DELETING_SUFFIX,
        "scheduled-20250101-000000.dump.zst.partial",
    ]
)


@given(
    strange=st.dictionaries(_STRANGE, st.binary(max_size=8)),
    deletions=st.lists(
        st.tuples(st.integers(0, COUNT - 1), st.none() | st.integers(0, 4), st.booleans()),
        max_size=6,
    ),
)
def test_whenever_it_is_cut_off(
    strange: Mapping[str, bytes], deletions: Sequence[tuple[int, int | None, bool]]
) -> None:
    """
    What was begun is ended by the next, what was not is whole, and nobody else's file is touched.

    Faults: 111, 113.
    """
    store, mine = Mortal(), backups()
    store.objects |= strange
    for each in mine:
        laid(store, *each)
    for number, left, before in deletions:
        store.left, store.before = left, before
        with suppress(Killed):
            remotes(store).delete(mine[number][0].backup.name)
    store.left = None
    whole = {name.removesuffix(MANIFEST_SUFFIX) for name in store.objects if _is_manifest(name)}
    for name in remotes(store).torn():
        assert () == remotes(store).delete(name)

    assert () == remotes(store).torn()
    assert [] == store.broken
    for found, data in mine:
        name = found.backup.name
        rests = {key for key in store.objects if key.startswith(name)}
        if name in whole:
            assert data == store.objects[name]
            assert found.backup.manifest_name in rests
        else:
            assert not rests
    assert whole >= {m.backup.name for m, _ in mine} - {
        mine[n][0].backup.name for n, *_ in deletions
    }
    assert dict(strange) == {key: store.objects[key] for key in strange}


def cut_off(store: Mortal) -> Manifest:
    """Kill a deletion when the manifest is gone."""
    found, data = backups()[-1]
    laid(store, found, data)
    store.left, store.before = 1, False
    with pytest.raises(Killed):
        remotes(store).delete(found.backup.name)
    store.left = None
    return found


def test_what_is_here_still_is_left_to_its_own_deletion() -> None:
    """It may be brought there again just now; when it goes here, it goes there. Faults: 111."""
    store = Mortal()
    found = cut_off(store)
    name = found.backup.name

    assert () == remotes(store, name).torn()
    assert () == remotes(store, name).delete(name)
    assert {} == store.objects


def test_another_file_of_that_name_is_not_ours() -> None:
    """Somebody has put it there since: its size is another. Faults: 113."""
    store = Mortal()
    found = cut_off(store)
    store.objects[found.backup.name] = b"somebody's"
    before = dict(store.objects)

    assert () == remotes(store).torn()
    assert () == remotes(store).delete(found.backup.name)
    assert before == store.objects


def test_a_store_that_can_not_be_listed() -> None:
    """Nothing is known of it, and that is told. Faults: 112."""
    store = Mortal()
    cut_off(store)
    store.failing["listing"] = StoreFailed("503")

    with pytest.raises(StoreFailed, match="gs://shop: 503"):
        remotes(store).torn()


@pytest.mark.parametrize("behind", [False, True])
def test_the_next_run_that_tidies_up_ends_it(behind: bool) -> None:
    """Not while the store lacks what is to stay, though. Faults: 111, 112."""
    here, store = machine(), Mortal()
    guard(here, store)
    found, world = cut_off(store), opened(here, store)
    (manifest,) = world.vault.manifests()
    if behind:
        store.objects.pop(manifest.backup.name)
    aftermath = Aftermath(world.world)
    judged = aftermath.judged((manifest,), timedelta(days=7), world.world.clock.now(), {})
    aftermath.prune(judged, world.vault.inventory())

    rests = {name for name in store.objects if name.startswith(found.backup.name)}
    assert behind == bool(rests)
