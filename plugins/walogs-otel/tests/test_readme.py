"""Every code block of README.md runs, its table is what there is, and the script that it names prints."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from opentelemetry.metrics import NoOpMeter

from tests.docs.plugin_pages import run_page
from walogs_otel.instruments import Instruments

FOLDER: Final = Path(__file__).parents[1]
README: Final = FOLDER / "README.md"


def test_every_block_runs(tmp_path: Path) -> None:
    assert sum(block.language == "python" for block in run_page(README, tmp_path)) >= 2


def test_the_table_has_every_instrument() -> None:
    rows = re.findall(r"^\| `(walogs\.[\w.]+)` \| (\w+) \| (\S+) \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    made = vars(Instruments(NoOpMeter("x")))
    kinds = {type(instrument).__name__.removeprefix("NoOp").lower() for instrument in made.values()}
    assert {kind for _, kind, _ in rows} == kinds == {"histogram", "counter", "gauge"}
    assert sorted(name.removeprefix("walogs.").replace(".", "_") for name, _, _ in rows) == sorted(made)


def test_the_overhead_is_printed() -> None:
    command = [sys.executable, str(FOLDER / "overhead.py"), "1", "20"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    lines = ran.stdout.splitlines()
    assert len(lines) == 5
    assert all("ns an append (median of 1)" in line for line in lines)
