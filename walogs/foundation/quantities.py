"""Read sizes and durations as people write them, such as `"64MiB"` and `"5ms"`, in the fields of an options dataclass.

A size without a unit is in bytes. A duration needs a unit, because 5 may be meant as milliseconds, seconds or minutes.
Units must be spelled exactly, because a wrong guess would be off by a factor of a million. KiB, MiB, GiB and TiB are
powers of 1024; KB, MB, GB and TB are powers of 1000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, cast

from walogs.foundation.lazy import lazy_import
from walogs.foundation.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITTEN: Final = r"(?a)(\d{1,18})(?:\.(\d{1,9}))?( ?)([^\W\d_]{1,8})"
NUMBER_MAX: Final = 1e18
"""The largest number that is accepted. It is more than any disk has bytes, or the universe has seconds of age."""


class Quantity(Record):
    """Describe how a number with a unit is written. `Annotated[int, Quantity(…)]` has a field read in this way."""

    kind: str
    """The measured thing, with an article, such as `a size`."""
    plain: str
    """The unit of a bare number, in words, such as `bytes`."""
    units: Mapping[str, int]
    """The size of each unit, in the smallest unit."""
    base: int
    """The size of the unit of a bare number, in the smallest unit."""
    is_whole: bool
    """Whether the result is an int. Otherwise it is a float."""
    example: str
    likely: tuple[str, ...] = ()
    """The units that a bare number may be meant in. If there are none, a bare number is in *plain*."""

    def __hash__(self) -> int:
        return hash((self.kind, self.plain, self.base))

    @property
    def description(self) -> str:
        """Return a text for error messages that says what may be written."""
        number = "" if self.likely else f"a number of {self.plain}, 0 or more, or "
        return f'{self.kind}: {number}text with a unit ({", ".join(self.units)}), as "{self.example}"'

    def read(self, written: object) -> int | float:
        """Return the number of bytes or seconds. Raise `ValueError`, which says what is allowed."""
        if isinstance(written, str):
            return self.parse(written)
        number = self.check_number(written)
        if self.likely and number:
            *others, last = (f'"{written}{unit}"' for unit in self.likely)
            raise ValueError(
                f"a number without a unit; did you mean {', '.join(others)} or {last}? ({self.description})"
            )
        return number

    def check_number(self, written: object) -> int | float:
        """Return a number of *plain*, in a context where no unit is needed. Raise `ValueError`."""
        is_number = isinstance(written, int if self.is_whole else int | float) and not isinstance(written, bool)
        if is_number and 0 <= (number := cast("float", written)) <= NUMBER_MAX:
            return number if self.is_whole else float(number)
        raise ValueError(self.description)

    def parse(self, text: str) -> int | float:
        """Return the number of bytes or seconds that a text with a unit stands for. Raise `ValueError`."""
        with lazy_import:
            from re import fullmatch

        found = fullmatch(WRITTEN, text)
        if found is None:
            raise ValueError(self.description)
        whole, fraction, _, unit = found.groups(default="")
        if unit not in self.units:
            raise ValueError(f"no such unit{self.near(text, unit)} ({self.description})")
        amount = int(whole + fraction) * self.units[unit]
        scale = 10 ** len(fraction) * self.base
        if self.is_whole and amount % scale:
            raise ValueError(f"not a whole number of {self.plain} ({self.description})")
        return self.check_number(amount // scale if self.is_whole else amount / scale)

    def near(self, text: str, unit: str) -> str:
        """Return a hint at the units that were probably meant: in another case, or longer by some letters; or ""."""
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
    "d": 86_400_000_000_000,
}
SIZE: Final = Quantity("a size", "bytes", BYTES, base=1, is_whole=True, example="64MiB")
DURATION: Final = Quantity(
    "a duration",
    "seconds",
    NANOSECONDS,
    base=NANOSECONDS["s"],
    is_whole=False,
    example="5ms",
    likely=("ms", "s", "min"),
)

Size: TypeAlias = Annotated[int, SIZE]
"""Bytes. In a file: a number, or text with a unit, as "64MiB"."""
Duration: TypeAlias = Annotated[float, DURATION]
"""Seconds. In a file: text with a unit, as "5ms"."""
