"""Many callers of one log: threads in `append`, futures in flight, and what a lone caller pays for the sharing."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Final, NamedTuple

import walogs
from benchmarks.measure import (
    BLOCK,
    SEED,
    Limit,
    Row,
    Scale,
    Work,
    at_least,
    at_most,
    spread,
    time_in_turns,
)
from benchmarks.payloads import ENTRY_BYTES, check_log, payloads
from walogs.cli.bench.entries import Check, Entries
from walogs.cli.bench.rows import Callers

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


def by_threads(path: Path, threads: int, seconds: float, sync: str = "fdatasync") -> Rate:
    """Append from this many threads at once, for so many seconds."""
    entries = Entries(ENTRY_BYTES)
    with walogs.open(path, sync=sync) as wal:
        running = Callers(wal, entries, threads)
        took = running.run(seconds).seconds
    return check_rate(path, entries, running.appended, took)


def by_futures(path: Path, seconds: float) -> Rate:
    """Append from one thread that waits only for the oldest of IN_FLIGHT futures, for so many seconds."""
    entries = Entries(ENTRY_BYTES)
    in_flight = deque[Future[int]]()
    count = 0
    with walogs.open(path) as wal:
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            in_flight.append(wal.submit(entries.data(0, count)))
            count += 1
            if len(in_flight) >= IN_FLIGHT:
                in_flight.popleft().result()
        for future in in_flight:
            future.result()
        took = time.perf_counter() - began
    return check_rate(path, entries, [count], took)


def callers(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure throughput beside one thread in the same turn, and a lone append beside its writer under a lock."""
    kinds: dict[str, Callable[[Path], Rate]] = {
        name: partial(by_threads, threads=threads, seconds=scale.turn_seconds) for name, threads in THREADS.items()
    }
    kinds["futures"] = partial(by_futures, seconds=scale.turn_seconds)
    kinds["interval"] = partial(by_threads, threads=1, seconds=scale.turn_seconds, sync="interval")
    rates: dict[str, list[Rate]] = {name: [] for name in kinds}
    order, chance = list(kinds), random.Random(SEED)
    for turn in range(scale.turns):
        chance.shuffle(order)
        for name in order:
            rates[name].append(kinds[name](place / f"{name}-{turn}"))
            shutil.rmtree(place / f"{name}-{turn}")
    one = [rate.entries_a_second for rate in rates["one"]]
    again = [rate.entries_a_second for rate in rates["one again"]]
    both = list(map(fmean, zip(one, again, strict=True)))
    yield Row("one thread in append", median(one), "/s", beside=f"turns {min(one):.0f}–{max(one):.0f}")
    yield over_one("noise: one thread ÷ one thread", rates["one again"], one, None)
    for name in ("2", "8", "64", "256"):
        target = at_least(4.0) if name == "64" else None
        yield over_one(f"{name} threads in append ÷ one", rates[name], both, target)
    yield over_one("one thread, 1,000 futures in flight ÷ one", rates["futures"], both, at_least(6.0))
    yield over_one('one thread, sync="interval" ÷ one', rates["interval"], both, None)
    yield from lone(scale, place)


def over_one(what: str, rates: list[Rate], one: list[float], target: Limit | None) -> Row:
    ratios = [rate.entries_a_second / single for rate, single in zip(rates, one, strict=True)]
    shared = median(rate.entries_a_commit for rate in rates)
    beside = f"turns {min(ratios):.2f}–{max(ratios):.2f}; {shared:.0f} entries a commit"
    return Row(name=what, figure=median(ratios), unit="×", limit=target, beside=beside)


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
    ratios, noise = costs.ratios("append", "writer", "writer again"), costs.ratios("writer", "writer again")
    what = "a lone append ÷ its writer under a plain lock"
    yield Row(
        name=what,
        figure=median(ratios),
        unit="×",
        limit=at_most(1.05),
        beside=f"rounds {spread(ratios)}; noise {spread(noise)}",
    )
    watched = costs.ratios("watched", "append")
    what = "a lone append with an observer ÷ without"
    yield Row(
        name=what,
        figure=median(watched),
        unit="×",
        limit=None,
        beside=f"rounds {spread(watched)}; without one nothing of it is there",
    )
    yield Row(
        name="noise: that writer under a lock ÷ another",
        figure=median(noise),
        unit="×",
        limit=None,
        beside=f"rounds {spread(noise)}",
    )
