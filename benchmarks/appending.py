"""A durable append beside the bare write and sync, and what a batch costs above them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Final

import walogs
from benchmarks.measure import (
    BLOCK,
    LOOP,
    Row,
    Scale,
    Work,
    at_most,
    fixed_loop,
    spread,
    steadiness,
    time_in_turns,
)
from benchmarks.payloads import BATCH, ENTRY_BYTES, check_log, payloads
from walogs.cli.bench.bare import BareFile
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.formats.native import NativeFormat

BATCHES: Final = 5
"""Batches in a block: so few that the median block allocates no new window. That cost has a row of its own."""


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
    ratios, noise = costs.ratios("walogs", "bare", "bare again"), costs.ratios("bare again", "bare")
    each = f"{costs.median('walogs') / BLOCK / 1000:.1f} and {costs.median('bare') / BLOCK / 1000:.1f} µs"
    what = "durable append of 128 B ÷ bare pwrite + fdatasync"
    yield Row(
        name=what, figure=median(ratios), unit="×", limit=at_most(1.10), beside=f"rounds {spread(ratios)}; {each}"
    )
    yield Row(
        name="noise: one bare file ÷ the other",
        figure=median(noise),
        unit="×",
        limit=None,
        beside=f"rounds {spread(noise)}",
    )
    total, total_bare = costs.total("walogs"), (costs.total("bare") + costs.total("bare again")) / 2
    noise_of_totals = costs.total("bare again") / costs.total("bare")
    yield Row(
        name="durable append ÷ bare, all of the time together",
        figure=total / total_bare,
        unit="×",
        limit=None,
        beside=f"windows of zeros and pauses too; noise {noise_of_totals:.2f}",
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
            LOOP: fixed_loop,
        }
        for block in prepared.values():
            block()()
        costs = time_in_turns(prepared, scale.rounds, scale.batch_blocks, time.thread_time_ns)
        entries = wal.last_lsn
    check_log("durable batches", place / "log", entries)
    in_block = BATCHES * BATCH
    of_run = scale.rounds * scale.batch_blocks * in_block
    above = [nanoseconds / in_block for nanoseconds in costs.differences("walogs", "bare", "bare again")]
    noise = median(costs.differences("bare again", "bare")) / in_block
    bare_ns = costs.median("bare") / in_block
    yield Row(
        name="append_batch of 1,000 × 128 B: CPU an entry above bare",
        figure=median(above),
        unit="ns",
        limit=at_most(120),
        beside=f"rounds {min(above):.0f}–{max(above):.0f}; bare {bare_ns:.0f}, noise {noise:+.0f}",
    )
    total_bare = (costs.total("bare") + costs.total("bare again")) / 2
    noise_of_totals = (costs.total("bare again") - costs.total("bare")) / of_run
    yield Row(
        name="append_batch above bare, all of the CPU together",
        figure=(costs.total("walogs") - total_bare) / of_run,
        unit="ns",
        limit=None,
        beside=f"windows and rotations too; noise {noise_of_totals:+.0f}",
    )
    yield steadiness(costs, "batches")
