"""The servers, the zoo, and the adapters under test, opened on them."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import docker
import pytest
from docker.utils import kwargs_from_env

from . import s3, sftp
from .bench import Bench
from .servers import MAJORS, PASSWORD, Server, literal, running

HERE = Path(__file__).parent
LOGINS = ("zoo_owner", "zoo_reader", "zoo_writer")


@pytest.fixture(scope="session")
def client() -> Iterator[docker.APIClient]:
    """Connect to the Docker Engine; without one there is nothing to test on."""
    try:
        found = docker.APIClient(**kwargs_from_env(), version="auto")
    except docker.errors.DockerException as error:
        pytest.skip(f"there is no Docker Engine: {error}")
    if shutil.which("docker") is None:
        pytest.skip("there is no docker command")
    yield found
    found.close()


@pytest.fixture(scope="session")
def servers(
    request: pytest.FixtureRequest, client: docker.APIClient
) -> Iterator[dict[int, Server]]:
    """Start one server for each major that a test asks for."""
    assert client is not None
    specs = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = {spec.params["server"] for spec in specs if spec and "server" in spec.params}
    with running(sorted(wanted)) as found:
        for server in found.values():
            server.program("psql", "--set=ON_ERROR_STOP=1", stdin=(HERE / "roles.sql").read_bytes())
            for role in LOGINS:
                server.run(f"ALTER ROLE {role} LOGIN PASSWORD {literal(PASSWORD)}")
        yield found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on every major, or on those that its module names in ``ON``."""
    marks = metafunc.definition.iter_markers("parametrize")
    if "server" in metafunc.fixturenames and not any(mark.args[0] == "server" for mark in marks):
        majors = getattr(metafunc.module, "ON", MAJORS)
        metafunc.parametrize("server", majors, ids="pg{}".format, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, servers: dict[int, Server]) -> Server:
    """Give the server of one major."""
    return servers[request.param]


@pytest.fixture(scope="module")
def nas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sftp.Sftp]:
    """Run an SFTP server."""
    with sftp.serving(tmp_path_factory.mktemp("sftp")) as found:
        yield found


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.S3]:
    """Run an S3 server."""
    with s3.serving(tmp_path_factory.mktemp("s3")) as found:
        yield found


@pytest.fixture(autouse=True)
def cleared(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave no database of a test behind."""
    found: Server | None = None
    if "server" in request.fixturenames:
        found = request.getfixturevalue("server")
    yield
    if found is not None:
        found.clear()


@pytest.fixture(scope="session")
def menagerie(server: Server) -> str:
    """Fill a database with one of everything; tests only read it, and copy it."""
    name = server.create("menagerie", "TEMPLATE template0 OWNER zoo_owner")
    server.stays.add(name)
    server.script((HERE / "zoo.sql").read_text(), name)
    return name


@pytest.fixture
def zoo(server: Server, menagerie: str) -> str:
    """Give the test a zoo of its own."""
    return server.create("zoo", f"TEMPLATE {menagerie} OWNER zoo_owner")


@pytest.fixture
def opened(client: docker.APIClient, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Open the adapters on a database of a server; closed in the end."""
    with ExitStack() as stack:

        def on(server: Server, database: str, user: str = "postgres") -> Bench:
            bench = Bench.open(client, server, database, user, tmp_path)
            stack.callback(bench.close)
            return bench

        yield on
