"""What rclone says when it fails, and what that means. Pure."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.errors import ObjectMissing, StoreFailed


@dataclass(frozen=True)
class _Meaning:
    """Words of a service, and what they mean."""

    pattern: str
    message: str
    hint: str = ""
    passing: bool = False


_MEANINGS = (
    _Meaning(
        r"Service Accounts do not have storage quota|storageQuotaExceeded.*[Ss]ervice [Aa]ccount",
        "a service account has no room of its own in Google Drive",
        "Use a folder of a shared drive (MIGSAFE_GDRIVE_TEAM_DRIVE), or your own account"
        " (`migsafe connect gdrive`).",
    ),
    _Meaning(
        r"storageQuotaExceeded|quota has been exceeded|insufficient.?storage|QuotaExceeded\b",
        "its storage is full",
        "Make room there, or get more; a trash can counts, too.",
    ),
    _Meaning(
        r"rateLimitExceeded|userRateLimitExceeded|too many requests|\b429\b|SlowDown",
        "it is busy",
        "Try again later.",
        passing=True,
    ),
    _Meaning(
        r"invalid_grant|token expired and there's no refresh token|empty token found|"
        r"couldn't fetch token|failed to refresh token",
        "its sign-in has expired or was withdrawn",
        "Connect it anew: `migsafe connect gdrive` for Google Drive, `rclone config reconnect`"
        " for others. Apps that Google lists as `Testing` are signed out after 7 days.",
    ),
    _Meaning(
        r"RequestTimeTooSkewed|clock.{0,20}skew|not yet valid|certificate has expired",
        "the clock of this machine, or of the store, is off",
        "Set it.",
    ),
    _Meaning(
        r"didn't find section in config file|unknown.*remote|didn't find backend",
        "rclone knows no remote of that name",
        "Mount an rclone.conf and name it in RCLONE_CONFIG, or set RCLONE_CONFIG_NAME_TYPE and"
        " the like; `rclone listremotes` shows what there is.",
    ),
    _Meaning(
        r"NoSuchBucket|bucket does not exist|bucket not found",
        "there is no such bucket",
        "Correct MIGSAFE_STORES, or make it.",
    ),
    _Meaning(
        r"notFound|File not found: ",
        "there is no such folder, or these credentials may not see it",
        "Share the folder with the account that is used, and check its id.",
    ),
    _Meaning(
        # not what is a part of a name: hosts and folders are called so, too
        r"\bobject.?lock|(?<![\w./-])WORM(?![\w./-])|retentionPolicyNotMet|RetainUntil|"
        r"(?<![\w./-])retention (?:policy|period|until)|(?:object|under) retention\b|is immutable",
        "it holds the object for a time",
        "It can be deleted then; until then that is as it should be.",
    ),
    _Meaning(
        r"unable to authenticate|InvalidAccessKeyId|SignatureDoesNotMatch|authError|"
        r"Invalid Credentials|unauthori[sz]ed|\b401\b|knownhosts|host key",
        "it does not accept these credentials",
        "Check user, key and password of the remote.",
    ),
    _Meaning(
        r"AccessDenied|\b403\b|[Ff]orbidden|permission denied|insufficientFilePermissions|"
        r"SSH_FX_PERMISSION_DENIED",
        "it does not let these credentials do that",
        "They need to read, write, list and delete there.",
    ),
    _Meaning(
        r"no space left|disk full|SSH_FX_FAILURE.*space|ENOSPC",
        "its disk is full",
        "Make room there.",
    ),
    _Meaning(
        r"read-only file system|EROFS",
        "it is mounted read-only",
        "Mount it so that it can be written.",
    ),
)

_NETWORK = re.compile(
    r"connection (?:refused|reset|timed out|lost)|no route to host|network is unreachable|"
    r"no such host|temporary failure in name|i/o timeout|handshake timeout",
    re.IGNORECASE,
)
"""Nobody has answered: whatever else is in the message is a name."""
_PASSING = re.compile(
    r"timeout|timed out|deadline exceeded|\bEOF\b|broken pipe|temporary failure|"
    r"\b50[0234]\b|internal ?error|backendError|try again",
    re.IGNORECASE,
)
_TEMPORARY = 5
_NOT_THERE = (3, 4)
"""No such folder, no such file."""
_SYNTAX = 2


def failure(code: int, log: str, name: str) -> StoreFailed:
    """
    Say what a failure means.

    Args:
        code: rclone's exit code.
        log: the end of what it has logged, as JSON lines or plain.
        name: the object that it was about.

    """
    messages = [*_messages(log)]
    said = " / ".join(messages)
    told = f" (rclone: {_last(messages, name)})" if said else f" (rclone ended with {code})"
    if _NETWORK.search(said):
        return _out_of_reach(told)
    for meaning in _MEANINGS:
        if re.search(meaning.pattern, said, re.IGNORECASE | re.DOTALL):
            if meaning.passing:
                return StoreFailed.for_now(meaning.message + told, hint=meaning.hint)
            return StoreFailed(meaning.message + told, hint=meaning.hint)
    if code in _NOT_THERE:
        return ObjectMissing(f"there is no {name}")
    if code == _TEMPORARY or _PASSING.search(said):
        return _out_of_reach(told)
    if code == _SYNTAX:
        return StoreFailed(f"rclone does not understand{told}")
    return StoreFailed(f"it refuses{told}")


def _out_of_reach(told: str) -> StoreFailed:
    return StoreFailed.for_now(
        f"it can't be reached, or is out of order{told}", hint="Try again later."
    )


def _messages(log: str) -> Iterator[str]:
    for line in log.splitlines():
        try:
            entry = json.loads(line)
            text = str(entry["msg"]) if entry.get("level") not in {"debug", "info"} else ""
        except (ValueError, KeyError, AttributeError, TypeError):
            text = re.sub(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", "", line)
        text = text.strip()
        if text and not _NOISE.search(text):
            yield text


def _last(messages: list[str], name: str) -> str:
    """Tell the last message, which sums the others up; the same of all objects is told once."""
    text = _SUMMARY.sub("", messages[-1])
    text = text.replace(name, "…") if name else text
    return text if len(text) <= LONG else f"…{text[-LONG:]}"


LONG = 300
_SUMMARY = re.compile(r"^Failed to \w+(?: with \d+ errors: last error was)?: ")
_NOISE = re.compile(r'Config file ".*" not found|Failed to save (?:new token|config)|^Transferred:')
