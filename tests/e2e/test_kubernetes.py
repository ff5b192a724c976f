"""
The manifests for Kubernetes, played for real by podman: init containers on one shared volume.

Podman plays pods, init containers and volumes, and no Jobs: the Job's pod is played on its own.
What podman does otherwise than a kubelet is evened out in ``Pods.manifest``. The tests are one
story.
"""

import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from . import shell
from .conftest import Make
from .shell import Process, Result, ended, wait_for
from .stack import IMAGE, ROOT, Stack
from .test_without_socket import Chain

EXAMPLES = ROOT / "examples" / "kubernetes"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RELEASES = ("v1", "v2-good", "v2-late", "v3")
CONF = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
"""Podman raises the limits to the highest that there are, which a machine may forbid."""

HELD = """\
. bin/database
query --command "DELETE FROM orders WHERE id <= 100"
query --command "SELECT pg_sleep(1000)"
"""


@dataclass
class Pods:
    """Podman, with a store of its own, and a database that its pods reach."""

    folder: Path
    stack: Stack
    played: list[Path] = field(default_factory=list)

    def command(self, *arguments: str) -> list[str]:
        """Write a command of podman's."""
        driver = ("--storage-driver", "overlay")
        program = ("--storage-opt", "overlay.mount_program=/usr/bin/fuse-overlayfs")
        where = ("--root", str(self.folder / "root"), "--runroot", str(self.folder / "run"))
        conf = f"CONTAINERS_CONF={self.folder / 'containers.conf'}"
        return ["env", conf, "podman", *where, *driver, *program, *arguments]

    def run(self, *arguments: str) -> Result:
        """Run podman."""
        return shell.run(self.command(*arguments), self.folder)

    def install(self) -> None:
        """Bring images, secret and volume in."""
        (self.folder / "containers.conf").write_text(CONF, encoding="utf-8")
        names = {IMAGE: "localhost/migsafe:dev"}
        names |= {f"migsafe-e2e-plainsql:{v}": f"localhost/shop:{v}" for v in RELEASES}
        for image, name in names.items():
            # an image that was imported has no PATH, and podman knows none by itself
            _docker(
                "build", "--quiet", "--tag", name, "-", stdin=f"FROM {image}\nENV PATH={PATH}\n"
            )
        archive = self.folder / "images.tar"
        _docker("save", "--output", str(archive), *names.values())
        assert 0 == self.run("load", "--input", str(archive)).code
        archive.unlink()
        _docker("rmi", *names.values())
        self._secret()

    def _secret(self) -> None:
        """Make the secret by hand: podman 4.3 can't read one back that it has played."""
        *_, secret = yaml.safe_load_all((EXAMPLES / "backups.yaml").read_text())
        address = self.stack.inspect(self.stack.container("db"))["NetworkSettings"]["Networks"]
        values = {**secret["stringData"]}
        values["POSTGRES_HOST"] = next(iter(address.values()))["IPAddress"]
        encoded = {name: base64.b64encode(v.encode()).decode() for name, v in values.items()}
        file = self.folder / "secret.json"
        file.write_text(json.dumps(encoded))
        made = self.run("secret", "create", secret["metadata"]["name"], str(file))
        assert 0 == made.code, made.output

    def manifest(
        self,
        kind: str,
        name: str,
        release: str,
        migrate: Sequence[str] = (),
        image: str = "",
        **settings: str,
    ) -> Path:
        """Take a manifest's pod, as it is for a release; the image is the release's own."""
        text = (EXAMPLES / f"{kind}.yaml").read_text()
        assert 1 == text.count("value: v1")
        text = text.replace("value: v1", f"value: {release}")
        text = text.replace("image: shop:v1", f"image: localhost/shop:{image or release}")
        text = text.replace("image: migsafe:dev", "image: localhost/migsafe:dev")
        # podman makes an emptyDir a volume of that name, for every pod the same
        text = text.replace("name: shared", f"name: shared-{name}")
        spec = yaml.safe_load(text)["spec"]["template"]["spec"]
        spec["restartPolicy"] = "Never"  # podman starts init containers again that have succeeded
        for container in (*spec["initContainers"], *spec["containers"]):
            self._adapt(container, migrate, settings)
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(pod))
        self.played.append(path)
        return path

    def _adapt(
        self, container: dict[str, Any], migrate: Sequence[str], settings: dict[str, str]
    ) -> None:
        env = [{"name": f"MIGSAFE_{name}", "value": value} for name, value in settings.items()]
        if "migsafe" in container["image"]:
            container["env"] = [*container.get("env", ()), *env]
        if container["name"] == "migrate" and migrate:
            container["args"] = ["/migsafe/run", *migrate]

    def play(self, manifest: Path) -> Process:
        """Start a pod; podman stays until its init containers have ended."""
        words = ("kube", "play", "--replace", "--network", "host", str(manifest))
        return shell.start(self.command(*words), self.folder)

    def code(self, process: Process) -> int:
        """Tell with what an init container has ended a pod; 0 where all were good."""
        told = ended(process)
        found = re.search(r"exited with code (\d+)", told.output)
        assert found or told.code == 0, told.output
        return int(found[1]) if found else 0

    def report(self) -> str:
        """Read the last card."""
        (volume,) = (self.folder / "root" / "volumes").glob("shop-backups/_data")
        return (volume / "last-report.txt").read_text()

    def down(self) -> None:
        """Remove every pod."""
        for manifest in self.played:
            self.run("kube", "down", str(manifest))
        self.run("volume", "prune", "--force")


