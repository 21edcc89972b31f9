"""The money in docs/beyond-one-machine.md is what the interval allows: a commit each `time` at most, or each put."""

from __future__ import annotations

import re
import tomllib

import pytest

import walogs
from tests.house.source import ROOT
from walogs.foundation.quantities import DURATION

PAGE = (ROOT / "docs/beyond-one-machine.md").read_text()
ROWS = re.findall(
    r"^\| (no `interval`|`.+?`) \| ([\d.]+) million \| \$([\d.]+) \| 60 ms to ([\d.]+) (m?s) \|$", PAGE, re.MULTILINE
)
PUT_SECONDS = 0.060
MONTH_SECONDS = 30 * 24 * 60 * 60
DOLLARS_PER_PUT = 5 / 1_000_000


@pytest.mark.parametrize(("time", "millions", "dollars", "longest", "unit"), ROWS)
def test_a_row_follows_from_its_time(time: str, millions: str, dollars: str, longest: str, unit: str) -> None:
    is_default = time == "no `interval`"
    between = PUT_SECONDS if is_default else DURATION.parse(tomllib.loads(f"time = {time.strip('`')}")["time"])
    puts = MONTH_SECONDS / max(between, PUT_SECONDS)
    digits = len(millions.partition(".")[2])
    assert float(millions) == round(puts / 1e6, digits)
    assert float(dollars) == round(puts * DOLLARS_PER_PUT, 2)
    waits = (between + PUT_SECONDS) * (1000 if unit == "ms" else 1)
    assert float(longest) == float(f"{waits:.3g}")


def test_the_table_has_rows_and_the_interval_of_the_example() -> None:
    example = re.search(r'sync = (\{ use = "interval", time = "200ms" \})', PAGE)
    assert example is not None
    assert len(ROWS) == 5
    assert '`"200ms"`' in [row[0] for row in ROWS]
    assert walogs.IntervalPolicy().bytes == 1 << 20, "the page says 1 MiB"
