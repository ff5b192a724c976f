"""What users read is held to the code."""

import html
import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from sidecar import cli
from sidecar.figures import Figures
from sidecar.metrics import families
from sidecar.state import PROBLEMS

from .builders import NOON

ROOT = Path(__file__).parents[2]
HOUR = timedelta(hours=1)
README = (ROOT / "README.md").read_text()
OVERRIDE = (ROOT / "compose.override.yml").read_text()


def test_the_readme_shows_the_override_itself() -> None:
    """What is copied from the README is the file."""
    assert OVERRIDE in README


def test_the_override_is_short() -> None:
    """At most 30 lines to drop beside a compose file, for both services."""
    assert len(OVERRIDE.splitlines()) <= 30


def test_the_override_gates_the_app() -> None:
    """The guard is a one-shot that never restarts by itself, and the app waits for it."""
    services = yaml.safe_load(OVERRIDE)["services"]

    assert "no" == services["migsafe"]["restart"]
    assert "guard" == services["migsafe"]["command"]
    expected = {"condition": "service_completed_successfully"}
    assert expected == services["app"]["depends_on"]["migsafe"]


SHIPPED = sorted(
    path for folder in (ROOT, *ROOT.glob("examples/*")) for path in folder.glob("compose*.y*ml")
)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(service, id=f"{path.parent.name}/{path.name} {name}")
        for path in SHIPPED
        for name, service in yaml.safe_load(path.read_text())["services"].items()
        if "MIGSAFE_IMAGE" in service.get("image", "")
    ],
)
def test_an_image_that_is_here_is_not_looked_for_elsewhere(image: dict[str, str]) -> None:
    """`docker compose pull` fails where a registry lacks one image: who built it has none there."""
    assert "missing" == image["pull_policy"]


def test_the_override_has_the_second_mode() -> None:
    """
    It is the same image with the same settings, and stops after the app and before the database.

    Faults: 128.
    """
    services = yaml.safe_load(OVERRIDE)["services"]
    guard, second = services["migsafe"], services["migsafe-backups"]
    own = {"command", "restart", "healthcheck", "depends_on"}

    assert "schedule" == second["command"]
    assert "unless-stopped" == second["restart"]
    assert ["CMD", "migsafe", "health"] == second["healthcheck"]["test"]
    assert {"migsafe", "db"} == set(second["depends_on"])
    assert "migsafe-backups" in services["app"]["depends_on"]
    assert {k: v for k, v in guard.items() if k not in own} == {
        k: v for k, v in second.items() if k not in own
    }


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    """No command is a secret."""
    assert re.search(rf"(migsafe |`){command}[` ]", README)


PAGES = (
    "README.md",
    "docs/recovery.md",
    "docs/settings.md",
    "docs/backups.md",
    "docs/limits.md",
    "docs/how-it-works.md",
    "docs/without-the-socket.md",
    "docs/being-told.md",
)


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_only_commands_that_exist(page: str) -> None:
    """Nobody is told to type what does not exist."""
    text = (ROOT / page).read_text()
    named = set(re.findall(r"run --rm migsafe (\w+)", text))

    assert named <= set(cli.COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_pages_link_to_what_is_there(page: str) -> None:
    """Links between the pages lead somewhere, also to a section of a page."""
    path = ROOT / page
    for target, section in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", path.read_text()):
        there = path.parent / target if target else path
        assert there.exists(), target
        titles = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE) if section else []
        assert not section or section in {_anchor(title) for title in titles}, section


def _anchor(title: str) -> str:
    """Make of a title what GitHub makes of it."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_every_metric_is_on_the_page() -> None:
    """What Prometheus is told is listed, and nothing else."""
    page = (ROOT / "docs" / "being-told.md").read_text()
    figures = Figures(interval=HOUR, verify_interval=HOUR, last_attempt=NOON)
    told = {sample.name for f in families(figures) for sample in f.samples}
    told |= {family.name for family in families(Figures()) if family.type == "gauge"}

    assert told | {"migsafe_runs_total"} == set(re.findall(r"`(migsafe_\w+)`", page))
    assert {name for name in PROBLEMS if f"`{name}` (" in page} == PROBLEMS


@pytest.mark.parametrize("target", ["demo", "test", "image", "lint", "bench"])
def test_the_makefile_has_the_targets(target: str) -> None:
    """The two commands of the README, and the others, exist."""
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_picture_is_of_its_source() -> None:
    """Whoever changes the source draws the picture anew: every step of the one is in the other."""
    source = (ROOT / "docs" / "guarded-run.dot").read_text()
    picture = html.unescape((ROOT / "docs" / "guarded-run.svg").read_text())
    said = re.findall(r'label="([^"]+)"', source)

    assert len(said) > 20
    for text in said:
        assert all(f">{line}</text>" in picture for line in text.split("\\n")), text


def test_the_picture_closes_before_the_transaction() -> None:
    """A swap is one transaction; the closing before it is not in it, and survives its failure."""
    source = (ROOT / "docs" / "guarded-run.dot").read_text()

    assert re.search(r'"swap\\nclose, [^"]*; then in one transaction:\\nrename both, jour', source)


def test_the_picture_has_every_stage_of_the_page() -> None:
    """What the page explains is in the picture."""
    page = (ROOT / "docs" / "how-it-works.md").read_text()
    stages = re.findall(r"^- \*\*(.+?)\*\*:", page, re.MULTILINE)
    source = (ROOT / "docs" / "guarded-run.dot").read_text()

    assert len(stages) == 10
    assert set() == {stage for stage in stages[:-1] if f'label="{stage}' not in source}
