"""
A soak of the second mode: a backup every few seconds, while service, database and cloud are killed.

Every tenth backup is restored and compared. In the end it prints the figures: how many were taken,
what was killed, how memory and open files went; and it fails where one of them is not as promised,
or where the cloud does not hold, byte by byte, what the folder holds.
"""

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sidecar.backups import MANIFEST_SUFFIX, Backup
from tests.e2e import apps
from tests.e2e.stack import SECOND, Stack
from tests.gcs_strict import BUCKET, Cloud, cloud

PREFIX = "soak"
SETTINGS = {
    "MIGSAFE_SCHEDULE": "3s",
    "MIGSAFE_VERIFY": "1m",
    "MIGSAFE_MIGRATE": "bin/migrate",
    "MIGSAFE_STORES": f"gs://{BUCKET}/{PREFIX}",
}
HOST = "host.docker.internal"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a bridge is another interface
EVERY = 10
"""One of so many backups is restored."""
MOST_MEMORY = 150.0
"""Megabytes."""
PAUSE = (8.0, 25.0)
"""Seconds between two disturbances."""
KILLS = (
    "kill the service",
    "stop the service",
    "kill the database",
    "restart the database",
    "cut the cloud off",
    "let the cloud err",
)
METHODS = ("GET", "POST", "PUT", "DELETE")
ERRORS: tuple[dict[str, Any], ...] = (
    {"act": "status", "status": 503, "times": 3},
    {"act": "status", "status": 429, "reason": "rateLimitExceeded", "times": 3},
    {"act": "reset"},
    {"act": "lost"},
    {"act": "cut"},
)
SAMPLE = "for f in VmRSS VmHWM; do grep $f /proc/$1/status; done; ls /proc/$1/fd | wc -l"


