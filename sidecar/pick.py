"""Which backup is meant, and what a restore of it would do, in words. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sidecar.backups import Backup, Manifest, Proof
from sidecar.errors import BackupNotFound
from sidecar.facts import App, Contents
from sidecar.plan import Run
from sidecar.preflight import mega

LATEST = "latest"
NEAREST = 3
TABLES = 8
"""Tables whose rows are compared one by one."""


def pick(name: str, manifests: Sequence[Manifest]) -> Manifest:
    """
    Find the backup that a name means: whole, a part that only one has, or ``latest``.

    Args:
        name: as it was typed.
        manifests: every backup, the newest first.

    Raises:
        BackupNotFound: none, or several; names the nearest.

    """
    if not manifests:
        raise BackupNotFound("there is no backup", hint="Nothing was changed.")
    if name == LATEST:  # from which something had vanished nobody wants by chance
        return next((m for m in manifests if not m.doubts), manifests[0])
    exact = [m for m in manifests if m.backup.name == name]
    found = exact or [m for m in manifests if name and name in m.backup.name]
    if len(found) == 1:
        return found[0]
    if found:
        raise BackupNotFound(
            f"{name!r} means several backups: {_some(m.backup.name for m in found)}",
            hint="Nothing was changed. Write more of the name.",
        )
    from difflib import get_close_matches  # noqa: PLC0415 - only for a complaint

    names = [m.backup.name for m in manifests]
    nearest = get_close_matches(name, names, n=NEAREST, cutoff=0.5) or names
    raise BackupNotFound(
        f"there is no backup {name!r}; the nearest: {_some(nearest)}",
        hint="Nothing was changed. `list` shows all of them.",
    )


def _some(names: Iterator[str] | Sequence[str]) -> str:
    found = list(names)
    return ", ".join(found[:NEAREST]) + (" …" if len(found) > NEAREST else "")


def row(
    manifest: Manifest, proof: Proof | None, now: datetime, image: str = "", where: str = ""
) -> str:
    """
    Write a backup as a line of a list.

    Args:
        manifest: of the backup.
        proof: how the last attempt to prove it ended.
        now: the present.
        image: what last ran with its data.
        where: it is, where there is more than one place.

    """
    rows = manifest.contents.total
    words = [
        f"{manifest.backup.name:<38}",
        f"{age(now - manifest.backup.taken_at):>7} ago",
        f"{mega(manifest.size):>10}",
        f"{rows:>9} rows",
        f"{proven(proof, now):<20}",
        f"{image[-28:]:<28}",
        *([where] if where else []),
        "DOUBTFUL" if manifest.doubts else manifest.note[:24],
    ]
    return "  ".join(words).rstrip()


def image_names(runs: Sequence[Run], app: App) -> Mapping[str, str]:
    """Tell by what is pinned of an app's image how the compose file named it, where known."""
    # a restore notes the images of its backup beside the name of the image that is there
    guarded = (run for run in runs if not run.by_hand)
    pinned = (
        (run.detail.get("images", {}).get(app.service), run.named("image_name")) for run in guarded
    )
    present = (app.images.get(app.service), app.image_name)
    return {image: name for image, name in (*pinned, present) if image and name}


def proven(proof: Proof | None, now: datetime) -> str:
    """Tell in two words when a backup was proven, and how."""
    if proof is None:
        return "never verified"
    ago = age(now - proof.at)
    return f"{proof.how} {ago} ago" if proof.good else f"DAMAGED, {ago} ago"


