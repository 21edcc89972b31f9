"""Judge the end of the newest segment. An open and a reader beside the writer both use this, so they always agree.

All evidence of how far the segment was synced comes together here: the intact frames, the bytes after them, and the
durable mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from walogs.engine.verdict import VERDICTS, CrashShape, DurabilityEvidence, TailContent, Verdict, durability_evidence
from walogs.formats import durable_mark as durable_mark_bytes
from walogs.formats.segment_format import StopReason
from walogs.protocols import is_appendable

if TYPE_CHECKING:
    from collections.abc import Callable

    from walogs.engine.log_source import LogSource
    from walogs.engine.segment_scan import TailScan
    from walogs.formats.durable_mark import DurableMark
    from walogs.formats.segment_format import SegmentHeader

Mode = Literal["acked", "prefix"]


class Ending(NamedTuple):
    """The place where the intact frames of the newest segment stop, and what is known about it."""

    header: SegmentHeader
    end: int
    """The offset where they stop. The documentation calls it X."""
    last_lsn: int
    stop: StopReason
    synced: int
    """The highest offset that the durable mark or an intact frame header names as synced: W."""
    is_sealed: bool
    has_bytes: bool
    """Whether a byte other than zero follows."""

    def evidence(self) -> DurabilityEvidence:
        """Return what is known about the place where the frames stop."""
        return durability_evidence(self.end, self.synced, self.is_sealed)


def ending_of(
    header: SegmentHeader,
    end: int,
    last_lsn: int,
    stop: StopReason,
    named: int,
    rest: TailScan | None,
    durable_mark: DurableMark | None,
) -> Ending:
    """Bring the evidence about the end of a segment together.

    *named* is the highest offset that the intact frames before *end* name as synced. *rest* is what follows them. It is
    None if the caller does not search that part this time, because it did so at an earlier observation.
    """
    synced = max(named, synced_by(durable_mark, header))
    if rest is None:
        is_sealed, has_bytes = stop is StopReason.SEAL, stop is not StopReason.END
    else:
        synced, is_sealed, has_bytes = max(synced, rest.synced), rest.is_sealed, rest.bytes_end > 0
    return Ending(
        header=header,
        end=end,
        last_lsn=last_lsn,
        stop=stop,
        synced=synced,
        is_sealed=is_sealed,
        has_bytes=has_bytes,
    )


def judge(
    source: LogSource, ending: Ending, mode: Mode = "acked", opens_when_cut: Callable[[], bool] = lambda: False
) -> Literal["clean", "torn", "prefix"]:
    """Return the verdict on the end of the newest segment. Raises `Corrupt` if that is the verdict.

    Under *mode* "prefix", a log that can be cut is not corrupt: its verdict is "prefix". *opens_when_cut* is called
    before `Corrupt` is raised. It returns whether an open with `recovery="prefix"` would succeed; only then does the
    message offer it.
    """
    header, evidence = ending.header, ending.evidence()
    verdict = verdict_of(source, header, ending.end, evidence, has_bytes=ending.has_bytes)
    if verdict is Verdict.CLEAN:
        return "clean"
    if verdict is Verdict.TORN:
        return "torn"
    can_be_cut = evidence is DurabilityEvidence.SYNCED_BEYOND and source.store.capabilities.torn_tail
    if mode == "prefix" and can_be_cut:
        return "prefix"
    why = ending.stop.value
    if evidence is DurabilityEvidence.SEALED:
        why = f"it has a SEAL, which is written when the next segment is there; segment {header.number + 1} is missing"
    elif evidence is DurabilityEvidence.SYNCED_BEYOND:
        why = f"{why}; it was synced up to byte {ending.synced}"
    can_be_cut = can_be_cut and opens_when_cut()
    raise source.corrupt(why, header.number, ending.end, ending.last_lsn + 1, can_be_cut=can_be_cut)


def verdict_of(
    source: LogSource, header: SegmentHeader, end: int, evidence: DurabilityEvidence, *, has_bytes: bool
) -> Verdict:
    """Return what the table says, and that a segment which appears whole has its frame, unless it is a header alone.

    *end* is the offset where the intact frames of the newest segment stop.
    """
    shape = CrashShape.MAY_TEAR if source.store.capabilities.torn_tail else CrashShape.WHOLE
    is_empty = end <= source.format.traits.header_bytes
    if shape is CrashShape.WHOLE and is_empty and not (header.is_fence or header.is_checkpoint):
        return Verdict.CORRUPT
    return VERDICTS[shape, TailContent.BYTES if has_bytes else TailContent.ZEROS, evidence]


def read_durable_mark(source: LogSource) -> DurableMark | None:
    """Return the durable mark; None if the store has none, or none that is intact."""
    store = source.store
    if not (source.format.traits.has_durable_mark and is_appendable(store)):
        return None
    return durable_mark_bytes.decode(store.read_durable_mark())


def synced_by(durable_mark: DurableMark | None, newest: SegmentHeader) -> int:
    """Return up to which offset of a segment the durable mark says that it is synced; 0 if it says nothing of it."""
    if durable_mark is None or (durable_mark.log_id, durable_mark.segment, durable_mark.salt) != (
        newest.log_id,
        newest.number,
        newest.salt,
    ):
        return 0
    return durable_mark.synced
