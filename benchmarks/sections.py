"""The sections of the report: which groups of rows each holds, and what is said about them."""

from __future__ import annotations

from typing import Final, NamedTuple


class Section(NamedTuple):
    """One part of the report."""

    title: str
    groups: tuple[str, ...]
    """The names of the benchmarks whose rows it holds."""
    before: str
    """Markdown that stands before the pictures and the table."""
    after: str = ""
    """Markdown that stands after them."""


INTRODUCTION: Final = """\
# Performance

One command measures everything on this page, in one run on one machine, and writes it:

```bash
uv run --group bench python -m benchmarks --all --report docs/performance.md
```

Every figure is a **ratio inside this run**. What is compared takes turns in blocks, in a new random order for every
turn, so that a slow moment is slow for both. The figure is the median of the rounds, and the rounds are beside it. The
column **noise** has what the same thing gives when it is measured twice: a ratio nearer to 1 than the noise says
nothing. Nanoseconds stand only beside the turn of a fixed loop that was measured with them, because a processor that is
half as fast doubles both. Everything that was written is read back and compared before a figure is printed, walogs'
entries by walogs and those of each peer by its own reader. [The benchmarks](../benchmarks/README.md) say how.
"""
SECTIONS: Final = (
    Section(
        "A durable append",
        ("append", "batch"),
        "One `append` returns when its entry is on the disk. The bare write is `pwrite` and `fdatasync` of"
        " as many bytes"
        " into zeros that are already there. A batch of 1,000 entries is one frame and one sync.",
    ),
    Section(
        "A durable append, beside others",
        ("peers",),
        "Each peer makes the same promise: when its append returns, the entry survives a power cut. The column beside"
        " the figure says how many syncs strace counted for each append. Those of Rust and Go run in processes of their"
        " own, and keep their own time, so that Python costs them nothing. A peer without batches is left out of the"
        " second picture.",
        "Only walogs and the peers of Rust and Go are logs. The others are stores and queues: they show what a durable"
        " write costs in what people use instead. LMDB writes its meta page through a descriptor that syncs by itself,"
        " which strace does not count.",
    ),
    Section(
        "Walking",
        ("walk",),
        "Processor time of a loop over all entries, from a warm cache. walogs checks every byte; the peers"
        " check as much"
        " as the table of random reads says.",
    ),
    Section(
        "Reading one entry",
        ("read",),
        "`read(lsn)` at random, beside a `get` by key. The rows say what each one checks before it returns the entry.",
    ),
    Section(
        "Opening, verifying, copying",
        ("open", "inspect"),
        'An open with `verify="full"` checks every byte of the log; with `verify="last"` it trusts the SEALs of'
        " completed segments. The bare work is reading the same files in chunks, and one CRC.",
    ),
    Section(
        "How costs grow",
        ("growth",),
        "One log grows in bytes, in segments of 64 MiB and entries of 1 KiB. The other grows in segments, each with one"
        " entry. Processor time, from a warm cache; syncs do nothing here.",
    ),
    Section(
        "Sizes of entries, and codecs",
        ("entry-sizes", "codecs"),
        "Measured by the code of `walogs bench`, with entries that cannot be compressed.",
    ),
    Section(
        "Many callers",
        ("crowds", "callers"),
        "Threads in `append`, futures of one thread that `submit` gave, and tasks of asyncio, all with one log. The"
        " simulated sync takes 0.1 ms, whatever this disk does meanwhile.",
    ),
    Section(
        "Tasks of asyncio",
        ("tasks",),
        'Rates of tasks beside other callers, with the syncs of this disk and with simulated ones. "Batching in memory'
        ' alone" has no log: it is what asyncio itself costs.',
        "- **One task** pays for two more wake-ups, of the commit thread and of the loop. The slower the disk is, the"
        " less they count.\n"
        "- **1,000 tasks** are limited by the processor, and a part of that is asyncio itself. So how many"
        " times the rate"
        " of one task they reach depends on the disk: the slower its syncs are, the more.\n"
        "- **aiosqlite** runs one statement after another on one thread, and each is a transaction of its own here. A"
        " program that gathers its rows into one transaction is much faster.",
    ),
    Section(
        "Following",
        ("follow",),
        "A reader in another process, at 200 appends a second. Its delay counts from the return of the"
        " append. Beside it"
        " runs a process that only sleeps, 10 ms at a time.",
    ),
    Section(
        "Starting, and memory",
        ("import", "memory"),
        "`import walogs` in a new interpreter, beside one that imports nothing; and the peak of memory of a"
        " process that"
        " opens and walks a large log, over that of a bare one.",
    ),
    Section(
        "File systems",
        ("file-systems",),
        "File systems on loop devices, which lie on the disk of this machine. The slow syncs take 1 ms longer.",
    ),
    Section(
        "Stores behind a network",
        ("remote",),
        "A model of a store at 60 ms a put and 20 ms a request. If every caller were in every put, the figure would be"
        " their number.",
    ),
)
