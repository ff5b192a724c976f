"""
The guarded migration without an engine: `begin` makes ready, somebody else migrates, `conclude`.

The session that holds the lock ends with `begin`, so a run that was handed over holds the database
by its entry in the journal: until it is concluded, is known to be dead, or its deadline is over.
What is known of it, `begin` and `conclude` know from the folder that they share with the migration.
"""

from sidecar import plan, recipe
from sidecar.errors import AlreadyRunning, MigsafeError, Refused
from sidecar.guard import Done, Guard, past_the_start
from sidecar.plan import Conclude, Phase, RollBack, Run
from sidecar.policy import Policy
from sidecar.ports import HandOver, World
from sidecar.rollback import error_of, stranded

POLL = 1.0
"""Seconds between two looks at a migration that somebody else runs."""


class Handover:
    """One run that is handed over, or taken back."""

    def __init__(self, world: World, shared: HandOver, policy: Policy, run: str) -> None:
        self.world = world
        self.shared = shared
        self.policy = policy
        self.journal = world.journal
        self.guard = Guard(world, policy, run)

    # --- begin

    def begin(self) -> Done:
        """
        Make ready for a migration that somebody else runs.

        Raises:
            MigsafeError: it must not be started; the class says what state the data is in.

        """
        recipe.refuse_code(self.policy.wishes)
        until = self.world.clock.monotonic() + self.policy.wait.total_seconds()
        while True:
            try:
                return self._begin()
            except AlreadyRunning:
                # not with the lock held: `conclude` needs it
                self.world.stop.check()
                if self.world.clock.monotonic() + POLL > until:
                    raise
                self.world.clock.sleep(POLL)

    def _begin(self) -> Done:
        with self.guard.settled() as app:
            # from here on nobody starts, or concludes, what an earlier run has handed over
            self.shared.withdraw()
            look = self.world.database.look()
            chosen = recipe.of_others(self.policy.wishes, look)
            if not self.guard.make_ready(app, look, chosen):
                self.shared.nothing_to_do()
                return Done(None, app, look)
            with past_the_start():
                self.guard.migration.start(self.guard.present(), chosen.command)
            return Done(self.guard.present(), app, look)

    # --- conclude

    def conclude(self) -> Run | None:
        """
        Prove the migration that was handed over and commit it, or put the database back.

        Concluding once more what is concluded gives the same answer again.

        Returns:
            The run; None where there was nothing to do.

        Raises:
            MigsafeError: the app may not start; the class says what state the data is in.

        """
        recipe.refuse_code(self.policy.wishes)
        with self.journal.hold(self.guard.run_id, self.policy.wait.total_seconds()):
            name = self.shared.named()
            if name == "":
                return None
            run = self._find(name)
            return self._tell_again(run) if run.finished else self._conclude(run)

    def _find(self, name: str | None) -> Run:
        runs = plan.fold(self.journal.entries())
        found = next((run for run in runs if run.id == name), None)
        if found is None or not found.handed_over:
            raise Refused(
                "there is nothing to conclude: no run was handed over here",
                hint="Nothing was changed. `migsafe begin` first, and only if it ends with 0 the"
                " migration; all three share one folder (MIGSAFE_SHARED).",
            )
        return found

    def _conclude(self, run: Run) -> Run:
        match plan.resume(self.journal.entries()):
            case Conclude(last) if last.id == run.id and run.exited:
                finish = self.guard.conclude
            case Conclude(last) if last.id == run.id:
                self._refuse_running(run)
                finish = self.guard.conclude
            case RollBack(last) if last.id == run.id:
                finish = self.guard.put_back
            case _:
                raise Refused(
                    f"run {run.id} was not handed over to its end",
                    hint="Nothing was changed. Start again with `migsafe begin`.",
                )
        with past_the_start():
            return finish(run)

    def _refuse_running(self, run: Run) -> None:
        if self.world.engine.has_ended(run.id) is False:
            raise AlreadyRunning(
                f"the migration of run {run.id} still runs",
                hint="Nothing was changed. Conclude it once it has ended.",
            )

    def _tell_again(self, run: Run) -> Run:
        if not run.cleared and run.phase is not Phase.STRANDED:
            self.guard.aftermath.close(run)
        if run.phase is Phase.COMMITTED:
            return run
        raise _failure_of(run)


def _failure_of(run: Run) -> MigsafeError:
    match run.phase:
        case Phase.STRANDED:
            return stranded(run)
        case Phase.ROLLED_BACK | Phase.UNCHANGED:
            return error_of(run.failure)
    return Refused(
        f"run {run.id} has ended before its migration: {run.named('reason')}",
        hint="Nothing was changed. Start again with `migsafe begin`.",
    )
