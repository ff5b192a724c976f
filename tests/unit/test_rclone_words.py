"""What rclone says, as it has said it, and what the operator is told."""

import json

import pytest

from sidecar.errors import ObjectMissing
from sidecar.stores.rclone_words import failure

GOOGLE = "googleapi: Error 403: "


@pytest.mark.parametrize(
    ("code", "log", "words"),
    [
        (1, GOOGLE + "Service Accounts do not have storage quota. Leverage shared drives",
         "MIGSAFE_GDRIVE_TEAM_DRIVE"),
        (1, GOOGLE + "The user's Drive storage quota has been exceeded., storageQuotaExceeded",
         "storage is full"),
        (1, 'couldn\'t fetch token: invalid_grant: maybe token expired? - try refreshing with'
            ' "rclone config reconnect x:"', "migsafe connect gdrive"),
        (1, 'Failed to create file system for "nsa:x": didn\'t find section in config file',
         "knows no remote"),
        (1, "NoSuchBucket: The specified bucket does not exist\n\tstatus code: 404",
         "no such bucket"),
        (1, "googleapi: Error 404: File not found: 1AbC., notFound", "Share the folder"),
        (1, "SignatureDoesNotMatch: status code: 403", "does not accept these credentials"),
        (1, "NewFs: couldn't connect SSH: ssh: handshake failed: ssh: unable to authenticate,"
            " attempted methods [none publickey]", "does not accept these credentials"),
        (1, "NewFs: couldn't connect SSH: ssh: handshake failed: knownhosts: key is unknown",
         "does not accept these credentials"),
        (1, "AccessDenied: Access Denied\n\tstatus code: 403", "read, write, list and delete"),
        (1, "RequestTimeTooSkewed: The difference between the request time and the current time",
         "clock"),
        (1, 'sftp: "Permission denied" (SSH_FX_PERMISSION_DENIED)', "does not let"),
        (1, "write /srv/x: no space left on device", "disk is full"),
        (1, "AccessDenied: Object is WORM protected and cannot be overwritten", "for a time"),
        (1, "Access Denied because object protected by object lock.", "for a time"),
        (1, GOOGLE + "Object 'b/x' is subject to bucket's retention policy and cannot be deleted"
            " until 2026-02-07T00:00:00Z, retentionPolicyNotMet", "for a time"),
        (1, "BlobImmutableDueToPolicy: the blob is immutable due to a policy", "for a time"),
    ],
)  # fmt: skip
def test_what_does_not_pass_says_what_to_do(code: int, log: str, words: str) -> None:
    """Each is told in our words, with rclone's own after them. Faults: 65, 68."""
    line = json.dumps({"level": "error", "msg": log, "source": "x"})
    for text in (log, f"2026/01/31 23:59:58 ERROR : {log}", line):
        found = failure(code, text, "name")

        assert words in found.advice
        assert found.hint
        assert not found.passing


@pytest.mark.parametrize(
    ("code", "log"),
    [
        (5, "something"),
        (1, "dial tcp 10.0.0.1:22: connect: connection refused"),
        (1, "read tcp: connection reset by peer"),
        (1, "googleapi: got HTTP response code 503 with body: Service Unavailable"),
        (1, "googleapi: Error 403: User Rate Limit Exceeded., userRateLimitExceeded"),
        (1, "unexpected EOF"),
        (1, "dial tcp: lookup nas: no such host"),
        (1, "TLS handshake timeout"),
        (1, "dial tcp: lookup bookworm-nas.lan: no such host"),
        (1, "dial tcp: lookup worm: no such host"),
        (1, "open /backup-retention period/x: connect: connection refused"),
        (1, "sftp: worm.lan:/retention: i/o timed out"),
        (1, 'couldn\'t fetch token: Post "https://oauth2/token": dial tcp: no such host'),
        (1, "dial tcp 10.0.0.1:403: connect: no route to host"),
        (1, "SlowDown: Please reduce your request rate. status code: 503"),
    ],
)
def test_what_passes_is_tried_again(code: int, log: str) -> None:
    """Faults: 66."""
    assert failure(code, log, "name").passing


@pytest.mark.parametrize("code", [3, 4])
def test_what_is_not_there(code: int) -> None:
    """A folder or a file that is missing is told by the exit code."""
    assert isinstance(failure(code, "directory not found", "name"), ObjectMissing)


def test_noise_is_left_out() -> None:
    """What rclone says of its own files is no reason."""
    log = 'NOTICE: Config file "/nonexistent/rclone.conf" not found - using defaults\nbroken'

    assert "not found" not in failure(1, log, "name").message
    assert "it refuses (rclone: broken)" == failure(1, log, "name").message
    assert "it refuses (rclone ended with 7)" == failure(7, "", "name").message


def test_the_same_failure_is_told_once() -> None:
    """What rclone sums up at its end, without the object's name: it is the same for all of them."""
    told = [
        failure(
            1,
            f"open /there/{name}: operation not permitted\n"
            f"Attempt 1/1 failed with 1 errors and: open /there/{name}: operation not permitted\n"
            f"Failed to copyto: open /there/{name}: operation not permitted",
            name,
        ).message
        for name in ("a.dump", "b.dump")
    ]

    assert ["it refuses (rclone: open /there/…: operation not permitted)"] * 2 == told
