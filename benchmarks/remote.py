"""A store behind a network: many callers of one log, and reading many segments.

The network is modelled. Each request to a store in memory takes so many milliseconds, whatever the machine does
meanwhile. So the figures show what walogs adds to the distance, on a machine without any server.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import walogs
from benchmarks.measure import Limit, Row, Scale, at_least, at_most
from benchmarks.payloads import BATCH, ENTRY_BYTES, check_entries, payloads
from walogs.cli.bench.entries import Check, Entries
from walogs.cli.bench.rows import Callers
from walogs.testing import MemoryCloud, MemoryImmutableStore

PUT_SECONDS: Final = 0.060
READ_SECONDS: Final = 0.020
AT_ONCE: Final = 16
"""So many reads are under way at a time, by the store and by the bare client."""
THREADS: Final = {256: 230, 1000: 700}
"""Number of threads, and how many times the rate of one thread they should reach."""
IN_FLIGHT: Final = 10_000


class DistantStore(MemoryImmutableStore):
    """A store in memory whose requests take time."""

    put_seconds = 0.0
    read_seconds = 0.0
    remove_seconds = 0.0

    def create(self, number: int, data: bytes) -> None:  # type: ignore[override]
        time.sleep(self.put_seconds)
        super().create(number, data)

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        time.sleep(self.read_seconds)
        return super().read(number, start, end)

    def size(self, number: int) -> int:
        time.sleep(self.read_seconds)
        return super().size(number)

    def sizes(self) -> Mapping[int, int]:
        time.sleep(self.read_seconds)
        return {number: super(DistantStore, self).size(number) for number in super().segments()}

    def remove(self, numbers: Sequence[int]) -> None:
        if numbers:
            time.sleep(self.remove_seconds)
        super().remove(numbers)

    def read_many(self, numbers: Sequence[int], end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        for number, data in zip(numbers, read_at_once(self, numbers), strict=True):
            yield number, len(data), data if end is None else data[:end]


def read_at_once(store: MemoryImmutableStore, numbers: Sequence[int]) -> Iterator[bytes]:
    """Yield the bytes of these segments in order. AT_ONCE of them are read at a time."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        ahead: deque[Future[bytes]] = deque()
        for number in numbers:
            ahead.append(threads.submit(store.read, number))
            if len(ahead) == AT_ONCE:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def times(name: str, figure: float, limit: Limit | None, beside: str = "", noise: str = "") -> Row:
    """Return the row of a ratio."""
    return Row(name=name, figure=figure, unit="×", limit=limit, beside=beside, noise=noise)


