"""Sizes and durations as people write them: `"64MiB"`, `"5ms"`. Types for the fields of an options dataclass.

A number stands for bytes, or for seconds. Text needs a unit, spelled exactly: a wrong guess would be off by a factor of
a million. KiB, MiB, GiB and TiB are powers of 1024; KB, MB, GB and TB are powers of 1000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITTEN: Final = re.compile(r"(\d{1,18})(?:\.(\d{1,9}))?( ?)([^\W\d_]{1,8})", re.ASCII)
NUMBER_MAX: Final = 1e18
"""More than any disk holds, and than the universe is seconds old; what a float still counts."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """How a number with a unit is written. In `Annotated[int, Quantity(…)]` it says how a field is read."""

    kind: str
    """What it measures, with an article: `a size`."""
    plain: str
    """What a bare number counts: `bytes`."""
    units: Mapping[str, int] = field(hash=False)
    """Each unit, as so many of the smallest one."""
    base: int
    """So many of the smallest are one of what a bare number counts."""
    is_whole: bool
    """The result is an int; otherwise a float."""
    example: str

    @property
    def allowed(self) -> str:
        """What may be written, for whoever has written something else."""
        units = ", ".join(self.units)
        return f'{self.kind}: a number of {self.plain}, 0 or more, or text with a unit ({units}), as "{self.example}"'

    def read(self, written: object) -> int | float:
        """The number of bytes, or of seconds. Raises `ValueError`, which says what is allowed."""
        if isinstance(written, str):
            return self.measured(written)
        is_number = isinstance(written, int if self.is_whole else int | float) and not isinstance(written, bool)
        if is_number and 0 <= (number := cast("float", written)) <= NUMBER_MAX:
            return number if self.is_whole else float(number)
        raise ValueError(self.allowed)

    def measured(self, text: str) -> int | float:
        found = WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(self.allowed)
        whole, fraction, _, unit = found.groups(default="")
        if unit not in self.units:
            raise ValueError(f"no such unit{self.near(text, unit)} ({self.allowed})")
        amount = int(whole + fraction) * self.units[unit]
        scale = 10 ** len(fraction) * self.base
        if self.is_whole and amount % scale:
            raise ValueError(f"not a whole number of {self.plain} ({self.allowed})")
        return self.read(amount // scale if self.is_whole else amount / scale)

    def near(self, text: str, unit: str) -> str:
        """What was probably meant: the same letters in another case, or the beginning of a unit."""
        folded = unit.casefold()
        close = [known for known in self.units if known.casefold() == folded]
        close = close or [known for known in self.units if known.casefold().startswith(folded)]
        number = text[: -len(unit)]
        return "; did you mean " + " or ".join(f'"{number}{known}"' for known in close) + "?" if close else ""


BYTES: Final = {
    "B": 1,
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", start=1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", start=1)},
}
NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
SIZE: Final = Quantity("a size", "bytes", BYTES, base=1, is_whole=True, example="64MiB")
DURATION: Final = Quantity("a duration", "seconds", NANOSECONDS, base=NANOSECONDS["s"], is_whole=False, example="5ms")

Size: TypeAlias = Annotated[int, SIZE]
"""Bytes. In a file: a number, or text with a unit, as "64MiB"."""
Duration: TypeAlias = Annotated[float, DURATION]
"""Seconds. In a file: a number, or text with a unit, as "5ms"."""
