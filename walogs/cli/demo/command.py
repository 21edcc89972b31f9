"""`walogs demo`: a log survives a kill and a simulated power cut, and reports damage as something else.

The last part flips the same bit in SQLite's write-ahead log and in one of walogs. Every line about a log is computed
from a log. If one of walogs' logs does not behave as promised, the exit status is 1.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.console import Console

from walogs.assembly.opening import open as open_log
from walogs.cli.demo import flipped_bit, story, writer
from walogs.cli.demo.facts import Damage, Demonstration, Kill, PowerCut
from walogs.cli.options import AsJson
from walogs.cli.status import DONE, FAILED
from walogs.errors import Corrupt
from walogs.types import Clean, TailState

if TYPE_CHECKING:
    from collections.abc import Iterator

ENOUGH: Final = 300
"""The writer is killed after this many acknowledged entries, or, on a slow disk, after SECONDS_MAX."""
SECONDS_MAX: Final = 2.0
START_SECONDS_MAX: Final = 60.0
SEGMENT: Final = "wal-000001.log"
DURABLE_MARK: Final = "DURABLE"
FRAME_OVERHEAD_BYTES: Final = 44
"""The size of a frame's header and check (docs/format.md)."""


class OpenedLog(NamedTuple):
    """The entries and the end of a log that was opened."""

    entries: list[bytes]
    tail_state: TailState
    end: int
    """The offset in the only segment at which the last frame ends."""


def demo(*, as_json: AsJson = False) -> int:
    """Kill a writer while it writes, simulate a power cut, flip a bit, and show what a log gives back.

    A child process appends the lines of a real file to a log in a temporary directory, and is killed with SIGKILL. The
    last part flips the same bit in SQLite's write-ahead log and in one of walogs. Nothing is left behind.

    Exit status 0: every acknowledged entry came back, and all damage was reported. 1: walogs failed in one of these.
    """
    console = Console(highlight=False, quiet=as_json)
    logger = logging.getLogger("walogs")
    level = logger.level
    logger.setLevel(logging.ERROR)  # recovery would warn of the same damage that the demonstration shows
    try:
        with tempfile.TemporaryDirectory(prefix="walogs-demo-") as directory:
            shown = demonstrate(console, Path(directory))
    finally:
        logger.setLevel(level)
    if as_json:
        print(json.dumps(shown.as_json(), indent=2))
    return DONE if shown.ok else FAILED


def demonstrate(console: Console, directory: Path) -> Demonstration:
    """Run the four parts, and print each when it is done. Stop after the first part that fails."""
    log = directory / "killed.wal"
    story.before_kill(console)
    acknowledged = acknowledged_before_the_kill(console, log)
    recovered = reopen(log)
    kill = kill_judged(acknowledged, recovered)
    story.after_kill(console, kill)
    if kill.wrong is not None:
        return Demonstration(kill)

    story.before_power_cut(console)
    torn = copy_log(log, directory / "torn.wal", SEGMENT)
    tear_last_frame(torn, recovered)
    power_cut = power_cut_judged(recovered, torn)
    story.after_power_cut(console, power_cut)
    if power_cut.wrong is not None:
        return Demonstration(kill, power_cut)

    story.before_damage(console, DURABLE_MARK)
    damaged = copy_log(log, directory / "damaged.wal", SEGMENT, DURABLE_MARK)
    tear_last_frame(damaged, recovered)
    damage = damage_judged(damaged)
    story.after_damage(console, damage)
    if damage.wrong is not None:
        return Demonstration(kill, power_cut, damage)

    story.before_flipped_bit(console)
    flipped = flipped_bit.compare(directory)
    story.after_flipped_bit(console, flipped)
    return Demonstration(kill=kill, power_cut=power_cut, damage=damage, flipped_bit=flipped)


# The writer


def acknowledged_before_the_kill(console: Console, log: Path) -> list[int]:
    """Return the LSNs that the child had printed when it was killed."""
    with child_writing(log) as child, console.status("writing"):
        told = read_output(child)
        time.sleep(random.uniform(0, 0.02))  # the kill can come at any point of an append
        kill(child)
        assert child.stdout is not None
        told += child.stdout.read()
    return [int(lsn) for lsn in told.splitlines()]


@contextlib.contextmanager
def child_writing(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start the writing process, and kill it in any case when the `with` block ends.

    The process imports this installation of walogs, and nothing from its working directory.
    """
    above = os.fspath(Path(writer.__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (above, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-P", "-m", writer.__name__, os.fspath(log)]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment,
        bufsize=0,
        process_group=0,  # Ctrl-C reaches only the parent process
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def read_output(child: subprocess.Popen[bytes]) -> bytes:
    """Return the output of the child once it has printed ENOUGH LSNs, or time is up.

    Raises `ChildProcessError` if the child ends by itself, or prints no LSN.
    """
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


def reopen(log: Path) -> OpenedLog:
    with open_log(log) as wal:
        return OpenedLog([data for _, data in wal], wal.tail_state, wal.recovery_report.bytes)


def copy_log(log: Path, copy: Path, *names: str) -> Path:
    copy.mkdir()
    for name in names:
        shutil.copyfile(log / name, copy / name)
    return copy


def tear_last_frame(log: Path, recovered: OpenedLog) -> None:
    """Replace the second half of the last frame by zeros, as the window holds them where no write reached the disk."""
    half = (FRAME_OVERHEAD_BYTES + len(recovered.entries[-1])) // 2
    with (log / SEGMENT).open("r+b") as segment:
        segment.seek(recovered.end - half)
        segment.write(bytes(half))


# What was found


def kill_judged(acknowledged: list[int], recovered: OpenedLog) -> Kill:
    """Judge the recovery after the kill.

    Every acknowledged entry must come back byte for byte. At most one more entry may come back: the one that was being
    appended.
    """
    told, found = len(acknowledged), len(recovered.entries)
    is_same = recovered.entries == list(islice(cycle(writer.lines()), found))
    wrong = None
    if acknowledged != list(range(1, told + 1)) or found < told or not is_same:
        wrong = "acknowledged entries are missing, or differ from what was appended"
    elif found > told + 1:
        wrong = "more entries came back than the writer can have appended"
    return Kill(acknowledged=told, recovered=found, tail_state=recovered.tail_state, wrong=wrong)


def power_cut_judged(recovered: OpenedLog, log: Path) -> PowerCut:
    """Judge the recovery after the power cut: all entries before the cut must come back, and an append must work."""
    cut = reopen(log)
    lsn, wrong = None, None
    if cut.entries != recovered.entries[:-1] or isinstance(cut.tail_state, Clean):
        wrong = "the entries before the cut did not come back unchanged"
    else:
        with open_log(log) as wal:
            lsn = wal.append(recovered.entries[-1])
        again = reopen(log)
        if again.entries != recovered.entries or not isinstance(again.tail_state, Clean):
            wrong = "the log could not be appended to after the cut"
    return PowerCut(recovered=len(cut.entries), tail_state=cut.tail_state, appended_lsn=lsn, wrong=wrong)


def damage_judged(log: Path) -> Damage:
    """Judge the damaged log: `open` must refuse it, and must not change a byte of it."""
    before = (log / SEGMENT).read_bytes()
    try:
        found = reopen(log)
    except Corrupt as error:
        is_same = (log / SEGMENT).read_bytes() == before
        return Damage(f"{error.damage} Nothing was changed.", error.lsn, None if is_same else "the segment was changed")
    return Damage(None, None, f"it was opened, with {len(found.entries)} entries")
