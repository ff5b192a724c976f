"""Whatever happened to a backup is found before anything is loaded, and named."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sidecar.backups import Format
from sidecar.errors import MigsafeError
from sidecar.keys import Keys
from tests.corruption import Damage, Pair, damages

from .builders import NOON, look
from .test_vault import DUMP, Source, World, vault

FEW = 12


SHAPES = [
    pytest.param(written, keys, id=f"{written}{'' if keys is None else '-encrypted'}")
    for written in Format
    for keys in (None, Keys.passing())
]


def _pairs(folder: Path, written: Format, keys: Keys | None) -> tuple[Pair, Pair]:
    """Take two backups of two states."""
    names = []
    lines = b"".join(b"INSERT INTO t VALUES (%d);\n" % (n * n * 7919 % 999983) for n in range(9999))
    for minutes, dump in ((0, DUMP), (5, lines + DUMP)):
        world = World()
        world.time = NOON + timedelta(minutes=minutes)
        found = vault(folder, Source(dump), world, written, keys)
        names.append(found.take(found.next_backup(), f"run {minutes}", look(), {}).backup.name)
    other, whole = (Pair.read(folder, name) for name in names)
    return whole, other


@pytest.mark.parametrize(("written", "keys"), SHAPES)
def test_every_damage_is_found(tmp_path: Path, written: Format, keys: Keys | None) -> None:
    """
    Cut, flipped, zeroed, longer, swapped, edited, missing: refused with 14 or 15, and its name.

    Faults: 59, 91, 113, 116, 117.
    """
    folder = tmp_path / "backups"
    folder.mkdir()
    whole, other = _pairs(folder, written, keys)
    counts: Counter[str] = Counter()
    for damage in damages(whole, other, FEW):
        damage.pair.lay(folder)
        _is_refused(folder, damage, keys)
        counts[damage.kind] += 1
    whole.lay(folder)

    manifest, chunks = vault(folder, Source(), World(), keys=keys).chunks(whole.name)
    plain = len(b"".join(chunks))
    assert manifest.size == plain or (written, keys) != (Format.SQL, None)
    assert {"cut", "flipped", "zeroed", "longer", "edited manifest", "a link"} < set(counts)
    print(f"{written} {keys}: {counts.total()} damages, all found: {dict(counts)}")


def _is_refused(folder: Path, damage: Damage, keys: Keys | None) -> None:
    found = vault(folder, Source(), World(), keys=keys)
    with pytest.raises(MigsafeError) as caught:
        found.chunks(damage.pair.name)
    assert damage.code == caught.value.exit_code, damage.title
    assert damage.pair.name in caught.value.message, damage.title
    # what is no manifest of a whole backup is not listed; what is wrong with a file is found later
    listed = {manifest.backup.name for manifest in found.manifests()}
    if "manifest" in damage.kind or damage.kind in {"missing", "a link", "older pair"}:
        assert damage.pair.name not in listed, damage.title


@pytest.mark.parametrize(("written", "keys"), SHAPES)
def test_what_changes_while_it_is_loaded_is_found(
    tmp_path: Path, written: Format, keys: Keys | None
) -> None:
    """
    A file that was whole when it was checked, and is another when it is loaded, ends in an error.

    Faults: 59, 91.
    """
    whole, other = _pairs(tmp_path, written, keys)
    _, chunks = vault(tmp_path, Source(), World(), keys=keys).chunks(whole.name)
    assert whole.file is not None
    flipped = bytes([whole.file[-9] ^ 1])
    replace(whole, file=whole.file[:-9] + flipped + whole.file[-8:]).lay(tmp_path)

    with pytest.raises(MigsafeError) as caught:
        list(chunks)
    assert 14 == caught.value.exit_code
    assert other.name != whole.name
