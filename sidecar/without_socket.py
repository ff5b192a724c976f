"""The commands of a guarded migration without Docker's socket: begin, conclude, wrap."""

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sidecar import ending
from sidecar.child import Wrapping
from sidecar.errors import MigsafeError, SettingsError
from sidecar.guard import Done, Guard
from sidecar.handing import Handing
from sidecar.handover import Handover
from sidecar.outside import Outside
from sidecar.plan import Run
from sidecar.policy import Policy
from sidecar.settings import Settings, environment
from sidecar.stores.local import LocalStore
from sidecar.wiring import Stack, Ways, opened

SHARED = "MIGSAFE_SHARED"


def run(settings: Settings, ways: Ways, arguments: Namespace, run_id: str) -> int:
    """Run one of them, and tell how it ended as the guard does."""
    ways.outside = True
    stack: Stack | None = None
    try:
        engine, act = _ACTS[arguments.command](settings, ways, arguments, run_id)
        if arguments.command == "conclude" and isinstance(engine, Handing):
            run_id = engine.named() or run_id  # the card is about that one
        with opened(settings, ways, engine) as stack:
            ending.told(stack, settings, run_id, partial(act, stack))
    except MigsafeError as error:
        if not error.told:
            ending.tell(LocalStore(settings.backups), ways, stack, run_id, error)
        return error.status
    except Exception:  # noqa: BLE001 - a bug, told as one
        return ending.bug(LocalStore(settings.backups), ways)
    return 0


Act = Callable[[Stack], Run | None]
"""What is done once the worlds are open; returns the run that has ended well, if one has."""


def _begin(
    settings: Settings, ways: Ways, arguments: Namespace, run_id: str
) -> tuple[Outside, Act]:
    policy = settings.policy()
    shared = _shared(settings, ways, policy, arguments.release or settings.release)
    mounted = settings.sources[SHARED] == "default"
    if complaint := shared.complaint(mounted=mounted):
        raise complaint

    def act(stack: Stack) -> None:
        done = Handover(stack.world, shared, policy, run_id).begin()
        if done.run is None:
            ways.tell.say(_nothing_to_do(done))
            return
        if not shared.release:
            ways.tell.say("no release is named (--release): the next start migrates again")
        ways.tell.say(
            f"ready: now migrate, by {shared.folder}/run COMMAND; then `migsafe conclude`"
        )

    return shared, act


def _conclude(
    settings: Settings, ways: Ways, arguments: Namespace, run_id: str
) -> tuple[Outside, Act]:
    policy = settings.policy()
    shared = _shared(settings, ways, policy, settings.release)
    shared.told = arguments.exit_code
    if arguments.exit_code_file and not shared.tell(Path(arguments.exit_code_file)):
        ways.tell.warn(f"{arguments.exit_code_file} tells no exit code of this run")

    def act(stack: Stack) -> Run | None:
        run = Handover(stack.world, shared, policy, run_id).conclude()
        if run is None:
            ways.tell.say("nothing to conclude: there was nothing to do")
        return run

    return shared, act


def _wrap(settings: Settings, ways: Ways, arguments: Namespace, run_id: str) -> tuple[Outside, Act]:
    if settings.migrate is not None:
        raise SettingsError(
            "MIGSAFE_MIGRATE is set, and `wrap` is told what to run",
            hint="Nothing was changed. Leave MIGSAFE_MIGRATE out.",
        )
    release = arguments.release or settings.release
    child = Wrapping(environment(), ways.clock, release, settings.app)
    policy = settings.policy(migrate=tuple(arguments.run))

    def act(stack: Stack) -> Run | None:
        child.pulse = stack.world.database.now
        done = Guard(stack.world, policy, run_id).run()
        if done.run is None:
            ways.tell.say(_nothing_to_do(done))
        return done.run

    return child, act


_ACTS = {"begin": _begin, "conclude": _conclude, "wrap": _wrap}


def _shared(settings: Settings, ways: Ways, policy: Policy, release: str | None) -> Handing:
    deadline = policy.deadline.total_seconds()
    return Handing(settings.shared, ways.clock, deadline, release, settings.app)


def _nothing_to_do(done: Done) -> str:
    return f"nothing to do: {done.app.image_name or 'everything'} was migrated before"
