"""Who is the app and who is ours, told from the labels of a project's containers."""

from typing import Any

from sidecar import oneoff
from sidecar.discovery import Discovery

DONE = "migsafe:service_completed_successfully:false"
OURS = {oneoff.TITLE: "migsafe"}


def container(service: str, image: str, depends: str = "", **labels: str) -> dict[str, Any]:
    """Summarise a container as the engine does."""
    own = {oneoff.PROJECT: "shop", oneoff.SERVICE: service, oneoff.DEPENDS_ON: depends}
    return {"Labels": own | labels, "ImageID": image, "State": "running", "Created": 1}


GUARD = container("migsafe", "sha256:ours")
SECOND = container("migsafe-backups", "sha256:ours", f"{DONE},db:service_started:false")
APP = container("app", "sha256:app", f"{DONE},migsafe-backups:service_started:false")
DB = container("db", "sha256:db")


class Api:
    """An engine with these containers."""

    def __init__(self, *found: dict[str, Any]) -> None:
        self.found = found

    def containers(self, **_: Any) -> list[dict[str, Any]]:
        """List them."""
        return list(self.found)


def discovery(me: dict[str, Any], *found: dict[str, Any], command: str = "guard") -> Discovery:
    """Look from inside one of them."""
    api: Any = Api(*found)
    own = {"Config": {"Labels": me["Labels"], "Cmd": [command]}, "Image": me["ImageID"]}
    return Discovery(api, own, None)


def test_the_second_mode_finds_the_guard() -> None:
    """From whichever of our services: the guard is the one that the app waits for."""
    for me in (GUARD, SECOND):
        assert "migsafe" == discovery(me, GUARD, SECOND, APP, DB).service


def test_the_second_mode_is_no_app() -> None:
    """It waits for the guard as the app does, and is none of those whose migrations are run."""
    found = discovery(GUARD, GUARD, SECOND, APP, DB)
    assert [False, False, True, False] == [found.waits(c) for c in (GUARD, SECOND, APP, DB)]


def test_an_older_one_is_ours_too() -> None:
    """A guard of a new image knows the second mode that still runs the old one."""
    older = container("migsafe-backups", "sha256:older", DONE, **OURS)
    found = discovery(GUARD, GUARD, older, APP, DB)

    assert found.is_ours(older)
    assert not found.waits(older)
    assert not found.is_ours(APP)


def test_alone() -> None:
    """Where nobody waits yet, it is ourselves that they should wait for."""
    assert "migsafe" == discovery(GUARD, GUARD, DB).service


def test_another_guard_is_none_of_our_business() -> None:
    """A guard for whom nobody waits does not take the app of another one of the project."""
    lonely = container("lonely", "sha256:ours")
    assert "lonely" == discovery(lonely, lonely, GUARD, APP, DB).service


def test_the_second_mode_without_its_label() -> None:
    """After `up --no-deps` Compose no longer says whom it waits for. Of two it takes none."""
    bare = container("migsafe-backups", "sha256:ours")
    other = container("other", "sha256:ours")
    more = container("shop", "sha256:shop", "other:service_completed_successfully:false")

    found = discovery(bare, GUARD, bare, APP, DB, command="schedule")
    assert "migsafe" == found.service
    found = discovery(bare, GUARD, other, bare, APP, more, DB, command="schedule")
    assert "migsafe-backups" == found.service
