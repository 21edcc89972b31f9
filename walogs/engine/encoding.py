"""What the entries of a commit turn into: one body, and then the bytes that the codec stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from walogs.formats.segment_format import FrameBuffer
from walogs.protocols import FrameContext

if TYPE_CHECKING:
    from walogs.engine.log_source import LogSource
    from walogs.formats.segment_format import SegmentFormat, SegmentHeader
    from walogs.protocols import Codec


EncodedBody: TypeAlias = bytes | FrameBuffer
"""The entries of one commit as the body of a frame; `len()` is its length in bytes.

It is a `FrameBuffer`, a frame that lacks only its header and check, for a batch that the codec stores as it is.
"""


def encode_body(form: SegmentFormat, codec: Codec, entries: list[bytes]) -> EncodedBody:
    """Turn the entries of one commit, one or more, into the body of a frame."""
    if len(entries) == 1:
        return entries[0]
    return form.draft(entries, codec.check_bytes) if codec.identity else form.body(entries)


def store_body(
    source: LogSource,
    segment: SegmentHeader,
    body: EncodedBody,
    *,
    offset: int,
    synced: int,
    link: bytes,
    first_lsn: int,
    count: int,
    time_ns: int,
) -> EncodedBody:
    """Return what the codec makes of a body, for a frame that begins at *offset* of *segment*."""
    if source.codec.identity or isinstance(body, FrameBuffer):
        return body
    context = FrameContext(
        log_id=segment.log_id,
        segment=segment.number,
        salt=segment.salt,
        offset=offset,
        first_lsn=first_lsn,
        entries=count,
        time_ns=time_ns,
        synced=synced,
        link=link,
        body_bytes_max=source.format.traits.body_bytes_max,
    )
    return source.codec.encode(body, context)
