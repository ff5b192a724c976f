"""Real backups, damaged in every way: refused before anything is renamed or loaded."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from sidecar.backups import Format
from sidecar.errors import RollbackFailed
from sidecar.keys import Keys
from sidecar.plan import Phase, fold
from sidecar.ports import World
from sidecar.rollback import Rollback
from tests.corruption import Damage

from . import matrix
from .bench import CLOCK, Bench, Going, keys_in, run_id
from .matrix import Matrix, Seen
from .servers import Server

Opened = Callable[..., Bench]

pytestmark = pytest.mark.parametrize("server", [17], indirect=True, ids=["pg17"])


@pytest.fixture(params=[False, True], ids=["clear", "encrypted"])
def keys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Encrypt, or not."""
    return keys_in(tmp_path_factory.mktemp("keys")) if request.param else Keys()


@pytest.mark.parametrize("written", Format)
def test_every_damage_is_refused(
    server: Server, opened: Opened, keys: Keys, written: Format
) -> None:
    """
    What psql, pg_restore and age take without a word, and all else, is refused by code and name.

    Faults: 48, 59, 91, 113, 116, 117, 120, 122.
    """
    bench = replace(opened(server, server.create("corrupted")), keys=keys)

    found = matrix.run(bench, written, few=6, tried=2)

    print("", *matrix.table(found, written, encrypted=keys.encrypts), sep="\n")
    assert {Seen.REFUSED} == {seen for kind in found.values() for seen in kind.migsafe}
    assert any(kind.loaded[Seen.WRONG] for kind in found.values())


def test_nothing_is_touched(server: Server, opened: Opened, keys: Keys) -> None:
    """
    A rollback that has no backup it may trust renames nothing, loads nothing, and closes the door.

    Faults: 59, 91, 94, 101, 136.
    """
    bench = replace(opened(server, server.create("untouched")), keys=keys)
    made = Matrix.of(bench, Format.SQL)
    run = _failed(bench, made)
    before = _databases(server)

    for damage in _one_of_each(made):
        damage.pair.lay(bench.store.folder)
        with pytest.raises(RollbackFailed, match=damage.pair.name.split("-")[2]):
            _roll_back(bench, run)

        closed = {bench.name: (before[bench.name][0], False)}
        assert before | closed == _databases(server), damage.title
        server.run(f'ALTER DATABASE "{bench.name}" ALLOW_CONNECTIONS true')
    phases = {entry.phase for entry in bench.control.entries()}
    assert not phases & {Phase.LOADING, Phase.SWAPPED, Phase.ROLLED_BACK}


def _one_of_each(made: Matrix) -> list[Damage]:
    found: dict[str, Damage] = {}
    for damage in made.damages(3):
        found.setdefault(damage.kind, damage)
    return list(found.values())


def _failed(bench: Bench, made: Matrix) -> str:
    """Write what the journal of a run says whose migration has failed, without a restore point."""
    run, look = run_id(), bench.database.look(catalog=True)
    manifest = next(m for m in bench.vault().manifests() if m.backup.name == made.whole.name)
    append = bench.control.append
    append(run, Phase.STARTED, command=["migrate"])
    append(run, Phase.BACKING_UP, backup=manifest.backup.name, look=asdict(look))
    facts: dict[str, Any] = {"contents": asdict(manifest.contents), "checksum": manifest.checksum}
    append(run, Phase.BACKED_UP, **facts)
    append(run, Phase.MIGRATING)
    append(run, Phase.FAILED, code=20, reason="it failed", tail=[])
    return run


def _roll_back(bench: Bench, run_id: str) -> None:
    world: Any = World(
        bench.control,
        bench.database,
        None,  # type: ignore[arg-type]  # a rollback asks no engine
        bench.vault(),
        CLOCK,
        bench.told,
        Going(),
    )
    run = next(run for run in fold(bench.control.entries()) if run.id == run_id)
    Rollback(world).finish(run, unchanged=False)


def _databases(server: Server) -> dict[str, tuple[int, bool]]:
    rows = server.rows("SELECT datname, oid::bigint, datallowconn FROM pg_database")
    return {name: (oid, allowed) for name, oid, allowed in rows}
