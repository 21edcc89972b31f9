"""What `walogs demo` has found: each part's facts, and what is wrong with them, if anything."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from walogs.cli.facts import tail_as_json

if TYPE_CHECKING:
    from walogs.types import TailState


@dataclass(frozen=True, slots=True)
class Kill:
    """A writer was killed, and its log opened again."""

    acknowledged: int
    """Entries whose LSN the writer had told before it was killed."""
    recovered: int
    """Entries that came back."""
    tail_state: TailState
    wrong: str | None
    """None: every acknowledged entry came back, and at most the one in flight besides."""


@dataclass(frozen=True, slots=True)
class PowerCut:
    """A copy of that log without its witness lost the second half of its last frame, and was opened."""

    recovered: int
    tail_state: TailState
    appended_lsn: int | None
    """That of the lost entry, appended again; None: it was not."""
    wrong: str | None
    """None: everything before the cut came back, and the log went on from there."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A copy of that log with its witness lost the same bytes, and was to be refused."""

    refused: str | None
    """What the refusal said; None: it was opened."""
    lsn: int | None
    """The first entry that the refusal says is in doubt."""
    wrong: str | None
    """None: it was refused, and nothing of it was changed."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """The parts, up to the first that did not show what it should."""

    kill: Kill
    power_cut: PowerCut | None = None
    damage: Damage | None = None

    @property
    def ok(self) -> bool:
        return self.damage is not None and self.damage.wrong is None

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "kill": opened_as_json(self.kill),
            "power_cut": None if self.power_cut is None else opened_as_json(self.power_cut),
            "damage": None if self.damage is None else asdict(self.damage),
        }


def opened_as_json(part: Kill | PowerCut) -> dict[str, Any]:
    return {**asdict(part), "tail_state": tail_as_json(part.tail_state)}
