"""Make real file systems on loop devices, fill them to the last byte, and always unmount them again."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from tests.kit.requirements import require

MEBIBYTE: Final = 1 << 20
KINDS: Final[dict[str, tuple[int, list[str]]]] = {
    "ext4": (8 * MEBIBYTE, ["mkfs.ext4", "-q", "-F", "-m", "0"]),
    "btrfs": (120 * MEBIBYTE, ["mkfs.btrfs", "-q", "-f", "-m", "single"]),
    "xfs": (300 * MEBIBYTE, ["mkfs.xfs", "-q", "-f"]),  # none is smaller
}
"""Size of the image, and the command that makes the file system in it."""


@cache
def can_mount() -> str:
    """Return why no file system can be mounted from a file here, or "" if one can."""
    if os.geteuid():
        return "only root may mount"
    if shutil.which("mkfs.ext4") is None:
        return "mkfs.ext4 is not installed (e2fsprogs)"
    try:
        with tempfile.TemporaryDirectory(prefix="walogs-") as directory, mounted(Path(directory), "ext4"):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return f"mounting a loop device failed: {error}"


def require_file_system(kind: str) -> None:
    require("loop", not can_mount(), can_mount())
    if kind != "ext4":
        require(kind, shutil.which(f"mkfs.{kind}") is not None, f"mkfs.{kind} is not installed")
        listed = Path("/proc/filesystems").read_text(encoding="utf-8").split()
        require(kind, kind in listed, f"the kernel knows no {kind}")


class Mounted:
    """A file system mounted at `path`."""

    def __init__(self, device: Path | str, path: Path, options: str = "loop") -> None:
        self.path = path
        self._device = device
        self._options = options
        self.mount()

    def mount(self) -> None:
        options = ["-o", self._options] if self._options else []
        subprocess.run(["mount", *options, str(self._device), str(self.path)], check=True, capture_output=True)

    def unmount(self) -> None:
        for _ in range(50):
            done = subprocess.run(["umount", str(self.path)], check=False, capture_output=True)
            if done.returncode == 0:
                return
            time.sleep(0.1)  # a killed process lets go of its files a little later
        subprocess.run(["umount", "-l", str(self.path)], check=False, capture_output=True)
        raise OSError(errno.EBUSY, "something still uses the file system", str(self.path))

    def remount(self) -> None:
        """Unmount and mount again, so that later reads return the bytes of the disk, and not of the page cache."""
        self.unmount()
        self.mount()


def make(image: Path, kind: str, size: int | None = None) -> None:
    standard, command = KINDS[kind]
    with image.open("wb") as file:
        file.truncate(size or standard)
    subprocess.run([*command, str(image)], check=True, capture_output=True)


@contextlib.contextmanager
def mounted(directory: Path, kind: str, size: int | None = None) -> Iterator[Mounted]:
    """Make a file system of that kind. Its image and its mount point are in *directory*."""
    image, path = directory / f"{kind}.img", directory / f"{kind}.mnt"
    path.mkdir()
    make(image, kind, size)
    there = Mounted(image, path)
    try:
        yield there
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            if os.path.ismount(path):
                there.unmount()
        image.unlink()


def fill(path: Path, name: str = "filler") -> Path:
    """Fill the file system to its last byte. Return the file that fills it."""
    file = path / name
    refused = (errno.ENOSPC, errno.EDQUOT)
    with file.open("xb", buffering=0) as opened:
        free = os.statvfs(path)
        with contextlib.suppress(OSError):
            os.posix_fallocate(opened.fileno(), 0, max(free.f_bavail * free.f_frsize - 4 * MEBIBYTE, 1))
        opened.seek(0, os.SEEK_END)
        for size in (256 * 1024, 4096, 1):
            try:
                while True:
                    opened.write(bytes(size))
            except OSError as error:
                if error.errno not in refused:
                    raise
            with contextlib.suppress(OSError):  # the file system refuses a delayed allocation now
                os.fsync(opened.fileno())
    return file
