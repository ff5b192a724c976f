"""
Whether a backup that restores is fresh enough: told from the state that `schedule` leaves.

Compose asks every few seconds, so this loads next to nothing: not even the command line.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

NO_STATE, STALE, UNPROVEN = 15, 13, 14
"""
As the errors that a command ends with: not found, backup failed, backup damaged.

Docker takes everything but 0 for unhealthy; the code tells scripts, and `docker inspect`, which it
is: 1x and what is meant by it, or 3x where the database needs an operator.
"""
PROBLEMS = ("guard", "doubt", "backup", "verify", "stores", "held")


class Finding(NamedTuple):
    """One thing that is not well."""

    code: int
    message: str
    hint: str = ""


def judge(state: Mapping[str, Any] | None, now: Any) -> list[Finding]:
    """
    Find everything that is not well.

    Args:
        state: as the file has it; None where there is none.
        now: a datetime.

    """
    if state is None:
        return [
            Finding(
                NO_STATE,
                "there is no state of a schedule in the folder of backups",
                "Is the service that runs `migsafe schedule` up, with the same folder?",
            )
        ]
    found = [Finding(**state[name]) for name in PROBLEMS if state.get(name)]
    if not state.get("newest"):
        found.append(Finding(STALE, "there is no whole backup yet", _LOGS))
    elif _past(now, state["stale_at"]):
        found.append(
            Finding(
                STALE,
                f"the newest backup is too old: {state['newest']}; {state['schedule']} was wanted",
                _LOGS,
            )
        )
    if _past(now, state.get("verify_stale_at")):
        last = state.get("verified") or "none"
        found.append(
            Finding(UNPROVEN, f"no backup was proven to restore for too long (last: {last})", _LOGS)
        )
    return found


_LOGS = "`docker compose logs migsafe-backups` says why."


def _past(now: Any, moment: str | None) -> bool:
    return moment is not None and now >= type(now).fromisoformat(moment)


def code(found: Sequence[Finding]) -> int:
    """Tell the exit code: the worst of those of the table."""
    return max((each.code for each in found), default=0)


def lines(state: Mapping[str, Any] | None, found: Sequence[Finding], *, explain: bool) -> list[str]:
    """Say it in a line, or in words."""
    if not explain:
        return [f"unhealthy: {'; '.join(f.message for f in found)}" if found else "healthy"]
    said = state or {}
    told = [
        f"newest     {said.get('newest') or 'none'}, too old from {_time(said, 'stale_at')} on",
        f"proven     {said.get('verified') or 'none'}, too long ago from"
        f" {_time(said, 'verify_stale_at')} on",
        f"schedule   {said.get('schedule') or 'unknown'}, next at {_time(said, 'due_at')}",
    ]
    if said.get("unprovable"):
        told.insert(2, f"           {said['unprovable']}: whether one restores is not seen here")
    for each in found:
        told += [f"✗ {each.message}", *([f"    {each.hint}"] if each.hint else [])]
    return [*told, "unhealthy" if found else "healthy"]


def _time(state: Mapping[str, Any], name: str) -> str:
    return f"{state[name][:19].replace('T', ' ')} UTC" if state.get(name) else "never"


def answer(
    state: Mapping[str, Any] | None, found: Sequence[Finding], *, explain: bool, as_json: bool
) -> str:
    """Write the whole answer."""
    if as_json:
        told = [each._asdict() for each in found]
        record = {"schema": 1, "healthy": not found, "problems": told, "state": state}
        return json.dumps(record, indent=2, ensure_ascii=False)
    return "\n".join(lines(state, found, explain=explain))
