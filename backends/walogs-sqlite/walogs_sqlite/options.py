"""The option of the store, and its check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BUSY_SECONDS: Final = 5.0
BUSY_SECONDS_MAX: Final = 3600.0


@dataclass(frozen=True, slots=True)
class SqliteOptions:
    """The options of `SqliteStore`. Raises `ValueError`."""

    busy_seconds: float = BUSY_SECONDS
    """How many seconds a call waits for other processes that use the file. Then it raises `Unavailable`."""

    def __post_init__(self) -> None:
        value: object = self.busy_seconds
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= BUSY_SECONDS_MAX:
            raise ValueError(f"busy_seconds={value!r}: seconds, 0 to {BUSY_SECONDS_MAX:.0f}")
