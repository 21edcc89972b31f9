"""What an observer is told. Every event names the log; durations are wall time in seconds, sizes are bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from walogs.errors import Corrupt
    from walogs.types import RecoveryReport

__all__ = [
    "AppendEvent",
    "CheckpointEvent",
    "CorruptionEvent",
    "Event",
    "Observer",
    "RecoveryEvent",
    "RotationEvent",
    "SyncEvent",
]


@dataclass(frozen=True, slots=True)
class RecoveryEvent:
    """The log was opened."""

    log: str
    report: RecoveryReport


@dataclass(frozen=True, slots=True)
class AppendEvent:
    """A commit was made: one frame, with the entries of one caller or of several."""

    log: str
    first_lsn: int
    entries: int
    bytes: int
    """Of the entries' data."""
    seconds: float
    """From its turn to its acknowledgement; a sync, where the policy makes one, included."""
    durable_lsn: int
    """Afterwards; the commit's last LSN when it is durable."""


@dataclass(frozen=True, slots=True)
class SyncEvent:
    """A sync made entries durable."""

    log: str
    last_lsn: int
    """Every entry up to this one is durable."""
    entries: int
    """That were not before."""
    seconds: float
    """In the store; of a store whose segments appear whole, in making the segment."""


@dataclass(frozen=True, slots=True)
class RotationEvent:
    """A segment was completed, and the next one is active."""

    log: str
    segment: int
    """The active one."""
    completed_last_lsn: int
    """The last LSN of the segment before it."""


@dataclass(frozen=True, slots=True)
class CheckpointEvent:
    """`checkpoint` returned."""

    log: str
    lsn: int
    """What it was given."""
    first_lsn: int
    """The first entry that can be read now."""
    removed_segments: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CorruptionEvent:
    """Damage was found, by an open or by a read of the handle; `Corrupt` is being raised."""

    log: str
    error: Corrupt


Event: TypeAlias = RecoveryEvent | AppendEvent | SyncEvent | RotationEvent | CheckpointEvent | CorruptionEvent


class Observer(Protocol):
    """Called with every event, in the thread where it happens, in the middle of what it tells of: whoever appends
    waits for it, and it cannot call the log (`Reentered`). What it raises is logged, the first time, and harms nobody.
    """

    def __call__(self, event: Event, /) -> object: ...
