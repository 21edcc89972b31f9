"""Numbers on a command line: whole numbers, and sizes and durations with their units.

cyclopts accepts `1.6` for an int and rounds it. An LSN or a count must not be guessed in this way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cyclopts import Token

    from walogs.foundation.quantities import Quantity

DIGITS: Final = re.compile(r"[+-]?\d{1,20}", re.ASCII)


def from_one(wanted: object, tokens: Sequence[Token]) -> int:
    """Return the number that is written in digits. Raises `ValueError` if it is no whole number, or is below 1."""
    text = tokens[0].value
    if not DIGITS.fullmatch(text) or int(text) < 1:
        raise ValueError("a whole number, 1 or more")
    return int(text)


FromOne: TypeAlias = Annotated[int, Parameter(converter=from_one)]
"""A whole number, 1 or more."""


def read_as(quantity: Quantity, allowed: Callable[[float], bool], what: str, *, needs_unit: bool = False) -> Parameter:
    """Return a parameter whose value is written as in a configuration file. Without *needs_unit*, a number of seconds
    needs no unit: nobody loses anything by a wrong guess.

    *what* says which values are allowed, for the message if the value is another.
    """

    def read(wanted: Any, tokens: Sequence[Token]) -> float:
        from walogs.config_file.values import text_as_value

        written = text_as_value(tokens[0].value, wanted)
        has_unit = needs_unit or isinstance(written, str)
        number = quantity.read(written) if has_unit else quantity.check_number(written)
        if not allowed(number):
            raise ValueError(what)
        return number

    return Parameter(converter=read)
