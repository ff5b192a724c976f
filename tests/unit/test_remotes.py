"""Copies away from this machine: brought there whole, fetched back whole, deleted on purpose."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar import age, failpoints
from sidecar.backup_ports import Tick
from sidecar.backups import MANIFEST_SUFFIX, Manifest, Proof
from sidecar.errors import BackupDamaged, BackupNotFound, Interrupted, NameTaken, StoreFailed
from sidecar.keys import Keys
from sidecar.remotes import Remotes
from sidecar.stores.local import LocalStore
from sidecar.stores.retrying import Retrying
from tests.fakes import FakeTeller
from tests.fakes_remote import FakeRemote

from .builders import NOON
from .test_vault import DUMP, Source, World, take, vault

HOLIDAY = "holiday.jpg"


class Bench:
    """A folder of backups, and two stores."""

    def __init__(self, folder: Path) -> None:
        world: Any = World()
        self.world = world
        self.here = LocalStore(folder)
        self.gs, self.nas = FakeRemote("gs://shop"), FakeRemote("rclone://nas/shop")
        self.remotes = Remotes(
            lambda: [self.gs, self.nas], self.here, self.world, self.world, self.world
        )
        self.vault = vault(folder, Source(DUMP), self.world)
        self.vault.copies = self.remotes

    def take(self) -> Manifest:
        """Take a backup."""
        return take(self.vault)

    def lose(self, manifest: Manifest) -> None:
        """Lose a backup here."""
        self.vault.delete(manifest.backup.name)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give it."""
    return Bench(tmp_path)


@pytest.fixture
def armed() -> Iterator[Callable[[str], None]]:
    """Arm a failpoint; none is left armed."""
    yield lambda text: failpoints.arm(failpoints.parse(text))
    failpoints.arm({})


def pair(manifest: Manifest) -> set[str]:
    """Name the two objects of a backup."""
    return {manifest.backup.name, manifest.backup.manifest_name}


# --- there


def test_a_copy_is_the_file_and_then_its_manifest(bench: Bench) -> None:
    """In every store, byte for byte; the manifest goes last, so that its presence is the commit."""
    manifest = bench.take()

    assert () == bench.remotes.copy(manifest)
    for store in (bench.gs, bench.nas):
        name = manifest.backup.name
        assert [f"put {name}", f"put {name}{MANIFEST_SUFFIX}"] == store.acts
        assert DUMP == store.objects[name]
        assert (
            bench.here.text(name + MANIFEST_SUFFIX).encode()
            == store.objects[name + MANIFEST_SUFFIX]
        )


def test_a_copy_twice_is_a_copy_once(bench: Bench) -> None:
    """Whoever was killed after it does it again. Faults: 64."""
    manifest = bench.take()
    bench.remotes.copy(manifest)

    assert () == bench.remotes.copy(manifest)
    assert pair(manifest) == set(bench.gs.objects)


def test_one_store_that_fails_does_not_keep_the_others_from_it(bench: Bench) -> None:
    """What fails is named, and what to do. Faults: 65."""
    manifest = bench.take()
    bench.gs.failing["put"] = StoreFailed("it is full", hint="Make room there.")

    assert ("gs://shop: it is full: Make room there.",) == bench.remotes.copy(manifest)
    assert pair(manifest) == set(bench.nas.objects)


def test_what_is_damaged_here_is_not_spread(bench: Bench) -> None:
    """A file that rotted since it was taken goes nowhere. Faults: 69."""
    manifest = bench.take()
    (bench.here.folder / manifest.backup.name).write_bytes(DUMP[:-1] + b"X")

    (complaint,) = bench.remotes.copy(manifest)
    assert "checksum" in complaint
    assert not bench.gs.objects


def test_nothing_there_is_written_over(bench: Bench) -> None:
    """Two installations in one folder: the second is told so. Faults: 70."""
    manifest = bench.take()
    bench.gs.objects[manifest.backup.name] = b"of another"

    (complaint,) = bench.remotes.copy(manifest)
    assert "gs://shop: " in complaint
    assert b"of another" == bench.gs.objects[manifest.backup.name]
    assert manifest.backup.manifest_name not in bench.gs.objects


