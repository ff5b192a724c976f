"""Names of backups, and the manifest that makes a file one."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import answers
from sidecar.backups import Backup, Encryption, Format, Kind, Manifest
from sidecar.errors import BackupDamaged
from sidecar.facts import kept_name, scratch_name

from .builders import NOON, manifest

TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)).map(
    lambda t: t.replace(microsecond=0, tzinfo=UTC)
)


@given(
    kind=st.sampled_from(Kind),
    taken_at=TIMES,
    written=st.sampled_from(Format),
    encrypted=st.booleans(),
)
def test_names_round_trip(
    *, kind: Kind, taken_at: datetime, written: Format, encrypted: bool
) -> None:
    """A name says everything about a backup that a name can."""
    backup = Backup(kind, taken_at, written, encrypted)

    assert backup == Backup.parse(backup.name)


@pytest.mark.parametrize(
    "name",
    [
        "../pre-migration-20260131-235958.sql",
        "pre-migration-20260131-235958.sql\n",
        "pre-migration-20261331-235958.sql",
        "pre-migration-20260131-235958.sql.partial",
        "Pre-Migration-20260131-235958.sql",
        "pre-migration-20260131-235958.sql.gz",
        "pre-migration-20260131-235958.age",
        "pre-migration-20260131-235958.age.sql",
        "pre-migration-20260131-235958.sql.age.age",
        "",
        "\0",
    ],
)
def test_other_names_are_not_ours(name: str) -> None:
    """Nothing but our own names is taken for a backup. Faults: 113, 116."""
    assert Backup.parse(name) is None


LIKE_NAMES = st.from_regex(
    r"(\.\./|-|\0)?(pre-migration|scheduled|manual|safety)-\d{8}-\d{6}(\.sql|\.dump\.zst)(\.age)*\n?",
    fullmatch=True,
)


@given(name=st.one_of(LIKE_NAMES, st.text(max_size=300)))
def test_a_name_is_ours_to_the_letter(name: str) -> None:
    """
    Whatever looks like one of our names, in whatever digits, is that very name or none.

    Faults: 113, 116.
    """
    found = Backup.parse(name)

    assert found is None or found.name == name


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("../../etc/passwd"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
FIELDS = [name for name in json.loads(manifest().to_json()) if name not in ("schema", "backup")]


@given(field=st.sampled_from(FIELDS), value=VALUES)
def test_a_manifest_with_anything_in_it_is_none_or_can_be_used(field: str, value: Any) -> None:
    """
    A manifest that was written by others is damaged, or of this backup and of the right types.

    Faults: 116, 136.
    """
    name = manifest().backup.name
    values = {**json.loads(manifest().to_json()), field: value}
    try:
        found = Manifest.from_json(json.dumps(values), name)
    except BackupDamaged:
        return

    assert name == found.backup.name
    assert [] != answers.backup_lines(answers.backups([found]), NOON)


SECRET = manifest(
    backup=replace(manifest().backup, encrypted=True),
    encryption=Encryption(("age1xyz", "ssh-rsa SHA256:abc"), "c2VhbGVk"),
)


@pytest.mark.parametrize("original", [manifest(), SECRET], ids=["clear", "encrypted"])
def test_a_manifest_round_trips(original: Manifest) -> None:
    """What was known is known again."""
    assert original == Manifest.from_json(original.to_json(), original.backup.name)


def test_the_file_of_a_manifest_is_the_very_one() -> None:
    """Of its size and of its content; what differs is told. Faults: 59."""
    original = manifest()
    name, size, checksum = original.backup.name, original.size, original.sha256

    assert "" == original.differs(size, checksum)
    expected = f"{name} has {size + 1} bytes, and its manifest says {size}"
    assert expected == original.differs(size + 1, checksum)
    assert f"the checksum of {name}" in original.differs(size, checksum[::-1] + "0")


def test_a_name_and_its_manifest_agree_about_encryption() -> None:
    """What says that it is encrypted and is not, or the other way round, is damaged."""
    for each in (
        replace(SECRET, encryption=None),
        replace(manifest(), encryption=Encryption(())),
    ):
        with pytest.raises(BackupDamaged, match="encrypted"):
            Manifest.from_json(each.to_json(), each.backup.name)


def test_a_manifest_in_clear_is_as_it_was() -> None:
    """Versions before encryption wrote the same, so that checksums in journals still hold."""
    assert "encryption" not in manifest().to_json()


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


@pytest.mark.parametrize("field", list(json.loads(manifest().to_json())))
def test_a_manifest_that_lacks_something_is_damaged(field: str) -> None:
    """A manifest is whole or none."""
    values = _without(json.loads(manifest().to_json()), field)

    with pytest.raises(BackupDamaged):
        Manifest.from_json(json.dumps(values), manifest().backup.name)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"x"', "{}", '{"schema": 2}', "[" * 100_000]
)
def test_what_is_not_a_manifest_is_damaged(text: str) -> None:
    """Torn and foreign JSON is told as damage, not as a bug. Faults: 11."""
    with pytest.raises(BackupDamaged):
        Manifest.from_json(text, manifest().backup.name)


def test_a_manifest_of_another_backup_is_damaged() -> None:
    """A manifest holds for the file that it was found beside. Faults: 136."""
    with pytest.raises(BackupDamaged, match="it belongs to pre-migration-20260131-120000"):
        Manifest.from_json(manifest().to_json(), "pre-migration-20260131-120001.sql")


@given(database=st.text(min_size=1).filter(lambda name: "\0" not in name))
def test_names_of_databases_fit(database: str) -> None:
    """Our names fit PostgreSQL's 63 bytes, whole characters, and are told apart. Faults: 33."""
    database = database.encode(errors="ignore")[:63].decode(errors="ignore") or "x"
    run = "20260131-120000-3fa2"
    names = {
        scratch_name(database, run),
        scratch_name(database, run, "load"),
        kept_name(database, run),
        database,
    }

    assert len(names) == 4
    assert all(len(name.encode()) <= 63 for name in names)
