"""Messages to people, through Apprise: mail, chat, push, webhooks."""

import logging
import threading
from typing import Any

from sidecar import __version__, endpoints
from sidecar.notices import Notice, What

UNKNOWN = "Apprise does not understand this URL"
_TYPES = {
    What.RECOVERED: "success",
    What.SUCCEEDED: "success",
    What.FAILED: "failure",
    What.SILENT: "warning",
    What.NEEDS_OPERATOR: "failure",
}


class _Ears(logging.Handler):
    """
    Hears what Apprise complains of, thread by thread.

    It tells whether a message went out, and why not only in its log, which shows whole URLs where
    one can't be read: nothing of it may reach the standard error.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the last complaint of this thread."""
        self.heard.complaint = record.getMessage()

    def complaint(self) -> str:
        """Tell the last complaint of this thread, in one line, and forget it."""
        found = str(getattr(self.heard, "complaint", ""))
        self.heard.complaint = ""
        return " ".join(found.split())


_ears = _Ears()
_loading = threading.Lock()


def send(url: str, notice: Notice) -> str:
    """Send a message; returns why it did not go out, without a secret, or nothing."""
    messenger = _messenger(url)
    if messenger is None:
        return UNKNOWN
    _ears.complaint()
    went = messenger.notify(
        title=notice.title, body=notice.text, notify_type=_TYPES[notice.what], body_format="text"
    )
    return "" if went else _hidden(_ears.complaint(), url) or "it was not accepted"


def load() -> None:
    """Load the plugins: seconds on a small machine, which are not to count as waiting for one."""
    _messenger("json://localhost")


def is_understood(url: str) -> bool:
    """Tell whether Apprise can read a URL; nothing is sent."""
    return _messenger(url) is not None


def _messenger(url: str) -> Any:
    """Open the way to one address; None where the URL is none that Apprise knows."""
    import apprise  # noqa: PLC0415 - loads some two hundred plugins

    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    if _ears not in logger.handlers:
        logger.addHandler(_ears)
    asset = apprise.AppriseAsset(
        app_id="migsafe",
        app_desc="migsafe",
        app_url=f"migsafe {__version__}",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        service_timeout=0,  # in this thread: whoever calls has a deadline, and may give it up
        allow_templates=False,  # what a migration prints is no template
        storage_mode="memory",
    )
    found = apprise.Apprise(asset=asset)
    with _loading:  # the first one loads the plugins
        return found if found.add(url) else None


def _hidden(text: str, url: str) -> str:
    for piece in endpoints.pieces(url):
        text = text.replace(piece, endpoints.MASK)
    return text