def age(passed: timedelta) -> str:
    """Write a length of time in its largest unit."""
    seconds = int(passed.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@dataclass(frozen=True)
class Coming:
    """What is to take the live database's place."""

    name: str
    size: int
    contents: Contents
    server: str
    """The version that it was made on."""
    foreign: bool = False
    """Others have made it: what it lacks is told."""
    saved: bool = True
    """What is live now is backed up first: something is loaded, which takes room and time."""
    notes: tuple[tuple[str, str], ...] = ()
    """What else is to be known of it, each with its label."""

    @classmethod
    def of(cls, manifest: Manifest) -> "Coming":
        """Take it from a manifest."""
        return cls(manifest.backup.name, manifest.size, manifest.contents, manifest.server.short)


@dataclass(frozen=True)
class Present:
    """What is live now."""

    database: str
    rows: Mapping[str, int] | None
    """By table; None where it can't be read, because it is closed or gone."""
    stops: tuple[str, ...] = ()
    """Services that use it."""
    strangers: tuple[str, ...] = ()
    """Sessions of nobody in the project."""
    extensions: tuple[str, ...] = ()


def plan(coming: Coming, present: Present, kept: str, migrate: str | None) -> list[str]:
    """
    Say what a restore does before it does it.

    Args:
        coming: what is restored.
        present: what is live now.
        kept: the name that the live database gets.
        migrate: the image that migrates afterwards; None where none does.

    """
    rows = coming.contents.rows
    made_on = f", PostgreSQL {coming.server}" if coming.server else ""
    lines = [
        f"restore    {coming.name}: {mega(coming.size)}, {sum(rows.values())} rows in"
        f" {len(rows)} tables{made_on}",
        *(f"{label:<10} {note}" for label, note in coming.notes),
        f"stops      {', '.join(present.stops) or 'nothing: no service uses the database'}",
    ]
    if present.strangers:
        lines.append(f"ends       the sessions of others: {'; '.join(present.strangers)}")
    if present.rows is None:
        lines.append(f"replaces   {present.database!r}, which can't be read now")
    else:
        lines.append(
            f"replaces   {present.database!r}, {sum(present.rows.values())} rows in"
            f" {len(present.rows)} tables{'; it is backed up first' if coming.saved else ''}"
        )
        lines += [f"           {line}" for line in since(rows, present.rows)]
    if coming.foreign:
        lines += [f"lacks      {line}" for line in lacking(coming.contents, present)]
    lines.append(f"keeps      what is there now, closed, as {kept!r}")
    lines.append(f"migrates   {f'with {migrate}' if migrate else 'not'}")
    return lines


def lacking(contents: Contents, present: Present) -> Iterator[str]:
    """Name what is live now and does not come: tables, and extensions."""
    missing = [name for name in present.rows or () if name not in contents.rows]
    if missing:
        shown = ", ".join(missing[:TABLES]) + (" …" if len(missing) > TABLES else "")
        yield f"{len(missing)} tables that are live now: {shown}"
    found = {name for name, _ in contents.extensions}
    yield from (f"the extension {name}" for name in present.extensions if name not in found)


def since(then: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """Name the tables whose rows became more or fewer since a backup, the largest change first."""
    changes = {
        name: now.get(name, 0) - then.get(name, 0)
        for name in sorted({*then, *now})
        if now.get(name, 0) != then.get(name, 0)
    }
    largest = sorted(changes, key=lambda name: -abs(changes[name]))
    lines = [
        f"{name}: {then.get(name, 0)} rows then, {now.get(name, 0)} now ({changes[name]:+})"
        for name in largest[:TABLES]
    ]
    if len(largest) > TABLES:
        lines.append(f"and {len(largest) - TABLES} tables more")
    return lines


def describe(manifest: Manifest, proof: Proof | None, now: datetime) -> list[str]:
    """Put a manifest in words."""
    m = manifest
    ledger = f"{m.ledger.schema}.{m.ledger.table}" if m.ledger.table else "none recognised"
    newest = f", newest {m.ledger.versions[-1]}" if m.ledger.versions else ""
    largest = sorted(m.contents.tables, key=lambda table: -table.rows)[:TABLES]
    return [
        f"backup      {m.backup.name}",
        f"kind        {m.backup.kind}, taken {m.backup.taken_at:%Y-%m-%d %H:%M:%S} UTC"
        f" ({age(now - m.backup.taken_at)} ago)",
        *([f"note        {m.note}"] if m.note else []),
        *(f"doubtful    {doubt}" for doubt in m.doubts),
        f"database    {m.database!r} of {m.properties.owner!r}, {m.properties.encoding},"
        f" {mega(m.database_size)} on the server",
        f"server      PostgreSQL {m.server.short}, system {m.server.system_identifier}",
        f"file        {mega(m.size)}, sha256 {m.sha256}",
        *(f"encrypted   to {key}" for key in (m.encryption.recipients if m.encryption else ())),
        f"ledger      {m.ledger.preset}: {ledger}, {len(m.ledger.versions)} applied{newest}",
        f"rows        {m.contents.total} in {len(m.contents.tables)} tables,"
        f" {m.contents.large_objects} large objects",
        *(f"            {table.title}: {table.rows}" for table in largest),
        f"extensions  {', '.join(f'{n} {v}' for n, v in m.contents.extensions) or 'none'}",
        *(f"image       {service}: {image}" for service, image in sorted(m.images.items())),
        f"verified    {proven(proof, now)}",
        *(f"            {complaint}" for complaint in (proof.complaints if proof else ())),
        f"taken by    migsafe {m.migsafe}, run {m.run}",
    ]


def exported(backup: Backup, target: str) -> str:
    """Say how an exported backup is loaded without migsafe."""
    load = f"psql -v ON_ERROR_STOP=1 -d NAME -f {target}"
    if not target.endswith(".sql"):
        load = f"pg_restore -e -d NAME {target}"
    return f"exported {backup.name}; it loads into an empty database: {load}"
