"""What a rollback takes back: the last migration that the live data has come through."""

from datetime import timedelta

import pytest

from sidecar import retention
from sidecar.backups import Backup, Format, Kind
from sidecar.lineage import lineage
from sidecar.plan import Phase, Run

from .builders import NOON


class History:
    """Things done one after the other, a quarter of an hour each."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.now = NOON

    def migrated(self, phase: Phase = Phase.COMMITTED) -> Run:
        """Migrate, after a backup."""
        return self._run(phase, backup=self.taken(Kind.PRE_MIGRATION))

    def restored(self, name: str, *, saved: bool = True) -> Run:
        """Restore a backup, after a safety backup."""
        safety = {"backup": self.taken(Kind.SAFETY)} if saved else {}
        return self._run(Phase.RESTORED, restoring=name, **safety)

    def taken(self, kind: Kind) -> str:
        """Take a backup."""
        self.now += timedelta(minutes=5)
        return Backup(kind, self.now, Format.ARCHIVE).name

    def _run(self, phase: Phase, **detail: str) -> Run:
        self.now += timedelta(minutes=10)
        began = self.now - timedelta(minutes=12)
        run = Run(f"r{len(self.runs) + 1}", phase, began, self.now, detail)
        self.runs.append(run)
        return run

    @property
    def last(self) -> Run | None:
        """The migration that a rollback takes back."""
        return lineage(self.runs).last


@pytest.fixture
def history() -> History:
    """Begin with two migrations that succeeded."""
    found = History()
    found.migrated()
    found.migrated()
    return found


def test_nothing_was_done() -> None:
    """Where nothing was migrated nothing can be taken back."""
    assert lineage(()).last is None


def test_the_last_that_succeeded(history: History) -> None:
    """One that failed is put back already."""
    history.migrated(Phase.ROLLED_BACK)

    assert history.runs[1] is history.last


def test_taken_back_once_more(history: History) -> None:
    """Who takes back what is taken back gets the same data again, not what is older still."""
    back = str(history.runs[1].named("backup"))
    history.restored(back)
    assert history.runs[1] is history.last

    history.restored(back)
    assert history.runs[1] is history.last
    assert (history.runs[0],) == lineage(history.runs).migrations


def test_migrated_again_after_it(history: History) -> None:
    """The fixed image's migration is the last."""
    history.restored(str(history.runs[1].named("backup")))
    again = history.migrated()

    assert again is history.last
    assert (history.runs[0], again) == lineage(history.runs).migrations


def test_a_wrong_restore_is_undone(history: History) -> None:
    """What was migrated after the wrong one is not in the data that was brought back."""
    wrong = history.restored(Backup(Kind.MANUAL, NOON + timedelta(minutes=16), Format.ARCHIVE).name)
    assert history.runs[0] is history.last
    history.migrated()
    history.restored(str(wrong.named("backup")))

    assert history.runs[1] is history.last


def test_a_rollback_is_undone(history: History) -> None:
    """The safety backup of a rollback has the migration in it."""
    back = history.restored(str(history.runs[1].named("backup")))
    history.restored(str(back.named("backup")))

    assert history.runs[1] is history.last


@pytest.mark.parametrize("name", ["dump.sql", "manual-20250101-000000.dump.zst"])
def test_from_elsewhere(history: History, name: str) -> None:
    """Of a dump that others made, or from before the first run, nothing is known."""
    history.restored(name)

    assert history.last is None


def test_a_backup_between_the_two(history: History) -> None:
    """A scheduled backup holds what had been migrated when it was taken."""
    between = Backup(Kind.SCHEDULED, history.runs[0].ended_at + timedelta(seconds=1), Format.SQL)
    history.restored(between.name)

    assert history.runs[0] is history.last


def test_what_a_rollback_would_restore_stays(history: History) -> None:
    """However many migrations of other data came since. Faults: 109."""
    back = str(history.runs[1].named("backup"))
    wrong = history.restored(str(history.runs[0].named("backup")))
    history.migrated()
    history.restored(str(wrong.named("backup")))
    history.migrated(Phase.ROLLED_BACK)

    assert "the way back from the last migration" in retention.needed(history.runs)[back]
