"""Walks and random reads beside those of other stores, and opens beside reading the same files, from a warm cache."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

import walogs
from benchmarks.measure import (
    BLOCK,
    LOOP,
    LOOPS,
    TURNS,
    Bars,
    Costs,
    Limit,
    Result,
    Row,
    Scale,
    Work,
    at_least,
    at_most,
    bar,
    number,
    ratio,
    time_in_turns,
)
from benchmarks.payloads import (
    BATCH,
    Differs,
    check,
    check_entries,
    check_log,
    check_mixed,
    mixed,
    payload,
)
from benchmarks.peer_stores import Lmdb, Plyvel, Rocksdict, Sqlite
from benchmarks.peers import Peer, Reader, Skipped
from walogs.formats.crc32 import crc32

Verify = Literal["full", "last"]
KINDS: Final = ("batches, sealed", "batches, not sealed", "single appends, sealed", "single appends, not sealed")
LENGTHS: Final = {"equal": payload, "mixed": mixed}
CHUNK_BYTES: Final = 1 << 20


class Walked(NamedTuple):
    """A peer that is walked, and what it checks of an entry that it returns."""

    peer: Callable[[Path], Peer]
    checks: str


LMDB: Final = "LMDB's cursor of (key, value)"
WALKED: Final = {
    LMDB: Walked(Lmdb, "checks nothing: it has no checksums"),
    "RocksDB's iterator": Walked(Rocksdict, "checks a block's CRC when it comes from a file, not from its cache"),
    "LevelDB's iterator": Walked(Plyvel, "checks nothing, unless asked"),
    "sqlite3, SELECT": Walked(Sqlite, "checks nothing: its pages have no checksums"),
}
OURS_CHECK: Final = {
    True: "checks the CRC of the run that holds it, against the SEAL",
    False: "checks the CRCs of the frame that holds it, or of its run",
}
TARGETS: Final[dict[str, Limit]] = {
    "batches, sealed, equal": at_least(1.7),
    "batches, sealed, mixed": at_least(1.0),
    "single appends, sealed, equal": at_least(1.4),
    "single appends, sealed, mixed": at_least(0.8),
}
"""The rate of each kind of log ÷ that of LMDB's cursor over the same entries."""


# Logs that are read


def write_log(place: Path, kind: str, entries: int, data: Callable[[int], bytes] = payload) -> Path:
    """Write a log of this kind. Sealed logs have segments of the default size; the others have one active segment."""
    directory = place / f"{kind}-{data.__name__}".replace(", ", "-").replace(" ", "-")
    is_sealed = kind.endswith(", sealed")
    size = 64 << 20 if is_sealed else None
    with walogs.open(directory, sync="none", max_segment_size=size) as wal:
        if kind.startswith("batches"):
            for first_lsn in range(1, entries + 1, BATCH):
                wal.append_batch([data(lsn) for lsn in range(first_lsn, min(first_lsn + BATCH, entries + 1))])
        else:
            for lsn in range(1, entries + 1):
                wal.append(data(lsn))
        if is_sealed:
            wal.rotate()
    if data is payload:
        check_log(kind, directory, entries)
    return directory


def write_peer(peer: Callable[[Path], Peer], place: Path, entries: int, data: Callable[[int], bytes]) -> Reader:
    """Write the same entries into a peer, and open it for reading. Raise `Skipped`."""
    place.mkdir()
    written = peer(place)
    for first_lsn in range(1, entries + 1, BATCH):
        written.batch(first_lsn, [data(lsn) for lsn in range(first_lsn, min(first_lsn + BATCH, entries + 1))])()
    written.close()
    return written.reopen()


