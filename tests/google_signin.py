"""
Google's sign-in for service accounts on this machine, as strict as the real one.

A key's holder signs what it asks for, and is given a token for it (RFC 7523;
https://developers.google.com/identity/protocols/oauth2/service-account#httprest).
"""

import base64
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.serving import serving

ACCOUNT = "shop-backups@shop.iam.gserviceaccount.com"
KEY_ID = "key-1"
AUDIENCE = "https://oauth2.googleapis.com/token"
"""What the library signs for, wherever the key says that the endpoint is."""

SCOPES = frozenset(
    f"https://www.googleapis.com/auth/{name}"
    for name in ("cloud-platform", "devstorage.full_control", "devstorage.read_write")
)
"""One of them lets objects be written."""

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LONGEST = 3600
SKEW = 300
"""Seconds: how long a signed request may be good for, and how far off a clock may be."""


class Refused(Exception):
    """What the service answers instead of a token."""


def new_key() -> rsa.RSAPrivateKey:
    """Make a key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class SignIn:
    """The endpoint, what it knows, and what it has handed out."""

    key: rsa.RSAPrivateKey = field(default_factory=new_key)
    """The account's; of the service's side the public half would do."""
    port: int = 0
    lifetime: int = 3600
    """Seconds that tokens are said to be good for."""
    deleted: bool = False
    """The account, or its key, is no more."""
    busy: int = 0
    """So many requests are answered by 503."""
    asked: int = 0
    given: set[str] = field(default_factory=set)
    """Tokens that are good."""

    def write_key(self, path: Path, key: rsa.RSAPrivateKey | None = None) -> Path:
        """Write the file that Google's console hands out; with another key a forged one."""
        pem = (key or self.key).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        values = {
            "type": "service_account",
            "project_id": "shop",
            "private_key_id": KEY_ID,
            "private_key": pem.decode(),
            "client_email": ACCOUNT,
            "client_id": "1",
            "token_uri": f"http://127.0.0.1:{self.port}/token",
        }
        path.write_text(json.dumps(values))
        return path

    def admits(self, authorization: str) -> bool:
        """Tell whether a request to the service bears a token that is good."""
        return authorization.removeprefix("Bearer ") in self.given

    def expire(self) -> None:
        """Let every token go bad."""
        self.given.clear()

    def revoke(self) -> None:
        """Delete the account."""
        self.deleted = True
        self.expire()

    def token(self, form: Mapping[str, list[str]]) -> str:
        """Hand out a token, or raise Refused."""
        if form.get("grant_type") != [GRANT]:
            raise Refused("unsupported_grant_type")
        self._judge(self._signed(form["assertion"][0]))
        token = f"ya29.{os.urandom(12).hex()}"
        self.given.add(token)
        return token

    def _signed(self, assertion: str) -> Mapping[str, Any]:
        """Read what was signed, if it was signed by the key of the account."""
        head, body, signature = assertion.split(".")
        header = json.loads(_decoded(head))
        if (header["alg"], header["kid"]) != ("RS256", KEY_ID):
            raise Refused("Invalid JWT Signature.")
        try:
            self.key.public_key().verify(
                _decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), SHA256()
            )
        except InvalidSignature:
            raise Refused("Invalid JWT Signature.") from None
        claims: Mapping[str, Any] = json.loads(_decoded(body))
        return claims

    def _judge(self, claims: Mapping[str, Any]) -> None:
        now = time.time()
        if claims["iss"] != ACCOUNT or self.deleted:
            raise Refused("Invalid grant: account not found")
        if claims["aud"] != AUDIENCE:
            raise Refused("Invalid JWT: Failed audience check.")
        soon = claims["iat"] <= now + SKEW and claims["exp"] - claims["iat"] <= LONGEST
        if not (soon and claims["exp"] > now - SKEW):
            raise Refused(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable"
                " timeframe. Check your iat and exp values in the JWT claim."
            )
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            raise Refused("Invalid OAuth scope or ID token audience provided.")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextmanager
def signing_in() -> Iterator[SignIn]:
    """Run the endpoint."""
    found = SignIn()
    with serving(partial(_Endpoint, found)) as found.port:
        yield found


class _Endpoint(BaseHTTPRequestHandler):
    """Answers as the service does."""

    def __init__(self, here: SignIn, *args: Any) -> None:
        self.here = here
        super().__init__(*args)

    def do_POST(self) -> None:
        self.here.asked += 1
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.here.busy > 0:
            self.here.busy -= 1
            self._answer(503, {"error": "internal_failure"})
            return
        try:
            token = self.here.token(form)
        except Refused as error:
            self._answer(400, {"error": "invalid_grant", "error_description": str(error)})
            return
        expires = self.here.lifetime
        values = {"access_token": token, "expires_in": expires, "token_type": "Bearer"}
        self._answer(200, values)

    def _answer(self, code: int, values: Mapping[str, Any]) -> None:
        body = json.dumps(values).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Be quiet."""
