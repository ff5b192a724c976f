"""Figures for Prometheus: a file for node_exporter's textfile collector, and a port."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sidecar import __version__
from sidecar.errors import SettingsError
from sidecar.figures import Figures, OfKind

READABLE = 0o644
"""By node_exporter, which is somebody else; there is nothing secret in it."""


@dataclass(frozen=True)
class _Gauge:
    """One figure of every kind of backup."""

    name: str
    help: str
    of: Callable[[OfKind], float | None]


_OF_KIND = (
    _Gauge(
        "migsafe_last_success_timestamp_seconds",
        "When the newest good backup was taken.",
        lambda kind: _seconds(kind.last_success),
    ),
    _Gauge(
        "migsafe_last_backup_size_bytes",
        "Size of the newest good backup.",
        lambda kind: kind.size if kind.last_success else None,
    ),
    _Gauge(
        "migsafe_last_verified_timestamp_seconds",
        "When a backup was last restored and found to be good.",
        lambda kind: _seconds(kind.verified),
    ),
    _Gauge("migsafe_kept_backups", "Backups that are kept.", lambda kind: kind.kept),
    _Gauge(
        "migsafe_kept_bytes", "Size of all backups that are kept.", lambda kind: kind.kept_bytes
    ),
)


class Metrics:
    """Hands figures to Prometheus."""

    def __init__(self, file: Path | None, port: int | None) -> None:
        self.file = file
        self.port = port
        self.figures = Figures()
        self._server: Any = None

    def publish(self, figures: Figures) -> None:
        """
        Take new figures; the file is replaced as a whole.

        Raises:
            OSError: the file can't be written.

        """
        self.figures = figures
        if self.file is not None:
            import prometheus_client  # noqa: PLC0415 - only where metrics are wanted

            prometheus_client.write_to_textfile(str(self.file), self._registry())
            self.file.chmod(READABLE)

    def serve(self) -> None:
        """
        Open the port, where one is set, and answer on it until the process ends.

        Raises:
            SettingsError: it can't be opened.

        """
        if self.port is None or self._server is not None:
            return
        import prometheus_client  # noqa: PLC0415 - same

        registry = self._registry()
        prometheus_client.ProcessCollector(registry=registry)
        try:
            self._server, _ = prometheus_client.start_http_server(self.port, registry=registry)
        except OSError as error:
            raise SettingsError(
                f"MIGSAFE_METRICS_PORT: port {self.port} can't be opened: {error.strerror}",
                hint="Nothing was changed. Choose another port, or leave it out.",
            ) from None

    def close(self) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def collect(self) -> Iterator[Any]:
        """List the figures as Prometheus's library wants them."""
        return families(self.figures)

    def _registry(self) -> Any:
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 - same

        registry = CollectorRegistry()
        registry.register(self)
        return registry


def families(figures: Figures) -> Iterator[Any]:
    """Make metrics of figures; what is not known is left out, so that no zero stands for it."""
    for gauge in _OF_KIND:
        found = {kind: gauge.of(of_kind) for kind, of_kind in figures.kinds.items()}
        yield _family(figures, gauge.name, gauge.help, "kind", found)
    for name, meaning, label, values in (
        ("last_backup_duration_seconds", "How long the newest backup took.", "kind",
         figures.durations),
        ("store_behind_backups", "Backups that are not in this store yet.", "store",
         figures.behind),
        ("runs_total", "Runs in the journal, by how they ended.", "verdict", figures.verdicts),
        ("problem", "1 for what is not well, as health says.", "problem", figures.problems),
        ("build_info", "Which migsafe this is.", "version", {__version__: 1.0}),
    ):  # fmt: skip
        yield _family(figures, f"migsafe_{name}", meaning, label, values)
    for name, meaning, value in (
        ("needs_operator", "1 while the database waits for its operator.",
         None if figures.needs_operator is None else float(figures.needs_operator)),
        ("schedule_interval_seconds", "Time between two scheduled backups.",
         _length(figures.interval)),
        ("verify_interval_seconds", "Time between two restore tests.",
         _length(figures.verify_interval)),
        ("last_attempt_timestamp_seconds", "When the last try to take a scheduled backup began.",
         _seconds(figures.last_attempt)),
    ):  # fmt: skip
        yield _family(figures, f"migsafe_{name}", meaning, "", {"": value})


def _family(
    figures: Figures, name: str, meaning: str, label: str, values: Mapping[Any, float | None]
) -> Any:
    """Make one metric, with a label for each value beside the project's."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # noqa: PLC0415

    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(name, meaning, labels=["project", *filter(None, (label,))])
    for key, value in values.items():
        if value is not None:
            family.add_metric([figures.project, *filter(None, (str(key),))], value)
    return family


def _length(interval: timedelta | None) -> float | None:
    return interval.total_seconds() if interval else None


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None
