"""`walogs demo`: a log survives a kill, then a simulated power cut; damage is told from both.

What is shown is what was found: every line about a log is computed from a log, and any that should not be so makes the
exit status 1.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.console import Console
from rich.text import Text

from walogs.assembly import open as open_log
from walogs.cli import demo_writer
from walogs.cli.status import DONE, FAILED, printable
from walogs.errors import Corrupt
from walogs.types import Clean, TailState

if TYPE_CHECKING:
    from collections.abc import Iterator

ENOUGH: Final = 300
"""Acknowledged entries, after which the writer is killed; or, on a slow disk, what there is after SECONDS_MAX."""
SECONDS_MAX: Final = 2.0
START_SECONDS_MAX: Final = 60.0
SEGMENT: Final = "wal-000001.log"
WITNESS: Final = "DURABLE"
FRAME_OVERHEAD_BYTES: Final = 44
"""Header and check of a frame (docs/format.md)."""


class Opened(NamedTuple):
    """What a log gave back when it was opened."""

    entries: list[bytes]
    tail_state: TailState
    end: int
    """Offset in its only segment where its last frame ends."""


def run() -> int:
    """The demonstration; its exit status."""
    console = Console(highlight=False)
    logger = logging.getLogger("walogs")
    level = logger.level
    logger.setLevel(logging.ERROR)  # what recovery warns of is what is being shown
    try:
        with tempfile.TemporaryDirectory(prefix="walogs-demo-") as directory:
            is_good = demonstrate(console, Path(directory))
    finally:
        logger.setLevel(level)
    return DONE if is_good else FAILED


def demonstrate(console: Console, directory: Path) -> bool:
    """The three parts, up to the first that did not show what it should; whether all did."""
    log = directory / "killed.wal"
    heading(console, "1. A writer is killed")
    prose(
        console,
        f"A child process appends the lines of {demo_writer.FILE_NAME}, each an entry, and tells each LSN that append"
        " returned. In the middle of it the child is killed with SIGKILL. Then the log is opened again.",
    )
    acknowledged = acknowledged_before_the_kill(console, log)
    recovered = opened(log)
    if not show_kill(console, acknowledged, recovered):
        return False

    heading(console, "2. The power is cut (simulated)")
    prose(
        console,
        "A kill tears nothing: what the process had written is in the kernel's page cache, and survives it. So that you"
        " can see a torn end, a copy of the log loses the second half of its last frame, as in a power cut before the"
        " last sync had returned.",
    )
    torn = copied(log, directory / "torn.wal", SEGMENT)
    cut_in_last_frame(torn, recovered)
    if not show_power_cut(console, recovered, opened(torn), torn):
        return False

    heading(console, "3. The same bytes are missing, and had been synced")
    prose(
        console,
        f"Beside the segment lies the witness, {WITNESS}: it says how far the log was synced. The copy above was made"
        " without it, since it would have told on the cut. With it, the same cut is no torn end but damage:",
    )
    damaged = copied(log, directory / "damaged.wal", SEGMENT, WITNESS)
    cut_in_last_frame(damaged, recovered)
    if not show_damage(console, damaged):
        return False

    console.print()
    console.print(Text("Every acknowledged entry came back. Nothing is left on your disk.", style="bold green"))
    return True


# The writer


def acknowledged_before_the_kill(console: Console, log: Path) -> list[int]:
    """The LSNs that the child had told when it was killed."""
    with child_writing(log) as child, console.status("writing"):
        told = told_by(child)
        time.sleep(random.uniform(0, 0.02))  # so that the kill falls anywhere in an append
        kill(child)
        assert child.stdout is not None
        told += child.stdout.read()
    return [int(lsn) for lsn in told.splitlines()]


@contextlib.contextmanager
def child_writing(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The writing process; dead afterwards, whatever happens. It sees this walogs, and nothing of the directory that it
    is started in."""
    above = os.fspath(Path(demo_writer.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (above, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-P", "-m", demo_writer.__name__, os.fspath(log)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment,
        bufsize=0,
        process_group=0,  # a Ctrl-C is this process's to answer
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def told_by(child: subprocess.Popen[bytes]) -> bytes:
    """What the child tells until that is ENOUGH, or time is up. Raises `ChildProcessError` if it ends by itself."""
    assert child.stdout is not None
    told = b""
    deadline = time.monotonic() + START_SECONDS_MAX
    while told.count(b"\n") < ENOUGH:
        ready, _, _ = select.select([child.stdout], [], [], max(deadline - time.monotonic(), 0))
        if not ready:
            break
        piece = child.stdout.read(65536)
        if not piece:
            raise ChildProcessError("the writing process ended before it was killed")
        if not told:
            deadline = time.monotonic() + SECONDS_MAX
        told += piece
    if not told:
        raise ChildProcessError("the writing process acknowledged nothing")
    return told


def kill(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


# The logs


def opened(log: Path) -> Opened:
    with open_log(log) as wal:
        return Opened([data for _, data in wal], wal.tail_state, wal.recovery_report.bytes)


def copied(log: Path, copy: Path, *names: str) -> Path:
    copy.mkdir()
    for name in names:
        shutil.copyfile(log / name, copy / name)
    return copy


def cut_in_last_frame(log: Path, recovered: Opened) -> None:
    """The second half of the last frame becomes zeros: that is what the window holds where no write has reached it."""
    half = (FRAME_OVERHEAD_BYTES + len(recovered.entries[-1])) // 2
    with (log / SEGMENT).open("r+b") as segment:
        segment.seek(recovered.end - half)
        segment.write(bytes(half))


# What is shown


def show_kill(console: Console, acknowledged: list[int], recovered: Opened) -> bool:
    """Whether every acknowledged entry, and at most the one in flight besides, came back byte for byte."""
    told, found = len(acknowledged), len(recovered.entries)
    fact(console, "acknowledged", f"{told} entries, before the kill")
    fact(console, "recovered", f"{found} entries, {recovered.tail_state}")
    is_same = recovered.entries == list(islice(cycle(demo_writer.lines()), found))
    if acknowledged != list(range(1, told + 1)) or found < told or not is_same:
        return complaint(console, "acknowledged entries are missing, or not what was appended")
    if found > told + 1:
        return complaint(console, "more entries came back than can have been appended")
    if found > told:
        good(console, "all that were acknowledged, and one more: the kill came before the child could tell its LSN")
    else:
        good(console, "all that were acknowledged, byte for byte; never fewer, at times one more")
    if not isinstance(recovered.tail_state, Clean):
        prose(console, "The kill came while the kernel was still taking over the bytes of one write: that was cut.")
    return True


def show_power_cut(console: Console, recovered: Opened, cut: Opened, log: Path) -> bool:
    """Whether everything before the cut came back, and the log goes on from there."""
    fact(console, "recovered", f"{len(cut.entries)} entries, {cut.tail_state}")
    if cut.entries != recovered.entries[:-1] or isinstance(cut.tail_state, Clean):
        return complaint(console, "what is before the cut did not come back as it was")
    with open_log(log) as wal:
        lsn = wal.append(recovered.entries[-1])
    again = opened(log)
    if again.entries != recovered.entries or not isinstance(again.tail_state, Clean):
        return complaint(console, "the log did not go on after the cut")
    good(console, f"all before the cut; then the lost line was appended again, and read back as entry {lsn}")
    return True


def show_damage(console: Console, log: Path) -> bool:
    """Whether the log was refused, and not a byte of it changed."""
    before = (log / SEGMENT).read_bytes()
    try:
        found = opened(log)
    except Corrupt as error:
        fact(console, "refused", f"Corrupt: {printable(str(error))}")
    else:
        return complaint(console, f"it was opened, with {len(found.entries)} entries")
    if (log / SEGMENT).read_bytes() != before:
        return complaint(console, "the segment was changed")
    good(console, "nothing acknowledged is dropped in silence")
    return True


def heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def prose(console: Console, text: str) -> None:
    indented(console, "", text, "")


def fact(console: Console, label: str, value: str) -> None:
    indented(console, f"{label:<14}", value, "cyan")


def good(console: Console, text: str) -> None:
    indented(console, "→ ", text, "bold green")


def complaint(console: Console, text: str) -> bool:
    indented(console, "→ wrong: ", text, "bold red")
    return False


def indented(console: Console, label: str, text: str, style: str) -> None:
    """The label, and the text beside it in lines that fit."""
    margin = "   "
    width = min(console.width, 100) - len(margin) - len(label)
    first, *rest = textwrap.wrap(text, max(width, 20), break_on_hyphens=False)
    console.print(Text.assemble(margin, (label, style), first), soft_wrap=True)
    for line in rest:
        console.print(Text(f"{margin}{'':<{len(label)}}{line}"), soft_wrap=True)
