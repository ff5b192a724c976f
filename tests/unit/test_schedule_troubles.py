"""The second mode in trouble: one thing that is wrong hides nothing else, and none of it stays."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, timedelta

import pyrage
import pytest

from sidecar.backup_ports import NOT_YET, Ask, NoCopies, always
from sidecar.backups import Kind, Manifest, Proof
from sidecar.due import Rhythm
from sidecar.errors import DatabaseUnavailable, MigsafeError, StoreFailed
from sidecar.figures import Figures
from sidecar.keys import Keys
from sidecar.notices import STORES, VERIFY, Notice, Told, What, decide
from sidecar.plan import Phase
from sidecar.proving import Proving
from sidecar.scheduled import Scheduled
from sidecar.scheduling import Folder
from sidecar.verify import Verification
from tests.fakes import FakeClock, FakeWorld, Power, copy
from tests.fakes_data import Data
from tests.fakes_engine import FakeEngine
from tests.fakes_machine import LIVE, SECRET
from tests.second import HOUR, POLICY, RELEASE, Kept, Second, second

AWAY = DatabaseUnavailable("the server does not answer")


@pytest.fixture
def made() -> Second:
    """Make a second mode that has never run."""
    return second()


def taken(here: Second, kind: Kind, keys: Keys | None = None) -> Manifest:
    """Have somebody else take a backup."""
    world = FakeWorld(here.here, RELEASE, POLICY, keys=keys)
    look = world.world.database.look(catalog=True)
    with world.world.journal.hold("other", 0):
        return world.vault.take(world.vault.next_backup(kind), "other", look, {})


def proven(here: Second) -> list[Manifest]:
    """Name the scheduled backups that were proven to restore."""
    vault = FakeWorld(here.here, RELEASE, POLICY).vault
    return [m for m in here.manifests() if (proof := vault.proof(m.backup)) and proof.proves]


def migrated(here: Second) -> None:
    """Have a migration succeed."""
    journal = FakeWorld(here.here, RELEASE, POLICY).world.journal
    for phase in (Phase.STARTED, Phase.COMMITTED, Phase.CLEARED):
        journal.append("m1", phase)


def messages(here: Second) -> list[Notice]:
    """Tell what people have read."""
    told, found = Told(), list[Notice]()
    for event in here.events:
        decision = decide(told, event)
        told = decision.told
        found += [decision.notice] if decision.notice else []
    return found


# --- proving


def test_one_that_does_not_restore_starves_no_other(made: Second) -> None:
    """The newest of one kind is damaged: those of the other are proven all the same."""
    made.verify, made.generations = "4h", "hourly=100"
    manifest = taken(made, Kind.PRE_MIGRATION)
    made.here.files[manifest.backup.name] = b"x" * manifest.size
    made.run(24)

    assert 5 <= len(proven(made))
    assert manifest.backup.name in made.health()[0]
    assert [What.FAILED] == [note.what for note in messages(made) if VERIFY in note.title]


def test_one_that_does_not_restore_starves_no_other_on_a_slow_line(made: Second) -> None:
    """A backup is always due, so only one is tried each time: they take turns."""

    class Slow(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            made.here.pass_time(1.5 * HOUR)
            return ()

    made.verify, made.copies, made.generations = "8h", Slow(), "hourly=100"
    manifest = taken(made, Kind.PRE_MIGRATION)
    made.here.files[manifest.backup.name] = b"x" * manifest.size
    made.run(48)

    assert 3 <= len(proven(made))


@pytest.mark.parametrize("kind", [Kind.PRE_MIGRATION, Kind.MANUAL])
def test_an_old_key_is_no_trouble(made: Second, kind: Kind) -> None:
    """Backups are in clear now; one that is encrypted to a key that is elsewhere proves nothing."""
    made.verify = "4h"
    taken(made, kind, Keys((str(pyrage.x25519.Identity.generate().to_public()),)))
    made.run(24)

    assert [] == made.health()
    assert proven(made)


def test_a_key_that_was_taken_away_is_no_trouble(made: Second) -> None:
    """It was here, and what it opens was proven; now nothing can be, and nothing is late."""
    manifest = taken(made, Kind.MANUAL, Keys((str(pyrage.x25519.Identity.generate().to_public()),)))
    vault, clock = FakeWorld(made.here, RELEASE, POLICY).vault, FakeClock(made.here)
    vault.note_proof(manifest.backup, Proof(made.here.now, "restored"))
    proving = Proving(Rhythm.parse("weekly"), UTC, POLICY, clock, made.tell)
    made.here.time += 30 * 24 * HOUR

    assert () == proving.due(vault)
    late = proving.late(vault)
    assert late is not None
    assert late > made.here.now


def test_a_key_that_comes_back_is_noticed(made: Second, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a day: to find out whether a key opens a backup all of it may be read."""
    manifest = taken(made, Kind.MANUAL, Keys((str(pyrage.x25519.Identity.generate().to_public()),)))
    vault, asked = FakeWorld(made.here, RELEASE, POLICY).vault, list[str]()
    proving = Proving(Rhythm.parse("weekly"), UTC, POLICY, FakeClock(made.here), made.tell)
    assert () == proving.due(vault)

    monkeypatch.setattr(type(vault), "require_key", lambda _self, name: asked.append(name))
    assert ((), []) == (proving.due(vault), asked)
    made.here.pass_time(25 * HOUR)
    assert (manifest,) == proving.due(vault)
    assert "" == proving.unprovable(vault)


