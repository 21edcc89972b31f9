"""The report of `walogs bench`, in aligned lines or as JSON in base units (seconds, bytes, entries per second)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from walogs.cli.doctor.diagnosis import MEMORY
from walogs.cli.show import count_words, duration_words, size_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.cli.bench.rows import Figures, Latencies, Rate
    from walogs.protocols import Durability


class Circumstances(NamedTuple):
    """The circumstances in which the figures were measured."""

    directory: str
    file_system: str | None
    """The kind of the file system, or None if the system does not tell it."""
    python: str
    walogs: str
    log: str | None
    """The name of the log whose components were measured, or None if no configuration file was used."""
    store: str
    codec: str
    sync: str
    durability: Durability
    """The durability of the sync policy: whether an append that has returned is durable."""
    entry_size: int
    """The size of an entry, in bytes."""
    batch: int
    """The number of entries in a batch."""
    seconds: float
    """The time for which each row was measured, in seconds."""

    @property
    def is_in_memory(self) -> bool:
        return self.file_system in MEMORY


# In lines


def lines_of(measured: Circumstances, figures: Figures) -> Iterator[str]:
    """Yield a line about the circumstances, then the notes, and then a line for each row."""
    components = f"store {measured.store}, codec {measured.codec}, sync {measured.sync}"
    of_log = "" if measured.log is None else f" (log {measured.log})"
    yield (
        f"{measured.directory}: {measured.file_system or 'unknown file system'}, Python {measured.python},"
        f" walogs {measured.walogs}, {components}{of_log}, entries of {size_words(measured.entry_size)}"
    )
    yield from notes_of(measured)
    rows = list(rows_of(measured, figures))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for what, rate, *beside in rows:
        cells = (what.ljust(widths[0]), rate.rjust(widths[1]), *map(str.ljust, beside, widths[2:]))
        yield "  ".join(cells).rstrip()


def notes_of(measured: Circumstances) -> Iterator[str]:
    if measured.is_in_memory:
        yield f"note: {measured.file_system} is in memory: durable figures mean nothing here; name a DIR on a disk"
    match measured.durability:
        case "durable":
            pass
        case "eventually":
            yield f"note: sync {measured.sync} syncs in the background: an append that has returned is durable later"
        case "none":
            yield f"note: sync {measured.sync} promises no durability: a power cut may lose what was appended"


def rows_of(measured: Circumstances, figures: Figures) -> Iterator[tuple[str, str, str, str]]:
    """Yield (name, rate, latencies, remark) for each row."""
    bare, append = figures.bare, figures.append
    yield (
        "bare pwrite + fdatasync",
        rate_of(bare.rate, "writes"),
        latency_words(bare),
        f"of {size_words(figures.write_bytes)} each",
    )
    beside = f"{figures.times_bare:.2f} × the bare write beside it"
    yield "append, 1 thread", rate_of(append.rate, "entries"), latency_words(append), beside
    for threads, rate in figures.by_threads.items():
        times = f"{rate.per_second / append.rate.per_second:.2f} × one thread"
        yield f"append, {threads} threads", rate_of(rate, "entries"), "", times
    batch = count_words(measured.batch, "entry", "entries")
    yield f"append_batch of {batch}", rate_of(figures.append_batch, "entries"), "", ""
    data = f"{size_words(round(figures.read.per_second * measured.entry_size))}/s of data"
    yield "reading all entries", rate_of(figures.read, "entries"), "", data
    size = f"{count_words(figures.opened_entries, 'entry', 'entries')}, {size_words(figures.opened.amount)}"
    speed = f"{size_words(round(figures.opened.per_second))}/s"
    yield "opening, every byte checked", speed, duration_words(figures.opened.seconds), size


def latency_words(latencies: Latencies) -> str:
    return f"p50 {duration_words(latencies.p50_seconds)}, p99 {duration_words(latencies.p99_seconds)}"


def rate_of(rate: Rate, what: str) -> str:
    number = rate.per_second
    return f"{number:,.{0 if number >= 100 else 1}f} {what}/s"


# As JSON


def facts_of(measured: Circumstances, figures: Figures) -> dict[str, Any]:
    """Return the same facts for JSON. The name of each figure contains its unit."""
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
