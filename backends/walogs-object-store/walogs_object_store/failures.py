"""From the errors of obstore to the errors of a store."""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from obstore import exceptions as obstore_errors

from walogs import UnsafeStore

if TYPE_CHECKING:
    from collections.abc import Iterator

ABSENT: Final = (FileNotFoundError, obstore_errors.NotFoundError)
"""No such object, or no such bucket."""
TAKEN: Final = (obstore_errors.AlreadyExistsError, obstore_errors.PreconditionError)
"""A create was refused. Azure's conflicts are of the second kind."""
REFUSED: Final = (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError)
IMPOSSIBLE: Final = (
    obstore_errors.InvalidPathError,
    obstore_errors.NotSupportedError,
    obstore_errors.UnknownConfigurationKeyError,
)
NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound")
"""Parts of messages. A list of no bucket is an error that obstore does not tell from others."""
BAD_CREDENTIALS: Final = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed")
"""Codes in messages. S3 says some of them with status 400, which obstore does not tell from others."""
HOPELESS: Final = re.compile(r"incorrectly configured region|builder error|status code: 4(?!08|29)\d\d")
"""Parts of messages. No later attempt would end differently, unless the server was busy (408, 429)."""
MESSAGE_CHARACTERS: Final = 400


def final_error(name: str, error: Exception) -> Exception | None:
    """Return what to raise if no later attempt would end differently: those of ABSENT as they are. None: try again."""
    why = shorten(error)
    if isinstance(error, ABSENT):
        return error
    if isinstance(error, REFUSED) or any(sign in why for sign in BAD_CREDENTIALS):
        return PermissionError(errno.EACCES, f"the server refuses the credentials: {why}", name)
    if any(sign in why for sign in NO_BUCKET):
        return FileNotFoundError(errno.ENOENT, "there is no such bucket", name)
    if isinstance(error, IMPOSSIBLE) or HOPELESS.search(why):
        return UnsafeStore(f"{name}: {why}")
    return None


def shorten(error: BaseException) -> str:
    """Return the first lines of a message. obstore adds a dump of its own objects below them."""
    text = " ".join(str(error).partition("\nDebug source")[0].split())
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}…"


@contextmanager
def translate_configuration(path: str) -> Iterator[None]:
    """Raise `ValueError` for what obstore does not accept when a client is made."""
    try:
        yield
    except obstore_errors.BaseError as error:
        raise ValueError(f"path={path!r}: {shorten(error)}") from error
