"""No room at any byte: what was acknowledged stays, half a frame is never buried, and with room it all goes on."""

from __future__ import annotations

import errno
import itertools
import os
import random
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.laboratory import amount
from tests.system.children import Child, program, quick_directory, run, said, seed_of
from tests.system.filesystems import Mounted, fill, mounted, require_file_system
from tests.system.ledger import Ledger, payload

SEGMENT: Final = 128 * 1024
STEPS: Final = {"create": 89, "window": 7, "grow": 11, "rotate": 101, "reopen": 97}
SMALL_STEPS: Final = {"create": 3, "window": 1, "grow": 1, "rotate": 3, "reopen": 3}
"""In the laboratory: around frames every byte, and a third of those where a file is refused as a whole."""
NOCOW: Final = 0x00800000


def limit_sizes(where: str, step: int, offset: int) -> None:
    with quick_directory() as directory:
        ran = run(program("limited", directory, where, step, offset), seconds=600, PYTHONWARNINGS="error")
        print(ran.stdout.strip())
        assert ran.returncode == 0, said(ran)


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("where", STEPS)
def test_a_size_limit_at_any_byte_loses_nothing_acknowledged(where: str) -> None:
    limit_sizes(where, STEPS[where], random.Random(seed_of(where)).randrange(STEPS[where]))


@pytest.mark.laboratory
@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("where", STEPS)
def test_a_size_limit_at_every_byte_loses_nothing_acknowledged(where: str) -> None:
    step = SMALL_STEPS[where] * amount(5, 1)
    limit_sizes(where, step, random.Random(seed_of(where)).randrange(step))


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Mounted]:
    require_file_system("ext4")
    with mounted(tmp_path, "ext4") as there:
        yield there


@pytest.fixture
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Mounted]:
    """Return a file system that may copy on write."""
    require_file_system(request.param)
    with mounted(tmp_path, request.param) as there:
        yield there


def append_until_refused(wal: walogs.Wal, ledger: Ledger, tokens: Iterator[int]) -> OSError:
    while True:
        token = next(tokens)
        try:
            ledger.acknowledge(wal.append(payload(token)), token)
        except walogs.NoSpace as refused:
            return refused


@pytest.mark.guarantee("G9")
def test_a_full_disk_refuses_appends_until_there_is_room_and_poisons_nothing(ext4: Mounted) -> None:
    path, ledger, tokens = ext4.path / "log", Ledger(), itertools.count(1)
    with walogs.open(path, max_segment_size=SEGMENT) as wal:
        while wal.segment_count < 5:
            token = next(tokens)
            ledger.acknowledge(wal.append(payload(token)), token)
        for _ in range(2):
            filler = fill(ext4.path)
            refused = append_until_refused(wal, ledger, tokens)
            assert refused.errno == errno.ENOSPC
            assert any("free some space" in note for note in refused.__notes__)
            with pytest.raises(walogs.NoSpace):
                wal.append(bytes(100_000))
            with pytest.raises(walogs.NoSpace):
                wal.rotate()
            ledger.check(list(wal), wal.next_lsn)
            filler.unlink()
            ledger.probe(wal)  # the same handle, as it was
            wal.rotate()
            ledger.probe(wal)
        fill(ext4.path)
        append_until_refused(wal, ledger, tokens)
        ledger.checkpointed = wal.segments()[2].last_lsn
        assert wal.checkpoint(ledger.checkpointed) == 3  # on the full disk, and that makes the room
        ledger.probe(wal)
    ext4.remount()
    ledger.check_log(path, max_segment_size=SEGMENT)


def killed_on_a_full_disk(there: Mounted, path: Path, ledger: Ledger) -> tuple[Path, str]:
    """A log whose writer was killed when nothing more went in; what fills the disk, and what the writer said last."""
    with Child(program("filling", path, SEGMENT)) as child:
        child.wait_for("ready")
        filler = fill(there.path)
        child.tell("go on")
        last = child.wait_for(("full", "indefinite"))
        child.kill()
        ledger.read(child.lines())
    return filler, last


@pytest.mark.guarantee("G8", "G9", "G11")
@pytest.mark.parametrize("first", ["append", "checkpoint"])
def test_a_log_killed_on_a_full_disk_is_opened_read_and_checkpointed_there(ext4: Mounted, first: str) -> None:
    path, ledger = ext4.path / "log", Ledger()
    filler, last = killed_on_a_full_disk(ext4, path, ledger)
    assert last == f"full {errno.ENOSPC}"
    with walogs.open(path, max_segment_size=SEGMENT) as wal:
        ledger.check(list(wal), wal.next_lsn)
        if first == "append":  # a recovered segment is not continued, and the next one is refused
            with pytest.raises(walogs.NoSpace):
                ledger.probe(wal)
        before = wal.segment_count
        ledger.checkpointed = wal.segments()[1].last_lsn
        assert wal.checkpoint(ledger.checkpointed) == 2
        assert wal.segment_count <= before - 1
        ledger.check(list(wal), wal.next_lsn)
        ledger.probe(wal)
    ledger.check_log(path, looks=1, max_segment_size=SEGMENT)
    filler.unlink()
    ext4.remount()
    ledger.check_log(path, max_segment_size=SEGMENT)