@pytest.fixture
def losing(bench: Bench) -> Manifest:
    """Take a backup that goes from here while it is copied to the first store."""
    manifest = bench.take()
    put = bench.gs.put

    def meanwhile(name: str, path: Path, tick: Tick) -> None:
        put(name, path, tick)
        for each in pair(manifest):
            (bench.here.folder / each).unlink(missing_ok=True)

    bench.gs.put = meanwhile  # type: ignore[method-assign]
    return manifest


def test_what_is_deleted_while_it_is_copied_is_left_nowhere(bench: Bench, losing: Manifest) -> None:
    """A guard prunes while the second mode uploads: no object stays that nobody would delete."""
    assert () == bench.remotes.catch_up()
    assert ({}, {}) == (bench.gs.objects, bench.nas.objects)
    assert losing.backup.name not in bench.here.names()


def test_what_is_whole_in_a_store_stays_there(bench: Bench, losing: Manifest) -> None:
    """It went from here while it was compared with that: perhaps it is the last copy."""
    bench.gs.objects[losing.backup.name] = DUMP
    bench.gs.objects[losing.backup.manifest_name] = losing.to_json().encode()

    (there, _) = bench.remotes.copy(losing)
    assert "gs://shop: " in there
    assert pair(losing) == set(bench.gs.objects)


def test_a_copy_of_what_is_gone_is_none(bench: Bench, losing: Manifest) -> None:
    """Whoever requires one is told that there is none, and does not migrate."""
    assert 2 == len(bench.remotes.copy(losing))


def test_a_signal_ends_a_copy(bench: Bench) -> None:
    """It is not a complaint among others."""
    manifest = bench.take()
    bench.world.stopped = True

    with pytest.raises(Interrupted):
        bench.remotes.copy(manifest)


def test_catching_up_brings_what_is_missing(bench: Bench) -> None:
    """What a store was out of order for is brought later; what is there is not sent again."""
    first, second = bench.take(), bench.take()
    bench.remotes.copy(first)
    (behind, _) = bench.remotes.behind()
    assert f"gs://shop: lacks 1 of 2 backups: {second.backup.name}" == behind
    bench.gs.acts.clear()

    assert () == bench.remotes.catch_up()
    assert () == bench.remotes.behind()
    assert f"put {first.backup.name}" not in bench.gs.acts
    assert pair(first) | pair(second) == set(bench.gs.objects)


def test_catching_up_gives_way(bench: Bench) -> None:
    """Where a backup is due the newest goes there, and one more; then nothing is left."""
    backups = [bench.take() for _ in range(6)]
    times = iter([True, True, True, False])

    (complaint,) = bench.remotes.catch_up(lambda: next(times))
    left = [m.backup.name for m in backups[:3]]
    assert f"not in every store yet: {', '.join(reversed(left))} (3 in all)" == complaint
    assert [pair(m) <= set(bench.gs.objects) for m in backups] == [False] * 3 + [True] * 3

    (complaint,) = bench.remotes.catch_up(lambda: False)
    assert complaint.endswith("(1 in all)")
    assert () == bench.remotes.catch_up(lambda: False)
    assert () == bench.remotes.behind()


def test_half_a_copy_is_none(bench: Bench) -> None:
    """A file without a manifest, or of another size, is behind. Faults: 63, 112."""
    manifest = bench.take()
    bench.remotes.copy(manifest)
    del bench.gs.objects[manifest.backup.manifest_name]
    bench.nas.objects[manifest.backup.name] = DUMP[:100]

    assert 2 == len(bench.remotes.behind())


def test_a_store_that_does_not_answer_is_behind(bench: Bench) -> None:
    """No listing is no reason to believe that all is well. Faults: 112."""
    bench.take()
    bench.remotes.catch_up()
    bench.nas.failing["listing"] = StoreFailed("no route to host")

    assert ("rclone://nas/shop: no route to host",) == bench.remotes.behind()


def test_a_store_is_tried_for_real(bench: Bench) -> None:
    """Written, read, compared, deleted: nothing is left of it."""
    assert () == bench.remotes.complaints()
    assert ["put", "read", "remove"] == [act.split()[0] for act in bench.gs.acts]
    assert {} == bench.gs.objects

    bench.nas.failing["read"] = StoreFailed("may write and not read")
    assert ("rclone://nas/shop: may write and not read",) == bench.remotes.complaints()


