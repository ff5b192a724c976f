"""The apps that the stories are played with, each a framework of its own."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

APPS = Path(__file__).parent / "apps"
EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class App:
    """What differs between the frameworks."""

    name: str
    migrate: str
    """What migsafe finds out that migrates it."""
    serving: str
    """A shell command in the app's container that tells the books that it sees, by their number."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What migsafe can't know of it."""
    restless: tuple[str, ...] = ()
    """Tables that its worker writes to all the time."""
    example: str = ""
    """The example of what its users copy."""

    @property
    def folder(self) -> Path:
        """Where a compose file without an override lies."""
        return APPS / self.name

    @property
    def image(self) -> str:
        """Its image, of which each release is a tag."""
        return f"migsafe-e2e-{self.name}"


def _page(port: int) -> str:
    return (
        "python -c \"import urllib.request as u; print(u.urlopen('http://localhost:"
        f"{port}/').read().decode())\""
    )


DJANGO = App(
    "django",
    "python manage.py migrate --noinput",
    _page(8000),
    restless=("ticks", "ticks_id_seq"),
    example="django",
)
RAILS = App(
    "rails",
    "bin/rails db:migrate",
    "ruby -rnet/http -e 'puts Net::HTTP.get(URI(\"http://localhost:3000/\"))'",
)
ALEMBIC = App("alembic", "alembic upgrade head", _page(8000), example="alembic")
PLAIN = App(
    "plainsql",
    "bin/migrate",
    '. bin/database; echo "$(query --command "SELECT count(*) FROM books") books"',
    settings={"MIGSAFE_MIGRATE": "bin/migrate"},
    example="plain-sql",
)
EVERY = (DJANGO, RAILS, ALEMBIC, PLAIN)


@cache
def build(app: str) -> None:
    """Build an app's releases: a moment where nothing has changed."""
    done = subprocess.run((APPS / "build", app), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
