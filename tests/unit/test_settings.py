"""Settings: from variables and files, every complaint at once, no secret shown."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from sidecar.address import Address
from sidecar.backups import Format
from sidecar.due import Rhythm
from sidecar.errors import SettingsError
from sidecar.options import ELSEWHERE, SETTINGS, Empty, Log, LogLevel, settings_table
from sidecar.policy import AfterFailure, Fence, Policy, RestorePoint
from sidecar.proof import LossPolicy, OnLoss
from sidecar.recipe import Wishes
from sidecar.retention import Generations
from sidecar.settings import Settings

ROOT = Path(__file__).parents[2]
URL = "postgres://app:cAnArY@db/shop"


def _shop() -> Address:
    return Address("db", database="shop", user="app", password="cAnArY")


def _no_file(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def _files(files: Mapping[str, str]) -> Callable[[str], str]:
    return lambda path: files[path] if path in files else _no_file(path)


def _read(**env: str) -> Settings:
    return Settings.read({f"MIGSAFE_{name}": value for name, value in env.items()}, _no_file)


def _complaints(env: Mapping[str, str], read: Callable[[str], str] = _no_file) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        Settings.read(env, read)
    return caught.value.message.splitlines()


def test_no_colour() -> None:
    """NO_COLOR counts where it is not empty, as https://no-color.org says."""
    assert [True, True, False] == [
        Settings.read(env, _no_file).colour for env in ({}, {"NO_COLOR": ""}, {"NO_COLOR": "1"})
    ]


def test_defaults() -> None:
    """With nothing set, everything has the value that the design names."""
    expected = Settings(
        backups=Path("/backups"),
        format=Format.SQL,
        restore_point=RestorePoint.AUTO,
        deadline=timedelta(hours=1),
        wait=timedelta(seconds=60),
        fence=Fence.SERVICES,
        on_loss=OnLoss.FAIL,
        loss_percent=50.0,
        after_failure=AfterFailure.HOLD,
        empty=Empty.REFUSE,
        keep=timedelta(days=7),
        schedule=Rhythm("hourly", "0 * * * *"),
        retention=Generations(24, 7, 4, 6),
        verify=Rhythm("weekly", "0 0 * * SUN"),
        final_backup=False,
        shared=Path("/migsafe"),
        log=Log.AUTO,
        log_level=LogLevel.INFO,
        sources={setting.name: "default" for setting in SETTINGS},
    )

    assert expected == _read()


def test_policy_defaults() -> None:
    """The stories' own defaults are those of the settings."""
    assert Policy() == _read().policy()


def test_policy() -> None:
    """What the operator said reaches the stories."""
    found = _read(
        MIGRATE="flask db upgrade",
        PRESET="django",
        CHECK='["test", "-f", "a b"]',
        ASSERT="select true",
        FORMAT="archive",
        RESTORE_POINT="never",
        DEADLINE="2h",
        WAIT="5",
        FENCE="strict",
        ON_LOSS="warn",
        LOSS_PERCENT="12.5%",
        LOSS_ALLOWED="sessions, tmp_*",
        AFTER_FAILURE="resume",
        EMPTY="initialise",
    )
    expected = Policy(
        wishes=Wishes("django", ("flask", "db", "upgrade"), ("test", "-f", "a b")),
        assertions=("select true",),
        format=Format.ARCHIVE,
        restore_point=RestorePoint.NEVER,
        deadline=timedelta(hours=2),
        wait=timedelta(seconds=5),
        fence=Fence.STRICT,
        loss=LossPolicy(OnLoss.WARN, 12.5, ("sessions", "tmp_*")),
        after_failure=AfterFailure.RESUME,
        initialise=True,
    )

    assert expected == found.policy()


