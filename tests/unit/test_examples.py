"""What users copy from the examples is the shipped override, and what their own app needs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
OVERRIDES = sorted(EXAMPLES.glob("*/compose.override.yml"))
OTHERS = {"alembic": 0, "django": 1, "loomio": 7, "plain-sql": 2}
"""Lines that an example's override has more than the shipped one."""

GATE = {
    "depends_on": {
        "migsafe": {"condition": "service_completed_successfully"},
        "migsafe-backups": {"condition": "service_started"},
    }
}
NAMES = ("init", "start", "stop", "update", "restore-db", "db-backup", "status")


def services(path: Path) -> dict[str, Any]:
    """Read the services of a compose file."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    return found


def test_the_examples_are_these() -> None:
    """None is left out below."""
    assert sorted(OTHERS) == [path.parent.name for path in OVERRIDES]


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda path: path.parent.name)
def test_an_override_is_the_shipped_one(override: Path) -> None:
    """Nothing differs but migsafe's settings, and who waits for it."""
    shipped, found = services(ROOT / override.name), services(override)
    guard, second = found.pop("migsafe"), found.pop("migsafe-backups")

    assert guard.pop("environment", None) == second.pop("environment", None)
    assert (shipped["migsafe"], shipped["migsafe-backups"]) == (guard, second)
    assert all(gated == GATE for gated in found.values())
    lines = [path.read_text().splitlines() for path in (override, ROOT / override.name)]
    assert OTHERS[override.parent.name] == len(lines[0]) - len(lines[1])


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda path: path.parent.name)
def test_a_compose_file_knows_nothing(override: Path) -> None:
    """The user's own file stays as it was, and everything that is gated is in it."""
    path = override.with_name("compose.yml")
    text = re.sub("^# .*$", "", path.read_text(), count=1, flags=re.MULTILINE)

    assert "migsafe" not in text
    assert set(services(override)) - {"migsafe", "migsafe-backups"} < set(services(path))


def test_loomio_has_the_services_of_its_operators() -> None:
    """What the document names, by its names."""
    found = set(services(EXAMPLES / "loomio" / "compose.yml"))

    assert {"app", "worker", "channels", "hocuspocus", "db", "redis"} == found


@pytest.mark.parametrize("name", NAMES)
def test_loomio_has_the_names_of_its_operators(name: str) -> None:
    """Each is one or two lines that call Compose."""
    text = (EXAMPLES / "loomio" / "Makefile").read_text()
    found = re.search(rf"^{name}:.* ## .*\n((?:\t.*\n)+)", text, re.MULTILINE)

    assert found
    lines = found[1].splitlines()
    assert len(lines) <= 2
    assert all(line.startswith("\tdocker compose ") for line in lines)
    assert name in re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)[0].split()
