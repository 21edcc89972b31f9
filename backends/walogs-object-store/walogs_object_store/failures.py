"""From the errors of obstore to the errors of a store."""

from __future__ import annotations

import errno
import random
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from obstore import exceptions as obstore_errors

from walogs import Unavailable, UnsafeStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

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
WAIT_SECONDS: Final = 0.05
WAIT_SECONDS_MAX: Final = 2.0
MESSAGE_CHARACTERS: Final = 400


def retry(name: str, seconds: float, call: Callable[[], T]) -> T:
    """Return what *call* returns. Call it again after a failure of the server or the network, for so many seconds.

    Raises the errors of ABSENT and TAKEN as they are. Raises `PermissionError`, `FileNotFoundError` for a bucket that
    is not there, `UnsafeStore` for what no later attempt changes, and `Unavailable` when the time is over.
    """
    end, wait = time.monotonic() + seconds, WAIT_SECONDS
    while True:
        try:
            return call()
        except (*ABSENT, *TAKEN):
            raise
        except REFUSED as error:
            why = f"the server refuses the credentials: {shorten(error)}"
            raise PermissionError(errno.EACCES, why, name) from error
        except IMPOSSIBLE as error:
            raise UnsafeStore(f"{name}: {shorten(error)}") from error
        except (obstore_errors.BaseError, OSError) as error:
            why = shorten(error)
            if any(sign in why for sign in BAD_CREDENTIALS):
                why = f"the server refuses the credentials: {why}"
                raise PermissionError(errno.EACCES, why, name) from error
            if any(sign in why for sign in NO_BUCKET):
                raise FileNotFoundError(errno.ENOENT, "there is no such bucket", name) from error
            if HOPELESS.search(why):
                raise UnsafeStore(f"{name}: {why}") from error
            if time.monotonic() + wait > end:
                raise Unavailable(f"{name} did not answer within {seconds:g} seconds: {why}") from error
        time.sleep(wait * random.uniform(0.5, 1.0))
        wait = min(2 * wait, WAIT_SECONDS_MAX)


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
