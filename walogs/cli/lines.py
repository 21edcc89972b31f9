"""Lines of a file or a pipe become entries, and entries become lines.

The lines of one read are one commit. The memory that this takes does not depend on the length of the log or the file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, Final

from walogs.cli.entries import entry_of
from walogs.cli.output import output_named
from walogs.errors import EntryTooLarge
from walogs.types import MAX_ENTRY_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import FileIO
    from typing import BinaryIO, NoReturn

    from rich.progress import Progress, ProgressColumn

    from walogs.handles.wal import Wal

READ_BYTES: Final = 1 << 20
PRINT_BYTES: Final = 1 << 16
JSON_BYTES_MAX: Final = 6
"""The most bytes of JSON that one byte of an entry takes: a character is written as \\u0000."""
JSON_BYTES: Final = 1 << 16
"""The bytes that a line of JSON may have besides its entry."""
WORTH_A_BAR: Final = 8 << 20
"""Work on fewer bytes than this gets no progress bar, because it ends before anyone has read the bar."""


def open_lines(name: str) -> FileIO:
    """Open the file of that name, or standard input for `-`. Raises `OSError`.

    This is called before the log is opened, so that no log is made if the file is missing.
    """
    if name != "-":
        return open(name, "rb", buffering=0)
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    if sys.stdin.isatty() and sys.stderr is not None:
        print("walogs: appending what you type, line by line; Ctrl-D ends it", file=sys.stderr)
    return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)


def append_json_lines(wal: Wal, source: FileIO, max_entry_size: int = MAX_ENTRY_SIZE) -> int:
    """Append the entry that each line describes, and return the number of lines that describe a gap.

    The lines are those that `cat` and `salvage` print with --json. If a line is wrong, no line of the same read is
    appended. Every error has a note that says how far the command came.
    """
    first_lsn, read_lines, gaps = wal.next_lsn, 0, 0
    with note_progress_on_error(wal, first_lsn), progress(source) as advance:
        for lines, read_bytes in batches(source, JSON_BYTES_MAX * max(max_entry_size, 1) + JSON_BYTES):
            entries = [entry_of(line, number) for number, line in enumerate(lines, read_lines + 1)]
            wal.append_batch([entry for entry in entries if entry is not None])
            read_lines += len(lines)
            gaps += entries.count(None)
            advance(read_bytes)
    return gaps


def append_lines(wal: Wal, source: FileIO, max_entry_size: int = MAX_ENTRY_SIZE) -> None:
    """Append every line of *source* as an entry. Every error has a note that says how far the command came."""
    first_lsn = wal.next_lsn
    with note_progress_on_error(wal, first_lsn), progress(source) as advance:
        for lines, read_bytes in batches(source, max_entry_size):
            whole = next((k for k, line in enumerate(lines) if len(line) > max_entry_size), len(lines))
            wal.append_batch(lines[:whole])
            if whole < len(lines):
                refuse_line(wal.next_lsn - first_lsn + 1, len(lines[whole]), max_entry_size)
            advance(read_bytes)


@contextlib.contextmanager
def note_progress_on_error(wal: Wal, first_lsn: int) -> Iterator[None]:
    """Add a note to every error that says which of the appended entries are durable."""
    try:
        yield
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
    """Yield (lines without their newlines, bytes that were read for them) until the end of *source*.

    An unfinished line that is already longer than *max_entry_size* is yielded as it is, and ends the iteration.
    """
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
    """Return the bytes that are there now, and wait if there are none yet. Return b"" at the end only."""
    while (chunk := source.read(READ_BYTES)) is None:  # the pipe is non-blocking
        select.select([source], [], [])
    return chunk


def print_lines(out: BinaryIO, lines: Iterable[bytes]) -> None:
    """Print each line with a newline, many lines in one write.

    All lines are written when this returns. If *lines* raises, the lines before that are written too.
    """
    held: list[bytes] = []
    held_bytes = 0
    try:
        for line in lines:
            held.append(line)
            held_bytes += len(line) + 1
            if held_bytes >= PRINT_BYTES:
                printed, held, held_bytes = held, [], 0
                with output_named():
                    out.write(b"\n".join((*printed, b"")))
    finally:
        with output_named():
            out.write(b"\n".join((*held, b"")))
            out.flush()


@contextlib.contextmanager
def progress_bar(what: str, *, at_once: bool = False) -> Iterator[Callable[[int, int], object] | None]:
    """Yield a function that is called with (bytes done, bytes in all) and moves a bar on a terminal.

    The bar appears once there are WORTH_A_BAR bytes to do, or immediately with *at_once*, which is for long work that
    does not report its progress. Yield None if standard error is no terminal.
    """
    if not is_watched():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    how_far = (TimeElapsedColumn(),) if at_once else (DownloadColumn(binary_units=True), TransferSpeedColumn())
    bar = bar_of(TextColumn(what), BarColumn(), *how_far)
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
    """Yield a function that is called with the name of each step as it begins, and moves a bar on a terminal.

    The bar does not move within a step, because a thread that moved it would be part of what is measured.
    """
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
    """Yield a function that is called with the bytes of each step, and moves a bar for a big file on a terminal."""
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
    """Return a progress bar on standard error. It disappears when it ends."""
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=auto_refresh)
