"""Suggestions for a misspelt word: which of the known names was probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from walogs.foundation.lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Iterable

WORD_MAX: Final = 64
"""A word with more characters is not compared: the comparison takes time, and such a word is no misspelt name."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown *word*: the name that was probably meant, or all *known* names."""
    names = tuple(known)
    close = near(word, names)
    if close is not None:
        return f"; did you mean {close!r}?"
    return f" (there are: {', '.join(names)})" if names else " (there are none)"


def near(word: str, known: tuple[str, ...]) -> str | None:
    """Return the name of *known* that was probably meant, or None.

    A name matches if it differs in capitals, in `-` for `_`, or in a few letters.
    """
    if len(word) > WORD_MAX:
        return None
    with lazy_import:  # it takes 3 ms, which only a mistake has to pay
        from difflib import get_close_matches

    folded = word.replace("-", "_").casefold()
    same = (name for name in known if name.replace("-", "_").casefold() == folded)
    return next(same, None) or next(iter(get_close_matches(word, known, n=1)), None)
