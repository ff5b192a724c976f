"""The card: what happened, is my data safe, what to type. Golden files hold its words."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar import advice, shell
from sidecar.advice import Facts
from sidecar.errors import (
    AlreadyRunning,
    BackupDamaged,
    DatabaseLost,
    DatabaseUnavailable,
    DeadlineExceeded,
    Elsewhere,
    EngineUnavailable,
    JournalDisagrees,
    KnownBad,
    LedgerAhead,
    MigrationFailed,
    MigrationInterrupted,
    PreflightFailed,
    ProofFailed,
    Refused,
    RollbackPending,
    RunCutOff,
    SettingsError,
)
from sidecar.facts import Place
from sidecar.log import Redactor
from sidecar.plan import Phase, Run
from sidecar.rollback import stranded

from .builders import NOON

GOLDEN = Path(__file__).parent / "golden"
PLACE = Place(
    "shop",
    "migsafe",
    "/home/ann/shop",
    ("/home/ann/shop/compose.yaml", "/home/ann/shop/compose.override.yml"),
    "/home/ann/shop/data/db_backup",
    "db",
)
DETAIL: dict[str, Any] = {
    "command": ["python", "manage.py", "migrate", "--noinput"],
    "backup": "pre-migration-20260131-120000.sql",
    "code": 20,
    "reason": "python manage.py migrate --noinput exited with 1",
    "tail": ["Applying shop.0003... OK", 'ERROR: relation "x" is gone', ""],
    "kept": "shop__kept_20260131_120000_3fa2",
}
RUN = Run("20260131-120000-3fa2", Phase.ROLLED_BACK, NOON, NOON, DETAIL)
FAILED = MigrationFailed(DETAIL["reason"])
GOOD = {"app": "ghcr.io/ann/shop@sha256:" + "ab" * 32, "worker": "sha256:" + "cd" * 32}
BASE = Facts(
    FAILED, PLACE, "app", "shop", "shop", "shop", RUN, GOOD, "Django keeps what ran before."
)
OUTSIDE = replace(
    BASE, place=None, good={}, outside=True, server="-h db -p 5432", folder="/backups"
)
RESTORING = replace(BASE, run=None, good={}, restoring="restore manual-20260131-110000.dump.zst")
KEPT = (DETAIL["kept"], "shop__kept_20260201_120000_9f01")
DONE = Run(
    RUN.id,
    Phase.COMMITTED,
    NOON,
    NOON,
    {
        "backup": DETAIL["backup"],
        "versions_after": ["1", "2", "3"],
        "look": {"ledger": {"versions": ["1"]}},
    },
)


def lost(backup: str) -> DatabaseLost:
    """Make the error of an empty database beside a backup."""
    error = DatabaseLost("the database 'shop' is empty, although backups exist", hint="Load one.")
    error.backup = backup
    return error


def afar(backup: str) -> DatabaseLost:
    """Make the error where the backup is only in a store."""
    error = lost(backup)
    error.afar = True
    return error


def changed(**detail: Any) -> Run:
    """Make the run with other details."""
    return replace(RUN, detail={**DETAIL, **detail})


CARDS = {
    "failed": BASE,
    "failed-stopped": replace(BASE, run=replace(RUN, stopped=("shop-worker-1", "shop-cron-1"))),
    "failed-unchanged": replace(BASE, run=replace(RUN, phase=Phase.UNCHANGED), good={}),
    "failed-elsewhere": replace(
        BASE,
        place=replace(PLACE, project="live", config_files=("/srv/a.yml", "/home/ann/shop/b.yml")),
    ),
    "failed-volume-archive": replace(
        BASE,
        place=replace(PLACE, backups="shop_backups"),
        run=changed(backup="pre-migration-20260131-120000.dump.zst"),
    ),
    "failed-beyond": replace(
        BASE,
        run=changed(
            command=["sh", "-c", "set -e\nbin/migrate"],
            beyond=["database 'x' was created", "roles of the server were changed"],
        ),
    ),
    "failed-wordy": replace(
        BASE,
        place=replace(PLACE, backups="a-project-with-a-rather-long-name_and-its-volume-of-backups"),
        run=changed(
            backup="pre-migration-20260131-120000.dump.zst",
            tail=["psql:migrations/0003_customers.sql:9: ERROR: " + "it could not be done, " * 9],
        ),
    ),
    "interrupted": replace(
        BASE,
        error=MigrationInterrupted("the migration was stopped: migsafe got a signal"),
        run=changed(code=21, tail=[]),
    ),
    "deadline": replace(
        BASE, error=DeadlineExceeded("it ran longer than 60 s"), run=changed(code=23)
    ),
    "proof": replace(
        BASE,
        error=ProofFailed("exited with 0, but table public.users shrank from 1000 to 3 rows"),
        run=changed(code=22),
    ),
    "stranded": replace(
        BASE,
        error=stranded(changed(why_stranded="No space left on device")),
        run=replace(RUN, phase=Phase.STRANDED),
    ),
    "stranded-damaged": replace(
        BASE,
        error=stranded(changed(why_stranded="the checksum is not the one in its manifest")),
        run=replace(changed(backup_lost=True), phase=Phase.STRANDED),
        whole="pre-migration-20260130-120000.sql",
    ),
    "stranded-lost": replace(
        BASE,
        error=stranded(changed(why_stranded="there is no backup")),
        run=replace(changed(backup_lost=True), phase=Phase.STRANDED),
    ),
    "stranded-role": replace(
        BASE,
        error=stranded(changed(why_stranded="No space left on device")),
        role="postgres",
        run=replace(RUN, phase=Phase.STRANDED),
        kept=KEPT,
    ),
    "disagrees": replace(
        BASE,
        error=JournalDisagrees("the journal says that it was swapped", hint="Look at both."),
        run=replace(changed(swapped_in="shop__migsafe_point_20260131_120000_3fa2"), stopped=("x",)),
    ),
    "pending": replace(BASE, error=RollbackPending("stopped in the middle", hint="Up again.")),
    "known-bad": replace(BASE, error=KnownBad("this image failed before", hint="Another.")),
    "ahead": replace(BASE, error=LedgerAhead("the database is ahead", hint="The newer."), run=None),
    "lost": replace(BASE, error=lost(DETAIL["backup"]), run=None),
    "lost-afar": replace(BASE, error=afar(DETAIL["backup"]), run=None),
    "unreachable": Facts(DatabaseUnavailable("it can't be used", hint="Check it."), PLACE),
    "no-app": Facts(
        EngineUnavailable("nobody waits", hint="Wait.", then=("up -d --force-recreate",)),
        replace(PLACE, project="live", env_files=("/home/ann/shop/live.env",)),
    ),
    "no-room": replace(
        BASE,
        error=PreflightFailed("3.0 MB are free on the server's volume", hint="Free some room."),
        run=None,
        kept=KEPT,
    ),
    "bug": Facts(place=PLACE, bug="KeyError: 'oid'"),
    "stuck": replace(
        BASE,
        error=None,
        run=replace(
            DONE,
            stopped=("shop-cron-1",),
            detail={**DONE.detail, "left": {"shop-cron-1": "no such device"}},
        ),
    ),
    "locked": Facts(AlreadyRunning("another run holds the lock: x", hint="Wait for it to end.")),
    "preflight": Facts(
        PreflightFailed("a is wrong; b is wrong", hint="Nothing was changed. Mend it.")
    ),
    "refused": replace(
        BASE,
        error=Refused("this image failed before on this database", hint="Use another image."),
        run=replace(RUN, stopped=("shop-worker-1",)),
    ),
    "settings": Facts(
        SettingsError("MIGSAFE_A is unknown\nMIGSAFE_B is no duration", hint="Mend it.")
    ),
    "done": replace(BASE, error=None, run=DONE),
    "unrestored": replace(
        RESTORING,
        error=PreflightFailed("sessions can't be ended: psql", hint="Nothing was changed. End."),
        run=replace(RUN, phase=Phase.ABANDONED, stopped=("shop-cron-1",)),
    ),
    "unrestored-busy": replace(
        RESTORING, error=AlreadyRunning("another run holds the lock: x", hint="Wait.")
    ),
    "unrestored-file": replace(
        RESTORING, restoring="", error=PreflightFailed("it is no dump", hint="Mend it.")
    ),
    "unrestored-no-app": replace(
        RESTORING,
        error=EngineUnavailable("nobody waits", hint="Wait.", then=("up -d --force-recreate",)),
    ),
    "unrestored-cut-off": replace(
        RESTORING, error=RunCutOff("run x was cut off", hint="Nothing was changed. Up, then.")
    ),
    "unrestored-damaged": replace(
        RESTORING, error=BackupDamaged("the checksum is not the one in its manifest", hint="No.")
    ),
    "unrestored-elsewhere": replace(
        RESTORING, error=Elsewhere("it is of 'x' on server 1, this is 'y' on 2", hint="Look.")
    ),
    "outside-unrestored": replace(
        RESTORING, outside=True, place=None, error=Elsewhere("it is of 'x'", hint="Look.")
    ),
    "outside-failed": replace(
        OUTSIDE, error=MigrationFailed("the migration exited with 1"), run=changed(command=[])
    ),
    "outside-interrupted": replace(
        OUTSIDE,
        error=MigrationInterrupted("the migration was interrupted"),
        run=changed(code=21, tail=[], command=[]),
    ),
    "outside-stranded": replace(
        OUTSIDE,
        error=stranded(changed(why_stranded="No space left on device")),
        run=replace(RUN, phase=Phase.STRANDED),
    ),
    "outside-busy": replace(
        OUTSIDE, error=AlreadyRunning("run x migrates", hint="Nothing was changed."), run=None
    ),
    "outside-bug": Facts(bug="KeyError: 'oid'", outside=True),
    "outside-done": replace(OUTSIDE, error=None, run=DONE),
}


@pytest.mark.parametrize("name", CARDS)
def test_the_words(name: str) -> None:
    """The card says what it said when its words were last read. UPDATE_GOLDEN=1 writes anew."""
    card = "\n".join(advice.card(CARDS[name])) + "\n"
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(card)

    assert golden.read_text() == card


@pytest.mark.parametrize("name", CARDS)
def test_it_fits(name: str) -> None:
    """At most 15 lines with the rule above it, of at most 100 columns."""
    card = advice.card(CARDS[name])

    assert len(card) <= 14
    assert all(len(line) <= 100 for line in card)


@given(
    database=st.text(min_size=1, max_size=63),
    reason=st.text(min_size=1, max_size=500),
    service=st.text("abcdef-_0123456789", min_size=1, max_size=60),
)
def test_hostile_words_do_not_break_it(database: str, reason: str, service: str) -> None:
    """Whatever names and errors hold, there is a card, and its commands are quoted."""
    facts = replace(
        BASE, error=MigrationFailed(reason), database=database, service=service, run=RUN
    )
    card = advice.card(facts)

    assert card
    assert any("up -d" in line for line in card)


def test_the_pin_is_a_compose_file() -> None:
    """The override that goes back is YAML that Compose reads."""
    services = yaml.safe_load(advice.pin(GOOD))["services"]

    assert GOOD == {name: service["image"] for name, service in services.items()}
    assert {"never"} == {service["pull_policy"] for service in services.values()}


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (PLACE, "docker compose"),
        (Place("myshop", "migsafe", "/home/ann/My.Shop"), "docker compose"),
        (replace(PLACE, project="live"), "docker compose -p live"),
        (
            replace(PLACE, config_files=("/home/ann/shop/prod.yml",)),
            "docker compose -f prod.yml",
        ),
        (
            replace(PLACE, env_files=("/home/ann/shop/live.env", "/etc/shop.env")),
            "docker compose --env-file live.env --env-file /etc/shop.env",
        ),
        (None, "docker compose"),
    ],
)
def test_the_project_is_named_where_it_must_be(place: Place | None, expected: str) -> None:
    """Commands are as short as the operator's own, and no shorter."""
    assert expected == shell.compose(place)


