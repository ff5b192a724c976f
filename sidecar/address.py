"""Where a database is: an address, and how to find one in the environment of an app."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from sidecar import variables
from sidecar.spellings import keywords
from sidecar.variables import Read, Reading

PORT = 5432
NAME_BYTES = 63
"""PostgreSQL cuts longer names off without an error."""


@dataclass(frozen=True)
class Address:
    """One database on one server, and who connects. Shown without password and parameters."""

    host: str
    """A name, an IP address, or the directory of a socket."""
    port: int = PORT
    database: str = ""
    user: str = ""
    """Empty where nothing named one: the server then gets the operating system's."""
    password: str = field(default="", repr=False)
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Further keywords of libpq, such as ``sslmode``."""

    @property
    def place(self) -> tuple[str, int, str]:
        """What makes two addresses name the same database: host, port, database."""
        return self.host.lower(), self.port, self.database

    def conninfo(self) -> dict[str, str | int]:
        """Give the keyword arguments for libpq, the password among them."""
        parts = {"dbname": self.database, "user": self.user, "password": self.password}
        known = {name: value for name, value in parts.items() if value}
        return {**self.parameters, "host": self.host, "port": self.port, **known}

    def secrets(self) -> tuple[str, ...]:
        """List what no log may show, as it is and as URLs write it."""
        values = (self.password, self.parameters.get("sslpassword", ""))
        return tuple(dict.fromkeys(form for value in values for form in encodings(value)))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else quote(self.host, safe="")
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        return f"postgresql://{user}{host}:{self.port}/{quote(self.database, safe='')}"


def encodings(secret: str) -> tuple[str, ...]:
    """Write a secret in the ways in which it may turn up in a text; empty for no secret."""
    in_url = (quote(secret, safe=""), quote(secret), quote_plus(secret))
    lower = (re.sub("%..", lambda found: found[0].lower(), form) for form in in_url)
    # as SQL, JSON and the printed values of programs write it
    escaped = (secret.replace("'", "''"), json.dumps(secret)[1:-1], repr(secret)[1:-1])
    plain = json.dumps(secret, ensure_ascii=False)[1:-1]
    forms = (secret, *in_url, *lower, *escaped, plain)
    return tuple(dict.fromkeys(form for form in forms if form))


def parse(url: str, *, database: str = "") -> Address:
    """
    Read an address in any of the spellings that apps use.

    Args:
        url: a URL, or libpq's ``host=db dbname=x``.
        database: where the URL names none; without it the user's name, as libpq does.

    Raises:
        ValueError: it can't be read, or names no host; the sentence holds no part of it.

    """
    return _address({"dbname": database, **keywords(url)})


def _address(found: Mapping[str, str]) -> Address:
    rest = dict(found)
    user, password = rest.pop("user", ""), rest.pop("password", "")
    database = rest.pop("dbname", "") or user
    host, port = rest.pop("host", "") or rest.pop("hostaddr", ""), rest.pop("port", "")
    if not host:
        raise ValueError("it names no host")
    if "," in host or "," in port:
        raise ValueError("it names several hosts: name the one that is written to")
    if not database:
        raise ValueError("it names no database")
    if len(database.encode()) > NAME_BYTES:
        raise ValueError(f"its database name is longer than {NAME_BYTES} bytes")
    return Address(host, _port(port), database, user, password, rest)


def _port(text: str) -> int:
    if not text:
        return PORT
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 2**16:
        raise ValueError("its port is not a number from 1 to 65535")
    return int(text)


@dataclass(frozen=True)
class Candidate:
    """Variables that together name a database, or why they do not."""

    source: str
    """For people: ``DATABASE_URL``, or ``DB_*`` for several."""
    rank: int
    """0 is trusted most."""
    address: Address | None = None
    complaint: str = ""
    foreign: bool = False
    """Another kind of database, which is none of our business."""

    def __str__(self) -> str:
        return f"{self.source}: {self.complaint or self.address}"


@dataclass(frozen=True)
class Ambiguous:
    """What is set does not lead to one database: several, or one that can't be used."""

    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        several = len({c.address.place for c in self.candidates if c.address}) > 1
        lead = "several databases are named: " if several else ""
        return lead + "; ".join(map(str, self.candidates))


def find(env: Mapping[str, str], read: Read) -> Address | Ambiguous | None:
    """Find the database that an app with this environment uses; None when nothing names one."""
    found = choose(from_environment(env, read))
    return found.address if isinstance(found, Candidate) else found


def choose(candidates: Sequence[Candidate]) -> Candidate | Ambiguous | None:
    """Take the first of the best rank, unless another of that rank names another database."""
    usable = [candidate for candidate in candidates if not candidate.foreign]
    if not usable:
        return Ambiguous(tuple(candidates)) if candidates else None
    rank = min(candidate.rank for candidate in usable)
    best = tuple(candidate for candidate in usable if candidate.rank == rank)
    places = {candidate.address and candidate.address.place for candidate in best}
    return Ambiguous(best) if len(places) > 1 or None in places else best[0]


def from_environment(env: Mapping[str, str], read: Read) -> list[Candidate]:
    """
    List everything in an app's environment that names a database.

    Args:
        env: the environment of the app's container.
        read: reads a file there, for the ``…_FILE`` variants.

    """
    return [_candidate(reading) for reading in variables.readings(env, read)]


def _candidate(reading: Reading) -> Candidate:
    source, rank = reading.source, reading.rank
    if reading.complaint:
        return Candidate(source, rank, complaint=reading.complaint, foreign=reading.foreign)
    try:
        return Candidate(source, rank, _address(reading.keywords))
    except ValueError as error:
        return Candidate(source, rank, complaint=str(error))
