"""The measurements of `walogs bench`, row by row. The entries of each log are read back and checked."""

from __future__ import annotations

import errno
import time
from array import array
from contextlib import closing, contextmanager
from itertools import islice
from statistics import median
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.assembly.opening import open as open_log
from walogs.cli.bench.bare import BareFile
from walogs.cli.bench.entries import Check, Entries, differs
from walogs.cli.bench.turns import Costs
from walogs.foundation.turns import TurnLock
from walogs.foundation.wakeups import held_lock, release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from walogs.assembly.config import WalConfig
    from walogs.handles.wal import Wal

OTHER_STEPS: Final = 5
"""The number of steps in `measured`, without the steps for each number of threads."""
BLOCK: Final = 20
"""The number of operations in a block; appends and bare writes alternate in blocks. It is lower for large entries."""
LOG_BYTES_MAX: Final = 1 << 30
"""The most data in one log. A row that has appended this much ends, even if its time is not over."""
CHUNK_BYTES: Final = 1 << 20
"""The amount of data that is read before it is compared."""


class Request(NamedTuple):
    """The request: what to measure, and for how long."""

    place: str
    """An empty directory. The caller made it, and removes it."""
    log_at: Callable[[str], tuple[str | None, WalConfig]]
    """Return (path, configuration) of the log at a path in *place*, for one handle.

    It is called for each handle, because a component that is an object belongs to one handle.
    """
    entry_size: int
    seconds: float
    """The time for which each row is measured."""
    threads: Sequence[int]
    """The numbers of threads to measure, each more than one."""
    batch: int

    @property
    def block(self) -> int:
        return min(BLOCK, max(LOG_BYTES_MAX // 64 // self.entry_size, 1))


class Rate(NamedTuple):
    """A number of entries or bytes, and the seconds that they took."""

    amount: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.amount / self.seconds


class Latencies(NamedTuple):
    """The latencies of the operations of one thread."""

    rate: Rate
    p50_seconds: float
    p99_seconds: float


class Figures(NamedTuple):
    """All figures, after the entries behind them were checked."""

    write_bytes: int
    """The bytes of one bare write: as many as the commit of one entry writes."""
    bare: Latencies
    append: Latencies
    times_bare: float
    """The median of the time of a block of appends ÷ the time of the block of bare writes beside it."""
    by_threads: dict[int, Rate]
    append_batch: Rate
    read: Rate
    opened: Rate
    """The opening of a log. The amount is the bytes of its frames and headers."""
    opened_entries: int


def measure(asked: Request, begin: Callable[[str], object]) -> Figures:
    """Measure every row and return the figures. *begin* is called with the name of each step as it begins.

    Raises `Differs`, and what a log raises.
    """
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
    return Figures(
        write_bytes=write_bytes,
        bare=bare,
        append=append,
        times_bare=times_bare,
        by_threads=by_threads,
        append_batch=append_batch,
        read=read,
        opened=opened,
        opened_entries=append_batch.amount,
    )


@contextmanager
def new_log(asked: Request) -> Iterator[str]:
    """Yield the path for a new log, and remove the log afterwards, so that only one log at a time takes disk space."""
    with TemporaryDirectory(dir=asked.place) as directory:
        yield f"{directory}/log"


def check_log(what: str, asked: Request, path: str, entries: Entries, appended: Sequence[int]) -> None:
    """Open the log again and compare every entry. Raises `Differs`."""
    check = Check(what, entries, appended)
    with open_log(*asked.log_at(path)) as wal:
        check.read(wal)
    check.end()


# One thread


def bytes_of_a_commit(asked: Request) -> int:
    """Return the mean number of bytes that the commit of one entry adds to a log with this codec."""
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


def against_bare(asked: Request, write_bytes: int) -> tuple[Latencies, Latencies, float]:
    """Return (latencies of bare writes, latencies of appends, appends ÷ bare writes).

    The blocks of both take turns, so that both meet the same disk.
    """
    entries, appended, costs = Entries(asked.entry_size), 0, Costs(("bare", "append"), 1)
    bare_ns, append_ns = array("Q"), array("Q")
    with new_log(asked) as path:
        with (
            TemporaryDirectory(dir=asked.place) as beside,
            closing(BareFile(f"{beside}/bare", write_bytes)) as bare,
            open_log(*asked.log_at(path)) as wal,
        ):

            def write_block() -> int:
                return time_operations(bare.write, bare.block(asked.block), bare_ns)

            def append_block() -> int:
                nonlocal appended
                appended += asked.block
                return time_operations(wal.append, entries.block(appended - asked.block, asked.block), append_ns)

            write_block()  # not measured: the first append also makes the segment
            append_block()
            del bare_ns[:], append_ns[:]
            ends, is_first = time.monotonic() + 2 * asked.seconds, True
            while is_first or (time.monotonic() < ends and appended * asked.entry_size < LOG_BYTES_MAX):
                costs.take_turn({"bare": lambda: write_block, "append": lambda: append_block}, 0, time.perf_counter_ns)
                is_first = False
            bare.check()
        check_log("append", asked, path, entries, [appended])
    return latencies(bare_ns), latencies(append_ns), costs.ratios("append", "bare")[0]


def time_operations(operation: Callable[[bytes], object], block: Iterable[bytes], costs_ns: array[int]) -> int:
    """Add the time of each operation to *costs_ns*, and return their sum, in nanoseconds."""
    clock, total = time.perf_counter_ns, 0
    for data in block:
        began = clock()
        operation(data)
        took = clock() - began
        costs_ns.append(took)
        total += took
    return total


def latencies(costs_ns: array[int]) -> Latencies:
    ascending = sorted(costs_ns)
    p50, p99 = (ascending[min(len(ascending) * percent // 100, len(ascending) - 1)] / 1e9 for percent in (50, 99))
    return Latencies(Rate(len(ascending), sum(ascending) / 1e9), p50, p99)


# Many threads


def appending_at_once(asked: Request, threads: int) -> Rate:
    entries = Entries(asked.entry_size)
    with new_log(asked) as path:
        with open_log(*asked.log_at(path)) as wal:
            callers = Callers(wal, entries, threads)
            rate = callers.run(asked.seconds)
        check_log(f"append, {threads} threads", asked, path, entries, callers.appended)
    return rate


class Callers:
    """Threads that append to one log until they have to stop. Each makes its data as it goes, as real callers do."""

    def __init__(self, wal: Wal, entries: Entries, threads: int) -> None:
        self.appended = [0] * threads
        """The number of appends that have returned, by thread."""
        self._wal = wal
        self._entries = entries
        self._each_max = max(LOG_BYTES_MAX // entries.size // threads, 1)
        self._start = TurnLock()
        """Each thread waits for this lock before its first append, until all threads have started."""
        self._over = held_lock()
        """This lock is released when the threads have to stop."""
        self._is_called_off = False
        self._errors: list[BaseException] = []

    def run(self, seconds: float) -> Rate:
        """Let the threads append for *seconds* seconds, wait for their last appends, and return the rate.

        Raises the first error that a thread raised.
        """
        running: list[Thread] = []
        try:
            threads = len(self.appended)
            with self._start:  # the time to start the threads is not measured
                try:
                    running.extend(start_thread(self._append, name, threads) for name in range(threads))
                except BaseException:  # the threads that have started then append nothing
                    self._is_called_off = True
                    release(self._over)
                    raise
            began = time.perf_counter()
            self._over.acquire(timeout=seconds)
        finally:
            release(self._over)
            for thread in running:
                thread.join()
        took = time.perf_counter() - began
        if self._errors:
            raise self._errors[0]
        return Rate(sum(self.appended), took)

    def _append(self, name: int) -> None:
        append, data, is_going_on, last_lsn = self._wal.append, self._entries.data, self._over.locked, 0
        try:
            with self._start:
                pass
            for number in range(0 if self._is_called_off else self._each_max):  # at least one, however late
                lsn = append(data(name, number))
                if lsn <= last_lsn:
                    raise differs("append", f"thread {name} was given LSN {lsn} after {last_lsn}")
                last_lsn = lsn
                self.appended[name] = number + 1
                if not is_going_on():
                    break
        except BaseException as error:  # noqa: BLE001 (`run` raises it)
            self._errors.append(error)
        release(self._over)


def start_thread(call: Callable[[int], None], name: int, threads: int) -> Thread:
    thread = Thread(target=call, args=(name,))
    try:
        thread.start()
    except RuntimeError as error:
        why = f"no more than {name} of {threads} threads can be started here; ask for fewer with --threads"
        raise OSError(errno.EAGAIN, why) from error
    return thread


# Batches, reading, opening


def appending_batches(asked: Request, path: str, entries: Entries) -> Rate:
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


def reading(asked: Request, path: str, entries: Entries, appended: int) -> Rate:
    """Read all entries, at least once, as often as there is time, and return the rate.

    The time to compare the entries is not counted.
    """
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


def opening(asked: Request, path: str, entries: Entries, appended: int) -> Rate:
    """Open the log, which checks every byte, as often as there is time. Return the rate by the median time."""
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
