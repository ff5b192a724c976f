"""Servers that are thrown away: what a killed maker has left goes, what another makes stays."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import docker
import pytest

from sidecar import oneoff, throwaway
from sidecar.address import Address
from sidecar.clock import SystemClock
from sidecar.database_container import DatabaseHost
from sidecar.docker_api import DockerApi
from sidecar.oneoffs import OneOffs

from .servers import PREFIX, fresh

IMAGE = "debian:trixie-slim"
FOREVER = ["sleep", "infinity"]
APP = Address(host="db", port=5432, database="shop", user="shop", password="of-a-test")


class Project:
    """A project with a database, of which makers make servers to be thrown away."""

    def __init__(self, client: docker.APIClient, stack: ExitStack) -> None:
        self.client = client
        self.api = DockerApi({})
        self.stack = stack
        self.name = f"{PREFIX}-{fresh('project').replace('_', '-')}"
        self.database = self.container()

    def container(self) -> dict[str, Any]:
        """Start a container of the project that does nothing."""
        labels = {oneoff.PROJECT: self.name}
        found: dict[str, Any] = self.client.inspect_container(
            self.client.create_container(IMAGE, FOREVER, labels=labels)["Id"]
        )
        self.stack.callback(self.gone, found["Id"])
        self.client.start(found["Id"])
        return found

    def make(self, maker: Mapping[str, Any], run: str) -> ExitStack:
        """Make a server as a maker does; closing what is returned is its orderly end."""
        host = DatabaseHost(self.api, maker)
        host.container = self.database
        entered = ExitStack()
        entered.enter_context(throwaway.server(self.api, maker, host, APP, run))
        # held until the test's end: one that is forgotten would come to an orderly end at once
        self.stack.callback(entered.close)
        self.stack.callback(self.sweep)
        return entered

    def kill(self, container: Mapping[str, Any]) -> None:
        """Kill it as nobody can help against."""
        self.client.kill(container["Id"], "KILL")
        self.client.wait(container["Id"])

    def gone(self, container: str) -> None:
        """Remove a container, which may be gone."""
        try:
            self.client.remove_container(container, v=True, force=True)
        except docker.errors.NotFound:
            return

    def there(self) -> tuple[list[str], list[str]]:
        """Name the containers and networks that were made for a throwaway server, by their run."""
        of_project = {"label": [f"{throwaway.LABEL_PROJECT}={self.name}"]}
        containers = self.client.containers(all=True, filters=of_project)
        networks = self.client.networks(filters=of_project)
        runs = [[found["Labels"][oneoff.LABEL_RUN] for found in x] for x in (containers, networks)]
        return sorted(runs[0]), sorted(runs[1])

    def sweep(self) -> None:
        """Remove what a test has left."""
        for network in self.client.networks(names=[f"{self.name}-migsafe"]):
            for container in self.client.containers(all=True, filters={"network": network["Id"]}):
                self.gone(container["Id"])
            self.client.remove_network(network["Id"])


@pytest.fixture
def make(client: docker.APIClient) -> Iterator[Callable[[], Project]]:
    """Give what starts projects, and remove them in the end."""
    with ExitStack() as stack:
        yield lambda: Project(client, stack)


def test_its_own_end(make: Callable[[], Project]) -> None:
    """Nothing stays of a server whose maker came to its end."""
    project = make()
    made = project.make(project.container(), "a")
    assert (["a"], ["a"]) == project.there()

    made.close()

    assert ([], []) == project.there()


def test_who_is_at_work_is_left_alone(make: Callable[[], Project]) -> None:
    """A maker that runs keeps its server, whatever others of its project begin and end."""
    project = make()
    made = project.make(project.container(), "a")

    project.make(project.container(), "b").close()

    assert (["a"], ["a"]) == project.there()
    made.close()
    assert ([], []) == project.there()


def test_who_was_killed_is_cleared_up_after(make: Callable[[], Project]) -> None:
    """The next of the project removes the server and the network of one that was killed."""
    project = make()
    maker = project.container()
    project.make(maker, "a")
    at_work = project.make(project.container(), "b")
    project.kill(maker)
    assert (["a", "b"], ["a", "b"]) == project.there()

    project.make(project.container(), "c")

    assert (["b", "c"], ["b", "c"]) == project.there()
    at_work.close()


def test_who_was_removed_is_cleared_up_after(make: Callable[[], Project]) -> None:
    """So it is where nothing is left of the maker: `docker compose run --rm` removes it."""
    project = make()
    maker = project.container()
    project.make(maker, "a")
    project.gone(maker["Id"])

    project.make(project.container(), "b").close()

    assert ([], []) == project.there()


def test_another_project_is_left_alone(make: Callable[[], Project]) -> None:
    """What a killed maker of another project has left is for that project to clear up."""
    mine, other = make(), make()
    maker = other.container()
    other.make(maker, "a")
    other.kill(maker)

    mine.make(mine.container(), "b").close()

    assert (["a"], ["a"]) == other.there()


def test_a_migration_that_ran_there(make: Callable[[], Project]) -> None:
    """The container in which a killed rehearsal migrated goes as well, and so its network."""
    project = make()
    maker = project.container()
    project.make(maker, "a")
    (network,) = project.client.networks(names=[f"{project.name}-migsafe-rehearsal-a"])
    image = project.api.image(IMAGE)
    template = oneoff.rehearsal(project.database, image, image, network["Name"])
    one_offs = OneOffs(project.api, SystemClock(), project.name)
    one_offs.make_migration(template, "a", FOREVER)
    one_offs.start_migration("a")
    project.kill(maker)

    project.make(project.container(), "b").close()

    label = {"label": [f"{oneoff.LABEL_RUN}=a", f"{oneoff.PROJECT}={project.name}"]}
    left = project.client.containers(all=True, filters=label)
    assert ([], ([], [])) == ([found["Names"] for found in left], project.there())
