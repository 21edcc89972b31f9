"""Walks, opens and random reads of logs of single appends and of batches, sealed and active, from a warm cache."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal

import walogs
from benchmarks.measure import (
    BLOCK,
    LOOP,
    Row,
    Scale,
    Work,
    at_least,
    at_most,
    fixed_loop,
    steadiness,
    time_in_turns,
)
from benchmarks.payloads import BATCH, Differs, check_entries, check_log, payload, payloads

Verify = Literal["full", "last"]
KINDS: Final = ("batches, sealed", "batches, not sealed", "single appends, sealed", "single appends, not sealed")
WALK_NS_MAX: Final = {"batches, sealed": 200, "batches, not sealed": 200, "single appends, sealed": 300}


def write_log(place: Path, kind: str, entries: int) -> Path:
    """Write a log of this kind. Sealed logs have segments of the default size; the others have one active segment."""
    directory = place / kind.replace(", ", "-").replace(" ", "-")
    is_sealed = kind.endswith(", sealed")
    size = 64 << 20 if is_sealed else None
    with walogs.open(directory, sync="none", max_segment_size=size) as wal:
        if kind.startswith("batches"):
            for first_lsn in range(1, entries + 1, BATCH):
                wal.append_batch(payloads(first_lsn, min(BATCH, entries + 1 - first_lsn)))
        else:
            for lsn in range(1, entries + 1):
                wal.append(payload(lsn))
        if is_sealed:
            wal.rotate()
    check_log(kind, directory, entries)
    return directory


def work_of_walk(wal: walogs.Wal) -> Work:
    def work() -> None:
        for _ in wal:
            pass

    return work


def walk(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure the CPU time per entry of a walk over a whole log, with every check on."""
    logs = {kind: walogs.open(write_log(place, kind, scale.walked), verify="last") for kind in KINDS}
    try:
        for kind, wal in logs.items():
            check_entries(kind, wal, scale.walked)
        prepared: dict[str, Callable[[], Work]] = {kind: partial(work_of_walk, wal) for kind, wal in logs.items()}
        prepared[LOOP] = fixed_loop
        costs = time_in_turns(prepared, scale.walks, 1, time.thread_time_ns)
    finally:
        for wal in logs.values():
            wal.close()
    for kind in KINDS:
        each = [nanoseconds / scale.walked for nanoseconds in costs.medians(kind)]
        limit = at_most(WALK_NS_MAX[kind]) if kind in WALK_NS_MAX else None
        beside = f"CPU; walks {min(each):.0f}–{max(each):.0f}"
        yield Row(
            name=f"walk, {kind}, an entry", figure=sorted(each)[len(each) // 2], unit="ns", limit=limit, beside=beside
        )
    yield steadiness(costs, "walks")


def work_of_open(directory: Path, verify: Verify, entries: int) -> Work:
    """Return work that opens the log and checks that all entries are there. Closing it is not counted."""

    def work() -> int:
        began = time.thread_time_ns()
        wal = walogs.open(directory, verify=verify, max_segment_size=None)
        ended = time.thread_time_ns()
        with wal:
            found = wal.recovery_report.entries
        if found != entries:
            raise Differs(f"{directory.name}: {found} of {entries} entries were recovered")
        return ended - began

    return work


def open_log(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure the bytes per second of CPU time that an open checks. Every byte was just read, so the cache is warm."""
    logs = {kind: write_log(place, kind, scale.walked) for kind in KINDS}
    sizes = {kind: sum(file.stat().st_size for file in log.glob("wal-*.log")) for kind, log in logs.items()}
    prepared: dict[str, Callable[[], Work]] = {
        f"{verify}, {kind}": partial(work_of_open, logs[kind], verify, scale.walked)
        for kind in KINDS
        for verify in (("full", "last") if kind.endswith(", sealed") else ("full",))
    }
    costs = time_in_turns({**prepared, LOOP: fixed_loop}, scale.walks, 1, time.thread_time_ns)
    for kind in KINDS:
        check_log(kind, logs[kind], scale.walked)
    for name in prepared:
        verify, _, kind = name.partition(", ")
        took = costs.median(name)
        beside = f"{sizes[kind] / (1 << 20):.0f} MiB in {took / 1e6:.1f} ms of CPU"
        if verify == "last":
            yield Row(name=f'open, verify="last", {kind}', figure=took / 1e6, unit="ms", limit=None, beside=beside)
        else:
            limit = at_least(1) if kind.endswith(", sealed") else None
            yield Row(
                name=f'open, verify="full", {kind}', figure=sizes[kind] / took, unit="GB/s", limit=limit, beside=beside
            )
    yield steadiness(costs, "opens")


def read(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure reading one entry by its LSN, at random in sealed segments."""
    kinds = ("single appends, sealed", "batches, sealed")
    logs = {kind: walogs.open(write_log(place, kind, scale.walked), verify="last") for kind in kinds}
    chance = random.Random(3)

    def reads(wal: walogs.Wal) -> Work:
        wanted = [chance.randrange(1, scale.walked + 1) for _ in range(BLOCK)]
        expected = list(map(payload, wanted))

        def work() -> int:
            began = time.thread_time_ns()
            found = [wal.read(lsn) for lsn in wanted]
            ended = time.thread_time_ns()
            if found != expected:
                raise Differs("read at random: not what was appended")
            return ended - began

        return work

    try:
        costs = time_in_turns({kind: partial(reads, logs[kind]) for kind in kinds}, 1, scale.reads, time.thread_time_ns)
    finally:
        for wal in logs.values():
            wal.close()
    for kind in kinds:
        yield Row(
            name=f"read(lsn) at random, {kind}",
            figure=costs.median(kind) / BLOCK / 1000,
            unit="µs",
            limit=None,
            beside="CPU",
        )
