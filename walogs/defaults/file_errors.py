"""An `OSError` that leaves the local store names its file, or else its directory, by an absolute path.

The system does not know the name of a file that a call gives by its number, and repeats the short name that a call
gives below an open directory.
"""

from __future__ import annotations

import errno
import functools
import os
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

Method = TypeVar("Method", bound="Callable[..., Any]")


def name_file(error: OSError, path: str) -> None:
    """Let *error* name the file with this absolute path, unless it names an absolute path already."""
    if not isinstance(error.filename, str) or not os.path.isabs(error.filename):
        error.filename = path


def name_read(error: OSError, path: str, start: int, wanted: int) -> None:
    """Let *error* name the file, and say what to do if its device failed to read *wanted* bytes from *start* on."""
    name_file(error, path)
    if error.errno == errno.EIO and wanted > 0:
        move = "Copy the log to another device, for instance with ddrescue, and read the copy with `walogs salvage`"
        error.add_note(f"Bytes {start} to {start + wanted - 1} could not be read: the device fails. {move}.")


def errors_name(path_of: Callable[..., str]) -> Callable[[Method], Method]:
    """Let an `OSError` of the decorated method name the file that *path_of* returns for the arguments of the call."""

    def decorate(method: Method) -> Method:
        @functools.wraps(method)
        def call(*args: Any, **options: Any) -> Any:
            try:
                return method(*args, **options)
            except OSError as error:
                name_file(error, path_of(*args, **options))
                raise

        return cast("Method", call)

    return decorate
