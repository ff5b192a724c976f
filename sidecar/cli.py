"""
``migsafe``: the command line.

Heavy modules are imported by the command that needs them: ``guard`` runs at every
``docker compose up``, and mostly finds nothing to do.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from sidecar import __version__
from sidecar.backups import Kind
from sidecar.errors import MigsafeError, SettingsError, exit_codes

DESCRIPTION = """\
Stands between `docker compose up` and an app's database migrations: backs the PostgreSQL
database up, runs the app's own migrations in a container of their own, and if they fail puts
the database back exactly as it was and keeps the app from starting.
"""

COMMANDS = {
    "guard": "back up, migrate, prove; put back if that fails (what the service runs)",
    "begin": "without Docker's socket: back up and make ready; then somebody else migrates",
    "conclude": "without Docker's socket: prove what was migrated since `begin`, or put it back",
    "wrap": "without Docker's socket: all of it around a command, `wrap -- COMMAND`",
    "schedule": "back up whenever it is due, and prove it now and then (what the service runs)",
    "health": "whether a backup that restores is fresh enough (for the service's healthcheck)",
    "status": "what is running or happened last, the ledger, backups, kept databases",
    "list": "the backups",
    "backup": "back the database up now, while the app runs on",
    "copy": "bring every backup to the stores that lack it",
    "connect": "sign in to a store: `connect gdrive`, also without a browser",
    "show": "what a backup holds",
    "verify": "prove that a backup restores: loads it beside the live database, and compares",
    "export": "write a backup to a file that needs no migsafe",
    "restore": "put a backup in the place of the live database; what is there is kept",
    "rehearse": "try the image that is to come on a copy of the data, beside the running stack",
    "rollback": "go back to before the last migration, though it succeeded",
    "doctor": "look at the whole stack for what would defeat the promise",
    "prune": "delete the backups that MIGSAFE_KEEP and MIGSAFE_RETENTION do not want kept",
    "retry": "let the next run try again what failed before",
    "forget": "drop a database that was set aside",
    "unfence": "let everybody into a live database that is closed",
    "report": "the last card again",
    "config": "the settings in force and where each comes from",
    "version": "the version",
}
JSON_COMMANDS = (
    "status",
    "list",
    "backup",
    "show",
    "verify",
    "rehearse",
    "doctor",
    "prune",
    "health",
    "config",
    "version",
)

_BACKUP = "its name, a part of it that no other has, or `latest`"
_YES = ("--yes", {"action": "store_true", "help": "do it without asking"})
_RELEASE = (
    "--release",
    {"metavar": "TEXT", "help": "what the release is called; the same is not migrated twice"},
)
ARGUMENTS: Mapping[str, tuple[tuple[str, Mapping[str, Any]], ...]] = {
    "begin": (_RELEASE,),
    "conclude": (
        (
            "--exit-code",
            {"type": int, "metavar": "N", "help": "how the migration ended, if nothing tells it"},
        ),
        ("--exit-code-file", {"metavar": "PATH", "help": "a file that tells it"}),
    ),
    "wrap": (
        _RELEASE,
        ("run", {"nargs": "+", "metavar": "COMMAND", "help": "what migrates, after `--`"}),
    ),
    "health": (("--explain", {"action": "store_true", "help": "in words, and what to do"}),),
    "list": (
        ("--kind", {"choices": list(Kind), "help": "only of this kind"}),
        ("--limit", {"type": int, "metavar": "N", "help": "only the newest N"}),
    ),
    "backup": (("--note", {"default": "", "metavar": "TEXT", "help": "why it was taken"}),),
    "connect": (
        ("store", {"choices": ("gdrive",), "help": "Google Drive, by your own account"}),
        (
            "--to",
            {"metavar": "PATH", "help": "where to write the token, not to the folder of backups"},
        ),
    ),
    "show": (("backup", {"metavar": "BACKUP", "help": _BACKUP}),),
    "verify": (
        ("backup", {"nargs": "?", "default": "latest", "metavar": "BACKUP", "help": _BACKUP}),
        ("--all", {"action": "store_true", "help": "every backup"}),
        ("--quick", {"action": "store_true", "help": "only read it and compare checksums"}),
        (
            "--isolated",
            {"action": "store_true", "help": "on a server of its own, made of the same image"},
        ),
    ),
    "export": (
        ("backup", {"metavar": "BACKUP", "help": _BACKUP}),
        ("path", {"metavar": "PATH", "help": "a file that is not there yet"}),
    ),
    "restore": (
        ("backup", {"nargs": "?", "metavar": "BACKUP", "help": f"{_BACKUP}; asks without"}),
        (
            "--file",
            {"metavar": "PATH", "help": "a dump that others have made, as pg_dump writes them"},
        ),
        ("--no-migrate", {"action": "store_true", "help": "leave the restored data as it is"}),
        (
            "--from-elsewhere",
            {"action": "store_true", "help": "it may be of another database or server"},
        ),
        _YES,
    ),
    "rehearse": (
        ("--image", {"metavar": "REF", "help": "instead of the app's own, as it is here now"}),
        ("--backup", {"metavar": "BACKUP", "help": f"{_BACKUP}; the newest without"}),
        ("--live", {"action": "store_true", "help": "the live database as it is now, instead"}),
    ),
    "rollback": (
        ("--to", {"metavar": "RUN", "help": "before that run, instead of the last"}),
        _YES,
    ),
    "doctor": (
        ("--tell", {"action": "store_true", "help": "send a message to all of MIGSAFE_NOTIFY"}),
    ),
    "prune": (
        ("--dry-run", {"action": "store_true", "help": "only say what would go, and why not"}),
        (
            "--accept-missing",
            {"action": "store_true", "help": "what is gone that was there before is meant to be"},
        ),
        _YES,
    ),
    "forget": (("kept", {"metavar": "DATABASE", "help": "its name, from `status`"}), _YES),
    "unfence": (("--force", {"action": "store_true", "help": "even after a failed rollback"}),),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    try:
        try:
            return _main(argv)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT  # before anything was begun
    except BrokenPipeError:
        # what is left to write is written nowhere, or the interpreter would complain at its end
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.command == "version":
        return _version(as_json=arguments.json)
    from sidecar import commands  # noqa: PLC0415 - see above

    try:
        return commands.run(arguments)
    except MigsafeError as error:
        if not error.told:
            print("\n".join(_complaint(error)), file=sys.stderr)
        return error.status


def _complaint(error: MigsafeError) -> Iterator[str]:
    yield f"✗ {error.message}"
    if error.hint:
        yield f"HINT: {error.hint}"


class _Parser(argparse.ArgumentParser):
    """Complains in our words: usage errors are settings errors."""

    def error(self, message: str) -> NoReturn:
        self.exit(SettingsError.exit_code, f"✗ {message}\nHINT: `migsafe --help` shows how.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="migsafe",
        description=DESCRIPTION,
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"migsafe {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about, description=about[0].upper() + about[1:])
        for argument, options in ARGUMENTS.get(name, ()):
            command.add_argument(argument, **options)
        if name in JSON_COMMANDS:
            command.add_argument("--json", action="store_true", help="answer in JSON")
    return parser


def _epilog() -> str:
    table = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in exit_codes())
    return (
        "exit codes; the first digit of two is the state of the data\n"
        "(1x nothing was changed, 2x as it was before the migration, 3x it needs you):\n"
        f"{table}\n\n"
        "Settings are MIGSAFE_… variables of the service; none is needed for a usual stack.\n"
        "`migsafe config` shows them."
    )


def _version(*, as_json: bool) -> int:
    print(f'{{"version": "{__version__}"}}' if as_json else f"migsafe {__version__}")
    return 0
