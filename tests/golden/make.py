"""Make the golden logs of format 1: `python -m tests.golden.make DIRECTORY`.

The committed logs were made once and never change, because they stand for the logs on people's disks (G20). A test
makes each log again and compares the bytes. To add a case, make it into `format-1/`. Never make an old case again.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from unittest import mock

import walogs
from tests.kit.codecs import ReversingCodec
from tests.kit.logs import SEAL, frames_of, numbers_in, segment_name, zeroed
from walogs.assembly.opening import assemble
from walogs.engine.log_source import Environment
from walogs.formats import segment_format
from walogs.testing import MemoryCloud, MemoryImmutableStore

GOLDEN: Final = Path(__file__).parent / "format-1"
EXPECTED: Final = "expected.json"
BEGINNING_NS: Final = 1_577_836_800_000_000_000
"""2020-01-01."""
Files = dict[str, bytes]


def environment(seed: int) -> Environment:
    """Return a clock that ticks by a second and a microsecond, and repeatable entropy."""
    ticks, rng = itertools.count(BEGINNING_NS, 1_000_001_000), random.Random(seed)
    return Environment(clock=lambda: next(ticks), entropy=rng.randbytes, sleep=lambda _: None)


def opened(path: Path, seed: int, **config: Any) -> walogs.Wal:
    return assemble(path, walogs.WalConfig(**config), environment(seed))


def files_in(path: Path) -> Files:
    """Return the segments and the durable mark."""
    return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.name not in ("LOCK", EXPECTED)}


def killed(path: Path, seed: int, write: Callable[[walogs.Wal], object], **config: Any) -> Files:
    """Return the log of a process that was killed after *write*. Its window is trimmed to little more than the end."""
    with opened(path, seed, **config) as wal:
        write(wal)
        left = files_in(path)
    newest = segment_name(numbers_in(left)[-1])
    frames = frames_of(left[newest])
    left[newest] = left[newest][: (frames[-1].end if frames else 512) + 1000]
    return left


def closed(path: Path, seed: int, write: Callable[[walogs.Wal], object], **config: Any) -> Files:
    with opened(path, seed, **config) as wal:
        write(wal)
    return files_in(path)


def each(wal: walogs.Wal, *entries: bytes) -> None:
    for entry in entries:
        wal.append(entry)


TEXT: Final = [b"the quick brown fox", b"", b"jumps over", bytes(range(256)), b"\0" * 40, "größer".encode()]


def empty(path: Path) -> Files:
    return closed(path, 1, lambda _: None)


def single_entries(path: Path) -> Files:
    return closed(path, 2, lambda wal: each(wal, *TEXT))


def batches(path: Path) -> Files:
    return closed(
        path, 3, lambda wal: [wal.append_batch(TEXT), wal.append_batch([b""] * 3), wal.append_batch(TEXT[:1])]
    )


def killed_in_the_middle(path: Path) -> Files:
    return killed(path, 4, lambda wal: [each(wal, *TEXT), wal.append_batch([b"a", b"bc"])])


def without_durable_mark(path: Path) -> Files:
    """Return a log whose durable mark a power cut has lost."""
    files = killed(path, 5, lambda wal: each(wal, *TEXT))
    del files["DURABLE"]
    return files


def torn(path: Path) -> Files:
    """Return a log whose last commit was never acknowledged and is half written."""

    def write(wal: walogs.Wal) -> None:
        each(wal, *TEXT)
        wal.sync()
        wal.append_batch([b"never acknowledged " * 10, b"nor this " * 20])

    files = killed(path, 6, write, sync="none")
    frame = frames_of(files[segment_name(1)])[-1]
    content = files[segment_name(1)]
    files[segment_name(1)] = zeroed(content, frame.offset + 100, len(content))
    return files


def segments(path: Path) -> Files:
    """Return a log with sealed segments, an unsealed one, a CHECKPOINT, and a killed writer. SEALs without lengths."""
    with mock.patch.object(segment_format, "LENGTHS_MAX", -1):
        return segments_with_lengths(path)


def segments_with_lengths(path: Path) -> Files:
    """Return the same log. Its SEALs have the lengths of entries."""

    def write(wal: walogs.Wal) -> None:
        each(wal, *TEXT, *TEXT)
        wal.append_batch([b"x" * 300, b"y" * 300])
        wal.checkpoint(4)
        wal.append(b"after the checkpoint")

    files = killed(path, 7, write, max_segment_size=900)
    return unsealed_first(files)


def unsealed_first(files: Files) -> Files:
    """Take the SEAL from the oldest segment, as a crash before the SEAL does."""
    name = segment_name(numbers_in(files)[0])
    seal = frames_of(files[name])[-1]
    assert seal.kind == SEAL
    return {**files, name: zeroed(files[name], seal.offset, len(files[name]))}


def several_writers(path: Path) -> Files:
    """Return a log that was opened three times, once after a kill."""
    left = killed(path, 8, lambda wal: each(wal, *TEXT[:2]))
    for file in path.iterdir():
        file.unlink()
    for name, content in left.items():
        (path / name).write_bytes(content)
    closed(path, 9, lambda wal: each(wal, *TEXT[2:4]))
    return closed(path, 10, lambda wal: [each(wal, *TEXT[4:]), wal.rotate()])


def another_codec(path: Path) -> Files:
    return closed(path, 11, lambda wal: [each(wal, *TEXT), wal.append_batch(TEXT)], codec=ReversingCodec())


def chain(path: Path) -> Files:
    """Return a log of an immutable-segment store: FENCEs, a CHECKPOINT, and a segment for each commit."""
    path.mkdir()
    cloud = MemoryCloud()
    for seed in (12, 13):
        wal = assemble(None, walogs.WalConfig(store=MemoryImmutableStore(cloud)), environment(seed))
        each(wal, *TEXT[:3])
        wal.append_batch(TEXT)
        wal.checkpoint(2)
        wal.close()
    return {f"{number:020d}": content for number, content in sorted(cloud.objects.items())}


CASES: Final[dict[str, Callable[[Path], Files]]] = {
    "empty": empty,
    "single-entries": single_entries,
    "batches": batches,
    "killed": killed_in_the_middle,
    "without-durable-mark": without_durable_mark,
    "torn": torn,
    "segments": segments,
    "segments-with-lengths": segments_with_lengths,
    "several-writers": several_writers,
    "another-codec": another_codec,
    "chain": chain,
}


def open_copy(case: str, path: Path, files: Mapping[str, bytes]) -> tuple[walogs.Wal, dict[str, Any]]:
    """Open a copy of a golden log. Return the log, and the options to open it again."""
    if case == "chain":
        cloud = MemoryCloud()
        cloud.objects.update({int(name): content for name, content in files.items()})
        return assemble(None, walogs.WalConfig(store=MemoryImmutableStore(cloud)), environment(99)), {"cloud": cloud}
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    options: dict[str, Any] = {"codec": ReversingCodec()} if case == "another-codec" else {}
    return opened(path, 99, **options), options


def described(wal: walogs.Wal) -> dict[str, Any]:
    """Return everything that a log says of itself after it was opened, except the time that this took."""
    report = dataclasses.asdict(wal.recovery_report)
    del report["duration_seconds"]
    report["tail_state"] = repr(wal.tail_state)
    return {
        "entries": [[lsn, data.hex()] for lsn, data in wal],
        "commits": [list(commit) for commit in wal.commits()],
        "segments": [dataclasses.asdict(segment) for segment in wal.segments()],
        "report": report,
        "next_lsn": wal.next_lsn,
    }


def as_text(value: Mapping[str, Any]) -> str:
    return json.dumps(json.loads(json.dumps(value)), indent=1, sort_keys=True) + "\n"


def main(target: Path) -> None:
    """Make every missing case, with the file of what it says of itself when it is opened."""
    import tempfile

    for case, make in CASES.items():
        if (target / case).exists():
            continue
        with tempfile.TemporaryDirectory() as scratch:
            files = make(Path(scratch) / "log")
            wal, _ = open_copy(case, Path(scratch) / "copy", files)
            with wal:
                text = as_text(described(wal))
        (target / case).mkdir(parents=True)
        for name, content in files.items():
            (target / case / name).write_bytes(content)
        (target / case / EXPECTED).write_text(text)
        print(case, {name: len(content) for name, content in files.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN)
