"""The memory that a reader needs for a log that is far larger."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import walogs
from benchmarks.measure import Row, Scale, at_most
from benchmarks.payloads import BATCH, ENTRY_BYTES, Differs, payloads
from benchmarks.starting import environment
from walogs.formats.crc32 import crc32

PEAK: Final = """
import sys
def peak():
    try:
        with open("/proc/self/status") as lines:  # not ru_maxrss, which an exec inherits from its parent
            return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except FileNotFoundError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
"""
BARE: Final = PEAK + "print(peak())"
WALK: Final = (
    PEAK
    + """
import walogs
from walogs.formats.crc32 import crc32
with walogs.open(sys.argv[1]) as wal:
    opened = peak()
    count = crc = 0
    for lsn, data in wal:
        count += lsn == count + 1
        crc = crc32(data, crc)
print(opened, peak(), count, crc)
"""
)


def said(program: str, *arguments: str) -> list[int]:
    command = [sys.executable, "-c", program, *arguments]
    ran = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True)
    return [int(word) for word in ran.stdout.split()]


def memory(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure the peak memory of a process that opens and walks a large log, above that of a bare interpreter."""
    log = place / "log"
    entries = crc = written = 0
    with walogs.open(log, sync="none") as wal:
        while written < scale.memory_bytes:
            # Half of the log is written by single appends, which make the most frames in a segment.
            data = payloads(entries + 1, BATCH)
            if entries // BATCH % 2:
                wal.append_batch(data)
            else:
                for entry in data:
                    wal.append(entry)
            entries += len(data)
            crc = crc32(b"".join(data), crc)
            written += BATCH * (ENTRY_BYTES + (4 if entries // BATCH % 2 else 48))
    [bare], [again] = said(BARE), said(BARE)
    opened, walked, count, found = said(WALK, str(log))
    if (count, found) != (entries, crc):
        raise Differs(f"the large log: {count} of {entries} entries came back, with CRC {found:#x} for {crc:#x}")
    size = sum(file.stat().st_size for file in log.glob("wal-*.log")) >> 20
    yield Row(
        name=f"memory over a bare interpreter, opening and walking {size} MiB",
        figure=(walked - bare) / 1024,
        unit="MiB",
        limit=at_most(64),
        noise=f"{(again - bare) / 1024:+.1f}",
        beside=f"bare {bare / 1024:.1f}; after open {(opened - bare) / 1024:.1f}",
    )
