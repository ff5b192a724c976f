"""What is encrypted comes back, whole or not at all; and `age` alone opens it."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import age
from sidecar.backups import key_id
from sidecar.errors import BackupDamaged, BackupFailed, KeyMissing
from sidecar.keys import Keys

from .builders import manifest

MINE, KEY = age.passing()
OTHER, OTHER_KEY = age.passing()
CHUNK = age.CHUNK
EDGES = [n * CHUNK + off for n in (0, 1, 2) for off in (-1, 0, 1) if n * CHUNK + off >= 0]


def sealed(*chunks: bytes) -> bytes:
    """Encrypt to the test's own key."""
    return b"".join(age.encrypt(iter(chunks), [MINE]))


def opened(data: bytes, *keys: age.Identity) -> bytes:
    """Decrypt."""
    return b"".join(age.decrypt(iter([data]), keys or (KEY,), "x.sql.age"))


def of(size: int) -> bytes:
    """Make bytes in which no place is like another."""
    return b"".join(b"%08d" % n for n in range(size // 8 + 1))[:size]


@pytest.mark.parametrize("size", EDGES)
def test_comes_back(size: int) -> None:
    """Whatever lies around the end of one of age's chunks."""
    assert of(size) == opened(sealed(of(size)))


@given(
    sizes=st.lists(st.integers(0, 3 * CHUNK), max_size=5),
    cuts=st.lists(st.integers(1, 100_000), min_size=1, max_size=5),
)
@settings(max_examples=30, deadline=None)
def test_comes_back_in_any_pieces(sizes: list[int], cuts: list[int]) -> None:
    """Chunks of any size, empty ones too, on the way in and on the way out."""
    data = sealed(*map(of, sizes))
    pieces, rest = [], data
    while rest:
        for cut in cuts:
            pieces.append(rest[:cut])
            rest = rest[cut:]

    found = age.decrypt((piece for piece in pieces if piece), [KEY], "x")

    assert b"".join(map(of, sizes)) == b"".join(found)


def test_every_cut_is_seen() -> None:
    """Cut anywhere, at the ends of age's chunks too, it is damaged. Faults: 48, 59."""
    data = sealed(of(3 * CHUNK))
    start = data.index(b"\n", data.index(b"\n--- ") + 1) + 1
    ends = [start + age.NONCE + n * (CHUNK + age.TAG) for n in range(4)]
    assert ends[-1] == len(data)
    places = {
        *range(0, len(data), 4999),
        *ends[:-1],
        *(end + 1 for end in ends[:-1]),
        len(data) - 1,
    }

    for place in sorted(places):
        with pytest.raises(BackupDamaged, match=r"x\.sql\.age"):
            opened(data[:place])


def test_every_flipped_bit_is_seen() -> None:
    """In the header, in the middle, at the end: damaged, or as if for somebody else. Faults: 59."""
    data = sealed(of(2 * CHUNK + 5))
    for place in {*range(0, 400, 7), *range(0, len(data), 3001), len(data) - 1}:
        flipped = bytearray(data)
        flipped[place] ^= 1
        with pytest.raises((BackupDamaged, KeyMissing)):
            opened(bytes(flipped))
    with pytest.raises(BackupDamaged):
        opened(data + b"x")


def test_a_source_that_fails_leaves_no_whole_file() -> None:
    """What was written until then can't be taken for all of it. Faults: 46, 51."""

    def source() -> Iterator[bytes]:
        yield of(CHUNK)
        yield of(CHUNK)
        raise BackupFailed("pg_dump exited with 1")

    written: list[bytes] = []
    stream = age.encrypt(source(), [MINE])
    with pytest.raises(BackupFailed, match="exited with 1"):
        written.extend(stream)

    with pytest.raises(BackupDamaged):
        opened(b"".join(written))


def test_who_stops_in_the_middle_leaves_no_thread() -> None:
    """A stream that nobody reads to its end ends all the same."""
    before = threading.active_count()
    stream = age.encrypt(iter([of(CHUNK)] * 9), [MINE])
    next(stream)
    assert before + 1 == threading.active_count()
    stream.close()  # type: ignore[attr-defined]  # it is a generator

    assert before == threading.active_count()


def test_the_source_is_read_where_it_was_made() -> None:
    """A database's session is not shared between threads."""

    def source() -> Iterator[bytes]:
        seen.add(threading.current_thread())
        yield b"x"

    seen: set[threading.Thread] = set()
    list(age.encrypt(source(), [MINE]))

    assert {threading.current_thread()} == seen


def test_memory_stays_the_same() -> None:
    """What was read is passed on before more is asked for."""
    given = 0

    def source() -> Iterator[bytes]:
        nonlocal given
        for _ in range(200):
            given += 1 << 20
            yield bytes(1 << 20)

    most = got = 0
    for chunk in age.decrypt(age.encrypt(source(), [MINE]), [KEY], "x"):
        got += len(chunk)
        most = max(most, given - got)

    assert 200 << 20 == got
    assert most < 4 << 20


def test_a_library_that_loses_the_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The length of what was encrypted is reckoned, and held to."""
    whole = age._Writer.taken

    def forgetful(writer: age._Writer) -> bytes:
        return whole(writer)[:-1]

    monkeypatch.setattr(age._Writer, "taken", forgetful)
    with pytest.raises(BackupFailed, match="not all there"):
        sealed(of(CHUNK))


def test_another_key() -> None:
    """A key that does not fit is no damage. Faults: 122."""
    with pytest.raises(KeyMissing):
        opened(sealed(b"x"), OTHER_KEY)
    assert age.opens(sealed(of(CHUNK * 2))[:CHUNK], [OTHER_KEY, KEY])
    assert not age.opens(sealed(of(CHUNK * 2))[:CHUNK], [OTHER_KEY])


# --- keys


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Make keys of SSH, with and without a passphrase."""
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is not on this machine")
    for name, kind, phrase in (
        ("ed", "ed25519", ""),
        ("locked", "ed25519", "hush"),
        ("ec", "ecdsa", ""),
    ):
        argv = ["ssh-keygen", "-q", "-t", kind, "-N", phrase, "-C", "my laptop", "-f", name]
        subprocess.run(argv, cwd=tmp_path, check=True)
    return tmp_path


def _file(folder: Path, key: object) -> Path:
    path = folder / "key.txt"
    path.write_text(f"# created: today\n# public key: age1\n{key}\n")
    return path


def test_keys_of_ssh(made: Path) -> None:
    """Public keys as they stand in their files; the id is the one that ssh-keygen shows."""
    public = (made / "ed.pub").read_text()
    keys = Keys((public.strip(),), made / "ed")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", "ed.pub"], cwd=made, check=True, capture_output=True, text=True
    )

    assert () == keys.complaints()
    assert f"ssh-ed25519 {shown.stdout.split()[1]}" == key_id(public)
    assert b"x" == b"".join(keys.decrypt(keys.encrypt(iter([b"x"])), manifest()))


def test_who_can_read_it_is_asked_at_once(made: Path, tmp_path: Path) -> None:
    """Every complaint at once, each in words, no key in them. Faults: 122."""
    typed = "age1qqq"
    found = Keys((typed, "ssh-rsa AAAA", str(MINE)), made / "locked").complaints()
    assert 3 == len(found)
    assert "'age1qqq' is no public key" in found[0]
    assert "ssh-rsa AAAA" in found[1]
    assert "protected by a passphrase" in found[2]

    def of_identity(path: Path) -> str:
        return "; ".join(Keys((str(MINE),), path).complaints())

    assert "can't be read: No such file" in of_identity(tmp_path / "none")
    assert "is no private key that age can use" in of_identity(made / "ec")
    assert "no private key that age can use" not in of_identity(made / "ed.pub")
    assert "is no identity file" in of_identity(made / "ed.pub")
    (tmp_path / "empty").write_text("# nothing\n")
    assert "holds no key" in of_identity(tmp_path / "empty")
    (tmp_path / "by-age").write_bytes(b"age-encryption.org/v1\n-> scrypt")
    assert "protected by a passphrase" in of_identity(tmp_path / "by-age")
    assert "the key of somebody else" in of_identity(_file(tmp_path, OTHER_KEY))
    assert "" == of_identity(_file(tmp_path, KEY))
    assert "" == of_identity(_file(tmp_path, f"{OTHER_KEY}\n{KEY}"))
    assert () == Keys((str(MINE),), None).complaints()


def test_not_a_word_of_a_private_key(tmp_path: Path) -> None:
    """A key that can't be read is not shown. Faults: 85."""
    secret = "AGE-SECRET-KEY-1CANARY"
    assert "CANARY" not in str(Keys((str(MINE),), _file(tmp_path, secret)).complaints())


# --- without migsafe


@pytest.mark.skipif(not shutil.which("age"), reason="`scripts/machine age` installs age")
@pytest.mark.parametrize("size", [0, 5, CHUNK, 2 * CHUNK + 1])
def test_age_alone_opens_it(tmp_path: Path, size: int) -> None:
    """The format's own program reads what we write, and we what it writes. Faults: 122."""
    key = _file(tmp_path, KEY)
    (tmp_path / "x.age").write_bytes(sealed(of(size)))
    argv = ["age", "-d", "-i", str(key), str(tmp_path / "x.age")]
    assert of(size) == subprocess.run(argv, check=True, capture_output=True).stdout

    argv = ["age", "-r", str(MINE), "-r", str(OTHER)]
    theirs = subprocess.run(argv, input=of(size), check=True, capture_output=True).stdout
    assert of(size) == opened(theirs)
