"""Commands that a user can type: words quoted for a shell, all on one line and printable."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def command_of(words: Iterable[str]) -> str:
    """Return the command of these words, quoted for a shell."""
    return " ".join(map(quote, words))


def quote(word: str) -> str:
    """Return the word quoted for a shell.

    A name with unprintable characters, or bytes that are no text, is quoted as `$'…'`, which POSIX has since 2024, and
    bash, zsh and ksh had before.
    """
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(escaped, word))}'"


def escaped(character: str) -> str:
    if character.isprintable() and character not in "'\\":
        return character
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))
