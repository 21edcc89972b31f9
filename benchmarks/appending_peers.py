"""A durable append, and a durable batch, of each peer beside those of walogs: one run, one directory."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.measure import BLOCK, Bars, Costs, Result, Row, Scale, Work, at_least, bar, number, ratio, time_in_turns
from benchmarks.native import NATIVE
from benchmarks.payloads import BATCH, check, payloads
from benchmarks.peer_stores import Diskcache, LiteQueue, Lmdb, PersistQueue, Plyvel, Rocksdict, Sqlite
from benchmarks.peers import AppendedFile, Peer, Skipped, Walogs, contents

SQLITE: Final = "sqlite3, WAL, FULL"
FAST_MICROS: Final = 100
"""A durable append takes less on a disk that is so fast that the processor's part of it counts."""
PEERS: Final[dict[str, Callable[[Path], Peer]]] = {
    "walogs": Walogs,
    'open(…, "ab"), write, flush, fsync': AppendedFile,
    SQLITE: Sqlite,
    "lmdb, sync=True": Lmdb,
    "plyvel (LevelDB), sync=True": Plyvel,
    "rocksdict (RocksDB), sync=True": Rocksdict,
    "diskcache, FULL": Diskcache,
    "persist-queue, WAL": PersistQueue,
    "litequeue, FULL": LiteQueue,
    **NATIVE,
}
DISTRIBUTIONS: Final = ("lmdb", "plyvel", "rocksdict", "diskcache", "persist-queue", "litequeue", "aiosqlite")
AGAIN: Final = "walogs again"
SYNCS: Final = "fsync,fdatasync,msync,sync_file_range"
APPENDED: Final = 50
"""Appends whose syncs are counted."""


def peers(scale: Scale, place: Path) -> Iterator[Result]:
    """Measure one durable append of each peer ÷ one of walogs, and one durable batch ÷ one of walogs."""
    running: dict[str, Peer] = {}
    skipped: dict[str, str] = {}
    try:
        for turn, (name, peer) in enumerate({**PEERS, AGAIN: Walogs}.items()):
            directory = place / str(turn)
            directory.mkdir()
            try:
                running[name] = peer(directory)
            except Skipped as why:
                skipped[name] = str(why)
        appended = dict.fromkeys(running, 0)
        singles = append_in_turns(running, appended, scale, BLOCK)
        batches = append_in_turns(running, appended, scale, BATCH)
        read_back(running, appended)
    finally:
        for each in running.values():
            each.close()
    yield from compare("one durable append of 128 bytes", "append", singles, BLOCK, syncs_of(singles))
    yield from compare("one durable batch of 1,000 × 128 bytes", "batch", batches, 1, {})
    for name, reason in skipped.items():
        yield Row(f"{name} ÷ walogs", None, beside=reason)


def append_in_turns(running: Mapping[str, Peer], appended: dict[str, int], scale: Scale, size: int) -> Costs:
    """Time blocks of appends of every peer, or batches of those that have them. *appended* is counted on."""

    def block(name: str) -> Work:
        first_lsn = appended[name] + 1
        entries = payloads(first_lsn, size)
        work = running[name].batch(first_lsn, entries) if size == BATCH else running[name].block(first_lsn, entries)
        appended[name] += size
        return work

    prepared: dict[str, Callable[[], Work]] = {}
    for name in running:
        with suppress(Skipped):
            block(name)()  # warm
            prepared[name] = partial(block, name)
    blocks = scale.batch_blocks if size == BATCH else scale.blocks
    return time_in_turns(prepared, scale.rounds, blocks, time.perf_counter_ns)


def read_back(running: Mapping[str, Peer], appended: Mapping[str, int]) -> None:
    """Close every peer, and compare what its own reader gives. Raise `Differs`."""
    for name, peer in running.items():
        peer.close()
        with contents(peer) as found:
            check(name, found, appended[name])


def compare(what: str, short: str, costs: Costs, operations: int, syncs: Mapping[str, float]) -> Iterator[Result]:
    """Yield a picture and a row for each peer."""
    noise = costs.ratios(AGAIN, "walogs")
    ratios = {name: costs.ratios(name, "walogs", AGAIN) for name in costs.by_name if name != AGAIN}
    yield Bars(
        name=f"peers-{short}",
        title=f"{what[0].upper()}{what[1:]}",
        x="time ÷ walogs' time in the same run: shorter is faster",
        bars=sorted((bar(name, values) for name, values in ratios.items()), key=lambda each: each.value),
    )
    for name, values in ratios.items():
        if name != "walogs":
            micros = [costs.median(each) / operations / 1000 for each in (name, "walogs")]
            counted = f"; syncs an append: {number(syncs[name])}" if name in syncs else ""
            beside = f"{number(micros[0])} and {number(micros[1])} µs{counted}"
            limit = at_least(1.15) if (name, short) == (SQLITE, "append") and micros[1] < FAST_MICROS else None
            yield ratio(f"{what}: {name} ÷ walogs", values, noise, limit, beside)


# Syncs


def syncs_of(costs: Costs) -> dict[str, float]:
    """Return how many syncs each peer makes for an append, as strace counts them. Empty if there is no strace."""
    if shutil.which("strace") is None:
        return {}
    found: dict[str, float] = {}
    for name in costs.by_name:
        if name in PEERS:
            with suppress(Skipped):
                found[name] = (count_syncs(name, 2 * APPENDED) - count_syncs(name, APPENDED)) / APPENDED
    return found


def count_syncs(name: str, appends: int) -> int:
    """Return the syncs of a process that makes so many durable appends to a new peer. Raise `Skipped`."""
    with TemporaryDirectory(prefix="walogs-syncs-") as directory:
        trace, place = Path(directory, "trace"), Path(directory, "peer")
        place.mkdir()
        command = ["strace", "-f", "-qq", "-e", f"trace={SYNCS}", "-o", str(trace)]
        program = [sys.executable, "-m", "benchmarks.appending_peers", name, str(place), str(appends)]
        ran = subprocess.run([*command, *program], check=False, capture_output=True, text=True)
        if ran.returncode:
            raise Skipped(f"strace could not run it: {(ran.stderr.strip().splitlines() or ['no reason given'])[-1]}")
        calls = SYNCS.replace(",", "|")
        return len(re.findall(rf"^\d+ +(?:{calls})\(", trace.read_text(), re.MULTILINE))


def append_alone(name: str, place: Path, appends: int) -> None:
    """Make so many durable appends to a new peer."""
    peer = PEERS[name](place)
    try:
        peer.block(1, payloads(1, appends))()
    finally:
        peer.close()


if __name__ == "__main__":
    append_alone(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
