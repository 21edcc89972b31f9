"""`python -m benchmarks.trees OTHER`: the cost of commits and checks with this tree, and with another one in OTHER.

Each round runs both trees in processes of their own, and the next round runs them in the other order. The CPU time is
measured, so that the disk does not matter. Each figure and each ratio is the median of its rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import walogs

ENTRY: Final = bytes(range(128))
ENTRIES: Final = 40_000
BATCH: Final = 1000
BLOCKS: Final = 100
ROUNDS: Final = 7
THIS: Final = Path(__file__).parents[1]


def cost_ns(work: Callable[[], object], times: int = 7) -> int:
    """Return the lowest CPU time of *times* runs."""

    def once() -> int:
        began = time.thread_time_ns()
        work()
        return time.thread_time_ns() - began

    return min(once() for _ in range(times))


def append_many(wal: walogs.Wal, count: int) -> None:
    for _ in range(count):
        wal.append(ENTRY)


def measure(place: str) -> dict[str, float]:
    """Return the nanoseconds per entry, by name."""
    found: dict[str, float] = {}
    path = os.path.join(place, "log")
    with walogs.open(os.path.join(place, "appended"), sync="none", max_segment_size=None) as wal:
        block = ENTRIES // BLOCKS
        found["append"] = cost_ns(lambda: append_many(wal, block), BLOCKS) / block
        found["append_batch of 1,000"] = cost_ns(lambda: wal.append_batch([ENTRY] * BATCH), 30) / BATCH
    with walogs.open(path, sync="none", max_segment_size=None) as wal:
        append_many(wal, ENTRIES)
        found["iterate, unsealed"] = cost_ns(lambda: sum(1 for _ in wal)) / ENTRIES
    found["open, unsealed"] = cost_ns(lambda: walogs.open(path).close()) / ENTRIES
    with walogs.open(path) as wal:
        wal.rotate()
        found["iterate, sealed"] = cost_ns(lambda: sum(1 for _ in wal)) / ENTRIES
    found["open, sealed"] = cost_ns(lambda: walogs.open(path).close()) / ENTRIES
    return found


def run_in(tree: Path) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    command = [sys.executable, str(Path(__file__)), "--one"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(told.stdout)
    return found


def main(other: Path) -> None:
    pairs: list[tuple[dict[str, float], dict[str, float]]] = []
    for turn in range(ROUNDS):
        trees = [other, THIS] if turn % 2 else [THIS, other]
        found = {tree: run_in(tree) for tree in trees}
        pairs.append((found[other], found[THIS]))
    for what in pairs[0][0]:
        ratios = sorted(new[what] / old[what] for old, new in pairs)
        old_ns, new_ns = (median(side[what] for side in sides) for sides in zip(*pairs, strict=True))
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        print(f"{what:22} {old_ns:7.0f} ns there, {new_ns:7.0f} ns here: × {median(ratios):.2f} ({spread})")


if __name__ == "__main__":
    if "--one" in sys.argv:
        with TemporaryDirectory() as directory:
            print(json.dumps(measure(directory)))
    else:
        main(Path(sys.argv[1]).resolve())
