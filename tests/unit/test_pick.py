"""The list from which an operator chooses a backup."""

from dataclasses import replace
from datetime import timedelta

from sidecar import pick
from sidecar.backups import Kind, Manifest, Proof
from sidecar.facts import App
from sidecar.plan import Phase, Run

from .builders import NOON, manifest

APP = App("shop", "app", "c0ffee", "sha256:3", "shop:3", None, {}, images={"app": "sha256:3"})


def migrated(number: int) -> Run:
    """Tell of a run that migrated with an image."""
    detail = {"images": {"app": f"sha256:{number}"}, "image_name": f"shop:{number}"}
    return Run(f"r{number}", Phase.COMMITTED, NOON, NOON, detail)


def test_images_by_their_names() -> None:
    """
    What ran once is named as it was then; a foreign service's image is none of the app's.

    Nor is an image that belongs to a backup the one that was there when it was restored.
    """
    detail = {"restoring": "x", "images": {"app": "sha256:1"}, "image_name": "shop:2"}
    restored = Run("r9", Phase.RESTORED, NOON, NOON, detail)
    runs = (migrated(1), migrated(2), restored)

    assert {"sha256:1": "shop:1", "sha256:2": "shop:2", "sha256:3": "shop:3"} == (
        pick.image_names(runs, APP)
    )
    assert {} == pick.image_names(runs, replace(APP, service="worker", images={}))


def test_a_row_says_what_one_chooses_by() -> None:
    """Kind and time, age, size, rows, when it was proven, image, where it is, note."""
    found: Manifest = manifest(note="before the fair")
    hour = timedelta(hours=1)
    proof = Proof(NOON, "restored", ())
    row = pick.row(found, proof, NOON + hour, "shop:2", "here gs")

    assert Kind.PRE_MIGRATION in row
    words = ("1 h ago", "1 kB", "1000 rows", "restored 1 h ago", "shop:2", "here gs", "fair")
    places = [row.find(word) for word in words]
    assert places == sorted(places)
    assert -1 not in places
    assert not pick.row(found, None, NOON).endswith(" ")