def test_secrets_are_hidden_before_a_line_ends_in_them() -> None:
    """A secret that would be broken over two lines is hidden, whole. Faults: 134."""
    secret = "seven words of a secret, and more"
    for padding in range(100):
        error = MigrationFailed(f"{'x' * padding} {secret}")
        text = " ".join(" ".join(advice.card(Facts(error), Redactor((secret,)))).split())

        assert "***" in text
        assert not [word for word in secret.split() if word in text]


def test_commands_are_as_they_must_be_typed() -> None:
    """A password that is also a common word takes nothing out of the commands on the card."""
    card = "\n".join(advice.card(BASE, Redactor(("data", "docker", "shop", "app"))))
    plain = "\n".join(advice.card(BASE))

    assert plain[plain.index("  all of it") :] == card[card.index("  all of it") :]


def test_a_line_ends_only_where_a_shell_goes_on() -> None:
    """No command is broken inside of quotes."""
    statement = "SELECT " + "'it is long', " * 12
    command = advice.Command("look", f'docker compose exec db psql -c "{statement}" -d shop')
    lines = command.lines()

    assert len(lines) > 1
    assert not [line for line in lines[:-1] if line.count('"') % 2]


def test_what_went_wrong_is_quoted_line_for_line() -> None:
    """The server's words and its detail stand on lines of their own, without the stack trace."""
    tail = (Path(__file__).parent / "outputs" / "rails-late.txt").read_text().splitlines()
    card = advice.card(replace(BASE, good={}, run=changed(tail=tail)))
    first = next(number for number, line in enumerate(card) if line.startswith("  output "))

    assert [
        '  output     PG::UniqueViolation: ERROR: could not create unique index "one_customer"',
        "             DETAIL: Key (lower(email))=(reader250@example.org) is duplicated.",
    ] == card[first : first + 2]
