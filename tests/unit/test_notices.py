"""Being told: at once, once, again after a day, and once when it is over."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import notices
from sidecar.errors import (
    AlreadyRunning,
    Interrupted,
    LeaseHeld,
    MigrationFailed,
    MigsafeError,
    Refused,
    RollbackFailed,
    SettingsError,
)
from sidecar.notices import BACKUP, MIGRATION, Event, Notice, Told, What, decide
from sidecar.plan import Phase, Run

from .builders import NOON

HOUR = timedelta(hours=1)
BAD = (What.FAILED, What.SILENT, What.NEEDS_OPERATOR)


def event(what: What, hours: float = 0, *, subject: str = BACKUP, cause: str = "") -> Event:
    """Make an event, so many hours after noon."""
    return Event(what, subject, "no space left", NOON + hours * HOUR, "shop", cause=cause)


def told(*events: Event) -> list[Notice]:
    """Play events, and gather what people are told; every state is written and read back."""
    known, said = Told(), []
    for each in events:
        decision = decide(known, each)
        known = Told.from_json(decision.told.to_json())
        assert decision.told == known
        said += [decision.notice] if decision.notice else []
    return said


def test_failure_at_once_recovery_once() -> None:
    """A failure is told when it happens, its repetitions are not, its end is told once."""
    hours = [What.STARTED, What.FAILED, What.STARTED, What.FAILED, What.SUCCEEDED, What.SUCCEEDED]
    said = told(*(event(what, number) for number, what in enumerate(hours)))

    assert [What.FAILED, What.RECOVERED] == [notice.what for notice in said]
    assert "shop: scheduled backup failed" == said[0].title
    assert ("no space left", "at 2026-01-31 13:00:00 UTC") == said[0].lines
    assert "shop: scheduled backup: well again" == said[1].title
    assert "2026-01-31 13:00:00" in said[1].text


def test_all_is_well() -> None:
    """Nobody is told that nothing is wrong."""
    assert [] == told(*(event(what) for what in (What.STARTED, What.SUCCEEDED, What.RECOVERED)))


def test_a_reminder_a_day() -> None:
    """Trouble that lasts is told again after a day, and says since when."""
    said = told(*(event(What.FAILED, hour) for hour in range(50)))

    assert ["shop: scheduled backup failed"] + 2 * ["shop: still: scheduled backup failed"] == [
        notice.title for notice in said
    ]
    assert "since 2026-01-31 12:00:00 UTC" == said[2].lines[-1]


def test_worse_is_told() -> None:
    """Silence after failures is news, another failure after it is not."""
    order = [What.FAILED, What.SILENT, What.SILENT, What.FAILED, What.NEEDS_OPERATOR, What.SILENT]
    said = told(*(event(what, n / 10) for n, what in enumerate(order)))

    assert list(BAD) == [notice.what for notice in said]
    assert "shop: scheduled backup: none in time" == said[1].title


def test_subjects_do_not_hide_each_other() -> None:
    """A store that is behind is told though the backups fail, and recovers by itself."""
    said = told(
        event(What.FAILED),
        event(What.FAILED, 1, subject="gs://bucket"),
        event(What.SUCCEEDED, 2, subject="gs://bucket"),
        event(What.FAILED, 3),
    )

    assert ["scheduled backup failed", "gs://bucket failed", "gs://bucket: well again"] == [
        notice.title.removeprefix("shop: ") for notice in said
    ]


def test_another_cause_is_told() -> None:
    """A second release that fails is another failure; the same run told twice is not."""
    causes = ["a/20", "a/20", "b/20", "b/30", "b/30"]
    said = told(*(event(What.FAILED, n / 10, cause=cause) for n, cause in enumerate(causes)))

    assert 3 == len(said)


def test_a_clock_that_was_set_back() -> None:
    """Trouble told in the future does not put reminders off for ever. Faults: 14."""
    said = told(event(What.FAILED, 9000), event(What.FAILED, 0), event(What.FAILED, 25))

    assert ["scheduled backup failed", "still: scheduled backup failed"] == [
        notice.title.removeprefix("shop: ") for notice in said
    ]


@given(st.lists(st.tuples(st.sampled_from(What), st.integers(0, 20))))
def test_any_history(steps: list[tuple[What, int]]) -> None:
    """Trouble is never kept back, no message comes twice within a day, the end is always told."""
    known, at, trouble = Told(), NOON, False
    last: dict[What, datetime] = {}
    for what, hours in steps:
        at += hours * HOUR
        decision = decide(known, Event(what, BACKUP, "m", at))
        known = decision.told
        if what in BAD:
            assert decision.notice or trouble
            trouble = True
            if decision.notice and what in last:
                assert at - last[what] >= timedelta(days=1)
            if decision.notice:
                last[what] = at
        elif what is not What.STARTED:
            assert trouble == (decision.notice is not None)
            trouble, last = False, {}
        assert trouble == (BACKUP in known.troubles)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "{}",
        '{"troubles": 3}',
        '{"troubles": {"x": {"what": "succeeded", "since": "", "told_at": "", "cause": ""}}}',
        '{"troubles": {"x": {"what": "failed", "since": "2026-01-31", "told_at": "2026-01-31",'
        ' "cause": ""}}}',
        "[" * 100_000,
    ],
)
def test_a_torn_memory_is_none(text: str) -> None:
    """What can't be read is told once more; it stops nothing. Faults: 11."""
    assert Told() == Told.from_json(text)


