"""Bytes that are not what was written, in the file and where SQLite has none of its own checks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

import walogs
from tests.kit.laboratory import amount
from tests.system.children import seed_of
from walogs.formats.native import MAGIC
from walogs_sqlite.database import TABLE

ENTRIES = [b"entry %03d " % number * (3 + number % 40 * 8) for number in range(60)]


def put(path: Path, data: bytes) -> None:
    """The database, and nothing of an earlier one beside it."""
    for left in path.parent.glob(f"{path.name}-*"):
        left.unlink()
    path.write_bytes(data)


def flipped(whole: bytes, at: int, bit: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]


@pytest.fixture
def whole(path: Path) -> bytes:
    """A closed log of sixty entries."""
    with walogs.open(path, store="sqlite") as wal:
        for entry in ENTRIES:
            wal.append(entry)
    return path.read_bytes()


@pytest.mark.guarantee("G6")
def test_a_damaged_entry_is_corrupt_for_open_verify_and_read_and_salvage_reads_around_it(
    path: Path, whole: bytes
) -> None:
    at = whole.index(ENTRIES[29][:20])
    path.write_bytes(whole[:at] + b"X" + whole[at + 1 :])
    for _ in range(2):
        with pytest.raises(walogs.Corrupt, match="segment 31") as told:
            walogs.open(path, store="sqlite")
        assert (told.value.segment, told.value.lsn) == (31, 30)
    report = walogs.verify(path, store="sqlite")
    assert not report.ok
    assert {finding.segment for finding in report.findings if finding.is_damage} == {31}
    salvaged = list(walogs.salvage(path, store="sqlite"))
    kept = [found.data for found in salvaged if isinstance(found, walogs.Entry)]
    assert kept == ENTRIES[:29] + ENTRIES[30:]
    assert len(salvaged) == len(kept) + 1
    with pytest.raises(walogs.Corrupt):
        walogs.backup(path, path.parent / "copy", store="sqlite")


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize("tries", [50, pytest.param(amount(200, 1000), marks=pytest.mark.laboratory)])
def test_wherever_a_byte_is_damaged_what_is_read_is_what_was_appended(path: Path, whole: bytes, tries: int) -> None:
    """Also where SQLite keeps no check: its own pages. What it then finds is right, refused, or less at the end."""
    rng, seen = random.Random(seed_of("damage")), Counter[str]()
    for _ in range(tries):
        at = rng.randrange(len(whole))
        put(path, flipped(whole, at, rng.randrange(8)))
        try:
            with walogs.open(path, store="sqlite") as wal:
                found = [data for _, data in wal]
            assert found == ENTRIES[: len(found)], at
            seen["whole" if len(found) == len(ENTRIES) else "less"] += 1
        except (walogs.WalError, OSError) as error:
            seen[type(error).__name__] += 1
    print(dict(seen))
    assert seen["Corrupt"] > tries / 5
    assert seen["whole"] > 0


BITS: Final = [pytest.param([5], id="one of each byte"), pytest.param(range(8), id="all", marks=pytest.mark.laboratory)]


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize("bits", BITS)
def test_any_flipped_bit_in_the_description_of_the_table_is_refused(
    path: Path, whole: bytes, bits: Iterable[int]
) -> None:
    start = whole.index(TABLE.encode())
    for at in range(start, start + len(TABLE)):
        for bit in bits:
            put(path, flipped(whole, at, bit))
            for opening in (walogs.open, walogs.reader):
                with pytest.raises(walogs.Corrupt):
                    opening(path, store="sqlite").close()


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize("bits", BITS)
def test_any_flipped_bit_around_a_row_is_told(path: Path, whole: bytes, bits: Iterable[int]) -> None:
    """Its key, its length, and the type of what it holds: SQLite believes them."""
    kinds = Counter[str]()
    for segment in (1, 30, len(ENTRIES)):
        data = whole.index(ENTRIES[segment - 1][:20])
        for at in range(whole.rindex(MAGIC, 0, data) - 12, whole.rindex(MAGIC, 0, data)):
            for bit in bits:
                put(path, flipped(whole, at, bit))
                try:
                    with walogs.open(path, store="sqlite") as wal:
                        found = [data for _, data in wal]
                    assert found == ENTRIES[: len(found)], (at, bit)
                    kinds["opened"] += 1
                except walogs.Corrupt:
                    kinds["Corrupt"] += 1
    assert kinds["Corrupt"] > 5, kinds


def test_a_table_that_sqlite_itself_finds_damaged_is_corrupt(path: Path, whole: bytes) -> None:
    page = 4096
    path.write_bytes(whole[: 4 * page] + bytes(40 * page) + whole[44 * page :])
    with pytest.raises(walogs.Corrupt, match=r"walogs\.salvage"):
        walogs.open(path, store="sqlite")


@pytest.mark.guarantee("G1")
def test_a_backup_opens_as_a_log_of_files_and_sqlites_own_copy_as_this_one(path: Path, whole: bytes) -> None:
    import sqlite3

    assert walogs.backup(path, path.parent / "copy", store="sqlite").last_lsn == len(ENTRIES)
    with walogs.open(path.parent / "copy") as wal:
        assert [data for _, data in wal] == ENTRIES
    with walogs.open(path, store="sqlite") as wal:
        wal.append(b"one more")
        source, copy = sqlite3.connect(path), sqlite3.connect(path.parent / "copy.db")
        source.backup(copy)
        source.close()
        copy.close()
    with walogs.open(path.parent / "copy.db", store="sqlite") as wal:
        assert [data for _, data in wal] == [*ENTRIES, b"one more"]
    assert whole
