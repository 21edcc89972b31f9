"""A durable append beside the bare write and sync, and what a batch costs above them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final

import walogs
from benchmarks.measure import BLOCK, LOOP, LOOP_AGAIN, LOOPS, TURNS, Row, Scale, Work, at_most, ratio, time_in_turns
from benchmarks.payloads import BATCH, ENTRY_BYTES, check_log, payloads
from walogs.cli.bench.bare import BareFile
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.formats.native import NativeFormat

BATCHES: Final = 5
"""Batches in a block: so few that the median block allocates no new window. That cost has a row of its own."""

BATCH_TURNS_MAX: Final = 10
"""An entry of a batch costs at most as many turns of the fixed loop: 120 ns where a turn takes 12."""


def frame_bytes(entries: int) -> int:
    """Return the bytes that one commit of this many entries of 128 bytes writes."""
    form = NativeFormat()
    return form.frame_bytes(form.body_bytes(entries, entries * ENTRY_BYTES), Crc32Codec.check_bytes)


def append(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure one durable append ÷ pwrite + fdatasync of as many bytes."""
    size = frame_bytes(1)
    room = (scale.rounds * scale.blocks + 1) * BLOCK * size
    with (
        walogs.open(place / "log") as wal,
        closing(BareFile(place / "bare", size, room)) as bare,
        closing(BareFile(place / "bare-again", size, room)) as bare_again,
    ):

        def appends() -> Work:
            data = payloads(wal.next_lsn, BLOCK)

            def work() -> None:
                for entry in data:
                    wal.append(entry)

            return work

        prepared: dict[str, Callable[[], Work]] = {
            "walogs": appends,
            "bare": lambda: bare.prepare(BLOCK),
            "bare again": lambda: bare_again.prepare(BLOCK),
        }
        for block in prepared.values():
            block()()  # warm
        costs = time_in_turns(prepared, scale.rounds, scale.blocks, time.perf_counter_ns)
        entries = wal.last_lsn
    check_log("durable appends", place / "log", entries)
    noise = costs.ratios("bare again", "bare")
    each = f"{costs.median('walogs') / BLOCK / 1000:.1f} and {costs.median('bare') / BLOCK / 1000:.1f} µs"
    what = "durable append of 128 B ÷ bare pwrite + fdatasync"
    yield ratio(what, costs.ratios("walogs", "bare", "bare again"), noise, at_most(1.10), each)
    total, total_bare = costs.total("walogs"), (costs.total("bare") + costs.total("bare again")) / 2
    yield Row(
        name="durable append ÷ bare, all of the time together",
        figure=total / total_bare,
        unit="×",
        noise=f"{costs.total('bare again') / costs.total('bare'):.2f}",
        beside="windows of zeros and pauses too",
    )


def batch(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure the CPU time of a batch, per entry, above that of as many bytes written and synced bare."""
    size = frame_bytes(BATCH)
    room = 100 * BATCHES * size
    with (
        walogs.open(place / "log") as wal,
        closing(BareFile(place / "bare", size, room)) as bare,
        closing(BareFile(place / "bare-again", size, room)) as bare_again,
    ):

        def work() -> int:
            cost = 0
            for _ in range(BATCHES):
                entries = payloads(wal.next_lsn, BATCH)  # made just before they are appended, as a caller's are
                began = time.thread_time_ns()
                wal.append_batch(entries)
                cost += time.thread_time_ns() - began
            return cost

        prepared: dict[str, Callable[[], Work]] = {
            "walogs": lambda: work,
            "bare": lambda: bare.prepare(BATCHES),
            "bare again": lambda: bare_again.prepare(BATCHES),
            **LOOPS,
        }
        for block in prepared.values():
            block()()
        costs = time_in_turns(prepared, scale.rounds, scale.batch_blocks, time.thread_time_ns)
        entries = wal.last_lsn
    check_log("durable batches", place / "log", entries)
    in_block = BATCHES * BATCH
    above = [cost / in_block for cost in costs.differences("walogs", "bare", "bare again")]
    loop = [cost / TURNS for cost in costs.medians(LOOP)]
    turns = [cost / turn for cost, turn in zip(above, loop, strict=True)]
    noise = costs.ratios(LOOP_AGAIN, LOOP)
    beside = f"{median(above):.0f} ns where a turn takes {median(loop):.1f}; bare {costs.median('bare') / in_block:.0f}"
    what = "append_batch of 1,000 × 128 B: CPU an entry above bare, in turns of the loop"
    yield ratio(what, turns, noise, at_most(BATCH_TURNS_MAX), beside)
    total_bare = (costs.total("bare") + costs.total("bare again")) / 2
    yield Row(
        name="append_batch ÷ bare, all of the CPU together",
        figure=costs.total("walogs") / total_bare,
        unit="×",
        noise=f"{costs.total('bare again') / costs.total('bare'):.2f}",
        beside="windows and rotations too",
    )
