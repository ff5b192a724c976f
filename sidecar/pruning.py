"""The command `prune`: what MIGSAFE_KEEP and MIGSAFE_RETENTION delete, deleted by hand."""

import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sidecar import answers, asking, retention
from sidecar.aftermath import Aftermath
from sidecar.errors import Interrupted, Refused, StoreFailed
from sidecar.inventory import GAP, Inventory
from sidecar.pick import age
from sidecar.plan import Run, StartOver, fold, resume
from sidecar.preflight import mega
from sidecar.settings import Settings
from sidecar.wiring import NewRun, Stack, Ways, open_stack


@dataclass(frozen=True)
class Plan:
    """What would go, what stays and why, and what is not for `prune` to decide."""

    judged: tuple[retention.Judged, ...]
    held: str
    """Why nothing is deleted now, whatever its age."""
    torn_here: tuple[str, ...]
    """Files whose deletion was cut off."""
    torn_afar: tuple[str, ...]
    """Backups whose deletion in a store was cut off."""
    databases: tuple[tuple[str, str], ...]
    """Kept and left databases, each with what becomes of it."""
    found: Inventory
    """What is where now."""

    @property
    def count(self) -> int:
        """How much there is to delete."""
        return len(self.going) + len(self.torn_here) + len(self.torn_afar)

    @property
    def gap(self) -> timedelta:
        """By how much the clock has gone on since backups were looked at last, if by much."""
        looks = self.found.looks
        past = looks.last - looks.until if looks.last and looks.until else timedelta(0)
        return past if past > GAP else timedelta(0)

    @property
    def going(self) -> tuple[retention.Judged, ...]:
        """The backups that go."""
        return tuple(each for each in self.judged if each.goes)


def prune(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Delete the backups that are older than they are to be kept, after saying which."""
    with open_stack(settings, ways) as stack, stack.control.hold(new_run(), 0):
        plan = _plan(stack, settings, accept=arguments.accept_missing)
        if not arguments.json:
            print("\n".join(lines(plan)))
        why, code = plan.held, Refused.exit_code
        if not arguments.dry_run and not why:
            if plan.count:
                _may_begin(stack, ways, yes=arguments.yes)
            why, code = _deleted(stack, plan), StoreFailed.exit_code
            if why:
                stack.world.tell.warn(f"no backup is deleted: {why}")
    if arguments.json:
        done = not arguments.dry_run and not why
        print(json.dumps(record(plan, why, done=done), indent=2, ensure_ascii=False))
    return code if why and not arguments.dry_run else 0


def _plan(stack: Stack, settings: Settings, *, accept: bool) -> Plan:
    world, keep = stack.world, settings.policy().keep
    runs, now = fold(stack.control.entries()), world.clock.now()
    pinned = retention.needed(runs)
    aftermath = Aftermath(world)
    manifests, found = world.vault.everywhere(), world.vault.inventory()
    held = aftermath.held(manifests, found, accept_missing=accept)
    judged = aftermath.judged(manifests, keep, now, pinned, settings.retention, held)
    return Plan(
        judged,
        held,
        retention.half_deleted(runs, manifests, keep, now, pinned) if not held else (),
        world.copies.torn() if not held else (),
        tuple(_databases(stack, runs, settings)),
        found,
    )


def _may_begin(stack: Stack, ways: Ways, *, yes: bool) -> None:
    """Raise where something may not be deleted, or the operator says no."""
    found = resume(stack.control.entries())
    if not isinstance(found, StartOver):
        raise Refused(
            f"run {found.run.id} is not at its end: nothing is deleted before it is",
            hint="Nothing was changed. `docker compose up` brings it to its end; then prune.",
        )
    stack.world.lease.check()  # what another instance needs is its own to delete
    if not yes:
        asking.confirm(ways.stop, stack.world.database.name)


def _deleted(stack: Stack, plan: Plan) -> str:
    """Delete; return why no whole backup was, where that is so."""
    try:
        why = Aftermath(stack.world).prune(plan.judged, plan.found)
        for name in plan.torn_here:
            stack.world.vault.discard(name)
    except (StoreFailed, Interrupted) as error:
        error.hint = "What came before it is deleted: `list` shows what there is."
        raise
    return why


def _databases(stack: Stack, runs: Sequence[Run], settings: Settings) -> Iterator[tuple[str, str]]:
    keep, now = settings.policy().keep, stack.world.clock.now()
    old = {run.named("kept") for run in retention.old_kept(runs, keep, now)}
    by_name = {run.named("kept"): run for run in runs}
    database = stack.world.database
    for name in answers.kept(database.look()):
        run = by_name.get(name)
        if run is None:
            yield name, "kept, and no run of ours knows it: `migsafe forget` does not drop it"
            continue
        since = age(now - run.ended_at)
        when = "after the next migration" if name in old else f"when it is older than {age(keep)}"
        yield name, f"kept for {since}; goes {when}, or now: `migsafe forget {name}`"
    for run in runs:
        for made in filter(None, (run.named("restore_point"), run.named("scratch"))):
            if made == run.kept_point and database.exists(made):
                yield made, f"from before run {run.id}, for `rollback`; the next migration drops it"
            elif database.exists(made):
                yield made, f"left by run {run.id}: the next `docker compose up` clears it"


# --- how it is written


def lines(plan: Plan) -> list[str]:
    """Write a plan for people."""
    found = [
        f"{'deletes' if each.goes else 'keeps':<8} {each.manifest.backup.name:<38}"
        f" {mega(each.manifest.size):>10}  {each.reason}"
        for each in plan.judged
    ]
    found += [f"deletes  {name:<38} {'':>10}  what a deletion has left" for name in plan.torn_here]
    found += [
        f"deletes  {name:<38} {'':>10}  what a deletion has left in a store"
        for name in plan.torn_afar
    ]
    found += [f"leaves   {name}: {what}" for name, what in plan.databases]
    size = sum(each.manifest.size for each in plan.going)
    if plan.gap and plan.found.looks.last:
        found.append(
            f"the clock has gone on by {age(plan.gap)} since backups were looked at last: it says"
            f" {plan.found.looks.last:%Y-%m-%d %H:%M} UTC. Is it right?"
        )
    if plan.held:
        found.append(f"nothing is deleted: {plan.held}")
    else:
        found.append(f"{plan.count} to delete, {mega(size)}" if plan.count else "nothing to delete")
    return found


def record(plan: Plan, held: str, *, done: bool) -> dict[str, Any]:
    """Write a plan for scripts, with why nothing was deleted, where that is so."""
    backups = [
        {
            "name": each.manifest.backup.name,
            "kind": str(each.manifest.backup.kind),
            "bytes": each.manifest.size,
            "deletes": each.goes,
            "reason": each.reason,
        }
        for each in plan.judged
    ]
    return {
        "schema": 1,
        "done": done,
        "clock_gap_seconds": round(plan.gap.total_seconds()) or None,
        "held": held or None,
        "backups": backups,
        "torn": [*plan.torn_here, *plan.torn_afar],
        "databases": [{"name": name, "what": what} for name, what in plan.databases],
    }
