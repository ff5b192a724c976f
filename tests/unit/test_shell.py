"""What is to be typed, whatever names and paths there are: a shell reads back what was meant."""

import shlex
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sidecar.backups import Backup
from sidecar.facts import Place, kept_name, restored_name
from sidecar.shell import Shell, compose

from .test_advice import PLACE

NAMES = st.one_of(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
    st.sampled_from(
        [
            "-f",
            "--help",
            "dbname=x",
            "postgres://x",
            "a'b",
            'a"b',
            "../../etc",
            "$(id)",
            "`id`",
            "é\n",
        ]
    ),
)
PATHS = st.text("abc /'\"$-`é", min_size=1, max_size=30).map(lambda text: f"/home/{text}/x")
BACKUP = Backup.parse("pre-migration-20260131-120000.sql")
assert BACKUP is not None
SQL: Backup = BACKUP


@given(database=NAMES, role=NAMES, owner=NAMES)
def test_names_are_one_word_each(database: str, role: str, owner: str) -> None:
    """
    No name of a database or a role ends a word, or is taken for an option.

    Faults: 33, 116, 131, 132.
    """
    shell = Shell(PLACE, "app", database, role, owner)
    create, load = shell.load_beside(SQL)
    words = shlex.split(create)

    assert restored_name(database) == words[-1]
    assert not words[-1].startswith("-") or words[-2] == "--"
    assert role == words[words.index("-U") + 1]
    assert owner in (role, words[words.index("-O") + 1] if "-O" in words else role)
    assert 1 == shlex.split(load).count("<")


@given(database=NAMES, other=NAMES)
def test_names_in_sql_are_identifiers(database: str, other: str) -> None:
    """
    A name in a statement is quoted as SQL, and the statement as a word.

    Faults: 33, 131, 132.
    """
    aside = kept_name(database, "20260131-120000-3fa2")
    command = Shell(PLACE, "app", database).put_in_place(other, aside)
    assert command is not None
    words = shlex.split(command)
    statements = [words[number + 1] for number, word in enumerate(words) if word == "-c"]
    quoted = ['"' + name.replace('"', '""') + '"' for name in (database, aside, other)]

    assert f"ALTER DATABASE {quoted[0]} RENAME TO {quoted[1]}" in statements
    assert f"ALTER DATABASE {quoted[2]} RENAME TO {quoted[0]}" in statements


@given(folder=PATHS, file=PATHS, env=PATHS, backups=PATHS)
def test_paths_are_one_word_each(folder: str, file: str, env: str, backups: str) -> None:
    """
    Files and folders may have any name.

    Faults: 132.
    """
    file = f"{file}/prod.yml"
    place = Place("shop", "migsafe", folder, (file,), backups, "db", (env,))
    back = Shell(place).go_back()
    assert back is not None
    words = shlex.split(compose(place))

    assert words.count("-f") == 1
    assert words[words.index("-f") + 1] in {file, file.removeprefix(f"{folder}/"), "prod.yml"}
    assert shlex.split(back)[-2:] == ["up", "-d"]
    assert shlex.split(back)[-3].endswith("compose.pin.yml")


def test_without_a_place_there_is_nothing_to_load() -> None:
    """Where the database is not a service of the project, no command pretends that it is."""
    shell = Shell(replace(PLACE, database_service=None), "app", "shop")

    assert [] == [*shell.load_beside(SQL), *shell.load(SQL, "shop")]
    assert (None, None) == (shell.drop("x"), shell.put_in_place("x", "y"))
