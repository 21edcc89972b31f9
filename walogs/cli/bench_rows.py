"""What `walogs bench` measures, row by row: each in a new log, and each figure after its reader's check."""

from __future__ import annotations

import errno
import time
from array import array
from contextlib import closing, contextmanager
from itertools import islice
from statistics import median
from tempfile import TemporaryDirectory
from threading import Barrier, BrokenBarrierError, Event, Thread
from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.assembly import open as open_log
from walogs.cli.bench_bare import BareFile
from walogs.cli.bench_entries import Check, Entries, differs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from walogs.config import WalConfig
    from walogs.wal import Wal

OTHER_STEPS: Final = 5
"""That `measured` begins, beside one for each number of threads."""
BLOCK: Final = 20
"""Operations after which the other one has its turn; fewer, where a log of so many would be large."""
LOG_BYTES_MAX: Final = 1 << 30
"""Of data in one log. A row that has appended so much ends, however little time that took."""
CHUNK_BYTES: Final = 1 << 20
"""Of data that is read before it is compared."""


class Asked(NamedTuple):
    """What is to be measured, and how long."""

    place: str
    """An empty directory, which whoever made it removes."""
    log_at: Callable[[str], tuple[str | None, WalConfig]]
    """The log at a path in *place*, for one handle: components that are objects belong to one."""
    entry_size: int
    seconds: float
    """Each row."""
    threads: Sequence[int]
    """More than one, each."""
    batch: int

    @property
    def block(self) -> int:
        return min(BLOCK, max(LOG_BYTES_MAX // 64 // self.entry_size, 1))


class Rate(NamedTuple):
    """So many entries, or bytes, in so many seconds."""

    amount: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.amount / self.seconds


class Latencies(NamedTuple):
    """What each operation of one thread took."""

    rate: Rate
    p50_seconds: float
    p99_seconds: float


class Figures(NamedTuple):
    """All that was measured, and checked."""

    write_bytes: int
    """Of one bare write: what the commit of one entry writes."""
    bare: Latencies
    append: Latencies
    times_bare: float
    """A block of appends ÷ the block of bare writes beside it, median."""
    by_threads: dict[int, Rate]
    append_batch: Rate
    read: Rate
    opened: Rate
    """Bytes of frames and headers."""
    opened_entries: int


def measured(asked: Asked, begin: Callable[[str], object]) -> Figures:
    """Every row, in turn; *begin* is told the name of each. Raises `Differs`, and what a log raises."""
    begin("one commit")
    write_bytes = bytes_of_a_commit(asked)
    begin("append, and bare writes")
    bare, append, times_bare = against_bare(asked, write_bytes)
    by_threads: dict[int, Rate] = {}
    for threads in asked.threads:
        begin(f"append, {threads} threads")
        by_threads[threads] = appending_at_once(asked, threads)
    begin("append_batch")
    with new_log(asked) as path:
        entries = Entries(asked.entry_size)
        append_batch = appending_batches(asked, path, entries)
        begin("reading")
        read = reading(asked, path, entries, append_batch.amount)
        begin("opening")
        opened = opening(asked, path, entries, append_batch.amount)
    return Figures(write_bytes, bare, append, times_bare, by_threads, append_batch, read, opened, append_batch.amount)


@contextmanager
def new_log(asked: Asked) -> Iterator[str]:
    """Where one can be made. It is removed before the next one is: they never take the disk's space together."""
    with TemporaryDirectory(dir=asked.place) as directory:
        yield f"{directory}/log"


def check_log(what: str, asked: Asked, path: str, entries: Entries, appended: Sequence[int]) -> None:
    """Open the log again and compare every entry. Raises `Differs`."""
    check = Check(what, entries, appended)
    with open_log(*asked.log_at(path)) as wal:
        check.read(wal)
    check.end()


# One thread


def bytes_of_a_commit(asked: Asked) -> int:
    """What the commit of one entry adds to a log of this codec, in the mean."""
    entries = Entries(asked.entry_size)
    bytes_before = 0
    with new_log(asked) as path:
        for number in (0, asked.block):
            with open_log(*asked.log_at(path)) as wal:
                bytes_before = wal.recovery_report.bytes
                for data in entries.block(number, asked.block):
                    wal.append(data)
        with open_log(*asked.log_at(path)) as wal:
            bytes_after = wal.recovery_report.bytes
        check_log("append", asked, path, entries, [2 * asked.block])
    return round((bytes_after - bytes_before) / asked.block)


def against_bare(asked: Asked, write_bytes: int) -> tuple[Latencies, Latencies, float]:
    """(bare writes, appends, appends ÷ bare writes), in alternating blocks, so that both saw the same disk."""
    entries, appended = Entries(asked.entry_size), 0
    bare_ns, append_ns, ratios = array("Q"), array("Q"), array("d")
    with new_log(asked) as path:
        with (
            TemporaryDirectory(dir=asked.place) as beside,
            closing(BareFile(f"{beside}/bare", write_bytes)) as bare,
            open_log(*asked.log_at(path)) as wal,
        ):

            def write_block() -> array[int]:
                return timed(bare.write, bare.block(asked.block))

            def append_block() -> array[int]:
                nonlocal appended
                appended += asked.block
                return timed(wal.append, entries.block(appended - asked.block, asked.block))

            write_block()  # the first of each is no figure: a log's first append makes its segment
            append_block()
            ends, is_bare_first = time.monotonic() + 2 * asked.seconds, True
            while not ratios or (time.monotonic() < ends and appended * asked.entry_size < LOG_BYTES_MAX):
                if is_bare_first:
                    of_bare, of_append = write_block(), append_block()
                else:
                    of_append, of_bare = append_block(), write_block()
                is_bare_first = not is_bare_first
                bare_ns.extend(of_bare)
                append_ns.extend(of_append)
                ratios.append(sum(of_append) / sum(of_bare))
            bare.check()
        check_log("append", asked, path, entries, [appended])
    return latencies(bare_ns), latencies(append_ns), median(ratios)


def timed(operation: Callable[[bytes], object], block: Iterable[bytes]) -> array[int]:
    """Nanoseconds of each."""
    clock, costs = time.perf_counter_ns, array("Q")
    for data in block:
        began = clock()
        operation(data)
        costs.append(clock() - began)
    return costs


def latencies(costs_ns: array[int]) -> Latencies:
    ascending = sorted(costs_ns)
    p50, p99 = (ascending[min(len(ascending) * percent // 100, len(ascending) - 1)] / 1e9 for percent in (50, 99))
    return Latencies(Rate(len(ascending), sum(ascending) / 1e9), p50, p99)


# Many threads


def appending_at_once(asked: Asked, threads: int) -> Rate:
    entries = Entries(asked.entry_size)
    with new_log(asked) as path:
        with open_log(*asked.log_at(path)) as wal:
            callers = Callers(wal, entries, threads)
            rate = callers.run(asked.seconds)
        check_log(f"append, {threads} threads", asked, path, entries, callers.appended)
    return rate


class Callers:
    """Threads that append to one log until they are told to stop. Each makes its data as it goes, as callers do."""

    def __init__(self, wal: Wal, entries: Entries, threads: int) -> None:
        self.appended = [0] * threads
        """By thread, how many appends have returned."""
        self._wal = wal
        self._entries = entries
        self._each_max = max(LOG_BYTES_MAX // entries.size // threads, 1)
        self._ready = Barrier(threads + 1)
        self._stop = Event()
        self._errors: list[BaseException] = []

    def run(self, seconds: float) -> Rate:
        """For so many seconds, and as long as the last appends take. Raises what one of them raised first."""
        running: list[Thread] = []
        try:
            threads = len(self.appended)
            running.extend(started(self._append, name, threads) for name in range(threads))
            self._ready.wait()  # starting threads is not what is measured
            began = time.perf_counter()
            self._stop.wait(seconds)
        except BaseException:
            self._ready.abort()
            raise
        finally:
            self._stop.set()
            for thread in running:
                thread.join()
        took = time.perf_counter() - began
        if self._errors:
            raise self._errors[0]
        return Rate(sum(self.appended), took)

    def _append(self, name: int) -> None:
        append, data, is_told, last_lsn = self._wal.append, self._entries.data, self._stop.is_set, 0
        try:
            self._ready.wait()
            for number in range(self._each_max):
                lsn = append(data(name, number))
                if lsn <= last_lsn:
                    raise differs("append", f"thread {name} was given LSN {lsn} after {last_lsn}")
                last_lsn = lsn
                self.appended[name] = number + 1
                if is_told():
                    break
        except BrokenBarrierError:  # not all of them could be started
            pass
        except BaseException as error:  # noqa: BLE001 (whoever waits for this thread raises it)
            self._errors.append(error)
        self._stop.set()


def started(call: Callable[[int], None], name: int, threads: int) -> Thread:
    thread = Thread(target=call, args=(name,))
    try:
        thread.start()
    except RuntimeError as error:
        why = f"no more than {name} of {threads} threads can be started here; ask for fewer with --threads"
        raise OSError(errno.EAGAIN, why) from error
    return thread


# Batches, reading, opening


def appending_batches(asked: Asked, path: str, entries: Entries) -> Rate:
    appended = cost_ns = 0
    with open_log(*asked.log_at(path)) as wal:
        ends = time.monotonic() + asked.seconds
        while not appended or (time.monotonic() < ends and appended * asked.entry_size < LOG_BYTES_MAX):
            batch = list(entries.block(appended, asked.batch))
            began = time.perf_counter_ns()
            wal.append_batch(batch)
            cost_ns += time.perf_counter_ns() - began
            appended += len(batch)
    check_log("append_batch", asked, path, entries, [appended])
    return Rate(appended, cost_ns / 1e9)


def reading(asked: Asked, path: str, entries: Entries, appended: int) -> Rate:
    """All entries, as often as there is time, and at least once; compared while the clock stands still."""
    chunk, cost_ns, times = max(CHUNK_BYTES // asked.entry_size, 1), 0, 0
    with open_log(*asked.log_at(path)) as wal:
        ends = time.monotonic() + asked.seconds
        while not times or time.monotonic() < ends:
            check, times = Check("reading", entries, [appended]), times + 1
            began = time.perf_counter_ns()
            found = wal.iter()
            while held := list(islice(found, chunk)):
                cost_ns += time.perf_counter_ns() - began
                check.read(held)
                began = time.perf_counter_ns()
            check.end()
    return Rate(times * appended, cost_ns / 1e9)


def opening(asked: Asked, path: str, entries: Entries, appended: int) -> Rate:
    """The log is opened, every byte of it checked, as often as there is time; the median."""
    costs_ns = array("Q")
    ends = time.monotonic() + asked.seconds
    while True:
        log = asked.log_at(path)
        began = time.perf_counter_ns()
        with open_log(*log) as wal:
            costs_ns.append(time.perf_counter_ns() - began)
            if wal.last_lsn != appended:
                raise differs("opening", f"{wal.last_lsn} of {appended} acknowledged entries came back")
            opened_bytes = wal.recovery_report.bytes
            if time.monotonic() < ends:
                continue
            check = Check("opening", entries, [appended])
            check.read(wal)
            check.end()
        return Rate(opened_bytes, median(costs_ns) / 1e9)
