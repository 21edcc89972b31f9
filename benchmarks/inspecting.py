"""`verify` of sealed and of active segments, and `backup` beside `cp`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import walogs
from benchmarks.measure import Row, Scale, Work, at_least, at_most, ratio, time_in_turns
from benchmarks.payloads import BATCH, Differs, check_entries, payloads
from benchmarks.reading import read_and_check

SEGMENT_BYTES: Final = 16 << 20


def make_log(path: Path, entries: int, *, is_sealed: bool) -> Path:
    """Make a log of batches, either in sealed segments with an empty one behind them, or in one active segment."""
    with walogs.open(path, sync="none", max_segment_size=SEGMENT_BYTES if is_sealed else None) as wal:
        for first_lsn in range(1, entries + 1, BATCH):
            wal.append_batch(payloads(first_lsn, min(BATCH, entries + 1 - first_lsn)))
        if is_sealed:
            wal.rotate()
    read_back(path, path, entries)
    return path


def read_back(what: object, path: Path, entries: int) -> None:
    """Raise `Differs` unless a reader finds every entry."""
    with walogs.reader(path) as reader:
        check_entries(str(what), reader, entries)


def inspect(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure `verify` and `backup`, from a warm cache."""
    sealed = make_log(place / "sealed", scale.walked, is_sealed=True)
    active = make_log(place / "active", scale.walked, is_sealed=False)
    yield from verify(scale, sealed, active)
    yield from backup_beside_cp(scale, place, sealed)


def verify(scale: Scale, sealed: Path, active: Path) -> Iterator[Row]:
    """Measure the processor time of verify, beside only reading the same files and computing their CRC."""
    sizes = {log: sum(file.stat().st_size for file in log.glob("wal-*.log")) for log in (sealed, active)}

    def work_of_verify(log: Path) -> Work:
        def work() -> int:
            began = time.process_time_ns()
            report = walogs.verify(log)
            took = time.process_time_ns() - began
            if not report.ok or report.entries != scale.walked:
                raise Differs(f"verify finds {report.findings} in {report.entries} entries of {scale.walked}")
            return took

        return work

    prepared: dict[str, Callable[[], Work]] = {
        "sealed": partial(work_of_verify, sealed),
        "active": partial(work_of_verify, active),
        "bare": lambda: read_and_check(sealed),
        "bare again": lambda: read_and_check(sealed),
        "bare active": lambda: read_and_check(active),
    }
    costs = time_in_turns(prepared, scale.rounds, 1, time.process_time_ns)
    read_back("what was verified, sealed", sealed, scale.walked)
    read_back("what was verified, not sealed", active, scale.walked)
    noise = costs.ratios("bare again", "bare")
    for what, name, log, beside in (
        ("sealed", "sealed", sealed, ("bare", "bare again")),
        ("not sealed", "active", active, ("bare active",)),
    ):
        speed = f"{sizes[log] / costs.median(name):.2f} GB/s"
        limit = at_most(2) if name == "sealed" else None
        yield ratio(f"verify, {what} ÷ reading and one CRC", costs.ratios(name, *beside), noise, limit, speed)


def backup_beside_cp(scale: Scale, place: Path, log: Path) -> Iterator[Row]:
    """Measure `backup` beside `cp`, into the same directory.

    The target compares it with `cp` *and* the syncs: a finished backup is on the disk, and a finished `cp` need not
    be. The time of `cp` alone is shown beside it.
    """
    copy = place / "copy"

    def with_cp() -> None:
        subprocess.run(["cp", "-r", log, copy], check=True)

    def with_cp_and_sync() -> None:
        with_cp()
        subprocess.run(["sync", *copy.iterdir(), copy, place], check=True)

    def with_backup() -> None:
        walogs.backup(log, copy)

    def copying(name: str, make: Callable[[], None]) -> Work:
        def work() -> int:
            os.sync()  # no turn pays for the dirty pages of the one before
            began = time.perf_counter_ns()
            make()
            took = time.perf_counter_ns() - began
            read_back(name, copy, scale.walked)
            shutil.rmtree(copy)
            return took

        return work

    makers = {
        "backup": with_backup,
        "cp": with_cp,
        "cp and sync": with_cp_and_sync,
        "cp and sync again": with_cp_and_sync,
    }
    prepared = {name: partial(copying, name, make) for name, make in makers.items()}
    costs = time_in_turns(prepared, scale.rounds, 2, time.perf_counter_ns)
    synced = [1 / ratio for ratio in costs.ratios("backup", "cp and sync", "cp and sync again")]
    alone = [1 / ratio for ratio in costs.ratios("backup", "cp")]
    noise = costs.ratios("cp and sync again", "cp and sync")
    each = f"{costs.median('backup') / 1e6:.0f} and {costs.median('cp and sync') / 1e6:.0f} ms"
    yield ratio("backup, as fast as cp and sync times", synced, noise, at_least(0.5), each)
    beside = f"cp {costs.median('cp') / 1e6:.0f} ms: nothing of it need be on the disk"
    yield ratio("backup, as fast as cp alone times", alone, noise, beside=beside)
