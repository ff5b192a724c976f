"""Where migsafe tells what happened: URLs that are secrets, read and hidden."""

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

MASK = "***"
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://\S+", re.IGNORECASE)
_JOINED = re.compile(r",\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9-]+((\.[a-z0-9-]+)+(:\d+)?|:\d+)", re.IGNORECASE)
"""With a dot or a port: where there is neither, a token may stand in its place."""

SHORTEST_PIECE = 3
"""A piece of a URL that is shorter than this hides nothing."""
SHORTEST_TOKEN = 8
SURELY_A_TOKEN = 16


def messengers(text: str) -> tuple[str, ...]:
    """Split Apprise's URLs at spaces and lines; raises ValueError, which shows none of them."""
    if _JOINED.search(text):
        raise ValueError("its URLs are to be separated by a space or a new line, not by a comma")
    words = text.split()
    for number, word in enumerate(words, 1):
        if not _URL.fullmatch(word):
            raise ValueError(
                f"number {number} of {len(words)} is not a URL such as mailto://… or ntfys://…"
            )
    return tuple(dict.fromkeys(words))


def ping(text: str) -> str:
    """Read the URL of a dead-man's switch; raises ValueError, which does not show it."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not url.isprintable() or " " in url:
        raise ValueError("it is not a URL such as https://hc-ping.com/… (http or https)")
    return url


def shown(url: str) -> str:
    """
    Show of a messenger what is no secret: even its host may be one.

    >>> shown("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlaz")
    'slack://***'
    """
    return f"{url.partition('://')[0].lower()}://{MASK}"


def shown_ping(url: str) -> str:
    """
    Show where a ping goes, without what says whose it is.

    >>> shown_ping("https://hc-ping.com/fd1a...d0")
    'https://hc-ping.com/***'
    """
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}/{MASK}"


def pieces(url: str) -> tuple[str, ...]:
    """List all that a URL is made of, as it is written and as it is meant, the longest first."""
    found = {form for piece in _pieces(url) for form in (piece, unquote(piece))}
    return tuple(sorted((p for p in found if len(p) >= SHORTEST_PIECE), key=len, reverse=True))


def secrets(url: str) -> tuple[str, ...]:
    """
    List what no line may show: the URL, its password, and what looks like a token.

    Other pieces are words that stand in lines of ours as well (the topic `backups`, the host
    `db`): where a line is about this URL, ``pieces`` hides them too.
    """
    password = _split(url).password or ""
    sure = {url, url.partition("://")[2], password, unquote(password)}
    return tuple(p for p in dict.fromkeys((*pieces(url), *sure)) if p in sure or _is_token(p))


def _pieces(url: str) -> Iterator[str]:
    parts = _split(url)
    yield url
    yield url.partition("://")[2]
    yield parts.netloc
    yield from filter(None, (parts.username, parts.password, parts.fragment))
    yield parts.netloc.rpartition("@")[2].partition(":")[0]
    yield parts.path.strip("/")
    yield from parts.path.split("/")
    yield parts.query
    yield from (value for _, value in parse_qsl(parts.query))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # brackets that are no address
        return urlsplit(re.sub(r"[\[\]]", "", url))


def _is_token(piece: str) -> bool:
    if len(piece) < SHORTEST_TOKEN or _HOST.fullmatch(piece):
        return False
    mixed = piece.lower() != piece and piece.upper() != piece
    return len(piece) >= SURELY_A_TOKEN or mixed or any(char.isdigit() for char in piece)
