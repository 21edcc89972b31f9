"""The frames, headers and bodies on which the checks of a codec try it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

from walogs.formats.crc32 import crc32
from walogs.formats.native import FRAME as FRAME_FIELDS
from walogs.formats.native import FRAME_TAG
from walogs.protocols import FrameContext

if TYPE_CHECKING:
    from collections.abc import Iterator

    from walogs.protocols import Codec

LIMIT: Final = 4 << 20
"""The `body_bytes_max` of a frame, unless a check sets another one."""
FRAME: Final = FrameContext(
    log_id=bytes(range(16)),
    segment=3,
    salt=0x1234_5678,
    offset=4096,
    first_lsn=1207,
    entries=1,
    time_ns=1_700_000_000_123_456_789,
    synced=4000,
    link=b"\1the one",
    body_bytes_max=LIMIT,
)
ELSEWHERE: Final[dict[str, Any]] = {
    "log_id": bytes(range(1, 17)),
    "segment": 4,
    "salt": 0x1234_5679,
    "offset": 4104,
    "first_lsn": 1208,
    "entries": 2,
    "time_ns": 1_700_000_000_123_456_790,
    "synced": 4096,
    "link": b"\2the one",
}
"""Other values of the fields of `FRAME`. Each makes it another frame."""
CRC_BYTES: Final = 4


def with_crc(told: bytes, salt: int = FRAME.salt) -> bytes:
    """Return a header: these bytes, and their CRC."""
    return told + crc32(told, salt).to_bytes(CRC_BYTES, "little")


def header_of(frame: FrameContext, kind: int = 1) -> bytes:
    """Return the header of that frame, with a body of 100 bytes."""
    numbers = frame.first_lsn, frame.time_ns, frame.link, frame.entries, frame.offset, frame.synced
    return with_crc(FRAME_FIELDS.pack(FRAME_TAG, kind, 0, 100, *numbers), frame.salt)


HEADER: Final = header_of(FRAME)
HEADERS: Final = (
    HEADER,
    header_of(FRAME, kind=3),
    *(HEADER[:-CRC_BYTES] + crc.to_bytes(CRC_BYTES, "little") for crc in (0, 1, 0xFFFF_FFFF)),
    with_crc(FRAME_FIELDS.pack(FRAME_TAG, 0, 0, 0, 0, 0, bytes(8), 0, 0, 0)),
)
"""The headers of a frame with entries and of a CHECKPOINT, headers whose CRC is at an end of its range, and the header
that the check of a segment's header uses."""


def sample(size: int, seed: int = 0) -> bytes:
    """Return random bytes, which no codec can compress."""
    return random.Random(f"{size} {seed}").randbytes(size)


def stored_samples(codec: Codec) -> list[bytes]:
    """Return stored bytes to check: none, encoded bodies, and bytes that were never encoded."""
    return [b"", b"x", codec.encode(b"", FRAME), codec.encode(sample(900), FRAME), sample(10_001)]


def flip_bit(data: bytes, bit: int) -> bytes:
    """Return *data* with one bit changed. Bit 0 is the lowest bit of the first byte."""
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]


def bodies() -> Iterator[bytes]:
    """Yield bodies of random bytes, of zeros and of text, in all sizes at which a codec may behave differently."""
    for size in (0, 1, 2, 7, 8, 9, 63, 64, 65, 255, 256, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537):
        yield sample(size)
    yield from (bytes(1), bytes(64), bytes(5000), bytes(1 << 20), sample(1 << 20))
    yield from (b"\xff" * 300, b"the same again, " * 4000)
