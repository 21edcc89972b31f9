"""Paths on a command line.

An empty word is refused, because a shell passes one for a variable that is not set. `pathlib` would take it for the
working directory, and `s3:///orders` for the bucket `orders`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import Token


def typed_path(wanted: object, tokens: Sequence[Token]) -> Path:
    """Return the path that was typed. Raises `ValueError` if it is empty, or an address that lacks a part."""
    text = tokens[0].value
    if not text:
        raise ValueError("an empty path; is a variable not set?")
    scheme, mark, rest = text.partition("://")
    if mark and scheme != "file" and "" in (scheme, *rest.rstrip("/").split("/")):
        raise ValueError("an address that lacks a part; is a variable not set?")
    return Path(text)
