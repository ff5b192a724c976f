"""The one-off containers of a run: the migration, and the framework's checks."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from docker import errors as de

from sidecar import oneoff
from sidecar.docker_acts import BROKEN, explain, refused, translated
from sidecar.docker_api import DockerApi, NotThere, addresses_of
from sidecar.docker_logs import ContainerLogs
from sidecar.errors import DeadlineExceeded, EngineUnavailable
from sidecar.facts import Exit
from sidecar.failpoints import failpoint
from sidecar.ports import Clock, Stop

FIRST_POLL, LAST_POLL = 0.05, 0.2
"""Seconds between two looks at a container: short at first, most migrations are."""

NOT_STARTED, TIMED_OUT = 125, 124
"""Exit codes of ``docker run`` and ``timeout`` for what never ran, and what ran too long."""

_UNKNOWN = {"Running": True}
"""The state of a container that can't be asked for."""


class OneOffs:
    """
    Containers made from the app's own.

    What ``inspect`` says decides; no request is relied on to live long.
    """

    def __init__(self, api: DockerApi, clock: Clock, project: str) -> None:
        self.api = api
        self.client = api.client
        self.clock = clock
        self.project = project
        self._seen: dict[str, frozenset[str]] = {}
        self._unstarted: dict[str, Exit] = {}
        self._logs: dict[str, ContainerLogs] = {}
        self._names: dict[str, str] = {}

    def make_migration(self, template: Mapping[str, Any], run: str, command: Sequence[str]) -> None:
        """Make the one-off container of the run."""
        self._unstarted.pop(run, None)
        self._names[run] = self._name(run, "migration")
        with self._or_unstarted(run):
            try:
                self._make(template, run, command, "migration")
            except de.APIError as error:  # whatever runs under its name is not ours
                self._unstarted[run] = _not_started(error)

    def start_migration(self, run: str) -> None:
        """Start the container that was made; who has lost the lock finds it removed."""
        if run in self._unstarted:
            return
        with self._or_unstarted(run):
            self._start(run, "migration")
            self._logs[run] = ContainerLogs(self.client, self._migration_of(run))

    @contextmanager
    def _or_unstarted(self, run: str) -> Iterator[None]:
        try:
            yield
        except de.APIError as error:
            # an engine, or a proxy before it, may complain of what it has done: the state decides
            if self._never_started(self._migration_of(run)):
                self._unstarted[run] = _not_started(error)
        except BROKEN as error:
            raise EngineUnavailable(
                f"Docker can't be used: {' '.join(str(error).split())}",
                hint="The next run finds out whether the migration was started.",
            ) from error

    def follow_migration(
        self, run: str, deadline: float, on_line: Callable[[str], None], stop: Stop
    ) -> Exit | None:
        """Wait for the run's container to end, as ``inspect`` tells it."""
        if run in self._unstarted:
            return self._unstarted[run]
        name = self._migration_of(run)
        if self._never_started(name):
            return None
        if run not in self._logs:
            self._logs[run] = ContainerLogs(self.client, name)
        logs = self._logs[run]
        until, pause = self.clock.monotonic() + deadline, FIRST_POLL
        while state := self._state(run):
            logs.hand_over(on_line)
            if not state["Running"]:
                failpoint("migration.ended")
                return _exit(state, logs.finish(on_line))
            logs.runs_on()
            failpoint("migration.running")
            if self.clock.monotonic() >= until:
                raise DeadlineExceeded("the migration ran past its deadline")
            stop.check()
            self.clock.sleep(pause)
            pause = min(pause * 1.2, LAST_POLL)
        return None

    def end_migration(self, run: str) -> None:
        """Stop the run's container if it runs; one that never ran must not start later."""
        name = self._migration_of(run)
        with suppress(NotThere), translated():
            if self._never_started(name):
                self.client.remove_container(name, v=True, force=True)
            else:
                self.client.stop(name, timeout=10)
            failpoint("migration.stopped", refused)

    def addresses_of(self, run: str) -> frozenset[str]:
        """Network addresses that the run's container has, or had when it was last seen."""
        found = self._inspect(self._migration_of(run))
        now = frozenset(addresses_of(found)) if found else frozenset()
        self._seen[run] = self._seen.get(run, frozenset()) | now
        return self._seen[run]

    def remove_migration(self, run: str) -> None:
        """Remove the run's container, and the anonymous volumes that were made for it."""
        with suppress(NotThere), translated():
            self.client.remove_container(self._migration_of(run), v=True, force=True)
            failpoint("migration.removed", refused)

    def end_strays(self, known: Iterable[str]) -> tuple[str, ...]:
        """Stop and remove the project's one-offs of runs that are not known."""
        label = [f"{oneoff.PROJECT}={self.project}", oneoff.LABEL_ROLE]
        ours, ended = frozenset(known), []
        for each in self.api.containers(label=label):
            if each["Labels"].get(oneoff.LABEL_RUN) in ours:
                continue
            with suppress(NotThere), translated():
                self.client.stop(each["Id"], timeout=10)
                self.client.remove_container(each["Id"], v=True, force=True)
                failpoint("migration.removed", refused)
                ended.append(each["Names"][0].lstrip("/"))
        return tuple(ended)

    def run_check(
        self,
        template: Mapping[str, Any],
        run: str,
        command: Sequence[str],
        timeout: float,
        *,
        read_only: bool,
    ) -> Exit:
        """Run a command in another one-off container and remove it."""
        name = self._name(run, "check")
        with translated():
            with suppress(de.NotFound):
                self.client.remove_container(name, v=True, force=True)
            try:
                self._make(template, run, command, "check", read_only=read_only)
                self._start(run, "check")
                return self._checked(name, timeout)
            except de.APIError as error:
                if (ended := _not_started(error)).passing:
                    raise
                return ended
            finally:
                with suppress(de.NotFound):
                    self.client.remove_container(name, v=True, force=True)

    def _make(
        self,
        template: Mapping[str, Any],
        run: str,
        command: Sequence[str],
        role: str,
        *,
        read_only: bool = False,
    ) -> None:
        body = oneoff.request(
            template,
            command,
            run=run,
            role=role,
            application=f"migsafe-{run}",
            read_only=read_only,
        )
        name = self._name(run, role)
        self.client.create_container_from_config(body, name)  # type: ignore[no-untyped-call]  # same
        failpoint(f"{role}.created", refused)
        for network in oneoff.further_networks(template):
            self.client.connect_container_to_network(name, network)

    def _start(self, run: str, role: str) -> None:
        self.client.start(self._name(run, role))
        failpoint(f"{role}.started", refused)

    def _checked(self, name: str, timeout: float) -> Exit:
        until = self.clock.monotonic() + timeout
        logs = ContainerLogs(self.client, name)
        while (state := self.client.inspect_container(name)["State"])["Running"]:
            if self.clock.monotonic() > until:
                return Exit(TIMED_OUT, error=f"it did not end within {timeout:.0f} s")
            self.clock.sleep(FIRST_POLL)
        return _exit(state, logs.finish(lambda _: None))

    def _never_started(self, name: str) -> bool:
        """Tell whether no container ever ran: its guard was killed before it could start it."""
        found = self._inspect(name)
        return found is None or found["State"]["Status"] == "created"

    def _inspect(self, name: str) -> dict[str, Any] | None:
        try:
            return self.api.container(name)
        except NotThere:
            return None

    def _migration_of(self, run: str) -> str:
        """Name the container of a run, which a guard of another project may have made."""
        if run not in self._names:
            label = [f"{oneoff.LABEL_RUN}={run}", f"{oneoff.LABEL_ROLE}=migration"]
            found = [c["Names"][0].lstrip("/") for c in self.api.containers(label=label)]
            self._names[run] = found[0] if found else self._name(run, "migration")
        return self._names[run]

    def _name(self, run: str, role: str) -> str:
        return f"{self.project}-migsafe-{role}-{run}"

    def _state(self, run: str) -> dict[str, Any] | None:
        """Look at the run's container; while it can't be asked, it is not known to have ended."""
        try:
            self.addresses_of(run)
            found = self._inspect(self._migration_of(run))
        except EngineUnavailable:
            return _UNKNOWN
        return found["State"] if found else None


def _not_started(error: de.APIError) -> Exit:
    """Tell a container that can't be started from an engine that is out of order."""
    return Exit(NOT_STARTED, error=explain(error), passing=not error.is_client_error())


def _exit(state: Mapping[str, Any], tail: tuple[str, ...]) -> Exit:
    return Exit(
        code=int(state["ExitCode"]),
        out_of_memory=bool(state.get("OOMKilled")),
        error=str(state.get("Error") or ""),
        tail=tail,
    )
