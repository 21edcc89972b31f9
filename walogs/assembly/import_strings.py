"""Import strings: `package.module:attribute` names an object that is not imported yet."""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from typing import Any

from walogs.foundation.lazy import lazy_import


def import_object(text: str) -> Any:
    """Import what the import string names and return it. Without an attribute, that is the module.

    Raises whatever importing raises, and `Reentered` if the same import is already under way in this thread.
    """
    module, _, attribute = text.partition(":")
    with lazy_import:
        return reduce(getattr, attribute.split(".") if attribute else (), import_module(module))


def is_import_string(text: object) -> bool:
    """Return whether *text* has the form `package.module:attribute`. Either side may be dotted."""
    if not isinstance(text, str):
        return False
    module, _, attribute = text.partition(":")
    return is_dotted(module) and is_dotted(attribute)


def is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))
