"""What an observation means: torn or corrupt. Pure, tabulated, and the only place that decides it (G5, G6).

Evidence that bytes were durable is what tells the two apart: nothing else does. "A valid frame follows, so it must be
corrupt" refuses honest crashes, since unsynced pages reach the disk in any order; "cut at the first bad frame" drops
acknowledged entries for every flipped bit.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from walogs.formats.segment_format import LARGEST, Kind

if TYPE_CHECKING:
    from walogs.formats.segment_format import FrameHeader, SegmentHeader
    from walogs.formats.witness import Witness


class Shape(Enum):
    """What a crash can leave of the newest segment in this store."""

    MAY_TEAR = "a partial end"
    WHOLE = "all of it or nothing"


class Rest(Enum):
    """What follows the last intact frame of the newest segment."""

    ZEROS = "nothing, or zeros"
    BYTES = "bytes that are no intact frame"


class Testimony(Enum):
    """What is known of that place, from intact frame headers anywhere in the segment and from the witness."""

    NOTHING = "never known to be synced"
    SYNCED_BEYOND = "synced beyond it"
    SEALED = "a SEAL, so there was a successor"


class Verdict(Enum):
    CLEAN = "clean"
    TORN = "torn"
    CORRUPT = "corrupt"


ENTRIES: Final = Kind.ENTRIES.value  # looked up once: this is asked of every frame


VERDICTS: Final[dict[tuple[Shape, Rest, Testimony], Verdict]] = {
    (Shape.MAY_TEAR, Rest.ZEROS, Testimony.NOTHING): Verdict.CLEAN,
    (Shape.MAY_TEAR, Rest.BYTES, Testimony.NOTHING): Verdict.TORN,
    (Shape.MAY_TEAR, Rest.ZEROS, Testimony.SYNCED_BEYOND): Verdict.CORRUPT,
    (Shape.MAY_TEAR, Rest.BYTES, Testimony.SYNCED_BEYOND): Verdict.CORRUPT,
    (Shape.MAY_TEAR, Rest.ZEROS, Testimony.SEALED): Verdict.CORRUPT,
    (Shape.MAY_TEAR, Rest.BYTES, Testimony.SEALED): Verdict.CORRUPT,
    (Shape.WHOLE, Rest.ZEROS, Testimony.NOTHING): Verdict.CLEAN,
    (Shape.WHOLE, Rest.BYTES, Testimony.NOTHING): Verdict.CORRUPT,  # no write of ours can be partly there
    (Shape.WHOLE, Rest.ZEROS, Testimony.SYNCED_BEYOND): Verdict.CORRUPT,
    (Shape.WHOLE, Rest.BYTES, Testimony.SYNCED_BEYOND): Verdict.CORRUPT,
    (Shape.WHOLE, Rest.ZEROS, Testimony.SEALED): Verdict.CORRUPT,
    (Shape.WHOLE, Rest.BYTES, Testimony.SEALED): Verdict.CORRUPT,
}


def testimony(end: int, synced: int, is_sealed: bool) -> Testimony:
    """What is known of the newest segment at *end*, where intact frames stop; *synced* is the highest offset that
    any intact header or the witness names."""
    if is_sealed:
        return Testimony.SEALED
    return Testimony.SYNCED_BEYOND if synced > end else Testimony.NOTHING


def inadmissible(header: FrameHeader, expected_lsn: int) -> str | None:
    """Why an intact frame cannot stand where it does: bytes that no writer of this log makes, so never torn."""
    if header.kind == ENTRIES:
        if header.first_lsn != expected_lsn:
            return f"an intact frame holds entry {header.first_lsn} where {expected_lsn} belongs"
        if header.entries == 0:
            return "an intact frame holds no entry"
    if header.time_ns > LARGEST or header.first_lsn + header.entries > LARGEST:
        return "an intact frame has a time or an LSN that no writer reaches"
    if header.synced > header.offset:
        return f"an intact frame says that byte {header.synced} was synced before it was written"
    return None


def missing_by_witness(witness: Witness | None, newest: SegmentHeader | None, last_lsn: int) -> str | None:
    """What a witness of this log testifies to have been there and is not; None: nothing is missing.

    *newest* None: the directory holds no segment. A witness of another log, or of a segment that has a successor, says
    nothing.
    """
    if witness is None:
        return None
    if newest is None:
        return f"its segments are gone: the witness names segment {witness.segment}, entry {witness.last_lsn}"
    if witness.log_id != newest.log_id or witness.segment < newest.number:
        return None
    if witness.segment > newest.number:
        return f"segment {witness.segment} is gone: the witness names it, and {newest.number} is the newest there is"
    if witness.salt != newest.salt:
        return f"segment {newest.number} is not the one that the witness saw: it is of another history of this log"
    if witness.last_lsn > last_lsn:
        return f"entries {last_lsn + 1} to {witness.last_lsn} are gone: the witness saw them synced"
    return None


def unlinked(older: SegmentHeader, successor: SegmentHeader) -> str | None:
    """Why *older* is not the segment that *successor* was made after; None: it is."""
    if older.log_id != successor.log_id:
        return "it is of another log than its successor"
    if successor.previous_salt != older.salt:
        return "it is of another history of this log than its successor"
    if older.epoch > successor.epoch or older.first_lsn > successor.first_lsn:
        return "its epoch or first entry is beyond its successor's"
    return None


def unlinked_end(last_lsn: int, last_check: int, successor: SegmentHeader) -> str | None:
    """Why an older segment that ends so is not what its successor testifies (G6); None: it is."""
    if last_lsn < successor.first_lsn - 1:
        return f"intact entries end at {last_lsn}, and its successor begins at {successor.first_lsn}"
    if last_lsn > successor.first_lsn - 1:
        return f"it holds entry {last_lsn}, and its successor begins at {successor.first_lsn}"
    if last_check != successor.previous_check:
        return "its last frame is not the one its successor was made after"
    return None
