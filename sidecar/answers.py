"""What ``status`` and ``list`` answer: records for scripts, and the same in lines for people."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sidecar.backups import Manifest
from sidecar.errors import SettingsError
from sidecar.facts import Look
from sidecar.migration import CHECK_SECONDS
from sidecar.pick import age
from sidecar.plan import Phase, Run, fold
from sidecar.preflight import mega
from sidecar.presets import Pending
from sidecar.recipe import Recipe, choose
from sidecar.settings import Settings
from sidecar.wiring import Stack

RUNS = 5

LOCAL = "local"
"""What the folder of backups is called beside stores."""


def status(stack: Stack, settings: Settings, run_id: str) -> dict[str, Any]:
    """Gather what is running or happened last; asks the framework what is pending."""
    look = stack.world.database.look()
    runs = [run for run in fold(stack.control.entries()) if "verifying" not in run.detail]
    try:
        recipe = choose(settings.policy().wishes, look, stack.app, stack.engine.has_file)
    except SettingsError as error:
        recipe, why = None, error.message
    else:
        why = ""
    return {
        "schema": 1,
        "project": stack.app.project,
        "app": {
            "service": stack.app.service,
            "image": stack.app.image_name,
            "id": stack.app.image,
            "running": stack.app.running,
        },
        "database": {
            "name": look.database,
            "server": look.server.short,
            "bytes": look.size,
            "open": look.properties.allow_connections,
        },
        "ledger": {
            "preset": recipe.preset.name if recipe else look.ledger.preset,
            "table": f"{look.ledger.schema}.{look.ledger.table}" if look.ledger.table else None,
            "applied": len(look.ledger.versions),
            "newest": look.ledger.versions[-1] if look.ledger.versions else None,
            "failed": list(look.ledger.bad),
            "pending": _pending(stack, recipe, run_id),
            "migrate": list(recipe.shown) if recipe else None,
            "complaint": why or None,
        },
        "runs": [_run(run) for run in runs[-RUNS:]],
        "lock": stack.control.holder(),
        "backups": backups(stack.world.vault.manifests())["backups"],
        "kept": list(kept(look)),
    }


def backups(
    manifests: Sequence[Manifest], places: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Any]:
    """List backups, the newest first, and by name where each is."""
    places = places or {}
    return {
        "schema": 1,
        "backups": [
            {
                "name": m.backup.name,
                "kind": str(m.backup.kind),
                "taken_at": m.backup.taken_at.isoformat(),
                "database": m.database,
                "bytes": m.size,
                "sha256": m.sha256,
                "encrypted_to": list(m.encryption.recipients) if m.encryption else [],
                "rows": m.contents.total,
                "tables": len(m.contents.tables),
                "server": m.server.version,
                "images": dict(m.images),
                "where": list(places.get(m.backup.name, (LOCAL,))),
                "doubts": list(m.doubts),
            }
            for m in manifests
        ],
    }


def kept(look: Look) -> Iterator[str]:
    """Name the databases that were set aside."""
    yield from (name for name in look.databases if "__kept_" in name)


def backup_lines(answer: Mapping[str, Any], now: datetime) -> list[str]:
    """Write the backups as a table."""
    lines, width = [], max((len(found["name"]) for found in answer["backups"]), default=0)
    for found in answer["backups"]:
        ago = age(now - datetime.fromisoformat(found["taken_at"]))
        lines.append(
            f"{found['name']:<{width}}  {mega(found['bytes']):>12}  {ago:>8} ago"
            f"  {found['rows']:>9} rows  {found['database']}"
            f"{'  DOUBTFUL' if found['doubts'] else ''}"
            f"{'  encrypted' if found['encrypted_to'] else ''}  {where(found['where'])}".rstrip()
        )
    return lines


def places_of(
    here: Iterable[str], there: Mapping[str, Sequence[str]]
) -> Mapping[str, tuple[str, ...]]:
    """Tell by backup where it is: in the folder of backups, and in which stores."""
    local = frozenset(here)
    return {
        name: (*((LOCAL,) if name in local else ()), *there.get(name, ()))
        for name in {*local, *there}
    }


def where(places: Sequence[str]) -> str:
    """Name the places, where there is another than here."""
    words = [place.split("://")[0] for place in places]
    return "" if words == [LOCAL] else " ".join(words)


def status_lines(answer: Mapping[str, Any]) -> list[str]:
    """Write the status for people."""
    app, database, ledger = answer["app"], answer["database"], answer["ledger"]
    state = "running" if app["running"] else "not running"
    closed = "" if database["open"] else ", CLOSED to connections"
    newest = answer["backups"][0]["name"] if answer["backups"] else "none"
    seen = f"{app['service']} of {answer['project']}, {app['image']}, {state}"
    return [
        f"app       {seen if app['id'] else 'not to be seen without Docker'}",
        f"database  {database['name']}, {mega(database['bytes'])},"
        f" PostgreSQL {database['server']}{closed}",
        f"ledger    {_ledger_line(ledger)}",
        f"backups   {len(answer['backups'])}, newest {newest}",
        *(f"kept      {name}" for name in answer["kept"]),
        *([f"running   {answer['lock']}"] if answer["lock"] else []),
        *(f"run       {_run_line(run)}" for run in answer["runs"]),
        *([] if answer["runs"] else ["run       none yet"]),
    ]


def _ledger_line(ledger: Mapping[str, Any]) -> str:
    if ledger["complaint"]:
        return str(ledger["complaint"])
    pending = {
        "none": "nothing pending",
        "some": "migrations are pending",
        "unknown": "pending migrations can't be told",
    }[ledger["pending"]]
    newest = f", newest {ledger['newest']}" if ledger["newest"] else ""
    return f"{ledger['preset']}, {ledger['applied']} applied{newest}; {pending}"


def _pending(stack: Stack, recipe: Recipe | None, run_id: str) -> str:
    check = recipe.check if recipe else None
    if check is None:
        return str(Pending.UNKNOWN)
    ended = stack.engine.run_check(run_id, check.argv, CHECK_SECONDS, read_only=True)
    if ended.error:
        return str(Pending.UNKNOWN)
    return str(check.verdict(ended.code, "\n".join(ended.tail)))


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "phase": str(run.phase),
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.finished else None,
        "image": run.named("image_name"),
        "backup": run.named("backup"),
        "restoring": run.named("restoring"),
        "kept": run.named("kept") if run.phase in {Phase.ROLLED_BACK, Phase.RESTORED} else None,
        "reason": run.named("reason"),
        "code": run.detail.get("code"),
    }


def _run_line(run: Mapping[str, Any]) -> str:
    reason = f": {run['reason']}" if run["reason"] else ""
    return f"{run['id']}  {run['phase']}  {run['restoring'] or run['image']}{reason}"
