"""Finding the app among the project's containers: by Compose's labels, without a compose file."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from sidecar import oneoff
from sidecar.docker_api import DockerApi, NotThere
from sidecar.errors import EngineUnavailable
from sidecar.facts import App


class Discovery:
    """The guard's own project, and who in it waits for the guard."""

    def __init__(self, api: DockerApi, me: Mapping[str, Any], chosen: str | None) -> None:
        self.api = api
        labels = me["Config"]["Labels"]
        self.project = str(labels[oneoff.PROJECT])
        self.me = me
        self.mine = str(labels[oneoff.SERVICE])
        self.chosen = chosen

    @cached_property
    def service(self) -> str:
        """
        Name the guard's service: our own, unless we are the second mode, which waits for a guard.

        Whom nobody waits for, and who waits for nobody, has no app: another guard of the project,
        with an app of its own, is none of its business.
        """
        everything = self.containers()
        others = [c["Labels"] for c in everything if not self.is_ours(c)]
        named = {str(c["Labels"][oneoff.SERVICE]) for c in everything if self.is_ours(c)}
        guards = {n for n in named if any(oneoff.waits_for(labels, n) for labels in others)}
        mine = {n for n in guards if oneoff.waits_for(self.me["Config"]["Labels"], n)}
        # `up --no-deps` takes the label away with which Compose says whom a container waits for
        alone = guards if self._is_second and len(guards) == 1 else set()
        return self.mine if self.mine in guards else next(iter(sorted(mine or alone)), self.mine)

    @property
    def _is_second(self) -> bool:
        return list(self.me["Config"].get("Cmd") or ())[:1] == ["schedule"]

    def is_ours(self, summary: Mapping[str, Any]) -> bool:
        """Tell whether a container runs migsafe."""
        same = summary["ImageID"] == self.me["Image"]
        return bool(same or oneoff.is_ours(summary["Labels"]))

    def app(self) -> tuple[App, dict[str, Any]]:
        """
        Find the app, and ``inspect`` of its container.

        Raises:
            EngineUnavailable: there is none, or several with different images.

        """
        everything = self.containers()
        found = self._dependents(everything)
        service = self._choose(found)
        template = self.api.container(found[service]["Id"])
        image = self._image(template)
        images = dict(self._pins(everything, found))
        config = template["Config"]
        app = App(
            project=self.project,
            service=service,
            container=template["Id"],
            image=template["Image"],
            image_name=config["Image"],
            digest=next(iter(image.get("RepoDigests") or ()), None),
            environment=oneoff.environment(template),
            working_directory=config.get("WorkingDir") or "/",
            code_mounts=oneoff.code_mounts(template),
            running=bool(template["State"]["Running"]),
            images=images,
        )
        return app, template

    def containers(self) -> list[dict[str, Any]]:
        """List the project's containers without one-offs, the newest last."""
        label = [f"{oneoff.PROJECT}={self.project}"]
        found = self.api.containers(label=label)
        kept = [c for c in found if c["Labels"].get(oneoff.ONEOFF, "False") != "True"]
        # while Compose replaces a container, the one that waits to be started is the new one
        return sorted(kept, key=lambda c: (c["State"] == "created", c["Created"]))

    def waits(self, summary: Mapping[str, Any]) -> bool:
        """Tell whether a container waits for the guard; the second mode does and does not count."""
        if self.is_ours(summary):
            return False
        return oneoff.waits_for(summary["Labels"], self.service)

    def _dependents(self, everything: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Map the services that may be the app to their newest container."""
        found = {
            summary["Labels"][oneoff.SERVICE]: summary
            for summary in everything
            if (
                summary["Labels"].get(oneoff.SERVICE) == self.chosen
                if self.chosen
                else self.waits(summary)
            )
        }
        if not found:
            raise self._no_app({c["Labels"].get(oneoff.SERVICE, "?") for c in everything})
        return dict(sorted(found.items()))

    def _choose(self, found: Mapping[str, Mapping[str, Any]]) -> str:
        if len({summary["ImageID"] for summary in found.values()}) > 1:
            raise EngineUnavailable(
                f"several services with different images wait for {self.service!r}:"
                f" {', '.join(found)}",
                hint="Nothing was changed. Set MIGSAFE_APP to the one whose migrations are to run.",
            )
        return next(iter(found))

    def _pins(
        self, everything: list[dict[str, Any]], found: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[tuple[str, str]]:
        """Tell what to pin: whoever waits for the guard, and whoever runs the app's image."""
        mine = {summary["ImageID"] for summary in found.values()}
        for summary in everything:
            if self.waits(summary) or summary["ImageID"] in mine:
                yield summary["Labels"][oneoff.SERVICE], self._pin(summary["ImageID"])

    def _pin(self, image: str) -> str:
        try:
            found = self.api.image(image)
        except NotThere:
            return image
        return str(next(iter(found.get("RepoDigests") or ()), image))

    def _image(self, template: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self.api.image(template["Image"])
        except NotThere as error:
            raise EngineUnavailable(
                f"the image {template['Config']['Image']} of the app is not on this machine",
                hint="Nothing was changed. Pull it, or build it, then start again.",
                then=("pull", "up -d"),
            ) from error

    def _no_app(self, services: set[str]) -> EngineUnavailable:
        if self.chosen:
            return EngineUnavailable(
                f"MIGSAFE_APP names {self.chosen!r}, and project {self.project!r} has no container"
                f" of that service (it has: {', '.join(sorted(services))})",
                hint="Nothing was changed. Correct the name, or make the containers.",
                then=("up --no-start", "up -d"),
            )
        return EngineUnavailable(
            f"no service of project {self.project!r} waits for {self.service!r}",
            hint="Nothing was changed. Give the app `depends_on: migsafe: condition:"
            " service_completed_successfully`, and make its containers anew: one that was made"
            " before the override has no trace of it.",
            then=("up -d --force-recreate",),
        )
