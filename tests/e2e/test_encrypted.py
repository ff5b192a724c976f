"""A stack whose backups are encrypted: what happens without the key, and with it."""

import shutil

import pytest

from sidecar import age

from . import apps
from .cards import page
from .conftest import Make
from .shell import Result
from .stack import Stack
from .terminal import Terminal

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Give a shop that has been updated, with the key on nobody's machine."""
    public, private = map(str, age.passing())
    settings = {
        **apps.PLAIN.settings,
        "MIGSAFE_ENCRYPT_TO": public,
        "MIGSAFE_IDENTITY_FILE": "elsewhere",
    }
    made = make(apps.PLAIN.folder, "sealed", settings=settings)
    (made.folder / "key.txt").write_text(f"{private}\n")
    assert 0 == made.up("v1").code, made.logs().output
    assert 0 == made.up("v2-good").code, made.logs().output
    return made


def test_the_guard_says_what_it_relies_on(stack: Stack) -> None:
    """The restore point is the way back, and where none may be made nothing is migrated."""
    log = stack.logs().output
    assert "the restore point is the only way back" in log
    assert f"backup created: {stack.backups[-1].name}" in log
    assert stack.backups[-1].name.endswith(".sql.age")

    assert 0 != stack.up("v2-late").code
    assert 20 == stack.exit_code()
    stack.configure(MIGSAFE_RESTORE_POINT="never")
    assert 0 != stack.up("v3").code
    assert (18, True) == (
        stack.exit_code(),
        "MIGSAFE_RESTORE_POINT is never" in stack.logs().output,
    )
    stack.configure(MIGSAFE_RESTORE_POINT="auto")
    stack.move_to("v2-good")


def test_without_the_key(stack: Stack) -> None:
    """Nothing is restored, and nothing is called verified. Faults: 122."""
    before = stack.rows()
    for command in ("restore latest --yes", "verify latest", "verify latest --quick"):
        done = stack.run(f"docker compose run --rm -T --no-deps migsafe {command}")
        assert 19 == done.code, done.output
        assert "no key is here" in done.output
    assert before == stack.rows()
    names = {"BACKUP": stack.backups[-1].name}
    shown = stack.run(page("docker compose run --rm migsafe show BACKUP", names)).output
    assert f"to {stack.settings['MIGSAFE_ENCRYPT_TO']}" in shown


def test_with_the_key(stack: Stack) -> None:
    """The page's command restores; the backup before the update has no table of the update's."""
    name = stack.backups[-1].name
    command = page(
        "docker compose run --rm -v ./key.txt:/key.txt:ro -e MIGSAFE_IDENTITY_FILE=/key.txt migsafe"
        " restore BACKUP",
        {"BACKUP": name},
    )
    verified = stack.run(
        command.replace(f"restore {name}", f"verify {name}").replace("--rm", "--rm -T")
    )
    assert 0 == verified.code, verified.output
    terminal = Terminal(("sh", "-c", command), stack.folder)
    terminal.until("type the database's name")
    terminal.press("shop\r")
    assert 0 == terminal.ended(), terminal.shown
    assert "✓ restored" in terminal.shown


def with_key(stack: Stack, words: str, *mounts: str) -> Result:
    """Type a command with the key at hand."""
    mounted = " ".join(f"-v {each}" for each in ("./key.txt:/key.txt:ro", *mounts))
    return stack.run(
        f"docker compose run --rm -T --no-deps {mounted} -e MIGSAFE_IDENTITY_FILE=/key.txt"
        f" migsafe {words}"
    )


def test_what_is_done_on_a_copy(stack: Stack) -> None:
    """Verified on a server of its own, and a release rehearsed: with the key, and not without."""
    before, image = stack.digest(), "--image migsafe-e2e-plainsql:v2-late"
    for words in ("verify latest --isolated", f"rehearse {image}", "export latest /backups/x"):
        refused = stack.run(f"docker compose run --rm -T --no-deps migsafe {words}")
        assert (19, True) == (refused.code, "no key is here" in refused.output), refused.output
    assert not (stack.backups_folder / "x").exists()

    verified = with_key(stack, "verify latest --isolated")
    assert 0 == verified.code, verified.output
    assert "restored on a server of its own in" in verified.output
    rehearsed = with_key(stack, f"rehearse {image}")
    assert 20 == rehearsed.code, rehearsed.output
    assert "✗ fails: bin/migrate exited with" in rehearsed.output
    live = with_key(stack, "rehearse --live")
    assert 0 == live.code, live.output
    assert "is what the app has already" in live.output
    assert ([], before) == (stack.leftovers(), stack.digest())
    assert [] == list(stack.backups_folder.glob(".rehearsal-*"))


def test_exported_it_needs_no_key(stack: Stack) -> None:
    """What comes out is what psql or pg_restore load, in the clear, for its owner only."""
    name = next(path.name for path in reversed(stack.backups) if path.name.endswith(".sql.age"))
    out = stack.folder / "out"
    out.mkdir()

    done = with_key(stack, f"export {name} /out/shop.sql", "./out:/out")

    assert 0 == done.code, done.output
    assert "PostgreSQL database dump complete" in (out / "shop.sql").read_text()
    assert 0o600 == (out / "shop.sql").stat().st_mode & 0o777


@pytest.mark.skipif(not shutil.which("age"), reason="`scripts/machine age` installs age")
def test_without_migsafe(stack: Stack) -> None:
    """`age` makes of it the dump that psql loads."""
    plain = [path.name for path in stack.backups if path.name.endswith(".sql.age")]
    stem = plain[-1].removesuffix(".sql.age")
    command = page("age -d -i key.txt data/db_backup/BACKUP.sql.age > BACKUP.sql", {"BACKUP": stem})
    done = stack.run(command)
    assert 0 == done.code, done.output
    assert "PostgreSQL database dump complete" in (stack.folder / f"{stem}.sql").read_text()
