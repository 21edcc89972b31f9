"""Tasks of asyncio that append to one log, beside threads, futures of `submit` that are awaited, and aiosqlite.

The simulated syncs take as long as a fast and a slow disk do, whatever this machine does meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import walogs
import walogs.aio
from benchmarks.callers import Rate, by_threads, check_rate, place_of, take_turns
from benchmarks.measure import Limit, Row, Scale, at_least, at_most, ratio
from benchmarks.payloads import ENTRY_BYTES
from walogs.cli.bench.entries import Entries, differs

MANY: Final = 1000
THREADS: Final = 64
SYNCS: Final = {"this disk": None, "a sync of 0.1 ms": 0.0001, "a sync of 1 ms": 0.001}
FOLLOWED_A_SECOND: Final = 200
Append = Callable[[bytes], Awaitable[int]]


# Rates


async def count_appends(append: Append, entries: Entries, tasks: int, seconds: float) -> tuple[list[int], float]:
    """Append from this many tasks for so many seconds. Return how many each appended, and the seconds it took."""
    end = time.perf_counter() + seconds

    async def run(task: int) -> int:
        count = 0
        while not count or time.perf_counter() < end:
            await append(entries.data(task, count))
            count += 1
        return count

    began = time.perf_counter()
    appended = await asyncio.gather(*map(run, range(tasks)))
    return appended, time.perf_counter() - began


def by_tasks(path: Path, tasks: int, seconds: float, sync_seconds: float | None) -> Rate:
    entries = Entries(ENTRY_BYTES)

    async def main() -> tuple[list[int], float]:
        async with walogs.aio.open(**place_of(path, sync_seconds)) as wal:
            return await count_appends(wal.append, entries, tasks, seconds)

    return check_rate(path, entries, *asyncio.run(main()))


def by_wrapped_futures(path: Path, tasks: int, seconds: float, sync_seconds: float | None) -> Rate:
    entries = Entries(ENTRY_BYTES)

    async def main() -> tuple[list[int], float]:
        with walogs.open(**place_of(path, sync_seconds)) as wal:
            return await count_appends(lambda data: asyncio.wrap_future(wal.submit(data)), entries, tasks, seconds)

    return check_rate(path, entries, *asyncio.run(main()))


def by_futures_in_memory(path: Path, tasks: int, seconds: float, sync_seconds: float | None) -> Rate:
    """Batch what the tasks append in memory, as a client of a broker does, and wait one sync for each batch.

    This is what asyncio itself costs: there is no log.
    """
    entries = Entries(ENTRY_BYTES)
    waiting: list[asyncio.Future[int]] = []
    batches = 0

    async def main() -> tuple[list[int], float]:
        loop = asyncio.get_running_loop()

        def send() -> None:
            nonlocal waiting, batches
            sent, waiting, batches = waiting, [], batches + 1
            for future in sent:
                future.set_result(0)

        def append(_: bytes) -> asyncio.Future[int]:
            if not waiting:
                loop.call_later(sync_seconds or 0.0, send)
            waiting.append(loop.create_future())
            return waiting[-1]

        return await count_appends(append, entries, tasks, seconds)

    appended, took = asyncio.run(main())
    return Rate(sum(appended) / took, sum(appended) / batches)


def by_aiosqlite(path: Path, tasks: int, seconds: float, sync_seconds: float | None) -> Rate:
    import aiosqlite

    entries = Entries(ENTRY_BYTES)
    path.mkdir(parents=True)

    async def main() -> tuple[list[int], float, int]:
        async with aiosqlite.connect(path / "db", isolation_level=None) as db:
            await db.execute("PRAGMA journal_mode=WAL")
            await db.execute("PRAGMA synchronous=FULL")
            await db.execute("CREATE TABLE log (lsn INTEGER PRIMARY KEY, data BLOB)")

            async def append(data: bytes) -> int:
                return (await db.execute("INSERT INTO log (data) VALUES (?)", (data,))).lastrowid or 0

            appended, took = await count_appends(append, entries, tasks, seconds)
            async with db.execute("SELECT data FROM log ORDER BY lsn") as rows:
                found = {bytes(data) async for (data,) in rows}
            return appended, took, len(found)

    appended, took, found = asyncio.run(main())
    if found != sum(appended):
        raise differs("aiosqlite", f"{found} of {sum(appended)} entries came back")
    return Rate(found / took, 1)


# The rows


def tasks(scale: Scale, place: Path) -> Iterator[Row]:
    """Measure the rates of tasks beside those of other callers, and what a follower and a waiting append cost."""
    for name, sync_seconds in SYNCS.items():
        yield from rates(scale, place, name, sync_seconds)
    yield behind(scale, place / "followed")
    yield waiting_bytes()


def rates(scale: Scale, place: Path, name: str, sync_seconds: float | None) -> Iterator[Row]:
    given: dict[str, Any] = {"seconds": 2 * scale.turn_seconds, "sync_seconds": sync_seconds}
    kinds: dict[str, Callable[[Path], Rate]] = {
        "one thread": partial(by_threads, threads=1, **given),
        "one task": partial(by_tasks, tasks=1, **given),
        "one task again": partial(by_tasks, tasks=1, **given),
        "threads": partial(by_threads, threads=THREADS, **given),
        "tasks": partial(by_tasks, tasks=MANY, **given),
        "tasks again": partial(by_tasks, tasks=MANY, **given),
        "wrapped": partial(by_wrapped_futures, tasks=MANY, **given),
        "memory": partial(by_futures_in_memory, tasks=MANY, **given),
    }
    if sync_seconds is None and find_spec("aiosqlite") is not None:
        kinds["aiosqlite"] = partial(by_aiosqlite, tasks=MANY, **given)
    rates = take_turns(kinds, scale.rounds, place)
    found = {kind: [rate.entries_a_second for rate in of] for kind, of in rates.items()}

    def over(what: str, upper: str, lower: str, limit: Limit | None) -> Row:
        ratios = [a / b for a, b in zip(found[upper], found[lower], strict=True)]
        one = "one task" if "one task" in (upper, lower) else "tasks"
        noise = [a / b for a, b in zip(found[one], found[f"{one} again"], strict=True)]
        return ratio(f"{name}: {what}", ratios, noise, limit)

    yield over("one task, time of an append ÷ one thread's", "one thread", "one task", at_most(1.5))
    yield over("1,000 tasks ÷ one task", "tasks", "one task", at_least(25) if sync_seconds else None)
    yield over("1,000 tasks ÷ 1,000 awaiting wrap_future(submit)", "tasks", "wrapped", at_least(4))
    yield over("1,000 tasks ÷ 64 threads", "tasks", "threads", at_least(2.5))
    yield over("1,000 tasks ÷ batching in memory alone", "tasks", "memory", None)
    if "aiosqlite" in kinds:
        yield over("1,000 tasks ÷ 1,000 of aiosqlite, WAL and FULL", "tasks", "aiosqlite", None)
    elif sync_seconds is None:
        what = f"{name}: 1,000 tasks ÷ 1,000 of aiosqlite"
        yield Row(name=what, figure=None, beside="aiosqlite is not installed")


def behind(scale: Scale, path: Path) -> Row:
    """Measure how long after the return of an append a follower in another task has its entry."""
    count = max(int(FOLLOWED_A_SECOND * 2 * scale.turn_seconds), 20)
    returned: dict[int, float] = {}
    received: dict[int, float] = {}

    async def main() -> None:
        async with walogs.aio.open(path) as wal:

            async def follow() -> None:
                async for lsn, _ in wal.follow():
                    received[lsn] = time.perf_counter()
                    if lsn == count:
                        return

            follower = asyncio.create_task(follow())
            for _ in range(count):
                lsn = await wal.append(bytes(ENTRY_BYTES))
                returned[lsn] = time.perf_counter()
                await asyncio.sleep(1 / FOLLOWED_A_SECOND)
            await follower

    asyncio.run(main())
    if received.keys() != returned.keys():
        raise differs("a follower in another task", f"{len(received)} of {len(returned)} entries were followed")
    delays = [(received[lsn] - at) * 1e3 for lsn, at in returned.items()]
    p99 = quantiles(delays, n=100)[-1]
    return Row(
        name="a follower in another task behind the append's return, p99 ÷ the pause between two appends",
        figure=p99 * FOLLOWED_A_SECOND / 1e3,
        unit="×",
        limit=at_most(1),
        beside=f"{p99:.2f} ms, median {median(delays):.2f} ms, of {count} appends",
    )


def waiting_bytes() -> Row:
    """Measure the memory of an append that waits for room, beside its task and its data."""
    from walogs.testing import MemoryDisk, MemoryStore

    async def suspended(wait: Callable[[], Awaitable[object]]) -> float:
        for _ in range(5):  # the loop forgets the tasks before
            await asyncio.sleep(0)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        waiting = [asyncio.ensure_future(wait()) for _ in range(MANY)]
        for _ in range(3):
            await asyncio.sleep(0)
        used = tracemalloc.get_traced_memory()[0] - before
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return used / MANY

    async def main() -> float:
        async with walogs.aio.open(store=MemoryStore(MemoryDisk()), max_queued_size=1) as wal:
            event = asyncio.Event()
            with wal.sync_handle._commits.turns._mutex:  # the first one is queued, and the others wait for room
                appends = await suspended(lambda: wal.append(b""))
            return appends - await suspended(event.wait)

    tracemalloc.start()
    try:
        name = "a waiting append, beside its task and its data"
        return Row(name=name, figure=asyncio.run(main()), unit="bytes", limit=at_most(1024))
    finally:
        tracemalloc.stop()
