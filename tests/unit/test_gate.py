"""Whether a migration is needed, and whether it may be tried."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from sidecar import gate
from sidecar.backups import Manifest
from sidecar.errors import DatabaseLost, LedgerAhead, Refused
from sidecar.facts import Contents, LedgerState, Server, Table
from sidecar.gate import Answer, Found
from sidecar.plan import RELEASE, Key, Phase, Run

from .builders import LEDGER, NOON, look, manifest

KEY = Key("sha256:new", ("migrate",), "two", "7001")


def run(phase: Phase, key: Key = KEY, **detail: Any) -> Run:
    """Make a finished run of that image."""
    facts = {
        "image": key.image,
        "command": list(key.command),
        "ledger": key.ledger,
        "system": key.system,
        "ledger_after": key.ledger,
        **detail,
    }
    retried = bool(detail.get("retried"))
    return Run("r", phase, NOON, NOON + timedelta(minutes=1), facts, retried=retried)


def found(*runs: Run, **changes: Any) -> Found:
    """Find the database as ``look()`` has it, after those runs."""
    return replace(Found(KEY, look(), runs), **changes)


def no(_: Manifest) -> bool:
    """Say that the database was not loaded from that backup."""
    return False


def refuse(what: Found, *backups: Any) -> str:
    """Return the words of the refusal."""
    with pytest.raises(Refused) as caught:
        gate.refuse(what, backups, initialise=False, loaded_from=no)
    assert caught.value.hint.endswith((".", "up."))
    return caught.value.message


def test_nothing_to_do_after_a_commit() -> None:
    """The same image, command, ledger and server as a committed run: nothing. Faults: 13."""
    assert Answer.NOTHING == gate.settled(found(run(Phase.COMMITTED)))


@pytest.mark.parametrize("field", ["image", "command", "ledger", "system"])
def test_any_change_of_the_key_is_something_to_do(field: str) -> None:
    """Another image, command, ledger or server than the committed one means a migration."""
    other: Any = ("other",) if field == "command" else "other"
    changed = replace(KEY, **{field: other})

    assert Answer.MIGRATE == gate.settled(found(run(Phase.COMMITTED), key=changed))


def test_mounted_code_is_never_skipped_by_the_image() -> None:
    """Where code of the host is mounted the framework's own check decides."""
    answer = gate.settled(found(run(Phase.COMMITTED), code_mounts=("/srv",)))

    assert Answer.ASK == answer


def test_an_empty_database_is_never_settled() -> None:
    """An empty database is something to do even if its fingerprint was seen."""
    assert Answer.MIGRATE == gate.settled(found(run(Phase.COMMITTED), look=look(tables=0)))


@pytest.mark.parametrize("phase", [Phase.ROLLED_BACK, Phase.UNCHANGED])
def test_what_failed_is_refused_with_its_reason(phase: Phase) -> None:
    """The same that failed last time is refused at once. Faults: 12, 101."""
    failed = run(phase, code=20, reason="boom")

    assert "boom" in refuse(found(failed))


def test_a_retry_lets_it_try_again() -> None:
    """The operator's word opens the circuit breaker."""
    gate.refuse(
        found(run(Phase.ROLLED_BACK, code=20, retried=True)), (), initialise=False, loaded_from=no
    )


def test_an_interruption_says_nothing_of_the_image() -> None:
    """A migration that was stopped by a signal is tried again without a retry."""
    gate.refuse(found(run(Phase.ROLLED_BACK, code=21)), (), initialise=False, loaded_from=no)


def test_mounted_code_may_have_been_mended() -> None:
    """The circuit breaker does not hold where the image does not name the code."""
    failed = run(Phase.ROLLED_BACK, code=20)

    gate.refuse(found(failed, code_mounts=("/srv",)), (), initialise=False, loaded_from=no)


