"""A dead-man's switch, as healthchecks.io has it: it alarms when nothing is heard in time."""

from urllib.parse import urlsplit, urlunsplit

from sidecar import __version__

START = "/start"
FAIL = "/fail"
PATIENCE = (2.0, 3.0)
"""Seconds to connect, and to wait for an answer."""
TRIES_FOR = 5.0
"""Seconds after which it is not tried once more."""
MOST = 10_000
"""Bytes of the log that go along, the last ones."""
_BUSY = 429
_BROKEN = 500
_REFUSED = 300


class Passing(Exception):
    """It may work in a moment; the text holds no secret."""


def address(url: str, ending: str) -> str:
    """
    Put `/start` or `/fail` where it belongs: after the path, before what follows a `?`.

    >>> address("https://hc-ping.com/key/shop?create=1", START)
    'https://hc-ping.com/key/shop/start?create=1'
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/") + ending if ending else parts.path
    return urlunsplit(parts._replace(path=path))


def ping(url: str, ending: str = "", body: str = "") -> str:
    """Ping; returns why it did not arrive, without a secret, or nothing."""
    import tenacity  # noqa: PLC0415 - only where a URL is set

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Passing),
        stop=tenacity.stop_after_delay(TRIES_FOR),
        wait=tenacity.wait_exponential(multiplier=0.5, max=2),
        reraise=True,
    )
    try:
        return str(retrying(_once, address(url, ending), body.encode()[-MOST:]))
    except Passing as error:
        return str(error)


def _once(url: str, body: bytes) -> str:
    import requests  # noqa: PLC0415 - same

    headers = {"User-Agent": f"migsafe/{__version__}", "Content-Type": "text/plain; charset=utf-8"}
    try:
        answer = requests.post(url, data=body, headers=headers, timeout=PATIENCE)
    except requests.exceptions.SSLError:  # the texts of all of these hold the URL
        return "its certificate is not trusted"
    except requests.exceptions.Timeout:
        raise Passing("no answer in time") from None
    except requests.exceptions.ConnectionError:
        raise Passing("it can't be reached") from None
    except requests.exceptions.RequestException as error:
        return f"it could not be asked ({type(error).__name__})"
    return _judged(answer.status_code, answer.text[:100])


def _judged(status: int, text: str) -> str:
    """Judge the answer; a check that does not exist is answered with 200 as well."""
    if status == _BUSY or status >= _BROKEN:
        raise Passing(f"it answered {status}")
    if status >= _REFUSED:
        return f"it answered {status}"
    if "(not found)" in text:
        return "it knows no such check"
    return "it was pinged too often" if "(rate limited)" in text else ""
