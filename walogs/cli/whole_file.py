"""A file that appears under its name when it is complete and synced, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from walogs.defaults.posix import sync_directory, sync_full
from walogs.defaults.whole_files import NO_LINKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MARK: Final = ".partial-"
"""`orders.parquet.partial-3f2a9c1b` is an unfinished `orders.parquet`."""


@contextmanager
def whole_file(path: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Yield a new file. When the context ends, sync the file and give it its name. If the context raises, remove it.

    Raises `FileExistsError` if the name is taken and *overwrite* is false: what has the name is as it was.
    """
    refuse_existing(path, overwrite=overwrite)
    unfinished = path.with_name(f"{path.name}{MARK}{secrets.token_hex(4)}")
    with open(unfinished, "xb") as file:
        try:
            yield file
            file.flush()
            sync_full(file.fileno())
            give_name(unfinished, path, overwrite=overwrite)
        finally:
            with suppress(FileNotFoundError):  # it has its name
                os.unlink(unfinished)
    sync_directory(path.parent)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise `FileExistsError` if the name is taken and *overwrite* is false. Raise another `OSError` if no file can
    have it."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a directory; name a file in it", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no such directory to write the file in", str(path.parent))
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "it is there already; --overwrite replaces it", str(path))


def give_name(unfinished: Path, path: Path, *, overwrite: bool) -> None:
    """Give the file its name, durably when its directory is synced. A file that came meanwhile is not replaced unless
    *overwrite*."""
    if not overwrite:
        try:
            os.link(unfinished, path)
            return
        except FileExistsError:
            refuse_existing(path, overwrite=False)
            raise
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        refuse_existing(path, overwrite=False)
    os.rename(unfinished, path)
