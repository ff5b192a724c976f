"""What a rehearsal makes, and what it says."""

import json
from typing import Any

from sidecar import oneoff, rehearsed

OLD = {
    "Id": "sha256:old",
    "Config": {"Env": ["PATH=/bin", "RELEASE=1"], "Cmd": ["serve"], "WorkingDir": "/srv"},
}
NEW = {"Id": "sha256:new", "Config": {"Env": ["PATH=/usr/bin", "RELEASE=2"], "Cmd": ["run"]}}


def template(**config: Any) -> dict[str, Any]:
    """Inspect an app's container, made of the old image."""
    return {
        "Id": "c0",
        "Image": "sha256:old",
        "Config": {
            "Env": ["DATABASE_URL=postgres://db/shop", "PATH=/bin", "RELEASE=1"],
            "Cmd": ["serve"],
            "WorkingDir": "/srv",
            "Labels": {oneoff.PROJECT: "shop", oneoff.SERVICE: "app"},
            **config,
        },
        "HostConfig": {"NetworkMode": "shop_default", "Binds": ["/home/secret:/run/secrets/s:rw"]},
        "Mounts": [
            {"Type": "bind", "Source": "/home/secret", "Destination": "/run/secrets/s"},
            {"Type": "volume", "Name": "uploads", "Destination": "/srv/uploads"},
        ],
        "NetworkSettings": {"Networks": {"shop_default": {}, "shop_back": {}}},
    }


def test_what_the_old_image_brought_goes() -> None:
    """Only what the compose file says is carried to the new image, which brings its own."""
    made = oneoff.rehearsal(template(User="1000"), OLD, NEW, "alone")

    assert "sha256:new" == made["Image"]
    assert ["DATABASE_URL=postgres://db/shop"] == made["Config"]["Env"]
    assert "1000" == made["Config"]["User"]
    assert not {"Cmd", "WorkingDir"} & set(made["Config"])


def test_nothing_of_the_stack_can_be_written() -> None:
    """It is alone on its network, mounts are read-only, and volumes are not there."""
    request = oneoff.request(
        oneoff.rehearsal(template(), OLD, NEW, "alone"),
        ["migrate"],
        run="r",
        role="migration",
        application="a",
    )

    assert ["/home/secret:/run/secrets/s:ro"] == request["HostConfig"]["Binds"]
    assert "uploads" not in json.dumps(request)
    assert {"EndpointsConfig": {"alone": {}}} == request["NetworkingConfig"]
    assert "shop_back" not in json.dumps(request)


def test_a_server_is_made_without_data_and_settings_of_the_real_one() -> None:
    """Same image and command, its own password, configuration read-only, none of the data."""
    container = {
        "Image": "sha256:pg",
        "Config": {"Cmd": ["postgres", "-c", "work_mem=8MB"], "Env": ["POSTGRES_PASSWORD=real"]},
        "HostConfig": {"ShmSize": 1, "Binds": ["/data:/var/lib/postgresql/data"]},
        "Mounts": [
            {"Type": "bind", "Source": "/data", "Destination": "/var/lib/postgresql/data"},
            {"Type": "bind", "Source": "/conf", "Destination": "/etc/postgresql"},
        ],
    }
    body = oneoff.throwaway_server(container, "alone", "db", ("shop", "own"), {"a": "b"})

    assert "real" not in json.dumps(body)
    assert ["/conf:/etc/postgresql:ro"] == body["HostConfig"]["Binds"]
    assert ["postgres", "-c", "work_mem=8MB"] == body["Cmd"]
    assert {"alone": {"Aliases": ["db"]}} == body["NetworkingConfig"]["EndpointsConfig"]


def test_changes_are_told_by_name() -> None:
    """What appeared, vanished and changed; a column that only moved up did not change."""
    before = [
        ["relation", "r", "p", "public.books", "shop"],
        ["column", "public.books", 1, "id", "bigint"],
        ["column", "public.books", 2, "note", "text"],
        ["column", "public.books", 3, "title", "text"],
        ["index", "CREATE INDEX books_title ON public.books USING btree title"],
    ]
    after = [
        ["relation", "r", "p", "public.books", "shop"],
        ["relation", "r", "p", "public.authors", "shop"],
        ["column", "public.books", 1, "id", "integer"],
        ["column", "public.books", 2, "title", "text"],
        ["index", "CREATE UNIQUE INDEX books_title ON public.books USING btree title"],
        ["constraint", "fk", "public.books", "FOREIGN KEY"],
    ]
    found = rehearsed.differences([json.dumps(x) for x in before], [json.dumps(x) for x in after])

    assert [
        "~ column public.books.id",
        "- column public.books.note",
        "+ constraint fk on public.books",
        "~ index books_title on public.books",
        "+ table public.authors",
    ] == list(found)
