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
APPENDING: Final = """\
One `append` returns when its entry is on the disk. The bare write is `pwrite` and `fdatasync` of as many bytes into
zeros that are already there. A batch of 1,000 entries is one frame and one sync.
"""
AFTER_APPENDING: Final = """\
What an append takes beyond the bare write is processor time. So it counts for more, the faster a disk syncs: compare
the slow syncs under [File systems](#file-systems).
"""
PEERS: Final = """\
Each peer makes the same promise: when its append returns, the entry survives a power cut. Beside the figure stands how
many syncs strace counted for each single append. The peers of Rust and Go run in processes of their own, and keep their
own time, so that Python costs them nothing. A peer without batches is left out of the second picture.
"""
AFTER_PEERS: Final = """\
Only walogs and the peers of Rust and Go are logs. The others are stores and queues: they show what a durable write
costs in what people use instead. LMDB writes its meta page through a descriptor that syncs by itself, which strace does
not count.
"""
WALKING: Final = """\
Processor time of a loop over all entries, from a warm cache. walogs checks every byte, and LMDB none. What the others
check stands beside the random reads below.
"""
READING: Final = """\
`read(lsn)` at random, beside a `get` by key. Beside each figure stands what is checked before the entry is returned.
"""
COLUMNS: Final = """\
All entries as columns for Arrow, beside reading and checking the same frames without looking into them, and beside
`iter`, which makes a Python object of each entry.
"""
OPENING: Final = """\
An open with `verify="full"` checks every byte of the log; with `verify="last"` it trusts the SEALs of completed
segments. The bare work is reading the same files in chunks, and one CRC.
"""
AFTER_OPENING: Final = """\
- **verify** also holds every place, LSN and length that a SEAL names against the frames themselves.
- **backup** checks every byte that it copies, and syncs each file and each directory. `cp` and `sync` check nothing.
"""
GROWTH: Final = """\
One log grows in bytes, in segments of 64 MiB and entries of 1 KiB. The other grows in segments, each with one entry.
Each figure is the cost of the largest log ÷ that of the smallest: processor time from a warm cache, while syncs do
nothing.
"""
ENTRIES: Final = """\
Measured by the code of `walogs bench`, with entries that cannot be compressed.
"""
CALLERS: Final = """\
Threads in `append`, futures of one thread that `submit` gave, and tasks of asyncio, all with one log. The simulated
sync takes 0.1 ms, whatever this disk does meanwhile.
"""
TASKS: Final = """\
Rates of tasks beside other callers, with the syncs of this disk and with simulated ones. "Batching in memory alone" has
no log: it is what asyncio itself costs.
"""
AFTER_TASKS: Final = """\
- **One task** pays for two more wake-ups, of the commit thread and of the loop. They count less if a sync takes a
  millisecond, and they vary from run to run where it takes a tenth.
- **1,000 tasks** are limited by the processor, and a part of that is asyncio itself. So how many times the rate of one
  task they reach depends on the disk: the slower its syncs are, the more.
- **wrap_future(submit)** is the other way for a task to append. The futures of `submit` have become more than twice as
  fast since the target was set, and the tasks have not: their part of "batching in memory alone" is what it was.
- **aiosqlite** runs one statement after another on one thread, and each is a transaction of its own here. A program
  that gathers its rows into one transaction is much faster.
"""
FOLLOWING: Final = """\
A reader in another process, at 200 appends a second. Its delay counts from the return of the append. Beside it runs a
process that only sleeps, 10 ms at a time.
"""
STARTING: Final = """\
`import walogs` in a new interpreter, beside one that imports nothing; and the peak of memory of a process that opens
and walks a large log, over that of a bare one.
"""
FILE_SYSTEMS: Final = """\
File systems on loop devices, which lie on the disk of this machine. The slow syncs take 1 ms longer.
"""
REMOTE: Final = """\
A model of a store at 60 ms a put and 20 ms a request. If every caller were in every put, the figure would be their
number. The model only sleeps, so that its noise is how far one caller is from one put after the other.
"""
AFTER_REMOTE: Final = """\
If each put took no processor time, the figure would be as many callers as are in each put. But all callers share one
interpreter: while they are woken and append again, no put is under way.
[Decision 26](decisions/0026-after-a-slow-commit-late-callers-are-waited-for.md) says what the processor allows.
"""
SECTIONS: Final = (
    Section("A durable append", ("append", "batch"), APPENDING, after=AFTER_APPENDING),
    Section("A durable append, beside others", ("peers",), PEERS, after=AFTER_PEERS),
    Section("Walking", ("walk",), WALKING),
    Section("Columns", ("columns",), COLUMNS),
    Section("Reading one entry", ("read",), READING),
    Section("Opening, verifying, copying", ("open", "inspect"), OPENING, after=AFTER_OPENING),
    Section("How costs grow", ("growth",), GROWTH),
    Section("Sizes of entries, and codecs", ("entry-sizes", "codecs"), ENTRIES),
    Section("Many callers", ("crowds", "callers"), CALLERS),
    Section("Tasks of asyncio", ("tasks",), TASKS, after=AFTER_TASKS),
    Section("Following", ("follow",), FOLLOWING),
    Section("Starting, and memory", ("import", "memory"), STARTING),
    Section("File systems", ("file-systems",), FILE_SYSTEMS),
    Section("Stores behind a network", ("remote",), REMOTE, after=AFTER_REMOTE),
)
"""Each is one part of the page, in this order."""
