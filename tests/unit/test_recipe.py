"""What to run."""

from dataclasses import replace

import pytest

from sidecar.errors import SettingsError
from sidecar.facts import App, LedgerState, Look
from sidecar.recipe import LONGEST_BRIEF, Recipe, Wishes, brief, choose

from .builders import look

APP = App("shop", "app", "c", "sha256:x", "shop:2", None, {})
NOTHING = look(tables=0, ledger=LedgerState("generic"))


def recipe(wishes: Wishes, found: Look, *files: str) -> Recipe:
    """Choose for an app that has those files."""
    return choose(wishes, found, APP, lambda path: path in files)


def test_the_ledger_tells_the_framework() -> None:
    """What migrated the database before migrates it now."""
    found = recipe(Wishes(), look())

    assert "rails" == found.preset.name
    assert "db:migrate" in found.command


def test_files_tell_before_there_is_a_ledger() -> None:
    """A first install is recognised by the app's files. Faults: 21."""
    found = recipe(Wishes(), NOTHING, "manage.py")

    assert "django" == found.preset.name
    assert ("python", "manage.py", "migrate", "--noinput") == found.command


def test_the_operator_has_the_last_word() -> None:
    """A command and a preset that are set count."""
    found = recipe(Wishes("django", ("make", "migrate"), ("make", "check")), look())

    assert "django" == found.preset.name
    assert ("make", "migrate") == found.command
    assert ("make", "check") == found.proof


def test_nothing_to_go_by_is_a_clear_error() -> None:
    """Without ledger, files and setting nobody guesses."""
    with pytest.raises(SettingsError, match="not known how 'app' is migrated") as caught:
        recipe(Wishes(), NOTHING)

    assert "MIGSAFE_MIGRATE" in caught.value.hint


def test_dangerous_flags_are_refused() -> None:
    """A flag that makes failures look like successes is refused before anything. Faults: 73."""
    ledger = LedgerState("laravel", "public", "migrations", ("1",))
    wishes = Wishes(migrate=("php", "artisan", "migrate", "--force", "--graceful"))
    with pytest.raises(SettingsError, match="--graceful"):
        recipe(wishes, look(ledger=ledger))


def test_an_unknown_preset_names_the_nearest() -> None:
    """A typo is told as one."""
    with pytest.raises(SettingsError, match="django"):
        recipe(Wishes(preset="djagno"), look())


def test_secrets_of_a_command_are_not_shown() -> None:
    """What is journalled and shown has no password in it. Faults: 134."""
    command = ("migrate", "-database", "postgres://u:c4n4ry@db/x", "up")
    found = recipe(Wishes(migrate=command), look())

    assert command == found.command
    assert "c4n4ry" not in " ".join(found.shown) + found.title
    assert replace(found, command=found.shown).shown == found.shown


def test_a_script_is_named_on_one_line() -> None:
    """A command of many lines is cut to what a log and a card have room for."""
    script = ("sh", "-c", "set -e\n" + "bin/migrate --with-an-option\n" * 9)

    assert "bin/migrate --check" == brief(("bin/migrate", "--check"))
    assert brief(script).startswith("sh -c 'set -e bin/migrate --with")
    assert len(brief(script)) <= LONGEST_BRIEF
    assert brief(script).isprintable()
