"""What can be chosen: how hard to try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LEVEL_MIN: Final = -131_072
LEVEL_MAX: Final = 22


@dataclass(frozen=True, slots=True)
class ZstdOptions:
    """Raises `ValueError` for what cannot be."""

    level: int = 3
    """1 to 22: higher is smaller, slower and takes more memory to write; below 0: faster and larger. It may differ from
    one open to the next."""

    def __post_init__(self) -> None:
        level = self.level
        if type(level) is not int or not LEVEL_MIN <= level <= LEVEL_MAX or level == 0:
            raise ValueError(f"level={level!r}: 1 to {LEVEL_MAX}, or {LEVEL_MIN} to -1 for speed")
