"""Which settings there are: one table that reading, documentation and help come from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sidecar import address, due, endpoints, failpoints, masking, parsing, store_urls
from sidecar.backups import Format
from sidecar.policy import AfterFailure, Fence, RestorePoint
from sidecar.proof import OnLoss
from sidecar.retention import Generations

PREFIX = "MIGSAFE_"
BACKUPS = "/backups"
"""Where the override mounts the folder of backups."""
FILE = "_FILE"
DATABASE_URL = "MIGSAFE_DATABASE_URL"


class Empty(StrEnum):
    """What an empty database means although backups exist."""

    REFUSE = "refuse"
    RESTORE = "restore"
    INITIALISE = "initialise"


class Log(StrEnum):
    """How the log is written."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """From which weight on messages are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Setting:
    """One setting: what documentation, ``config`` and ``--help`` say about it comes from here."""

    name: str
    default: str
    """As one would write it; empty where ``unset`` says what happens."""
    parse: Callable[[str], Any]
    """From text to value; raises ValueError with a sentence that holds no secret."""
    help: str
    unset: str = "none"
    attribute: str = ""
    """Of Settings, where it is not simply the name."""
    show: Callable[[Any], str] | None = None
    """From value to text for people, without a secret, where that is not the same for all."""

    @property
    def field(self) -> str:
        """The attribute of Settings."""
        return self.attribute or self.name.removeprefix(PREFIX).lower()


