"""How long backups and kept databases stay."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import retention
from sidecar.backups import Backup, Format, Kind, Manifest
from sidecar.plan import Phase, Run
from sidecar.retention import Generations, Rotation

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
    judged = retention.judge(found, "shop", WEEK, NOON, {})
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


def test_what_is_of_another_database_stays() -> None:
    """Two keep their backups in one place, which nobody should: neither deletes the other's."""
    ours = scheduled([0, 1, 2, 3, 4])
    theirs = [replace(each, database="crm") for each in scheduled([0, 10, 20, 30])]
    by = Rotation(Generations.parse("hourly=2"))

    judged = retention.judge([*ours, *theirs], "shop", WEEK, NOON, {}, (), by)
    assert ours[2:] == [each.manifest for each in judged if each.goes]
    assert {"it is of another database: crm"} == {each.reason for each in judged[5:]}


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
    judged = retention.judge(found, "shop", WEEK, now, pinned, damaged)
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


# --- scheduled backups

HOURS = st.lists(st.integers(0, 5000), unique=True, min_size=1, max_size=60)
COUNTS = st.builds(
    Generations, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(1, 5)
)
FEW = settings(max_examples=60, deadline=None)


def scheduled(hours: Sequence[int]) -> list[Manifest]:
    """Make scheduled backups, so many hours ago."""
    return [
        replace(MANIFEST, backup=Backup(Kind.SCHEDULED, NOON - timedelta(hours=h), Format.ARCHIVE))
        for h in hours
    ]


def stays(
    found: Sequence[Manifest],
    counts: Generations,
    proven: Collection[str] = (),
    damaged: Collection[str] = (),
) -> list[Manifest]:
    """Choose what stays."""
    by = Rotation(counts, proven)
    judged = retention.judge(found, "shop", WEEK, NOON, {}, damaged, by)
    return [each.manifest for each in judged if not each.goes]


def names(found: Sequence[Manifest]) -> set[str]:
    """Name them."""
    return {m.backup.name for m in found}


@FEW
@given(hours=HOURS, counts=COUNTS, data=st.data())
def test_the_floor_of_proven_backups_never_falls(
    hours: list[int], counts: Generations, data: st.DataObject
) -> None:
    """
    Of every time that had one, and that stays, a proven one stays; the newest of all always does.

    Faults: 109.
    """
    found = scheduled(hours)
    proven = set(data.draw(st.lists(st.sampled_from(sorted(names(found))), unique=True)))
    left = stays(found, counts, proven)

    assert max(found, key=lambda m: m.backup.taken_at) in left
    if proven:
        newest = max((m for m in found if m.backup.name in proven), key=lambda m: m.backup.taken_at)
        assert newest in left
        most = max(count for count in counts.counts.values())
        assert len(names(left) & proven) >= min(1, len(proven), most)
    for name, count in counts.counts.items():
        period = retention._PERIODS[name]
        times = sorted({period(m.backup.taken_at) for m in found}, reverse=True)[:count]
        for time in times:
            mine = {m.backup.name for m in found if period(m.backup.taken_at) == time}
            assert mine & names(left)
            assert not mine & proven or mine & proven & names(left)


@FEW
@given(hours=HOURS, counts=COUNTS, data=st.data())
def test_what_is_kept_is_kept_again(
    hours: list[int], counts: Generations, data: st.DataObject
) -> None:
    """To prune twice is to prune once, and an hour later nothing more goes. Faults: 110."""
    found = scheduled(hours)
    proven = set(data.draw(st.lists(st.sampled_from(sorted(names(found))), unique=True)))
    left = stays(found, counts, proven)

    assert left == stays(left, counts, proven)
    later = retention.judge(
        left, "shop", WEEK, NOON + timedelta(days=4000), {}, (), Rotation(counts, proven)
    )
    assert not [each for each in later if each.goes]


@FEW
@given(hours=HOURS, counts=COUNTS, more=COUNTS)
def test_who_keeps_more_loses_nothing(
    hours: list[int], counts: Generations, more: Generations
) -> None:
    """A larger number of any generation keeps all that a smaller one keeps; none eats another."""
    found = scheduled(hours)
    larger = Generations(*(a + b for a, b in zip(astuple(counts), astuple(more), strict=True)))
    assert names(stays(found, counts)) <= names(stays(found, larger))
    for name, count in counts.counts.items():
        alone = names(stays(found, Generations(**{name: count})))
        assert alone <= names(stays(found, counts))


@FEW
@given(hours=HOURS, counts=COUNTS, data=st.data())
def test_what_is_damaged_stands_for_nothing(
    hours: list[int], counts: Generations, data: st.DataObject
) -> None:
    """Damaged and doubtful backups take nobody's place. Faults: 108, 109."""
    found = scheduled(hours)
    bad = set(data.draw(st.lists(st.sampled_from(sorted(names(found))), unique=True)))
    doubtful = [replace(m, doubts=("gone",)) if m.backup.name in bad else m for m in found]
    good = [m for m in found if m.backup.name not in bad]

    assert names(stays(good, counts)) <= names(stays(found, counts, damaged=bad))
    assert names(stays(good, counts)) <= names(stays(doubtful, counts))


def test_a_table_with_reasons() -> None:
    """Each that stays says what for."""
    found = scheduled([0, 1, 2, 30, 60, 1000])
    judged = retention.judge(
        found,
        "shop",
        WEEK,
        NOON,
        {},
        (),
        Rotation(Generations.parse("hourly=2 daily=2"), {found[4].backup.name}),
    )

    assert [
        "the newest scheduled backup that is good",
        "hourly 2 of 2",
        "no generation needs it",
        "daily 2 of 2",
        "the newest that is known to restore",
        "no generation needs it",
    ] == [each.reason for each in judged]


def test_when_nothing_is_deleted() -> None:
    """A doubt about what is there, or about the time, and nothing goes. Faults: 109, 110."""
    found = scheduled([0, 1, 2])
    doubtful = [replace(found[0], doubts=("all tables are empty",)), *found[1:]]
    name = found[0].backup.name

    assert "" == retention.holds(found, NOON)
    assert "of the future" in retention.holds(found, NOON - timedelta(hours=1))
    assert "doubtful" in retention.holds(doubtful, NOON)
    assert "damaged" in retention.holds(found, NOON, {name})
    assert "missing" in retention.holds(found, NOON, (), "some are missing")
    assert "missing" in retention.holds([], NOON, (), "some are missing")
    held = Rotation(Generations(hourly=1), held="because")
    assert not [e for e in retention.judge(found, "shop", WEEK, NOON, {}, (), held) if e.goes]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hourly=0 daily=0", "keeps nothing"),
        ("hourly", "is not such as"),
        ("yearly=1", "is not such as"),
        ("hourly=1 hourly=2", "twice"),
        ("hourly=-1", "is not such as"),
    ],
)
def test_a_policy_that_is_none(text: str, why: str) -> None:
    """What would delete everything is refused when it is read. Faults: 109."""
    with pytest.raises(ValueError, match=why):
        Generations.parse(text)
    assert "hourly=24 daily=7" == str(Generations.parse("hourly=24, daily=7 weekly=0"))
