"""The law of the watermark: nothing written may claim more to be synced than is (G1, G6).

Recovery believes `synced` of every intact frame header, and the witness: one claim that is too high turns an honest
torn end into `Corrupt`, one that a reader follows hands out what a power cut takes back. Both are read here by the
tables of docs/format.md alone, on purpose not by the library's own parser: a mistake there must not hide itself.

    frame   magic D7 57 at 0 · body bytes u32 at 4 · its offset u32 at 28 · synced u32 at 32 · CRC-32 of 0-35 from the
            segment's salt, u32 at 36 · then the body, and zeros up to a multiple of 8
    salt    u32 at 12 of the segment's header
    witness magic "WALDUR\\r\\n" at 0 · segment number u64 at 24 · synced u64 at 32
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Protocol
from zlib import crc32

from walogs.errors import Missing
from walogs.testing.faults import LawBroken

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Watched", "assert_watermark_law", "assert_witness_law", "claims"]

_FRAME: Final = struct.Struct("<HBBIQQIII")
_U32: Final = struct.Struct("<I")
_FRAME_MAGIC: Final = b"\xd7\x57"
_FRAME_HEADER_BYTES: Final = 40
_SALT_AT: Final = 12
_WITNESS_MAGIC: Final = b"WALDUR\r\n"
_WITNESS_CLAIM: Final = struct.Struct("<QQ")
_WITNESS_CLAIM_AT: Final = 24

assert _FRAME.size + _U32.size == _FRAME_HEADER_BYTES


class Watched(Protocol):
    """What a store must tell for its writers to be watched. Neither method is a step of the model."""

    def durable_prefix(self, number: int) -> int:
        """The largest p such that a power cut now leaves bytes [0, p) of the segment as they read. Raises `Missing`."""
        ...

    def peek(self, number: int, start: int, end: int) -> bytes:
        """The bytes [start, end) as they read; fewer where the segment ends. Raises `Missing`."""
        ...


def assert_watermark_law(store: Watched, number: int, offset: int, data: bytes) -> int:
    """Called before *data* is written at *offset*: each frame header in it claims no more than is durable.

    How many intact headers were looked at. Raises `LawBroken`.
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


def assert_witness_law(store: Watched, data: bytes) -> None:
    """Called before *data* becomes the witness: it claims no more than is durable. Raises `LawBroken`."""
    if not data.startswith(_WITNESS_MAGIC) or len(data) < _WITNESS_CLAIM_AT + _WITNESS_CLAIM.size:
        return
    number, synced = _WITNESS_CLAIM.unpack_from(data, _WITNESS_CLAIM_AT)
    try:
        durable = store.durable_prefix(number)
    except Missing:
        raise LawBroken(f"the witness names segment {number}, which is not there") from None
    if synced > durable:
        raise LawBroken(f"the witness says that {synced} bytes of segment {number} are synced; {durable} are")


def claims(data: bytes, offset: int, salt: int) -> Iterator[tuple[int, int]]:
    """(offset, synced) of every intact frame header in *data*, which is written at *offset*; bodies are skipped."""
    at = data.find(_FRAME_MAGIC)
    while 0 <= at <= len(data) - _FRAME_HEADER_BYTES:
        _, _, _, body_bytes, _, _, _, own_offset, synced = _FRAME.unpack_from(data, at)
        is_in_place = (offset + at) % 8 == 0 and own_offset == offset + at
        if is_in_place and crc32(data[at : at + _FRAME.size], salt) == _U32.unpack_from(data, at + _FRAME.size)[0]:
            yield own_offset, synced
            at += _FRAME_HEADER_BYTES + body_bytes
        else:
            at += 1
        at = data.find(_FRAME_MAGIC, at)
