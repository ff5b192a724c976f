"""Messages, pings and metrics, to servers that are there, are down, refuse, or hang."""

import io
import logging
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from prometheus_client.parser import text_string_to_metric_families
from pytest_httpserver import HTTPServer
from werkzeug import Response

from sidecar import messengers, notices, pinging, telling
from sidecar.backups import Kind
from sidecar.clock import SystemClock
from sidecar.errors import SettingsError
from sidecar.figures import Figures, OfKind, gather
from sidecar.log import Redactor, Teller
from sidecar.metrics import Metrics
from sidecar.notices import BACKUP, Event, What
from sidecar.settings import Settings
from sidecar.state import Problem, State
from sidecar.stores.local import LocalStore
from sidecar.telling import Telling
from tests.unit.builders import NOON, manifest

CANARY = "c4n4ry-Of-A-T0ken"
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
"""Of a library below Apprise."""


class Scene:
    """Who tells, and what was said meanwhile."""

    def __init__(self, folder: Path, *urls: str, ping: str | None = None) -> None:
        variables = {"MIGSAFE_NOTIFY": " ".join(urls), "MIGSAFE_PING_URL": ping or ""}
        self.settings = Settings.read(variables, _no_file)
        self.folder = folder
        self.out = io.StringIO()
        redact = Redactor(self.settings.secrets())
        self.teller = Teller(SystemClock(), redact, json=False, out=self.out)
        self.telling = self.again()

    def again(self) -> Telling:
        """Start the process once more."""
        return Telling(
            LocalStore(self.folder),
            self.teller,
            telling.SCHEDULE,
            urls=self.settings.notify,
            ping=self.settings.ping_url,
        )

    @property
    def said(self) -> str:
        """The log."""
        return self.out.getvalue()


def _no_file(path: str) -> str:
    raise FileNotFoundError(path)


def event(what: What, **changes: Any) -> Event:
    """Make an event."""
    return replace(Event(what, BACKUP, "no space left", NOON, "shop"), **changes)


@pytest.fixture
def hanging() -> Iterator[str]:
    """Give the address of a server that takes a connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def nobody() -> str:
    """Give an address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def _host(server: HTTPServer) -> str:
    return f"{server.host}:{server.port}"


# --- messages


def test_a_webhook_is_told_once_over_restarts(tmp_path: Path, httpserver: HTTPServer) -> None:
    """A failure at once, its repetition after a restart not, its end once."""
    httpserver.expect_request(f"/{CANARY}", method="POST").respond_with_data("")
    scene = Scene(tmp_path, f"json://{_host(httpserver)}/{CANARY}")
    for what in (What.FAILED, What.FAILED, What.SUCCEEDED, What.SUCCEEDED):
        scene.again().tell(event(what, details=("  data  as it was", f"token {CANARY}")))
        assert (what is What.FAILED) == (tmp_path / telling.SCHEDULE).exists()
    bodies = [request.get_json() for request, _ in httpserver.log]

    assert ["failure", "success"] == [body["type"] for body in bodies]
    assert "shop: scheduled backup failed" == bodies[0]["title"]
    assert ["no space left", "  data  as it was", "token ***"] == bodies[0]["message"].splitlines()[
        :3
    ]
    assert "" == scene.said


