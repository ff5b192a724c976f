"""One-off containers on a real engine: the contract that the fake of the unit tests keeps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import docker
import pytest

from sidecar import failpoints, oneoff
from sidecar.clock import SystemClock
from sidecar.docker_api import DockerApi
from sidecar.engine import DockerEngine
from sidecar.facts import App
from sidecar.ports import Engine
from tests import contracts

from .servers import PREFIX, fresh

IMAGE = "debian:trixie-slim"
MEMORY = 32 << 20
DOES: Mapping[str, Sequence[str]] = {
    "exit 0": ("true",),
    "exit 3": ("sh", "-c", "echo it says; exit 3"),
    "runs on": ("sleep", "60"),
    # a child is killed, and the exit code is 0 all the same
    "eats": ("sh", "-c", "tail /dev/zero; true"),
}
APP = App(
    project="shop",
    service="app",
    container="c0ffee",
    image="sha256:1",
    image_name="shop:1",
    digest=None,
    environment={},
)


class EngineBench:
    """A project whose app is a container that was made and never started."""

    def __init__(self, client: docker.APIClient) -> None:
        self.client = client
        self.project = f"{PREFIX}-{fresh('project')}"
        labels = {oneoff.PROJECT: self.project, oneoff.SERVICE: "app"}
        host = client.create_host_config(mem_limit=MEMORY, memswap_limit=MEMORY)
        made = client.create_container(IMAGE, "true", labels=labels, host_config=host)
        self.template: dict[str, Any] = client.inspect_container(made["Id"])

    def engine(self, does: str) -> Engine:
        """Open the engine as another guard would."""
        assert does in DOES
        found = DockerEngine(DockerApi({}), self.template, SystemClock(), None)
        found._found = (APP, self.template)
        return found

    def command(self, does: str) -> Sequence[str]:
        """Give the command for it."""
        return DOES[does]

    def make(self, run: str) -> None:
        """Make the run's container, and do not start it."""
        self.engine("exit 0").make_migration(run, DOES["exit 0"])

    def clear(self) -> None:
        """Remove everything of the project."""
        label = {"label": f"{oneoff.PROJECT}={self.project}"}
        for container in self.client.containers(all=True, filters=label):
            self.client.remove_container(container["Id"], v=True, force=True)


class TestOneOffs(contracts.EngineContract):
    """
    One-offs on the engine.

    Faults: 3, 77, 80.
    """

    @pytest.fixture
    def bench(self, client: docker.APIClient) -> Iterator[EngineBench]:
        """Open it."""
        found = EngineBench(client)
        yield found
        found.clear()

    def test_a_child_that_was_killed_is_seen(self, bench: EngineBench) -> None:
        """
        The kernel kills a child for its memory, the program exits with 0: that is no success.

        Faults: 73.
        """
        engine = bench.engine("eats")
        engine.make_migration(contracts.RUN, DOES["eats"])
        engine.start_migration(contracts.RUN)

        ended = contracts.follow(engine)

        assert ended is not None
        assert (0, True, False) == (ended.code, ended.out_of_memory, ended.good)

    def test_what_it_said_is_kept(self, bench: EngineBench) -> None:
        """The last lines come with the exit code, also to a guard that comes later."""
        engine = bench.engine("exit 3")
        engine.make_migration(contracts.RUN, DOES["exit 3"])
        engine.start_migration(contracts.RUN)

        for each in (engine, bench.engine("exit 3")):
            ended = contracts.follow(each)
            assert ended is not None
            assert ("it says",) == ended.tail

    def test_an_answer_that_does_not_come_says_nothing(
        self, bench: EngineBench, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """
        A request that times out while the container runs is no end: what it ended with is taken.

        Faults: 79.
        """
        engine = bench.engine("exit 3")
        engine.make_migration(contracts.RUN, ("sh", "-c", "sleep 1; exit 3"))
        engine.start_migration(contracts.RUN)
        failpoints.arm(failpoints.parse("engine.asked@4=fail"))
        try:
            ended = contracts.follow(engine)
        finally:
            failpoints.arm({})

        assert "engine.asked@4: fail" in capsys.readouterr().err
        assert ended is not None
        assert ended.code == 3
