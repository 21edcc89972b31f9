"""Damaged logs, the places where they are repaired, and what must be true of a log then."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import walogs
from tests.codecs import DeflateCodec
from tests.crash.small_logs import SmallLog, disk_with, environment, files_on, written
from tests.logs import HEADER, WITNESS, Entries, Files, LogOnDisk, frames_of, numbers_in, segment_name, with_byte
from walogs.assembly import source_of
from walogs.inspection.repair import repaired
from walogs.testing import MemoryDisk, MemoryStore

ASIDE: Final = "damaged-"


class LocalPlace:
    """Files in a directory."""

    def __init__(self, files: Files, path: Path, codec: Any = "crc32") -> None:
        self.log = LogOnDisk(path).put(files)
        self.codec = codec

    def open(self) -> walogs.Wal:
        return walogs.open(self.log.path, codec=self.codec)

    def repair(self, keep: Any, *, dry_run: bool = False) -> walogs.RepairReport:
        source = source_of(self.log.path, walogs.WalConfig(codec=self.codec))
        return repaired(source, keep, environment(7), is_dry_run=dry_run)

    def verify(self) -> walogs.Verification:
        return walogs.verify(self.log.path, codec=self.codec)

    def salvage(self) -> list[walogs.Entry | walogs.Gap]:
        return list(walogs.salvage(self.log.path, codec=self.codec))

    def files(self) -> dict[str, bytes]:
        return self.log.files()

    def state(self) -> object:
        """Everything that a refusal leaves alone."""
        return self.log.looks()


class ModelPlace:
    """Files on a modelled disk."""

    def __init__(self, files: Files, path: Path | None = None, codec: Any = "crc32") -> None:
        del path
        self.disk = disk_with(files)
        self.codec = codec

    def store(self) -> MemoryStore:
        return MemoryStore(self.disk)

    def open(self) -> walogs.Wal:
        return walogs.open(store=self.store(), codec=self.codec)

    def repair(self, keep: Any, *, dry_run: bool = False) -> walogs.RepairReport:
        source = source_of(None, walogs.WalConfig(store=self.store(), codec=self.codec))
        return repaired(source, keep, environment(7), is_dry_run=dry_run)

    def verify(self) -> walogs.Verification:
        return walogs.verify(store=self.store(), codec=self.codec)

    def salvage(self) -> list[walogs.Entry | walogs.Gap]:
        return list(walogs.salvage(store=self.store(), codec=self.codec))

    def files(self) -> dict[str, bytes]:
        return files_on(self.disk)

    def state(self) -> object:
        return self.files()


Place = LocalPlace | ModelPlace
PLACES: Final[dict[str, Callable[..., Place]]] = {"local": LocalPlace, "memory": ModelPlace}


def kept_of(report: walogs.RepairReport, entries: Entries) -> Entries:
    """What the log must hold after that repair."""
    return [entry for entry in entries if report.first_lsn <= entry[0] <= report.last_lsn]


def goes_on(place: Place, expected: Entries, what: str) -> None:
    """It verifies, opens with these entries, takes another each time, and has them all when it is opened again."""
    found = place.verify()
    assert found.ok, f"{what}: {found}"
    for count in range(3):
        with place.open() as wal:
            assert list(wal) == expected, what
            if count < 2:
                data = b"appended after the repair, %d" % count
                expected = [*expected, (wal.append(data), data)]


def settled(report: walogs.RepairReport) -> tuple[Any, ...]:
    """What a dry run must foretell."""
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
    """Every segment is what it was, or is there under the name of a copy, byte for byte."""
    for name, content in before.items():
        if name == WITNESS or name.startswith(ASIDE):
            continue
        copies = [data for copy, data in after.items() if copy.startswith(f"{ASIDE}{name[4:-4]}-")]
        assert content in (after.get(name), *copies), f"{what}: {name} is gone"


# Logs


def plain(codec: Any = "crc32", **options: Any) -> SmallLog:
    """Five segments, a few entries each, closed."""

    def write(wal: walogs.Wal) -> None:
        for count in range(1, 24):
            if count % 6 == 0:
                wal.append_batch([b"%d of a batch" % count, b"", b"and more" * 3])
            else:
                wal.append(b"entry %d, " % count * 5)

    return written("plain", write, close=True, max_segment_size=1000, codec=codec, **options)


def checkpointed() -> SmallLog:
    """The oldest segments are gone, and CHECKPOINTs stand in a completed segment and in the newest."""

    def write(wal: walogs.Wal) -> None:
        for count in range(1, 12):
            wal.append(b"entry %d, " % count * 5)
        wal.checkpoint(6)
        wal.append(b"after the first CHECKPOINT")
        for count in range(13, 30):
            wal.append(b"entry %d, " % count * 5)
        wal.checkpoint(14)
        wal.append(b"after the second CHECKPOINT")

    return written("checkpointed", write, max_segment_size=1000)


def unsynced() -> SmallLog:
    """Every frame is synced, by one sync at the end: the witness alone knows it."""

    def write(wal: walogs.Wal) -> None:
        for count in range(1, 12):
            wal.append(b"entry %d, " % count * 5)
        wal.sync()

    return written("synced at the end", write, max_segment_size=100_000, sync="none")


def random_log(rng: random.Random, codec: Any = "crc32") -> SmallLog:
    """A log of a few segments, some of them checkpointed away."""

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
    """One of them, anywhere in a segment, or in what lies there of the log."""
    name = segment_name(rng.choice(numbers_in(files)))
    content = files[name]
    used = len(content.rstrip(b"\0"))
    kind = rng.choice(("flip", "flip", "header", "sector", "cut", "gone", "older witness", "no witness"))
    if kind == "gone" and len(numbers_in(files)) == 1:
        kind = "flip"
    at = rng.randrange(HEADER if kind == "header" else max(used, 1))
    what = f"{kind} at byte {at} of {name}"
    if kind == "no witness":
        return Fault(kind, {key: data for key, data in files.items() if key != WITNESS})
    if kind == "older witness" or not content:
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
    """A bit of the entry that begins so is another."""
    (name,) = [name for name in files if name.startswith("wal-") and data in files[name]]
    return {**files, name: with_byte(files[name], files[name].index(data), 1)}


def with_header_damaged(files: Files, number: int) -> dict[str, bytes]:
    return {**files, segment_name(number): with_byte(files[segment_name(number)], 70, 4)}


def without(files: Files, *names: str) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name not in names}


def lsns_of(files: Files, number: int) -> tuple[int, int]:
    """(first, last) of a segment whose header is intact."""
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
