"""Every damage to a real backup: what migsafe says, and what PostgreSQL's programs and age do."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from sidecar import archive
from sidecar.backups import Format
from sidecar.errors import MigsafeError
from tests.corruption import Damage, Pair, damages

from . import oracle
from .bench import Bench
from .servers import Server, fresh, quoted

TABLES = """
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, joined timestamptz);
CREATE TABLE orders (id int PRIMARY KEY, "user" int REFERENCES users, total numeric(12, 2));
CREATE INDEX ON orders ("user");
CREATE VIEW spent AS SELECT "user", sum(total) FROM orders GROUP BY 1;
INSERT INTO users SELECT n, md5(n::text), '2026-01-01'::timestamptz + n * interval '1 hour'
  FROM generate_series(1, 1500) n;
"""
MORE = "INSERT INTO orders SELECT n, n % 1500 + 1, n * 1.07 FROM generate_series(1, 2500) n"


class Seen(StrEnum):
    """What came of a damaged dump."""

    REFUSED = "refused"
    WRONG = "wrong data, exit code 0"
    SAME = "the right data"
    BLIND = "not to be seen"


@dataclass
class Kind:
    """How one kind of damage was met."""

    migsafe: Counter[Seen] = field(default_factory=Counter)
    listed: Counter[Seen] = field(default_factory=Counter)
    loaded: Counter[Seen] = field(default_factory=Counter)


@dataclass(frozen=True)
class Matrix:
    """One database with two backups of it, the older one of an earlier state."""

    bench: Bench
    written: Format
    whole: Pair
    other: Pair

    @classmethod
    def of(cls, bench: Bench, written: Format) -> "Matrix":
        """Fill a database, back it up, change it, back it up."""
        bench.server.run(TABLES, bench.name)
        _, older = bench.back_up(written)
        bench.server.run(MORE, bench.name)
        _, newer = bench.back_up(written)
        pairs = (Pair.read(bench.store.folder, m.backup.name) for m in (newer, older))
        return cls(bench, written, *pairs)

    def damages(self, few: int) -> Iterator[Damage]:
        """Damage the newer backup in every way."""
        return damages(self.whole, self.other, few)

    def opened(self, damage: Damage) -> Seen:
        """Have age alone decrypt an encrypted one, without the manifest."""
        keys, right = self.bench.keys, self.whole.file
        if damage.pair.file is None or right is None:
            return Seen.BLIND
        try:
            found = b"".join(keys.decrypt_file(iter([damage.pair.file]), damage.pair.name))
        except MigsafeError:
            return Seen.REFUSED
        same = found == b"".join(keys.decrypt_file(iter([right]), damage.pair.name))
        return Seen.SAME if same else Seen.WRONG

    def migsafe(self, damage: Damage) -> Seen:
        """Tell whether migsafe refuses it, with the code and the name that are due."""
        folder = self.bench.store.folder
        damage.pair.lay(folder)
        try:
            self.bench.vault().chunks(damage.pair.name)
        except MigsafeError as error:
            due = error.exit_code == damage.code and damage.pair.name in error.message
            return Seen.REFUSED if due else Seen.WRONG
        finally:
            self.whole.lay(folder)
        return Seen.WRONG


@dataclass(frozen=True)
class Programs:
    """
    ``pg_restore`` and ``psql`` on the same damages, done to what they read.

    They get every chance: they stop at the first error, and load in one transaction.
    """

    server: Server
    written: Format
    right: list[str]
    """What the database dumps to."""

    @classmethod
    def on(cls, matrix: Matrix) -> "Programs":
        """Know what is right."""
        bench = matrix.bench
        return cls(bench.server, matrix.written, oracle.dump(bench.server, bench.name))

    def listed(self, damage: Damage) -> Seen:
        """Ask ``pg_restore --list``; plain SQL has no such thing."""
        if self.written is Format.SQL or damage.pair.file is None:
            return Seen.BLIND
        done = self.server.program("pg_restore", "--list", stdin=damage.pair.file, check=False)
        return Seen.REFUSED if done.returncode else Seen.WRONG

    def loaded(self, damage: Damage) -> Seen:
        """Load it into an empty database, and look at what is there."""
        if damage.pair.file is None:
            return Seen.BLIND
        name = fresh("restored")
        self.server.run(f"CREATE DATABASE {quoted(name)} TEMPLATE template0")
        try:
            return self._loaded(name, damage.pair.file)
        finally:
            self.server.run(f"DROP DATABASE {quoted(name)} WITH (FORCE)")

    def _loaded(self, name: str, data: bytes) -> Seen:
        argv: tuple[str, ...] = ("pg_restore", "--exit-on-error", "-1", f"--dbname={name}")
        if self.written is Format.SQL:
            argv = ("psql", "-X", "-q", "--set=ON_ERROR_STOP=1", "-1", "--file=-")
        done = self.server.program(*argv, database=name, stdin=data, check=False)
        if done.returncode:
            return Seen.REFUSED
        return Seen.SAME if oracle.dump(self.server, name) == self.right else Seen.WRONG


def plain(pair: Pair, written: Format) -> Pair:
    """Give the same dump as PostgreSQL's own programs read it, without our compression."""
    if written is Format.SQL or pair.file is None:
        return pair
    return Pair(pair.name, b"".join(archive.decompress([pair.file])), pair.manifest)


