"""Stacks that have something unusual about them, and are put back like any other."""

import os

import yaml

from sidecar.facts import restored_name

from . import apps
from .cards import typed
from .conftest import Make
from .shell import Result, wait_for
from .shop import STACKS
from .stack import Stack


def test_odd_name(make: Make) -> None:
    """
    A database's name may be as long as it can be, and hold whatever has to be quoted.

    Cards: failed.
    Faults: 33, 100, 131.
    """
    source = STACKS / "odd"
    text = (source / "compose.yaml").read_text(encoding="utf-8")
    name = yaml.safe_load(text)["services"]["db"]["environment"]["POSTGRES_DB"]
    assert 63 == len(os.fsencode(name))
    stack = make(source, "odd", database=name, settings=apps.PLAIN.settings)
    _installed(stack)
    told = _is_put_back(stack)
    assert any(repr(each) in told.text for each in stack.databases() if "__kept_" in each)
    typed(stack, "no migsafe")
    assert stack.rows() == stack.rows(restored_name(name))
    stack.configure(MIGSAFE_RESTORE_POINT="never", MIGSAFE_FORMAT="archive")
    assert 0 == stack.compose("run", "--rm", "migsafe", "retry").code
    assert "loading the backup" in _is_put_back(stack).output


def test_password_that_was_changed(make: Make) -> None:
    """
    Where the superuser's password is not what its environment says, the server lends a role.

    Faults: 22.
    """
    stack = make(STACKS / "role", "lent", superuser="postgres", settings=apps.PLAIN.settings)
    stack.compose("up", "-d", "--wait", "db")
    stack.psql("ALTER ROLE postgres PASSWORD 'changed since'", "postgres")
    _installed(stack)
    assert "role 'shop' lacks rights" in stack.logs().output
    _is_put_back(stack)
    assert "" == stack.psql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'migsafe%'")


def test_added_to_a_running_stack(make: Make) -> None:
    """A stack that lived without migsafe: the override is put beside it, and that is all."""
    stack = make(apps.PLAIN.folder, "added", settings=apps.PLAIN.settings)
    override = stack.folder / "compose.override.yml"
    override.rename(stack.folder / "later")
    stack.compose("up", "-d", "--wait", "db")
    stack.compose("run", "--rm", "app", "bin/migrate")
    assert 0 == stack.compose("up", "-d").code
    wait_for(lambda: "200 books" in stack.compose("logs", "app").output)
    (stack.folder / "later").rename(override)
    _is_put_back(stack)


def _installed(stack: Stack) -> None:
    up = stack.up("v1")
    assert (0, 0, "running") == (up.code, stack.exit_code(), stack.state("app")), (
        f"{up.output}\n{stack.logs().output}"
    )


def _is_put_back(stack: Stack) -> Result:
    """Bring up a release that fails half-way; see its end and the data, and return its words."""
    before = stack.digest()
    up = stack.up("v2-late")
    told = stack.logs()
    assert (1, 20, "created") == (up.code, told.code, stack.state("app")), told.output
    assert before == stack.digest()
    assert [] == stack.leftovers()
    return told
