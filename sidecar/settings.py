"""The settings, from the environment and from files: every complaint at once."""

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from sidecar import address, endpoints, masking, options, parsing
from sidecar.address import Address, Ambiguous, Candidate
from sidecar.backups import Format
from sidecar.due import Rhythm
from sidecar.errors import SettingsError
from sidecar.failpoints import Failpoint
from sidecar.options import DATABASE_URL, FILE, PREFIX, SETTINGS, Empty, Log, LogLevel, Setting
from sidecar.policy import AfterFailure, Fence, Policy, RestorePoint
from sidecar.proof import LossPolicy, OnLoss
from sidecar.recipe import Wishes
from sidecar.retention import Generations
from sidecar.store_urls import Access, StoreUrl

DOCKER = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")

IDENTITY_FILE = "MIGSAFE_IDENTITY_FILE"
TOKEN_FILE = "gdrive-token.json"  # noqa: S105 - a name
"""In the folder of backups: where `connect gdrive` writes."""

RCLONE = re.compile(
    r"RCLONE_|AWS_|AZURE_|GOOGLE_APPLICATION_CREDENTIALS$|(https?|no|all)_proxy$|SSL_CERT_|HOME$",
    re.IGNORECASE,
)
"""Names of variables that rclone is given."""

HINT = "Nothing was changed. Correct the environment of the migsafe service and start again."


