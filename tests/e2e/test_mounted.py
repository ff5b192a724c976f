"""
A development stack: the image stays the same, and the code on the host changes.

The tests are one story: each goes on where the one before it has ended.
"""

import shutil
import time
from pathlib import Path

import pytest

from .conftest import Make
from .shop import STACKS
from .stack import ROOT, Stack

APP = ROOT / "examples" / "demo" / "app"


@pytest.fixture(scope="module")
def stack(make: Make) -> Stack:
    """Mount the code of release v1."""
    made = make(STACKS / "mounted", "mounted", build="django")
    _edit(made.folder / "code", "v1")
    return made


def test_first_install(stack: Stack) -> None:
    """The mounted code is what is migrated."""
    up = stack.up()
    assert (0, 0) == (up.code, stack.exit_code()), stack.logs().output
    assert "2" == stack.psql("SELECT count(*) FROM django_migrations WHERE app = 'shop'")


def test_unchanged(stack: Stack) -> None:
    """Where the code may have changed, the framework itself is asked, and nothing else is done."""
    began, backups = time.time(), stack.backups
    up = stack.up()
    assert (0, 0) == (up.code, stack.exit_code()), stack.logs().output
    assert "nothing to do:" in stack.logs().output
    assert ["check"] == [_role(name) for name in stack.one_offs(began)]
    assert backups == stack.backups


def test_changed_for_the_worse(stack: Stack) -> None:
    """The image is the same, the code is not: it is migrated, and put back."""
    before = stack.digest()
    _edit(stack.folder / "code", "v2-late")
    up = stack.up()
    told = stack.logs()
    assert (1, 20) == (up.code, told.code), told.output
    assert before == stack.digest()


def test_tried_again(stack: Stack) -> None:
    """Who edits code tries again and again: no image is known to be bad."""
    before = stack.digest()
    up = stack.up()
    assert (1, 20) == (up.code, stack.exit_code()), stack.logs().output
    assert before == stack.digest()


def test_mended(stack: Stack) -> None:
    """With the code mended the app runs again."""
    _edit(stack.folder / "code", "v2-good")
    up = stack.up()
    assert (0, 0, "running") == (up.code, stack.exit_code(), stack.state("app"))
    assert "200" == stack.psql("SELECT count(*) FROM books WHERE slug = 'volume-' || id")


def _edit(code: Path, release: str) -> None:
    """Make the code that of a release, in the folder that is mounted."""
    code.mkdir(exist_ok=True)
    for path in code.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for source in (APP, APP / "releases" / release):
        shutil.copytree(source, code, dirs_exist_ok=True)


def _role(container: str) -> str:
    return container.rpartition("-migsafe-")[2].partition("-")[0]
