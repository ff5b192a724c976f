"""
Everything in one container: `migsafe wrap -- COMMAND`; migsafe and the app's code are in one image.

The app is a real Django, and the socket is nowhere. The tests are one story.
"""

import re
import subprocess
from collections.abc import Sequence

import pytest
import yaml

from .conftest import Make
from .shell import Result, wait_for
from .stack import IMAGE, ROOT, Stack

BOTH = f"""
FROM {IMAGE}
COPY --from=migsafe-e2e-django:RELEASE /usr/lib/python3/dist-packages /usr/lib/python3/dist-packages
COPY --from=migsafe-e2e-django:RELEASE /srv/shop /srv/shop
RUN ln -s python3 /usr/bin/python
WORKDIR /srv/shop
"""
MIGRATE = ("python", "manage.py", "migrate", "--noinput")
HELD = """
psql -q "$DATABASE_URL" -c "DELETE FROM shop_order WHERE id <= 10"
echo holding
psql -q "$DATABASE_URL" -c "SELECT pg_sleep(1000)"
"""
"""A migration that commits something, and then is at work in the server for long."""


class Wrapped(Stack):
    """A stack of a database, and of one service that wraps a migration."""

    def configure(self, **settings: str) -> None:
        """Wrap the app's own migration."""
        self.settings = {**self.settings, **settings}
        self.wrap(MIGRATE)

    def wrap(self, command: Sequence[str], *options: str) -> None:
        """Write what the service wraps."""
        service = {
            "image": f"migsafe-e2e-wrap-{self.project}:${{RELEASE}}",
            "command": ["wrap", *options, "--", *command],
            "environment": {
                "DATABASE_URL": "postgres://shop:secret@db/shop",
                "MIGSAFE_WAIT": "2s",
                **self.settings,
            },
            "volumes": ["./data/db_backup:/backups"],
            "stop_grace_period": "1m",
        }
        text = yaml.safe_dump({"services": {"wrap": service}}).replace("$", "$$")
        text = text.replace("$${RELEASE}", "${RELEASE}")
        (self.folder / "compose.override.yml").write_text(text, encoding="utf-8")

    def build(self, release: str) -> None:
        """Put migsafe and a release of the app into one image."""
        subprocess.run(
            (
                "docker",
                "build",
                "--quiet",
                "--tag",
                f"migsafe-e2e-wrap-{self.project}:{release}",
                "-",
            ),
            input=BOTH.replace("RELEASE", release).encode(),
            check=True,
            timeout=120,
            capture_output=True,
        )

    def typed(self, commands: str, release: str) -> Result:
        """Type commands into a shell that has both, until one fails."""
        self.build(release)
        self.move_to(release)
        options = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "sh")
        return self.compose(*options, "wrap", "-ec", commands)

    def go(self, release: str) -> Result:
        """Start the service attached, and tell how it ended."""
        self.build(release)
        self.move_to(release)
        self.compose("up", "--no-deps", "wrap")
        return self.logs("wrap")


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def stack(make: Make) -> Wrapped:
    """Start the example's database."""
    source = ROOT / "examples" / "without-socket"
    made = make(source, "wrap", build="django", kind=Wrapped, variables={"SHOP_IMAGE": "shop"})
    assert isinstance(made, Wrapped)
    assert 0 == made.compose("up", "-d", "--wait", "db").code
    return made


@pytest.fixture(scope="module")
def before(stack: Wrapped) -> dict[str, str]:
    """Remember what must not be lost."""
    assert stack
    return {}


def test_first_install(stack: Wrapped, before: dict[str, str]) -> None:
    """The framework is known by its files, its output is passed on, its migration is proven."""
    told = stack.go("v1")

    assert 0 == told.code, told.output
    assert "migrate: python manage.py migrate --noinput (Django)" in told.lines
    assert any(line.startswith("  |   Applying shop.0001") for line in told.lines)
    assert "✓ migrated and proven" == told.card[0]
    stack.psql("ALTER SYSTEM SET autovacuum = off")
    stack.psql("SELECT pg_reload_conf()")
    before["v1"] = stack.digest()


def test_nothing_to_do(stack: Wrapped) -> None:
    """Without a name for the release the framework's own check says that nothing is pending."""
    backups = stack.backups
    told = stack.go("v1")

    assert (0, backups) == (told.code, stack.backups)
    assert told.lines[-1].startswith("nothing to do")


def test_failed(stack: Wrapped, before: dict[str, str]) -> None:
    """A release that fails is put back, and its exit code is a failure's."""
    told = stack.go("v2-late")

    assert (20, before["v1"]) == (told.code, stack.digest()), told.output
    assert "put back and proven" in told.item("data")
    assert "docker" not in " ".join(told.card)


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_stopped_in_the_middle(stack: Wrapped, before: dict[str, str], signal: str) -> None:
    """
    Asked to end, it ends the migration and puts back; killed, the next one does.

    Meanwhile a second one changes nothing.
    """
    stack.wrap(("sh", "-c", HELD), "--release", signal)
    stack.build("v2-good")
    stack.move_to("v2-good")
    stack.compose("up", "-d", "--no-deps", "wrap")
    wait_for(lambda: "  | holding" in stack.compose("logs", "wrap").output)
    if signal == "KILL":
        second = stack.compose("run", "--rm", "--no-deps", "-T", "wrap")
        assert 12 == second.code, second.output

    name = stack.container("wrap")
    stack.run(("docker", "kill", "--signal", signal, name))
    wait_for(lambda: stack.inspect(name)["State"]["Status"] == "exited")
    if signal == "KILL":
        assert 137 == stack.exit_code("wrap")
        stack.run(("docker", "start", name))
        wait_for(lambda: stack.inspect(name)["State"]["Status"] == "exited")

    assert (21, before["v1"]) == (stack.exit_code("wrap"), stack.digest()), stack.logs("wrap")


def test_the_unit(stack: Wrapped, before: dict[str, str]) -> None:
    """What the unit for systemd starts: what was migrated is left, what fails is put back."""
    text = (ROOT / "examples" / "systemd" / "shop-migrate.service").read_text(encoding="utf-8")
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert "KillMode=mixed" in text
    good, bad = (stack.typed(command, release) for release in ("v1", "v2-early"))

    assert (0, 20, before["v1"]) == (good.code, bad.code, stack.digest()), bad.output


def test_the_ci_step(stack: Wrapped, before: dict[str, str]) -> None:
    """What the steps of the job type, one after the other, until one fails."""
    job = yaml.safe_load((ROOT / "examples" / "ci" / "deploy.yml").read_text())["jobs"]["migrate"]
    steps = [step["run"] for step in job["steps"] if "run" in step]
    shared = job["env"]["MIGSAFE_SHARED"]
    assert steps[1].startswith(f"{shared}/run ")
    settings = f"export MIGSAFE_SHARED={shared} MIGSAFE_RELEASE=bad; mkdir -p {shared}"
    bad = stack.typed("\n".join((settings, *steps)), "v2-late")

    assert (20, before["v1"]) == (bad.code, stack.digest()), bad.output
    assert "the migration ended with 1" in bad.output


def test_success(stack: Wrapped) -> None:
    """The next release that is good migrates; nothing of the earlier ones is left in the way."""
    stack.configure()
    told = stack.go("v2-good")

    assert 0 == told.code, told.output
    assert not [name for name in stack.databases() if "__migsafe_" in name]