def test_a_signal_ends_a_look_at_thousands(bench: Bench) -> None:
    """Each is a question to the store."""
    manifest = bench.take()
    bench.remotes.catch_up()
    bench.lose(manifest)
    bench.world.stopped = True

    with pytest.raises(Interrupted):
        bench.remotes.beyond(())


# --- back


def test_what_is_only_there_is_listed_and_fetched(bench: Bench) -> None:
    """The machine was lost: its newest backup is what it was, and can be read here again."""
    first, second = bench.take(), bench.take()
    bench.remotes.catch_up()
    bench.lose(first)
    bench.lose(second)
    for name in (HOLIDAY, "pre-migration-20250101-000000.sql", "x" + MANIFEST_SUFFIX):
        bench.gs.objects[name] = b"not ours, or half of it"

    assert (second, first) == bench.vault.everywhere()
    manifest, chunks = bench.vault.chunks(first.backup.name)
    assert first == manifest
    assert DUMP == b"".join(chunks)
    assert pair(first) == set(bench.here.names())
    assert (first,) == bench.vault.manifests()


def test_a_listing_that_fails_is_not_an_empty_one(bench: Bench) -> None:
    """A store that can't be listed may hold anything. Faults: 112, 123."""
    bench.gs.failing["listing"] = StoreFailed("403")

    with pytest.raises(StoreFailed, match="gs://shop: 403"):
        bench.vault.everywhere()


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"X" + data[1:]])
def test_what_arrives_damaged_gets_no_name(bench: Bench, damage: Any) -> None:
    """Cut, or with a byte flipped: the next store is asked, and with none left it is an error."""
    manifest = bench.take()
    name = manifest.backup.name
    bench.remotes.copy(manifest)
    bench.lose(manifest)
    bench.gs.objects[name] = damage(bench.gs.objects[name])

    assert DUMP == b"".join(bench.vault.chunks(name)[1])
    bench.lose(manifest)
    bench.nas.objects[name] = damage(bench.nas.objects[name])
    with pytest.raises(BackupDamaged):
        bench.vault.chunks(name)
    assert [] == [path.name for path in bench.here.folder.iterdir()]


def test_a_file_in_the_way_is_left_alone(bench: Bench) -> None:
    """It has no manifest and is another: nobody knows whose; the very one just gets its own."""
    manifest = bench.take()
    bench.remotes.copy(manifest)
    path = bench.here.folder / manifest.backup.name
    bench.here.remove(manifest.backup.manifest_name)
    assert DUMP == b"".join(bench.vault.chunks(manifest.backup.name)[1])

    bench.here.remove(manifest.backup.manifest_name)
    path.write_bytes(b"somebody's")
    with pytest.raises(StoreFailed, match="already"):
        bench.vault.chunks(manifest.backup.name)
    assert b"somebody's" == path.read_bytes()


def test_no_room_for_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is begun that can't be ended."""
    manifest = bench.take()
    bench.remotes.copy(manifest)
    bench.lose(manifest)
    monkeypatch.setattr(LocalStore, "free", lambda _: 1000)

    with pytest.raises(StoreFailed, match="are free"):
        bench.remotes.fetch(manifest.backup.name)
    assert not [act for act in bench.gs.acts if act.startswith("read pre") and "json" not in act]


def test_no_store_has_it(bench: Bench) -> None:
    """It is told as for one that is not here."""
    with pytest.raises(BackupNotFound):
        bench.vault.chunks("pre-migration-20250101-000000.sql")


# --- instead of what is damaged


def spoil(bench: Bench, manifest: Manifest) -> bytes:
    """Damage the file that is here; return what it holds now."""
    data = DUMP[:-1] + b"X"
    (bench.here.folder / manifest.backup.name).write_bytes(data)
    return data


