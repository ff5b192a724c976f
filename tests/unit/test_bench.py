"""The sizes that a benchmark is asked for."""

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "scripts" / "bench"


@pytest.mark.parametrize(
    ("word", "size"),
    [
        ("20MB", ("20 MB", 20_000)),
        (" 2 GB", ("2 GB", 2_000_000)),
        ("restore", None),
        ("20", None),
        ("", None),
    ],
)
def test_sizes(word: str, size: tuple[str, int] | None) -> None:
    """A size is told from the name of a part, however it is written."""
    loader = SourceFileLoader("bench", str(BENCH))
    spec = importlib.util.spec_from_loader("bench", loader)
    assert spec is not None
    bench: Any = importlib.util.module_from_spec(spec)
    loader.exec_module(bench)

    assert size == bench.size_of(word)
