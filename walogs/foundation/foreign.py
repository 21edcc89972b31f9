"""Describe foreign objects in messages: an error of a plugin, an object that it made, a value that a caller passed.

`str`, `repr` and the name of a type run code of the object's class, and that code may raise. These functions then still
return a text, which names the type. They let only KeyboardInterrupt pass, because it comes from the user.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def describe(value: object) -> str:
    """Return the `repr` of *value*; a path is shown as text. If `repr` raises, name the type and the error instead."""
    return _text(_repr, value, "repr")


def error_text(error: BaseException) -> str:
    """Return the `str` of *error*. If `str` raises, name the type and the second error instead."""
    return _text(str, error, "text")


def describe_error(error: BaseException) -> str:
    """Return the type and the text of *error* in one line."""
    text = " ".join(error_text(error).split())
    return f"{type_name(error)}: {text}" if text else type_name(error)


def type_name(value: object) -> str:
    """Return the name of the type of *value*, even if its metaclass replaces `__name__`."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return name


def _repr(value: object) -> str:
    """Return the `repr` of *value*. A path is shown as the text that the user wrote, without `PosixPath(…)`."""
    return repr(os.fspath(value) if isinstance(value, os.PathLike) else value)


def _text(text_of: Callable[[Any], str], value: object, what: str) -> str:
    try:
        return str.__str__(text_of(value))  # a class derived from str keeps its own methods otherwise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 (the object's own code may raise anything)
        return f"<{type_name(value)} with no {what}: it raised {type_name(error)}>"
