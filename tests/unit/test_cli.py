"""The command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar import __version__, asking, cli, commands
from sidecar.errors import (
    Interrupted,
    MigsafeError,
    SettingsError,
    StoreFailed,
    exit_codes,
)
from sidecar.signals import SignalStop

from .builders import NOON


def test_help_has_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that a user may meet is in the help."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    text = capsys.readouterr().out

    assert 0 == ended.value.code
    assert all(command in text for command in cli.COMMANDS)
    assert all(f"{code:>3}  {meaning}" in text for code, meaning in exit_codes())
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command explains itself."""
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])

    assert 0 == ended.value.code
    assert len(capsys.readouterr().out) > 40


@pytest.mark.parametrize("argv", [[], ["gaurd"], ["guard", "--now"], ["list", "x"]])
def test_usage_errors_are_settings_errors(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped command ends with 2 and says how to go on."""
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)

    assert 2 == ended.value.code
    assert "--help" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["--help"], ["version"], ["config"], ["config", "--json"]])
def test_a_pipe_that_is_closed_early(argv: list[str]) -> None:
    """`migsafe list | head -1` ends as other programs do: without a word, as by SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", *argv], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)

    # argparse itself is silent of a help that nobody reads
    assert (0 if "--help" in argv else 141, b"") == (done.returncode, done.stderr)


def test_no_standard_input_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that has closed it is told to say `--yes`."""
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(SettingsError, match="no terminal"):
        asking.confirm(SignalStop(), "shop")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_question(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C does not wait for Enter, and what it did before it still does afterwards."""
    stop = SignalStop()
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(asking, "on_terminal", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: os.kill(os.getpid(), number))
    stop.listen()
    try:
        with pytest.raises(Interrupted) as ended:
            asking.confirm(stop, "shop")
        assert stop._note == signal.getsignal(signal.SIGINT)
    finally:
        for each, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(each, handler)

    assert 128 + number == ended.value.status


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version, for people and for scripts."""
    assert 0 == cli.main(["version"])
    assert 0 == cli.main(["version", "--json"])
    plain, structured = capsys.readouterr().out.splitlines()

    assert f"migsafe {__version__}" == plain
    assert {"version": __version__} == json.loads(structured)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreFailed("no room", hint="Make some."), "✗ no room\nHINT: Make some.\n"),
        (StoreFailed("no room"), "✗ no room\n"),
    ],
)
def test_an_error_says_what_to_do_where_that_is_known(
    error: MigsafeError,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where nobody thought of a hint nothing is claimed."""

    def fail(_arguments: object) -> int:
        raise error

    monkeypatch.setattr(commands, "run", fail)

    assert error.status == cli.main(["list"])
    assert told == capsys.readouterr().err


def test_bad_settings_end_before_anything(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """All complaints of the settings at once, exit code 2, and a card like any other."""
    monkeypatch.setattr(commands, "BACKUPS", str(tmp_path))
    monkeypatch.setenv("MIGSAFE_WIAT", "3")
    monkeypatch.setenv("MIGSAFE_DEADLINE", "soon")

    assert 2 == cli.main(["guard"])
    told = capsys.readouterr().out
    assert "MIGSAFE_WAIT" in told
    assert "MIGSAFE_DEADLINE" in told
    assert "nothing was changed" in told
    assert (tmp_path / "last-report.txt").read_text().splitlines()[1:] == told.splitlines()[1:]


def test_config_masks_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The settings in force are shown without the password."""
    monkeypatch.setenv("MIGSAFE_DATABASE_URL", "postgres://shop:c4n4ry@db/shop")

    assert 0 == cli.main(["config"])
    assert 0 == cli.main(["config", "--json"])
    told = capsys.readouterr().out
    assert "c4n4ry" not in told
    assert "postgresql://shop@db:5432/shop" in told


def test_runs_are_named_by_time() -> None:
    """A run's id sorts by time and is told from another of the same second."""

    class Clock:
        now = staticmethod(lambda: NOON)
        monotonic = staticmethod(lambda: 0.0)
        sleep = staticmethod(lambda _: None)

    names = {commands.new_run(Clock()) for _ in range(20)}
    assert len(names) > 15
    assert all(name.startswith("20260131-120000-") for name in names)
