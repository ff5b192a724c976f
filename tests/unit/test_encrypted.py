"""Backups that are encrypted: everything as with others where the key is; where not, no harm."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sidecar import age, answers, archive, pick
from sidecar.backups import Backup, Format, Manifest
from sidecar.errors import BackupDamaged, BackupFailed, KeyMissing
from sidecar.keys import Keys
from sidecar.plan import Phase
from sidecar.policy import Policy, RestorePoint
from sidecar.restore import Restore, Wanted
from sidecar.shell import Shell
from sidecar.verify import Verification
from tests.fakes import FakeJournal, FakeWorld, Power, machine
from tests.fakes_data import AFTER, BEFORE
from tests.fakes_engine import Release
from tests.fakes_machine import LIVE, Machine
from tests.scenarios import PROGRAMS, broken, run_guard, runs, state

from .builders import NOON, look
from .test_advice import PLACE
from .test_vault import DUMP, Source, World, take, vault

GOOD = Release("v2", PROGRAMS["good"])
BAD = Release("v3-bad", PROGRAMS["fails after a commit"])
LOAD = replace(Policy(), restore_point=RestorePoint.NEVER)
HUSH = (("", "app.jwt_secret", "hush-hush"), ("", "search_path", "shop"))


@dataclass(frozen=True)
class Ring:
    """Settings of one who has the key, one who has not, and one who has another."""

    here: Keys
    elsewhere: Keys
    wrong: Keys


@pytest.fixture
def ring(tmp_path_factory: pytest.TempPathFactory) -> Ring:
    """Make two keys."""
    folder = tmp_path_factory.mktemp("keys")
    paths = []
    for name in ("mine", "other"):
        public, private = map(str, age.passing())
        (folder / name).write_text(f"# a key\n{private}\n")
        paths.append((str(public), folder / name))
    (public, mine), (_, other) = paths
    return Ring(Keys((public,), mine), Keys((public,)), Keys((public,), other))


# --- the file


@pytest.mark.parametrize("written", Format)
def test_a_backup_comes_back(tmp_path: Path, ring: Ring, written: Format) -> None:
    """Its name says that it is encrypted, and the line of the contract stays. Faults: 122."""
    world = World()
    found = vault(tmp_path, Source(DUMP), world, written, ring.here)
    manifest = take(found)
    name = manifest.backup.name

    assert name.endswith(f"{written.suffix}.age")
    assert f"✓ Pre-migration backup created: {name}" == world.said[-1]
    assert manifest.backup == Backup.parse(name)
    assert (manifest,) == found.manifests()
    assert DUMP == b"".join(found.chunks(name)[1])
    assert b"users" not in (tmp_path / name).read_bytes()


@pytest.mark.skipif(not shutil.which("age"), reason="`scripts/machine age` installs age")
def test_age_alone_opens_a_backup(tmp_path: Path, ring: Ring) -> None:
    """Whoever has the key needs no migsafe: `age -d -i key file`. Faults: 122."""
    for written in Format:
        name = take(vault(tmp_path, Source(DUMP), World(), written, ring.elsewhere)).backup.name
        argv = ["age", "-d", "-i", str(ring.here.identity), str(tmp_path / name)]
        plain = subprocess.run(argv, check=True, capture_output=True).stdout
        if written is Format.ARCHIVE:
            plain = b"".join(archive.decompress([plain]))
        assert DUMP == plain
        (tmp_path / name).unlink()


def test_the_manifest_gives_nothing_away(tmp_path: Path, ring: Ring) -> None:
    """An app's secrets are sealed in it; to whom, and the file's checksum, are in clear."""
    found = vault(tmp_path, Source(DUMP), World(), keys=ring.elsewhere)
    properties = replace(look().properties, settings=HUSH)
    manifest = found.take(found.next_backup(), "r", look(properties=properties), {})
    text = (tmp_path / manifest.backup.manifest_name).read_text()

    assert ("hush-hush" in text, ring.here.encrypt_to[0] in text) == (False, True)
    assert '"shop"' in text
    with pytest.raises(KeyMissing, match=ring.here.encrypt_to[0]):
        found.properties(manifest)
    opened = vault(tmp_path, Source(), World(), keys=ring.here).properties(manifest)
    assert properties == opened
    lines = pick.describe(manifest, None, NOON)
    assert f"encrypted   to {ring.here.encrypt_to[0]}" in lines
    answer = answers.backups([manifest])
    assert list(ring.here.encrypt_to) == answer["backups"][0]["encrypted_to"]
    assert answers.backup_lines(answer, NOON)[0].endswith("encrypted")


@pytest.mark.parametrize("written", Format)
@pytest.mark.parametrize("source", [Source(), Source(DUMP, error=BackupFailed("it failed"))])
def test_what_is_not_whole_is_no_backup(
    tmp_path: Path, ring: Ring, written: Format, source: Source
) -> None:
    """Without the key, too, empty and failed dumps leave nothing. Faults: 46, 48, 51."""
    with pytest.raises(BackupFailed):
        take(vault(tmp_path, source, World(), written, ring.elsewhere))

    assert [] == list(tmp_path.iterdir())


def test_a_dump_without_its_end_is_no_backup(tmp_path: Path, ring: Ring) -> None:
    """It is seen on its way into the file, which nobody here could read again. Faults: 48."""
    with pytest.raises(BackupFailed, match="cut off"):
        take(vault(tmp_path, Source(DUMP[:-60]), World(), keys=ring.elsewhere))

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("lost", [slice(0, -1), slice(1, None), slice(0, 0)])
def test_a_file_that_is_not_what_was_written_is_no_backup(
    tmp_path: Path, ring: Ring, lost: slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read back, and held to what was written. Faults: 59."""
    found = vault(tmp_path, Source(DUMP), World(), keys=ring.elsewhere)
    write = found.store.write

    def badly(name: str, chunks: object) -> object:
        done = write(name, chunks)  # type: ignore[arg-type]  # passed on
        path = tmp_path / f"{name}.partial"
        path.write_bytes(path.read_bytes()[lost])
        return done

    monkeypatch.setattr(found.store, "write", badly)
    with pytest.raises(BackupDamaged):
        take(found)

    assert [] == list(tmp_path.iterdir())