def open_all(
    stack: ExitStack, scale: Scale, place: Path, lengths: str
) -> tuple[dict[str, walogs.Wal], dict[str, Reader], list[Row]]:
    """Write the entries of these lengths into every kind of log and every peer, open them, and compare each entry.

    Return the logs, the peers, and a row for each peer that is not there. Raise `Differs`.
    """
    data, count = LENGTHS[lengths], scale.walked
    logs = {
        kind: stack.enter_context(walogs.open(write_log(place, kind, count, data), verify="last")) for kind in KINDS
    }
    readers: dict[str, Reader] = {}
    skipped: list[Row] = []
    for name, walked in WALKED.items():
        try:
            reader = write_peer(walked.peer, place / f"{name[:7]}-{lengths}", count, data)
        except Skipped as why:
            skipped.append(Row(f"{lengths} lengths: {name}", None, beside=str(why)))
            continue
        stack.callback(reader.close)
        readers[name] = reader
    for name, found in {**logs, **{name: reader.walk() for name, reader in readers.items()}}.items():
        if lengths == "mixed":
            check_mixed(name, found, count)
        elif name in logs:
            check_entries(name, found, count)
        else:
            check(name, (entry for _, entry in found), count)
    return logs, readers, skipped


# Walks


def pass_over(entries: Callable[[], Iterable[object]]) -> Work:
    def work() -> None:
        for _ in entries():
            pass

    return work


def walk(scale: Scale, place: Path) -> Iterator[Result]:
    """Measure the processor time of a walk over a whole log, with every check on, beside other stores."""
    for lengths in LENGTHS:
        with ExitStack() as stack:
            logs, readers, skipped = open_all(stack, scale, place, lengths)
            walks = {**{kind: wal.iter for kind, wal in logs.items()}, **{name: r.walk for name, r in readers.items()}}
            prepared: dict[str, Callable[[], Work]] = {
                name: partial(pass_over, entries) for name, entries in walks.items()
            }
            again = LMDB if LMDB in readers else KINDS[0]
            prepared["again"] = prepared[again]
            costs = time_in_turns({**prepared, **LOOPS}, scale.walks, 1, time.thread_time_ns)
        yield from walk_results(scale, costs, lengths, again, list(readers))
        yield from skipped


def walk_results(scale: Scale, costs: Costs, lengths: str, again: str, peers: list[str]) -> Iterator[Result]:
    noise = costs.ratios("again", again)
    names = [*KINDS, *(name for name in peers if name != again)]
    rates = {name: [1 / cost for cost in costs.ratios(name, again, "again")] for name in names}
    label = "LMDB's cursor" if again == LMDB else f"walogs, {again}"
    ours = {f"walogs, {name}" if name in KINDS else name: values for name, values in rates.items()}
    bars = [*(bar(name, values) for name, values in ours.items()), bar(again, [1.0])]
    yield Bars(
        name=f"walk-{lengths}",
        title=f"Walking all entries, {lengths} lengths ({'128 bytes' if lengths == 'equal' else '64 to 192 bytes'})",
        x=f"entries a second ÷ those of {label}: longer is faster",
        bars=sorted(bars, key=lambda each: -each.value),
    )
    for name, values in ours.items():
        kind = name.removeprefix("walogs, ")
        each_ns = costs.median(kind) / scale.walked
        limit = TARGETS.get(f"{kind}, {lengths}") if again == LMDB else None
        what = f"{lengths} lengths: {name}, rate ÷ {label}'s"
        yield ratio(what, values, noise, limit, f"{each_ns:.0f} ns an entry{beside_loop(costs)}")
    for name, target in {"RocksDB's iterator": 2.0, "sqlite3, SELECT": 1.0}.items():
        if name in peers and lengths == "equal":
            values = costs.ratios(name, KINDS[0])
            yield ratio(f"{lengths} lengths: walogs, {KINDS[0]}, rate ÷ {name}", values, noise, at_least(target))


def beside_loop(costs: Costs) -> str:
    return f", where a turn of the loop takes {costs.median(LOOP) / TURNS:.1f}"


# Opens


