"""The stack of ``examples/loomio``, used by the names of its Makefile; its images are stand-ins."""

import re
import shutil
from pathlib import Path

from .conftest import Make
from .shell import Result
from .stack import IMAGE, ROOT, Stack

EXAMPLE = ROOT / "examples" / "loomio"
STAND_INS = Path(__file__).parent / "stacks" / "loomio" / "stand-ins.yml"
SERVICES = ("app", "worker", "channels", "hocuspocus")
"""What the brief's operator starts again by hand."""


class Loomio(Stack):
    """A copy of the example."""

    files: tuple[str, ...] = ("compose.yml", "compose.override.yml")

    def compose_files(self) -> list[Path]:
        """Name the files that .env names, without the stand-ins."""
        return [self.folder / name for name in self.files]

    def move_to(self, release: str) -> None:
        """Edit the .env file, as a person does who moves to another release."""
        self.release = release
        path = self.folder / ".env"
        if not path.exists():
            shutil.copy(STAND_INS, self.folder)
            made = self.make(".env")
            assert made.code == 0, made.output
        text = path.read_text(encoding="utf-8")
        for name, value in self._values().items():
            text = re.sub(rf"^{name}=.*\n|\Z", "", text, flags=re.MULTILINE) + f"{name}={value}\n"
        path.write_text(text, encoding="utf-8")

    def _values(self) -> dict[str, str]:
        return {
            "LOOMIO_CONTAINER_IMAGE": "migsafe-e2e-loomio",
            "LOOMIO_CONTAINER_TAG": self.release,
            "CHANNELS_CONTAINER_IMAGE": "migsafe-e2e-channels",
            "CHANNELS_CONTAINER_TAG": "v1",
            "MIGSAFE_IMAGE": IMAGE,
            "COMPOSE_FILE": ":".join((*self.files, STAND_INS.name)),
        }

    def make(self, *words: str) -> Result:
        """Type `make …`."""
        return self.run(("make", "--no-print-directory", *words))

    def update(self, release: str) -> Result:
        """Name another release in .env, and type `make update`."""
        self.move_to(release)
        return self.make("update")

    def states(self) -> dict[str, str]:
        """Tell the states of Loomio's own services."""
        return {service: self.state(service) for service in SERVICES}

    def acknowledged(self) -> set[str]:
        """Read what the worker was told to be safe, by the container that it has now."""
        said = self.run(("docker", "logs", self.container("worker"))).output
        return set(re.findall(r"^acknowledged (\d+)$", said, re.MULTILINE))


class InMemory(Loomio):
    """The same with its database in memory."""

    files = (*Loomio.files, "compose.ram.yml")


def copied(make: Make, name: str, kind: type[Loomio] = Loomio) -> Loomio:
    """Copy the example, as a person does who wants to have it."""
    stack = make(
        EXAMPLE,
        name,
        build="loomio channels",
        kind=kind,
        database="loomio_production",
        superuser="loomio",
        restless=("events", "events_id_seq"),
        second=kind is InMemory,  # whose override is about it
    )
    assert isinstance(stack, Loomio)
    return stack