def _docker(*arguments: str, stdin: str = "") -> None:
    subprocess.run(
        ("docker", *arguments), input=stdin.encode(), check=True, timeout=120, capture_output=True
    )


@contextmanager
def _short_folder() -> Iterator[Path]:
    """Make a folder whose name is short enough for sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="pods"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def pods(make: Make) -> Iterator[Pods]:
    """Start a database, and bring everything to podman."""
    missing = [each for each in ("podman", "catatonit", "fuse-overlayfs") if not shutil.which(each)]
    if missing:
        pytest.skip(f"not here: {', '.join(missing)}; scripts/machine podman installs them")
    stack = make(ROOT / "examples" / "without-socket", "pods", kind=Chain)
    assert 0 == stack.compose("up", "-d", "--wait", "db").code
    with ExitStack() as cleanup:
        found = Pods(cleanup.enter_context(_short_folder()), stack)
        cleanup.callback(lambda: found.run("system", "reset", "--force"))
        cleanup.callback(found.down)
        found.install()
        yield found


@pytest.mark.parametrize("kind", ["deployment", "job"])
def test_the_manifests(kind: str) -> None:
    """One after the other, on shared volumes; only migsafe sees the backups."""
    text = (EXAMPLES / f"{kind}.yaml").read_text()
    spec = yaml.safe_load(text)["spec"]["template"]["spec"]
    order = [each["name"] for each in (*spec["initContainers"], *spec["containers"])]
    mounts = {
        each["name"]: {mount["mountPath"] for mount in each.get("volumeMounts", ())}
        for each in (*spec["initContainers"], *spec["containers"])
    }

    assert ["begin", "migrate", "conclude"] == order[:3]
    assert {"/backups", "/migsafe"} == mounts["begin"] == mounts["conclude"]
    assert {"/migsafe"} == mounts["migrate"]
    assert "docker.sock" not in text
    assert "privileged" not in text
    assert (kind == "job") == (spec.get("restartPolicy") == "Never")


@pytest.mark.long
def test_first_install(pods: Pods) -> None:
    """An empty database is migrated by the init containers, and the app runs."""
    code = pods.code(pods.play(pods.manifest("deployment", "one", "v1")))

    assert 0 == code, pods.report()
    assert "✓ migrated and proven" in pods.report()
    wait_for(lambda: "200 books" in pods.run("logs", "one-app").output)


@pytest.mark.long
def test_the_same_pod_again(pods: Pods) -> None:
    """A pod that is started anew migrates nothing: its release is done."""
    runs = pods.stack.psql("SELECT count(DISTINCT run) FROM migsafe.journal", "migsafe")
    code = pods.code(pods.play(pods.manifest("deployment", "again", "v1")))

    assert 0 == code
    assert runs == pods.stack.psql("SELECT count(DISTINCT run) FROM migsafe.journal", "migsafe")


@pytest.mark.long
def test_failed(pods: Pods) -> None:
    """A release that fails is put back, its app does not start, and it is not tried again."""
    pods.stack.psql("ALTER SYSTEM SET autovacuum = off")
    pods.stack.psql("SELECT pg_reload_conf()")
    before = pods.stack.digest()
    manifest = pods.manifest("deployment", "bad", "v2-late")
    codes = [pods.code(pods.play(manifest)) for _ in range(2)]

    assert ([20, 17], before) == (codes, pods.stack.digest()), pods.report()
    assert "serving" not in pods.run("logs", "bad-app").output


@pytest.mark.long
def test_two_pods_at_once(pods: Pods) -> None:
    """
    One migrates, the other waits for it and has nothing to do; both apps run.

    The lock in the control database holds wherever the two are. Faults: 1.
    """
    started = [
        pods.play(pods.manifest("deployment", name, "v2-good")) for name in ("left", "right")
    ]

    assert [0, 0] == [pods.code(process) for process in started], pods.report()
    committed = pods.stack.psql(
        "SELECT count(*) FROM migsafe.journal WHERE phase = 'committed'", "migsafe"
    )
    assert ("2", "0") == (committed, pods.stack.psql("SELECT count(*) FROM reviews"))
    for name in ("left", "right"):
        wait_for(lambda name=name: "serving" in pods.run("logs", f"{name}-app").output)  # type: ignore[misc]


@pytest.mark.long
def test_a_pod_that_is_gone(pods: Pods) -> None:
    """
    A pod was deleted in the middle of its migration: another can't know that, until it is told.

    Then what was left is put back, and the next one migrates.
    """
    before = pods.stack.digest()
    manifest = pods.manifest("deployment", "lost", "v3", ("sh", "-c", HELD))
    process = pods.play(manifest)
    held = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1000)'"
    wait_for(lambda: process.poll() is not None or "1" == pods.stack.psql(held, "postgres"))
    assert process.poll() is None, ended(process).output + pods.report()
    process.kill()  # it holds the pod's lock
    ended(process)
    pods.run("pod", "rm", "--force", "--time", "0", "lost")

    late = pods.manifest("deployment", "late", "v3", WAIT="2s")
    assert 12 == pods.code(pods.play(late)), pods.report()
    assert "4900" == pods.stack.psql("SELECT count(*) FROM orders")
    told = pods.run("run", "--rm", "--network", "host", *_environment(pods), "migsafe:dev", "retry")
    assert 0 == told.code, told.output
    assert (21, before) == (pods.code(pods.play(late)), pods.stack.digest()), pods.report()
    assert 0 == pods.code(pods.play(late)), pods.report()


def _environment(pods: Pods) -> list[str]:
    values = json.loads((pods.folder / "secret.json").read_text())
    return [f"--env={name}={base64.b64decode(v).decode()}" for name, v in values.items()]


@pytest.mark.long
def test_the_job(pods: Pods) -> None:
    """The pod of the Job ends with what its conclude says: put back, then migrated."""
    before = pods.stack.digest()
    for name, migrate, code in (("bad", ("false",), 20), ("good", ("true",), 0)):
        pod = pods.manifest("job", f"job-{name}", name, migrate, image="v3")
        assert 0 == pods.code(pods.play(pod)), pods.report()
        assert str(code) == pods.run("wait", f"job-{name}-conclude").lines[-1]
        assert before == pods.stack.digest()
