"""Encrypted backups of a real server: they come back whole, and `age` alone opens them."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar import archive
from sidecar.backups import Format
from sidecar.errors import BackupFailed
from sidecar.facts import scratch_name
from sidecar.keys import Keys
from sidecar.vault import LocalVault

from . import oracle
from .bench import Bench, keys_in, run_id
from .servers import Server, fresh, quoted

Opened = Callable[..., Bench]

pytestmark = pytest.mark.parametrize("server", [17], indirect=True, ids=["pg17"])


@pytest.fixture
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Make a key, in a file."""
    return keys_in(tmp_path_factory.mktemp("keys"))


def _vault(bench: Bench, keys: Keys, written: Format) -> LocalVault:
    return replace(bench, keys=keys).vault(written)


@pytest.mark.parametrize("written", Format)
def test_comes_back_whole(
    server: Server, menagerie: str, opened: Opened, keys: Keys, written: Format
) -> None:
    """
    Taken without the private key, loaded with it: the same database, with the secret of its app.

    Faults: 57, 122, 134.
    """
    bench = opened(server, menagerie)
    server.run(f"ALTER DATABASE {quoted(menagerie)} SET app.jwt_secret = 'hush-hush'")
    look = bench.database.look(catalog=True)
    taken = _vault(bench, replace(keys, identity=None), written)
    manifest = taken.take(taken.next_backup(), "run", look, {})
    name = manifest.backup.name
    whole = (bench.store.folder / name).read_bytes()
    vault = _vault(bench, keys, written)

    _, chunks = vault.chunks(name)
    scratch = scratch_name(bench.name, run_id(), "load")
    bench.database.load(scratch, chunks, written, vault.properties(manifest))

    assert oracle.dump(server, menagerie) == oracle.dump(server, scratch)
    assert look.properties == bench.database.look_at(scratch).properties
    assert b"hush-hush" not in whole
    assert "hush-hush" not in manifest.to_json()
    if shutil.which("age"):
        assert _by_hand(server, bench.store.folder / name, keys, written) == oracle.dump(
            server, menagerie
        )


def _by_hand(server: Server, path: Path, keys: Keys, written: Format) -> list[str]:
    """Load it as one does who has the key, and no migsafe."""
    argv = ["age", "-d", "-i", str(keys.identity), str(path)]
    plain = subprocess.run(argv, check=True, capture_output=True).stdout
    name = fresh("by_hand")
    server.run(f"CREATE DATABASE {quoted(name)} TEMPLATE template0")
    if written is Format.SQL:
        server.program("psql", "-Xq", "--set=ON_ERROR_STOP=1", database=name, stdin=plain)
    else:
        data = b"".join(archive.decompress([plain]))
        server.program("pg_restore", "-e", f"--dbname={name}", database=name, stdin=data)
    return oracle.dump(server, name)


def test_a_dump_that_is_broken_off_leaves_nothing(
    server: Server, menagerie: str, opened: Opened, keys: Keys
) -> None:
    """
    A pg_dump that fails leaves no file that looks whole.

    Faults: 46, 51.
    """
    bench = opened(server, menagerie)
    vault = _vault(bench, keys, Format.ARCHIVE)
    read = bench.database.tools.read

    class _Fails:
        def read(self, argv: tuple[str, ...], database: str) -> object:
            return read((*argv, "--no-such-option"), database)

    look = bench.database.look(catalog=True)
    bench.database.tools = _Fails()  # type: ignore[assignment]  # as much of it as is used
    with pytest.raises(BackupFailed):
        vault.take(vault.next_backup(), "run", look, {})

    assert [] == list(bench.store.folder.iterdir())