def test_values() -> None:
    """The settings that are not policy are read as well."""
    found = _read(
        DATABASE_URL=URL,
        ADMIN_URL="postgres://root@db",
        APP="web",
        BACKUPS="/var/backups",
        KEEP="2w",
        LOG="JSON",
        LOG_LEVEL="debug",
    )
    admin = Address("db", database="postgres", user="root")
    expected = (_shop(), admin, "web", Path("/var/backups"), timedelta(days=14))

    assert expected == (found.database_url, found.admin_url, found.app, found.backups, found.keep)
    assert found.log is Log.JSON
    assert found.log_level is LogLevel.DEBUG


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_empty_is_unset(value: str) -> None:
    """An empty variable, as Compose makes it of an unset one, counts as not set."""
    names = [setting.name for setting in SETTINGS]

    assert _read() == Settings.read(dict.fromkeys(names, value) | {"MIGSAFE_STORES": ""}, _no_file)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_as_file(setting: object) -> None:
    """Each setting can stand in a file, and one newline at its end does not belong to it."""
    name = getattr(setting, "name", "")
    values = {
        "MIGSAFE_DATABASE_URL": URL,
        "MIGSAFE_ADMIN_URL": URL,
        "MIGSAFE_PRESET": "django",
        "MIGSAFE_NOTIFY": "ntfys://ntfy.sh/topic",
        "MIGSAFE_PING_URL": "https://hc-ping.com/key",
        "MIGSAFE_METRICS_FILE": "/metrics/migsafe.prom",
        "MIGSAFE_METRICS_PORT": "9187",
        "MIGSAFE_FAILPOINTS": "lock.taken=kill",
        "MIGSAFE_IDENTITY_FILE": "/key",
        "MIGSAFE_STORES": "gs://bucket/shop rclone://nas//srv/backups",
        "MIGSAFE_GDRIVE_TOKEN": '{"access_token": "a", "refresh_token": "b"}',
        "MIGSAFE_GDRIVE_SERVICE_ACCOUNT": '{"type": "service_account", "private_key": "k"}',
        "MIGSAFE_GDRIVE_TEAM_DRIVE": "0AbCdEfG",
    }
    more = {"MIGSAFE_IDENTITY_FILE": "elsewhere"} if name == "MIGSAFE_ENCRYPT_TO" else {}
    text = values.get(name) or getattr(setting, "default", "") or "word"
    path = "/run/secrets/x"

    for ending in ("", "\n", "\r\n"):
        found = Settings.read({f"{name}_FILE": path, **more}, _files({path: text + ending}))

        plain = vars(Settings.read({name: text, **more}, _no_file))
        assert plain | {"sources": found.sources} == vars(found)
        assert f"file {path}" == found.sources[name]


def test_one_newline_only() -> None:
    """A password file keeps everything but the last newline."""
    found = Settings.read({"MIGSAFE_MIGRATE_FILE": "/m"}, _files({"/m": '["a", "b\\n"]\n'}))

    assert found.migrate == ("a", "b\n")


