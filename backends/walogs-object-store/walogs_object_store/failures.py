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


def retry(name: str, seconds: float, call: Callable[[], T], *, may_change: bool = False) -> T:
    """Return what *call* returns. Call it again after a failure of the server or the network, for so many seconds.

    *may_change* says that an attempt without an answer may have changed something.

    Raises the errors of ABSENT and TAKEN as they are. Raises `PermissionError`, `FileNotFoundError` for a bucket that
    is not there, and `UnsafeStore` for what no later attempt changes. Raises `Unavailable` when the time is over, or if
    an earlier attempt may have changed something.
    """
    end, wait, may_have_changed = time.monotonic() + seconds, WAIT_SECONDS, False
    while True:
        try:
            return call()
        except TAKEN:
            raise
        except (obstore_errors.BaseError, OSError) as error:
            why, final = shorten(error), final_error(name, error)
            if final is error:
                raise
            if final is not None and not may_have_changed:
                raise final from error
            if final is not None:
                raise Unavailable(f"{name}: an earlier attempt had no answer, and now: {why}") from error
            if time.monotonic() + wait > end:
                raise Unavailable(f"{name} did not answer within {seconds:g} seconds: {why}") from error
            may_have_changed = may_change
        time.sleep(wait * random.uniform(0.5, 1.0))
        wait = min(2 * wait, WAIT_SECONDS_MAX)


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
