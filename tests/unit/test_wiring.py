"""Which database is guarded, by whom, and what no line may show."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar import wiring
from sidecar.address import Address
from sidecar.clock import SystemClock
from sidecar.errors import PreflightFailed, SettingsError
from sidecar.facts import App, Host
from sidecar.figures import Figures
from sidecar.notices import BACKUP, Event, What
from sidecar.settings import Settings
from tests.fakes import FakeTeller

from .builders import NOON

APP = App(
    project="shop",
    service="app",
    container="c0ffee",
    image="sha256:1",
    image_name="shop:1",
    digest=None,
    environment={},
)
URL = "postgres://shop:s3cret-word@db/shop"


def _read(path: str) -> str:
    raise FileNotFoundError(path)


def _settings(**variables: str) -> Settings:
    return Settings.read(variables, _read)


def _app(**environment: str) -> App:
    return replace(APP, environment=environment)


def test_the_database_of_the_app_is_guarded() -> None:
    """Without a setting it is the one that the app's environment names."""
    found = wiring._address(_settings(), _app(DATABASE_URL=URL), _read)

    assert ("db", "shop", "shop") == (found.host, found.user, found.database)


def test_another_database_than_the_apps_is_refused() -> None:
    """Guarding one database while the app migrates another would protect nothing. Faults: 20."""
    settings = _settings(MIGSAFE_DATABASE_URL="postgres://shop@db/other")

    with pytest.raises(PreflightFailed, match="'other' is to be guarded"):
        wiring._address(settings, _app(DATABASE_URL=URL), _read)
    assert "other" == wiring._address(settings, APP, _read).database


@pytest.mark.parametrize("environment", [{}, {"A_URL": URL, "B_URL": "postgres://db/two"}])
def test_no_database_or_several_are_no_guess(environment: dict[str, str]) -> None:
    """Where it can't be told which database it is, nothing is done. Faults: 20."""
    with pytest.raises(SettingsError, match=r"does not tell|names no database"):
        wiring._address(_settings(), _app(**environment), _read)


def test_every_secret_is_known() -> None:
    """Passwords of the address and of the app's environment are hidden. Faults: 60, 134."""
    app = _app(
        DATABASE_URL=URL,
        SECRET_KEY_BASE="k" * 20,
        MAIL_PASSWORD="hunter22",
        DEBUG="yes",
        NAS_PASS="pass-word",
        HOOK_URL="https://hook/T0",
        STATIC_URL="/static/",
    )
    address = wiring._address(_settings(), app, _read)
    assert isinstance(address, Address)

    secrets = set(wiring._secrets(app, address, _read))

    assert {"s3cret-word", "k" * 20, "hunter22", "pass-word", "https://hook/T0"} <= secrets
    assert not {"yes", "shop", "db", "/static/"} & secrets


def test_a_password_that_only_a_setting_has_is_known() -> None:
    """What is hidden does not depend on where the address came from. Faults: 60, 134."""
    address = wiring._address(_settings(MIGSAFE_DATABASE_URL=URL), APP, _read)

    assert "s3cret-word" in set(wiring._secrets(APP, address, _read))


def test_nothing_is_opened_without_news() -> None:
    """The ways to people are opened by what there is to tell, where somebody wants to know."""
    opened: list[int] = []

    def open_it() -> wiring.Late:
        opened.append(1)
        return wiring.Late(None)

    late = wiring.Late(open_it)
    assert [] == opened
    late.tell(Event(What.FAILED, BACKUP, "no space left", NOON))
    late.publish(Figures)
    assert [1, 1] == opened


class Here:
    """An engine that says which one it is, or does not."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

    def this_host(self) -> Host:
        """Tell which engine this is."""
        return Host(self.identity, "pi")


def _ways() -> wiring.Ways:
    tell: Any = FakeTeller()
    stop: Any = None
    return wiring.Ways(SystemClock(), tell, stop)


@pytest.mark.parametrize(
    ("empty", "identity", "held"),
    [("restore", "E1", True), ("refuse", "E1", False), ("restore", "", False)],
)
def test_a_lease_is_held_where_backups_fill_the_database(
    empty: str, identity: str, held: bool, tmp_path: Path
) -> None:
    """
    Only in RAM mode, and only by who is the same at each start.

    Faults: 127.
    """
    engine: Any = Here(identity)
    settings = _settings(MIGSAFE_EMPTY=empty, MIGSAFE_BACKUPS=str(tmp_path))
    lease = wiring._lease(settings, engine, _app(), _ways())

    lease.take()
    lease.release(lease.take())

    assert held == any(tmp_path.iterdir())


def test_a_lease_is_held_in_every_store() -> None:
    """
    Wherever another could be filled from; in the same order, however the stores are named.

    Faults: 127.
    """
    stores = "rclone://nas/shop gs://bucket/shop gdrive://1AbCdEf"
    names = [slot.name for slot in wiring._slots(_settings(MIGSAFE_STORES=stores), _ways())]
    turned = " ".join(reversed(stores.split()))

    assert names == [s.name for s in wiring._slots(_settings(MIGSAFE_STORES=turned), _ways())]
    assert [
        "gdrive://1AbCdEf/lease-….json",
        "gs://bucket/shop/lease.json",
        "rclone://nas/shop/lease-….json",
    ] == names[1:]
