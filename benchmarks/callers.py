"""Many callers on one log: threads in `append`, futures in flight, and what the sharing costs a lone caller."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import walogs
from benchmarks.measure import BLOCK, SEED, Row, Scale, Work, at_least, at_most, interleaved
from benchmarks.payloads import Differs

ENTRY_BYTES: Final = 128
THREADS: Final = (1, 2, 8, 64, 256)
IN_FLIGHT: Final = 1000
TARGETS: Final = {64: 4.0}


class Rate(NamedTuple):
    """Of one kind of caller, for some time."""

    entries_a_second: float
    entries_a_commit: float


def data_of(thread: int, number: int) -> bytes:
    return b"%04d:%08d" % (thread, number) * (ENTRY_BYTES // 13 + 1)


def checked(path: Path, appended: dict[int, int], seconds: float) -> Rate:
    """The rate, once a reader has found what each thread appended, in its order. Raises `Differs`."""
    numbers = dict.fromkeys(appended, 0)
    with walogs.reader(path) as reader:
        for lsn, data in reader:
            thread = int(data[:4])
            if data != data_of(thread, numbers[thread]):
                raise Differs(f"entry {lsn} of {path} is not what thread {thread} appended")
            numbers[thread] += 1
        commits = sum(1 for _ in reader.commits())
    if numbers != appended:
        raise Differs(f"{path} holds {numbers}, and {appended} were acknowledged")
    total = sum(appended.values())
    return Rate(total / seconds, total / commits)


def by_threads(path: Path, threads: int, seconds: float, sync: str = "fdatasync") -> Rate:
    appended = dict.fromkeys(range(threads), 0)
    stop = threading.Event()

    def call(name: int) -> None:
        count = 0
        while not stop.is_set():
            wal.append(data_of(name, count))
            count += 1
        appended[name] = count

    with walogs.open(path, sync=sync) as wal:
        running = [threading.Thread(target=call, args=(name,)) for name in appended]
        began = time.perf_counter()
        for thread in running:
            thread.start()
        time.sleep(seconds)
        stop.set()
        for thread in running:
            thread.join()
        took = time.perf_counter() - began
    return checked(path, appended, took)


def by_futures(path: Path, seconds: float) -> Rate:
    in_flight = deque[object]()
    count = 0
    with walogs.open(path) as wal:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            in_flight.append(wal.submit(data_of(0, count)))
            count += 1
            if len(in_flight) >= IN_FLIGHT:
                in_flight.popleft().result()  # type: ignore[attr-defined]
        for future in in_flight:
            future.result()  # type: ignore[attr-defined]
        took = time.perf_counter() - began
    return checked(path, {0: count}, took)


def callers(scale: Scale, place: Path) -> Iterator[Row]:
    """Throughput beside one thread's, in the same round; and a lone append beside its writer called under a lock."""
    rates: dict[str, list[Rate]] = {name: [] for name in (*map(str, THREADS), "futures", "interval")}
    seconds, rng = max(scale.blocks / 60, 0.05), random.Random(SEED)
    for number in range(scale.rounds):
        for name in rng.sample(list(rates), len(rates)):
            path = place / f"{name}-{number}"
            if name == "futures":
                rates[name].append(by_futures(path, seconds))
            elif name == "interval":
                rates[name].append(by_threads(path, 1, seconds, "interval"))
            else:
                rates[name].append(by_threads(path, int(name), seconds))
    one = [rate.entries_a_second for rate in rates["1"]]
    yield Row("one thread in append", median(one), "/s", beside=f"rounds {min(one):.0f}–{max(one):.0f}")
    for threads in THREADS[1:]:
        target = at_least(TARGETS[threads]) if threads in TARGETS else None
        yield over_one(f"{threads} threads in append ÷ one", rates[str(threads)], one, target)
    yield over_one("one thread, 1,000 futures in flight ÷ one", rates["futures"], one, at_least(6.0))
    yield over_one('one thread, sync="interval" ÷ one', rates["interval"], one, None)
    yield lone(scale, place)


def over_one(what: str, rates: list[Rate], one: list[float], target: object) -> Row:
    ratios = [rate.entries_a_second / single for rate, single in zip(rates, one, strict=True)]
    shared = median(rate.entries_a_commit for rate in rates)
    beside = f"rounds {min(ratios):.1f}–{max(ratios):.1f}; {shared:.0f} entries a commit"
    return Row(what, median(ratios), "×", target, beside)  # type: ignore[arg-type]


def lone(scale: Scale, place: Path) -> Row:
    """What a lone caller pays for the sharing that it does not use."""

    names = ("append", "writer", "writer again")
    opened = {name: walogs.open(place / name) for name in names}

    def through(name: str) -> Work:
        wal, entry, guard = opened[name], data_of(0, 0), threading.Lock()
        writer = wal._writer

        def append() -> None:
            for _ in range(BLOCK):
                wal.append(entry)

        def directly() -> None:
            for _ in range(BLOCK):
                with guard:
                    writer.append([entry])

        return append if name == "append" else directly

    prepared = {name: partial(through, name) for name in names}
    costs = interleaved(prepared, scale.rounds, scale.blocks, time.perf_counter_ns)
    for wal in opened.values():
        wal.close()
        with walogs.reader(wal.path) as reader:
            if any(data != data_of(0, 0) for _, data in reader) or reader.last_lsn != wal.last_lsn:
                raise Differs(f"{wal.path} is not what was appended")
    ratios, noise = costs.ratios("append", "writer", "writer again"), costs.ratios("writer", "writer again")
    beside = f"rounds {min(ratios):.2f}–{max(ratios):.2f}; noise {median(noise):.2f}"
    return Row("a lone append ÷ its writer under a plain lock", median(ratios), "×", at_most(1.05), beside)