class Row(NamedTuple):
    """A setting as it is in force, for people."""

    name: str
    value_masked: str
    source: str
    help: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the operator said; None where the app, the preset or the server decide."""

    database_url: Address | None = None
    admin_url: Address | None = None
    app: str | None = None
    migrate: tuple[str, ...] | None = field(default=None, repr=False)
    preset: str | None = None
    check: tuple[str, ...] | None = field(default=None, repr=False)
    assertions: tuple[str, ...] = field(default=(), repr=False)
    backups: Path
    stores: tuple[StoreUrl, ...] = ()
    require_remote: bool = False
    gdrive_token: str = field(default="", repr=False)
    gdrive_service_account: str = field(default="", repr=False)
    gdrive_team_drive: str = ""
    format: Format
    encrypt_to: tuple[str, ...] = ()
    identity_file: Path | None = None
    restore_point: RestorePoint
    deadline: timedelta
    wait: timedelta
    fence: Fence
    on_loss: OnLoss
    loss_percent: float
    loss_allowed: tuple[str, ...] = ()
    after_failure: AfterFailure
    empty: Empty
    keep: timedelta
    schedule: Rhythm
    retention: Generations
    verify: Rhythm | None
    final_backup: bool
    release: str | None = None
    shared: Path
    notify: tuple[str, ...] = field(default=(), repr=False)
    ping_url: str | None = field(default=None, repr=False)
    metrics_file: Path | None = None
    metrics_port: int | None = None
    log: Log
    log_level: LogLevel
    failpoints: Mapping[str, Failpoint] = field(default_factory=dict)
    docker: Mapping[str, str] = field(default_factory=dict)
    """Docker's own variables, where set."""
    rclone: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables of rclone, and of the services that it reaches, where set."""
    timezone: str = ""
    """Of the container: ``TZ``."""
    colour: bool = True
    """Nobody has said NO_COLOR (https://no-color.org)."""
    journal: str = ""
    """Which stream leads to systemd's journal, where it has started us."""
    sources: Mapping[str, str]
    """By variable: ``default``, ``environment``, ``file /run/secrets/x`` or ``DATABASE_URL``."""

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read the process's own environment; raises SettingsError."""
        return cls.read(os.environ, _text_of)

    @classmethod
    def read(cls, env: Mapping[str, str], read_file: Callable[[str], str]) -> "Settings":
        """
        Build the settings.

        Args:
            env: the guard's environment.
            read_file: reads a file as text; raises OSError.

        Raises:
            SettingsError: all complaints, a line each.

        """
        reader = _Reader(env, read_file)
        reader.refuse_unknown()
        for setting in SETTINGS:
            reader.take(setting)
        reader.fall_back()
        reader.agree()
        reader.follow()
        if reader.complaints:
            raise SettingsError("\n".join(reader.complaints), hint=HINT)
        docker = {name: env[name] for name in DOCKER if env.get(name)}
        colour = not env.get("NO_COLOR")
        rclone = {name: env[name] for name in env if RCLONE.match(name)}
        return cls(
            **reader.values,
            docker=docker,
            rclone=rclone,
            colour=colour,
            journal=env.get("JOURNAL_STREAM", ""),
            timezone=env.get("TZ", ""),
            sources=reader.sources,
        )

    def policy(self, migrate: tuple[str, ...] | None = None) -> Policy:
        """Hand over what the stories need; the command may be given elsewhere."""
        return Policy(
            wishes=Wishes(self.preset, migrate or self.migrate, self.check),
            assertions=self.assertions,
            format=self.format,
            restore_point=self.restore_point,
            deadline=self.deadline,
            wait=self.wait,
            fence=self.fence,
            loss=LossPolicy(self.on_loss, self.loss_percent, self.loss_allowed),
            after_failure=self.after_failure,
            initialise=self.empty is Empty.INITIALISE,
            refill=self.empty is Empty.RESTORE,
            keep=self.keep,
        )

    def access(self) -> Access:
        """Hand over what stores are opened with."""
        token = self.gdrive_token or _kept_token(self.backups)
        return Access(self.rclone, token, self.gdrive_service_account, self.gdrive_team_drive)

    def secrets(self) -> tuple[str, ...]:
        """List every secret that no log may show, in each of its spellings."""
        addresses = filter(None, (self.database_url, self.admin_url))
        commands = filter(None, (self.migrate, self.check))
        found = [secret for address_ in addresses for secret in address_.secrets()]
        found += [secret for url in self.urls() for secret in endpoints.secrets(url)]
        found += [secret for words in commands for secret in masking.secrets_in(words)]
        found += _secrets_of_stores(self)
        return tuple(dict.fromkeys(found))

    def urls(self) -> tuple[str, ...]:
        """List the addresses that are told something; each is a secret."""
        return (*self.notify, *filter(None, (self.ping_url,)))

    def describe(self) -> list[Row]:
        """List the settings in force, secrets masked, with where each came from."""
        return [
            Row(setting.name, self._shown(setting), self.sources[setting.name], setting.help)
            for setting in SETTINGS
        ]

    def _shown(self, setting: Setting) -> str:
        if self.sources[setting.name] == "default":
            return setting.default or setting.unset
        value = getattr(self, setting.field)
        if setting.show is not None:
            return setting.show(value)
        match value:
            case timedelta() as length:
                return parsing.spell(length)
            case float() as number:
                return f"{number:g}"
            case tuple() as words if setting.parse is parsing.command:
                return shlex.join(masking.masked(word, self.secrets()) for word in words)
            case tuple() as items:
                separator = " " if setting.parse is parsing.names else "; "
                return masking.masked(separator.join(items), self.secrets())
            case bool():
                return str(value).lower()
            case _:
                return str(value)


class _Reader:
    """Goes through the environment and keeps every complaint."""

    def __init__(self, env: Mapping[str, str], read_file: Callable[[str], str]) -> None:
        self._env = env
        self._read_file = read_file
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.complaints: list[str] = []

    def refuse_unknown(self) -> None:
        """Complain of every name that is not a setting of this version."""
        for name in sorted(self._env):
            if complaint := options.unknown(name):
                self.complaints.append(complaint)

    def take(self, setting: Setting) -> None:
        """Read one setting."""
        try:
            text, source = self._text(setting)
        except ValueError as error:
            self.complaints.append(str(error))
            return
        self.sources[setting.name] = source
        if not text:
            return
        try:
            self.values[setting.field] = setting.parse(text)
        except ValueError as error:
            self.complaints.append(f"{setting.name}: {error}")

    def _text(self, setting: Setting) -> tuple[str, str]:
        """Return the text and where it comes from; raises ValueError with the whole complaint."""
        name, file = setting.name, setting.name + FILE
        value, path = (self._env.get(key, "").strip() for key in (name, file))
        if value and path:
            raise ValueError(f"both {name} and {file} are set")
        if path:
            return self._file(file, path), f"file {path}"
        return (value, "environment") if value else (setting.default, "default")

    def _file(self, name: str, path: str) -> str:
        try:
            text = self._read_file(path)
        except OSError as error:
            reason = error.strerror or "it is missing"
            raise ValueError(f"{name}: {path} can't be read: {reason}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{name}: {path} can't be read: it is not text") from None
        text = text.removesuffix("\n").removesuffix("\r")
        if not text.strip():
            raise ValueError(f"{name}: {path} is empty")
        return text

    def agree(self) -> None:
        """Demand that somebody has thought of who can read what is encrypted."""
        if "encrypt_to" in self.values and self.sources.get(IDENTITY_FILE) == "default":
            self.complaints.append(
                f"{IDENTITY_FILE} is not set, and backups are encrypted: name the file with the"
                f" private key, or say {parsing.ELSEWHERE!r} where it is not on this machine"
            )

    def fall_back(self) -> None:
        """Without a URL of our own, take the database that the usual variables name."""
        if self.sources.get(DATABASE_URL) != "default":
            return
        match address.choose(address.from_environment(self._env, self._read_file)):
            case Candidate(source=source, address=found):
                self.values["database_url"] = found
                self.sources[DATABASE_URL] = source
            case Ambiguous() as unclear:
                self.complaints.append(f"{unclear} (set {DATABASE_URL})")

    def follow(self) -> None:
        """In memory the backups are all that there is: they have to be elsewhere, too."""
        ram = self.values.get("empty") is Empty.RESTORE
        if ram and self.sources.get("MIGSAFE_REQUIRE_REMOTE") == "default":
            self.values["require_remote"] = True
            self.sources["MIGSAFE_REQUIRE_REMOTE"] = "MIGSAFE_EMPTY"


def _kept_token(folder: Path) -> str:
    """Read the token that `connect` has written; empty where there is none."""
    try:
        return parsing.token((folder / TOKEN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""


def _secrets_of_stores(settings: Settings) -> Iterator[str]:
    access = settings.access() if settings.stores else Access()
    for text in (access.drive_token, access.drive_key):
        values = json.loads(text) if text else {}
        named = {"access_token", "refresh_token", "private_key", "client_secret"}
        yield from (str(values[name]) for name in named & values.keys() if values[name])
    for name, value in settings.rclone.items():
        if masking.is_secret(name, value) and len(value) >= masking.SHORTEST:
            yield value


def environment() -> dict[str, str]:
    """Copy the process's own environment, without what is migsafe's: for the app's programs."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def _text_of(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
