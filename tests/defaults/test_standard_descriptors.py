"""A daemon that has closed its standard descriptors, and a library in it that complains to descriptor 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.cli.commands import ENVIRONMENT, entries_of

PROGRAM: Final = """
import os, sys, walogs
for fd in (0, 1, 2):
    os.close(fd)
with walogs.open(sys.argv[1]) as wal:
    wal.append(b"first")
    for fd in (0, 1, 2):
        try:
            os.write(fd, b"some library's warning")
        except OSError:
            pass  # nobody is there to hear it
    wal.append(b"second")
"""


@pytest.mark.guarantee("G1")
def test_what_is_meant_for_the_standard_descriptors_never_lands_in_a_segment(tmp_path: Path) -> None:
    """The next files that are opened get the free numbers 0, 1 and 2."""
    log = tmp_path / "x.wal"
    subprocess.run([sys.executable, "-c", PROGRAM, log], env=ENVIRONMENT, check=True, timeout=300)
    assert entries_of(log) == [b"first", b"second"]