CARD = ["✗ migration failed: exit code 1", "  data       as it was", "  app        not started"]


def run(run_id: str = "one") -> Run:
    """Make a run."""
    return Run(run_id, Phase.ROLLED_BACK, NOON, NOON, {})


@pytest.mark.parametrize(
    ("error", "what", "cause"),
    [
        (MigrationFailed("x"), What.FAILED, "one/20"),
        (RollbackFailed("x"), What.NEEDS_OPERATOR, "one/30"),
        (Refused("x"), What.FAILED, "one/17"),
        (None, What.SUCCEEDED, ""),
    ],
)
def test_the_end_of_a_guard(error: MigsafeError | None, what: What, cause: str) -> None:
    """What happened is the title, the rest of the card the text."""
    found = notices.of_run(error, run(), CARD, "shop", NOON)

    assert found is not None
    assert (what, MIGRATION, cause) == (found.what, found.subject, found.cause)
    assert "migration failed: exit code 1" == found.headline
    assert tuple(CARD[1:]) == found.details


@pytest.mark.parametrize(
    "error", [AlreadyRunning("x"), Interrupted.by(15), SettingsError("x")], ids=repr
)
def test_what_is_no_failure_of_the_app(error: MigsafeError) -> None:
    """Who typed reads it; nobody else is woken."""
    assert None is notices.of_run(error, None, CARD, "shop", NOON)


def test_another_instance_is_told_of() -> None:
    """The app stays down here: whoever started it may have been a reboot. Faults: 127."""
    found = notices.of_run(LeaseHeld("x"), None, CARD, "shop", NOON)

    assert found is not None
    assert found.what is What.FAILED


def test_a_migration_that_failed_and_the_next_that_did_not() -> None:
    """A stranded run is told once however often `up` is typed; the success after it ends it."""
    stranded = notices.of_run(RollbackFailed("x"), run(), CARD, "shop", NOON)
    fixed = notices.of_run(None, run("two"), ["✓ migrated and proven"], "shop", NOON)
    assert stranded is not None
    assert fixed is not None
    said = told(stranded, stranded, fixed, fixed)

    assert [What.NEEDS_OPERATOR, What.RECOVERED] == [notice.what for notice in said]
    assert "shop: migration failed: exit code 1" == said[0].title
    assert "migrated and proven" == said[1].lines[0]


def test_a_bug_is_told() -> None:
    """A bug of ours closes the gate too."""
    found = notices.of_bug(["✗ a bug in migsafe: KeyError"], "shop", NOON)

    assert What.FAILED is found.what
    assert "a bug in migsafe: KeyError" == found.headline
