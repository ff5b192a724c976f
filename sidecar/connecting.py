"""The command `connect`: signs in to a store that wants a person's consent, without a browser."""

import getpass
import json
import sys
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

from sidecar import asking, parsing
from sidecar.backup_ports import Store
from sidecar.errors import UNCHANGED, SettingsError, StoreFailed
from sidecar.settings import TOKEN_FILE, Settings
from sidecar.store_urls import Access, Service, StoreUrl
from sidecar.stores.local import LocalStore, sync, write_new
from sidecar.wiring import NewRun, Ways

TOKEN = "MIGSAFE_GDRIVE_TOKEN"  # noqa: S105 - a name

STEPS = """\
Google Drive, signed in as you. This machine needs no browser:

  1. on a machine that has one, install rclone (https://rclone.org/downloads), and type there

         rclone authorize "drive"

     A page of Google's opens; choose your account, and allow what it asks for.
  2. it then prints a line that begins with {"access_token": … Copy that line.
"""


def connect(settings: Settings, ways: Ways, arguments: Namespace, _new_run: NewRun) -> int:
    """Take a token, try it on the folder, and keep it where the service reads it."""
    if arguments.to and not Path(arguments.to).is_absolute():
        raise SettingsError(
            f"--to {arguments.to}: it is no absolute path",
            hint=f"{UNCHANGED} Name one in a folder that is mounted: what is written elsewhere is"
            " gone with this container.",
        )
    folders = [url for url in settings.stores if url.service is Service.DRIVE]
    if settings.gdrive_token:
        raise SettingsError(
            f"{TOKEN} is set, and would hide what is written now",
            hint=f"{UNCHANGED} Leave it out, or put the new token there.",
        )
    token = _asked(ways)
    ways.tell.redact.more(*(str(value) for value in json.loads(token).values()))
    for url in folders:
        _try(settings, ways, url, token)
        print(f"✓ {url.title}: written, read, compared, deleted")
    path = Path(arguments.to) if arguments.to else settings.backups / TOKEN_FILE
    _keep(path, token)
    print(f"✓ kept in {path}, readable by its owner alone")
    if arguments.to:
        print(f"now set {TOKEN}_FILE={path}")
    if not folders:
        print("now set MIGSAFE_STORES=gdrive://FOLDER-ID: the end of the folder's address")
    return 0


def _asked(ways: Ways) -> str:
    """Read the token: from a terminal without showing it, or from a pipe."""
    if not asking.on_terminal():
        return _token(sys.stdin.read() if sys.stdin is not None else "")
    print(STEPS, flush=True)
    typed = ""
    try:
        with asking.interruptible():
            typed = getpass.getpass("paste it here (it is not shown), then Enter: ")
    except (EOFError, KeyboardInterrupt):
        print()
        ways.stop.check()
    return _token(typed)


def _token(text: str) -> str:
    try:
        return parsing.token(text)
    except ValueError as error:
        raise SettingsError(
            f"what was pasted can't be used: {error}",
            hint=f'{UNCHANGED} Type `rclone authorize "drive"` where a browser is, and paste the'
            " line that begins with {.",
        ) from None


def _try(settings: Settings, ways: Ways, url: StoreUrl, token: str) -> None:
    access = Access(settings.rclone, token, "", settings.gdrive_team_drive)
    from sidecar.remotes import Remotes  # noqa: PLC0415 - with what stores need
    from sidecar.stores.opening import open_stores  # noqa: PLC0415 - same

    def stores() -> tuple[Store, ...]:
        return open_stores([url], access, ways.clock, ways.stop, ways.tell)

    local = LocalStore(settings.backups)
    if complaints := Remotes(stores, local, ways.clock, ways.tell, ways.stop).complaints():
        raise StoreFailed("; ".join(complaints), hint=f"{UNCHANGED} The token was not kept.")


def _keep(path: Path, token: str) -> None:
    """Write the token whole or not at all, for its owner alone."""
    partial = path.with_name(path.name + ".partial")
    try:
        with suppress(FileNotFoundError):
            partial.unlink()
        write_new(partial, token + "\n")
        partial.rename(path)
        sync(path.parent)
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}", hint=UNCHANGED) from error
