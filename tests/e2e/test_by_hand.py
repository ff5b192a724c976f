"""
What an operator types: backups, their proof, a restore, a rollback; calmly, and clumsily.

The tests are one story: each goes on where the one before it has ended.
"""

import json
import re
import subprocess
import time
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import pytest

from .apps import APPS
from .conftest import Make
from .shell import Process, Result, wait_for
from .stack import Stack
from .terminal import Terminal


@dataclass
class Story:
    """What later chapters need to know of earlier ones."""

    stack: Stack
    v1: str
    """The data of v1."""
    v2: str = ""
    v2_backup: str = ""


@pytest.fixture(scope="module")
def story(make: Make) -> Story:
    """Run release v1 under the gate."""
    stack = make(APPS / "plainsql", "by-hand", settings={"MIGSAFE_MIGRATE": "bin/migrate"})
    up = stack.up("v1")
    assert 0 == up.code, stack.logs().output
    stack.psql("ALTER SYSTEM SET autovacuum = off")
    stack.psql("SELECT pg_reload_conf()")
    return Story(stack, stack.digest())


def typed(stack: Stack, *words: str) -> Result:
    """Type `docker compose run --rm migsafe …` where there is no terminal."""
    return stack.compose("run", "--rm", "-T", "migsafe", *words)


def record(result: Result) -> dict[str, Any]:
    """Read the JSON among what was told: Docker keeps no order between the two streams."""
    text = result.output[result.output.index('{\n  "schema"') :]
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    return found


def kept(stack: Stack) -> list[str]:
    """Name the databases that were set aside."""
    return [name for name in stack.databases() if "__kept_" in name]


def scratch(stack: Stack) -> list[str]:
    """Name the databases that nobody needs any more."""
    return [name for name in stack.databases() if "__migsafe_" in name]


def test_backup(story: Story) -> None:
    """A backup is taken while the app runs on, with the operator's words in it."""
    stack = story.stack
    began = stack.inspect(stack.container("app"))["State"]["StartedAt"]

    done = typed(stack, "backup", "--note", "before the big one")

    assert 0 == done.code, done.output
    (manual,) = [path.name for path in stack.backups if path.name.startswith("manual-")]
    assert f"✓ Manual backup created: {manual}" in done.lines
    shown = typed(stack, "show", "manual")
    assert "note        before the big one" in shown.lines
    listed = json.loads(typed(stack, "list", "--kind", "manual", "--json").output)
    assert ["manual"] == [found["kind"] for found in listed["backups"]]
    assert began == stack.inspect(stack.container("app"))["State"]["StartedAt"]


def test_verify(story: Story) -> None:
    """
    A backup is loaded, compared and dropped again beside the running app; the proof is kept.

    Faults: 115.
    """
    stack = story.stack

    done = typed(stack, "verify", "manual")
    alone = typed(stack, "verify", "manual", "--isolated", "--json")
    both = typed(stack, "verify", "manual", "--isolated", "--quick")
    quick = typed(stack, "verify", "--all", "--quick")

    assert [0, 0, 2, 0] == [x.code for x in (done, alone, both, quick)], done.output + alone.output
    assert "restored in" in done.output
    assert "restored on a server of its own in" in alone.output
    told = record(alone)
    assert ("isolated", []) == itemgetter("how", "complaints")(told["backups"][0]["proof"])
    assert len(stack.backups) == quick.output.count("✓")
    assert ([], "running") == (scratch(stack), stack.state("app"))
    assert "verified    read" in typed(stack, "show", "manual").output
    assert story.v1 == stack.digest()


def test_verify_finds_damage(story: Story) -> None:
    """
    A backup with one bit flipped is not proven, and the exit code says so.

    Faults: 59.
    """
    stack = story.stack
    typed(stack, "backup")
    path = max(stack.backups_folder.glob("manual-*.zst"))
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])

    for option in ((), ("--quick",), ("--isolated",)):
        words = ("verify", path.name, *option)
        done = typed(stack, *words)
        assert 14 == done.code, done.output
        assert path.name in done.output
    refused = typed(stack, "restore", path.name, "--yes")
    assert 14 == refused.code, refused.output
    assert ("running", story.v1) == (stack.state("app"), stack.digest())
    path.unlink()
    path.with_name(path.name + ".manifest.json").unlink()


