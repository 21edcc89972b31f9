"""The values that walogs returns: entries, gaps and reports. They are made of `Record`, the only import."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from walogs.foundation.records import Record

__all__ = [
    "MAX_ENTRY_SIZE",
    "BackupReport",
    "Clean",
    "Commit",
    "CursorLag",
    "Entry",
    "Finding",
    "Gap",
    "RecoveryReport",
    "RepairReport",
    "SalvageReport",
    "SegmentSummary",
    "Stretch",
    "TailState",
    "TruncatedAt",
    "Verification",
    "WalStats",
]

MAX_ENTRY_SIZE: Final = 16 * 1024 * 1024
"""The default, and inclusive, limit of one entry: 16 MiB."""


class Clean(Record):
    """The log ended with an intact frame, or with nothing."""


class TruncatedAt(Record):
    """The log ended with an unfinished write, and `open` cut it. It held nothing that was acknowledged as durable."""

    segment: int
    """The number of the segment that was cut."""
    offset: int
    """The byte offset in that segment where the cut was made."""
    discarded_bytes: int
    """The number of bytes from the cut to the last byte that was not zero."""


TailState: TypeAlias = Clean | TruncatedAt
"""How the log ended when it was opened."""


class WalStats(NamedTuple):
    """What a handle has committed since it was opened. `Wal.stats` returns it.

    In an immutable-segment store, each commit is one put: a request that costs money and time.
    """

    commits: int
    entries: int
    bytes: int
    """The bytes of the commits as they are stored: their frames, or their segments in an immutable-segment store."""
    seconds: float | None
    """How long the store took for all commits together. None for an appendable store, where measuring would cost each
    append: give that log an observer."""
    slowest_seconds: float | None
    """How long the store took for the slowest commit."""

    @property
    def entries_per_commit(self) -> float:
        """How many entries a commit had on average. 0 if there was no commit."""
        return self.entries / self.commits if self.commits else 0.0

    @property
    def seconds_per_commit(self) -> float | None:
        """How long the store took for a commit on average. None if that is unknown, or if there was no commit."""
        return self.seconds / self.commits if self.seconds is not None and self.commits else None


class Commit(NamedTuple):
    """One commit: the entries that became durable together."""

    first_lsn: int
    last_lsn: int
    time_ns: int
    """When the commit was made, by the clock of the machine: Unix time in nanoseconds. It is never below the time of
    the commit before, unless the clock was set back by more than an hour."""


class CursorLag(NamedTuple):
    """How far a cursor is behind the end of the log. `Cursor.lag` returns it."""

    entries: int
    """The number of entries after the position that can be read."""
    seconds: float
    """How long ago the first of these entries was committed, by the clock of the machine. 0 if there is none."""


class SegmentSummary(Record):
    """What walogs knows of a segment without reading its entries again."""

    number: int
    name: str
    size: int
    """The size in bytes, with the window of zeros after the end of the newest segment."""
    first_lsn: int
    last_lsn: int
    """The last LSN in the segment. It is first_lsn - 1 when the segment holds no entry."""
    created_ns: int
    """When the segment was created: Unix time in nanoseconds."""
    first_commit_ns: int | None
    """The time of the first commit: Unix time in nanoseconds. None: there is none, or it is known only by reading the
    segment again."""
    last_commit_ns: int | None
    is_sealed: bool
    is_active: bool


class RecoveryReport(Record):
    """What `open` found, and what it did."""

    segments: int
    """The number of segments that were kept."""
    entries: int
    """The number of entries that can be read."""
    bytes: int
    """The bytes of frames and headers in the segments that were kept."""
    duration_seconds: float
    verdict: Literal["clean", "torn", "prefix"]
    """`clean`: nothing was cut. `torn`: an unfinished write was cut. `prefix`: damage to acknowledged bytes was cut,
    because the caller asked for it with `recovery="prefix"`."""
    tail_state: TailState
    rewritten_bytes: int
    """The bytes of frames that were not known to be durable. `open` wrote them again and synced them before any reader
    could see them (G4)."""
    removed_segments: int
    """The number of segments below the first LSN that an interrupted checkpoint had left, and `open` removed (G11)."""
    unsealed_segments: tuple[int, ...]
    """The numbers of the finished segments without a valid seal. They are intact, and slower to open."""


class Entry(NamedTuple):
    """One entry that is intact."""

    lsn: int
    data: bytes


class Gap(NamedTuple):
    """A range of entries that are missing or damaged."""

    first_lsn: int
    last_lsn: int | None
    """The last LSN of the range. None: the range is at the end of the log, and its length is unknown."""
    segment: int | None
    """The number of the segment that should hold the first of the entries. None: that segment is missing."""
    offset: int | None
    """The byte offset in the segment where the intact frames end."""
    why: str


class Finding(Record):
    """One thing that `verify` has found."""

    kind: Literal["corrupt", "torn", "unsealed", "padding", "leftover", "durable_mark", "cursor"]
    is_damage: bool
    """True: `open` refuses the log because of this."""
    segment: int | None
    offset: int | None
    lsn: int | None
    message: str
    """Where it is, and what it means. It does not say what to do, because that is the same for all damage."""


class Verification(Record):
    """What `verify` has found in a log."""

    segments: int
    """The number of segments in the store."""
    entries: int
    """The number of entries that can be read."""
    bytes: int
    """The size of all segments in bytes, with the window of the newest one."""
    first_lsn: int
    """The first entry that the log should hold."""
    last_lsn: int
    """The last entry that is known to have been in the log. It is first_lsn - 1 when there was none."""
    findings: tuple[Finding, ...]
    duration_seconds: float
    gaps: tuple[Gap, ...] = ()
    """The entries from first_lsn on that cannot be read, in ascending order."""

    @property
    def ok(self) -> bool:
        """True when nothing is damaged: the log opens, and holds everything that was acknowledged."""
        return not any(finding.is_damage for finding in self.findings)


class BackupReport(Record):
    """What `backup` has copied."""

    segments: int
    bytes: int
    first_lsn: int
    last_lsn: int
    """Every entry from first_lsn to this one is in the copy, and durable there."""
    duration_seconds: float
    cursors: tuple[str, ...] = ()
    """The names of the cursors that were copied. None is ahead of last_lsn in the copy."""


class Stretch(NamedTuple):
    """Consecutive entries of a damaged log, and where they are in the new log."""

    first_lsn: int
    last_lsn: int
    """The last LSN in the damaged log."""
    new_first_lsn: int
    """The LSN of the first of these entries in the new log. The others follow it."""


class SalvageReport(Record):
    """What `salvage_into` has put into a new log."""

    stretches: tuple[Stretch, ...]
    """The intact entries, in ascending order. Two stretches are separated by a gap in the damaged log, and adjacent in
    the new one."""
    gaps: tuple[Gap, ...]
    """The entries that are not in the new log."""
    duration_seconds: float

    @property
    def entries(self) -> int:
        """The number of entries in the new log."""
        return sum(last_lsn - first_lsn + 1 for first_lsn, last_lsn, _ in self.stretches)

    @property
    def first_lsn(self) -> int:
        """The first LSN of the new log."""
        return self.stretches[0].new_first_lsn

    @property
    def last_lsn(self) -> int:
        """The last LSN of the new log."""
        return self.first_lsn + self.entries - 1


class RepairReport(Record):
    """What `repair` has done. After a dry run: what it would do."""

    refusal: str | None
    """The message with which `open` refused the log. None: the log opens, and nothing was done."""
    damage: tuple[Finding, ...]
    """All the damage that was found, as `verify` reports it."""
    first_lsn: int
    last_lsn: int
    """Every entry from first_lsn to this one is kept, with its LSN. It is first_lsn - 1 when no entry is kept."""
    lost: tuple[Gap, ...]
    """The entries from the first LSN on that are missing or damaged. No repair brings them back; a backup can have
    them."""
    dropped: tuple[tuple[int, int], ...]
    """Ranges (first LSN, last LSN) of intact entries that one log cannot hold beside the kept ones. They are in the
    files that were set aside."""
    sides: tuple[Literal["before", "after"], ...]
    """The sides of the damage that have intact entries. These are the values that *keep* can have. Both are here when
    the damage cost no entry; it is empty when the log opens."""
    set_aside: tuple[str, ...]
    """The names of the copies of every segment that was changed or removed. They are beside the segments."""
    rewritten_segments: tuple[int, ...]
    """The numbers of the segments that were written anew, without the damage or with another first LSN."""
    removed_segments: tuple[int, ...]
    is_dry_run: bool
    """True: nothing was changed."""
    duration_seconds: float
