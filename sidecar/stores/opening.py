"""From the settings to stores that can be used; what a store needs is loaded with it."""

from collections.abc import Sequence
from pathlib import Path

from sidecar.backup_ports import Slot, Store
from sidecar.ports import Clock, Stop, Teller
from sidecar.store_urls import Access, Service, StoreUrl
from sidecar.stores.retrying import Retrying
from sidecar.stores.slots import ClaimSlot

PATH = "/usr/local/bin:/usr/bin:/bin"
DRIVE = "MIGSAFEDRIVE"
"""The remote that is made for Google Drive, as rclone's variables spell it."""


def open_stores(
    urls: Sequence[StoreUrl], access: Access, clock: Clock, stop: Stop, tell: Teller
) -> tuple[Store, ...]:
    """Open stores, each of which tries again what may pass."""
    return tuple(Retrying(_store(url, access), clock, stop, tell) for url in urls)


def open_slots(
    urls: Sequence[StoreUrl], access: Access, clock: Clock, stop: Stop, tell: Teller
) -> tuple[Slot, ...]:
    """Open the place of a lease in each store, in an order that is the same on every machine."""
    ordered = sorted(urls, key=lambda url: url.title)
    return tuple(_slot(url, access, clock, stop, tell) for url in ordered)


def _slot(url: StoreUrl, access: Access, clock: Clock, stop: Stop, tell: Teller) -> Slot:
    if url.service is Service.GCS:
        from sidecar.stores.gcs_slot import GcsSlot  # noqa: PLC0415 - large, and for few

        return GcsSlot(url)
    return ClaimSlot(Retrying(_store(url, access), clock, stop, tell), clock)


def _store(url: StoreUrl, access: Access) -> Store:
    if url.service is Service.GCS:
        from sidecar.stores.gcs import GcsStore  # noqa: PLC0415 - large, and for few

        return GcsStore(url)
    from sidecar.stores.rclone import RcloneStore  # noqa: PLC0415 - starts programs

    if url.service is Service.DRIVE:
        return RcloneStore(url.title, f"{DRIVE.lower()}:", drive_environment(url.root, access))
    return RcloneStore(url.title, f"{url.root}:{url.path}", environment(access))


def environment(access: Access) -> dict[str, str]:
    """Make the environment of rclone; what it is told by the operator wins."""
    home = {"HOME": str(Path("~").expanduser())}
    # a bucket that is missing is told of, not made: its name may be misspelt
    ours = {"PATH": PATH, "LC_ALL": "C.UTF-8", "RCLONE_S3_NO_CHECK_BUCKET": "true"}
    return {**home, **ours, **access.rclone}


def drive_environment(folder: str, access: Access) -> dict[str, str]:
    """Make the environment of rclone for one folder of Google Drive."""
    remote = {
        "TYPE": "drive",
        "SCOPE": "drive",
        "ROOT_FOLDER_ID": folder,
        "TOKEN": "" if access.drive_key else access.drive_token,
        "SERVICE_ACCOUNT_CREDENTIALS": " ".join(access.drive_key.split()),
        "TEAM_DRIVE": access.team_drive,
        # a trash can counts against the quota, and nothing that is kept ever goes there
        "USE_TRASH": "false",
    }
    named = {f"RCLONE_CONFIG_{DRIVE}_{name}": value for name, value in remote.items() if value}
    # no file: a refreshed token is not written anywhere
    return {**environment(access), "RCLONE_CONFIG": "/notfound", **named}