def run(bench: Bench, written: Format, few: int, tried: int) -> Mapping[str, Kind]:
    """
    Meet every damage; count what came of it.

    Args:
        bench: an empty database.
        written: how it is backed up.
        few: at about so many places each.
        tried: the same for what knows no manifest: the programs, which are slower, or age.

    """
    matrix = Matrix.of(bench, written)
    found: dict[str, Kind] = {}
    for damage in matrix.damages(few):
        found.setdefault(damage.kind, Kind()).migsafe[matrix.migsafe(damage)] += 1
    if bench.keys.encrypts:  # the programs can't read any of it
        for damage in _files(damages(matrix.whole, matrix.other, tried)):
            found[damage.kind].loaded[matrix.opened(damage)] += 1
        return found
    programs = Programs.on(matrix)
    for damage in _files(
        damages(plain(matrix.whole, written), plain(matrix.other, written), tried)
    ):
        kind = found.setdefault(damage.kind, Kind())
        kind.listed[programs.listed(damage)] += 1
        kind.loaded[programs.loaded(damage)] += 1
    return found


def _files(found: Iterable[Damage]) -> Iterator[Damage]:
    """Leave out what is done to manifests and names: the programs look at neither."""
    for damage in found:
        if not ("manifest" in damage.kind or damage.kind in {"missing", "a link"}):
            yield damage


def table(found: Mapping[str, Kind], written: Format, *, encrypted: bool) -> Iterable[str]:
    """Write it for people, the columns side by side."""
    lists = written is not Format.SQL and not encrypted
    loads = "age" if encrypted else "psql" if written is Format.SQL else "pg_restore"
    title = f"{written}, encrypted" if encrypted else str(written)
    listed = "pg_restore --list" if lists else ""
    yield f"{title:<18} {'migsafe':>12} {listed:>18} {loads:>12}   of those that {loads} took"
    whole = Kind()
    for name, kind in found.items():
        yield f"{name:<18} {_row(kind, lists=lists)}"
        for total, part in zip(_counters(whole), _counters(kind), strict=True):
            total.update(part)
    yield f"{'all':<18} {_row(whole, lists=lists)}"


def _counters(kind: Kind) -> tuple[Counter[Seen], ...]:
    return kind.migsafe, kind.listed, kind.loaded


def _row(kind: Kind, *, lists: bool) -> str:
    took = {seen: kind.loaded[seen] for seen in (Seen.WRONG, Seen.SAME) if kind.loaded[seen]}
    words = ", ".join(f"{number} {seen}" for seen, number in took.items())
    listed = _share(kind.listed) if lists else ""
    return f"{_share(kind.migsafe):>12} {listed:>18} {_share(kind.loaded):>12}   {words}".rstrip()


def _share(counted: Counter[Seen]) -> str:
    total = counted.total() - counted[Seen.BLIND]
    return f"{counted[Seen.REFUSED]} of {total}" if total else "-"


def folder_for(base: Path, written: Format, *, encrypted: bool) -> Path:
    """Make a folder for the backups of one format."""
    folder = base / f"{written}{'-encrypted' if encrypted else ''}"
    folder.mkdir()
    return folder
