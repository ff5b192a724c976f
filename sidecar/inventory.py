"""
Which backups were where, when this was last looked at. Pure.

A listing may be short without an error, a folder may be another's, somebody may have cleared up:
where a backup is gone that nobody of us has deleted, nothing is deleted until somebody says that it
was meant.

A clock may be wrong as well, and what was taken yesterday look a month old: see ``Looks``.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sidecar.backups import Backup, Kind

FILE = "inventory.json"
SCHEMA = 1
HERE = "the folder of backups"
SHOWN = 3
"""So many names are told, where more are gone."""

GO = frozenset({Kind.PRE_MIGRATION, Kind.SCHEDULED})
"""What is remembered: backups of other kinds go only when somebody deletes them by hand."""


GAP, TRUSTED = timedelta(days=2), timedelta(days=1)
"""So far apart looks follow one another; for so long they have to until the clock is believed."""

BACK = timedelta(minutes=5)
"""So far a clock is set back without a word."""


@dataclass(frozen=True)
class Looks:
    """
    When this was looked at, by a clock that may be wrong.

    A clock that has jumped ahead is not to be told from a machine that was off, at the first look.
    So ages are counted to the look before the gap, until for a day one look has followed another.
    """

    last: datetime | None = None
    since: datetime | None = None
    """From when on they follow one another."""
    before: datetime | None = None
    """The last one before that."""

    def at(self, now: datetime) -> "Looks":
        """Look once more."""
        if self.last is None:
            return Looks(now, now, now)
        if -BACK <= now - self.last <= GAP:
            return replace(self, last=now)
        return Looks(now, now, min(self.last, now))

    @property
    def until(self) -> datetime | None:
        """The moment to which ages are counted; None where nobody has looked."""
        if self.last is None or self.since is None or self.last - self.since >= TRUSTED:
            return self.last
        return min(self.last, self.before or self.last)


@dataclass(frozen=True)
class Inventory:
    """The names of whole backups by place: the local folder, and each store by its name."""

    places: Mapping[str, frozenset[str]] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)
    going: frozenset[str] = frozenset()
    """What we were about to delete here: who kills us leaves files without their manifests."""

    @classmethod
    def of(
        cls,
        places: Mapping[str, Collection[str]],
        looks: Looks = Looks(),
        going: frozenset[str] = frozenset(),
    ) -> "Inventory":
        """Take note of what is where."""
        there = {place: frozenset(filter(_goes, names)) for place, names in places.items()}
        return cls(there, looks, going)

    def missing(self, found: "Inventory") -> str:
        """
        Tell what was there and is not any more; empty where nothing is.

        Args:
            found: what is where now; a place that nobody looks at any more lacks nothing.

        """
        gone = {
            place: sorted(names - found.places[place])
            for place, names in self.places.items()
            if place in found.places
        }
        told = [f"{_some(names)} in {place}" for place, names in gone.items() if names]
        if not told:
            return ""
        return (
            f"backups are missing that were there before: {'; '.join(told)}. Was it meant?"
            " `docker compose run --rm migsafe prune --accept-missing` says so"
        )

    def without(self, names: Collection[str]) -> "Inventory":
        """Leave out what we are about to delete, wherever it is, and note that it goes."""
        going = frozenset(names)
        left = {place: kept - going for place, kept in self.places.items()}
        return replace(self, places=left, going=going)

    def to_json(self) -> str:
        """Write it down."""
        places = {place: sorted(names) for place, names in self.places.items()}
        looks = {name: at.isoformat() for name, at in vars(self.looks).items() if at}
        going = sorted(self.going)
        record = {"schema": SCHEMA, "looks": looks, "places": places, "going": going}
        return json.dumps(record, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Inventory":
        """Read it back; one that can't be read is as good as none."""
        try:
            record = json.loads(text)
            places, looks = record["places"], record.get("looks", {})
            return cls(
                {str(place): frozenset(map(str, names)) for place, names in places.items()},
                Looks(**{name: datetime.fromisoformat(at) for name, at in looks.items()}),
                frozenset(map(str, record.get("going", ()))),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()


def _goes(name: str) -> bool:
    backup = Backup.parse(name)
    return backup is not None and backup.kind in GO


def _some(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
