"""Looking into a log: `verify` of sealed segments and of others, and `backup` beside `cp`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import walogs
from benchmarks.measure import Row, Scale, at_least
from benchmarks.payloads import Differs

BATCH = 1000


DATA = [os.urandom(128) for _ in range(BATCH)]


def made(path: Path, entries: int, *, is_sealed: bool) -> Path:
    size = 16 << 20 if is_sealed else None
    with walogs.open(path, sync="none", max_segment_size=size) as wal:
        for _ in range(entries // BATCH):
            wal.append_batch(DATA)
        if is_sealed:
            wal.rotate()
    return path


def inspect(scale: Scale, place: Path) -> Iterator[Row]:
    """From a warm cache, wall time; the copies are synced, by `cp` too."""
    for is_sealed in (True, False):
        log = made(place / f"log-{is_sealed}", scale.walked, is_sealed=is_sealed)
        rates, size = [], 0
        for _ in range(scale.rounds):
            began = time.perf_counter()
            report = walogs.verify(log)
            size = report.bytes
            rates.append(size / (time.perf_counter() - began) / 1e9)
            if not report.ok or report.entries != scale.walked:
                raise Differs(f"verify finds {report.findings} in {report.entries} entries")
        what = "sealed" if is_sealed else "not sealed"
        beside = f"rounds {min(rates):.1f}–{max(rates):.1f}; {size >> 20} MiB"
        yield Row(f"verify, {what}", median(rates), "GB/s", at_least(1) if is_sealed else None, beside)
    yield backup_beside_cp(scale, place)


def backup_beside_cp(scale: Scale, place: Path) -> Row:
    log, ratios = place / "log-True", []
    for number in range(scale.rounds * 2):
        took: dict[str, float] = {}
        for name in ("backup", "cp") if number % 2 else ("cp", "backup"):
            copy = place / name
            os.sync()
            began = time.perf_counter()
            if name == "cp":
                subprocess.run(["cp", "-r", log, copy], check=True)
                subprocess.run(["sync", *copy.iterdir(), copy], check=True)
            else:
                walogs.backup(log, copy)
            took[name] = time.perf_counter() - began
        with walogs.reader(place / "backup") as reader:
            lsns = [lsn for lsn, data in reader if data == DATA[(lsn - 1) % BATCH]]
        if lsns != list(range(1, scale.walked + 1)):
            raise Differs("the backup is not what was appended")
        shutil.rmtree(place / "backup")
        shutil.rmtree(place / "cp")
        ratios.append(took["cp"] / took["backup"])
    beside = f"rounds {min(ratios):.1f}–{max(ratios):.1f}; both synced"
    return Row("backup, as fast as cp times", median(ratios), "×", at_least(0.5), beside)
