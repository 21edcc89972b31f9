"""How an entry is printed, and where to."""

from __future__ import annotations

import errno
import json
import sys
from base64 import b64encode
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO


def as_line(lsn: int, data: bytes, *, as_json: bool) -> bytes:
    """The data as it is; as JSON, with its LSN, as text where it is UTF-8."""
    if not as_json:
        return data
    try:
        return json.dumps({"lsn": lsn, "text": data.decode()}).encode()
    except UnicodeDecodeError:
        return json.dumps({"lsn": lsn, "base64": b64encode(data).decode()}).encode()


def standard_output() -> BinaryIO:
    """Buffered, so that a short write is gone on with, whatever PYTHONUNBUFFERED says. Raises `OSError` where it is
    closed: its descriptor may by then be one of the log's own."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    return open(sys.stdout.fileno(), "wb", closefd=False)
