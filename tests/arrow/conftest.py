"""These tests need pyarrow and the programs that read columns. Without one of them, they are skipped."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import pytest

NEEDED: Final = ("pyarrow", "polars", "duckdb")
MISSING: Final = [name for name in NEEDED if find_spec(name) is None]


class Skipped(pytest.File):
    """A file of tests that cannot be imported."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(f"needs {', '.join(MISSING)}: the dependency group dev has them")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: object, parent: pytest.Collector) -> pytest.Collector | None:
    return Skipped.from_parent(parent, path=module_path) if MISSING else None
