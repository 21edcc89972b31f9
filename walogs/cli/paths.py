"""Paths on a command line.

An empty word is refused, because a shell passes one for a variable that is not set. `pathlib` would take it for the
working directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import Token


def typed_path(wanted: object, tokens: Sequence[Token]) -> Path:
    """Return the path that was typed. Raises `ValueError` if it is empty."""
    if not tokens[0].value:
        raise ValueError("an empty path; is a variable not set?")
    return Path(tokens[0].value)
