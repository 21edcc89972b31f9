"""The events that observers receive. Each names the log. Durations are wall time in seconds, sizes are in bytes."""

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
    """A commit was made: one frame, which holds the entries of one or several callers."""

    log: str
    first_lsn: int
    entries: int
    bytes: int
    """The size of the entries, in bytes."""
    seconds: float
    """The time from the beginning of the commit to its end, with the sync if the policy asks for one."""
    durable_lsn: int
    """The last durable LSN after the commit. It is the last LSN of the commit when the commit is durable."""


@dataclass(frozen=True, slots=True)
class SyncEvent:
    """A sync made entries durable."""

    log: str
    last_lsn: int
    """Every entry up to this one is durable."""
    entries: int
    """The number of entries that became durable."""
    seconds: float
    """The time that the store took for the sync. In an immutable-segment store: for creating the segment."""


@dataclass(frozen=True, slots=True)
class RotationEvent:
    """A segment was finished, and the next one is the newest now."""

    log: str
    segment: int
    """The number of the newest segment."""
    completed_last_lsn: int
    """The last LSN of the segment before it."""


@dataclass(frozen=True, slots=True)
class CheckpointEvent:
    """`checkpoint` returned."""

    log: str
    lsn: int
    """The LSN that `checkpoint` was given."""
    first_lsn: int
    """The LSN of the first entry that can be read now."""
    removed_segments: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CorruptionEvent:
    """An open or a read found damage, and is about to raise `Corrupt`."""

    log: str
    error: Corrupt


Event: TypeAlias = RecoveryEvent | AppendEvent | SyncEvent | RotationEvent | CheckpointEvent | CorruptionEvent


class Observer(Protocol):
    """A callable that receives every event, in the thread where the event happens.

    The caller of `append` waits until the observer returns. An observer that calls the log gets `Reentered`. If it
    raises, walogs logs the first exception, and the append succeeds all the same.
    """

    def __call__(self, event: Event, /) -> object:
        """Receive one event. The return value is ignored."""
        ...
