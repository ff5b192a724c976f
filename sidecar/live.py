"""The commands that change the live database by hand: restore, rollback, forget, unfence."""

from argparse import Namespace
from collections.abc import Callable, Sequence

from sidecar import advice, asking, ending, pick
from sidecar.backups import Manifest
from sidecar.errors import (
    BackupNotFound,
    DatabaseUnavailable,
    MigsafeError,
    Refused,
    SettingsError,
)
from sidecar.facts import kept_name
from sidecar.plan import FINAL, Phase, Run, fold
from sidecar.restore import Restore, Wanted
from sidecar.settings import Settings
from sidecar.shell import PIN_FILE, Shell
from sidecar.stores.local import LocalStore
from sidecar.wiring import Stack, Ways, open_stack

NewRun = Callable[[], str]


def restore(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Put a backup in the place of the live database, after showing what that does."""
    with open_stack(settings, ways) as stack:
        manifests = stack.world.vault.manifests()
        name = arguments.backup or _choose(stack, manifests)
        wanted = Wanted(
            pick.pick(name, manifests), not arguments.no_migrate, arguments.from_elsewhere
        )
        return _restore(stack, settings, wanted, new_run, yes=arguments.yes)


def rollback(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Go back to before a migration that succeeded, and to the images that belong to that data."""
    with open_stack(settings, ways) as stack:
        run = _migrated(fold(stack.control.entries()), arguments.to)
        manifest = pick.pick(str(run.named("backup")), stack.world.vault.manifests())
        code = _restore(
            stack, settings, Wanted(manifest, migrate=False), new_run, yes=arguments.yes
        )
        if manifest.images:
            LocalStore(settings.backups).put(PIN_FILE, advice.pin(manifest.images))
            shell = Shell(ways.place())
            ways.tell.say("the images that belong to this data are pinned; start them with:")
            for line in filter(None, (shell.alias, shell.go_back())):
                ways.tell.say(f"  {line}")
        return code


def forget(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Drop a database that was set aside."""
    with open_stack(settings, ways) as stack, stack.control.hold(new_run(), 0):
        runs = fold(stack.control.entries())
        run = next((run for run in runs if run.named("kept") == arguments.kept), None)
        database = stack.world.database
        if run is None or not database.exists(arguments.kept):
            known = [str(r.named("kept")) for r in runs if r.named("kept") and not r.forgotten]
            raise BackupNotFound(
                f"there is no kept database {arguments.kept!r}; there are:"
                f" {', '.join(filter(database.exists, known)) or 'none'}",
                hint="Nothing was changed.",
            )
        if not arguments.yes:
            asking.confirm(ways.stop, arguments.kept)
        database.forget(arguments.kept)
        stack.control.append(run.id, Phase.FORGOTTEN)
    print(f"dropped {arguments.kept}")
    return 0


def unfence(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Open a live database that is closed, unless a run that needs its operator has closed it."""
    with open_stack(settings, ways) as stack, stack.control.hold(new_run(), 0):
        runs = [run for run in fold(stack.control.entries()) if not run.came_to_nothing]
        last = runs[-1] if runs else None
        safe = last is None or last.phase in FINAL - {Phase.STRANDED}
        if last is not None and not safe and not arguments.force:
            raise Refused(
                f"run {last.id} is not at its end ({last.phase}): the database may be neither"
                " before nor after its migration",
                hint="Nothing was changed. `docker compose up` finishes it, or restore a backup;"
                " `unfence --force` opens it as it is.",
            )
        database = stack.world.database
        database.open(database.name)
    print(f"{database.name} lets everybody in")
    return 0


def _migrated(runs: Sequence[Run], wanted: str | None) -> Run:
    """Find the run to go back before."""
    done = [run for run in runs if run.phase is Phase.COMMITTED and run.named("backup")]
    found = [run for run in done if wanted in {None, run.id}]
    if found:
        return found[-1]
    known = ", ".join(run.id for run in done[-3:]) or "none"
    raise BackupNotFound(
        f"no migration {wanted or ''} has succeeded here that could be taken back; there are:"
        f" {known}",
        hint="Nothing was changed. `migsafe status` shows the runs.",
    )


def _restore(
    stack: Stack, settings: Settings, wanted: Wanted, new_run: NewRun, *, yes: bool
) -> int:
    run = new_run()
    present = _present(stack)
    kept = kept_name(present.database, run)
    image = stack.app.image_name if wanted.migrate else None
    print("\n".join(pick.plan(wanted.manifest, present, kept, image)))
    if not yes:
        asking.confirm(stack.ways.stop, present.database)
    after = new_run()
    try:
        done = Restore(stack.world, settings.policy(), run, after).run(wanted)
    except MigsafeError as error:
        store = LocalStore(settings.backups)
        ending.tell(store, stack.ways, stack, after, error)
        error.told = True
        raise
    if done is not None and done.run is not None:
        ending.tell(LocalStore(settings.backups), stack.ways, stack, after, None)
    return 0


def _present(stack: Stack) -> pick.Present:
    database = stack.world.database
    try:
        rows = database.contents().rows
        sessions = database.sessions()
    except DatabaseUnavailable:
        return pick.Present(database.name, None)
    users = stack.engine.users(s.address for s in sessions if s.address)
    theirs = {address for addresses in users.values() for address in addresses}
    strangers = tuple(s.title for s in sessions if s.address not in theirs)
    return pick.Present(database.name, rows, tuple(users), strangers)


def _choose(stack: Stack, manifests: Sequence[Manifest]) -> str:
    """Let the operator choose on a terminal."""
    if not asking.on_terminal():
        raise SettingsError(
            "no backup is named, and this is no terminal to choose one on",
            hint="Nothing was changed. `migsafe list` shows them; then `restore BACKUP --yes`, or"
            " `restore latest --yes`.",
        )
    if not manifests:
        raise BackupNotFound("there is no backup", hint="Nothing was changed.")
    import questionary  # noqa: PLC0415 - only for people, and large

    now, vault = stack.ways.clock.now(), stack.world.vault
    choices = [
        questionary.Choice(pick.row(m, vault.proof(m.backup), now), value=m.backup.name)
        for m in manifests
    ]
    question = questionary.select(
        "restore which backup? (arrows, or type to filter)",
        choices=choices,
        use_search_filter=True,
        use_jk_keys=False,
    )
    return str(_answered(question.ask()))


def _answered(answer: object) -> object:
    if answer is None:
        raise Refused("nothing was chosen", hint="Nothing was changed.")
    return answer
