"""The columns of a log for Arrow, beside reading and checking the same frames alone, from a warm cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import walogs
from benchmarks.measure import LOOP, Row, Scale, Work, at_most, fixed_loop, spread, steadiness, time_in_turns
from benchmarks.payloads import Differs
from benchmarks.reading import KINDS, write_log

RATIO_MAX: Final = {"batches, sealed": 1.4}
"""45 ns an entry, where reading and checking alone were 32."""


def work_of_frames(wal: walogs.Wal) -> Work:
    """Return the work of reading and checking every frame. Nobody looks into the frames."""

    def work() -> None:
        snapshot, first, end = wal._snapshot(None, None)
        for extent in snapshot.extents(first, end):
            for _ in wal._extent_reader._frames(extent, first, end):
                pass

    return work


def work_of_columns(wal: walogs.Wal) -> Work:
    def work() -> None:
        for _ in wal.arrow_batches():
            pass

    return work


def work_of_iter(wal: walogs.Wal) -> Work:
    def work() -> None:
        for _ in wal:
            pass

    return work


def columns(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure the CPU time per entry of a reading as columns, as a ratio to reading and checking the frames alone."""
    for kind in KINDS:
        with walogs.open(write_log(place, kind, scale.walked), verify="last") as wal:
            check_columns(kind, wal)
            prepared: dict[str, Callable[[], Work]] = {
                "columns": partial(work_of_columns, wal),
                "frames": partial(work_of_frames, wal),
                "iter": partial(work_of_iter, wal),
                LOOP: fixed_loop,
            }
            costs = time_in_turns(prepared, scale.walks, 1, time.thread_time_ns)
        ratios = sorted(costs.ratios("columns", "frames"))
        each, alone = (costs.median(name) / scale.walked for name in ("columns", "frames"))
        beside = f"CPU; {each:.0f} ns an entry, {alone:.0f} alone; rounds {spread(ratios)}"
        limit = at_most(RATIO_MAX[kind]) if kind in RATIO_MAX else None
        name = f"columns, {kind} ÷ reading and checking alone"
        yield Row(name=name, figure=ratios[len(ratios) // 2], unit="×", limit=limit, beside=beside)
        faster = sorted(costs.ratios("iter", "columns"))
        yield Row(name=f"iter ÷ columns, {kind}", figure=faster[len(faster) // 2], unit="×", beside=spread(faster))
        yield steadiness(costs, f"columns, {kind}")


def check_columns(kind: str, wal: walogs.Wal) -> None:
    """Raise `Differs` unless the columns hold what `iter` returns."""
    table = wal.to_arrow().table()
    found = zip(table["lsn"].to_pylist(), table["data"].to_pylist(), strict=True)
    if any(one != other for one, other in zip(found, wal, strict=True)):
        raise Differs(f"columns, {kind}: they are not what iter returns")