@pytest.mark.parametrize("field", ["image", "command", "ledger", "system"])
def test_a_change_closes_the_breaker(field: str) -> None:
    """Another image, command, ledger or server is tried."""
    other: Any = ("other",) if field == "command" else "other"
    changed = replace(KEY, **{field: other})

    gate.refuse(
        found(run(Phase.ROLLED_BACK, code=20), key=changed), (), initialise=False, loaded_from=no
    )


def test_an_abandoned_run_does_not_hide_the_failure_before_it() -> None:
    """A run that never migrated says nothing about the image."""
    failed, abandoned = run(Phase.ROLLED_BACK, code=20, reason="boom"), run(Phase.ABANDONED)

    assert "boom" in refuse(found(failed, abandoned))


def test_a_dirty_ledger_is_refused() -> None:
    """A migration that the ledger marks as failed must be repaired by hand first."""
    dirty = replace(LEDGER, bad=("3",))

    assert "failed half-way: 3" in refuse(found(look=look(ledger=dirty)))


def test_a_held_migration_lock_is_refused() -> None:
    """A lock row that somebody holds, or that came out of a backup, is named."""
    held = replace(LEDGER, held_by="databasechangeloglock says ci-runner")

    assert "ci-runner" in refuse(found(look=look(ledger=held)))


@pytest.mark.parametrize(
    "other",
    [{"database": "blog"}, {"server": Server("17.6", 170006, "9999")}],
)
def test_a_folder_of_another_database_is_refused(other: dict[str, Any]) -> None:
    """Backups of another database or server mean a lost or swapped volume. Faults: 20, 117."""
    assert "belongs to another database" in refuse(found(), manifest(**other))


def test_a_database_that_was_loaded_from_a_backup_is_welcome() -> None:
    """After a loss, by hand: the database holds exactly what the newest backup does."""
    newest = manifest(server=Server("17.6", 170006, "9999"))

    gate.refuse(found(), (newest,), initialise=False, loaded_from=lambda m: m is newest)


def test_an_empty_database_with_backups_is_refused() -> None:
    """An empty database although there is data to restore is a lost volume. Faults: 21, 123."""
    empty = look(tables=0, ledger=LedgerState("generic"))

    assert "is empty, although backups with data exist" in refuse(found(look=empty), manifest())


def test_an_empty_database_may_be_initialised() -> None:
    """The operator may say that the emptiness is wanted."""
    gate.refuse(found(look=look(tables=0)), (manifest(),), initialise=True, loaded_from=no)


def test_a_new_server_may_be_initialised_beside_old_backups() -> None:
    """After a volume was lost for good the operator begins anew; the old backups stay."""
    lost = manifest(server=Server("17.6", 170006, "9999"))

    gate.refuse(found(look=look(tables=0)), (lost,), initialise=True, loaded_from=no)
    assert "is empty, although" in refuse(found(look=look(tables=0)), lost)


def test_backups_of_an_empty_database_are_no_loss() -> None:
    """A first install that failed leaves a backup without rows: the next try may go on."""
    nothing = manifest(contents=Contents((), "x"))
    schema = manifest(contents=Contents((Table("public", "users", 0),), "x"))

    gate.refuse(found(look=look(tables=0)), (nothing, schema), initialise=False, loaded_from=no)


def test_an_older_image_on_newer_data_is_refused() -> None:
    """An image whose ledger was smaller when it was last committed is older than the data."""
    old = replace(KEY, image="sha256:old", ledger="one")
    before = run(Phase.COMMITTED, old, versions_after=["1"])
    after = run(Phase.COMMITTED, KEY, versions_after=["1", "2"], image_name="shop:2")
    message = refuse(found(before, after, key=replace(KEY, image="sha256:old")))

    assert "ahead of this image" in message
    assert "(2)" in message


