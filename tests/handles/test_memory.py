"""Reading a large log needs little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.laboratory import amount

MADE = """
import sys
import walogs
path, size, entry = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
batch = [bytes([k % 256]) * entry for k in range(max(1, (1 << 20) // entry))]
with walogs.open(path, sync="none") as wal:
    for _ in range(size // (len(batch) * entry)):
        wal.append_batch(batch)
"""


WALKED = """
import resource, sys
import walogs
def peak():
    try:  # not ru_maxrss: that begins with what the process it was forked from had
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with walogs.open(sys.argv[1] + "-small") as wal:
    wal.append(b"x"); list(wal)
before = peak()
with walogs.open(sys.argv[1]) as wal:
    opened = peak()
    count = sum(1 for _ in wal)
    assert wal.read(count // 2) is not None
print(before, opened, peak(), count)
"""


def growth_kib(tmp_path: Path, size: int, entry: int) -> int:
    """KiB by which opening and walking such a log grows a process that has used a small one before."""
    arguments = [str(tmp_path / "log"), str(size), str(entry)]
    subprocess.run([sys.executable, "-c", MADE, *arguments], check=True, timeout=600)
    walked = subprocess.run([sys.executable, "-c", WALKED, *arguments], check=True, capture_output=True, timeout=600)
    before, opened, after, count = map(int, walked.stdout.split())
    print(f"{count} entries of {entry} bytes: {before} KiB before, {opened} when opened, {after} at the most")
    assert count * entry >= size * 9 // 10
    return after - before


@pytest.mark.guarantee("G16")
def test_walking_a_log_of_96_mib_needs_little_memory(tmp_path: Path) -> None:
    assert growth_kib(tmp_path, 96 << 20, 8192) <= 24 << 10


@pytest.mark.laboratory
@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("entry", [128, 1 << 20])
def test_walking_a_large_log_needs_little_memory(tmp_path: Path, entry: int) -> None:
    assert growth_kib(tmp_path, amount(128 << 20, 1 << 30), entry) <= 64 << 10
