"""Many callers of one log: threads in `append`, futures in flight, and what a lone caller pays for the sharing."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any, Final, NamedTuple

import walogs
from benchmarks.measure import BLOCK, SEED, Limit, Row, Scale, Work, at_least, at_most, ratio, time_in_turns
from benchmarks.payloads import ENTRY_BYTES, check_log, payloads
from walogs.cli.bench.entries import Check, Entries
from walogs.cli.bench.rows import Callers
from walogs.defaults.local_store import LocalStore

THREADS: Final = {"one": 1, "one again": 1, "2": 2, "8": 8, "64": 64, "256": 256}
IN_FLIGHT: Final = 1000


class Rate(NamedTuple):
    """How fast one kind of caller appended."""

    entries_a_second: float
    entries_a_commit: float


def check_rate(path: Path, entries: Entries, appended: Sequence[int], seconds: float) -> Rate:
    """Return the rate after a reader has found what each thread appended, in its order. Raise `Differs` otherwise."""
    check = Check("callers", entries, appended)
    with walogs.reader(path) as reader:
        check.read(reader)
        commits = sum(1 for _ in reader.commits())
    check.end()
    total = sum(appended)
    return Rate(total / seconds, total / commits)


class SlowStore(LocalStore):
    """Local files whose syncs take a fixed time, and are not made."""

    sync_seconds = 0.0

    def sync(self, number: int, kind: Any) -> None:
        time.sleep(self.sync_seconds)


def place_of(path: Path, sync_seconds: float | None) -> dict[str, Any]:
    """Return the keywords of `open` for a log there, whose syncs take so long. None: as long as they take here."""
    if sync_seconds is None:
        return {"path": path}
    store = SlowStore(path)
    store.sync_seconds = sync_seconds
    return {"store": store}


def by_threads(
    path: Path, threads: int, seconds: float, sync_seconds: float | None = None, sync: str = "fdatasync"
) -> Rate:
    """Append from this many threads at once, for so many seconds."""
    entries = Entries(ENTRY_BYTES)
    with walogs.open(**place_of(path, sync_seconds), sync=sync) as wal:
        running = Callers(wal, entries, threads)
        took = running.run(seconds).seconds
    return check_rate(path, entries, running.appended, took)


def by_futures(path: Path, futures: int, seconds: float, sync_seconds: float | None = None) -> Rate:
    """Append from one thread that waits only for the oldest of so many futures, for so many seconds."""
    entries = Entries(ENTRY_BYTES)
    in_flight = deque[Future[int]]()
    count = 0
    with walogs.open(**place_of(path, sync_seconds)) as wal:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            in_flight.append(wal.submit(entries.data(0, count)))
            count += 1
            if len(in_flight) >= futures:
                in_flight.popleft().result()
        for future in in_flight:
            future.result()
        took = time.perf_counter() - began
    return check_rate(path, entries, [count], took)


def take_turns(kinds: Mapping[str, Callable[[Path], Rate]], turns: int, place: Path) -> dict[str, list[Rate]]:
    """Measure each kind of callers in every turn, in a new random order. Each has a log of its own."""
    rates: dict[str, list[Rate]] = {name: [] for name in kinds}
    order, chance = list(kinds), random.Random(SEED)
    for turn in range(turns):
        chance.shuffle(order)
        for name in order:
            path = place / f"{name}-{turn}"
            rates[name].append(kinds[name](path))
            shutil.rmtree(path, ignore_errors=True)  # what is only in memory has no path
    return rates


def callers(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure throughput beside one thread in the same turn, and a lone append beside its writer under a lock."""

    seconds = scale.turn_seconds
    kinds: dict[str, Callable[[Path], Rate]] = {
        name: partial(by_threads, threads=threads, seconds=seconds) for name, threads in THREADS.items()
    }
    kinds["futures"] = partial(by_futures, futures=IN_FLIGHT, seconds=seconds)
    kinds["interval"] = partial(by_threads, threads=1, seconds=seconds, sync="interval")
    rates = take_turns(kinds, scale.turns, place)
    one = [rate.entries_a_second for rate in rates["one"]]
    again = [rate.entries_a_second for rate in rates["one again"]]
    both = list(map(fmean, zip(one, again, strict=True)))
    noise = [first / second for first, second in zip(one, again, strict=True)]
    for name in ("2", "8", "64", "256"):
        target = at_least(4.0) if name == "64" else None
        yield over_one(f"{name} threads in append ÷ one", rates[name], both, noise, target)
    yield over_one("one thread, 1,000 futures in flight ÷ one", rates["futures"], both, noise, at_least(6.0))
    yield over_one('one thread, sync="interval" ÷ one', rates["interval"], both, noise, None)
    yield from lone(scale, place)


def over_one(what: str, rates: list[Rate], one: list[float], noise: list[float], target: Limit | None) -> Row:
    ratios = [rate.entries_a_second / single for rate, single in zip(rates, one, strict=True)]
    shared = median(rate.entries_a_commit for rate in rates)
    return ratio(what, ratios, noise, target, f"{shared:.0f} entries a commit")


def ignore(event: object) -> None:
    """An observer that has nothing to do."""


def lone(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure what a lone caller pays for the sharing that it does not use."""
    names = ("append", "writer", "writer again", "watched")
    observers = {"watched": [ignore]}
    opened = {name: walogs.open(place / name, observers=observers.get(name, ())) for name in names}

    def through(name: str) -> Work:
        wal, guard = opened[name], threading.Lock()
        writer, entries = wal._writer, payloads(wal.next_lsn, BLOCK)

        def append() -> None:
            for entry in entries:
                wal.append(entry)

        def directly() -> None:
            for entry in entries:
                with guard:
                    writer.write_commit([entry])

        return directly if name.startswith("writer") else append

    prepared = {name: partial(through, name) for name in names}
    costs = time_in_turns(prepared, scale.rounds, scale.blocks, time.perf_counter_ns)
    for name, wal in opened.items():
        wal.close()
        check_log(f"lone, {name}", place / name, scale.rounds * scale.blocks * BLOCK)
    noise = costs.ratios("writer", "writer again")
    ratios = costs.ratios("append", "writer", "writer again")
    yield ratio("a lone append ÷ its writer under a plain lock", ratios, noise, at_most(1.05))
    beside = "without one nothing of it is there"
    yield ratio("a lone append with an observer ÷ without", costs.ratios("watched", "append"), noise, beside=beside)
