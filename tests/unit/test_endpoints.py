"""Addresses that are secrets: read, and hidden."""

import pytest

from sidecar import endpoints

UUID = "fd1a0b2c-0000-4000-8000-000000000000"
TOKEN = "TIiajkdnlazkcOXrIdevi7FQ"


@pytest.mark.parametrize(
    "text",
    ["ntfys://a/b mailto://c", "ntfys://a/b\n  mailto://c\n", "ntfys://a/b mailto://c ntfys://a/b"],
)
def test_by_space_or_line(text: str) -> None:
    """Several are separated by space or line, as in a file; one twice counts once."""
    assert ("ntfys://a/b", "mailto://c") == endpoints.messengers(text)


@pytest.mark.parametrize("text", [f"a://b,c://{TOKEN}", f"a://b {TOKEN}", f"://{TOKEN}", "a://"])
def test_a_complaint_shows_no_secret(text: str) -> None:
    """What is wrong is told, and not what it is."""
    with pytest.raises(ValueError, match="URL") as caught:
        endpoints.messengers(text)

    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "text", [f"hc-ping.com/{TOKEN}", f"ftp://x/{TOKEN}", "https://", "https://a b/", "https://[x/"]
)
def test_a_ping_is_http(text: str) -> None:
    """A dead-man's switch is a URL of the web."""
    with pytest.raises(ValueError, match="hc-ping") as caught:
        endpoints.ping(text)

    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        (f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/#ops", {"T1JJ3T3L2", "A1BRTD4JD", TOKEN}),
        ("mailto://me:p%40ss@gmail.com", {"p%40ss", "p@ss"}),
        ("mailto://smtp.example.org?user=me&pass=s3cr3t-pw", {"s3cr3t-pw"}),
        (f"https://hc-ping.com/{UUID}", {UUID}),
        ("json://[broken/s3cr3t-pw", {"s3cr3t-pw"}),
    ],
)
def test_tokens_are_secrets(url: str, secret: set[str]) -> None:
    """Everything that lets somebody in is hidden in every line."""
    assert {url, *secret} <= set(endpoints.secrets(url))


def test_words_are_no_secrets() -> None:
    """A topic that is a word of every other line is hidden only where it is about the URL."""
    url = "ntfys://ntfy.example.org/backups"

    assert set() == {"backups", "ntfy.example.org"} & set(endpoints.secrets(url))
    assert {"backups", "ntfy.example.org"} <= set(endpoints.pieces(url))
