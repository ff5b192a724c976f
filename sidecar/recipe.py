"""What to run: the preset, the migrate command and the check, from settings and what was found."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sidecar import masking, presets
from sidecar.errors import SettingsError
from sidecar.facts import App, Look
from sidecar.presets import Check, Preset

LONGEST_BRIEF = 70
"""So much of a command names it: scripts of many lines are commands too."""


@dataclass(frozen=True)
class Wishes:
    """What the operator said; None where the preset decides."""

    preset: str | None = None
    migrate: tuple[str, ...] | None = None
    check: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Recipe:
    """How this app is migrated."""

    preset: Preset
    command: tuple[str, ...]
    check: Check | None = None
    """The preset's own: is anything pending?"""
    proof: tuple[str, ...] = ()
    """The operator's own: exit code 0 proves the migrated database."""

    @property
    def shown(self) -> tuple[str, ...]:
        """The command without its secrets: what is journalled, compared and shown."""
        secrets = masking.secrets_in(self.command)
        return tuple(masking.masked(word, secrets) for word in self.command)

    @property
    def title(self) -> str:
        """The command as a person would type it, and whose it is."""
        return f"{brief(self.shown)} ({self.preset.title})"


def brief(command: Sequence[str]) -> str:
    """Name a command on one line, whatever is in it."""
    text = " ".join(shlex.join(command).split())
    return text if len(text) <= LONGEST_BRIEF else f"{text[: LONGEST_BRIEF - 2].rstrip()} …"


def choose(wishes: Wishes, look: Look, app: App, has_file: Callable[[str], bool]) -> Recipe:
    """
    Put the recipe together.

    The ledger in the database tells the framework; before there is one, the app's files do.

    Raises:
        SettingsError: nobody said what to run, or it is dangerous.

    """
    preset = _preset(wishes, look, has_file)
    command = wishes.migrate or preset.migrate
    if command is None:
        raise SettingsError(
            f"it is not known how {app.service!r} is migrated (recognised: {preset.title})",
            hint=preset.hint
            or "Set MIGSAFE_MIGRATE to the command that migrates, as the app's service runs it.",
        )
    if refused := presets.refused_flags(preset, command):
        raise SettingsError("; ".join(refused), hint="Change MIGSAFE_MIGRATE.")
    return Recipe(preset, tuple(command), preset.check, wishes.check or ())


def of_others(wishes: Wishes, look: Look) -> Recipe:
    """Put the recipe of a migration together that somebody else runs."""
    return Recipe(_preset(wishes, look, lambda _: False), ())


def refuse_code(wishes: Wishes) -> None:
    """
    Refuse to run anything of the app's where its code is not at hand.

    Raises:
        SettingsError: it was asked for.

    """
    asked = [name for name in ("migrate", "check") if getattr(wishes, name)]
    if asked:
        raise SettingsError(
            f"MIGSAFE_{asked[0].upper()} can't be run: the app's code is not at hand where somebody"
            " else runs the migration",
            hint="Leave it out; MIGSAFE_ASSERT proves by SQL.",
        )


def _preset(wishes: Wishes, look: Look, has_file: Callable[[str], bool]) -> Preset:
    if wishes.preset is not None:
        try:
            return presets.refine(presets.by_name(wishes.preset), has_file)
        except ValueError as error:
            raise SettingsError(f"MIGSAFE_PRESET: {error}") from None
    if look.ledger.table:
        return presets.refine(presets.by_name(look.ledger.preset), has_file)
    return presets.recognise_by_files(has_file) or presets.GENERIC
