"""Small logs, damaged at random."""

from __future__ import annotations

import hashlib
import random
import shutil
from pathlib import Path
from typing import Any

import walogs


def state(path: Path) -> dict[str, tuple[str, int]]:
    return {
        file.name: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns) for file in path.iterdir()
    }


def small_log(path: Path, rng: random.Random, codec: Any = "crc32") -> list[bytes]:
    """Make a log of a few segments, sealed and not sealed. Return its entries."""
    entries: list[bytes] = []
    with walogs.open(path, max_segment_size=rng.choice((700, 1500, 4000)), codec=codec) as wal:
        for _ in range(rng.randrange(4, 14)):
            batch = [rng.randbytes(rng.randrange(60)) for _ in range(rng.randrange(1, 5))]
            wal.append_batch(batch)
            entries += batch
            if rng.random() < 0.2:
                wal.checkpoint(rng.randrange(wal.next_lsn))
    return entries


def damaged(path: Path, rng: random.Random) -> str:
    """Damage the log at one random place. Return what was done."""
    files = sorted(path.glob("wal-*.log"))
    file = rng.choice(files)
    data = bytearray(file.read_bytes())
    used = len(data.rstrip(b"\0"))
    kind = rng.choice(("flip", "flip", "zeros", "cut", "gone", "header"))
    at = rng.randrange(512 if kind == "header" else used)
    if kind in ("flip", "header"):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "zeros":
        at -= at % 512
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    elif kind == "cut":
        del data[at:]
    if kind == "gone":
        file.unlink()
    else:
        file.write_bytes(data)
    return f"{kind} at {at} of {file.name}, {len(files)} segments"


def opens(path: Path, codec: Any) -> bool:
    """Return whether a copy of this log opens."""
    copy = path.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(path, copy)
    try:
        walogs.open(copy, codec=codec).close()
    except walogs.Corrupt:
        return False
    return True
