"""From the errors of nats-py and of the server to the errors of a store.

The numbers are those of the server's own list of errors (`err_code`).
"""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Final

import nats.errors
from nats.js.errors import APIError, NotFoundError

from walogs import NoSpace, UnsafeStore

if TYPE_CHECKING:
    from walogs import WalError

NO_SUCH_SEQUENCE: Final = 10043
NO_STREAM: Final = 10059
CONFLICTS: Final = (10071, 10164)
"""The stream does not end at the expected message. The second one is sent while another message is being stored."""
FULL: Final = (10023, 10028, 10047, 10077)
"""No space for the account, the server or the stream."""
NOT_CLUSTERED: Final = 10074
NO_JETSTREAM: Final = (10035, 10039, 10076)
IMPOSSIBLE: Final = (10005, 10052, 10054, 10058, 10060, 10065, NOT_CLUSTERED, 10109)
"""No later attempt would end differently: the stream or the message does not fit the server's configuration."""

FAILURES: Final = (nats.errors.Error, asyncio.TimeoutError, OSError)
"""What a request raises if the network or a server fails. `APIError`, an answer of the server, is one of them."""
REFUSED: Final = ("authorization violation", "authentication", "permissions violation", "user credentials")
"""Parts of messages. nats-py has no class of its own for them."""


def is_answer(error: BaseException) -> bool:
    """Return whether the caller of the request decides what the error means: nothing is there, or a conflict."""
    if isinstance(error, NotFoundError):
        return True
    return isinstance(error, APIError) and error.err_code in (*CONFLICTS, NO_SUCH_SEQUENCE)


def is_stream_missing(error: APIError) -> bool:
    return error.err_code == NO_STREAM


def final_error(name: str, error: BaseException) -> OSError | WalError | None:
    """Return what to raise if no later attempt would end differently. None: try again."""
    why = shorten(error)
    if isinstance(error, APIError):
        if error.err_code in FULL:
            return NoSpace(errno.ENOSPC, f"the server has no space: {error.description}", name)
        if error.err_code in NO_JETSTREAM:
            return UnsafeStore(f"{name}: the server has no JetStream for this account: {error.description}")
        if error.err_code in IMPOSSIBLE:
            advice = ". For one server alone, the option is replicas = 1" if error.err_code == NOT_CLUSTERED else ""
            return UnsafeStore(f"{name}: the server refuses: {error.description} ({error.err_code}){advice}")
        return None
    if is_refusal(error):
        return PermissionError(errno.EACCES, f"the server refuses the credentials: {why}", name)
    return None


def is_refusal(error: BaseException) -> bool:
    """Return whether the server refuses the credentials, or a subject for want of a permission."""
    return any(sign in str(error).lower() for sign in REFUSED)


def shorten(error: BaseException) -> str:
    """Return the message of an error in one line, with its class if the message is empty."""
    text = " ".join(str(error).split())
    return text[:400] if text else type(error).__name__
