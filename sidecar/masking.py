"""Secrets in what a person wrote: found, and hidden."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from urllib.parse import unquote

from sidecar.address import encodings

MASK = "***"

SHORTEST = 6
"""What is shorter is a part of too many words to be hidden."""

_SECRET_NAME = re.compile(
    # not PASSENGER_APP_ENV, FTP_PASSIVE, PGPASSFILE, KEYCLOAK_REALM: words of other things
    r"PASS(?!ENGER|IVE|FILE)|SECRET|TOKEN|PRIVATE|KEY(?!CLOAK|SPACE|BOARD)|DSN|CREDENTIAL|"
    r"_URL_FILE$",
    re.IGNORECASE,
)

_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s:/@]*:(\S+)@", re.IGNORECASE)
_NAMED = re.compile(r"(?:password|passwd|pwd|secret|token)\s*[=:]\s*([^\s&;'\"]+)", re.IGNORECASE)
_OPTION = re.compile(r"-[\w.-]*(?:password|passwd|pwd|secret|token)", re.IGNORECASE)


def secrets_in(words: Sequence[str]) -> tuple[str, ...]:
    """Find passwords in a command: in URLs, after ``password=``, and after ``--password``."""
    found = [secret for word in words for secret in _in_word(word)]
    found += [after for word, after in pairwise(words) if _OPTION.fullmatch(word)]
    return tuple(dict.fromkeys(form for secret in found for form in _forms(secret)))


def is_secret(name: str, value: str) -> bool:
    """
    Tell by its name whether a variable holds a secret.

    A whole URL is one: a webhook's secret is its path. What is called so and is a path, such as
    Django's ``STATIC_URL``, is none: it would be hidden in every command that names a folder.
    """
    if name.upper().endswith("_URL") and "://" in value:
        return True
    return bool(_SECRET_NAME.search(name))


def _in_word(word: str) -> list[str]:
    return [*_IN_URL.findall(word), *_NAMED.findall(word)]


def _forms(secret: str) -> tuple[str, ...]:
    return (secret, *encodings(unquote(secret)))


def masked(text: str, secrets: Iterable[str]) -> str:
    """Hide each secret, the longest first: one may be a part of another."""
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
