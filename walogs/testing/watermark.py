"""The law of the watermark: no written byte may claim that more is synced than is (G1, G6).

Recovery relies on the watermark of every intact frame header, and on the durable mark. If one of them is too high, a
torn end is reported as `Corrupt`, or a reader returns entries that a power cut then removes.

This module parses both with the tables of docs/format.md. It does not use the library's parser on purpose, so that a
mistake there cannot hide itself.

    frame         magic D7 57 at 0 · body bytes u32 at 4 · offset of the frame u32 at 36 · synced u32 at 40 ·
                  CRC-32 of bytes 0-43, started from the segment's salt, u32 at 44 · the body · zeros up to a
                  multiple of 8
    salt          u32 at 12 of the segment's header
    durable mark  magic "WALDUR\\r\\n" at 0 · segment number u64 at 24 · synced u64 at 32
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Protocol
from zlib import crc32

from walogs.errors import SegmentNotFound
from walogs.testing.faults import LawBroken

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WatchedStore", "assert_durable_mark_law", "assert_watermark_law", "claims"]

_FRAME: Final = struct.Struct("<HBBIQQ8sIII")
_U32: Final = struct.Struct("<I")
_FRAME_MAGIC: Final = b"\xd7\x57"
_FRAME_HEADER_BYTES: Final = 48
_SALT_AT: Final = 12
_DURABLE_MARK_MAGIC: Final = b"WALDUR\r\n"
_DURABLE_MARK_CLAIM: Final = struct.Struct("<QQ")
_DURABLE_MARK_CLAIM_AT: Final = 24

assert _FRAME.size + _U32.size == _FRAME_HEADER_BYTES


class WatchedStore(Protocol):
    """A store whose writes can be checked against the law. Neither method is a step of the model."""

    def durable_prefix(self, number: int) -> int:
        """Return the largest p such that a power cut now would not change bytes [0, p) of the segment.

        Raises `SegmentNotFound`.
        """
        ...

    def peek(self, number: int, start: int, end: int) -> bytes:
        """Return the bytes [start, end), or fewer if the segment ends before. Raises `SegmentNotFound`."""
        ...


def assert_watermark_law(store: WatchedStore, number: int, offset: int, data: bytes) -> int:
    """Raise `LawBroken` if a frame header in *data* claims more than is durable.

    Call this before *data* is written at *offset*. Return the number of intact frame headers in *data*.
    """
    salt = store.peek(number, _SALT_AT, _SALT_AT + 4)
    if len(salt) < 4:
        return 0
    seen = 0
    for at, synced in claims(data, offset, _U32.unpack(salt)[0]):
        seen += 1
        durable = store.durable_prefix(number)
        if synced > durable:
            raise LawBroken(
                f"the frame at byte {at} of segment {number} says that {synced} bytes are synced; {durable} are"
            )
    return seen


def assert_durable_mark_law(store: WatchedStore, data: bytes) -> None:
    """Raise `LawBroken` if *data* claims more than is durable. Call this before *data* becomes the durable mark."""
    if not data.startswith(_DURABLE_MARK_MAGIC) or len(data) < _DURABLE_MARK_CLAIM_AT + _DURABLE_MARK_CLAIM.size:
        return
    number, synced = _DURABLE_MARK_CLAIM.unpack_from(data, _DURABLE_MARK_CLAIM_AT)
    try:
        durable = store.durable_prefix(number)
    except SegmentNotFound:
        raise LawBroken(f"the durable mark names segment {number}, which is not there") from None
    if synced > durable:
        raise LawBroken(f"the durable mark says that {synced} bytes of segment {number} are synced; {durable} are")


def claims(data: bytes, offset: int, salt: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, synced) of every intact frame header in *data*, which is written at *offset*. Skip bodies."""
    at = data.find(_FRAME_MAGIC)
    while 0 <= at <= len(data) - _FRAME_HEADER_BYTES:
        _, _, _, body_bytes, _, _, _, _, own_offset, synced = _FRAME.unpack_from(data, at)
        is_in_place = (offset + at) % 8 == 0 and own_offset == offset + at
        if is_in_place and crc32(data[at : at + _FRAME.size], salt) == _U32.unpack_from(data, at + _FRAME.size)[0]:
            yield own_offset, synced
            at += _FRAME_HEADER_BYTES + body_bytes
        else:
            at += 1
        at = data.find(_FRAME_MAGIC, at)