def test_a_moving_ledger_is_ahead_where_a_later_run_made_it() -> None:
    """With one moving version (Alembic) the order of committed runs tells which is older."""
    old = replace(KEY, image="sha256:old", ledger="a")
    before = run(Phase.COMMITTED, old, versions_after=["a"])
    after = run(Phase.COMMITTED, replace(KEY, ledger="b"), versions_after=["b"])
    now = replace(KEY, image="sha256:old", ledger="b")

    assert "ahead" in refuse(found(before, after, key=now))


def test_an_image_that_is_new_is_never_ahead() -> None:
    """Nothing is known of an image that was never committed."""
    gate.refuse(
        found(run(Phase.COMMITTED, replace(KEY, image="x"))), (), initialise=False, loaded_from=no
    )


# --- whose, and what is named


def test_the_newest_backup_tells_whose_the_folder_is() -> None:
    """
    It is the one that was taken last, wherever it stands in the list.

    Faults: 20, 117.
    """
    mine, other = manifest(), Server("17.6", 170006, "9999")
    before = replace(mine.backup, taken_at=NOON - timedelta(days=1))
    old_foreign = replace(mine, server=other, backup=before)
    for backups in ((mine, old_foreign), (old_foreign, mine)):
        gate.refuse(found(), backups, initialise=False, loaded_from=no)

    new_foreign, old_mine = replace(mine, server=other), replace(mine, backup=before)
    for backups in ((old_mine, new_foreign), (new_foreign, old_mine)):
        assert f"{new_foreign.backup.name} is of" in refuse(found(), *backups)


def test_a_lost_database_names_the_backup_to_load() -> None:
    """The card offers it."""
    with pytest.raises(DatabaseLost) as caught:
        gate.refuse(found(look=look(tables=0)), (manifest(),), initialise=False, loaded_from=no)

    assert manifest().backup.name == caught.value.backup


def test_a_dirty_ledger_is_named() -> None:
    """Who is to repair it finds it."""
    dirty = found(look=look(ledger=replace(LEDGER, bad=("3",))))

    assert "public.schema_migrations" in refuse(dirty)


@pytest.mark.parametrize(("image", "word"), [("sha256:new", "image"), (f"{RELEASE}v3", "release")])
def test_what_failed_is_called_by_its_name(image: str, word: str) -> None:
    """Where there is no image to look at it is a release."""
    key = replace(KEY, image=image)

    assert f"this {word} failed" in refuse(found(run(Phase.UNCHANGED, key, code=20), key=key))


def test_an_image_is_held_to_what_it_knew_last() -> None:
    """It was committed twice, the second time with more: what it knows now counts."""
    first = run(Phase.COMMITTED, replace(KEY, ledger="one"), versions_after=["1"])
    second = run(Phase.COMMITTED, KEY, versions_after=["1", "2"])

    gate.refuse(found(first, second), (), initialise=False, loaded_from=no)


def test_an_image_is_not_ahead_of_itself() -> None:
    """The run that made the ledger what it is was its own, if by another command."""
    mine = run(Phase.COMMITTED, versions_after=["1", "2"])
    other = replace(KEY, command=("migrate", "--all"))

    gate.refuse(found(mine, key=other), (), initialise=False, loaded_from=no)


def test_a_run_that_has_not_noted_its_versions_says_nothing() -> None:
    """An older migsafe did not: the image is let through."""
    old = run(Phase.COMMITTED, replace(KEY, ledger="one"))

    gate.refuse(found(old), (), initialise=False, loaded_from=no)


def test_the_image_to_go_back_to_is_named() -> None:
    """It is the one that made the ledger what it is."""
    old = replace(KEY, image="sha256:old", ledger="a")
    runs = (
        run(Phase.COMMITTED, old, versions_after=["a"]),
        run(Phase.COMMITTED, KEY, versions_after=["1", "2"], image_name="shop:2"),
    )
    now = found(*runs, key=replace(KEY, image="sha256:old"))
    with pytest.raises(LedgerAhead) as caught:
        gate.refuse(now, (), initialise=False, loaded_from=no)

    assert "(shop:2)" in caught.value.hint
