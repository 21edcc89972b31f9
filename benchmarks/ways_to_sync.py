"""`python -m benchmarks.ways_to_sync`: one small durable write, made in each of the ways that Linux offers.

It measures in the directory that `--directory` names (build/benchmarks), and as root also on ext4, XFS and btrfs, on
loop devices whose files are there. A directory in /dev/shm makes them a disk that syncs in some 30 µs.

Every way overwrites a file of zeros that is already synced, as an append does, 176 bytes after 176 bytes. The ways take
turns in blocks of 20, in random order. A figure is the median of the blocks, each divided by the block of pwrite +
fdatasync of the same turn. "Read" is one read of the newest bytes by another descriptor, as a reader beside the writer
makes it: O_DIRECT empties the page cache under it.
"""

from __future__ import annotations

import argparse
import contextlib
import mmap
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

FRAME: Final = os.urandom(176)
BLOCK: Final = 20
PAGE: Final = 4096
FILE_BYTES: Final = 8 << 20
TODAY: Final = "pwrite, fdatasync"
Way = Callable[[int, int], None]
"""Writes FRAME durably: by this descriptor, at this offset."""


def write_and_sync(fd: int, offset: int) -> None:
    os.pwrite(fd, FRAME, offset)
    os.fdatasync(fd)


def write_synced(fd: int, offset: int) -> None:
    os.pwritev(fd, (FRAME,), offset, os.RWF_DSYNC)


def write_only(fd: int, offset: int) -> None:
    """Write by a descriptor with O_DSYNC, which syncs by itself."""
    os.pwrite(fd, FRAME, offset)


def direct() -> Way:
    """Return what writes the pages in which the frame lies, as O_DIRECT asks: whole, from memory that is aligned."""
    pages = mmap.mmap(-1, 2 * PAGE)
    view = memoryview(pages)

    def write(fd: int, offset: int) -> None:
        begin = offset % PAGE
        end = begin + len(FRAME)
        pages[begin:end] = FRAME
        whole = PAGE if end <= PAGE else 2 * PAGE
        os.pwrite(fd, view[:whole], offset - begin)
        if end >= PAGE:
            pages[:PAGE] = pages[PAGE:]

    return write


def direct_and_sync() -> Way:
    write = direct()

    def write_then_sync(fd: int, offset: int) -> None:
        write(fd, offset)
        os.fdatasync(fd)

    return write_then_sync


WAYS: Final[dict[str, tuple[int, Callable[[], Way]]]] = {
    TODAY: (0, lambda: write_and_sync),
    "the same again (noise)": (0, lambda: write_and_sync),
    "pwritev with RWF_DSYNC": (0, lambda: write_synced),
    "pwrite, O_DSYNC": (os.O_DSYNC, lambda: write_only),
    "pwrite, O_DIRECT and O_DSYNC": (os.O_DIRECT | os.O_DSYNC, direct),
    "pwrite, O_DIRECT, fdatasync": (os.O_DIRECT, direct_and_sync),
}


def blocks_of(path: Path, flags: int, way: Way) -> Iterator[tuple[int, int]]:
    """Make blocks of BLOCK writes into a file of its own. Yield the nanoseconds of each, and of a read after it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, bytes(FILE_BYTES), 0)
    os.fsync(fd)
    os.close(fd)
    fd, reader = os.open(path, os.O_RDWR | flags), os.open(path, os.O_RDONLY)
    try:
        offset = 0
        while True:
            began = time.perf_counter_ns()
            for at in range(offset, offset + BLOCK * len(FRAME), len(FRAME)):
                way(fd, at)
            written = time.perf_counter_ns()
            found = os.pread(reader, len(FRAME), offset + (BLOCK - 1) * len(FRAME))
            yield written - began, time.perf_counter_ns() - written
            if found != FRAME:
                raise ValueError(f"{path} does not hold what was written")
            offset = (offset + BLOCK * len(FRAME)) % (FILE_BYTES - PAGE * BLOCK) & -8
    finally:
        os.close(fd)
        os.close(reader)


def measure(place: Path, turns: int) -> None:
    """Print a line for each way."""
    running = {}
    for number, (name, (flags, make)) in enumerate(WAYS.items()):
        blocks = blocks_of(place / f"way-{number}", flags, make())
        try:
            next(blocks)
            running[name] = blocks
        except OSError as error:
            print(f"  {name:30} {error.strerror}")
    taken: dict[str, list[int]] = {name: [] for name in running}
    reads: dict[str, list[int]] = {name: [] for name in running}
    order, chance = list(running), random.Random(1)
    for _ in range(turns):
        chance.shuffle(order)
        for name in order:
            write_ns, read_ns = next(running[name])
            taken[name].append(write_ns)
            reads[name].append(read_ns)
    for name, costs in taken.items():
        ratios = [cost / today for cost, today in zip(costs, taken[TODAY], strict=True)]
        low, _, high = quantiles(ratios, n=4)
        spread = f"× {median(ratios):.2f} ({low:.2f} to {high:.2f})"
        read = f"read {median(reads[name]) / 1000:.1f} µs"
        print(f"  {name:30} {median(costs) / BLOCK / 1000:8.1f} µs  {spread}  {read}")


@contextlib.contextmanager
def on_loop_device(kind: str, place: Path) -> Iterator[Path]:
    """Make a file system of this kind in a file, and mount it."""
    image, mounted = place / f"{kind}.img", place / kind
    with image.open("wb") as file:
        file.truncate(512 << 20)
    mounted.mkdir()
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--turns", type=int, default=100)
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=options.directory) as directory:
        print(f"{options.directory}:")
        measure(Path(directory), options.turns)
        for kind in ("ext4", "xfs", "btrfs"):
            if os.geteuid() == 0 and shutil.which(f"mkfs.{kind}") is not None:
                with on_loop_device(kind, Path(directory)) as place:
                    print(f"{kind} on a loop device:")
                    measure(place, options.turns)


if __name__ == "__main__":
    sys.exit(main())
