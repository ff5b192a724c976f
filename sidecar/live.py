"""The commands that change the live database by hand: restore, rollback, forget, unfence."""

from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from shutil import get_terminal_size

from sidecar import advice, answers, asking, ending, pick
from sidecar.backups import Manifest
from sidecar.errors import (
    BackupNotFound,
    DatabaseUnavailable,
    Refused,
    SettingsError,
    StoreFailed,
)
from sidecar.facts import kept_name
from sidecar.guard import Done
from sidecar.lineage import lineage
from sidecar.plan import FINAL, Phase, Run, fold
from sidecar.restore import Restore, Wanted
from sidecar.restore_file import FileRestore, Loaded
from sidecar.settings import Settings
from sidecar.shell import PIN_FILE, Shell
from sidecar.stores.local import LocalStore
from sidecar.wiring import NewRun, Stack, Ways, keys_of, open_stack

MARGIN = 4
"""What the list puts before a line, and the end of it."""


def restore(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Put a backup in the place of the live database, after showing what that does."""
    if arguments.file and (arguments.backup or arguments.from_elsewhere):
        raise SettingsError(
            "either a backup is restored, or a file", hint="`migsafe restore --help` shows how."
        )
    with open_stack(settings, ways) as stack:
        if ways.outside and not arguments.no_migrate:
            raise SettingsError(
                "without Docker's socket what is restored can't be migrated afterwards",
                hint="Nothing was changed. Say `--no-migrate`: the next `migsafe begin` or `wrap`"
                " migrates.",
            )
        if arguments.file:
            return _restore_file(stack, settings, arguments, new_run)
        manifests = stack.world.vault.everywhere()
        name = arguments.backup or _choose(stack, manifests)
        wanted = Wanted(
            pick.pick(name, manifests), not arguments.no_migrate, arguments.from_elsewhere
        )
        typed = f"restore {wanted.manifest.backup.name}{_flags(arguments)}"
        return _restore(stack, settings, wanted, new_run, typed, yes=arguments.yes)


def rollback(settings: Settings, ways: Ways, arguments: Namespace, new_run: NewRun) -> int:
    """Go back to before a migration that succeeded, and to the images that belong to that data."""
    with open_stack(settings, ways) as stack:
        run = _migrated(fold(stack.control.entries()), arguments.to)
        manifest = pick.pick(str(run.named("backup")), stack.world.vault.everywhere())
        wanted = Wanted(manifest, migrate=False, point=_with_point(stack, run))
        typed = f"rollback --to {arguments.to}" if arguments.to else "rollback"
        code = _restore(
            stack, settings, wanted, new_run, typed, _taken_back(run), yes=arguments.yes
        )
        if manifest.images:
            _pin(stack, LocalStore(settings.backups), manifest)
            shell = Shell(ways.place())
            ways.tell.say("the images that belong to this data are pinned; start them with:")
            for line in filter(None, (shell.alias, shell.go_back())):
                ways.tell.say(f"  {line}")
        return code


def _pin(stack: Stack, store: LocalStore, manifest: Manifest) -> None:
    """Write the images that belong to this data down; the data is back, whatever becomes of it."""
    pin = advice.pin(manifest.images)
    try:
        store.put(PIN_FILE, pin)
    except StoreFailed as error:
        stack.ways.tell.warn(f"{PIN_FILE} can't be written ({error.message}); it is to say:")
        for line in pin.splitlines():
            stack.ways.tell.say(f"  {line}")


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
    found = next((run for run in done if run.id == wanted), None) if wanted else lineage(runs).last
    if found is not None:
        return found
    known = ", ".join(run.id for run in done[-3:]) or "none"
    what = f"no migration {wanted} has succeeded here" if wanted else "no migration is in this data"
    raise BackupNotFound(
        f"{what} that could be taken back; there are: {known}",
        hint="Nothing was changed. `migsafe status` shows the runs, `rollback --to RUN` goes back"
        " before one of them.",
    )


def _with_point(stack: Stack, run: Run) -> Run | None:
    """Tell whether a run's restore point is there still, and as it was made."""
    oid = run.detail.get("restore_point_oid")
    if run.kept_point is None or oid is None:
        return None
    reason = stack.world.database.untouched(run.kept_point, oid)
    if reason is not None:
        stack.ways.tell.warn(f"the backup is loaded instead: {reason}")
    return run if reason is None else None


def _taken_back(run: Run) -> tuple[str, str]:
    """Say which migration is taken back."""
    image = run.named("image_name") or "an image without a name"
    return "takes back", f"{image}, migrated {run.ended_at:%Y-%m-%d %H:%M} UTC, run {run.id}"


def _restore(
    stack: Stack,
    settings: Settings,
    wanted: Wanted,
    new_run: NewRun,
    typed: str,
    *notes: tuple[str, str],
    yes: bool,
) -> int:
    run, after = new_run(), new_run()
    coming = pick.Coming.of(wanted.manifest)
    if wanted.point is None:
        stack.world.vault.require_key(wanted.manifest.backup.name)
    else:
        note = ("from", "the copy that was kept on the server: it is swapped in, nothing is loaded")
        coming, notes = replace(coming, saved=False), (*notes, note)
    coming = replace(coming, notes=notes)
    _agree(stack, coming, run, migrate=wanted.migrate, yes=yes)
    act = Restore(stack.world, settings.policy(), run, after)
    return _told(stack, settings, after, lambda: act.run(wanted), (typed, run))


def _restore_file(stack: Stack, settings: Settings, arguments: Namespace, new_run: NewRun) -> int:
    from sidecar.dumpfile import DumpFile  # noqa: PLC0415 - the other restores need no such things

    run, after, migrate = new_run(), new_run(), not arguments.no_migrate
    dump = DumpFile.find(arguments.file, settings.backups, stack.ways.stop, keys_of(settings))
    act = FileRestore(stack.world, settings.policy(), run, after)

    def confirm(loaded: Loaded) -> None:
        _agree(stack, _coming(stack, loaded), run, migrate=migrate, yes=arguments.yes)

    def made() -> Done | None:
        return act.run_file(dump, confirm, migrate=migrate)

    # where the file is mounted from, nobody here knows
    return _told(stack, settings, after, made, ("", run))


def _agree(stack: Stack, coming: pick.Coming, run: str, *, migrate: bool, yes: bool) -> None:
    """Show what would be done, and have it confirmed."""
    present = _present(stack)
    kept = kept_name(present.database, run)
    image = stack.app.image_name if migrate else None
    print("\n".join(pick.plan(coming, present, kept, image)), flush=True)
    if not yes:
        asking.confirm(stack.ways.stop, present.database)


def _flags(arguments: Namespace) -> str:
    """Repeat what was said of a restore, but for the consent."""
    said = {
        "--no-migrate": arguments.no_migrate,
        "--from-elsewhere": arguments.from_elsewhere,
    }
    return "".join(f" {flag}" for flag, is_said in said.items() if is_said)


def _told(
    stack: Stack,
    settings: Settings,
    run: str,
    act: Callable[[], Done | None],
    restoring: tuple[str, str],
) -> int:
    """Restore, and tell how it ended, with the migration afterwards."""

    def migrated() -> Run | None:
        done = act()
        return done.run if done else None

    ending.told(stack, settings, run, migrated, restoring)
    return 0


def _coming(stack: Stack, loaded: Loaded) -> pick.Coming:
    """Put in words what a dump of others is, and what of it is left out."""
    found, left, server = loaded.examined, loaded.left_out, stack.world.database.server()
    notes = [
        ("file", f"{found.kind}, written by pg_dump {found.program or 'of an unknown version'}")
    ]
    if found.major > server.major:
        notes.append(
            ("", f"of a newer server than this one, {server.short}: it loaded all the same")
        )
    notes.append(("proven", "loaded whole beside the live database, without an error"))
    if left.roles:
        notes.append(("leaves out", f"grants to roles that are not here: {', '.join(left.roles)}"))
    notes += [("leaves out", what) for what in left.others]
    return pick.Coming(
        loaded.name, found.size, loaded.contents, found.server, foreign=True, notes=tuple(notes)
    )


def _present(stack: Stack) -> pick.Present:
    database = stack.world.database
    try:
        contents = database.contents()
        sessions = database.sessions()
    except DatabaseUnavailable:
        return pick.Present(database.name, None)
    users = stack.engine.users(s.address for s in sessions if s.address)
    theirs = {address for addresses in users.values() for address in addresses}
    strangers = tuple(s.title for s in sessions if s.address not in theirs)
    extensions = tuple(name for name, _ in contents.extensions)
    return pick.Present(database.name, contents.rows, tuple(users), strangers, extensions)


def _rows(stack: Stack, manifests: Sequence[Manifest]) -> Iterator[str]:
    """Write a line for each backup, not longer than the terminal is wide."""
    now, vault, app = stack.ways.clock.now(), stack.world.vault, stack.app
    there, _ = stack.copies.where()  # they have answered: every backup is known
    # without a store there is but one place
    places = answers.places_of((m.backup.name for m in vault.manifests()), there) if there else {}
    images = pick.image_names(fold(stack.control.entries()), app)
    width = get_terminal_size().columns - MARGIN
    for manifest in manifests:
        name, image = manifest.backup.name, manifest.images.get(app.service, "")
        where = answers.where(places.get(name, (answers.LOCAL,)))
        proof = vault.proof(manifest.backup)
        yield pick.row(manifest, proof, now, images.get(image, image[-12:]), where)[:width]


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

    choices = [
        questionary.Choice(line, value=m.backup.name)
        for m, line in zip(manifests, _rows(stack, manifests), strict=True)
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
