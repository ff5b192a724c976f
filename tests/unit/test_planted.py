"""The planted bugs of `make mutants` fit the code as it is."""

from pathlib import Path

import pytest

import sidecar
from tests.planted import MUTANTS, Mutant

SOURCE = Path(sidecar.__file__).parent
TESTS = Path(__file__).parent.parent


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.title)
def test_it_can_be_planted(mutant: Mutant) -> None:
    """Who changes the code that a bug is planted in plants it anew."""
    assert mutant.old in (SOURCE / mutant.file).read_text()
    assert mutant.old != mutant.new
    assert not mutant.by or (TESTS / "integration" / f"test_{mutant.by}.py").exists()


def test_each_is_another() -> None:
    """No bug is counted twice."""
    assert len(MUTANTS) == len({(m.file, m.old, m.new) for m in MUTANTS})
    assert len(MUTANTS) == len({m.title for m in MUTANTS})
