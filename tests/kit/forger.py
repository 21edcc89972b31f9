"""An attacker who can write into a log's directory and compute every CRC (docs/format.md), but has no key."""

from __future__ import annotations

import struct
from typing import Any, Final
from zlib import crc32

from tests.kit.logs import ENTRIES, SEAL, Frame, LogOnDisk, frame_bytes, salt_of

PROVEN: Final = 24
"""The bytes of a check before its CRC. A forger cannot make them, only copy them from another frame."""
HEADING: Final = b"\xd7\x57" + bytes(42)


def frames(log: LogOnDisk, number: int = 1) -> list[Frame]:
    """Return the frames that hold entries."""
    return [frame for frame in log.frames(number) if frame.kind == ENTRIES]


def bodies(log: LogOnDisk, number: int = 1) -> list[bytes]:
    """Return the stored body of each frame with entries, with the part of the check that needs the key."""
    segment = log.segment(number).read_bytes()
    return [segment[frame.offset + 48 : frame.body_end - 4] for frame in frames(log, number)]


def forge(log: LogOnDisk, frame: Frame, body: bytes, number: int = 1, **said: Any) -> None:
    """Replace the body or fields of the header of this frame, and make every CRC right."""
    salt = salt_of(log.segment(number).read_bytes())
    fields = {
        "kind": frame.kind,
        "first_lsn": frame.first_lsn,
        "entries": frame.entries,
        "synced": frame.synced,
        "time_ns": frame.time_ns,
        "link": frame.link,
        **said,
    }
    forged = frame_bytes(salt, frame.offset, body, **fields)
    assert len(forged) == frame.end - frame.offset
    log.overwrite(number, frame.offset, forged)


def link_of(log: LogOnDisk, frame: Frame, number: int = 1) -> bytes:
    """Return the link that the frame after this one must hold."""
    check = log.segment(number).read_bytes()[frame.body_end - PROVEN - 4 : frame.body_end]
    return check[:8]


def reheader(log: LogOnDisk, number: int, at: int, data: bytes) -> None:
    """Replace bytes in a segment's header, and make both its CRCs right."""
    whole = bytearray(log.segment(number).read_bytes())
    whole[at : at + len(data)] = data
    heading = crc32(HEADING, salt_of(whole))
    whole[468:472] = struct.pack("<I", crc32(whole[444:468], crc32(whole[:444], heading)))
    whole[508:512] = struct.pack("<I", crc32(whole[:508]))
    log.segment(number).write_bytes(whole)


def reseal(log: LogOnDisk, number: int, body: bytes) -> None:
    """Replace the body of the SEAL by one of the same length, and make its header and CRCs right."""
    segment = log.segment(number).read_bytes()
    [seal] = [frame for frame in log.frames(number) if frame.kind == SEAL]
    start, end = seal.offset + 48, seal.body_end - 8
    assert len(body) == end - 4 - PROVEN - start
    proven = segment[end - 4 - PROVEN : end - 4]
    crc = crc32(body + proven, struct.unpack_from("<I", segment, seal.offset + 44)[0])
    log.overwrite(number, start, body + proven + struct.pack("<I", crc))


def seal_body(log: LogOnDisk, number: int) -> bytes:
    segment = log.segment(number).read_bytes()
    [seal] = [frame for frame in log.frames(number) if frame.kind == SEAL]
    return segment[seal.offset + 48 : seal.body_end - 8 - 4 - PROVEN]


def time_for(head: bytes, salt: int, crc: int) -> int:
    """Return a time that gives these 44 bytes of a header the wanted CRC, less than five seconds after their own time.

    A CRC is linear, so four free bytes can reach every value.
    """

    def with_time(time_ns: int) -> int:
        return crc32(head[:16] + struct.pack("<Q", time_ns) + head[24:], salt)

    (time_ns,) = struct.unpack_from("<Q", head, 16)
    time_ns = (time_ns & ~0xFFFF_FFFF) + (1 << 32)
    wanted, basis = with_time(time_ns) ^ crc, dict[int, tuple[int, int]]()
    for bit in range(32):
        column, mask = with_time(time_ns ^ 1 << bit) ^ with_time(time_ns), 1 << bit
        while column and (kept := basis.get(column.bit_length())):
            column, mask = column ^ kept[0], mask ^ kept[1]
        basis[column.bit_length()] = column, mask
    chosen = 0
    while wanted:
        column, mask = basis[wanted.bit_length()]
        wanted, chosen = wanted ^ column, chosen ^ mask
    return time_ns ^ chosen