@pytest.mark.guarantee("G9", "G11", "G15")
def test_a_checkpoint_on_a_full_disk_is_durable_before_anything_goes(ext4: Mounted) -> None:
    path, ledger = ext4.path / "log", Ledger()
    filler, _ = killed_on_a_full_disk(ext4, path, ledger)
    for number in range(2):  # opened, checkpointed and closed on the full disk; then again
        with walogs.open(path, max_segment_size=SEGMENT) as wal:
            ledger.check(list(wal), wal.next_lsn)
            ledger.checkpointed = wal.segments()[0].last_lsn
            wal.checkpoint(ledger.checkpointed)
        filler = fill(ext4.path, f"filler-{number}")  # what has become free is not there for the next step
    filler.unlink()
    ext4.remount()
    ledger.check_log(path, max_segment_size=SEGMENT)


@pytest.mark.guarantee("G9")
def test_a_log_that_finds_no_room_to_begin_leaves_nothing_half_made(ext4: Mounted) -> None:
    path, ledger = ext4.path / "log", Ledger()
    path.mkdir()
    filler = fill(ext4.path)
    with pytest.raises(OSError) as refused:
        walogs.open(path)
    assert refused.value.errno == errno.ENOSPC
    assert set(os.listdir(path)) <= {"LOCK"}
    with pytest.raises(OSError) as refused:
        walogs.open(ext4.path / "another")
    assert refused.value.errno == errno.ENOSPC
    filler.unlink()
    ledger.check_log(path)
    ledger.check_log(path)


# Where overwriting may need space


@pytest.mark.laboratory
@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("other", ["btrfs", "xfs"], indirect=True)
def test_where_overwriting_needs_space_a_full_disk_may_refuse_to_open_and_loses_nothing(
    other: Mounted, request: pytest.FixtureRequest
) -> None:
    path, ledger = other.path / "log", Ledger()
    filler, last = killed_on_a_full_disk(other, path, ledger)
    before = {name: (path / name).read_bytes() for name in os.listdir(path) if name.startswith("wal-")}
    outcome = "opened"
    try:
        wal = walogs.open(path, max_segment_size=SEGMENT)
    except OSError as refused:
        assert refused.errno == errno.ENOSPC  # noqa: PT017  # either is right here
        outcome = "refused"
        assert {name: (path / name).read_bytes() for name in before} == before
    else:
        with wal:
            ledger.check(list(wal), wal.next_lsn)
            try:
                ledger.checkpointed = wal.segments()[1].last_lsn
                wal.checkpoint(ledger.checkpointed)
                outcome += ", checkpointed"
                ledger.probe(wal)
                outcome += ", appended"
            except (walogs.NoSpace, walogs.OutcomeUnknown) as error:
                outcome += f", then {error!r}"
    print(f"{request.node.callspec.params['other']}: the writer said {last!r}; afterwards {outcome}")
    filler.unlink()
    ledger.check_log(path, max_segment_size=SEGMENT)
    other.remount()
    ledger.check_log(path, max_segment_size=SEGMENT)


@pytest.mark.laboratory
@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("other", ["btrfs", "xfs"], indirect=True)
def test_a_full_disk_of_another_kind_takes_appends_again_once_there_is_room(other: Mounted) -> None:
    path, ledger, tokens = other.path / "log", Ledger(), itertools.count(1)
    with walogs.open(path, max_segment_size=SEGMENT) as wal:
        while wal.segment_count < 5:
            token = next(tokens)
            ledger.acknowledge(wal.append(payload(token)), token)
        filler = fill(other.path)
        outcome = "refused"
        try:
            append_until_refused(wal, ledger, tokens)
        except walogs.OutcomeUnknown:
            outcome = "of unknown outcome"
        filler.unlink()
        print(f"on the full disk an append is {outcome}")
        if outcome == "refused":
            ledger.probe(wal)
    ledger.check_log(path, max_segment_size=SEGMENT)
    other.remount()
    ledger.check_log(path, max_segment_size=SEGMENT)


@pytest.mark.laboratory
@pytest.mark.parametrize("other", ["btrfs"], indirect=True)
def test_on_btrfs_segments_are_overwritten_in_place(other: Mounted) -> None:
    import fcntl

    path = other.path / "log"
    with walogs.open(path) as wal:
        wal.append(b"x")
        for name in os.listdir(path):
            if not name.startswith("wal-"):
                continue
            with open(path / name, "rb") as file:
                assert stat.S_ISREG(os.fstat(file.fileno()).st_mode)
                flags = struct.unpack("l", fcntl.ioctl(file, 0x80086601, bytes(8)))[0]
            assert flags & NOCOW, name


@pytest.mark.laboratory
@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("other", ["btrfs"], indirect=True)
def test_a_quota_is_no_room(other: Mounted) -> None:
    part = other.path / "part"
    for command in (
        ["btrfs", "subvolume", "create", str(part)],
        ["btrfs", "quota", "enable", str(other.path)],
        ["btrfs", "qgroup", "limit", "1M", str(part)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    path, ledger, tokens = part / "log", Ledger(), itertools.count(1)
    with walogs.open(path, max_segment_size=SEGMENT) as wal:
        refused = append_until_refused(wal, ledger, tokens)
        assert refused.errno == errno.EDQUOT
        ledger.checkpointed = wal.segments()[1].last_lsn
        assert wal.checkpoint(ledger.checkpointed) == 2
        subprocess.run(["btrfs", "qgroup", "limit", "none", str(part)], check=True, capture_output=True)
        ledger.probe(wal)
    ledger.check_log(path, max_segment_size=SEGMENT)
