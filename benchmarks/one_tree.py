"""The rows of `python -m benchmarks.trees`, measured with whichever walogs PYTHONPATH names. Prints them as JSON.

It uses nothing of `benchmarks`, and only the public verbs of walogs, so that it measures older trees too. System calls
that sync are empty here, so that the disk does not matter. Where callers meet, a sync sleeps instead.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier, Event, Thread
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from concurrent.futures import Future

    import walogs

EQUAL: Final = [bytes([number % 256]) * 128 for number in range(1000)]
CHANCE: Final = random.Random(7)
MIXED: Final = [CHANCE.randbytes(CHANCE.randrange(64, 193)) for _ in range(1000)]
LENGTHS: Final = {"equal": EQUAL, "mixed": MIXED}
BATCHES: Final = 60
APPENDS: Final = 400
BLOCKS: Final = 40
BATCHES_IN_BLOCK: Final = 5
READS: Final = 300
SEGMENTS: Final = 1500
STARTS: Final = 9
IN_FLIGHT: Final = 1000
THREADS: Final = 64
SYNC_SECONDS: Final = 0.0001
CALLERS_SECONDS: Final = 0.7
TIMES: Final = 7
FRAME_BYTES: Final = 176

Work = Callable[[], object]
Rows = dict[str, float]


def cost_ns(work: Work, times: int = TIMES) -> int:
    """Return the lowest CPU time of *times* runs."""

    def once() -> int:
        began = time.thread_time_ns()
        work()
        return time.thread_time_ns() - began

    return min(once() for _ in range(times))


def pass_over(entries: Iterable[object]) -> None:
    for _ in entries:
        pass


# Reading


def read_log(place: Path, shape: str, lengths: str) -> Rows:
    """Walk a log, sealed and not, by entries and by commits; read it at random; and open it."""
    import walogs

    path, data, rows = place / f"{shape}-{lengths}", LENGTHS[lengths], Rows()
    count, kind = BATCHES * len(data), f"{shape}, {lengths}"
    with walogs.open(path, sync="none", max_segment_size=None) as wal:
        for _ in range(BATCHES):
            if shape == "batches":
                wal.append_batch(data)
            else:
                append_each(wal, data)
        check(wal, data)
        rows[f"iterate, {kind}, not sealed"] = cost_ns(lambda: pass_over(wal)) / count
    rows[f"open, {kind}, not sealed"] = open_ns(path, "full") / count
    with walogs.open(path) as wal:
        wal.rotate()
        check(wal, data)
        rows[f"iterate, {kind}, sealed"] = cost_ns(lambda: pass_over(wal)) / count
        rows[f"commits(), {kind}, sealed"] = cost_ns(lambda: pass_over(wal.commits())) / count
        rows[f"read(lsn), {kind}, sealed"] = random_read_ns(wal, data)
    rows[f"open, {kind}, sealed"] = open_ns(path, "full") / count
    return rows


def check(wal: walogs.Wal, data: list[bytes]) -> None:
    wanted = enumerate(chain.from_iterable(data for _ in range(BATCHES)), 1)
    if list(wal) != list(wanted):
        raise SystemExit("the log does not hold what was appended: there is no figure")


def open_ns(path: Path, verify: Literal["full", "last"]) -> float:
    import walogs

    def once() -> int:
        began = time.thread_time_ns()
        wal = walogs.open(path, verify=verify, max_segment_size=None)
        took = time.thread_time_ns() - began
        wal.close()
        return took

    return min(once() for _ in range(TIMES))


def random_read_ns(wal: walogs.Wal, data: list[bytes]) -> float:
    chance, last_lsn = random.Random(3), wal.last_lsn
    wanted = [chance.randrange(1, last_lsn + 1) for _ in range(READS)]
    if [wal.read(lsn) for lsn in wanted] != [data[(lsn - 1) % len(data)] for lsn in wanted]:
        raise SystemExit("read(lsn) does not return what was appended: there is no figure")
    return cost_ns(lambda: [wal.read(lsn) for lsn in wanted]) / READS


# Appending


def append_each(wal: walogs.Wal, block: list[bytes]) -> None:
    append = wal.append
    for data in block:
        append(data)


def append_batches(wal: walogs.Wal, batch: list[bytes]) -> None:
    for _ in range(BATCHES_IN_BLOCK):
        wal.append_batch(batch)


def append(place: Path) -> Rows:
    """Append under the default policy. A bare write of as many bytes is taken off, and the syncs are empty."""
    import walogs

    rows = Rows()
    with (place / "bare").open("wb") as file:
        frame, fd = bytes(FRAME_BYTES), file.fileno()
        offsets = range(0, APPENDS * FRAME_BYTES, FRAME_BYTES)
        written = cost_ns(lambda: pass_over(os.pwrite(fd, frame, at) for at in offsets), BLOCKS) / APPENDS
    for lengths, data in LENGTHS.items():
        with walogs.open(place / f"appended-{lengths}", max_segment_size=None) as wal:
            each = cost_ns(partial(append_each, wal, data[:APPENDS]), BLOCKS) / APPENDS
            rows[f"a lone append, {lengths}, over its write"] = each - written
        with walogs.open(place / f"batches-{lengths}", max_segment_size=None) as wal:
            each = cost_ns(partial(append_batches, wal, data), BLOCKS) / BATCHES_IN_BLOCK / len(data)
            rows[f"append_batch of 1,000, {lengths}"] = each
    return rows


def callers(place: Path) -> Rows:
    """Append from many callers, while a sync sleeps 0.1 ms: by the clock, and the CPU time of the process."""
    os.fdatasync = os.fsync = lambda fd: time.sleep(SYNC_SECONDS)
    rows = Rows()
    for name, run in {"1,000 futures in flight": run_futures, "64 threads in append": run_threads}.items():
        cpu_began = time.process_time()
        count, seconds = run(place / name.replace(" ", "-"))
        rows[name] = seconds * 1e9 / count
        rows[f"{name}, CPU"] = (time.process_time() - cpu_began) * 1e9 / count
    return rows


def run_futures(path: Path) -> tuple[int, float]:
    """Return how many entries were appended, and the seconds that it took."""
    import walogs

    in_flight, count, data = deque["Future[int]"](), 0, EQUAL[0]
    with walogs.open(path) as wal:
        began = time.perf_counter()
        while time.perf_counter() < began + CALLERS_SECONDS:
            in_flight.append(wal.submit(data))
            count += 1
            if len(in_flight) >= IN_FLIGHT:
                in_flight.popleft().result()
        for future in in_flight:
            future.result()
        return count, time.perf_counter() - began


def run_threads(path: Path) -> tuple[int, float]:
    """Return how many entries were appended, and the seconds that it took."""
    import walogs

    over, ready, counts = Event(), Barrier(THREADS + 1), list[int]()
    with walogs.open(path) as wal:

        def run(data: bytes) -> None:
            count = 0
            ready.wait()
            while not over.is_set():
                wal.append(data)
                count += 1
            counts.append(count)

        threads = [Thread(target=run, args=(EQUAL[number],)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        ready.wait()
        began = time.perf_counter()
        time.sleep(CALLERS_SECONDS)
        over.set()
        for thread in threads:
            thread.join()
        return sum(counts), time.perf_counter() - began


# Starting


def start(place: Path) -> Rows:
    """Start interpreters that import walogs, and others that import nothing."""
    return {"import walogs, over a bare interpreter": start_ns("import walogs") - start_ns("pass")}


def start_ns(statement: str) -> float:
    command = [sys.executable, "-P", "-c", statement]  # not from the working directory

    def once() -> float:
        _, status, used = os.wait4(os.posix_spawn(sys.executable, command, os.environ), 0)
        if status:
            raise subprocess.CalledProcessError(status, command)
        return (used.ru_utime + used.ru_stime) * 1e9

    return min(once() for _ in range(STARTS))


def segments(place: Path) -> Rows:
    """Open a log of many small segments."""
    import walogs

    path = place / "segments"
    with walogs.open(path, sync="none") as wal:
        for _ in range(SEGMENTS):
            wal.append(EQUAL[0])
            wal.rotate()
    return {
        f'open, verify="{verify}", a segment of {SEGMENTS:,}': open_ns(path, verify) / SEGMENTS
        for verify in ("full", "last")
    }


GROUPS: Final[dict[str, Callable[[Path], Rows]]] = {
    "batches-equal": lambda place: read_log(place, "batches", "equal"),
    "batches-mixed": lambda place: read_log(place, "batches", "mixed"),
    "singles-equal": lambda place: read_log(place, "singles", "equal"),
    "singles-mixed": lambda place: read_log(place, "singles", "mixed"),
    "append": append,
    "callers": callers,
    "start": start,
    "segments": segments,
}


def measure(tree: Path, names: Iterable[str]) -> Rows:
    """Return the nanoseconds of each row of these groups. Raises if walogs is not the one of *tree*."""
    os.fdatasync = os.fsync = abs  # type: ignore[assignment]  # a function in C that takes a number and does nothing
    import walogs

    if Path(walogs.__file__).parents[1] != tree:
        raise SystemExit(f"{walogs.__file__} is not the walogs of {tree}")
    rows = Rows()
    with TemporaryDirectory() as directory:
        for name in names:
            rows |= GROUPS[name](Path(directory))
    return rows


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2:])))