def test_rehearse(story: Story) -> None:
    """
    Images that are to come are tried on a copy, the bad one and the good one; the stack stays.

    Faults: 35, 82.
    """
    stack = story.stack
    began = stack.inspect(stack.container("app"))["State"]["StartedAt"]

    backups = stack.backups

    bad = typed(stack, "rehearse", "--image", "migsafe-e2e-plainsql:v2-late")
    good = typed(stack, "rehearse", "--image", "migsafe-e2e-plainsql:v2-good", "--live", "--json")
    missing = typed(stack, "rehearse", "--image", "migsafe-e2e-plainsql:v99")

    assert [20, 0, 2] == [done.code for done in (bad, good, missing)], bad.output + good.output
    assert "✗ fails: bin/migrate exited with" in bad.output
    told = record(good)
    assert told["changes"]
    assert "the live database" == told["backup"]
    assert backups == stack.backups
    assert 0 < told["migrating"] <= told["whole"]
    assert ([], [], story.v1) == (stack.leftovers(), scratch(stack), stack.digest())
    assert began == stack.inspect(stack.container("app"))["State"]["StartedAt"]
    networks = stack.run(("docker", "network", "ls", "--format", "{{.Name}}")).output
    assert f"{stack.project}-migsafe-rehearsal" not in networks
    assert [] == list(stack.backups_folder.glob(".rehearsal-*"))


def test_update(story: Story) -> None:
    """The next release migrates, and turns out to be wrong."""
    assert 0 == story.stack.up("v2-good").code
    story.stack.psql("DELETE FROM orders WHERE id = 1")
    story.v2 = story.stack.digest()
    assert story.v2 != story.v1


def test_rollback(story: Story) -> None:
    """
    Data and image go back together, what was written since is named and kept.

    Faults: 90, 102, 119.
    """
    stack = story.stack

    done = typed(stack, "rollback", "--yes")

    assert 0 == done.code, done.output
    assert story.v1 == stack.digest()
    assert "rows then" in done.output
    assert 1 == len(kept(stack))
    assert kept(stack)[0] in done.output
    assert "exited" == stack.state("app")
    go_back = done.lines[-1].strip()
    assert go_back.startswith("docker compose"), done.output
    again = stack.run(go_back)
    assert 0 == again.code, again.output
    assert ("running", story.v1) == (stack.state("app"), stack.digest())


def test_restore_the_newest(story: Story) -> None:
    """What the rollback replaced comes back from its safety backup; the app runs on it again."""
    stack = story.stack
    stack.compose("create", "app")
    stack.move_to("v2-good")
    stack.compose("up", "--no-start", "app", "migsafe")

    done = typed(stack, "restore", "safety", "--yes")

    assert 0 == done.code, done.output
    assert story.v2.split()[0] == stack.rows()
    assert 0 == stack.up("v2-good").code
    assert story.v2 == stack.digest()
    assert 2 == len(kept(stack))


def test_without_a_terminal(story: Story) -> None:
    """
    Nothing is restored by accident: a backup must be named, and `--yes` said.

    Faults: 118.
    """
    stack = story.stack
    unnamed = typed(stack, "restore")
    unsure = typed(stack, "restore", "latest")
    wrong = typed(stack, "restore", "pre-migration-19990101-000000.sql", "--yes")
    several = typed(stack, "restore", "pre-migration", "--yes")

    assert [2, 2, 15, 15] == [done.code for done in (unnamed, unsure, wrong, several)]
    assert "keeps " in unsure.output
    assert "the nearest: pre-migration-2" in wrong.output
    assert (story.v2, "running") == (stack.digest(), stack.state("app"))


def test_on_a_terminal(story: Story) -> None:
    """
    The list is filtered by typing, chosen by keys, and confirmed by the database's name.

    Faults: 118.
    """
    stack = story.stack
    command = ("docker", "compose", "run", "--rm", "migsafe", "restore", "--no-migrate")

    mistyped = Terminal(command, stack.folder)
    mistyped.until("restore which backup?")
    mistyped.press("manual")
    time.sleep(0.5)
    mistyped.press("enter")
    mistyped.until("type the database's name")
    mistyped.press("shopp\r")
    assert 17 == mistyped.ended(), mistyped.shown
    assert (story.v2, "running") == (stack.digest(), stack.state("app"))

    rightly = Terminal(command, stack.folder)
    rightly.until("restore which backup?")
    rightly.press("manual")
    time.sleep(0.5)
    rightly.press("enter")
    rightly.until("type the database's name")
    rightly.press("shop\r")
    assert 0 == rightly.ended(), rightly.shown
    assert story.v1 == stack.digest()


def test_ctrl_c_in_the_list(story: Story) -> None:
    """Ctrl-C before anything is confirmed does nothing, on a terminal of 60 columns either."""
    stack = story.stack
    before = stack.digest()
    command = ("docker", "compose", "run", "--rm", "migsafe", "restore")
    terminal = Terminal(command, stack.folder, columns=60)
    terminal.until("restore which backup?")
    terminal.until("manual-")
    terminal.press("ctrl-c")

    assert terminal.ended() in {17, 130}, terminal.shown
    assert before == stack.digest()