SETTINGS = (
    Setting(
        DATABASE_URL,
        "",
        address.parse,
        "the database that is guarded",
        unset="the app's own, read from its environment",
    ),
    Setting(
        "MIGSAFE_ADMIN_URL",
        "",
        parsing.admin_url,
        "for a role that may create and rename databases, when the app's may not",
        unset="the same server and role, database `postgres`",
    ),
    Setting(
        "MIGSAFE_APP",
        "",
        parsing.service,
        "the Compose service whose migrations are run",
        unset="the service that waits for migsafe",
    ),
    Setting(
        "MIGSAFE_MIGRATE",
        "",
        parsing.command,
        "the command that migrates: a string, split as a shell would, or a JSON list",
        unset="by preset",
    ),
    Setting(
        "MIGSAFE_PRESET",
        "",
        parsing.preset,
        "the framework, such as `django` or `rails`",
        unset="recognised from the ledger",
    ),
    Setting(
        "MIGSAFE_CHECK",
        "",
        parsing.command,
        "a command, run in the app's image, whose exit code 0 proves the migrated database",
        unset="by preset",
    ),
    Setting(
        "MIGSAFE_ASSERT",
        "",
        parsing.statements,
        "SQL that must return true after migrating; several end with `;` at the end of a line",
        attribute="assertions",
    ),
    Setting("MIGSAFE_BACKUPS", BACKUPS, parsing.folder, "the folder of backups"),
    Setting(
        "MIGSAFE_STORES",
        "",
        store_urls.parse,
        "further stores, by space: `gs://bucket/prefix`, `gdrive://folder-id`,"
        " `rclone://remote/path` ([how](stores.md))",
        show=lambda urls: " ".join(url.title for url in urls),
    ),
    Setting(
        "MIGSAFE_REQUIRE_REMOTE",
        "false",
        parsing.truth,
        "`true`: no migration is started before its backup is in every store; the default with"
        " `MIGSAFE_EMPTY=restore`",
    ),
    Setting(
        "MIGSAFE_GDRIVE_TOKEN",
        "",
        parsing.token,
        "signs in to Google Drive as you; `migsafe connect gdrive` makes one",
        unset="`gdrive-token.json` in the folder of backups",
        show=lambda _: masking.MASK,
    ),
    Setting(
        "MIGSAFE_GDRIVE_SERVICE_ACCOUNT",
        "",
        parsing.key,
        "signs in to Google Drive as a service account, for shared drives: the JSON of its key",
        show=lambda _: masking.MASK,
    ),
    Setting(
        "MIGSAFE_GDRIVE_TEAM_DRIVE",
        "",
        parsing.drive_id,
        "the id of the shared drive that the folder is in",
        unset="the folder is in My Drive",
    ),
    Setting(
        "MIGSAFE_FORMAT",
        "sql",
        parsing.one_of(Format),
        "of pre-migration backups: `sql` for any psql, or `archive` (smaller and faster, for"
        " pg_restore); all others are archives",
    ),
    Setting(
        "MIGSAFE_ENCRYPT_TO",
        "",
        parsing.recipients,
        "public keys that backups are encrypted to, by space or line: `age1…`, `ssh-ed25519 …`,"
        " `ssh-rsa …`",
        unset="backups are not encrypted",
    ),
    Setting(
        "MIGSAFE_IDENTITY_FILE",
        "",
        parsing.identity,
        "the file with the private key that opens them, to roll back, restore and verify; or"
        " `elsewhere`: it is not on this machine",
        unset="none; with MIGSAFE_ENCRYPT_TO one of both must be said",
        show=lambda path: str(path or parsing.ELSEWHERE),
    ),
    Setting(
        "MIGSAFE_RESTORE_POINT",
        "auto",
        parsing.one_of(RestorePoint),
        "a clone on the server that makes rolling back quick: `auto`, `always`, `never`; `keep`: as"
        " `auto`, and after a success it stays until the next one, for `rollback`: as much room as"
        " the database takes",
    ),
    Setting(
        "MIGSAFE_DEADLINE",
        "1h",
        parsing.duration,
        "the longest time that a migration may take",
    ),
    Setting(
        "MIGSAFE_WAIT",
        "60s",
        parsing.duration,
        "how long to wait for the database to come up",
    ),
    Setting(
        "MIGSAFE_FENCE",
        "services",
        parsing.one_of(Fence),
        "`services`: stop the project's own users of the database, name and watch strangers;"
        " `strict`: refuse while there are strangers; `terminate`: end their sessions; `none`",
    ),
    Setting(
        "MIGSAFE_ON_LOSS",
        "fail",
        parsing.one_of(OnLoss),
        "when a table vanished or shrank too much: `fail`, or `warn`",
    ),
    Setting(
        "MIGSAFE_LOSS_PERCENT",
        "50",
        parsing.percent,
        "how much of its rows a table may lose",
    ),
    Setting(
        "MIGSAFE_LOSS_ALLOWED",
        "",
        parsing.names,
        "tables that may shrink or vanish, by space or comma, with `*`",
    ),
    Setting(
        "MIGSAFE_AFTER_FAILURE",
        "hold",
        parsing.one_of(AfterFailure),
        "`hold`: what was stopped stays stopped; `resume`: it is started again",
    ),
    Setting(
        "MIGSAFE_EMPTY",
        "refuse",
        parsing.one_of(Empty),
        "an empty database although backups exist: `refuse`; `restore` the newest (RAM mode: an"
        " empty one without backups is refused then, too); or `initialise` it",
    ),
    Setting(
        "MIGSAFE_KEEP",
        "7d",
        parsing.duration_with_unit,
        "how long pre-migration backups and kept databases are kept",
    ),
    Setting(
        "MIGSAFE_SCHEDULE",
        "hourly",
        due.Rhythm.parse,
        "when `schedule` takes a backup: `hourly`, `daily`, `weekly`, a duration such as `15m`, or"
        " a cron expression in the container's time zone (`TZ`)",
    ),
    Setting(
        "MIGSAFE_RETENTION",
        "hourly=24 daily=7 weekly=4 monthly=6",
        Generations.parse,
        "how many scheduled backups are kept: of so many hours, days, weeks and months one each",
    ),
    Setting(
        "MIGSAFE_VERIFY",
        "weekly",
        due.sometimes,
        "how often `schedule` proves that the newest backup of each kind restores; `never`",
        show=lambda rhythm: str(rhythm or due.NEVER),
    ),
    Setting(
        "MIGSAFE_FINAL_BACKUP",
        "false",
        parsing.truth,
        "`schedule` takes a last backup when it is stopped, before the database is: `true`",
    ),
    Setting(
        "MIGSAFE_RELEASE",
        "",
        parsing.release,
        "for `begin` and `wrap`: what the release is called; the same is not migrated twice",
        unset="not known: the migration always runs",
    ),
    Setting(
        "MIGSAFE_SHARED",
        "/migsafe",
        parsing.folder,
        "the folder that `begin`, the migration and `conclude` share",
    ),
    Setting(
        "MIGSAFE_NOTIFY",
        "",
        endpoints.messengers,
        "who is told of failures, by space or line: URLs of Apprise, such as `mailto://…`,"
        " `ntfys://…`, `slack://…`",
        unset="nobody",
        show=lambda urls: " ".join(map(endpoints.shown, urls)),
    ),
    Setting(
        "MIGSAFE_PING_URL",
        "",
        endpoints.ping,
        "a dead-man's switch for scheduled backups, as healthchecks.io has it",
        show=endpoints.shown_ping,
    ),
    Setting(
        "MIGSAFE_METRICS_FILE",
        "",
        parsing.metrics_file,
        "a file ending in `.prom` for node_exporter's textfile collector, written by `schedule`",
    ),
    Setting(
        "MIGSAFE_METRICS_PORT",
        "",
        parsing.port,
        "a port on which `schedule` answers Prometheus at `/metrics`",
    ),
    Setting(
        "MIGSAFE_LOG", "auto", parsing.one_of(Log), "how it is written: `auto`, `console`, `json`"
    ),
    Setting(
        "MIGSAFE_LOG_LEVEL",
        "info",
        parsing.one_of(LogLevel),
        "`debug`, `info`, `warning`, `error`",
    ),
    Setting(
        "MIGSAFE_FAILPOINTS",
        "",
        failpoints.parse,
        "for tests of migsafe: where a run dies; leave it alone",
    ),
)


ELSEWHERE = frozenset({"MIGSAFE_IMAGE", "MIGSAFE_BACKUPS_VOLUME"})
"""Read by Compose in the override file; harmless where they reach the container."""


def unknown(name: str) -> str:
    """Complain of a variable that begins as ours do and is not; empty where there is nothing."""
    known = {setting.name for setting in SETTINGS}
    base = name if name in known else name.removesuffix(FILE)
    if not name.startswith(PREFIX) or name in ELSEWHERE or base in known:
        return ""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a complaint

    names = sorted(each.removeprefix(PREFIX) for each in known)
    nearest = get_close_matches(base.removeprefix(PREFIX), names, n=1)
    if not nearest:
        return f"{name} is unknown, and like none of docs/settings.md"
    ending = FILE if base != name else ""
    return f"{name} is unknown: the nearest setting is {PREFIX}{nearest[0]}{ending}"


def settings_table() -> str:
    """Write the table of all settings, in Markdown."""
    return "".join(f"{line}\n" for line in _table_lines())


def _table_lines() -> Iterator[str]:
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else setting.unset
        yield f"| `{setting.name}` | {default} | {setting.help} |"
