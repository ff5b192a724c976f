"""Whether a run that somebody else has begun may be brought to its end, or is still at work."""

from sidecar.errors import AlreadyRunning, RollbackPending
from sidecar.plan import Run
from sidecar.ports import World

NOTICE = 10.0
"""Seconds after which a `wrap` that has lost the lock has ended its migration."""


def allow(world: World, run: Run) -> None:
    """
    Go on where nothing of a run's migration can be at work any more, but for its sessions.

    Raises:
        AlreadyRunning: it was handed over, and may be running.
        RollbackPending: its container is another engine's.

    """
    if run.exited:
        return
    if run.handed_over and _may_run(world, run):
        raise busy(run)
    if not run.outside and _is_elsewhere(world, run):
        raise _elsewhere(run)
    if run.outside and not run.handed_over:
        # Where it was killed, its migration has ended with it. Where it has lost its server only,
        # it is about to see that, and to end the migration before that connects anew.
        world.clock.sleep(NOTICE)


def busy(run: Run) -> AlreadyRunning:
    """Name who runs the migration; never a word of it being dead before it is known to be."""
    return AlreadyRunning(
        f"run {run.id} migrates: handed over on {run.named('host')!r} at"
        f" {run.migrating_at:%Y-%m-%d %H:%M:%S} UTC, and not concluded yet",
        hint="Nothing was changed by this run. That one ends with its `conclude`, or with the next"
        f" start after {run.lease_until:%Y-%m-%d %H:%M:%S} UTC. Is it known to be dead? Then"
        " `migsafe retry`, and start again.",
    )


def _may_run(world: World, run: Run) -> bool:
    """
    Tell whether a migration that was handed over may be running: nobody holds its lock.

    It does while it gives signs of life, and it may until its deadline, unless it is known to
    have ended or the operator says so.
    """
    ended = world.engine.has_ended(run.id)
    if ended or (ended is None and run.retried):
        return False
    return world.database.now() < run.lease_until


def _is_elsewhere(world: World, run: Run) -> bool:
    """Tell whether a migration was started on an engine that we can't look into."""
    if run.retried:
        return False
    theirs, mine = run.named("engine"), world.engine.this_host()
    return bool(mine.by or (theirs and mine.id and theirs != mine.id))


def _elsewhere(run: Run) -> RollbackPending:
    project, host = run.named("project"), run.named("host")
    return RollbackPending(
        f"run {run.id} was cut off while it migrated, as project {project!r} on host {host!r}:"
        " its migration may still be running there",
        hint=f"Type `docker compose up` there, on {host!r}: that run is brought to its end. If its"
        " containers are gone for good: `migsafe retry` here, then up.",
    )