def test_an_archive_that_is_none_is_no_backup(
    tmp_path: Path, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compressed is decompressed before it is encrypted. Faults: 48."""
    whole = archive.compress
    monkeypatch.setattr(archive, "compress", lambda chunks: list(whole(chunks))[:-1])
    with pytest.raises(BackupFailed, match="cut off"):
        take(vault(tmp_path, Source(DUMP), World(), Format.ARCHIVE, ring.elsewhere))


def test_a_recipient_that_is_none(tmp_path: Path) -> None:
    """Where nobody has asked before, the backup fails, and says why."""
    found = vault(tmp_path, Source(DUMP), World(), keys=Keys(("age1qqq",)))
    assert "MIGSAFE_ENCRYPT_TO: 'age1qqq' is no public key" in found.complaints(1)[0]
    with pytest.raises(BackupFailed, match="age1qqq"):
        take(found)
    assert [] == list(tmp_path.iterdir())


def test_without_the_key_nothing_is_given(tmp_path: Path, ring: Ring) -> None:
    """No key, and another key, are told apart from damage; the hint says what to mount."""
    name = take(vault(tmp_path, Source(DUMP), World(), keys=ring.here)).backup.name
    for keys, words in ((ring.elsewhere, "no key is here"), (ring.wrong, "is another key")):
        found = vault(tmp_path, Source(), World(), keys=keys)
        for ask in (found.chunks, found.require_key):
            with pytest.raises(KeyMissing, match=words) as told:
                ask(name)
            assert (19, True) == (told.value.status, "MIGSAFE_IDENTITY_FILE" in told.value.hint)
        assert name == found.check(name).backup.name
    whole = (tmp_path / name).read_bytes()
    for place in range(whole.index(b"\n---")):
        header = bytearray(whole)
        header[place] ^= 1
        (tmp_path / name).write_bytes(bytes(header))
        with pytest.raises(BackupDamaged):
            vault(tmp_path, Source(), World(), keys=ring.here).require_key(name)


def test_a_key_that_is_not_needed_is_not_looked_for(tmp_path: Path, ring: Ring) -> None:
    """Backups in clear are read without a key, also when others are encrypted from now on."""
    name = take(vault(tmp_path, Source(DUMP), World())).backup.name
    found = vault(tmp_path, Source(DUMP), World(), keys=ring.elsewhere)
    assert DUMP == b"".join(found.chunks(name)[1])
    newer = take(found).backup
    assert (newer.encrypted, newer.taken_at > NOON) == (True, True)


def test_keys_that_go_with_the_process(tmp_path: Path) -> None:
    """What a rehearsal writes is read by itself, and by nobody after it."""
    keys = Keys.passing()
    found = vault(tmp_path, Source(DUMP), World(), keys=keys)
    name = take(found).backup.name
    assert DUMP == b"".join(found.chunks(name)[1])
    assert ((), None) == (keys.complaints(), keys.unreadable())
    with pytest.raises(KeyMissing):
        vault(tmp_path, Source(), World(), keys=Keys.passing()).require_key(name)


def test_what_was_left_is_cleared(tmp_path: Path, ring: Ring) -> None:
    """Half-written files go, and deletions leave nothing, as with others. Faults: 111."""
    found = vault(tmp_path, Source(DUMP), World(), keys=ring.here)
    torn = found.next_backup()
    (tmp_path / f"{torn.name}.partial").write_bytes(b"age-encryption.org/v1")
    (tmp_path / torn.name).write_bytes(b"age-encryption.org/v1")
    found.discard(torn.name)
    assert [] == list(tmp_path.iterdir())
    found.delete(take(found).backup.name)
    assert [] == list(tmp_path.iterdir())


# --- the guard


def _machine(keys: Keys, *strangers: str) -> Machine:
    """Make a machine whose own checks can read what is encrypted."""
    made = machine(strangers=strangers)
    assert keys.identity is not None
    made.key = keys.identity.read_text()
    return made


@pytest.mark.parametrize("point", [RestorePoint.AUTO, RestorePoint.NEVER])
def test_a_rollback_decrypts(ring: Ring, point: RestorePoint) -> None:
    """With the key here a failed migration is undone from the backup, its settings too."""
    here = _machine(ring.here)
    live = here.databases[LIVE]
    live.properties = replace(live.properties, settings=HUSH)

    end = run_guard(here, BAD, replace(LOAD, restore_point=point), keys=ring.here)

    assert (20, BEFORE) == (end.code, state(here))
    assert HUSH == here.databases[LIVE].properties.settings
    assert not any(b"hush-hush" in data for data in here.files.values())
    loaded = "database: scratch loaded" in end.world.power.effects
    assert loaded == (point is RestorePoint.NEVER)


def test_without_the_key_the_restore_point_is_the_way_back(ring: Ring) -> None:
    """It is said so before the migration, and a failed one is undone by it. Faults: 122."""
    here = _machine(ring.here)

    end = run_guard(here, BAD, Policy(), keys=ring.elsewhere)

    assert (20, BEFORE, []) == (end.code, state(here), broken(here, end))
    assert "the restore point is the only way back" in end.world.tell.text


@pytest.mark.parametrize(
    ("policy", "strangers"),
    [(LOAD, ()), (Policy(), ("psql",))],
    ids=["never", "strangers"],
)
def test_without_any_way_back_nothing_is_migrated(
    ring: Ring, policy: Policy, strangers: tuple[str, ...]
) -> None:
    """No key, and no restore point: refused with 18, and nothing was changed. Faults: 122."""
    here = _machine(ring.here, *strangers)

    end = run_guard(here, GOOD, policy, keys=ring.elsewhere)

    assert (18, BEFORE, []) == (end.code, state(here), broken(here, end))


def test_a_key_that_does_not_fit_is_found_before_the_migration(ring: Ring) -> None:
    """The key is tried at every start that has something to do. Faults: 122."""
    here = _machine(ring.here)
    end = run_guard(here, GOOD, Policy(), keys=ring.wrong)
    assert (18, BEFORE, []) == (end.code, state(here), broken(here, end))


def test_a_key_that_was_taken_away_is_asked_for(ring: Ring) -> None:
    """The database stays closed until it is back; then `retry` finishes the rollback."""
    here = _machine(ring.here)
    killed = _killed_before_the_rollback(here, ring.here)
    closed = run_guard(here, BAD, LOAD, keys=ring.elsewhere)
    assert (30, False) == (closed.code, here.databases[LIVE].properties.allow_connections)
    assert "no key is here" in str(runs(here)[-1].detail["why_stranded"])
    FakeJournal(here, Power(here)).append(killed, Phase.RETRY)
    end = run_guard(here, BAD, LOAD, keys=ring.here)
    assert (20, BEFORE, []) == (end.code, state(here), broken(here, end))


def _killed_before_the_rollback(here: Machine, keys: Keys) -> str:
    def kill(number: int, name: str) -> None:
        if name == "journal: failed":
            power.kill_at = number + 1

    power = Power(here, watch=kill)
    assert run_guard(here, BAD, LOAD, power, keys=keys).code is None
    here.lock = None
    return runs(here)[-1].id


# --- by hand


def _migrated(keys: Keys) -> tuple[Machine, Manifest]:
    here = _machine(keys)
    run_guard(here, GOOD, Policy(), keys=keys)
    here.pass_time(60)
    return here, FakeWorld(here, GOOD, Policy(), keys=keys).vault.manifests()[-1]


def test_a_restore_without_the_key_touches_nothing(ring: Ring) -> None:
    """It is refused before anybody is stopped; with the key it is done. Faults: 122."""
    here, manifest = _migrated(ring.here)
    for keys in (ring.elsewhere, ring.wrong):
        world = FakeWorld(here, GOOD, Policy(), keys=keys)
        with pytest.raises(KeyMissing):
            Restore(world.world, Policy(), "r1", "r2").run(Wanted(manifest, migrate=False))
        assert AFTER == state(here)
        assert not [effect for effect in world.power.effects if "stop" in effect]
    world = FakeWorld(here, GOOD, Policy(), keys=ring.here)
    Restore(world.world, Policy(), "r3", "r4").run(Wanted(manifest, migrate=False))
    assert BEFORE == state(here)


@pytest.mark.parametrize("quick", [True, False])
def test_verify_without_the_key_is_not_green(ring: Ring, quick: bool) -> None:
    """The checksum is looked at; what it can't tell is told, and nothing is noted. Faults: 115."""
    here, manifest = _migrated(ring.here)

    def verify(keys: Keys) -> Callable[[Manifest], object]:
        world = FakeWorld(here, GOOD, Policy(), keys=keys)
        found = Verification(world.world, Policy(), f"v{len(here.journal)}")
        return found.read if quick else found.restore

    vault = FakeWorld(here, GOOD, Policy(), keys=ring.here).vault
    for keys in (ring.elsewhere, ring.wrong):
        with pytest.raises(KeyMissing, match="the file is as it was written"):
            verify(keys)(manifest)
    assert vault.proof(manifest.backup) is None
    verify(ring.here)(manifest)
    proof = vault.proof(manifest.backup)
    assert proof
    assert proof.good
    here.files[manifest.backup.name] += b"x"
    for keys in (ring.elsewhere, ring.here):
        verify(keys)(manifest)
        proof = vault.proof(manifest.backup)
        assert proof
        assert not proof.good


def test_what_is_typed_without_migsafe_decrypts() -> None:
    """The card's commands for an encrypted backup have `age` in them."""
    for ending, pipe in ((".sql.age", "age -d -i key.txt | docker"), (".dump.zst.age", "| zstd")):
        backup = Backup.parse(f"pre-migration-20260131-120000{ending}")
        assert backup is not None
        (line,) = Shell(PLACE, "app", "shop", "shop", "shop").load(backup, "x")
        assert " | age -d -i key.txt | " in line
        assert pipe in line
