"""Only who asks for columns needs pyarrow, and who lacks it is told what to install."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from tests.house.source import ROOT

ABSENT: Final = "import sys; sys.modules.update(pyarrow=None, polars=None, duckdb=None)\n"
USES: Final = """
import walogs, walogs.aio, walogs.cli.app
from walogs.testing import MemoryDisk, MemoryStore
disk = MemoryDisk()
with walogs.open(store=MemoryStore(disk)) as wal, walogs.reader(store=MemoryStore(disk)) as reader:
    wal.append(b"one")
    assert list(wal) == list(reader) == [(1, b"one")]
"""
ASKS: Final = [
    "wal.to_arrow()",
    "reader.arrow_batches()",
    "wal.append_arrow([b'x'])",
    "reader.__arrow_c_stream__()",
    "import walogs.arrow",
]


def ran(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_everything_else_works_without_it_and_does_not_load_it() -> None:
    assert ran(ABSENT + USES).returncode == 0
    assert ran(f"import sys\n{USES}\nassert not {{'pyarrow', 'polars'}} & sys.modules.keys()").returncode == 0


TRIES: Final = """
    try:
        {}
    except ModuleNotFoundError as error:
        print(error)
"""


def test_who_asks_for_columns_is_told_what_to_install() -> None:
    told = ran(ABSENT + USES + "".join(TRIES.format(ask) for ask in ASKS))
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert len(lines) == len(ASKS)
    for line in lines:
        assert line.startswith("columns of a log need pyarrow: pip install")
        assert "[arrow]" in line
