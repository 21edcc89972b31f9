"""The results of `walogs demo`: the facts of each part, and whether walogs failed in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from walogs.inspection.facts import tail_as_json

if TYPE_CHECKING:
    from walogs.types import TailState


@dataclass(frozen=True, slots=True)
class Kill:
    """A writer was killed, and its log was opened again."""

    acknowledged: int
    """The number of entries whose LSN the writer had printed before it was killed."""
    recovered: int
    """The number of entries that came back."""
    tail_state: TailState
    wrong: str | None
    """The failure. None: every acknowledged entry came back, and at most the one that was being appended besides."""


@dataclass(frozen=True, slots=True)
class PowerCut:
    """A copy of that log, without its durable mark, lost the second half of its last frame and was opened."""

    recovered: int
    tail_state: TailState
    appended_lsn: int | None
    """The LSN of the lost entry after it was appended again, or None if it was not."""
    wrong: str | None
    """The failure. None: all entries before the cut came back, and the log could be appended to."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A copy of that log, with its durable mark, lost the same bytes. `open` should refuse it."""

    refused: str | None
    """The message of the refusal, or None if the log was opened."""
    lsn: int | None
    """The first entry that the refusal says is in doubt."""
    wrong: str | None
    """The failure. None: the log was refused, and nothing in it was changed."""


@dataclass(frozen=True, slots=True)
class SqliteAnswer:
    """The rows that SQLite read in WAL mode after one bit of its write-ahead log was flipped."""

    version: str
    rows: int
    """The number of rows that came back."""
    integrity_check: str
    """The answer of `PRAGMA integrity_check`: `ok`, or the problem. If reading failed, the text of the error."""


@dataclass(frozen=True, slots=True)
class FlippedBit:
    """The same bit was flipped in SQLite's write-ahead log and in one of walogs, and both were opened."""

    rows: int
    """The number of rows in each of them, all committed and synced."""
    damaged_row: int
    sqlite: SqliteAnswer | None
    """The result of SQLite, or None if this Python was built without it."""
    refused: str | None
    """The message of walogs' refusal, or None if walogs opened the log."""
    lsn: int | None
    """The entry that the refusal names."""
    salvaged: int
    """The number of entries that `walogs.salvage` read from the damaged log."""
    wrong: str | None
    """The failure. None: walogs refused the log, and salvaged every entry but the damaged one."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """The parts of the demonstration, up to the first that failed. The parts after it are None."""

    kill: Kill
    power_cut: PowerCut | None = None
    damage: Damage | None = None
    flipped_bit: FlippedBit | None = None

    @property
    def ok(self) -> bool:
        return self.flipped_bit is not None and self.flipped_bit.wrong is None

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "kill": opened_as_json(self.kill),
            "power_cut": None if self.power_cut is None else opened_as_json(self.power_cut),
            "damage": None if self.damage is None else asdict(self.damage),
            "flipped_bit": None if self.flipped_bit is None else asdict(self.flipped_bit),
        }


def opened_as_json(part: Kill | PowerCut) -> dict[str, Any]:
    return {**asdict(part), "tail_state": tail_as_json(part.tail_state)}
