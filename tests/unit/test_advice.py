"""The card: what happened, is my data safe, what to type. Golden files hold its words."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar import advice
from sidecar.advice import Facts
from sidecar.errors import (
    AlreadyRunning,
    DeadlineExceeded,
    MigrationFailed,
    MigrationInterrupted,
    PreflightFailed,
    ProofFailed,
    RollbackPending,
    SettingsError,
)
from sidecar.facts import Place
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
BASE = Facts(FAILED, PLACE, "app", "shop", "shop", RUN, GOOD, "Django keeps what ran before.")
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
    "pending": replace(BASE, error=RollbackPending("stopped in the middle", hint="Up again.")),
    "locked": Facts(AlreadyRunning("another run holds the lock: x", hint="Wait for it to end.")),
    "preflight": Facts(
        PreflightFailed("a is wrong; b is wrong", hint="Nothing was changed. Mend it.")
    ),
    "settings": Facts(
        SettingsError("MIGSAFE_A is unknown\nMIGSAFE_B is no duration", hint="Mend it.")
    ),
    "done": replace(BASE, error=None, run=DONE),
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
        (None, "docker compose"),
    ],
)
def test_the_project_is_named_where_it_must_be(place: Place | None, expected: str) -> None:
    """Commands are as short as the operator's own, and no shorter."""
    assert expected == advice.compose(place)
