"""`walogs demo`: a log survives a kill, then a simulated power cut; damage is told from both.

What is shown is what was found: every line about a log is computed from a log, and any that should not be so makes the
exit status 1.
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

from walogs.assembly import open as open_log
from walogs.cli import demo_story, demo_writer
from walogs.cli.demo_facts import Damage, Demonstration, Kill, PowerCut
from walogs.cli.status import DONE, FAILED
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


def run(*, as_json: bool = False) -> int:
    """The demonstration; its exit status."""
    console = Console(highlight=False, quiet=as_json)
    logger = logging.getLogger("walogs")
    level = logger.level
    logger.setLevel(logging.ERROR)  # what recovery warns of is what is being shown
    try:
        with tempfile.TemporaryDirectory(prefix="walogs-demo-") as directory:
            shown = demonstrate(console, Path(directory))
    finally:
        logger.setLevel(level)
    if as_json:
        print(json.dumps(shown.as_json(), indent=2))
    return DONE if shown.ok else FAILED


def demonstrate(console: Console, directory: Path) -> Demonstration:
    """The three parts, up to the first that did not show what it should; each is told as it comes."""
    log = directory / "killed.wal"
    demo_story.before_kill(console)
    acknowledged = acknowledged_before_the_kill(console, log)
    recovered = opened(log)
    kill = kill_judged(acknowledged, recovered)
    demo_story.after_kill(console, kill)
    if kill.wrong is not None:
        return Demonstration(kill)

    demo_story.before_power_cut(console)
    torn = copied(log, directory / "torn.wal", SEGMENT)
    cut_in_last_frame(torn, recovered)
    power_cut = power_cut_judged(recovered, torn)
    demo_story.after_power_cut(console, power_cut)
    if power_cut.wrong is not None:
        return Demonstration(kill, power_cut)

    demo_story.before_damage(console, WITNESS)
    damaged = copied(log, directory / "damaged.wal", SEGMENT, WITNESS)
    cut_in_last_frame(damaged, recovered)
    damage = damage_judged(damaged)
    demo_story.after_damage(console, damage)
    return Demonstration(kill, power_cut, damage)


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


# What was found


def kill_judged(acknowledged: list[int], recovered: Opened) -> Kill:
    """Whether every acknowledged entry, and at most the one in flight besides, came back byte for byte."""
    told, found = len(acknowledged), len(recovered.entries)
    is_same = recovered.entries == list(islice(cycle(demo_writer.lines()), found))
    wrong = None
    if acknowledged != list(range(1, told + 1)) or found < told or not is_same:
        wrong = "acknowledged entries are missing, or not what was appended"
    elif found > told + 1:
        wrong = "more entries came back than can have been appended"
    return Kill(told, found, recovered.tail_state, wrong)


def power_cut_judged(recovered: Opened, log: Path) -> PowerCut:
    """Whether everything before the cut came back, and the log goes on from there."""
    cut = opened(log)
    lsn, wrong = None, None
    if cut.entries != recovered.entries[:-1] or isinstance(cut.tail_state, Clean):
        wrong = "what is before the cut did not come back as it was"
    else:
        with open_log(log) as wal:
            lsn = wal.append(recovered.entries[-1])
        again = opened(log)
        if again.entries != recovered.entries or not isinstance(again.tail_state, Clean):
            wrong = "the log did not go on after the cut"
    return PowerCut(len(cut.entries), cut.tail_state, lsn, wrong)


def damage_judged(log: Path) -> Damage:
    """Whether the log was refused, and not a byte of it changed."""
    before = (log / SEGMENT).read_bytes()
    try:
        found = opened(log)
    except Corrupt as error:
        is_same = (log / SEGMENT).read_bytes() == before
        return Damage(str(error), error.lsn, None if is_same else "the segment was changed")
    return Damage(None, None, f"it was opened, with {len(found.entries)} entries")
