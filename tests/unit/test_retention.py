"""How long backups and kept databases stay."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sidecar import retention
from sidecar.backups import Format, Kind, Manifest
from sidecar.plan import Phase, Run

from .builders import NOON, manifest

WEEK = timedelta(days=7)
MANIFEST = manifest()


@given(
    ages=st.lists(st.integers(-30, 400), unique=True),
    kinds=st.lists(st.sampled_from(Kind), min_size=20),
    pinned=st.integers(0, 5),
    later=st.integers(-400, 400),
)
def test_the_newest_and_the_pinned_always_stay(
    ages: list[int], kinds: list[Kind], pinned: int, later: int
) -> None:
    """Whatever the clock says, the newest stays, what is pinned stays. Faults: 109, 110."""
    found = [
        replace(MANIFEST, backup=replace(MANIFEST.backup, kind=kind, taken_at=NOON - timedelta(a)))
        for a, kind in zip(ages, kinds, strict=False)
    ]
    mine = [m for m in found if m.backup.kind is Kind.PRE_MIGRATION]
    names = {m.backup.name: "needed" for m in mine[:pinned]}
    gone = going(found, NOON + timedelta(days=later), names)

    assert all(m in mine for m in gone)
    assert not set(names) & {m.backup.name for m in gone}
    if mine:
        assert max(mine, key=lambda m: m.backup.taken_at) not in gone


def test_what_is_old_goes() -> None:
    """A pre-migration backup goes when it is older than it is to be kept."""
    times = [NOON, NOON - timedelta(days=6), NOON - timedelta(days=8)]
    found = [
        replace(MANIFEST, backup=replace(MANIFEST.backup, taken_at=t, format=Format.SQL))
        for t in times
    ]

    assert [found[2]] == going(found, NOON, {})
    judged = retention.judge(found, WEEK, NOON, {})
    assert ["the newest", "goes in 1 d", "older than 7 d"] == [
        " ".join(each.reason.split()[: 2 if n == 0 else 4]) for n, each in enumerate(judged)
    ]


def test_the_newest_good_one_stays() -> None:
    """
    Newer backups that are known to be damaged do not count, and stay as well: nothing else may.

    Faults: 109.
    """
    times = [NOON - timedelta(days=days) for days in (8, 9, 10)]
    found = [replace(MANIFEST, backup=replace(MANIFEST.backup, taken_at=t)) for t in times]

    assert [found[2]] == going(found, NOON, {}, {found[0].backup.name})


def test_what_has_a_note_stays() -> None:
    """Somebody has had a reason."""
    times = [NOON, NOON - timedelta(days=80)]
    found = [
        replace(MANIFEST, note="gold", backup=replace(MANIFEST.backup, taken_at=t)) for t in times
    ]

    assert [] == going(found, NOON, {})


def test_what_a_run_needs_stays() -> None:
    """
    The way back from the last migration, and what every run since was about; no more than that.

    Faults: 109.
    """
    runs = [
        run("old", Phase.COMMITTED, backup="a"),
        run("last", Phase.COMMITTED, backup="b"),
        run("failed", Phase.ROLLED_BACK, backup="c"),
        run("restored", Phase.RESTORED, backup="d", restoring="e"),
        run("nothing", Phase.ABANDONED, backup="f"),
        run("open", Phase.EXITED, backup="g"),
    ]
    found = retention.needed(runs)

    assert set("bcdeg") == set(found)
    assert "run open needs it: it is not at its end" == found["g"]


def run(name: str, phase: Phase, **detail: str) -> Run:
    """Make a run that ended at noon."""
    return Run(name, phase, NOON, NOON, detail)


def going(
    found: Sequence[Manifest],
    now: datetime,
    pinned: Mapping[str, str],
    damaged: Collection[str] = (),
) -> list[Manifest]:
    """Choose what goes after a week."""
    judged = retention.judge(found, WEEK, now, pinned, damaged)
    return [each.manifest for each in judged if each.goes]


def test_kept_databases_go_after_their_time() -> None:
    """A kept database goes once, after its time, and never that of an open question. Faults: 99."""
    detail = {"kept": "shop__kept_x"}
    old = Run("a", Phase.ROLLED_BACK, NOON, NOON - timedelta(days=8), detail)
    fresh = replace(old, ended_at=NOON - timedelta(days=6))
    gone = replace(old, forgotten=True)
    stranded = replace(old, phase=Phase.STRANDED)

    assert (old,) == retention.old_kept([old, fresh, gone, stranded], WEEK, NOON)


def test_what_was_half_deleted_goes() -> None:
    """
    A file of ours whose manifest is gone goes in its time, unless it is pinned.

    Faults: 111, 113.
    """
    long_ago, late = "pre-migration-20250101-000000.sql", "pre-migration-20260131-000000.sql"
    runs = [
        Run(name, Phase.COMMITTED, NOON, NOON, {"backup": name})
        for name in (long_ago, late, MANIFEST.backup.name, "../etc/passwd")
    ]
    found = retention.half_deleted(runs, [MANIFEST], WEEK, NOON + timedelta(days=1), ())

    assert (long_ago,) == found
    assert () == retention.half_deleted(runs, [MANIFEST], WEEK, NOON, {long_ago})