@dataclass
class Soak:
    """One soak and what was seen."""

    stack: Stack
    cloud: Cloud
    chance: random.Random
    taken: set[str] = field(default_factory=set)
    restored: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KILLS, 0))
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def run(self, minutes: float) -> None:
        """Disturb it for so long, then let it come to rest, and look."""
        until = time.monotonic() + minutes * 60
        while time.monotonic() < until:
            calm = time.monotonic() + self.chance.uniform(*PAUSE)
            while time.monotonic() < min(calm, until):
                self.look()
                time.sleep(0.5)
            self.disturb(self.chance.choice(KILLS))
            self.tell(until - time.monotonic())
        self.rest()

    def tell(self, left: float) -> None:
        """Say how far it is."""
        counts = f"{len(self.taken)} backups, {len(self.restored)} restored"
        counts += f", {sum(self.done.values())} disturbances, {len(self.complaints)} complaints"
        print(f"{max(left, 0) / 60:4.1f} min left: {counts}", file=sys.stderr, flush=True)

    def look(self) -> None:
        """Note what is there, and restore every tenth that comes."""
        found = {path.name for path in self.stack.backups if path.name.startswith("scheduled")}
        if not found and self.taken:
            self.complaints.append("there was no scheduled backup at all")
        for name in sorted(found - self.taken):
            self.taken.add(name)
            if len(self.taken) % EVERY == 0:
                self.restore(name)
        self.sample()

    def restore(self, name: str) -> None:
        """Restore the one that came, or the next if that has gone by now, and compare it."""
        said = self.stack.compose("run", "--rm", "migsafe", "verify", "latest")
        if said.code == 0:
            self.restored.append(name)
        elif said.code not in {10, 12, 15}:  # away, busy, or just deleted: that says nothing of it
            self.complaints.append(f"{name}: {said.output[-300:]}")

    def sample(self) -> None:
        """Measure the service: megabytes of memory, and open files."""
        name = self.stack.container(SECOND)
        script = f"set -- $(cat /proc/1/task/1/children); {SAMPLE}"  # the first process is tini
        asked = self.stack.run(("docker", "exec", name, "sh", "-c", script))
        words = asked.output.split()
        if asked.code == 0 and len(words) >= 7:
            self.memory.append(int(words[1]) / 1024)
            self.files.append(int(words[6]))

    def disturb(self, what: str) -> None:
        """Do one of the things that happen."""
        self.done[what] += 1
        service, database = (self.stack.container(n) for n in (SECOND, "db"))
        match what:
            case "kill the service":
                self.stack.run(("docker", "kill", service))
                self.stack.run(("docker", "start", service))
            case "stop the service":
                self.stack.run(("docker", "restart", service))
            case "kill the database":
                self.stack.run(("docker", "kill", database))
                time.sleep(self.chance.uniform(0, 5))
                self.stack.run(("docker", "start", database))
            case "restart the database":
                self.stack.run(("docker", "restart", "--time", "5", database))
            case "cut the cloud off":
                for method in METHODS:
                    self.cloud.fails(method, act="reset", times=sys.maxsize)
                time.sleep(self.chance.uniform(0, 10))
                self.cloud.faults.clear()
            case "let the cloud err":
                for method in METHODS:
                    self.cloud.fails(method, **self.chance.choice(ERRORS))

    def rest(self) -> None:
        """Give it a minute, and see whether all is well, and nothing is left over."""
        self.cloud.faults.clear()
        until = time.monotonic() + 90
        while (code := self.health()) != 0 and time.monotonic() < until:
            time.sleep(1)
        if code != 0:
            self.complaints.append("it is not healthy a minute after the last disturbance")
        self.stack.compose("stop", SECOND)
        names = {path.name for path in self.stack.backups_folder.iterdir()}
        torn = [name for name in names if name.endswith(".partial")]
        torn += [
            name
            for name in names
            if name.startswith("scheduled")
            and name.endswith(".zst")
            and f"{name}.manifest.json" not in names
        ]
        scratch = [name for name in self.stack.databases() if "__migsafe" in name]
        self.complaints += [f"left over: {name}" for name in (*torn, *scratch)]
        self.compare()
        if self.memory and max(self.memory) > MOST_MEMORY:
            self.complaints.append(f"{max(self.memory):.0f} MB of memory")

    def compare(self) -> None:
        """See whether the cloud holds what the folder holds."""
        here = {
            path.name: path.read_bytes()
            for path in self.stack.backups_folder.iterdir()
            if Backup.parse(path.name.removesuffix(MANIFEST_SUFFIX))
        }
        there = {name.removeprefix(f"{PREFIX}/") for name in self.cloud.names()}
        self.complaints += [f"not in the cloud: {name}" for name in sorted(here.keys() - there)]
        self.complaints += [f"only in the cloud: {name}" for name in sorted(there - here.keys())]
        self.complaints += [
            f"another in the cloud: {name}"
            for name in sorted(here.keys() & there)
            if self.cloud.content(f"{PREFIX}/{name}") != here[name]
        ]

    def health(self) -> int:
        """Ask for its health."""
        return self.stack.compose("exec", "-T", SECOND, "migsafe", "health").code

    def figures(self) -> str:
        """Write what was seen."""
        half = max(len(self.memory) // 2, 1)
        return json.dumps(
            {
                "backups": len(self.taken),
                "restored and compared": len(self.restored),
                "disturbances": self.done,
                "requests to the cloud": len(self.cloud.requests),
                "memory MB, most in the first and second half": [
                    round(max(self.memory[:half], default=0), 1),
                    round(max(self.memory[half:], default=0), 1),
                ],
                "open files, most in the first and second half": [
                    max(self.files[:half], default=0),
                    max(self.files[half:], default=0),
                ],
                "complaints": self.complaints,
            },
            indent=2,
        )


def main() -> int:
    """Soak, print the figures, and tell whether all was as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    # it tells of every connection that is cut on purpose
    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    apps.build("plainsql")
    with tempfile.TemporaryDirectory() as folder, cloud(EVERYWHERE) as away:
        settings = {**SETTINGS, "STORAGE_EMULATOR_HOST": f"http://{HOST}:{away.port}"}
        hosts = {"extra_hosts": [f"{HOST}:host-gateway"]}
        stack = Stack(Path(folder) / "migsafe-soak", settings=settings, service=hosts, second=True)
        stack.prepare(apps.PLAIN.folder)
        stack.down()
        try:
            up = stack.up()
            if up.code:
                print(up.output)
                return 1
            chance = random.Random(wanted.seed)  # noqa: S311 - repeatable, not secret
            soak = Soak(stack, away, chance)
            soak.run(wanted.minutes)
            print(soak.figures())
            if soak.complaints:
                print(stack.compose("logs", "--tail", "200", SECOND).output)
            return 1 if soak.complaints or not soak.restored else 0
        finally:
            stack.down()


if __name__ == "__main__":
    sys.exit(main())
