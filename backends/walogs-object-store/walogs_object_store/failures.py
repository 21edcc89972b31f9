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
REFUSALS: Final = (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError)
IMPOSSIBLE: Final = (
    obstore_errors.InvalidPathError,
    obstore_errors.NotSupportedError,
    obstore_errors.UnknownConfigurationKeyError,
)
NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound")
"""Parts of messages. A list of no bucket is an error that obstore does not tell from others."""
REFUSED: Final = re.compile(
    r"ExpiredToken|InvalidToken|TokenRefreshRequired|RequestTimeTooSkewed|status code: 40[13]\b"
)
"""Parts of messages. S3 says some of them with status 400, and a list that is refused with 403 is an error that obstore
does not tell from others."""
NO_SUCH_RANGE: Final = "status code: 416"
"""A part of a message: the object has no byte in the range that was asked for."""
HOPELESS: Final = re.compile(r"incorrectly configured region|builder error|status code: 4(?!08|29)\d\d")
"""Parts of messages. No later attempt would end differently, unless the server was busy (408, 429)."""
MESSAGE_CHARACTERS: Final = 400
ROLE: Final = re.compile(r"://[^/]+/(latest/(api/token|meta-data/)|computeMetadata/v1/|metadata/identity/)")
"""A part of messages: the address that gives a machine the credentials of its role, at AWS, Google or Azure."""
NO_CREDENTIALS: Final = "no credentials are in the environment, and this machine has no role that gives it some"


def final_error(name: str, error: Exception) -> Exception | None:
    """Return what to raise if no later attempt would end differently: those of ABSENT as they are. None: try again."""
    why = shorten(error)
    if isinstance(error, ABSENT):
        return error
    is_hopeless = isinstance(error, IMPOSSIBLE) or HOPELESS.search(why)
    if is_hopeless and ROLE.search(why):
        return PermissionError(errno.EACCES, why, name)
    if isinstance(error, REFUSALS) or REFUSED.search(why):
        return PermissionError(errno.EACCES, f"the server refuses the credentials: {why}", name)
    if any(sign in why for sign in NO_BUCKET):
        return FileNotFoundError(errno.ENOENT, "there is no such bucket", name)
    if is_hopeless:
        return UnsafeStore(f"{name}: {why}")
    return None


def shorten(error: BaseException) -> str:
    """Return the first lines of a message, and say so if it is about credentials that were not found.

    obstore adds a dump of its own objects below these lines.
    """
    text = " ".join(str(error).partition("\nDebug source")[0].split())
    if ROLE.search(text):
        text = f"{NO_CREDENTIALS}: {text}"
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}…"


@contextmanager
def translate_configuration(path: str) -> Iterator[None]:
    """Raise `ValueError` for what obstore does not accept when a client is made."""
    try:
        yield
    except obstore_errors.BaseError as error:
        raise ValueError(f"path={path!r}: {shorten(error)}") from error
