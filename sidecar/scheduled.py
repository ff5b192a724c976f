"""One scheduled backup: taken, compared with the last good one; then what is old goes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sidecar import manual, proof, retention
from sidecar.aftermath import Aftermath
from sidecar.backups import Kind, Manifest
from sidecar.baseline import baseline
from sidecar.errors import LOST, DatabaseLost, RollbackFailed, RollbackPending
from sidecar.facts import Contents, Look
from sidecar.plan import Conclude, Report, RollBack, Run, fold, last_good, resume
from sidecar.policy import Policy
from sidecar.ports import World
from sidecar.retention import Generations


@dataclass(frozen=True)
class Opened:
    """The worlds, and the images that would be noted where no run knows better."""

    world: World
    images: Mapping[str, str]
    project: str = ""


class Scheduled:
    """Takes one backup because it is due."""

    def __init__(self, opened: Opened, policy: Policy, run: str) -> None:
        self.world = opened.world
        self.images = opened.images
        self.policy = policy
        self.run_id = run
        self.aftermath = Aftermath(self.world)

    def take(self, begin: Callable[[str], None]) -> Manifest:
        """
        Back the live database up, with the lock held.

        Args:
            begin: notes the name before anything is written under it.

        Raises:
            RollbackFailed: the last run needs an operator.
            RollbackPending: the last run is not at its end: it would be a copy of what is between.
            DatabaseLost: it is another server than the one of the backups.

        """
        runs = self._at_their_end()
        vault = self.world.vault
        look = manual.ready(self.world, vault)
        manifests = vault.manifests()
        _refuse_other(look, manifests)
        good = baseline(manifests, runs, self.aftermath.damaged(manifests), look.database)
        backup = vault.next_backup(Kind.SCHEDULED)
        begin(backup.name)

        def doubt(contents: Contents) -> tuple[str, ...]:
            return proof.doubts(good.contents, contents, self.policy.loss) if good else ()

        images = last_good(runs) or self.images
        return vault.take(backup, self.run_id, look, images, doubt=doubt)

    def prune(self, generations: Generations) -> str:
        """
        Delete what is old, with the lock held; return why nothing was, where that is so.

        Args:
            generations: how many stay.

        """
        runs = self._at_their_end()
        vault = self.world.vault
        manifests, found = vault.everywhere(), vault.inventory()
        held = self.aftermath.held(manifests, found)
        judged = self.aftermath.judged(
            manifests,
            self.policy.keep,
            self.aftermath.until(found),
            retention.needed(runs),
            generations,
            held,
        )
        return held or self.aftermath.prune(judged, found)

    def _at_their_end(self) -> tuple[Run, ...]:
        entries = self.world.journal.entries()
        match resume(entries):
            case Report(run):
                raise RollbackFailed(
                    f"run {run.id} needs an operator: {run.failure.reason}",
                    hint="`docker compose run --rm migsafe report` shows its card.",
                )
            case Conclude(run) if run.handed_over:
                pass  # it is told below who is at work
            case Conclude(run) | RollBack(run):
                raise RollbackPending(
                    f"run {run.id} was cut off: the database may be between before and after",
                    hint="Nothing was backed up. `docker compose up -d` brings it to its end.",
                )
        return fold(entries)


def _refuse_other(look: Look, manifests: Sequence[Manifest]) -> None:
    newest = next((m for m in manifests if m.database == look.database), None)
    here = look.server.system_identifier
    if newest is None or newest.is_of(look.database, look.born, here):
        return
    lost = DatabaseLost(
        f"database {look.database!r} is on another server than it was: {newest.backup.name} is of"
        f" server {newest.server.system_identifier}, this is {here}"
        f"{', and it is empty' if look.empty else ''}",
        hint=LOST,
    )
    lost.backup = newest.backup.name
    raise lost
