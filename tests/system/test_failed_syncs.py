"""A disk that fails a write for a moment: the real kernel marks the pages clean, and its cache shows what no disk has.

nbdkit fails the writes, nbdfuse makes a file of it, a loop device a disk, and ext4, XFS and btrfs live on that. What an
unmount and a mount then read is what a power cut would have left.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.requirements import require
from tests.system.filesystems import MEBIBYTE, Mounted, make, require_file_system
from tests.system.ledger import Ledger, payload

SIZES: Final = {"ext4": 64 * MEBIBYTE, "btrfs": 128 * MEBIBYTE, "xfs": 320 * MEBIBYTE}
SEGMENT: Final = 1 << 20


class FailingDisk:
    """A file system on a disk whose writes fail within `failing()`."""

    def __init__(self, mounted: Mounted, inject: Path) -> None:
        self.mounted = mounted
        self._inject = inject

    @property
    def path(self) -> Path:
        return self.mounted.path

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        self._inject.touch()
        try:
            yield
        finally:
            self._inject.unlink()

    def remount(self) -> None:
        self.mounted.remount()


def require_fuse() -> None:
    missing = [name for name in ("nbdkit", "nbdfuse", "fusermount3") if shutil.which(name) is None]
    require("fuse", not missing, f"{', '.join(missing)} not installed (nbdkit, libnbd-bin, fuse3)")
    require("fuse", os.path.exists("/dev/fuse"), "there is no /dev/fuse")


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FailingDisk]:
    kind = request.param
    require_fuse()
    require_file_system(kind)
    image, inject, nbd, path = (tmp_path / name for name in ("image", "inject", "nbd", "mnt"))
    nbd.mkdir()
    path.mkdir()
    make(image, kind, SIZES[kind])
    with contextlib.ExitStack() as stack:
        serving = ["nbdkit", "-s", "--exit-with-parent", "--filter=error", "file", str(image)]
        errors = ["error-pwrite=EIO", "error-pwrite-rate=1", f"error-pwrite-file={inject}"]
        fuse = subprocess.Popen(
            ["nbdfuse", str(nbd), "--command", *serving, *errors], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        stack.callback(end, fuse, nbd)
        wait_for(nbd / "nbd")
        attached = subprocess.run(
            ["losetup", "-f", "--show", str(nbd / "nbd")], check=True, capture_output=True, text=True
        )
        device = attached.stdout.strip()
        stack.callback(subprocess.run, ["losetup", "-d", device], check=False)
        there = Mounted(device, path, options="")
        stack.callback(unmount_if_mounted, there)
        yield FailingDisk(there, inject)
        inject.unlink(missing_ok=True)


def wait_for(path: Path) -> None:
    for _ in range(100):
        if path.exists():
            return
        time.sleep(0.1)
    raise OSError(f"{path} did not appear")


def unmount_if_mounted(there: Mounted) -> None:
    if os.path.ismount(there.path):
        there.unmount()


def end(fuse: subprocess.Popen[bytes], mount_point: Path) -> None:
    for _ in range(20):
        if subprocess.run(["fusermount3", "-u", str(mount_point)], check=False, capture_output=True).returncode == 0:
            break
        time.sleep(0.2)
    else:
        subprocess.run(["umount", "-l", str(mount_point)], check=False, capture_output=True)
    try:
        fuse.wait(20)
    except subprocess.TimeoutExpired:
        fuse.kill()
        fuse.wait()


def begun(path: Path, ledger: Ledger, tokens: Iterator[int]) -> walogs.Wal:
    wal = walogs.open(path, max_segment_size=SEGMENT)
    for _ in range(5):
        append(wal, ledger, next(tokens))
    return wal


def append(wal: walogs.Wal, ledger: Ledger, token: int, size: int | None = None) -> None:
    ledger.acknowledge(wal.append(payload(token, size=size)), token)


def opened(path: Path, disk: FailingDisk) -> tuple[walogs.Wal, bool]:
    """Open the log. Also return whether the file system had to be mounted anew, because some stop after an error."""
    try:
        return walogs.open(path, max_segment_size=SEGMENT), False
    except OSError as error:
        print(f"not opened in the same boot: {error!r}")
        disk.remount()
        return walogs.open(path, max_segment_size=SEGMENT), True


KINDS: Final = pytest.mark.parametrize("disk", ["ext4", "xfs", "btrfs"], indirect=True)


def handed_out_is_on_the_disk(disk: FailingDisk, path: Path, ledger: Ledger, handed: dict[int, bytes]) -> None:
    disk.remount()
    with walogs.open(path, max_segment_size=SEGMENT) as wal:
        on_disk = dict(wal)
        assert all(on_disk.get(lsn) == data for lsn, data in handed.items()), "handed out, and not on the disk"
    ledger.check_log(path, max_segment_size=SEGMENT)


@pytest.mark.laboratory
@pytest.mark.guarantee("G4", "G7", "G8")
@KINDS
@pytest.mark.parametrize("frames", [1, 4], ids=["one-frame", "a-batch-over-pages"])
def test_what_is_handed_out_after_a_failed_sync_is_on_the_disk(disk: FailingDisk, frames: int) -> None:
    path, ledger, tokens = disk.path / "log", Ledger(), itertools.count(1)
    wal = begun(path, ledger, tokens)
    unknown = [payload(next(tokens), size=None if frames == 1 else 5000) for _ in range(frames)]
    with disk.failing(), pytest.raises(walogs.OutcomeUnknown) as failed:
        wal.append_batch(unknown)
    assert isinstance(failed.value.__cause__, OSError)
    with pytest.raises(walogs.Poisoned):  # the disk is well again: a sync tried now would claim success
        ledger.probe(wal)
    ledger.check(list(wal), wal.next_lsn)
    wal.close()
    wal, _ = opened(path, disk)
    with wal:
        handed = dict(wal)
        print(f"of the batch in doubt {len(handed) - 5} of {frames} were handed out; {wal.recovery_report}")
        ledger.check(list(handed.items()), wal.next_lsn)
        append(wal, ledger, next(tokens))
    handed_out_is_on_the_disk(disk, path, ledger, handed)


@pytest.mark.laboratory
@pytest.mark.guarantee("G7", "G8", "G15")
@KINDS
def test_a_recovery_whose_own_sync_fails_hands_out_nothing_and_the_next_one_does(disk: FailingDisk) -> None:
    path, ledger, tokens = disk.path / "log", Ledger(), itertools.count(1)
    wal = begun(path, ledger, tokens)
    with disk.failing():
        with pytest.raises(walogs.OutcomeUnknown):
            wal.append(payload(next(tokens)))
        wal.close()
        with pytest.raises(OSError):
            walogs.open(path, max_segment_size=SEGMENT)
    wal, _ = opened(path, disk)
    with wal:
        handed = dict(wal)
        ledger.check(list(handed.items()), wal.next_lsn)
        append(wal, ledger, next(tokens))
    handed_out_is_on_the_disk(disk, path, ledger, handed)


@pytest.mark.laboratory
@pytest.mark.guarantee("G7", "G8")
@KINDS
def test_a_window_whose_sync_failed_is_not_written_into(disk: FailingDisk) -> None:
    path, ledger, tokens = disk.path / "log", Ledger(), itertools.count(1)
    wal = begun(path, ledger, tokens)
    with disk.failing(), pytest.raises((walogs.Poisoned, OSError)):
        wal.append(payload(next(tokens), size=100_000))  # needs a window that is not there yet
    wal.close()
    wal, _ = opened(path, disk)
    with wal:
        ledger.check(list(wal), wal.next_lsn)
        for _ in range(3):
            append(wal, ledger, next(tokens), size=50_000)
    disk.remount()
    ledger.check_log(path, max_segment_size=SEGMENT)


@pytest.mark.laboratory
@pytest.mark.guarantee("G7", "G8")
@KINDS
def test_an_empty_segment_whose_window_failed_is_not_written_into(disk: FailingDisk) -> None:
    path, ledger, tokens = disk.path / "log", Ledger(), itertools.count(1)
    wal = walogs.open(path, max_segment_size=SEGMENT)
    with disk.failing(), pytest.raises((walogs.Poisoned, OSError)):
        wal.append(payload(next(tokens), size=100_000))
    wal.close()
    wal, _ = opened(path, disk)
    with wal:
        assert wal.segment_count == 1
        for _ in range(5):
            append(wal, ledger, next(tokens), size=30_000)
        assert wal.segment_count == 2, "they went into a segment of their own"
    disk.remount()
    ledger.check_log(path, max_segment_size=SEGMENT)


@pytest.mark.laboratory
@pytest.mark.guarantee("G7", "G8", "G10")
@KINDS
def test_a_rotation_that_fails_on_the_disk_loses_nothing(disk: FailingDisk) -> None:
    path, ledger, tokens = disk.path / "log", Ledger(), itertools.count(1)
    wal = begun(path, ledger, tokens)
    with disk.failing(), pytest.raises((walogs.Poisoned, OSError)) as failed:
        wal.rotate()
    print(f"the rotation: {failed.value!r}")
    with contextlib.suppress(walogs.Poisoned, walogs.OutcomeUnknown, OSError):
        append(wal, ledger, next(tokens))
    wal.close()
    wal, _ = opened(path, disk)
    with wal:
        ledger.check(list(wal), wal.next_lsn)
        append(wal, ledger, next(tokens))
    disk.remount()
    ledger.check_log(path, max_segment_size=SEGMENT)


@pytest.mark.laboratory
@KINDS
def test_this_can_fail_the_cache_shows_what_is_not_on_the_disk(disk: FailingDisk) -> None:
    """No log: after a failed sync the next one succeeds, the bytes read back, and after a mount they are gone."""
    file = disk.path / "file"
    fd = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(fd, bytes(65536), 0)
        os.fsync(fd)
        with disk.failing():
            os.pwrite(fd, b"B" * 4096, 4096)
            with pytest.raises(OSError):
                os.fdatasync(fd)
        with contextlib.suppress(OSError):
            os.fdatasync(fd)
        shown = os.pread(fd, 4096, 4096)
    finally:
        os.close(fd)
    disk.remount()
    assert shown == b"B" * 4096
    assert file.read_bytes()[4096:8192] != shown
