"""
Which backups were where, when this was last looked at. Pure.

A listing may be short without an error, a folder may be another's, somebody may have cleared up:
where a backup is gone that nobody of us has deleted, nothing is deleted until somebody says that it
was meant.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sidecar.backups import Backup, Kind

FILE = "inventory.json"
SCHEMA = 1
HERE = "the folder of backups"
SHOWN = 3
"""So many names are told, where more are gone."""

GO = frozenset({Kind.PRE_MIGRATION, Kind.SCHEDULED})
"""What is remembered: backups of other kinds go only when somebody deletes them by hand."""


@dataclass(frozen=True)
class Inventory:
    """The names of whole backups by place: the local folder, and each store by its name."""

    places: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, places: Mapping[str, Collection[str]]) -> "Inventory":
        """Take note of what is where."""
        return cls({place: frozenset(filter(_goes, names)) for place, names in places.items()})

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
        """Leave out what we are about to delete, wherever it is."""
        gone = frozenset(names)
        return Inventory({place: kept - gone for place, kept in self.places.items()})

    def to_json(self) -> str:
        """Write it down."""
        places = {place: sorted(names) for place, names in self.places.items()}
        return json.dumps({"schema": SCHEMA, "places": places}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Inventory":
        """Read it back; one that can't be read is as good as none."""
        try:
            places = json.loads(text)["places"]
            return cls({str(place): frozenset(map(str, names)) for place, names in places.items()})
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()


def _goes(name: str) -> bool:
    backup = Backup.parse(name)
    return backup is not None and backup.kind in GO


def _some(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
