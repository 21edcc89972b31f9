"""The page cache is lost in the middle of the load: a real kernel, a real file system, shut down without a log flush.

`FS_IOC_SHUTDOWN` is no atomic cut: what is acknowledged while it runs may be lost. So only what was acknowledged before
it was called counts. The durable mark is mapped where that cannot fault for want of space; on a file system that was
shut down it can, and then the writer dies of SIGBUS: it was about to be killed anyway.
"""

from __future__ import annotations

import fcntl
import os
import random
import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.laboratory import amount
from tests.system.children import Child, let_it_acknowledge, program, seed_of
from tests.system.filesystems import MEBIBYTE, Mounted, mounted, require_file_system
from tests.system.ledger import Ledger

GOING_DOWN: Final = 0x8004587D
WITHOUT_LOG_FLUSH: Final = 2
SEGMENT: Final = 8000


@pytest.fixture
def file_system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mounted]:
    require_file_system(request.param)
    with mounted(tmp_path, request.param, {"ext4": 64 * MEBIBYTE}.get(request.param)) as there:
        yield there


def shut_down(there: Mounted) -> None:
    fd = os.open(there.path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, GOING_DOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
    finally:
        os.close(fd)


def cycles(there: Mounted, count: int, sync: str) -> Counter[str]:
    """So many times: threads append, the file system goes down, comes back, and is looked at. A log lives for ten."""
    rng, seen = random.Random(seed_of("shutdowns")), Counter[str]()
    ledger, path = Ledger(), there.path / "log-0"
    for number in range(count):
        if number % 10 == 0:
            ledger, path = Ledger(), there.path / f"log-{number}"
        with Child(program("storm", path, 2, number * 1_000_000 + 1, sync)) as child:
            let_it_acknowledge(child, rng)
            before = child.lines()
            shut_down(there)
            child.kill()
            after = child.lines()[len(before) :]
        ledger.read(before)
        ledger.read(line for line in after if not line.startswith("ack"))
        there.remount()
        try:
            report = ledger.check_log(path, looks=1, max_segment_size=SEGMENT)
        except (AssertionError, walogs.WalError) as error:
            error.add_note(f"after {number + 1} shutdowns")
            raise
        seen[report.verdict] += 1
        seen["rewritten"] += report.rewritten_bytes > 0
        seen["acknowledged"] += sum(line.startswith("ack") for line in before)
        seen["acknowledged while it went down"] += sum(line.startswith("ack") for line in after)
    return seen


def handed_out(there: Mounted, count: int) -> Counter[str]:
    """So many times: a writer that never synced is killed, the log is opened, and then the file system goes down."""
    rng, seen = random.Random(seed_of("handed out")), Counter[str]()
    for number in range(count):
        ledger, path = Ledger(), there.path / f"handed-{number}"
        with Child(program("storm", path, 2, 1, "none")) as child:
            let_it_acknowledge(child, rng)
            child.kill()
            ledger.read(child.lines())
        with Child(program("handing", path)) as child:
            child.wait_for("handed out")
            shut_down(there)
            child.kill()
            ledger.read(child.lines())
        there.remount()
        seen["entries"] += len(ledger.acknowledged)
        ledger.check_log(path, looks=1, max_segment_size=SEGMENT)
    return seen


@pytest.mark.laboratory
@pytest.mark.guarantee("G1", "G2", "G4", "G5", "G10", "G12")
@pytest.mark.parametrize("file_system", ["ext4", "xfs"], indirect=True)
def test_what_was_acknowledged_before_the_page_cache_was_lost_is_there(
    file_system: Mounted, request: pytest.FixtureRequest
) -> None:
    count = amount(12, 60)
    seen = cycles(file_system, count, "fdatasync")
    print(f"{request.node.callspec.params['file_system']}: {count} shutdowns: {dict(seen)}")
    assert seen["acknowledged"] > count


@pytest.mark.laboratory
@pytest.mark.guarantee("G4", "G8", "G15")
@pytest.mark.parametrize("file_system", ["ext4", "xfs"], indirect=True)
def test_what_an_open_handed_out_is_there_after_the_page_cache_was_lost(file_system: Mounted) -> None:
    count = amount(8, 25)
    seen = handed_out(file_system, count)
    print(f"{count} opens after kills, then shutdowns: {dict(seen)}")
    assert seen["entries"] > count


@pytest.mark.laboratory
@pytest.mark.parametrize("file_system", ["ext4", "xfs"], indirect=True)
def test_this_can_fail_a_writer_that_never_syncs_loses_what_it_said_was_there(file_system: Mounted) -> None:
    with pytest.raises(AssertionError, match=r"was acknowledged|begins at|not dense"):
        cycles(file_system, 500, "none")  # ends with the first loss
