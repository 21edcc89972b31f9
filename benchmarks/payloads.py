"""What the benchmarks append, and the check of what they read back. A figure is printed only after this check.

The entries, the check and `Differs` are those of `walogs bench`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import walogs
from walogs.cli.bench.entries import Check, Differs, Entries, differs

__all__ = [
    "BATCH",
    "ENTRIES",
    "ENTRY_BYTES",
    "Differs",
    "check",
    "check_entries",
    "check_log",
    "check_mixed",
    "mixed",
    "payload",
    "payloads",
]

ENTRY_BYTES: Final = 128
BATCH: Final = 1000
ENTRIES: Final = Entries(ENTRY_BYTES)
MIXED_BYTES: Final = range(64, 193)
LONGEST: Final = Entries(MIXED_BYTES[-1])


def payload(lsn: int) -> bytes:
    """Return the data of entry *lsn*. No two entries are alike."""
    return ENTRIES.data(0, lsn - 1)


def payloads(first_lsn: int, count: int) -> list[bytes]:
    """Return the data of *count* entries, from *first_lsn* on."""
    return list(ENTRIES.block(first_lsn - 1, count))


def mixed(lsn: int) -> bytes:
    """Return the data of entry *lsn* of a log whose entries have 64 to 192 bytes."""
    return LONGEST.data(0, lsn - 1)[: MIXED_BYTES[lsn * 40_501 % len(MIXED_BYTES)]]


def check_mixed(what: str, found: Iterable[tuple[object, bytes]], entries: int) -> None:
    """Raise `Differs` unless *found* holds the entries 1 to *entries* of mixed lengths, in order."""
    count = 0
    for count, (_, data) in enumerate(found, 1):
        if data != mixed(count):
            raise differs(what, f"entry {count} is not what was appended")
    if count != entries:
        raise differs(what, f"{count} of {entries} acknowledged entries came back")


def check(what: str, found: Iterable[bytes], entries: int) -> None:
    """Raise `Differs` unless *found* is the data of the entries 1 to *entries*, in order."""
    check_entries(what, enumerate(found, 1), entries)


def check_entries(what: str, found: Iterable[tuple[int, bytes]], entries: int) -> None:
    """Raise `Differs` unless *found* holds the LSNs 1 to *entries*, in order, each with its data."""
    reader = Check(what, ENTRIES, [entries])
    reader.read(found)
    reader.end()


def check_log(what: str, directory: Path, entries: int) -> None:
    """Open the log again and compare every entry. Raise `Differs` at the first one that is wrong."""
    with walogs.open(directory, max_segment_size=None) as wal:
        check_entries(what, wal, entries)
