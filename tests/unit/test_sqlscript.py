"""A dump in plain SQL, cut into its statements."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import BackupDamaged
from sidecar.sqlscript import Command, Copy, Script

DUMP = rb"""--
-- PostgreSQL database dump; it's
--

\restrict abc

SET a = 'it''s; x';
CREATE FUNCTION f() RETURNS int AS $_$ BEGIN; END; $_$ LANGUAGE plpgsql;
CREATE OR REPLACE PROCEDURE g() BEGIN ATOMIC CALL CASE A END; END;
INSERT INTO t VALUES (E'a\';b', 'c''d', "x;""y"); /* c /* ; */ ' */ SELECT $1$a$1$, a$b$c;
CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);
COPY public.t (a, b) FROM stdin;
1	a;'b
2	\\.
\.

COPY public.e FROM stdin;
\.
SELECT 1;
--
-- PostgreSQL database dump complete
--
"""

CUT = [
    (Command, rb"\restrict abc", 5, None),
    (None, b"SET a = 'it''s; x'", 7, None),
    (None, b"CREATE FUNCTION f() RETURNS int AS $_$ BEGIN; END; $_$ LANGUAGE plpgsql", 8, None),
    (None, b"CREATE OR REPLACE PROCEDURE g() BEGIN ATOMIC CALL CASE A END; END", 9, None),
    (None, rb"""INSERT INTO t VALUES (E'a\';b', 'c''d', "x;""y")""", 10, None),
    (None, b"SELECT $1$a$1$, a$b$c", 10, None),
    (None, b"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", 11, None),
    (Copy, b"COPY public.t (a, b) FROM stdin", 12, b"1\ta;'b\n2\t\\\\.\n"),
    (Copy, b"COPY public.e FROM stdin", 17, b""),
    (None, b"SELECT 1", 19, None),
]  # fmt: skip


def cut(text: bytes, size: int) -> list[tuple[type | None, bytes, int, bytes | None]]:
    """Cut a script that comes in chunks of a size."""
    chunks = (text[start : start + size] for start in range(0, len(text), size))
    found: list[tuple[type | None, bytes, int, bytes | None]] = []
    for piece in Script(chunks):
        rows = b"".join(piece.rows) if isinstance(piece, Copy) else None
        kind = type(piece) if isinstance(piece, Copy | Command) else None
        found.append((kind, piece.text, piece.line, rows))
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 64, 1000, len(DUMP)])
def test_statements_are_cut_wherever_chunks_end(size: int) -> None:
    """Quotes, comments, functions, rules and rows are seen for what they are, line by line."""
    assert CUT == cut(DUMP, size)


@given(st.integers(1, len(DUMP) - 1), st.integers(1, 200))
def test_what_is_cut_off_is_never_taken_for_more(end: int, size: int) -> None:
    """A script that ends anywhere gives only statements that were whole, or is damaged."""
    try:
        found = cut(DUMP[:end], size)
    except BackupDamaged:
        return
    # the last thing may be a command of psql's, which ends where the file does
    assert found[:-1] == CUT[: len(found[:-1])]


def test_rows_with_windows_line_ends() -> None:
    """A file that went through Windows ends its rows with a carriage return more."""
    assert [(Copy, b"COPY t FROM stdin", 1, b"1\r\n")] == cut(
        b"COPY t FROM stdin;\r\n1\r\n\\.\r\n", 4
    )


def test_rows_that_nobody_reads_are_passed() -> None:
    """Whoever does not care for rows gets the next statement all the same."""
    script = Script(iter([b"COPY t FROM stdin;\n1;\n\\.\nSELECT 2;\n"]))

    assert [b"COPY t FROM stdin", b"SELECT 2"] == [piece.text for piece in script]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"SELECT 1 \\gexec\n", "in the middle of a statement"),
        (b"SELECT '1;\n", "in the middle of a statement"),
        (b"SELECT $x$ 1;\n", "in the middle of a statement"),
        (b"SELECT 1 /* ;\n", "in the middle of a statement"),
        (b"COPY t FROM stdin;\n1\n", "in the middle of the rows that begin on line 1"),
        (b"COPY t FROM stdin; SELECT 1;\n\\.\n", "follows a COPY"),
        (b"COPY t FROM stdin;\n\\.x\n\\.\n", "begins with"),
    ],
)
def test_what_is_no_dump_is_damaged(text: bytes, why: str) -> None:
    """It is said what is wrong, and where."""
    with pytest.raises(BackupDamaged, match=re.escape(why)):
        cut(text, 1000)
