"""Durable appends on file systems of their own, on loop devices, with their own syncs and with slow ones."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final

import walogs
from benchmarks.appending import frame_bytes
from benchmarks.measure import BLOCK, Bars, Result, Row, Scale, Work, bar, ratio, time_in_turns
from benchmarks.payloads import check, check_log, payloads
from benchmarks.peer_stores import Sqlite
from benchmarks.peers import Skipped, contents
from benchmarks.syncs import slow_syncs
from walogs.cli.bench.bare import BareFile

IMAGE_BYTES: Final = 1 << 30
COMMANDS: Final = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
SLOW_SECONDS: Final = 0.001


@contextmanager
def mounted(place: Path, kind: str) -> Iterator[Path]:
    """Make a file system of this kind in a file, and mount it. Raise `Skipped` if that is impossible."""
    if os.geteuid():
        raise Skipped("only root may mount a file system")
    if shutil.which(COMMANDS[kind][0]) is None:
        raise Skipped(f"{COMMANDS[kind][0]} is not installed")
    image, path = place / f"{kind}.img", place / f"{kind}.mnt"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    try:
        for command in ([*COMMANDS[kind], str(image)], ["mount", "-o", "loop", str(image), str(path)]):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        image.unlink()
        raise Skipped(
            f"{error.cmd[0]} failed: {(error.stderr.strip().splitlines() or ['no reason given'])[-1]}"
        ) from None
    try:
        yield path
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(path)], check=False, capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "-l", str(path)], check=False, capture_output=True)
        image.unlink()


def file_systems(scale: Scale, place: Path) -> Iterator[Result]:
    """Measure a durable append ÷ the bare write, and SQLite's ÷ ours, on each file system.

    The slow syncs are those of this process. SQLite has its own, which they do not slow down.
    """
    found: dict[str, list[float]] = {}
    for kind in COMMANDS:
        for speed, seconds in {"": 0.0, ", slow syncs": SLOW_SECONDS}.items():
            try:
                with mounted(place, kind) as path, slow_syncs(seconds) if seconds else nullcontext():
                    for row, ratios in appends(scale, path, f"{kind}{speed}", has_sqlite=not speed):
                        found.update(ratios)
                        yield row
            except Skipped as why:
                yield Row(f"{kind}{speed}: durable append ÷ bare", None, beside=str(why))
            with contextlib.suppress(OSError):
                (place / f"{kind}.mnt").rmdir()
    if found:
        yield Bars(
            name="file-systems",
            title="A durable append on three file systems",
            x="time ÷ that of a bare write and sync in the same run: shorter is faster",
            bars=[bar(name, values) for name, values in found.items()],
        )


def appends(scale: Scale, path: Path, name: str, *, has_sqlite: bool) -> Iterator[tuple[Row, dict[str, list[float]]]]:
    """Yield the rows of one file system, and the ratios to the bare write by what was measured."""
    size = frame_bytes(1)
    room = (scale.rounds * scale.blocks + 1) * BLOCK * size
    with (
        closing(Sqlite(path)) as sqlite,
        walogs.open(path / "log", max_segment_size=16 << 20) as wal,
        closing(BareFile(path / "bare", size, room)) as bare,
        closing(BareFile(path / "bare-again", size, room)) as bare_again,
    ):
        appended = 0

        def ours() -> Work:
            return partial(append_each, wal.append, payloads(wal.next_lsn, BLOCK))

        def theirs() -> Work:
            nonlocal appended
            appended += BLOCK
            return sqlite.block(appended + 1 - BLOCK, payloads(appended + 1 - BLOCK, BLOCK))

        prepared: dict[str, Callable[[], Work]] = {
            "walogs": ours,
            **({"sqlite3": theirs} if has_sqlite else {}),
            "bare": lambda: bare.prepare(BLOCK),
            "bare again": lambda: bare_again.prepare(BLOCK),
        }
        for block in prepared.values():
            block()()  # warm
        blocks = max(scale.blocks // 4, 1)
        costs = time_in_turns(prepared, scale.rounds, blocks, time.perf_counter_ns)
        entries = wal.last_lsn
    check_log(f"durable appends on {name}", path / "log", entries)
    with contents(sqlite) as found:
        check(f"sqlite3 on {name}", found, appended)
    noise = costs.ratios("bare again", "bare")
    of_ours = costs.ratios("walogs", "bare", "bare again")
    beside = f"bare {costs.median('bare') / BLOCK / 1000:.0f} µs"
    what = f"{name}: durable append ÷ bare"
    yield ratio(what, of_ours, noise, beside=beside), {f"walogs, {name}": of_ours}
    if "sqlite3" in prepared:
        of_theirs = costs.ratios("sqlite3", "bare", "bare again")
        what = f"{name}: sqlite3 (WAL, FULL) ÷ walogs"
        yield ratio(what, costs.ratios("sqlite3", "walogs"), noise), {f"sqlite3, {name}": of_theirs}


def append_each(append: Callable[[bytes], int], entries: list[bytes]) -> None:
    for data in entries:
        append(data)
