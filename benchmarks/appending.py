"""A durable append against the bare write and sync; what a batch costs above it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final

import walogs
from benchmarks.bare import ZeroFilled
from benchmarks.measure import (
    BLOCK,
    LOOP,
    Row,
    Scale,
    Work,
    at_most,
    fixed_loop,
    interleaved,
    spread,
    steadiness,
)
from benchmarks.payloads import BATCH, ENTRY_BYTES, check_log, payloads
from walogs.formats.native import CHECK_BYTES, NativeFormat

BATCHES: Final = 5
"""To a block: so few that the median block holds no new window of zeros; what those cost has a row of its own."""


def frame_bytes(entries: int) -> int:
    """What one commit of so many entries of 128 bytes writes."""
    form = NativeFormat()
    return form.frame_bytes(form.body_bytes(entries, entries * ENTRY_BYTES), CHECK_BYTES)


def append(scale: Scale, place: Path) -> Iterator[Row]:
    """One durable append ÷ pwrite + fdatasync of the same bytes."""
    frame = os.urandom(frame_bytes(1))
    size = 512 + (scale.rounds * scale.blocks + 1) * BLOCK * len(frame)
    with (
        walogs.open(place / "log") as wal,
        closing(ZeroFilled(place / "bare", size)) as bare,
        closing(ZeroFilled(place / "bare-again", size)) as bare_again,
    ):

        def appends() -> Work:
            data = payloads(wal.next_lsn, BLOCK)

            def work() -> None:
                for entry in data:
                    wal.append(entry)

            return work

        prepared: dict[str, Callable[[], Work]] = {
            "walogs": appends,
            "bare": lambda: bare.block(frame, BLOCK),
            "bare again": lambda: bare_again.block(frame, BLOCK),
        }
        for block in prepared.values():
            block()()  # warm
        costs = interleaved(prepared, scale.rounds, scale.blocks, time.perf_counter_ns)
        entries = wal.last_lsn
    check_log("durable appends", place / "log", entries)
    ratios, noise = costs.ratios("walogs", "bare", "bare again"), costs.ratios("bare again", "bare")
    each = f"{costs.median('walogs') / BLOCK / 1000:.1f} and {costs.median('bare') / BLOCK / 1000:.1f} µs"
    what = "durable append of 128 B ÷ bare pwrite + fdatasync"
    yield Row(what, median(ratios), "×", at_most(1.10), f"rounds {spread(ratios)}; {each}")
    yield Row("noise: one bare file ÷ the other", median(noise), "×", None, f"rounds {spread(noise)}")
    total, total_bare = costs.total("walogs"), (costs.total("bare") + costs.total("bare again")) / 2
    noise_of_totals = costs.total("bare again") / costs.total("bare")
    yield Row(
        "durable append ÷ bare, all of the time together",
        total / total_bare,
        "×",
        None,
        f"windows of zeros and pauses too; noise {noise_of_totals:.2f}",
    )


def batch(scale: Scale, place: Path) -> Iterator[Row]:
    """CPU of a batch, per entry, above the same bytes written and synced bare."""
    frame = os.urandom(frame_bytes(BATCH))
    size = 512 + 100 * BATCHES * len(frame)
    with (
        walogs.open(place / "log") as wal,
        closing(ZeroFilled(place / "bare", size)) as bare,
        closing(ZeroFilled(place / "bare-again", size)) as bare_again,
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
            "bare": lambda: bare.block(frame, BATCHES),
            "bare again": lambda: bare_again.block(frame, BATCHES),
            LOOP: fixed_loop,
        }
        for block in prepared.values():
            block()()
        costs = interleaved(prepared, scale.rounds, scale.batch_blocks, time.thread_time_ns)
        entries = wal.last_lsn
    check_log("durable batches", place / "log", entries)
    in_block = BATCHES * BATCH
    of_run = scale.rounds * scale.batch_blocks * in_block
    above = [nanoseconds / in_block for nanoseconds in costs.differences("walogs", "bare", "bare again")]
    noise = median(costs.differences("bare again", "bare")) / in_block
    yield Row(
        "append_batch of 1,000 × 128 B: CPU an entry above bare",
        median(above),
        "ns",
        at_most(120),
        f"rounds {min(above):.0f}–{max(above):.0f}; bare {costs.median('bare') / in_block:.0f}, noise {noise:+.0f}",
    )
    total_bare = (costs.total("bare") + costs.total("bare again")) / 2
    noise_of_totals = (costs.total("bare again") - costs.total("bare")) / of_run
    yield Row(
        "append_batch above bare, all of the CPU together",
        (costs.total("walogs") - total_bare) / of_run,
        "ns",
        None,
        f"windows and rotations too; noise {noise_of_totals:+.0f}",
    )
    yield steadiness(costs, "batches")
