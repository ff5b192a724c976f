"""What a server's refusal means, in whatever language it is said."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sidecar.connections import connect
from sidecar.errors import DatabaseMissing, DatabaseUnavailable

Refusing = Callable[[str, str, str], dict[str, Any]]


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    """Give a server that refuses everybody in the words that it is told to use."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def with_words(severity: str, state: str, words: str) -> dict[str, Any]:
            answer = _error(severity, state, words)
            threading.Thread(target=_serve, args=(server, answer), daemon=True).start()
            plain = {"sslmode": "disable", "gssencmode": "disable"}
            port = server.getsockname()[1]
            return {"host": "127.0.0.1", "port": port, "user": "shop", "password": "x", **plain}

        yield with_words


@pytest.mark.parametrize(
    ("severity", "words"),
    [
        ("FATAL", 'database "shop" does not exist'),
        ("FATAL", "Datenbank »shop« existiert nicht"),
        ("ВАЖНО", "база данных shop не существует"),
        ("严重错误", '数据库 "shop" 不存在'),
    ],
)
def test_missing(refusing: Refusing, severity: str, words: str) -> None:
    """A database that is not there is known as missing: its absence is what a first run finds."""
    with pytest.raises(DatabaseMissing):
        connect(refusing(severity, "3D000", words), "shop")


@pytest.mark.parametrize(
    ("severity", "state", "words", "passing", "denied"),
    [
        ("FATAL", "57P03", "the database system is starting up", True, False),
        ("FATAL", "57P03", "das Datenbanksystem startet", True, False),
        ("ВАЖНО", "53300", "слишком много клиентов", True, False),
        ("FATAL", "28P01", 'password authentication failed for user "shop"', False, False),
        ("ВАЖНО", "28P01", "пользователь shop не прошёл проверку подлинности", False, False),
        ("FATAL", "42501", "keine Berechtigung für Datenbank »shop«", False, True),
        ("FATAL", "42501", 'permission denied for database "shop"', False, True),
    ],
)
def test_refused(
    refusing: Refusing, severity: str, state: str, words: str, *, passing: bool, denied: bool
) -> None:
    """Whether waiting helps is decided by the SQLSTATE, and the server's own words are told."""
    with pytest.raises(DatabaseUnavailable, match=words.split(maxsplit=1)[0]) as caught:
        connect(refusing(severity, state, words), "shop")

    assert (passing, denied) == (caught.value.passing, caught.value.denied)


def test_nobody_answers() -> None:
    """Where nobody listens, waiting may help."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(DatabaseUnavailable) as caught:
        connect({"host": "127.0.0.1", "port": port, "user": "shop"}, "shop")

    assert caught.value.passing


def _serve(server: socket.socket, answer: bytes) -> None:
    for _ in range(2):  # it may be asked again
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            client.recv(1000)
            client.sendall(answer)


def _error(severity: str, state: str, words: str) -> bytes:
    """Write an ErrorResponse as the protocol has it."""
    parts = {"S": severity, "V": "FATAL", "C": state, "M": words}
    fields = b"".join(f"{kind}{text}\0".encode() for kind, text in parts.items()) + b"\0"
    return b"E" + struct.pack("!i", len(fields) + 4) + fields
