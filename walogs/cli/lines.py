"""Lines of a file or a pipe into entries, as many in one commit as one read gave; entries into lines. In memory that
no length of log or file adds to."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, Final

from walogs.errors import EntryTooLarge
from walogs.types import MAX_ENTRY_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import FileIO
    from typing import BinaryIO, NoReturn

    from rich.progress import Progress, ProgressColumn

    from walogs.wal import Wal

READ_BYTES: Final = 1 << 20
PRINT_BYTES: Final = 1 << 16
WORTH_A_BAR: Final = 8 << 20
"""Files smaller than this, in bytes, are done before anybody has read the bar."""


def opened_lines(name: str) -> FileIO:
    """The file of that name; `-`: standard input. Raises `OSError`. Before the log is opened: it makes nothing."""
    if name != "-":
        return open(name, "rb", buffering=0)
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    if sys.stdin.isatty() and sys.stderr is not None:
        print("walogs: appending what you type, line by line; Ctrl-D ends it", file=sys.stderr)
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)


def append_lines(wal: Wal, source: FileIO, max_entry_size: int = MAX_ENTRY_SIZE) -> None:
    """Every line of *source* becomes an entry. Whatever stops it is told how far it came."""
    first_lsn = wal.next_lsn
    try:
        with progress(source) as advance:
            for lines, read_bytes in batches(source, max_entry_size):
                whole = next((k for k, line in enumerate(lines) if len(line) > max_entry_size), len(lines))
                wal.append_batch(lines[:whole])
                if whole < len(lines):
                    refuse_line(wal.next_lsn - first_lsn + 1, len(lines[whole]), max_entry_size)
                advance(read_bytes)
    except BaseException as error:
        durable_lsn = wal.durable_lsn
        if durable_lsn >= first_lsn:
            error.add_note(f"What came before it is durable, as entries {first_lsn} to {durable_lsn}.")
        else:
            error.add_note("Nothing was appended before it.")
        raise


def refuse_line(number: int, size: int, max_entry_size: int) -> NoReturn:
    message = f"line {number} is longer than the {max_entry_size} bytes that an entry may have"
    raise EntryTooLarge(message, size=size, max=max_entry_size)


def batches(source: FileIO, max_entry_size: int = MAX_ENTRY_SIZE) -> Iterator[tuple[list[bytes], int]]:
    """(lines without their newlines, bytes read for them) until the end. A line that grows past what an entry may be
    is handed out unfinished: no more of it is read than shows that."""
    unfinished: list[bytes] = []
    held = read_bytes = 0
    while chunk := read(source):
        *lines, rest = chunk.split(b"\n")
        read_bytes += len(chunk)
        if lines:
            lines[0] = b"".join((*unfinished, lines[0]))
            unfinished, held = [], 0
            yield lines, read_bytes
            read_bytes = 0
        if rest:
            unfinished.append(rest)
            held += len(rest)
        if held > max_entry_size:
            break
    if unfinished:
        yield [b"".join(unfinished)], read_bytes


def read(source: FileIO) -> bytes:
    """What is there, and something unless it is the end."""
    while (chunk := source.read(READ_BYTES)) is None:  # a pipe that somebody made non-blocking
        select.select([source], [], [])
    return chunk


def print_lines(out: BinaryIO, lines: Iterable[bytes]) -> None:
    """Each with a newline, many in one write, and all of them on return. What came before an exception is printed too,
    unless printing is what failed."""
    held: list[bytes] = []
    held_bytes = 0
    try:
        for line in lines:
            held.append(line)
            held_bytes += len(line) + 1
            if held_bytes >= PRINT_BYTES:
                printed, held, held_bytes = held, [], 0
                out.write(b"\n".join((*printed, b"")))
    finally:
        out.write(b"\n".join((*held, b"")))
        out.flush()


@contextlib.contextmanager
def progress_bar(what: str, *, at_once: bool = False) -> Iterator[Callable[[int, int], object] | None]:
    """A function that is told (bytes done, bytes in all): it moves a bar on a terminal, once there is enough to do.
    *at_once*: shown until the end, for work that does not tell how far it is. None: nobody watches."""
    if not is_watched():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    columns = (TextColumn(what), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    bar = bar_of(*columns)
    task = bar.add_task("", total=None)

    def advance(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)
        if total >= WORTH_A_BAR:
            bar.start()

    try:
        if at_once:
            bar.start()
        yield advance
    finally:
        bar.stop()


@contextlib.contextmanager
def step_bar(steps: int) -> Iterator[Callable[[str], object]]:
    """A function that is told the name of each step as it begins: it moves a bar, with seconds, on a terminal. Nothing
    moves in between: a thread that did it would be part of what is measured."""
    if not is_watched():
        yield lambda step: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with bar_of(*columns, auto_refresh=False) as bar:
        task = bar.add_task("", total=steps, completed=-1)
        yield lambda step: bar.update(task, advance=1, description=step, refresh=True)


@contextlib.contextmanager
def progress(source: FileIO) -> Iterator[Callable[[int], object]]:
    """A function that is told how many bytes are done: it moves a bar, for a big file on a terminal."""
    status = os.fstat(source.fileno())
    if not (is_watched() and stat.S_ISREG(status.st_mode) and status.st_size >= WORTH_A_BAR):
        yield lambda read_bytes: None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("appending"), BarColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with bar_of(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=status.st_size)
        yield lambda read_bytes: bar.advance(task, read_bytes)


def is_watched() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def bar_of(*columns: ProgressColumn, auto_refresh: bool = True) -> Progress:
    """On standard error, and gone when it ends."""
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=auto_refresh)