def test_who_can_prove_nothing_says_so(made: Second, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key here opens any backup: all is well, and whoever asks why is told what is not known."""
    vault = FakeWorld(made.here, RELEASE, POLICY).vault
    proving = Proving(Rhythm.parse("weekly"), UTC, POLICY, FakeClock(made.here), made.tell)
    assert "" == proving.unprovable(vault)

    taken(made, Kind.MANUAL, Keys((str(pyrage.x25519.Identity.generate().to_public()),)))
    assert () == proving.due(vault)
    assert "no key here opens a backup" == proving.unprovable(vault)
    made.run(0.5)
    assert "" == made.state.unprovable  # the new one is in clear
    monkeypatch.setattr(Proving, "unprovable", lambda *_: "no key here opens a backup")
    made.run(1)
    assert ("no key here opens a backup", []) == (made.state.unprovable, made.health())


def test_what_was_put_right_by_hand_is_well(made: Second, monkeypatch: pytest.MonkeyPatch) -> None:
    """There was no room to prove it, and the operator has made some: `migsafe verify` heals it."""
    with monkeypatch.context() as patched:
        patched.setattr(FakeEngine, "free_space", lambda _: 1)
        made.run(0.5)
    assert "could not be proven" in made.health()[0]

    world = FakeWorld(made.here, RELEASE, POLICY).world
    assert Verification(world, POLICY, "hand").restore(made.manifests()[0]).good
    made.run(1)
    assert [] == made.health()
    assert What.RECOVERED == messages(made)[-1].what


def test_who_wants_no_proof_is_not_told_of_one(
    made: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`MIGSAFE_VERIFY=never` was set after one had failed."""
    with monkeypatch.context() as patched:
        patched.setattr(FakeEngine, "free_space", lambda _: 1)
        made.run(0.5)
    made.verify = "never"
    made.run(1)

    assert [] == made.health()


def test_a_proof_of_the_future_proves_nothing(made: Second) -> None:
    """It was made while the clock was a year ahead."""
    made.verify = "4h"
    made.run(0.5)
    made.here.time += 365 * 24 * HOUR
    world = FakeWorld(made.here, RELEASE, POLICY).world
    Verification(world, POLICY, "hand").restore(made.manifests()[0])
    made.here.time -= 365 * 24 * HOUR
    before = len(made.events)
    made.run(24)

    assert 4 <= sum(event.subject == VERIFY for event in made.events[before:])


# --- what is there


def test_an_empty_file_is_no_backup(made: Second) -> None:
    """The newest has lost its bytes: it is not what says that a backup is fresh enough."""
    made.run(1.5)
    newest, *_ = made.manifests()
    made.here.files[newest.backup.name] = b""
    made.run(0.01)
    assert newest.backup.name != made.state.newest

    made.away = AWAY
    made.run(1.6)
    assert any("too old" in each for each in made.health())


def test_what_vanished_before_a_migration_is_missing_after_it(made: Second) -> None:
    """It compared with what it found, so it says nothing of what was there before."""
    made.generations = "hourly=3 daily=2"
    made.run(5)
    good = made.times()[0]
    made.here.databases[LIVE].data = Data({})
    made.run(2)
    migrated(made)
    made.run(60)

    assert any("data has vanished" in each for each in made.health())
    assert good in made.times()


def test_what_a_migration_took_away_is_meant(made: Second) -> None:
    """It was proven; what comes after it is compared with what it left."""
    made.run(2)
    made.here.databases[LIVE].data = Data({})
    migrated(made)
    made.run(3)

    assert [] == made.health()


def test_what_another_put_there_stops_nothing(made: Second) -> None:
    """A file of ours by its name, of the last second that there is."""
    made.here.files["scheduled-99991231-235959.dump.zst"] = b"x"
    made.run(2.5)

    assert [] == made.health()
    assert 3 == len(made.times())


@pytest.mark.parametrize("final", [True, False])
def test_who_is_asked_to_stop_deletes_no_more(made: Second, final: bool) -> None:
    """A last backup does not wait for dozens that are deleted; those go the next time."""
    made.generations, made.verify = "hourly=100", "never"
    made.run(60)
    made.generations, made.final = "hourly=1", final
    original = copy(made.here)
    whole = Power(copy(original))
    replace(made, here=whole.machine).run(1.5, whole)
    first = next(n for n, e in enumerate(whole.effects) if e.endswith("manifest.json removed"))

    power = Power(made.here)
    made.run(1.5, power, signal=first + 1)
    gone = [e for e in power.effects[first:] if e.endswith("manifest.json removed")]
    assert 1 == len(gone)
    made.final = False
    made.run(1.5)
    assert 2 >= len(made.times())
    assert [] == made.torn()
    assert [] == made.health()


# --- being told


def test_a_server_that_is_lost_after_a_doubt_is_told(made: Second) -> None:
    """The doubt was told days ago; this is another thing."""
    made.run(1.5)
    made.here.databases[LIVE].data = Data({})
    made.run(2)
    before = len(messages(made))
    made.here.system = "another"
    made.run(3)

    news = messages(made)[before:]
    assert 1 == sum("on another server" in note.text for note in news)
    assert len(news) <= 2


@pytest.mark.parametrize("lost", ["its data", "the server"])
def test_what_came_back_wrong_is_told(made: Second, lost: str) -> None:
    """The server did not answer, and that was told; that it came back without data is, too."""
    made.run(1.5)
    made.away = AWAY
    made.run(1)
    made.away = None
    if lost == "its data":
        made.here.databases[LIVE].data = Data({})
    else:
        made.here.system = "another"
    made.run(30)

    texts = [note.text for note in messages(made)]
    assert any("does not answer" in text for text in texts)
    found = [text for text in texts if "vanished" in text or "on another server" in text]
    assert 1 <= len(found) <= 3  # at once, and a reminder each day
    assert len(texts) <= 4


def test_a_second_store_that_fails_is_told(made: Second) -> None:
    """The first has been told of already."""

    class Failing(NoCopies):
        complaints_now: tuple[str, ...] = ("gs://a: it is busy",)

        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            return self.complaints_now

    made.copies = failing = Failing()
    made.run(2.5)
    failing.complaints_now = ("gs://a: it is busier", "gs://b: it refuses these credentials")
    made.run(3)

    titles = [note.text for note in messages(made) if STORES in note.title]
    assert 2 == len(titles)
    assert "gs://b" in titles[1]


def test_a_store_that_fails_now_and_then_is_told_once(made: Second) -> None:
    """On a slow line there is often more to bring; that is no news each time."""

    class Flaky(NoCopies):
        number = 0

        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            self.number += 1
            failing = () if self.number % 2 else ("gs://a: it is busy",)
            return (*failing, f"{NOT_YET}: x.sql (1 in all)")

    made.copies = Flaky()
    made.run(20)
    assert 2 == sum(STORES in note.title for note in messages(made))


def test_no_secret_is_left_for_others_to_read(made: Second) -> None:
    """What the state says is shown by Docker to whoever may look."""
    made.run(0.5)
    made.away = DatabaseUnavailable(f"it refuses {SECRET}", hint=f"not {SECRET}")
    made.run(2)

    assert SECRET not in made.here.files["schedule.json"].decode()
    assert any("it refuses ***" in each for each in made.health())


def test_figures_go_on_while_nothing_is_backed_up(
    made: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that needs an operator is seen by the monitor, and that somebody tries."""
    found: list[Figures] = []

    def publish(_kept: Kept, gather: Callable[[], Figures]) -> None:
        found.append(gather())
        if found[-1].needs_operator:
            made.away = AWAY

    monkeypatch.setattr(Kept, "publish", publish)
    made.run(0.5)
    assert not found[-1].needs_operator
    journal = FakeWorld(made.here, RELEASE, POLICY).world.journal
    journal.append("m1", Phase.STRANDED, code=30, reason="no room")
    made.run(5)

    attempts = [each.last_attempt for each in found if each.needs_operator and each.last_attempt]
    assert made.away is AWAY
    assert made.here.now - attempts[-1] < timedelta(hours=1)


def test_figures_where_no_database_ever_comes_up(made: Second) -> None:
    """After a restart all is told that the folder of backups tells, at once and at each attempt."""
    made.run(1.5)
    before, made.away = made.figures[-1], AWAY
    made.figures.clear()
    started = made.here.now
    made.run(5)
    first, last = made.figures[0], made.figures[-1]

    for found in (first, last):
        assert ("shop", timedelta(hours=1)) == (found.project, found.interval)
        assert before.kinds == found.kinds
        assert (None, {}) == (
            found.needs_operator,
            found.verdicts,
        )  # of the journal nothing is known
    assert before.last_attempt == first.last_attempt
    assert (False, True) == (first.problems["backup"], last.problems["backup"])
    assert last.last_attempt is not None
    assert last.last_attempt > started + timedelta(hours=4)


def test_figures_while_something_takes_hours(made: Second, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has begun is told as tried, and what was taken as taken, before it is in every store."""
    seen: list[Figures] = []

    class Slow(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            seen.append(made.figures[-1])
            return ()

    def take(scheduled: Scheduled, begin: Callable[[str], None]) -> Manifest:
        seen.append(made.figures[-1])
        return taking(scheduled, begin)

    taking = Scheduled.take
    monkeypatch.setattr(Scheduled, "take", take)
    made.copies = Slow()
    began = made.here.now
    made.run(0.5)
    begun, there = seen

    assert (began, None) == (begun.last_attempt, begun.kinds[Kind.SCHEDULED].last_success)
    assert made.times() == [there.kinds[Kind.SCHEDULED].last_success]


def test_figures_of_a_folder_that_can_not_be_read(
    made: Second, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are as they were last, and somebody is seen to try."""
    read, since = Folder.manifests, made.here.now + timedelta(hours=1.5)

    def manifests(folder: Folder) -> Sequence[Manifest]:
        if made.here.now > since:
            raise StoreFailed("it can't be read")
        return read(folder)

    monkeypatch.setattr(Folder, "manifests", manifests)
    made.run(4)
    newest = made.figures[-1].kinds[Kind.SCHEDULED].last_success

    assert newest is not None
    assert since - timedelta(hours=1) < newest < since
    assert made.figures[-1].problems["backup"]
    late = [f for f in made.figures if (f.last_attempt or since) > since + timedelta(hours=1)]
    assert [] == [f for f in late if not f.problems["backup"]]  # or an alert would begin anew
    assert late


# --- what nobody has thought of


def test_a_bug_of_a_store_costs_no_backup(made: Second) -> None:
    """A library raises what is no error of ours: one backup a day, not one every half hour."""

    class Broken(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            raise ValueError("a library's own")

    made.rhythm, made.generations = "daily", "daily=100"
    made.copies = Broken()
    made.run(24 * 5)

    assert 5 <= len(made.times()) <= 6
    assert ["ValueError: a library's own"] == made.health()


def test_a_bug_of_a_store_that_is_asked_for_figures(made: Second) -> None:
    """The backup is there, and nothing is wrong with it."""

    class Broken(NoCopies):
        def lacking(self) -> dict[str, int]:
            raise ValueError("a library's own")

    made.copies = Broken()
    made.run(1.5)
    assert [] == made.health()
    assert "no figures: a library's own" in made.tell.warnings


def test_a_store_that_fails_costs_no_backup(made: Second) -> None:
    """It is there; what failed is the store, and that is what is said."""

    class Refusing(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            raise error

    made.copies = Refusing()
    error: MigsafeError = StoreFailed("gs://a: the manifest can't be read")
    made.run(0.5)
    assert (None, 1) == (made.state.backup, len(made.manifests()))
    assert ["gs://a: the manifest can't be read"] == made.health()


@pytest.mark.parametrize("final", [True, False])
def test_a_bug_ends_nothing(made: Second, final: bool) -> None:
    """Neither where the lease is renewed, nor at the last backup."""
    made = replace(made, memory=True, rhythm="daily")
    made.run(0.5)
    made.final, made.away = final, ValueError("a bug")  # type: ignore[assignment]

    assert (1 if final else 0) == made.run(3)
    assert final == any("a bug in migsafe: ValueError: a bug" in each for each in made.health())


def test_stores_are_opened_anew(made: Second) -> None:
    """Somebody signs in again, or changes a key: the next backup goes there, without a restart."""

    class Expired(NoCopies):
        def catch_up(self, _has_time: Ask = always) -> tuple[str, ...]:
            made.copies = NoCopies()
            return ("gdrive://shop: the token has expired",)

    made.copies = Expired()
    made.run(1.5)
    assert What.FAILED == next(e for e in made.events if e.subject == STORES).what
    assert What.SUCCEEDED == [e for e in made.events if e.subject == STORES][-1].what
    assert [] == made.health()
