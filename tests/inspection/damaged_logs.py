"""Damaged logs, the places where they are repaired, and checks of the repaired logs."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import walogs
from tests.crash.small_logs import SmallLog, disk_with, environment, files_on, written
from tests.kit.codecs import DeflateCodec
from tests.kit.logs import (
    DURABLE_MARK,
    HEADER,
    Entries,
    Files,
    LogOnDisk,
    frames_of,
    numbers_in,
    segment_name,
    with_byte,
)
from walogs.assembly.opening import source_of
from walogs.inspection.repair import repair_source
from walogs.testing import MemoryDisk, MemoryStore

ASIDE: Final = "damaged-"


class LocalPlace:
    """A log in a directory."""

    def __init__(self, files: Files, path: Path, codec: Any = "crc32") -> None:
        self.log = LogOnDisk(path).put(files)
        self.codec = codec

    def open(self) -> walogs.Wal:
        return walogs.open(self.log.path, codec=self.codec)

    def repair(self, keep: Any, *, dry_run: bool = False) -> walogs.types.RepairReport:
        source = source_of(self.log.path, walogs.WalConfig(codec=self.codec))
        return repair_source(source, keep, environment(7), is_dry_run=dry_run)

    def verify(self) -> walogs.types.Verification:
        return walogs.verify(self.log.path, codec=self.codec)

    def salvage(self) -> list[walogs.Entry | walogs.Gap]:
        return list(walogs.salvage(self.log.path, codec=self.codec))

    def files(self) -> dict[str, bytes]:
        return self.log.files()

    def state(self) -> object:
        """Everything that must not change when a repair is refused."""
        return self.log.looks()


class ModelPlace:
    """A log on a modelled disk."""

    def __init__(self, files: Files, path: Path | None = None, codec: Any = "crc32") -> None:
        del path
        self.disk = disk_with(files)
        self.codec = codec

    def store(self) -> MemoryStore:
        return MemoryStore(self.disk)

    def open(self) -> walogs.Wal:
        return walogs.open(store=self.store(), codec=self.codec)

    def repair(self, keep: Any, *, dry_run: bool = False) -> walogs.types.RepairReport:
        source = source_of(None, walogs.WalConfig(store=self.store(), codec=self.codec))
        return repair_source(source, keep, environment(7), is_dry_run=dry_run)

    def verify(self) -> walogs.types.Verification:
        return walogs.verify(store=self.store(), codec=self.codec)

    def salvage(self) -> list[walogs.Entry | walogs.Gap]:
        return list(walogs.salvage(store=self.store(), codec=self.codec))

    def files(self) -> dict[str, bytes]:
        return files_on(self.disk)

    def state(self) -> object:
        return self.files()


Place = LocalPlace | ModelPlace
PLACES: Final[dict[str, Callable[..., Place]]] = {"local": LocalPlace, "memory": ModelPlace}


def kept_of(report: walogs.types.RepairReport, entries: Entries) -> Entries:
    """Check that the log holds what the report of the repair says."""
    return [entry for entry in entries if report.first_lsn <= entry[0] <= report.last_lsn]


def goes_on(place: Place, expected: Entries, what: str) -> None:
    """Check that the log verifies and opens with these entries, takes another each time, and then holds all of them."""
    found = place.verify()
    assert found.ok, f"{what}: {found}"
    for count in range(3):
        with place.open() as wal:
            assert list(wal) == expected, what
            if count < 2:
                data = b"appended after the repair, %d" % count
                expected = [*expected, (wal.append(data), data)]


def settled(report: walogs.types.RepairReport) -> tuple[Any, ...]:
    """Return the part of the report that a dry run must predict."""
    return (
        report.refusal,
        report.first_lsn,
        report.last_lsn,
        report.lost,
        report.dropped,
        report.set_aside,
        report.rewritten_segments,
        report.removed_segments,
    )


def nothing_is_destroyed(before: Files, after: Files, what: str) -> None:
    """Check that every segment is unchanged, or that a copy of it was set aside, byte for byte."""
    for name, content in before.items():
        if name == DURABLE_MARK or name.startswith(ASIDE):
            continue
        copies = [data for copy, data in after.items() if copy.startswith(f"{ASIDE}{name[4:-4]}-")]
        assert content in (after.get(name), *copies), f"{what}: {name} is gone"


# Logs


def plain(codec: Any = "crc32", **options: Any) -> SmallLog:
    """Return a closed log of five segments with a few entries each."""

    def write(wal: walogs.Wal) -> None:
        for count in range(1, 24):
            if count % 6 == 0:
                wal.append_batch([b"%d of a batch" % count, b"", b"and more" * 3])
            else:
                wal.append(b"entry %d, " % count * 5)

    return written("plain", write, close=True, max_segment_size=1040, codec=codec, **options)


def checkpointed() -> SmallLog:
    """Return a log without its oldest segments, with CHECKPOINTs in a completed segment and in the newest."""

    def write(wal: walogs.Wal) -> None:
        for count in range(1, 12):
            wal.append(b"entry %d, " % count * 5)
        wal.checkpoint(6)
        wal.append(b"after the first CHECKPOINT")
        for count in range(13, 30):
            wal.append(b"entry %d, " % count * 5)
        wal.checkpoint(14)
        wal.append(b"after the second CHECKPOINT")

    return written("checkpointed", write, max_segment_size=1040)


def unsynced() -> SmallLog:
    """Return a log whose frames were synced by one sync at the end, so that only the durable mark says so."""

    def write(wal: walogs.Wal) -> None:
        for count in range(1, 12):
            wal.append(b"entry %d, " % count * 5)
        wal.sync()

    return written("synced at the end", write, max_segment_size=100_000, sync="none")


def random_log(rng: random.Random, codec: Any = "crc32") -> SmallLog:
    """Return a log of a few segments, after checkpoints have removed some."""

    def write(wal: walogs.Wal) -> None:
        for _ in range(rng.randrange(3, 16)):
            wal.append_batch([rng.randbytes(rng.choice((0, 4, 30, 90))) for _ in range(rng.choice((1, 1, 2, 4)))])
            if rng.random() < 0.15:
                wal.checkpoint(rng.randrange(wal.next_lsn))
            if rng.random() < 0.1:
                wal.rotate()
        wal.sync()

    sync = rng.choice(("fdatasync", "none"))
    size = rng.choice((700, 1500, 4000))
    return written("random", write, close=rng.random() < 0.5, codec=codec, max_segment_size=size, sync=sync)


# Faults


class Fault(NamedTuple):
    what: str
    files: dict[str, bytes]


def random_fault(files: Files, rng: random.Random) -> Fault:
    """Return the files with one random fault in a segment or in the durable mark."""
    name = segment_name(rng.choice(numbers_in(files)))
    content = files[name]
    used = len(content.rstrip(b"\0"))
    kind = rng.choice(("flip", "flip", "header", "sector", "cut", "gone", "older durable mark", "no durable mark"))
    if kind == "gone" and len(numbers_in(files)) == 1:
        kind = "flip"
    at = rng.randrange(HEADER if kind == "header" else max(used, 1))
    what = f"{kind} at byte {at} of {name}"
    if kind == "no durable mark":
        return Fault(kind, {key: data for key, data in files.items() if key != DURABLE_MARK})
    if kind == "older durable mark" or not content:
        return Fault("nothing", dict(files))
    if kind == "gone":
        return Fault(what, {key: data for key, data in files.items() if key != name})
    if kind in ("flip", "header"):
        at = min(at, len(content) - 1)
        changed = with_byte(content, at, 1 << rng.randrange(8))
    elif kind == "sector":
        at -= at % 512
        changed = content[:at] + bytes(len(content[at : at + 512])) + content[at + 512 :]
    else:
        changed = content[:at]
    return Fault(what, {**files, name: changed})


def with_data_changed(files: Files, data: bytes) -> dict[str, bytes]:
    """Return the files with one bit flipped in the entry that begins like this."""
    (name,) = [name for name in files if name.startswith("wal-") and data in files[name]]
    return {**files, name: with_byte(files[name], files[name].index(data), 1)}


def with_header_damaged(files: Files, number: int) -> dict[str, bytes]:
    return {**files, segment_name(number): with_byte(files[segment_name(number)], 70, 4)}


def without(files: Files, *names: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name not in names}


def lsns_of(files: Files, number: int) -> tuple[int, int]:
    """Return (first LSN, last LSN) of a segment whose header is intact."""
    content = files[segment_name(number)]
    first = int.from_bytes(content[64:72], "little")
    return first, first + sum(frame.entries for frame in frames_of(content)) - 1


CODECS: Final[dict[str, Callable[[], Any]]] = {"crc32": lambda: "crc32", "deflate": DeflateCodec}

__all__ = [
    "ASIDE",
    "CODECS",
    "PLACES",
    "Fault",
    "LocalPlace",
    "MemoryDisk",
    "ModelPlace",
    "Place",
    "checkpointed",
    "goes_on",
    "kept_of",
    "lsns_of",
    "nothing_is_destroyed",
    "plain",
    "random_fault",
    "random_log",
    "settled",
    "unsynced",
    "with_data_changed",
    "with_header_damaged",
    "without",
]
