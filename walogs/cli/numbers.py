"""Whole numbers on a command line.

cyclopts accepts `1.6` for an int and rounds it. An LSN or a count must not be guessed in this way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from cyclopts import Parameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import Token

DIGITS: Final = re.compile(r"[+-]?\d{1,20}", re.ASCII)


def from_one(wanted: object, tokens: Sequence[Token]) -> int:
    """Return the number that is written in digits. Raises `ValueError` if it is no whole number, or is below 1."""
    text = tokens[0].value
    if not DIGITS.fullmatch(text) or int(text) < 1:
        raise ValueError("a whole number, 1 or more")
    return int(text)


FromOne: TypeAlias = Annotated[int, Parameter(converter=from_one)]
"""A whole number, 1 or more."""