def test_a_copy_takes_the_place_of_what_is_damaged(bench: Bench) -> None:
    """The store has it whole: that is what is read, and said. The damaged file stays beside it."""
    manifest = bench.take()
    name = manifest.backup.name
    bench.remotes.copy(manifest)
    bench.vault.note_proof(manifest.backup, Proof(NOON, "read", ("its checksum is wrong",)))
    damaged = spoil(bench, manifest)

    assert DUMP == b"".join(bench.vault.chunks(name)[1])
    assert f"the checksum of {name} is not the one in its manifest: looking for" in "".join(
        bench.world.said
    )
    assert f"✓ fetched from gs://shop: {name}" in bench.world.said[-1]
    assert damaged == (bench.here.folder / f"{name}.damaged").read_bytes()
    assert {*pair(manifest), f"{name}.damaged"} == set(bench.here.names())
    bench.world.said.clear()
    assert manifest == bench.vault.check(name)
    assert [] == bench.world.said


def test_what_was_set_aside_goes_with_its_backup(bench: Bench) -> None:
    """It does not fill the disk for ever."""
    manifest = bench.take()
    bench.remotes.copy(manifest)
    spoil(bench, manifest)
    bench.vault.check(manifest.backup.name)
    bench.vault.delete(manifest.backup.name)

    assert () == bench.here.names()


@pytest.mark.parametrize("act", ["damaged", "another", "missing", "away", "no room"])
def test_without_a_whole_copy_nothing_is_touched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    """It may be the only one: what is damaged stays where it is, under its name."""
    manifest = bench.take()
    name = manifest.backup.name
    bench.remotes.copy(manifest)
    damaged = spoil(bench, manifest)
    for store in (bench.gs, bench.nas):
        match act:
            case "damaged":
                store.objects[name] = DUMP[:-2]
            case "another":
                other = replace(manifest, note="of another installation")
                store.objects[manifest.backup.manifest_name] = other.to_json().encode()
            case "missing":
                del store.objects[manifest.backup.manifest_name]
            case "away":
                store.failing["read"] = StoreFailed("no route to host")
            case _:
                monkeypatch.setattr(LocalStore, "free", lambda _: 1000)

    with pytest.raises(BackupDamaged, match="the checksum of"):
        bench.vault.chunks(name)
    assert "no copy takes its place: " in bench.world.said[-1]
    assert damaged == (bench.here.folder / name).read_bytes()
    assert pair(manifest) == set(bench.here.names())


def test_the_next_store_is_asked(bench: Bench) -> None:
    """What the first one has is damaged as well."""
    manifest = bench.take()
    bench.remotes.copy(manifest)
    bench.gs.objects[manifest.backup.name] = spoil(bench, manifest)

    assert DUMP == b"".join(bench.vault.chunks(manifest.backup.name)[1])


