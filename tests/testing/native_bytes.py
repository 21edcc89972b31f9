"""Frames and durable marks by the tables of docs/format.md alone: neither parser nor law vouches for itself."""

from __future__ import annotations

import struct
from zlib import crc32

SALT = 0xC0FFEE


def segment_header(salt: int = SALT) -> bytes:
    """As much of one as the law of the watermark reads: the salt."""
    return (b"\x89WALOG\r\n" + struct.pack("<HHI", 1, 0, salt)).ljust(512, b"\0")


def frame(offset: int, synced: int, body: bytes = b"data", salt: int = SALT) -> bytes:
    """A frame at *offset* that says *synced*; its body's check is not looked at."""
    head = struct.pack("<HBBIQQ8sIII", 0x57D7, 1, 0, len(body), 1, 0, bytes(8), 1, offset, synced)
    whole = head + struct.pack("<I", crc32(head, salt)) + body
    return whole + bytes(-len(whole) % 8)


def durable_mark(number: int, synced: int) -> bytes:
    fields = b"WALDUR\r\n" + bytes(16) + struct.pack("<QQQII4x", number, synced, 0, SALT, 0)
    return fields + struct.pack("<I", crc32(fields))
