"""How costs grow with the bytes and the segments of a log, and with the size and the codec of its entries."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import walogs
from benchmarks.measure import (
    LOOP,
    TURNS,
    Chart,
    Line,
    Result,
    Row,
    Scale,
    fixed_loop,
    number,
    point,
    ratio,
    time_in_turns,
)
from benchmarks.memory import BARE, WALK, said
from benchmarks.payloads import Differs, check_log, payload
from benchmarks.reading import read_and_check
from benchmarks.syncs import empty_syncs
from walogs.assembly.config import WalConfig
from walogs.cli.bench.entries import Check, Entries
from walogs.cli.bench.rows import Figures, Request, measure
from walogs.protocols import Codec

ENTRY_BYTES: Final = 1024
BATCH: Final = 1000
BATCH_BYTES_MAX: Final = 8 << 20
REPEATED_MAX: Final = 5
REPEATED_NS: Final = 1_500_000_000
"""A cost is measured up to REPEATED_MAX times, until this much time has been spent on it."""


class Grown(NamedTuple):
    """A log whose costs are measured."""

    path: Path
    entries: int


def log_of_bytes(path: Path, size: int) -> Grown:
    """Write a log of this many bytes, in segments of the default size."""
    data, entries, made = Entries(ENTRY_BYTES), 0, 0
    with walogs.open(path, sync="none") as wal:
        while made < size:
            wal.append_batch(list(data.block(entries, BATCH)))
            entries, made = entries + BATCH, made + BATCH * (ENTRY_BYTES + 4)
    check = Check(path.name, data, [entries])
    with walogs.reader(path, visibility="written") as reader:
        check.read(reader)
    check.end()
    return Grown(path, entries)


def log_of_segments(path: Path, count: int) -> Grown:
    """Write a log of this many segments, each with one entry."""
    with walogs.open(path, sync="none") as wal:
        for lsn in range(1, count + 1):
            wal.append(payload(lsn))
            if lsn < count:
                wal.rotate()
    check_log(path.name, path, count)
    return Grown(path, count)


# What is measured of each log


def open_fully(log: Grown) -> int:
    return open_ns(log, "full")


def open_trusting(log: Grown) -> int:
    return open_ns(log, "last")


def open_ns(log: Grown, verify: Any) -> int:
    began = time.process_time_ns()
    wal = walogs.open(log.path, verify=verify)
    took = time.process_time_ns() - began
    with wal:
        if wal.last_lsn != log.entries:
            raise Differs(f"open: {wal.last_lsn} of {log.entries} acknowledged entries came back")
    return took


def iterate(log: Grown) -> int:
    with walogs.open(log.path, verify="last") as wal:
        began = time.process_time_ns()
        last_lsn, _ = deque(wal, maxlen=1).pop()
        took = time.process_time_ns() - began
    if last_lsn != log.entries:
        raise Differs(f"iterate: {last_lsn} of {log.entries} acknowledged entries came back")
    return took


def begin_to_follow(log: Grown) -> int:
    """Measure what a new reader takes until it has the last entry, and would wait for the next one."""
    began = time.process_time_ns()
    with walogs.reader(log.path) as reader:
        found, _ = next(iter(reader.follow(log.entries, timeout=60)))
        took = time.process_time_ns() - began
    if found != log.entries:
        raise Differs(f"follow: entry {found} came back for {log.entries}")
    return took


def verify(log: Grown) -> int:
    began = time.process_time_ns()
    report = walogs.verify(log.path)
    took = time.process_time_ns() - began
    if not report.ok or report.entries != log.entries:
        raise Differs(f"verify: {report.findings} in {report.entries} of {log.entries} entries")
    return took


def checkpoint_half(log: Grown) -> int:
    """Measure a checkpoint that gives up half of the entries. It can be measured once only."""
    with walogs.open(log.path, verify="last") as wal:
        began = time.process_time_ns()
        wal.checkpoint(log.entries // 2)
        took = time.process_time_ns() - began
        if sum(1 for _ in wal.iter(log.entries // 2 + 1)) != log.entries - log.entries // 2:
            raise Differs("checkpoint: the entries after it did not all come back")
    return took


def bare(log: Grown) -> int:
    work, began = read_and_check(log.path), time.process_time_ns()
    work()
    return time.process_time_ns() - began


COSTS: Final[Mapping[str, Callable[[Grown], int]]] = {
    "reading and one CRC": bare,
    "open, every byte": open_fully,
    "open, verify=last": open_trusting,
    "iterate": iterate,
    "follow, first entry": begin_to_follow,
    "verify": verify,
}
CHECKPOINT: Final = "checkpoint of half"
MEMORY: Final = "memory, open and walk"


def costs_of(log: Grown) -> dict[str, list[float]]:
    """Return the nanoseconds of each verb, and the KiB of memory over a bare interpreter."""
    found: dict[str, list[float]] = {}
    for name, run in COSTS.items():
        costs = [float(run(log))]
        while len(costs) < REPEATED_MAX and sum(costs) < REPEATED_NS:
            costs.append(run(log))
        found[name] = costs
    found[MEMORY] = memory_kib(log)
    found[CHECKPOINT] = [float(checkpoint_half(log))]
    return found


def memory_kib(log: Grown) -> list[float]:
    [least] = said(BARE)
    _, most, count, _ = said(WALK, str(log.path))
    if count != log.entries:
        raise Differs(f"memory: {count} of {log.entries} acknowledged entries came back")
    return [float(most - least)]


def grow(scale: Scale, place: Path) -> Iterator[Result]:
    """Measure logs of more and more bytes, and then logs of more and more segments."""
    with empty_syncs():
        yield from growth(place, "size", "bytes", scale.sizes, log_of_bytes)
        yield from growth(place, "segments", "segments", scale.segments, log_of_segments)


def growth(
    place: Path, name: str, unit: str, counts: Sequence[int], make: Callable[[Path, int], Grown]
) -> Iterator[Result]:
    found: dict[int, dict[str, list[float]]] = {}
    for count in counts:
        path = place / f"{name}-{count}"
        found[count] = costs_of(make(path, count))
        shutil.rmtree(path)
    loop_ns = time_in_turns({LOOP: fixed_loop}, 1, REPEATED_MAX, time.process_time_ns).median(LOOP) / TURNS
    least = {what: median(values) for what, values in found[counts[0]].items()}
    lines = [
        Line(what, [point(count, [value / least[what] for value in found[count][what]]) for count in counts])
        for what in least
    ]
    yield Chart(
        name=f"growth-{name}",
        title=f"How costs grow with the {unit} of a log",
        x=f"{unit} in the log",
        y="× the cost of the smallest log",
        lines=lines,
        x_unit=unit,
    )
    for what, values in found[counts[-1]].items():
        each = f"{median(values) / 1024:.1f} MiB"
        if what != MEMORY:
            each = f"{number(median(values) / 1e6)} ms, where a turn of the loop takes {loop_ns:.1f} ns"
        yield ratio(
            f"{what}: {counts[-1] / counts[0]:,.0f} × the {unit}",
            [value / least[what] for value in values],
            [value / least[what] for value in found[counts[0]][what]],
            beside=each,
        )


# Sizes of entries, and codecs


def measured(scale: Scale, place: Path, entry_size: int, config: Callable[[], WalConfig]) -> Figures:
    """Measure a log of such entries as `walogs bench` does."""
    place.mkdir(parents=True)
    request = Request(
        place=str(place),
        log_at=lambda path: (path, config()),
        entry_size=entry_size,
        seconds=scale.seconds,
        threads=(),
        batch=max(min(BATCH, BATCH_BYTES_MAX // entry_size), 1),
    )
    figures = measure(request, lambda step: None)
    shutil.rmtree(place)
    return figures


def seconds_of(figures: Figures) -> dict[str, float]:
    """Return the seconds an entry of each verb: the median of those that wait for the disk."""
    return {
        "durable append": figures.append.p50_seconds,
        "bare write and sync": figures.bare.p50_seconds,
        "append_batch": 1 / figures.append_batch.per_second,
        "reading": 1 / figures.read.per_second,
        "opening": figures.opened.seconds / figures.opened_entries,
    }


def repeated(
    scale: Scale, place: Path, kinds: Mapping[str, tuple[int, Callable[[], WalConfig]]]
) -> dict[str, list[Figures]]:
    """Measure each kind of entries several times, in turns."""
    found: dict[str, list[Figures]] = {name: [] for name in kinds}
    for turn in range(max(scale.rounds // 2, 1)):
        for name, (entry_size, config) in kinds.items():
            found[name].append(measured(scale, place / f"{turn}-{name}", entry_size, config))
    return found


def entry_sizes(scale: Scale, place: Path) -> Iterator[Result]:
    """Measure entries of more and more bytes."""
    found = repeated(scale, place, {str(size): (size, WalConfig) for size in scale.entry_sizes})
    least = str(scale.entry_sizes[0])
    base = {what: median(seconds_of(each)[what] for each in found[least]) for what in seconds_of(found[least][0])}
    yield Chart(
        name="entry-sizes",
        title="How costs grow with the size of an entry",
        x="bytes in an entry",
        y="time of an entry ÷ that of the smallest",
        lines=[
            Line(
                what,
                [
                    point(float(size), [seconds_of(each)[what] / base[what] for each in of])
                    for size, of in found.items()
                ],
            )
            for what in base
        ],
        x_unit="bytes",
    )
    for size, figures in found.items():
        ratios = [each.times_bare for each in figures]
        yield ratio(f"entries of {number(int(size))} bytes: durable append ÷ bare", ratios, noise_of(figures))


def noise_of(figures: Sequence[Figures]) -> list[float]:
    """Return the bare write of each turn ÷ that of the first turn."""
    return [each.bare.p50_seconds / figures[0].bare.p50_seconds for each in figures]


def zstd() -> Codec:
    from walogs_zstd import ZstdCodec

    return ZstdCodec()


def aead() -> Codec:
    from walogs_aead import AeadCodec

    return AeadCodec(keys={"1": bytes(range(32))})


CODECS: Final[dict[str, Callable[[], Codec]]] = {"zstd": zstd, "aead": aead}
"""What makes the codecs of plugins. The distribution of each is called walogs-NAME."""


def codecs_here() -> dict[str, Callable[[], WalConfig]]:
    """Return what makes the configuration of each codec that is installed, by its name."""
    found: dict[str, Callable[[], WalConfig]] = {"crc32": WalConfig, "crc32 again": WalConfig}
    for name, codec in CODECS.items():
        if find_spec(f"walogs_{name}") is not None:
            found[name] = partial(config_with, codec)
    return found


def config_with(codec: Callable[[], Codec]) -> WalConfig:
    """Return a configuration for one handle, with a codec of its own."""
    return WalConfig(codec=codec())


def codecs(scale: Scale, place: Path) -> Iterator[Result]:
    """Measure the codecs that are installed, with entries of random bytes, which cannot be compressed."""
    found = repeated(scale, place, {name: (ENTRY_BYTES, config) for name, config in codecs_here().items()})
    base = [seconds_of(each) for each in found["crc32"]]
    again = [seconds_of(each) for each in found["crc32 again"]]
    for name, figures in found.items():
        if name.startswith("crc32"):
            continue
        for what in ("durable append", "append_batch", "reading", "opening"):
            values = [seconds_of(each)[what] / first[what] for each, first in zip(figures, base, strict=True)]
            noise = [second[what] / first[what] for second, first in zip(again, base, strict=True)]
            yield ratio(f"codec {name}: {what} ÷ the same with crc32", values, noise)
    for name in CODECS.keys() - found.keys():
        yield Row(f"codec {name} ÷ crc32", None, beside=f"walogs-{name} is not installed")