def test_killed_in_the_middle(story: Story) -> None:
    """
    A restore that is killed while it loads is cleared up by the next up, and nothing was changed.

    Faults: 1, 44, 92.
    """
    stack = story.stack
    before = stack.digest()
    process = _held(stack, "load.made=sleep:60")
    for container in stack.run(("docker", "ps", "-q", "--filter", _one_off(stack))).lines:
        stack.run(("docker", "kill", container))
    process.communicate()
    assert [] != scratch(stack)

    up = stack.up("v1")

    assert 0 == up.code, stack.logs().output
    assert ([], before) == (scratch(stack), stack.digest())
    assert "running" == stack.state("app")


def test_not_beside_a_guard(story: Story) -> None:
    """
    Whoever comes second is told who is at work.

    Faults: 4, 12.
    """
    stack = story.stack
    process = _held(stack, "load.made=sleep:8")

    verify = stack.compose("run", "--rm", "-T", "-e", "MIGSAFE_WAIT=1s", "migsafe", "verify")

    assert 12 == verify.code, verify.output
    process.communicate()
    assert 0 == process.returncode


def test_forget(story: Story) -> None:
    """A kept database is dropped by its name only, and no other database can be."""
    stack = story.stack
    name, before = kept(stack)[0], stack.digest()

    wrong = typed(stack, "forget", "shop", "--yes")
    done = typed(stack, "forget", name, "--yes")

    assert (15, 0) == (wrong.code, done.code), wrong.output + done.output
    assert name in wrong.output
    assert name not in stack.databases()
    assert before == stack.digest()


def test_export(story: Story) -> None:
    """An exported archive loads with plain pg_restore."""
    stack = story.stack
    out = stack.folder / "out"
    out.mkdir()
    mounted = ("run", "--rm", "-T", "-v", f"{out}:/out", "migsafe")
    done = stack.compose(*mounted, "export", "manual", "/out/shop.dump")
    twice = stack.compose(*mounted, "export", "manual", "/out/shop.dump")
    assert (0, 2) == (done.code, twice.code), done.output

    stack.psql("CREATE DATABASE exported TEMPLATE template0", "postgres")
    loaded = subprocess.run(
        (
            *("docker", "exec", "-i", stack.container("db")),
            *("pg_restore", "-e", "-U", "shop", "-d", "exported"),
        ),
        input=(out / "shop.dump").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert 0 == loaded.returncode, loaded.stderr.decode()
    assert story.v1.split()[0] == stack.rows("exported")
    stack.psql("DROP DATABASE exported", "postgres")


def test_prune(story: Story) -> None:
    """
    What is old goes by hand as it would by itself; what is needed stays, and each says why.

    The data that was restored has come through the first migration only: its backup is the way back
    until there is another migration.

    Faults: 109.
    """
    stack = story.stack
    old = next(path for path in stack.backups if path.name.startswith("pre-migration"))
    words = ("run", "--rm", "-T", "-e", "MIGSAFE_KEEP=1s", "migsafe", "prune")
    needed = stack.compose(*words, "--dry-run")
    assert re.search(rf"keeps +{old.name} .* it is the way back from the last", needed.output)
    assert 0 == stack.up("v2-good").code, stack.logs().output
    before = [path.name for path in stack.backups]

    nothing = typed(stack, "prune")
    dry = stack.compose(*words, "--dry-run", "--json")
    unsure = stack.compose(*words)

    assert [0, 0, 2] == [done.code for done in (nothing, dry, unsure)], nothing.output + dry.output
    assert "nothing to delete" in nothing.lines
    assert before == [path.name for path in stack.backups]
    told = record(dry)
    gone = [each["name"] for each in told["backups"] if each["deletes"]]
    assert gone
    assert {"pre-migration"} == {e["kind"] for e in told["backups"] if e["deletes"]}
    assert f"keeps    {max(name for name in before if name.startswith('safety'))}" in unsure.output
    assert "migsafe forget" in unsure.output

    done = stack.compose(*words, "--yes")

    assert 0 == done.code, done.output
    assert old.name in gone
    assert sorted(set(before) - set(gone)) == [path.name for path in stack.backups]
    assert not old.exists()


def _held(stack: Stack, failpoints: str) -> Process:
    """Start a restore that waits in the middle of it."""
    settings = ("-e", f"MIGSAFE_FAILPOINTS={failpoints}")
    words = ("restore", "manual", "--yes", "--no-migrate")
    process = stack.start("run", "--rm", "-T", *settings, "migsafe", *words)
    wait_for(lambda: scratch(stack))
    return process


def _one_off(stack: Stack) -> str:
    return f"name={stack.project}-migsafe-run-"
