"""The option of the codec: its level of compression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LEVEL_MIN: Final = -131_072
LEVEL_MAX: Final = 22


@dataclass(frozen=True, slots=True)
class ZstdOptions:
    """The options of `ZstdCodec`. Raises `ValueError` for a level that does not exist."""

    level: int = 3
    """1 to 22: a higher level gives smaller bodies, and takes longer and more memory. Below 0: faster, larger bodies.
    The level may differ from one open to the next."""

    def __post_init__(self) -> None:
        level = self.level
        if type(level) is not int or not LEVEL_MIN <= level <= LEVEL_MAX or level == 0:
            raise ValueError(f"level={level!r}: 1 to {LEVEL_MAX}, or {LEVEL_MIN} to -1 for speed")
