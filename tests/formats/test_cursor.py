"""The value of a cursor: 64 bytes as the table says, and anything else is refused."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walogs.errors import UnsupportedFormat
from walogs.formats import cursor
from walogs.formats.cursor import CursorValue
from walogs.formats.segment_format import Malformed
from walogs.protocols.cursor_store import CURSOR_BYTES

LOG_ID = bytes(range(16))
u64 = st.integers(0, 2**64 - 1)


def with_crc(fields: bytes) -> bytes:
    return fields[:60] + struct.pack("<I", crc32(fields[:60]))


@pytest.mark.guarantee("G20")
def test_a_cursor_lies_as_the_table_says() -> None:
    data = cursor.encode(LOG_ID, 1207, 1_700_000_000_000_000_000)
    assert len(data) == CURSOR_BYTES == 64
    assert data[:8] == b"WALCUR\r\n"
    assert struct.unpack_from("<II", data, 8) == (1, 0)
    assert data[16:32] == LOG_ID
    assert struct.unpack_from("<QQ", data, 32) == (1207, 1_700_000_000_000_000_000)
    assert data[48:60] == bytes(12)
    assert data == with_crc(data)


@given(st.binary(min_size=16, max_size=16), u64, u64)
def test_a_cursor_is_read_as_it_was_written(log_id: bytes, lsn: int, time_ns: int) -> None:
    assert cursor.decode(cursor.encode(log_id, lsn, time_ns)) == CursorValue(log_id=log_id, lsn=lsn, time_ns=time_ns)


@pytest.mark.guarantee("G21")
def test_no_damaged_cursor_is_taken_for_a_position() -> None:
    data, older = cursor.encode(LOG_ID, 1207, 5), cursor.encode(LOG_ID, 1206, 4)
    damaged = [data[:size] for size in range(64)] + [data + b"\0", bytes(64), data[:63]]
    for bit in range(64 * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    damaged += [mixed for size in range(64) if (mixed := data[:size] + older[size:]) not in (data, older)]
    for wrong in damaged:
        with pytest.raises(Malformed):
            cursor.decode(wrong)


@pytest.mark.parametrize(("version", "flags", "found"), [(2, 0, "version 2"), (1, 4, "flags 0x4")])
def test_a_later_version_is_told_by_its_number(version: int, flags: int, found: str) -> None:
    data = bytearray(cursor.encode(LOG_ID, 7, 5))
    struct.pack_into("<II", data, 8, version, flags)
    with pytest.raises(UnsupportedFormat, match=found) as refused:
        cursor.decode(with_crc(bytes(data)))
    assert refused.value.found == found


@pytest.mark.guarantee("G16")
@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_a_cursor_or_refused(data: bytes, is_checked: bool) -> None:
    if is_checked:
        data = with_crc((cursor.MAGIC + data).ljust(60, b"\0")[:60])
    try:
        found = cursor.decode(data)
    except (Malformed, UnsupportedFormat):
        return
    assert data[:60] == struct.pack("<8sII16sQQ", cursor.MAGIC, 1, 0, *found) + data[48:60]