def test_mail(tmp_path: Path, nobody: str) -> None:
    """A mail arrives whole: umlauts, lines, the angle brackets of a card."""

    class Mailbox:
        """Takes every mail."""

        mails: list[bytes] = []  # noqa: RUF012 - one test

        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - its name
            """Keep it."""
            self.mails.append(envelope.content)
            return "250 OK"

    port = int(nobody.partition(":")[2])
    controller = Controller(Mailbox(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        url = f"mailto://127.0.0.1:{port}?from=migsafe@example.org&to=ops@example.org&mode=insecure"
        scene = Scene(tmp_path, url)
        scene.telling.tell(event(What.NEEDS_OPERATOR, details=("  next  type `a <b> & c`: Größe",)))
    finally:
        controller.stop()
    import email  # noqa: PLC0415 - only here
    from email import policy  # noqa: PLC0415 - same

    mail = email.message_from_bytes(Mailbox.mails[0], policy=policy.default)
    text = "".join(
        str(part.get_content()) for part in mail.walk() if "text" in part.get_content_type()
    )
    assert "" == scene.said
    assert "shop: scheduled backup: needs you" == mail["subject"]
    assert "Größe" in text
    assert "a <b> & c" in text or "a &lt;b&gt; &amp; c" in text


def test_who_is_down_does_not_keep_it_from_others(
    tmp_path: Path, httpserver: HTTPServer, nobody: str
) -> None:
    """Each is told for itself; who was not is a line without a secret."""
    httpserver.expect_request("/ok").respond_with_data("")
    urls = (f"json://me:{CANARY}@{nobody}/{CANARY}/x", f"json://{_host(httpserver)}/ok")
    scene = Scene(tmp_path, *urls, f"slakc://{CANARY}/b")
    scene.telling.tell(event(What.FAILED))

    assert 1 == len(httpserver.log)
    assert (tmp_path / telling.SCHEDULE).exists()
    assert "! json://*** (1 of 2) could not be told: " in scene.said
    assert "! slakc://*** could not be told: Apprise does not understand this URL" in scene.said
    assert CANARY not in scene.said
    assert ("slakc://***: Apprise does not understand this URL",) == (scene.telling.complaints())


def test_a_trial(tmp_path: Path, httpserver: HTTPServer, nobody: str) -> None:
    """`doctor --tell` sends a message; who did not get it is named, and nothing is noted."""
    httpserver.expect_request("/ok").respond_with_data("")
    scene = Scene(tmp_path, f"json://{_host(httpserver)}/ok", f"ntfy://{nobody}/{CANARY}")
    complaints = scene.telling.trial()

    assert ["migsafe: a trial"] == [request.get_json()["title"] for request, _ in httpserver.log]
    assert 1 == len(complaints)
    assert complaints[0].startswith("ntfy://***: ")
    assert CANARY not in complaints[0]
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("status", [403, 404, 500])
def test_what_nobody_took_is_told_again(
    tmp_path: Path, httpserver: HTTPServer, status: int
) -> None:
    """A message that nobody got counts as untold: the next failure tells it."""
    httpserver.expect_ordered_request("/").respond_with_data(CANARY, status=status)
    httpserver.expect_ordered_request("/").respond_with_data("")
    scene = Scene(tmp_path, f"json://{_host(httpserver)}/")
    scene.telling.tell(event(What.FAILED))
    assert not (tmp_path / telling.SCHEDULE).exists()
    assert f"error={status}" in scene.said
    scene.again().tell(event(What.FAILED))
    scene.again().tell(event(What.FAILED))

    assert 2 == len(httpserver.log)


def test_a_folder_that_is_full_or_gone(tmp_path: Path, httpserver: HTTPServer) -> None:
    """Without a memory on disk it is told all the same, and by one process once."""
    httpserver.expect_request("/").respond_with_data("")
    scene = Scene(tmp_path / "gone", f"json://{_host(httpserver)}/")
    for _ in range(3):
        scene.telling.tell(event(What.FAILED))

    assert 1 == len(httpserver.log)
    assert 1 == scene.said.count("could not be noted")


def test_who_hangs_is_left(tmp_path: Path, hanging: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never answers costs the deadline, once for all of them."""
    monkeypatch.setattr(telling, "PATIENCE", 1.0)
    urls = [f"json://{hanging}/{n}?rto=60&cto=60" for n in range(3)]
    scene = Scene(tmp_path, *urls, ping=f"http://{hanging}/{CANARY}")
    scene.telling.complaints()  # Apprise's plugins are loaded
    began = time.monotonic()
    scene.telling.tell(event(What.FAILED))

    assert time.monotonic() - began < 3
    assert 4 == scene.said.count("no answer within 1 s")
    assert CANARY not in scene.said


PROGRAM = f"""
import io, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from sidecar import telling
from tests.integration.test_being_told import Scene, event, What
telling.PATIENCE = 2.0
scene = Scene(Path(sys.argv[1]), *sys.argv[2:])
scene.telling.tell(event(What.FAILED))
print(scene.said, end="")
sys.exit(20)
"""


def test_the_process_ends_though_a_server_hangs(tmp_path: Path, hanging: str) -> None:
    """No thread that still waits holds the exit up, nor changes its code."""
    urls = [f"json://{hanging}/{CANARY}?rto=60&cto=60", f"slakc://{CANARY}"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), *urls],
        capture_output=True, text=True, check=False, timeout=40,
    )  # fmt: skip

    assert 20 == done.returncode, done.stderr
    assert "json://*** could not be told: no answer within 2 s" in done.stdout
    assert "" == done.stderr  # Apprise itself would show the URL that it can't read
    assert CANARY not in done.stdout


def test_a_bug_in_telling_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong in here, a run ends as it does."""
    scene = Scene(tmp_path, f"json://127.0.0.1/{CANARY}")

    def broken(*_: object) -> object:
        raise KeyError(CANARY)

    monkeypatch.setattr(messengers, "send", broken)
    scene.telling.tell(event(What.FAILED))
    monkeypatch.setattr(notices, "decide", broken)
    scene.telling.tell(event(What.FAILED))

    assert ["! json://*** could not be told: KeyError", "! nobody could be told: KeyError"] == (
        scene.said.splitlines()
    )


# --- the dead-man's switch


def test_pings(tmp_path: Path, httpserver: HTTPServer) -> None:
    """Start, success and failure of scheduled backups, with the log since the start."""
    httpserver.expect_request("/key/start", query_string="create=1").respond_with_data("OK")
    httpserver.expect_request("/key", query_string="create=1").respond_with_data("OK")
    httpserver.expect_request("/key/fail", query_string="create=1").respond_with_data("OK")
    scene = Scene(tmp_path, ping=f"http://{_host(httpserver)}/key?create=1")
    scene.teller.say("of another time")
    scene.telling.tell(event(What.STARTED))
    scene.teller.say(f"scheduled backup created, PGPASSWORD={CANARY}")
    scene.telling.tell(event(What.SUCCEEDED, message="all is well"))
    scene.telling.tell(event(What.FAILED, details=("and so on",)))
    scene.telling.tell(event(What.SILENT))
    scene.telling.tell(event(What.FAILED, subject="gs://bucket"))
    got = [(request.path, request.get_data(as_text=True)) for request, _ in httpserver.log]

    assert ["/key/start", "/key", "/key/fail"] == [path for path, _ in got]
    assert ["scheduled backup created, PGPASSWORD=***", "all is well"] == got[1][1].splitlines()
    assert ["no space left", "and so on"] == got[2][1].splitlines()[-2:]
    assert "could not" not in scene.said


def test_a_ping_is_tried_again(httpserver: HTTPServer) -> None:
    """A server that stumbles is asked once more, one that refuses is not."""
    answers = [502, 429, 200]
    httpserver.expect_request("/x").respond_with_handler(
        lambda _: Response("OK", status=answers[len(httpserver.log)])
    )
    assert "" == pinging.ping(httpserver.url_for("/x"))
    assert 3 == len(httpserver.log)
    httpserver.expect_request("/gone").respond_with_data("", status=404)
    assert "it answered 404" == pinging.ping(httpserver.url_for("/gone"))
    assert 4 == len(httpserver.log)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("OK (not found)", "it knows no such check"),
        ("OK (rate limited)", "it was pinged too often"),
        ("OK", ""),
    ],
)
def test_an_ok_that_is_none(httpserver: HTTPServer, text: str, complaint: str) -> None:
    """healthchecks.io answers 200 for a check that does not exist: that is no success."""
    httpserver.expect_request("/x").respond_with_data(text)

    assert complaint == pinging.ping(httpserver.url_for("/x"))


def test_the_last_of_a_long_log_goes_along(httpserver: HTTPServer) -> None:
    """A service takes so many bytes only."""
    httpserver.expect_request("/x").respond_with_data("OK")
    pinging.ping(httpserver.url_for("/x"), "", "ü" * 100_000 + "the end")

    body = httpserver.log[0][0].get_data()
    assert len(body) == pinging.MOST
    assert body.endswith(b"the end")


def test_nobody_to_ping(tmp_path: Path, nobody: str) -> None:
    """A switch that can't be reached is a line, without what says whose it is."""
    scene = Scene(tmp_path, ping=f"http://{nobody}/{CANARY}")
    scene.telling.tell(event(What.SUCCEEDED))

    assert [f"! http://{nobody}/*** could not be told: it can't be reached"] == (
        scene.said.splitlines()
    )


# --- metrics


def figures() -> Figures:
    """Gather the figures of a database from which data has vanished."""
    found = gather(
        [manifest(size=1234)],
        {},
        (),
        now=NOON,
        project="shop",
        behind={"gs://bucket/shop": 2},
        durations={Kind.PRE_MIGRATION: 1.5},
        interval=timedelta(hours=1),
        verify_interval=timedelta(days=7),
        last_attempt=NOON,
        state=State(doubt=Problem(17, "data has vanished")),
    )
    return replace(found, kinds={**found.kinds, Kind.SCHEDULED: OfKind("x", NOON, 5, NOON, 1, 5)})


def test_a_textfile(tmp_path: Path) -> None:
    """The file is whole, readable by others, and holds what is known; no zero for the unknown."""
    file = tmp_path / "migsafe.prom"
    Metrics(file, None).publish(figures())
    text = file.read_text()

    assert [file] == list(tmp_path.iterdir())
    assert 0o644 == file.stat().st_mode & 0o777
    told = {
        (sample.name.removeprefix("migsafe_"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    expected = {
        ("last_success_timestamp_seconds", "scheduled", "shop"): NOON.timestamp(),
        ("last_success_timestamp_seconds", "pre-migration", "shop"): NOON.timestamp(),
        ("last_verified_timestamp_seconds", "scheduled", "shop"): NOON.timestamp(),
        ("last_attempt_timestamp_seconds", "shop"): NOON.timestamp(),
        ("last_backup_size_bytes", "pre-migration", "shop"): 1234,
        ("last_backup_duration_seconds", "pre-migration", "shop"): 1.5,
        ("kept_bytes", "scheduled", "shop"): 5,
        ("kept_backups", "manual", "shop"): 0,
        ("store_behind_backups", "gs://bucket/shop", "shop"): 2,
        ("runs_total", "shop", "stranded"): 0,
        ("needs_operator", "shop"): 0,
        ("problem", "doubt", "shop"): 1,
        ("problem", "held", "shop"): 0,
        ("schedule_interval_seconds", "shop"): 3600,
        ("verify_interval_seconds", "shop"): 604800,
    }
    assert expected == {key: told.get(key) for key in expected}
    assert set() == {key for key in told if "safety" in key and "timestamp" in key[0]}


def test_a_textfile_that_can_not_be_written(tmp_path: Path) -> None:
    """It is a line; a backup does not fail of it."""
    scene = Scene(tmp_path)
    scene.telling.metrics = Metrics(tmp_path / "gone" / "migsafe.prom", None)
    scene.telling.publish(figures)

    assert "! the metrics could not be written: No such file or directory" in scene.said


def test_a_port() -> None:
    """`/metrics` answers with the newest figures, and says what the process itself takes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    metrics = Metrics(None, port)
    metrics.serve()
    metrics.serve()
    try:
        metrics.publish(figures())
        metrics.publish(replace(figures(), needs_operator=True))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            text = answer.read().decode()
        with pytest.raises(SettingsError, match=f"port {port} can't be opened"):
            Metrics(None, port).serve()
    finally:
        metrics.close()

    assert 'migsafe_needs_operator{project="shop"} 1.0' in text
    assert "process_resident_memory_bytes" in text


@pytest.fixture(scope="session")
def promtool() -> str:
    """Give the program that checks what Prometheus reads."""
    made = subprocess.run([ROOT / "scripts" / "machine", "promtool"], check=False)
    assert 0 == made.returncode
    return str(ROOT / ".venv" / "bin" / "promtool")


def test_the_metrics_are_called_as_is_usual(tmp_path: Path, promtool: str) -> None:
    """Prometheus's own linter has nothing to say against names, units and help."""
    file = tmp_path / "migsafe.prom"
    Metrics(file, None).publish(figures())
    checked = _run([promtool, "check", "metrics"], stdin=file.read_text())

    assert (0, "") == (checked.returncode, checked.stdout + checked.stderr)


def test_the_alerts(promtool: str) -> None:
    """The example's alerts are whole, and each goes off when it should, and not before."""
    alerts = ROOT / "examples" / "alerts"
    rules = yaml.safe_load((alerts / "migsafe.rules.yml").read_text())["groups"][0]["rules"]
    tests = yaml.safe_load((alerts / "migsafe.test.yml").read_text())["tests"]
    tried = {
        (case["alertname"], bool(case["exp_alerts"]))
        for t in tests
        for case in t["alert_rule_test"]
    }
    assert {(rule["alert"], fired) for rule in rules for fired in (True, False)} == tried
    for command in ("check rules migsafe.rules.yml", "test rules migsafe.test.yml"):
        done = _run([promtool, *command.split()], cwd=alerts)
        assert 0 == done.returncode, done.stdout + done.stderr


def test_the_alerts_ask_for_what_is_told(tmp_path: Path) -> None:
    """No alert waits for a metric that nobody writes."""
    file = tmp_path / "migsafe.prom"
    Metrics(file, None).publish(figures())
    told = set(re.findall(r"^(migsafe_\w+)", file.read_text(), re.MULTILINE))
    rules = (ROOT / "examples" / "alerts" / "migsafe.rules.yml").read_text()
    expressions = " ".join(rule["expr"] for rule in yaml.safe_load(rules)["groups"][0]["rules"])
    asked = set(re.findall(r"\b(migsafe_\w+)", expressions))

    assert len(asked) > 8
    assert set() == asked - told


def _run(argv: list[str], *, stdin: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, input=stdin, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_process_that_lives_long(tmp_path: Path) -> None:
    """At its start the port is opened, and who can't be told is a warning."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {
        "MIGSAFE_NOTIFY": f"slakc://{CANARY}",
        "MIGSAFE_PING_URL": "https://hc-ping.com/x",
        "MIGSAFE_METRICS_FILE": str(tmp_path / "shop.prom"),
        "MIGSAFE_METRICS_PORT": str(port),
        "MIGSAFE_BACKUPS": str(tmp_path),
    }
    settings, scene = Settings.read(variables, _no_file), Scene(tmp_path)
    told = telling.open_telling(settings, scene.teller, telling.SCHEDULE)
    guard = telling.open_telling(settings, scene.teller, telling.GUARD)
    told.start()
    try:
        told.publish(figures)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert (tmp_path / "shop.prom").read_text() in answer.read().decode()
    finally:
        assert told.metrics is not None
        told.metrics.close()

    assert ["! a message would not go out: slakc://***: Apprise does not understand this URL"] == (
        scene.said.splitlines()
    )
    assert (None, None) == (guard.ping, guard.metrics)  # one of them speaks to machines


# --- what is loaded


def test_nothing_is_loaded_for_nothing() -> None:
    """What a guard with nothing to tell loads has no Apprise, no web, no Prometheus."""
    code = "import sys, sidecar.commands, sidecar.ending, sidecar.telling; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert not {"apprise", "prometheus_client", "tenacity"} & set(done.stdout.split())


def test_nothing_at_all_is_loaded_for_no_work() -> None:
    """A guard that finds nothing to do does without all of it."""
    code = "import sys, sidecar.commands; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told = {"notices", "figures", "telling", "messengers", "pinging", "metrics", "patience"}

    assert not {f"sidecar.{name}" for name in told} & set(done.stdout.split())


def test_apprise_says_nothing_by_itself() -> None:
    """Its log shows whole URLs: it leads nowhere but to us."""
    messengers.is_understood(f"slakc://{CANARY}")
    logger = logging.getLogger("apprise")

    assert not logger.propagate
    assert messengers._ears in logger.handlers