def test_complaints_at_once() -> None:
    """Every complaint is made in one message, a line each, and none of them shows a secret."""
    env = {
        "MIGSAFE_DATABASE_URL": "mysql://app:cAnArY@db/shop",
        "MIGSAFE_ADMIN_URL": "postgres://app:cAnArY@db:x/shop",
        "MIGSAFE_APP": "my app",
        "MIGSAFE_MIGRATE": "a 'b cAnArY",
        "MIGSAFE_CHECK": "a && b",
        "MIGSAFE_PRESET_FILE": "/run/secrets/preset",
        "MIGSAFE_ASSERT": "select 1; select 2",
        "MIGSAFE_BACKUPS": "backups",
        "MIGSAFE_FORMAT": "sql",
        "MIGSAFE_FORMAT_FILE": "/format",
        "MIGSAFE_FENCE": "high",
        "MIGSAFE_DEADLINE": "soon",
        "MIGSAFE_WAIT": "0",
        "MIGSAFE_LOSS_PERCENT": "101",
        "MIGSAFE_LOG_FILE": "/empty",
        "MIGSAFE_NOTIFY": "ntfys://ntfy.sh/ok cAnArY",
        "MIGSAFE_PING_URL": "hc-ping.com/cAnArY",
        "MIGSAFE_METRICS_FILE": "/metrics/migsafe.txt",
        "MIGSAFE_METRICS_PORT": "0",
        "MIGSAFE_DEDLINE": "1h",
        "MIGSAFE_STORES": "s3://bucket rclone:// gs://shop/a/../b gs://shop gs://shop",
        "MIGSAFE_REQUIRE_REMOTE": "maybe",
        "MIGSAFE_GDRIVE_TOKEN": "cAnArY",
    }
    expected = [
        "MIGSAFE_DEDLINE is unknown: the nearest setting is MIGSAFE_DEADLINE",
        "MIGSAFE_DATABASE_URL: it is a MySQL URL: only PostgreSQL is guarded",
        "MIGSAFE_ADMIN_URL: its host and port can't be read: special characters of a password"
        " are written as %XX, an IPv6 address stands in brackets",
        "MIGSAFE_APP: it is not the name of a Compose service",
        "MIGSAFE_MIGRATE: it has a quote that is not closed, or a lone \\ at the end",
        "MIGSAFE_PRESET_FILE: /run/secrets/preset can't be read: No such file or directory",
        "MIGSAFE_CHECK: it needs a shell: write sh -c '…', or a JSON list where it is meant"
        " literally",
        "MIGSAFE_ASSERT: it has a ; in the middle of a line: begin a new line after it",
        "MIGSAFE_BACKUPS: it is not an absolute path",
        "MIGSAFE_STORES: the first: it is no gs://bucket/prefix, gdrive://folder-id or"
        " rclone://remote/path; the second: after rclone:// comes the name of a remote, as"
        " `rclone listremotes` shows it; the third: a part of its path is empty, or . or ..;"
        " gs://shop is named twice",
        "MIGSAFE_REQUIRE_REMOTE: it is not true or false",
        "MIGSAFE_GDRIVE_TOKEN: it is not the JSON that `rclone authorize drive` prints, with a"
        " refresh_token in it",
        "both MIGSAFE_FORMAT and MIGSAFE_FORMAT_FILE are set",
        "MIGSAFE_DEADLINE: it is not a duration such as 90s, 10m, 1h30m or 7d",
        "MIGSAFE_WAIT: it is not longer than nothing and at most ten years",
        "MIGSAFE_FENCE: it is not one of services, strict, terminate, none",
        "MIGSAFE_LOSS_PERCENT: it is not a number from 0 to 100",
        "MIGSAFE_NOTIFY: number 2 of 2 is not a URL such as mailto://… or ntfys://…",
        "MIGSAFE_PING_URL: it is not a URL such as https://hc-ping.com/… (http or https)",
        "MIGSAFE_METRICS_FILE: its name does not end in .prom",
        "MIGSAFE_METRICS_PORT: it is not a port: a number from 1 to 65535",
        "MIGSAFE_LOG_FILE: /empty is empty",
    ]

    assert expected == _complaints(env, _files({"/empty": "\n"}))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MIGSAFE_DATABASE_URI", "MIGSAFE_DATABASE_URL"),
        ("MIGSAFE_DATABSE_URL_FILE", "MIGSAFE_DATABASE_URL_FILE"),
        ("MIGSAFE_MIGRATION", "MIGSAFE_MIGRATE"),
        ("MIGSAFE_ONLOSS", "MIGSAFE_ON_LOSS"),
        ("MIGSAFE_STORE", "MIGSAFE_STORES"),
        ("MIGSAFE_LOGLEVEL", "MIGSAFE_LOG_LEVEL"),
    ],
)
def test_unknown(name: str, nearest: str) -> None:
    """A name that is none of ours is refused with the nearest one, even when it is empty."""
    expected = [f"{name} is unknown: the nearest setting is {nearest}"]

    assert expected == _complaints({name: ""})


def test_unknown_and_like_nothing() -> None:
    """No setting is named that has nothing to do with it."""
    assert ["MIGSAFE_FOO is unknown, and like none of docs/settings.md"] == _complaints(
        {"MIGSAFE_FOO": "1"}
    )


