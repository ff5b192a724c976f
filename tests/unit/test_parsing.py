"""From texts to values: durations, commands, statements; and secrets found in commands."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar import parsing
from sidecar.masking import is_secret, masked, secrets_in


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("10m", 600),
        ("1h", 3600),
        ("7d", 604800),
        ("2w", 1209600),
        ("1h30m", 5400),
        (" 1H 30M ", 5400),
        ("1d2h3m4s", 93784),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    """Durations are numbers with units, the greatest first."""
    assert timedelta(seconds=seconds) == parsing.duration(text)


def test_durations_with_a_unit() -> None:
    """What is deleted after 7 was to stay for days, and not for seconds; a month is no minute."""
    assert parsing.duration("7d") == parsing.duration_with_unit("7d")
    for text, why in (("7", "write 7d, 7h or 7m"), ("1M", "30d is a month")):
        with pytest.raises(ValueError, match=why):
            parsing.duration_with_unit(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0s",
        "-1",
        "-5m",
        "+5",
        "1.5h",
        "h",
        "5x",
        "5 parsecs",
        "30m1h",
        "1h1h",
        "never",
        "99999999d",
        "99999999w",
        "9" * 40,
        "٣",
        "1e3",
        "inf",
    ],
)
def test_no_durations(text: str) -> None:
    """Nonsense, nothing and less than nothing are refused."""
    with pytest.raises(ValueError, match="it is not"):
        parsing.duration(text)


@settings(deadline=None)
@given(st.integers(1, 10**8))
def test_duration_round_trip(seconds: int) -> None:
    """A duration is written as it is read."""
    length = timedelta(seconds=seconds)

    assert length == parsing.duration(parsing.spell(length))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rails db:migrate", ("rails", "db:migrate")),
        ("sh -c 'a && b'", ("sh", "-c", "a && b")),
        ('python "my app.py" migrate', ("python", "my app.py", "migrate")),
        ('["sh", "-c", "a | b"]', ("sh", "-c", "a | b")),
        (' [ "a" ] ', ("a",)),
        (
            "migrate -database 'postgres://x?a=1&b=2' up",
            ("migrate", "-database", "postgres://x?a=1&b=2", "up"),
        ),
        ("env A=1 migrate", ("env", "A=1", "migrate")),
        ("a #b", ("a", "#b")),
        ("a --x='b|c' --y=d\\;e", ("a", "--x=b|c", "--y=d;e")),
        ('["echo", "&&"]', ("echo", "&&")),
        ("a\nb", ("a", "b")),
    ],
)
def test_commands(text: str, expected: tuple[str, ...]) -> None:
    """A command is split as a shell would, or is a JSON list."""
    assert expected == parsing.command(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "''",
        "[]",
        '["", "a"]',
        "[1]",
        "[",
        "[ -f x ] && y",
        '["a"',
        '"a',
        "a\\",
        "a && b",
        "a; b",
        "a;b",
        "a | b",
        "a > b",
        "(a)",
        "a & b",
        "A=1 b",
        "m postgres://x?a=1&b=2",
    ],
)
def test_no_commands(text: str) -> None:
    """What only a shell could run, and what is neither, is refused."""
    with pytest.raises(ValueError, match=r"^it "):
        parsing.command(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select true", ("select true",)),
        ("select true;", ("select true",)),
        ("select 1;\nselect\n2 ;  \r\n\n;\n", ("select 1", "select\n2")),
        ("-- only a note\n", ()),
        ("-- a note; with more\nselect 1;", ("-- a note; with more\nselect 1",)),
        ("select ';' = $$;$$;\n/* ; */ select \";\"", ("select ';' = $$;$$", '/* ; */ select ";"')),
        ("'';\n'a'", ("''", "'a'")),
    ],
)
def test_statements(text: str, expected: tuple[str, ...]) -> None:
    """Statements end with a semicolon at the end of a line."""
    assert expected == parsing.statements(text)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("m", "postgres://a:one@two@db/x"), "one@two"),
        (("sh", "-c", "PGPASSWORD=one psql"), "one"),
        (("m", "jdbc:postgresql://db/x?user=a&password=one&ssl=true"), "one"),
        (("flyway", "-password", "one two"), "one two"),
        (("m", "--db.token=one"), "one"),
        (("m", "-url=postgres://a:o%2Fne@db/x"), "o/ne"),
    ],
)
def test_secrets_in_commands(words: tuple[str, ...], expected: str) -> None:
    """Passwords that stand in a command are found."""
    assert expected in secrets_in(words)


def test_no_secrets_in_commands() -> None:
    """A usual command holds none."""
    assert secrets_in(("python", "manage.py", "migrate", "--noinput", "http://x:80/y")) == ()


SECRETS = {
    "password": "MAIL_PASSWORD DB_PASS RCLONE_CONFIG_NAS_PASS2 SMTP_PASSWD PASSENGER_DB_PASSWORD",
    "key": "SECRET_KEY_BASE APIKEY AWS_SECRET_ACCESS_KEY RCLONE_CONFIG_NAS_KEY_PEM",
    "other": "GITHUB_TOKEN SENTRY_DSN GOOGLE_APPLICATION_CREDENTIALS JWT_PRIVATE hook_secret",
    "file": "DB_PASSWORD_FILE HOOK_URL_FILE",
}


@pytest.mark.parametrize("name", " ".join(SECRETS.values()).split())
def test_variables_that_hold_secrets(name: str) -> None:
    """They are told by their names, the app's and those of the stores alike. Faults: 60, 134."""
    assert is_secret(name, "hunter22")


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("SLACK_URL", "https://hooks.example/T0/B0", True),
        ("rclone_config_nas_url", "https://nas.lan/s/token", True),
        ("STATIC_URL", "/static/", False),
        ("PASSENGER_APP_ENV", "production", False),
        ("RCLONE_FTP_PASSIVE", "always", False),
        ("PGPASSFILE", "/run/pgpass", False),
        ("KEYCLOAK_REALM", "master", False),
        ("DEBUG", "yes", False),
    ],
)
def test_variables_with_names_like_secrets(name: str, value: str, secret: bool) -> None:
    """A URL is hidden, and not what is a part of commands, or of names of databases."""
    assert secret == is_secret(name, value)


def test_masked() -> None:
    """The longest secret is hidden first."""
    expected = "*** and ***"

    assert expected == masked("abc and ab", ["ab", "abc", ""])
