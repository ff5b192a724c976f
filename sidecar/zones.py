"""The container's time zone."""

from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidecar.errors import SettingsError


def zone(name: str) -> tzinfo:
    """
    Find the container's time zone: that of ``TZ``, else of /etc/localtime, else UTC.

    Raises:
        SettingsError: there is no such zone.

    """
    try:
        if name:
            return ZoneInfo(name.removeprefix(":"))
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file, "localtime")
    except (ZoneInfoNotFoundError, ValueError):
        raise SettingsError(
            f"TZ: there is no time zone {name!r}",
            hint="Nothing was changed. Write it as Europe/Berlin.",
        ) from None
    except OSError:
        return UTC
