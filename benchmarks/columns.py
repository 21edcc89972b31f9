"""The columns of a log for Arrow, beside reading and checking the same frames alone, from a warm cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import walogs
from benchmarks.measure import LOOP, LOOP_AGAIN, LOOPS, TURNS, Row, Scale, Work, at_most, ratio, time_in_turns
from benchmarks.payloads import Differs
from benchmarks.reading import KINDS, LENGTHS, beside_loop, pass_over, write_log

TURNS_MAX: Final = {"batches, sealed, equal": 4}
"""45 ns an entry, where a turn of the loop takes 11.7."""


def work_of_frames(wal: walogs.Wal) -> Work:
    """Return the work of reading and checking every frame. Nobody looks into the frames."""

    def work() -> None:
        snapshot, first, end = wal._snapshot(None, None)
        for extent in snapshot.extents(first, end):
            for _ in wal._extent_reader._frames(extent, first, end):
                pass

    return work


def columns(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure the processor time of a reading as columns, beside reading and checking the frames alone, and `iter`."""
    for lengths, data in LENGTHS.items():
        for kind in KINDS:
            yield from columns_of(scale, write_log(place, kind, scale.walked, data), f"{kind}, {lengths}")


def columns_of(scale: Scale, log: Path, kind: str) -> Iterator[Row]:
    with walogs.open(log, verify="last") as wal:
        check_columns(kind, wal)
        prepared: dict[str, Callable[[], Work]] = {
            "columns": partial(pass_over, wal.arrow_batches),
            "iter": partial(pass_over, wal.iter),
            **dict.fromkeys(("frames", "again"), partial(work_of_frames, wal)),
            **LOOPS,
        }
        costs = time_in_turns(prepared, scale.walks, 1, time.thread_time_ns)
    noise = costs.ratios("again", "frames")
    each, alone = (costs.median(name) / scale.walked for name in ("columns", "frames"))
    beside = f"{each:.0f} ns an entry, {alone:.0f} alone{beside_loop(costs)}"
    yield ratio(
        f"columns, {kind} ÷ reading and checking alone", costs.ratios("columns", "frames"), noise, beside=beside
    )
    if kind in TURNS_MAX:
        turns = [TURNS / scale.walked * cost for cost in costs.ratios("columns", LOOP)]
        loops = costs.ratios(LOOP_AGAIN, LOOP)
        yield ratio(f"columns, {kind}, an entry ÷ a turn of the loop", turns, loops, at_most(TURNS_MAX[kind]))
    yield ratio(f"iter ÷ columns, {kind}", costs.ratios("iter", "columns"), noise)


def check_columns(kind: str, wal: walogs.Wal) -> None:
    """Raise `Differs` unless the columns hold what `iter` returns."""
    table = wal.to_arrow().table()
    found = zip(table["lsn"].to_pylist(), table["data"].to_pylist(), strict=True)
    if any(one != other for one, other in zip(found, wal, strict=True)):
        raise Differs(f"columns, {kind}: they are not what iter returns")
