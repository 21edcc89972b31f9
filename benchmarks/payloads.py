"""What is appended, and the reader's check: no figure without it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import walogs

ENTRY_BYTES: Final = 128
BATCH: Final = 1000
NOISE: Final = random.Random(0).randbytes(8192)


class Differs(Exception):
    """What was read back is not what was appended: no figure of this run counts."""


def payload(lsn: int) -> bytes:
    """The data of entry *lsn*; no two are alike."""
    at = lsn * 61 % 8071
    return lsn.to_bytes(8, "little") + NOISE[at : at + ENTRY_BYTES - 8]


def payloads(first_lsn: int, count: int) -> list[bytes]:
    return list(map(payload, range(first_lsn, first_lsn + count)))


def check(what: str, found: Iterable[bytes], entries: int) -> None:
    """Raises `Differs` unless these are entries 1 to *entries*, in order and no more."""
    lsn = 0
    for data in found:
        lsn += 1
        if data != payload(lsn) or lsn > entries:
            raise Differs(f"{what}: entry {lsn} of {entries} is not what was appended")
    if lsn != entries:
        raise Differs(f"{what}: {lsn} of {entries} entries came back")


def check_entries(what: str, found: Iterable[tuple[int, bytes]], entries: int) -> None:
    """`check`, and that the LSNs are 1, 2, 3, …"""

    def in_order() -> Iterable[bytes]:
        for expected, (lsn, data) in enumerate(found, 1):
            if lsn != expected:
                raise Differs(f"{what}: entry {expected} came back as {lsn}")
            yield data

    check(what, in_order(), entries)


def check_log(what: str, directory: Path, entries: int) -> None:
    """Open the log again and compare every entry. Raises `Differs`."""
    with walogs.open(directory, max_segment_size=None) as wal:
        check_entries(what, wal, entries)
