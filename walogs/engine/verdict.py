"""Decide what the end of a log means: clean, torn or corrupt (G5, G6).

This file holds pure functions and one table. `judge` in ending.py applies the table, with what the store and the caller
add: a store without torn writes, and `recovery="prefix"`.

A crash leaves an unfinished write at the end of a log, and damage can look just the same. Only evidence that the bytes
were durable tells the two apart. Two simpler rules are wrong:

- "An intact frame follows, so the log is corrupt." Pages that were not synced reach the disk in any order, so a crash
  can leave a later frame without an earlier one. This rule refuses honest crashes.
- "Cut at the first bad frame." This rule drops acknowledged entries for every flipped bit.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from walogs.formats.segment_format import LARGEST, Kind

if TYPE_CHECKING:
    from walogs.formats.durable_mark import DurableMark
    from walogs.formats.segment_format import FrameHeader, SegmentHeader


class CrashShape(Enum):
    """What a crash can leave of the newest segment in a store."""

    MAY_TEAR = "a partial end"
    WHOLE = "all of it or nothing"


class TailContent(Enum):
    """What follows the last intact frame of the newest segment."""

    ZEROS = "nothing, or zeros"
    BYTES = "bytes that are no intact frame"


class DurabilityEvidence(Enum):
    """What is known about the place where the intact frames stop.

    The evidence comes from the intact frame headers of the whole segment, and from the durable mark.
    """

    NOTHING = "never known to be synced"
    SYNCED_BEYOND = "synced beyond it"
    SEALED = "a SEAL, so there was a successor"


class Verdict(Enum):
    CLEAN = "clean"
    TORN = "torn"
    CORRUPT = "corrupt"


ENTRIES: Final = Kind.ENTRIES.value  # a constant, because `frame_problem` is called for every frame


VERDICTS: Final[dict[tuple[CrashShape, TailContent, DurabilityEvidence], Verdict]] = {
    # A: The log ends where its frames end. Nothing is known to have been behind them.
    (CrashShape.MAY_TEAR, TailContent.ZEROS, DurabilityEvidence.NOTHING): Verdict.CLEAN,
    # B: A write was under way when the process or the machine stopped. It was never acknowledged, so it is cut.
    (CrashShape.MAY_TEAR, TailContent.BYTES, DurabilityEvidence.NOTHING): Verdict.TORN,
    # C: Frames were synced behind this place, and zeros are there now. Entries are lost, and they were acknowledged.
    (CrashShape.MAY_TEAR, TailContent.ZEROS, DurabilityEvidence.SYNCED_BEYOND): Verdict.CORRUPT,
    # D: As C, with other bytes instead of zeros: a flipped bit in a synced frame, for example.
    (CrashShape.MAY_TEAR, TailContent.BYTES, DurabilityEvidence.SYNCED_BEYOND): Verdict.CORRUPT,
    # E: A SEAL is written only after the next segment is durable. The newest segment has one, so the next one is gone.
    (CrashShape.MAY_TEAR, TailContent.ZEROS, DurabilityEvidence.SEALED): Verdict.CORRUPT,
    # F: As E; the bytes that follow change nothing about it.
    (CrashShape.MAY_TEAR, TailContent.BYTES, DurabilityEvidence.SEALED): Verdict.CORRUPT,
    # G: The segment appeared whole and is whole.
    (CrashShape.WHOLE, TailContent.ZEROS, DurabilityEvidence.NOTHING): Verdict.CLEAN,
    # H: This store never shows a part of a write, so bytes that are no frame cannot come from a crash.
    (CrashShape.WHOLE, TailContent.BYTES, DurabilityEvidence.NOTHING): Verdict.CORRUPT,
    # I: As C: what was synced is not there any more.
    (CrashShape.WHOLE, TailContent.ZEROS, DurabilityEvidence.SYNCED_BEYOND): Verdict.CORRUPT,
    # J: As D.
    (CrashShape.WHOLE, TailContent.BYTES, DurabilityEvidence.SYNCED_BEYOND): Verdict.CORRUPT,
    # K: Segments of this store carry no SEAL. A SEAL in one is damage.
    (CrashShape.WHOLE, TailContent.ZEROS, DurabilityEvidence.SEALED): Verdict.CORRUPT,
    # L: As K.
    (CrashShape.WHOLE, TailContent.BYTES, DurabilityEvidence.SEALED): Verdict.CORRUPT,
}


def durability_evidence(end: int, synced: int, is_sealed: bool) -> DurabilityEvidence:
    """Return what is known about the newest segment at *end*, the offset where its intact frames stop.

    *synced* is the highest offset that an intact frame header or the durable mark names as synced.
    """
    if is_sealed:
        return DurabilityEvidence.SEALED
    return DurabilityEvidence.SYNCED_BEYOND if synced > end else DurabilityEvidence.NOTHING


def frame_problem(header: FrameHeader, expected_lsn: int, link: bytes | None) -> str | None:
    """Return why an intact frame cannot be where it is, or None if it can.

    No writer of this log makes such bytes, so they are damage and never a torn end. *link* is the link of the last
    frame with entries before it; None skips that check.
    """
    if header.kind == ENTRIES:
        if header.first_lsn != expected_lsn:
            return f"an intact frame holds entry {header.first_lsn} where {expected_lsn} belongs"
        if header.entries == 0:
            return "an intact frame holds no entry"
    if link is not None and header.link != link:
        return "an intact frame was written after another frame than the one before it: it is of another history"
    if header.time_ns > LARGEST or header.first_lsn + header.entries > LARGEST:
        return "an intact frame has a time or an LSN that no writer reaches"
    if header.synced > header.offset:
        return f"an intact frame says that byte {header.synced} was synced before it was written"
    return None


def durable_mark_problem(
    durable_mark: DurableMark | None, newest: SegmentHeader | None, last_lsn: int, link: bytes | None
) -> str | None:
    """Return what the durable mark names and the log does not have, or None if nothing is missing.

    *newest* is the header of the newest segment, or None if the log has no segment. *last_lsn* is the last entry that
    is there. *link* is the link of the frame that holds it, or None if that is unknown. A durable mark of another log,
    or of a segment that has a successor, says nothing.
    """
    if durable_mark is None:
        return None
    if newest is None:
        return (
            f"its segments are gone: the durable mark names segment {durable_mark.segment},"
            f" entry {durable_mark.last_lsn}"
        )
    if durable_mark.log_id != newest.log_id or durable_mark.segment < newest.number:
        return None
    if durable_mark.segment > newest.number:
        return (
            f"segment {durable_mark.segment} is gone: the durable mark names it,"
            f" and {newest.number} is the newest there is"
        )
    if durable_mark.salt != newest.salt:
        return f"segment {newest.number} is not the one that the durable mark saw: it is of another history of this log"
    if durable_mark.last_lsn > last_lsn:
        return f"entries {last_lsn + 1} to {durable_mark.last_lsn} are gone: the durable mark saw them synced"
    if durable_mark.last_lsn == last_lsn and link is not None and not link.startswith(durable_mark.link):
        return f"entry {last_lsn} is not the one that the durable mark saw: it is of another history of this log"
    return None


def link_problem(older: SegmentHeader, successor: SegmentHeader) -> str | None:
    """Return why *older* is not the segment that *successor* was made after, or None if it is."""
    if older.log_id != successor.log_id:
        return "it is of another log than its successor"
    if successor.previous_salt != older.salt:
        return "it is of another history of this log than its successor"
    if older.epoch > successor.epoch or older.first_lsn > successor.first_lsn:
        return "its epoch or first entry is beyond its successor's"
    return None


def end_problem(last_lsn: int, link: bytes | None, successor: SegmentHeader) -> str | None:
    """Return how the end of a segment differs from what its successor says of it, or None if it does not (G6).

    *last_lsn* is the segment's last entry, and *link* the link of the frame that holds it.
    """
    if last_lsn < successor.first_lsn - 1:
        return f"intact entries end at {last_lsn}, and its successor begins at {successor.first_lsn}"
    if last_lsn > successor.first_lsn - 1:
        return f"it holds entry {last_lsn}, and its successor begins at {successor.first_lsn}"
    if link != successor.previous_link:
        return "its last frame is not the one its successor was made after"
    return None
