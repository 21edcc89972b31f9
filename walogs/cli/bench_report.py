"""What `walogs bench` has measured: in aligned lines, and as JSON in base units (seconds, bytes, entries a second)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from walogs.cli.diagnosis import MEMORY
from walogs.cli.show import counted, lasted, sized

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.cli.bench_rows import Figures, Latencies, Rate
    from walogs.protocols import Promise


class Measured(NamedTuple):
    """What the figures are about."""

    directory: str
    file_system: str | None
    """None: it cannot be told."""
    python: str
    walogs: str
    log: str | None
    """Name of the log whose components these are; None: the defaults."""
    store: str
    codec: str
    sync: str
    promise: Promise
    """Of the sync policy: whether an append that has returned is durable."""
    entry_size: int
    """Bytes."""
    batch: int
    """Entries."""
    seconds: float
    """Each row."""

    @property
    def is_in_memory(self) -> bool:
        return self.file_system in MEMORY


# In lines


def lines_of(measured: Measured, figures: Figures) -> Iterator[str]:
    """What was measured, what to mind about it, and a line for each row."""
    components = f"store {measured.store}, codec {measured.codec}, sync {measured.sync}"
    of_log = "" if measured.log is None else f" (log {measured.log})"
    yield (
        f"{measured.directory}: {measured.file_system or 'unknown file system'}, Python {measured.python},"
        f" walogs {measured.walogs}, {components}{of_log}, entries of {sized(measured.entry_size)}"
    )
    yield from notes_of(measured)
    rows = list(rows_of(measured, figures))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for what, rate, *beside in rows:
        cells = (what.ljust(widths[0]), rate.rjust(widths[1]), *map(str.ljust, beside, widths[2:]))
        yield "  ".join(cells).rstrip()


def notes_of(measured: Measured) -> Iterator[str]:
    if measured.is_in_memory:
        yield f"note: {measured.file_system} is in memory: durable figures mean nothing here; name a DIR on a disk"
    match measured.promise:
        case "durable":
            pass
        case "eventually":
            yield f"note: sync {measured.sync} syncs in the background: an append that has returned is durable later"
        case "none":
            yield f"note: sync {measured.sync} promises no durability: a power cut may lose what was appended"


def rows_of(measured: Measured, figures: Figures) -> Iterator[tuple[str, str, str, str]]:
    """(what, rate, latencies, what is beside it)."""
    bare, append = figures.bare, figures.append
    yield "bare pwrite + fdatasync", rate_of(bare.rate, "writes"), told(bare), f"of {sized(figures.write_bytes)} each"
    beside = f"{figures.times_bare:.2f} × the bare write beside it"
    yield "append, 1 thread", rate_of(append.rate, "entries"), told(append), beside
    for threads, rate in figures.by_threads.items():
        times = f"{rate.per_second / append.rate.per_second:.2f} × one thread"
        yield f"append, {threads} threads", rate_of(rate, "entries"), "", times
    batch = counted(measured.batch, "entry", "entries")
    yield f"append_batch of {batch}", rate_of(figures.append_batch, "entries"), "", ""
    data = f"{sized(round(figures.read.per_second * measured.entry_size))}/s of data"
    yield "reading all entries", rate_of(figures.read, "entries"), "", data
    size = f"{counted(figures.opened_entries, 'entry', 'entries')}, {sized(figures.opened.amount)}"
    speed = f"{sized(round(figures.opened.per_second))}/s"
    yield "opening, every byte checked", speed, lasted(figures.opened.seconds), size


def told(latencies: Latencies) -> str:
    return f"p50 {lasted(latencies.p50_seconds)}, p99 {lasted(latencies.p99_seconds)}"


def rate_of(rate: Rate, what: str) -> str:
    number = rate.per_second
    return f"{number:,.{0 if number >= 100 else 1}f} {what}/s"


# As JSON


def facts_of(measured: Measured, figures: Figures) -> dict[str, Any]:
    """The same, each figure named with its unit."""
    one = figures.append.rate.per_second
    return {
        **measured._asdict(),
        "is_in_memory": measured.is_in_memory,
        "bare": {
            "writes": figures.bare.rate.amount,
            "bytes": figures.write_bytes,
            "writes_per_second": figures.bare.rate.per_second,
            **percentiles(figures.bare),
        },
        "append": {**entries_of(figures.append.rate), **percentiles(figures.append), "times_bare": figures.times_bare},
        "threads": [
            {"threads": threads, **entries_of(rate), "times_one_thread": rate.per_second / one}
            for threads, rate in figures.by_threads.items()
        ],
        "append_batch": entries_of(figures.append_batch),
        "read": {
            **entries_of(figures.read),
            "bytes_per_second": figures.read.per_second * measured.entry_size,
        },
        "open": {
            "entries": figures.opened_entries,
            "bytes": figures.opened.amount,
            "seconds": figures.opened.seconds,
            "bytes_per_second": figures.opened.per_second,
        },
    }


def entries_of(rate: Rate) -> dict[str, float]:
    return {"entries": rate.amount, "seconds": rate.seconds, "entries_per_second": rate.per_second}


def percentiles(latencies: Latencies) -> dict[str, float]:
    return {"p50_seconds": latencies.p50_seconds, "p99_seconds": latencies.p99_seconds}
