"""
Being told, for real: messages, pings and metrics, best effort and within seconds.

A process that lives long does::

    told = open_telling(settings, teller, SCHEDULE)
    told.start()                                         # the port for Prometheus
    told.tell(Event(What.STARTED, BACKUP, "", now))      # pings; the log from here on goes along
    told.tell(Event(What.SUCCEEDED, BACKUP, "…", now))   # or FAILED, NEEDS_OPERATOR: every time
    told.tell(Event(What.SILENT, BACKUP, "…", now))      # as often as it looks: told once
    told.publish(lambda: figures.gather(…))              # after whatever changes them

What people know is kept in a small file beside the backups, one for each who tells: the guard and
the schedule run beside each other.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from sidecar import endpoints, messengers, notices, pinging
from sidecar.errors import StoreFailed
from sidecar.figures import Figures
from sidecar.metrics import Metrics
from sidecar.notices import BACKUP, Event, Notice, Told, What
from sidecar.patience import within
from sidecar.stores.local import LocalStore

if TYPE_CHECKING:
    from sidecar.log import Teller
    from sidecar.settings import Settings

PATIENCE = 10.0
"""Seconds, for all that is told of one event."""
GUARD = "told-by-guard.json"
SCHEDULE = "told-by-schedule.json"

TRIAL = ("migsafe: a trial", "Whoever reads this will be told of failures.")

_PINGS = {
    What.STARTED: pinging.START,
    What.SUCCEEDED: "",
    What.FAILED: pinging.FAIL,
    What.NEEDS_OPERATOR: pinging.FAIL,
}


class Telling:
    """Tells people by messages, a dead-man's switch by pings, and Prometheus by metrics."""

    def __init__(
        self,
        store: LocalStore,
        teller: "Teller",
        file: str,
        *,
        urls: tuple[str, ...] = (),
        ping: str | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.store = store
        self.teller = teller
        self.file = file
        self.urls = urls
        self.ping = ping
        self.metrics = metrics
        self._told: Told | None = None

    def start(self) -> None:
        """
        Open what stays open while a process lives: the port for Prometheus, where one is set.

        Raises:
            SettingsError: the port can't be opened.

        """
        if self.metrics is not None:
            self.metrics.serve()
        for complaint in self.complaints():
            self.teller.warn(f"a message would not go out: {complaint}")

    def tell(self, event: Event) -> None:
        """Tell what happened; what goes wrong here is a line of the log, and nothing else."""
        try:
            self._tell(event)
        except Exception as error:  # noqa: BLE001 - a run ends as it does, whoever can't be told
            self.teller.warn(f"nobody could be told: {type(error).__name__}")

    def publish(self, gather: Callable[[], Figures]) -> None:
        """Hand the figures to Prometheus, where somebody wants them: gathering them takes work."""
        if self.metrics is None:
            return
        try:
            self.metrics.publish(gather())
        except OSError as error:
            self.teller.warn(f"the metrics could not be written: {error.strerror or 'no reason'}")

    def complaints(self) -> tuple[str, ...]:
        """List what would keep a message from going out, as far as that can be told unsent."""
        wrong = [url for url in self.urls if not messengers.is_understood(url)]
        return tuple(f"{self._named(url)}: {messengers.UNKNOWN}" for url in wrong)

    def trial(self) -> tuple[str, ...]:
        """Send a message to everybody, and list who did not get it."""
        acts = self._messages(Notice(What.RECOVERED, TRIAL[0], TRIAL[1:]))
        answers = within(PATIENCE, self.teller.clock, list(acts.values()))
        return tuple(f"{to}: {answer}" for to, answer in zip(acts, answers, strict=True) if answer)

    def _tell(self, event: Event) -> None:
        decision = notices.decide(self._known(), event)
        acts = {**self._ping(event), **self._messages(decision.notice)}
        answers = dict(
            zip(acts, within(PATIENCE, self.teller.clock, list(acts.values())), strict=True)
        )
        for to, complaint in answers.items():
            if complaint:
                self.teller.warn(f"{to} could not be told: {complaint}")
        if decision.notice is None or any(answers[self._named(url)] == "" for url in self.urls):
            self._know(decision.told)

    def _ping(self, event: Event) -> dict[str, Callable[[], str]]:
        """Ping of scheduled backups; the log since the start goes along."""
        ending = _PINGS.get(event.what)
        if event.subject != BACKUP or ending is None:
            return {}
        if event.what is What.STARTED:
            self.teller.last.clear()
        if not self.ping:
            return {}
        lines = (*self.teller.last, event.message, *event.details)
        body = self.teller.redact("\n".join(line for line in lines if line))
        return {endpoints.shown_ping(self.ping): partial(pinging.ping, self.ping, ending, body)}

    def _messages(self, notice: Notice | None) -> dict[str, Callable[[], str]]:
        if notice is None or not self.urls:
            return {}
        messengers.load()
        redact = self.teller.redact
        safe = Notice(notice.what, redact(notice.title), tuple(map(redact, notice.lines)))
        return {self._named(url): partial(messengers.send, url, safe) for url in self.urls}

    def _named(self, url: str) -> str:
        """Name an address without its secrets, so that it is told from others of its kind."""
        shown = endpoints.shown(url)
        alike = [each for each in self.urls if endpoints.shown(each) == shown]
        return f"{shown} ({alike.index(url) + 1} of {len(alike)})" if alike[1:] else shown

    # --- what people know

    def _known(self) -> Told:
        if self._told is None:
            self._told = Told()
            if self.urls and self.store.size(self.file):
                self._told = Told.from_json(self.store.text(self.file))
        return self._told

    def _know(self, told: Told) -> None:
        """Remember what people know; without trouble there is no file."""
        if not self.urls or told == self._told:
            return
        self._told = told
        try:
            if told.troubles:
                self.store.put(self.file, told.to_json())
            else:
                self.store.remove(self.file)
        except (OSError, StoreFailed) as error:
            self.teller.warn(f"what was told could not be noted: {error}")


def open_telling(settings: "Settings", teller: "Teller", file: str) -> Telling:
    """
    Open the ways to people and their machines.

    Args:
        settings: say who is told.
        teller: the log; it knows the secrets.
        file: who tells, ``GUARD`` or ``SCHEDULE``: only the schedule pings and has metrics.

    """
    schedule = file == SCHEDULE
    wanted = schedule and (settings.metrics_file or settings.metrics_port)
    return Telling(
        LocalStore(settings.backups),
        teller,
        file,
        urls=settings.notify,
        ping=settings.ping_url if schedule else None,
        metrics=Metrics(settings.metrics_file, settings.metrics_port) if wanted else None,
    )
