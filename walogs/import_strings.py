"""Import strings: `package.module:attribute`, the name of something that is not imported yet."""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from typing import Any


def imported(text: str) -> Any:
    """What the import string names; without an attribute, the module. Raises whatever importing raises."""
    module, _, attribute = text.partition(":")
    return reduce(getattr, attribute.split(".") if attribute else (), import_module(module))


def is_import_string(text: object) -> bool:
    """`package.module:attribute`; either side may be dotted."""
    if not isinstance(text, str):
        return False
    module, _, attribute = text.partition(":")
    return is_dotted(module) and is_dotted(attribute)


def is_dotted(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))