def read_and_check(log: Path) -> Work:
    """Return work that only reads the files of a log, in chunks, and computes one CRC."""

    def work() -> None:
        for file in log.glob("wal-*.log"):
            with file.open("rb", buffering=0) as opened:
                crc = 0
                while data := opened.read(CHUNK_BYTES):
                    crc = crc32(data, crc)

    return work


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


def open_log(scale: Scale, place: Path) -> Iterator[Result]:
    """Measure the processor time of an open, beside reading the same files and one CRC."""
    for kind in KINDS:
        log = write_log(place, kind, scale.walked)
        bytes_read = sum(file.stat().st_size for file in log.glob("wal-*.log"))
        prepared: dict[str, Callable[[], Work]] = {
            verify: partial(work_of_open, log, verify, scale.walked) for verify in ("full", "last")
        }
        prepared |= dict.fromkeys(("bare", "bare again"), partial(read_and_check, log))
        costs = time_in_turns({**prepared, **LOOPS}, scale.walks, 1, time.thread_time_ns)
        check_log(kind, log, scale.walked)
        noise = costs.ratios("bare again", "bare")
        for verify in ("full", "last"):
            took = costs.median(verify) / 1e6
            beside = f"{bytes_read >> 20} MiB in {number(took)} ms{beside_loop(costs)} ns"
            limit = at_most(2) if verify == "full" and kind.endswith(", sealed") else None
            values = costs.ratios(verify, "bare", "bare again")
            yield ratio(f'open, verify="{verify}", {kind} ÷ reading and one CRC', values, noise, limit, beside)


# Random reads


def read(scale: Scale, place: Path) -> Iterator[Result]:
    """Measure reading one entry by its number, at random, beside other stores."""
    chance = random.Random(3)

    def reads(get: Callable[[int], bytes | None]) -> Work:
        wanted = [chance.randrange(1, scale.walked + 1) for _ in range(BLOCK)]
        expected = list(map(payload, wanted))

        def work() -> int:
            began = time.thread_time_ns()
            found = [get(lsn) for lsn in wanted]
            ended = time.thread_time_ns()
            if found != expected:
                raise Differs("read at random: not what was appended")
            return ended - began

        return work

    with ExitStack() as stack:
        logs, readers, skipped = open_all(stack, scale, place, "equal")
        gets: dict[str, Callable[[int], bytes | None]] = {f"walogs, {kind}": wal.read for kind, wal in logs.items()}
        gets |= {name.partition("'")[0].partition(",")[0]: r.get for name, r in readers.items() if r.get is not None}
        again = "LMDB" if "LMDB" in gets else f"walogs, {KINDS[0]}"
        prepared: dict[str, Callable[[], Work]] = {name: partial(reads, get) for name, get in gets.items()}
        prepared["again"] = prepared[again]
        costs = time_in_turns(
            {**prepared, **LOOPS}, scale.walks, max(scale.reads // scale.walks, 1), time.thread_time_ns
        )
    yield from read_results(costs, list(gets), again)
    yield from skipped


def read_results(costs: Costs, names: list[str], again: str) -> Iterator[Result]:
    noise = costs.ratios("again", again)
    checks = {name.partition("'")[0].partition(",")[0]: walked.checks for name, walked in WALKED.items()}
    checks |= {f"walogs, {kind}": OURS_CHECK[kind.endswith(", sealed")] for kind in KINDS}
    values = {name: costs.ratios(name, again, "again") for name in names}
    yield Bars(
        name="read",
        title="Reading one entry by its number, at random",
        x=f"time ÷ that of {again}: shorter is faster",
        bars=sorted((bar(name, ratios) for name, ratios in values.items()), key=lambda each: each.value),
    )
    for name, ratios in values.items():
        if name == again:
            continue
        micros = costs.median(name) / BLOCK / 1000
        beside = f"{number(micros)} µs{beside_loop(costs)} ns; {checks[name]}"
        yield ratio(f"{name}, time ÷ that of {again}", ratios, noise, beside=beside)