def test_what_can_not_be_read_is_replaced_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad block is an error, and no other checksum."""
    manifest = bench.take()
    bench.remotes.copy(manifest)
    read, broken = LocalStore.read, [StoreFailed("Input/output error")]

    def fail(store: LocalStore, name: str, *, partial: bool = False) -> Iterator[bytes]:
        if broken and name == manifest.backup.name:
            raise broken.pop()
        return read(store, name, partial=partial)

    monkeypatch.setattr(LocalStore, "read", fail)
    assert DUMP == b"".join(bench.vault.chunks(manifest.backup.name)[1])
    assert manifest.backup.name + ".damaged" in bench.here.names()


def test_a_damaged_header_is_replaced_too(bench: Bench, tmp_path_factory: Any) -> None:
    """Encrypted, with the key here: what seems to be for somebody else is looked into."""
    (recipient, private), key = age.passing(), tmp_path_factory.mktemp("key") / "key.txt"
    key.write_text(str(private))
    bench.vault.keys = Keys((str(recipient),), key)
    manifest = bench.take()
    bench.remotes.copy(manifest)
    another = b"".join(age.encrypt([DUMP], [age.passing()[0]]))
    (bench.here.folder / manifest.backup.name).write_bytes(another)

    assert DUMP == b"".join(bench.vault.chunks(manifest.backup.name)[1])


@pytest.mark.parametrize("point", ["fetch.downloaded", "renew.set-aside", "fetch.published"])
def test_a_replacement_that_was_killed_is_done_again(
    bench: Bench, armed: Callable[[str], None], point: str
) -> None:
    """
    Wherever it stops, the damaged file or a whole one is there, and the next try ends it.

    Faults: 120.
    """
    manifest = bench.take()
    name = manifest.backup.name
    bench.remotes.copy(manifest)
    damaged = spoil(bench, manifest)
    armed(f"{point}=raise")
    with pytest.raises(failpoints.Planted):
        bench.vault.check(name)
    left = {path.name: path.read_bytes() for path in bench.here.folder.iterdir()}
    assert damaged in left.values()
    armed("")

    assert DUMP == b"".join(bench.vault.chunks(name)[1])


# --- away


def test_a_deletion_takes_the_manifest_first(bench: Bench) -> None:
    """In every store, and nothing but that pair. Faults: 113."""
    first, second = bench.take(), bench.take()
    bench.remotes.catch_up()
    bench.gs.objects[HOLIDAY] = b"not ours"
    bench.gs.acts.clear()

    assert () == bench.remotes.delete(first.backup.name)
    name, changes = first.backup.name, [a for a in bench.gs.acts if not a.startswith("read")]
    assert [
        f"put {name}.deleting.json",
        f"remove {name}{MANIFEST_SUFFIX}",
        f"remove {name}",
        f"remove {name}.deleting.json",
    ] == changes
    assert {*pair(second), HOLIDAY} == set(bench.gs.objects)


@pytest.mark.parametrize("manifest_text", [None, b"{}", b"\xff\xfe", b"[1]"])
def test_without_a_valid_manifest_nothing_is_deleted(
    bench: Bench, manifest_text: bytes | None
) -> None:
    """A file of that name may be anybody's. Faults: 113."""
    manifest = bench.take()
    bench.remotes.copy(manifest)
    del bench.gs.objects[manifest.backup.manifest_name]
    if manifest_text is not None:
        bench.gs.objects[manifest.backup.manifest_name] = manifest_text
    before = dict(bench.gs.objects)

    bench.remotes.delete(manifest.backup.name)
    assert before == bench.gs.objects
    assert {} == bench.nas.objects


def test_what_retention_holds_is_told(bench: Bench) -> None:
    """The bucket says no: that is one complaint, and the other store is cleared."""
    manifest = bench.take()
    bench.remotes.copy(manifest)
    bench.gs.failing["remove"] = StoreFailed("held by the bucket's retention")

    assert ("gs://shop: held by the bucket's retention",) == bench.remotes.delete(
        manifest.backup.name
    )
    assert {} == bench.nas.objects


def test_without_stores_there_is_nothing(bench: Bench) -> None:
    """Most have none: no store is opened, nothing is complained of."""
    none = Remotes(list, bench.here, bench.world, bench.world, bench.world)
    manifest = bench.take()

    assert () == none.copy(manifest) == none.behind() == none.complaints()
    assert not none.beyond([])


# --- patience


def clock() -> Any:
    """Make a clock that moves when somebody sleeps."""
    return Ticking()


class Ticking:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0

    def monotonic(self) -> float:
        """Count."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Go on."""
        self.time += seconds


class Flaky(FakeRemote):
    """Fails so many times."""

    def __init__(self, *errors: StoreFailed) -> None:
        super().__init__()
        self.errors = list(errors)

    def _act(self, act: str, name: str) -> None:
        super()._act(act, name)
        if self.errors:
            raise self.errors.pop(0)


BUSY = StoreFailed.for_now("503")


def test_what_passes_is_waited_for() -> None:
    """With pauses that grow; then it is done. Faults: 66."""
    ticking = clock()
    store = Flaky(BUSY, BUSY, BUSY)
    Retrying(store, ticking).put_text("a", "b")

    assert {"a": b"b"} == store.objects
    assert 0 < ticking.time < 120


@pytest.mark.parametrize("error", [StoreFailed("403"), NameTaken("it is there")])
def test_what_does_not_pass_is_not_tried_again(error: StoreFailed) -> None:
    """No right comes from asking twice."""
    ticking = clock()
    store = Flaky(error)

    with pytest.raises(type(error)):
        Retrying(store, ticking).put_text("a", "b")
    assert (1, 0.0) == (len(store.acts), ticking.time)