def test_stores_by_comma() -> None:
    """It is said how they are separated."""
    (complaint,) = _complaints({"MIGSAFE_STORES": "gs://shop-one,gdrive://1AbCdEf"})
    assert complaint == (
        "MIGSAFE_STORES: the first: there is a comma in it: stores are separated by space"
    )


def test_what_follows_is_shown() -> None:
    """In memory no migration starts before its backup is elsewhere: `config` says so, and why."""
    found = Settings.read({"MIGSAFE_EMPTY": "restore"}, _no_file)
    (row,) = (each for each in found.describe() if each.name == "MIGSAFE_REQUIRE_REMOTE")
    assert ("true", "MIGSAFE_EMPTY") == (row.value_masked, row.source)


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_elsewhere(name: str) -> None:
    """What only the override file reads does no harm here."""
    assert _read() == Settings.read({name: "x"}, _no_file)


@pytest.mark.parametrize(
    ("env", "source"),
    [
        ({"DATABASE_URL": URL}, "DATABASE_URL"),
        ({"PGHOST": "db", "PGUSER": "app", "PGDATABASE": "shop", "PGPASSWORD": "cAnArY"}, "PG*"),
        (
            {"POSTGRES_HOST": "db", "POSTGRES_USER": "app", "POSTGRES_DB": "shop"}
            | {"POSTGRES_PASSWORD_FILE": "/run/secrets/pw"},
            "POSTGRES_*",
        ),
    ],
)
def test_usual_variables(env: dict[str, str], source: str) -> None:
    """Without our own URL, the guard's usual variables name the database."""
    found = Settings.read(env, _files({"/run/secrets/pw": "cAnArY\n"}))

    assert _shop() == found.database_url
    assert source == found.sources["MIGSAFE_DATABASE_URL"]


def test_own_url_first() -> None:
    """Our own URL goes before the usual variables, and those are not even looked at."""
    found = Settings.read({"MIGSAFE_DATABASE_URL": URL, "DATABASE_URL": "mysql://x@y/z"}, _no_file)

    assert _shop() == found.database_url


def test_unusable_usual_variables() -> None:
    """Usual variables that name no PostgreSQL database are a complaint."""
    expected = [
        "DATABASE_URL: it is a MySQL URL: only PostgreSQL is guarded (set MIGSAFE_DATABASE_URL)"
    ]

    assert expected == _complaints({"DATABASE_URL": "mysql://app:cAnArY@db/shop"})


def test_describe() -> None:
    """Every setting is listed with value, source and meaning; secrets are masked."""
    found = _read(
        DATABASE_URL=URL,
        MIGRATE="migrate -database postgres://app:cAnArY@db/shop -x 'a b' --password cAnArY2 up",
        CHECK="check --db-password=cAnArY",
        ASSERT="select 1;\nselect 2",
        LOSS_ALLOWED="a b",
        DEADLINE="90m",
        NOTIFY="slack://cAnArY/cAnArY2/x#y\nmailto://me:cAnArY@example.org",
        PING_URL="https://hc-ping.com:8443/cAnArY",
    )
    rows = {row.name.removeprefix("MIGSAFE_"): row.value_masked for row in found.describe()}
    expected = {
        "DATABASE_URL": "postgresql://app@db:5432/shop",
        "ADMIN_URL": "the same server and role, database `postgres`",
        "MIGRATE": "migrate -database 'postgres://app:***@db/shop' -x 'a b' --password '***' up",
        "CHECK": "check '--db-password=***'",
        "ASSERT": "select 1; select 2",
        "LOSS_ALLOWED": "a b",
        "LOSS_PERCENT": "50",
        "DEADLINE": "1h30m",
        "FENCE": "services",
        "BACKUPS": "/backups",
        "NOTIFY": "slack://*** mailto://***",
        "PING_URL": "https://hc-ping.com:8443/***",
    }

    assert [setting.name for setting in SETTINGS] == [row.name for row in found.describe()]
    assert expected == {name: rows[name] for name in expected}
    assert "cAnArY" not in repr(found) + str(found.describe())


RECIPIENT = "age1" + "q" * 58