def remote(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure throughput at 60 ms a put, reading at 20 ms a request, and an append beside a large checkpoint."""
    yield from many_callers(scale)
    yield from reading(scale)
    yield beside_a_checkpoint(scale)


# Many callers


def many_callers(scale: Scale) -> Iterator[Row]:
    seconds = 10 * scale.turn_seconds
    one = by_threads(1, seconds).per_second
    noise = f"{one * PUT_SECONDS:.2f}"
    yield times("remote: one caller, of one put after the other", one * PUT_SECONDS, at_least(0.95))
    for threads, wanted in THREADS.items():
        busy = by_threads(threads, seconds)
        beside = f"{busy.in_a_put / threads:.2f} of them in each put; {busy.processor_us:.0f} µs of processor an entry"
        yield times(f"remote: {threads:,} callers ÷ one", busy.per_second / one, at_least(wanted), beside, noise)
    busy = by_futures(seconds)
    name = f"remote: one thread, {IN_FLIGHT:,} submitted, of all in every put"
    beside = f"{busy.in_a_put / IN_FLIGHT:.2f} of them in each put; {busy.processor_us:.1f} µs of processor an entry"
    yield times(name, busy.per_second * PUT_SECONDS / IN_FLIGHT, at_least(0.6), beside, noise)


class Load(NamedTuple):
    """What callers did to a log."""

    per_second: float
    """Entries a second."""
    in_a_put: float
    """Entries that shared a put."""
    processor_us: float
    """Processor time of the whole process for an entry, in microseconds. The callers' own work is in it."""


def by_threads(threads: int, seconds: float) -> Load:
    """Append in so many threads."""
    entries, cloud = Entries(ENTRY_BYTES), MemoryCloud()
    store = DistantStore(cloud)
    with walogs.open(store=store) as wal:
        store.put_seconds = PUT_SECONDS
        running, began = Callers(wal, entries, threads), time.process_time()
        took = running.run(seconds).seconds
        load = load_of(wal, took, time.process_time() - began)
    check = Check("remote", entries, running.appended)
    check.read(walogs.reader(store=MemoryImmutableStore(cloud)))
    check.end()
    return load


def load_of(wal: walogs.Wal, took: float, processor: float) -> Load:
    """Return what was done to this log in so many seconds, and with so many seconds of processor time."""
    stats = wal.stats()
    return Load(stats.entries / took, stats.entries / stats.commits, processor / stats.entries * 1e6)


def by_futures(seconds: float) -> Load:
    """Submit in one thread, with IN_FLIGHT entries that are not done yet."""
    entries, cloud = Entries(ENTRY_BYTES), MemoryCloud()
    store, in_flight, count = DistantStore(cloud), deque[Future[int]](), 0
    with walogs.open(store=store) as wal:
        store.put_seconds = PUT_SECONDS
        began, before = time.perf_counter(), time.process_time()
        while time.perf_counter() - began < seconds:
            while len(in_flight) < IN_FLIGHT:
                in_flight.append(wal.submit(entries.data(0, count)))
                count += 1
            in_flight.popleft().result()
            while in_flight and in_flight[0].done():
                in_flight.popleft().result()
        for future in in_flight:
            future.result()
        load = load_of(wal, time.perf_counter() - began, time.process_time() - before)
    check = Check("remote", entries, [count])
    check.read(walogs.reader(store=MemoryImmutableStore(cloud)))
    check.end()
    return load


# Reading


def reading(scale: Scale) -> Iterator[Row]:
    """Read every entry of a log of many segments, beside a client that reads the segments bare."""
    segments = max(scale.walked // 1250, 20)
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for number in range(segments):
            wal.append_batch(payloads(number * BATCH + 1, BATCH)[: BATCH // 2])
    entries = segments * (BATCH // 2)
    numbers = MemoryImmutableStore(cloud).segments()

    def bare() -> float:
        store = far(cloud)
        return timed(lambda: deque(read_at_once(store, numbers), maxlen=0))

    def opened() -> float:
        store = far(cloud)
        return timed(lambda: walogs.open(store=store).close())

    def replayed() -> float:
        with walogs.open(store=far(cloud)) as wal:
            return timed(lambda: check_all("remote replay", wal, segments))

    def read_beside() -> float:
        return timed(lambda: check_all("remote reader", walogs.reader(store=far(cloud)), segments))

    one_by_one = len(numbers) * READ_SECONDS
    turns = [(bare(), opened(), replayed(), read_beside()) for _ in range(scale.rounds)]
    alone, opening, replaying, beside = (median(column) for column in zip(*turns, strict=True))
    size = f"{len(numbers):,} segments, {entries:,} entries"
    name = f"remote: one request after the other ÷ open ({AT_ONCE} at a time)"
    yield times(name, one_by_one / opening, None, size)
    yield times(f"remote: bare, {AT_ONCE} reads at a time ÷ replay", alone / replaying, at_least(0.8), size)
    yield times(f"remote: bare, {AT_ONCE} reads at a time ÷ a reader beside", alone / beside, None, size)


def far(cloud: MemoryCloud) -> DistantStore:
    store = DistantStore(cloud)
    store.read_seconds = READ_SECONDS
    return store


def check_all(what: str, found: Iterator[tuple[int, bytes]] | walogs.Wal | walogs.WalReader, segments: int) -> None:
    """Raise `Differs` unless *found* holds every entry."""
    half = BATCH // 2
    there = iter(found)
    for number in range(segments):
        block = payloads(number * BATCH + 1, BATCH)[:half]
        got = [next(there, (0, b"")) for _ in range(half)]
        expected = list(zip(range(number * half + 1, (number + 1) * half + 1), block, strict=True))
        if got != expected:
            check_entries(what, [], 1)  # it raises `Differs`


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


# A checkpoint beside


def beside_a_checkpoint(scale: Scale) -> Row:
    """Append while a checkpoint removes many segments, 100 with one request of 60 ms."""
    segments = max(scale.walked // 50, 300)
    store = DistantStore(MemoryCloud())
    with walogs.open(store=store) as wal:
        for _ in range(segments):
            wal.append(b"x")
        store.put_seconds = store.remove_seconds = PUT_SECONDS
        alone = median(timed(lambda: wal.append(b"x")) for _ in range(9))
        last_lsn = wal.last_lsn
        remover = threading.Thread(target=wal.checkpoint, args=(last_lsn,))
        remover.start()
        took = []
        while remover.is_alive() and len(took) < 50:
            took.append(timed(lambda: wal.append(b"x")))
        remover.join()
        if len(list(wal)) != wal.last_lsn - wal.first_lsn + 1:
            check_entries("remote checkpoint", [], 1)
    worst = max(took, default=alone)
    beside = f"{segments:,} segments removed; worst {worst / alone:.2f} ×"
    ratio = median(took or [alone]) / alone
    return times("remote: an append beside a checkpoint ÷ alone", ratio, at_most(2), beside)
