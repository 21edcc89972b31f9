"""Values that cross walogs' public face. They import nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = [
    "MAX_ENTRY_SIZE",
    "BackupReport",
    "Clean",
    "Commit",
    "Entry",
    "Finding",
    "Gap",
    "RecoveryReport",
    "RepairReport",
    "SegmentSummary",
    "TailState",
    "TruncatedAt",
    "Verification",
]

MAX_ENTRY_SIZE: Final = 16 * 1024 * 1024
"""The default, and inclusive, limit of one entry: 16 MiB."""


@dataclass(frozen=True, slots=True)
class Clean:
    """The log ended with an intact frame, or with nothing."""


@dataclass(frozen=True, slots=True)
class TruncatedAt:
    """The log ended torn: an unfinished write was cut. Nothing that had been acknowledged as durable was in it."""

    segment: int
    """Number of the segment that was cut."""
    offset: int
    """Byte offset in it where the cut was made."""
    discarded_bytes: int
    """From the cut to the last byte that was not zero."""


TailState: TypeAlias = Clean | TruncatedAt


class Commit(NamedTuple):
    """One commit: the entries that became durable together."""

    first_lsn: int
    last_lsn: int
    time_ns: int
    """When it was made: Unix time, nanoseconds; never less than the commit before it."""


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """What is known of a segment without reading its entries again."""

    number: int
    name: str
    size: int
    """Bytes, the window of zeros after the active segment's end included."""
    first_lsn: int
    last_lsn: int
    """first_lsn - 1 when it holds no entry."""
    created_ns: int
    """Unix time, nanoseconds."""
    first_commit_ns: int | None
    """Unix time of its first commit; None: it has none, or only reading it again would tell."""
    last_commit_ns: int | None
    is_sealed: bool
    is_active: bool


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What the last open found and did."""

    segments: int
    """Segments kept."""
    entries: int
    """Entries that can be read."""
    bytes: int
    """Bytes of frames and headers in the segments kept."""
    duration_seconds: float
    verdict: Literal["clean", "torn", "prefix"]
    """`prefix`: damage to acknowledged bytes was cut because `recovery="prefix"` asked for it."""
    tail_state: TailState
    rewritten_bytes: int
    """Bytes of frames that no watermark vouched for, written again and synced before they were handed out (G4)."""
    removed_segments: int
    """Segments below the base that an interrupted checkpoint had left (G11)."""
    unsealed_segments: tuple[int, ...]
    """Completed segments without an accepted SEAL: intact, only slower to read."""


class Entry(NamedTuple):
    """One entry that is intact."""

    lsn: int
    data: bytes


class Gap(NamedTuple):
    """Entries that are not there, or whose bytes are not what was written."""

    first_lsn: int
    last_lsn: int | None
    """None: it is at the end, and nothing tells how many there were."""
    segment: int | None
    """Number of the segment where the first of them was looked for; None: no segment that is there could hold it."""
    offset: int | None
    """Byte offset where intact frames stop."""
    why: str


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that `verify` has seen."""

    kind: Literal["corrupt", "torn", "unsealed", "padding", "below base"]
    is_damage: bool
    """Whether `open` refuses the log because of it."""
    segment: int | None
    offset: int | None
    lsn: int | None
    message: str
    """Where, what it means, and the next move."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` has seen of a log."""

    segments: int
    entries: int
    """Entries that can be read."""
    bytes: int
    """Of the segments that were checked."""
    first_lsn: int
    last_lsn: int
    findings: tuple[Finding, ...]
    duration_seconds: float

    @property
    def ok(self) -> bool:
        """Nothing is damaged: the log opens, and holds what was acknowledged."""
        return not any(finding.is_damage for finding in self.findings)


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What `backup` has copied."""

    segments: int
    bytes: int
    first_lsn: int
    last_lsn: int
    """Every entry from first_lsn to this one is in the copy, and durable there."""
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What `repair` has done; of a dry run, what it would do."""

    refusal: str | None
    """What opening the log said before; None: it opens, and nothing was done."""
    first_lsn: int
    last_lsn: int
    """Every entry from first_lsn to this one is kept, with its LSN; first_lsn - 1: the log is kept, and holds none."""
    lost: tuple[Gap, ...]
    """Entries above the base that are not there, or not intact: no repair brings them back, a copy may have them."""
    dropped: tuple[tuple[int, int], ...]
    """Intact entries, (first LSN, last LSN), that one log cannot hold beside the kept ones. They are in the files set
    aside."""
    set_aside: tuple[str, ...]
    """Names of copies, beside the segments, of every segment that was changed or removed."""
    rewritten_segments: tuple[int, ...]
    """Written anew: without what was damaged, or with another base."""
    removed_segments: tuple[int, ...]
    is_dry_run: bool
    """Nothing was changed."""
    duration_seconds: float
