"""The durable mark: 64 bytes as the table says, and anything else is no durable mark."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walogs.formats import durable_mark
from walogs.formats.durable_mark import DurableMark

LOG_ID = bytes(range(16))
LINK = b"the link"
u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)


@pytest.mark.guarantee("G20")
def test_a_durable_mark_lies_as_the_table_says() -> None:
    data = durable_mark.encode(LOG_ID, 7, 4096, 1207, 0xC0FFEE, LINK, is_clean=True)
    assert len(data) == durable_mark.DURABLE_MARK_BYTES == 64
    assert data[:8] == b"WALDUR\r\n"
    assert data[8:24] == LOG_ID
    assert struct.unpack_from("<QQQII", data, 24) == (7, 4096, 1207, 0xC0FFEE, 1)
    assert data[56:60] == LINK[:4]
    assert struct.unpack_from("<I", data, 60) == (crc32(data[:60]),)


@given(st.binary(min_size=16, max_size=16), u64, u64, u64, u32, st.booleans())
def test_a_durable_mark_is_read_as_it_was_written(
    log_id: bytes, segment: int, synced: int, lsn: int, salt: int, clean: bool
) -> None:
    data = durable_mark.encode(log_id, segment, synced, lsn, salt, LINK, clean)
    assert durable_mark.decode(data) == DurableMark(
        log_id=log_id, segment=segment, synced=synced, last_lsn=lsn, salt=salt, link=LINK[:4], is_clean=clean
    )
    assert durable_mark.decode(data + b"after it") == durable_mark.decode(data)


def test_every_garbled_durable_mark_is_ignored() -> None:
    data = durable_mark.encode(LOG_ID, 7, 4096, 1207, 0xC0FFEE, LINK)
    older = durable_mark.encode(LOG_ID, 7, 3072, 1206, 0xC0FFEE, LINK)
    for bit in range(64 * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert durable_mark.decode(bytes(flipped)) is None
    for size in range(64):
        assert durable_mark.decode(data[:size]) is None
        mixed = data[:size] + older[size:]
        assert mixed in (data, older) or durable_mark.decode(mixed) is None, size


@pytest.mark.guarantee("G16")
@given(st.binary(max_size=80) | st.none(), st.booleans(), st.booleans())
def test_any_bytes_are_a_durable_mark_or_none(data: bytes | None, is_magic: bool, is_checked: bool) -> None:
    if data is not None and is_magic:
        data = durable_mark.MAGIC + data[8:]
    if data is not None and is_checked:
        data = data[:60] + struct.pack("<I", crc32(data[:60])) + data[64:]
    found = durable_mark.decode(data)
    if found is not None:
        assert data is not None
        assert is_checked
        assert data[:8] == durable_mark.MAGIC


def test_an_unknown_flag_of_a_durable_mark_changes_nothing_it_says() -> None:
    data = bytearray(durable_mark.encode(LOG_ID, 7, 4096, 1207, 5, LINK))
    data[52:56] = struct.pack("<I", 0x80000002)
    data[60:] = struct.pack("<I", crc32(data[:60]))
    assert durable_mark.decode(bytes(data)) == DurableMark(
        log_id=LOG_ID, segment=7, synced=4096, last_lsn=1207, salt=5, link=LINK[:4], is_clean=False
    )