def test_recipients() -> None:
    """By space and line, keys of SSH with their comments; each once."""
    ssh = "ssh-ed25519 AAAAC3Nz"
    text = f"{RECIPIENT} {RECIPIENT}x\n# ours\n{ssh} me at home\n{ssh}2 {RECIPIENT}\n"
    found = _read(ENCRYPT_TO=text, IDENTITY_FILE="elsewhere")

    assert (RECIPIENT, f"{RECIPIENT}x", ssh, f"{ssh}2") == found.encrypt_to
    assert found.identity_file is None
    shown = {row.name: row.value_masked for row in found.describe()}
    assert "elsewhere" == shown["MIGSAFE_IDENTITY_FILE"]


def test_somebody_must_be_able_to_decrypt() -> None:
    """Where the key is, or that it is elsewhere, is demanded; a key itself is refused, unseen."""
    assert ["MIGSAFE_IDENTITY_FILE is not set, and backups are encrypted: name the file with the"
            " private key, or say 'elsewhere' where it is not on this machine"] == _complaints(
        {"MIGSAFE_ENCRYPT_TO": RECIPIENT}
    )  # fmt: skip
    secret = "AGE-SECRET-KEY-1CANARY"
    for env in (
        {"MIGSAFE_ENCRYPT_TO": f"{RECIPIENT} {secret}", "MIGSAFE_IDENTITY_FILE": "/key"},
        {"MIGSAFE_IDENTITY_FILE": secret},
        {"MIGSAFE_IDENTITY_FILE": "key.txt"},
        {"MIGSAFE_ENCRYPT_TO": "# none"},
        {"MIGSAFE_ENCRYPT_TO": "# none", "MIGSAFE_IDENTITY_FILE": "/key"},
    ):
        (complaint,) = _complaints(env)
        assert "CANARY" not in complaint
    found = _read(IDENTITY_FILE="/run/secrets/key")
    assert Path("/run/secrets/key") == found.identity_file


def test_a_word_that_looks_like_a_key_is_no_comment() -> None:
    """A recipient that was misspelt is not taken for a part of the one before it."""
    found = _read(ENCRYPT_TO=f"ssh-ed25519 AAAA {RECIPIENT[1:]}", IDENTITY_FILE="/key")
    assert ("ssh-ed25519 AAAA", RECIPIENT[1:]) == found.encrypt_to


def test_secrets() -> None:
    """Passwords of addresses and commands are listed, as they are and as URLs write them."""
    found = _read(DATABASE_URL="postgres://app:p%40w@db/shop", MIGRATE="m --password=s3cret")

    assert {"p@w", "p%40w", "s3cret"} <= set(found.secrets())


def test_from_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The process's own environment and files are read."""
    secret = tmp_path / "url"
    secret.write_text(URL + "\n", encoding="utf-8")
    monkeypatch.setenv("MIGSAFE_DATABASE_URL_FILE", str(secret))

    found = Settings.from_environment()

    assert _shop() == found.database_url
    assert f"file {secret}" == found.sources["MIGSAFE_DATABASE_URL"]


def test_binary_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is no text, or a folder, is a complaint."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    monkeypatch.setenv("MIGSAFE_APP_FILE", str(binary))
    monkeypatch.setenv("MIGSAFE_MIGRATE_FILE", str(tmp_path))
    expected = [
        f"MIGSAFE_APP_FILE: {binary} can't be read: it is not text",
        f"MIGSAFE_MIGRATE_FILE: {tmp_path} can't be read: Is a directory",
    ]

    with pytest.raises(SettingsError) as caught:
        Settings.from_environment()

    assert expected == caught.value.message.splitlines()


def test_documented() -> None:
    """The page holds the table that the settings make."""
    assert settings_table() in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


def test_cheap_import() -> None:
    """Reading the settings drags in no client of a database, of Docker, or of a log."""
    code = "import sys, sidecar.settings; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {
        "docker",
        "psycopg",
        "structlog",
        "tenacity",
        "subprocess",
        "asyncio",
        "apprise",
        "requests",
    } & set(modules)