def test_patience_has_an_end() -> None:
    """After the deadline the failure is told, as it was."""
    ticking = clock()
    store = Flaky(*[BUSY] * 1000)

    with pytest.raises(StoreFailed, match="503"):
        Retrying(store, ticking, seconds=60).listing()
    assert 30 < ticking.time <= 60


def test_who_is_waited_for_is_told_once() -> None:
    """Nobody sits for minutes before a terminal that says nothing; a hiccup is not worth a line."""
    ticking, teller, hiccup = clock(), FakeTeller(), FakeTeller()
    Retrying(Flaky(*[BUSY] * 9), ticking, tell=teller).put_text("a", "b")
    Retrying(Flaky(BUSY), ticking, tell=hiccup).put_text("a", "b")

    assert ["gs://shop: 503; trying again for 120 s"] == teller.warnings
    assert not hiccup.warnings


def test_a_signal_ends_the_waiting() -> None:
    """Nobody waits for a store when the container is stopped."""
    world: Any = World()
    world.stopped = True
    ticking = clock()

    with pytest.raises(Interrupted):
        Retrying(Flaky(BUSY), ticking, world).listing()


def test_a_download_goes_on_where_it_was_cut() -> None:
    """Bytes come once, in order."""

    class Cut(FakeRemote):
        cuts = 3

        def read(self, name: str, start: int = 0) -> Any:
            for number, chunk in enumerate(super().read(name, start)):
                if number == 2 and self.cuts:
                    self.cuts -= 1
                    raise BUSY
                yield chunk

    store, any_clock = Cut(), clock()
    store.objects["a"] = bytes(range(256)) * 4

    assert store.objects["a"] == b"".join(Retrying(store, any_clock).read("a"))
    assert ["read a"] * 4 == store.acts


# --- killed


@pytest.mark.parametrize("point", ["copy.uploaded", "copy.recorded"])
def test_a_copy_that_was_killed_is_made_whole(
    bench: Bench, armed: Callable[[str], None], point: str
) -> None:
    """
    Until its manifest is there, half a copy is none; the next try makes it whole.

    Faults: 63, 64.
    """
    manifest = bench.take()
    armed(f"{point}=raise")
    with pytest.raises(failpoints.Planted):
        bench.remotes.copy(manifest)
    assert manifest.backup.name in bench.gs.objects
    assert (point == "copy.recorded") == (manifest.backup.manifest_name in bench.gs.objects)
    armed("")

    assert () == bench.remotes.catch_up()
    assert pair(manifest) == set(bench.gs.objects) == set(bench.nas.objects)


@pytest.mark.parametrize("point", ["fetch.downloaded", "fetch.published", "fetch.recorded"])
def test_a_fetch_that_was_killed_is_made_whole(
    bench: Bench, armed: Callable[[str], None], point: str
) -> None:
    """
    Half of what was fetched is no backup here; the next try makes it one.

    Faults: 120.
    """
    manifest = bench.take()
    bench.remotes.copy(manifest)
    bench.lose(manifest)
    armed(f"{point}=raise")
    with pytest.raises(failpoints.Planted):
        bench.remotes.fetch(manifest.backup.name)
    assert (point == "fetch.recorded") == bool(bench.vault.manifests())
    armed("")

    assert manifest == bench.remotes.fetch(manifest.backup.name)
    assert DUMP == b"".join(bench.here.read(manifest.backup.name))
    assert (manifest,) == bench.vault.manifests()


def test_a_deletion_that_was_killed_leaves_no_backup(
    bench: Bench, armed: Callable[[str], None]
) -> None:
    """What is left of it has no manifest: nobody takes it for a backup."""
    first, second = bench.take(), bench.take()
    bench.remotes.catch_up()
    armed("uncopy.manifest-gone=raise")
    with pytest.raises(failpoints.Planted):
        bench.remotes.delete(first.backup.name)
    armed("")

    name = first.backup.name
    assert {name, f"{name}.deleting.json"} | pair(second) == set(bench.gs.objects)
    assert () == bench.remotes.delete(name)
    assert (second,) == bench.remotes.beyond(())
    assert pair(second) == set(bench.gs.objects) == set(bench.nas.objects)
