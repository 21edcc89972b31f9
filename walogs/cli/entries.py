"""How the commands print entries, and how they read printed entries back."""

from __future__ import annotations

import errno
import json
import sys
from base64 import b64decode, b64encode
from contextlib import contextmanager
from io import BufferedWriter, FileIO
from typing import TYPE_CHECKING

from walogs.cli.output import output_named
from walogs.errors import WalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


def as_line(lsn: int, data: bytes, *, as_json: bool) -> bytes:
    """Return the line for an entry: its data unchanged, or as JSON with its LSN.

    In JSON the data is "text" if it is UTF-8, and "base64" otherwise.
    """
    if not as_json:
        return data
    try:
        return json.dumps({"lsn": lsn, "text": data.decode()}).encode()
    except UnicodeDecodeError:
        return json.dumps({"lsn": lsn, "base64": b64encode(data).decode()}).encode()


def entry_of(line: bytes, number: int) -> bytes | None:
    """Return the data of an entry that `as_line` has printed as JSON, or None if the line describes a gap.

    The LSN in the line is ignored, because it belongs to another log. *number* is the number of the line, for the
    message of an error. Raises `WrongLine` if the line is anything else.
    """
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WrongLine(f"line {number} is no JSON: {error}") from None
    if isinstance(told, dict) and set(told) == {"gap"}:
        return None
    if (
        not isinstance(told, dict)
        or not set(told) <= {"lsn", "text", "base64"}
        or ("text" in told) == ("base64" in told)
    ):
        raise WrongLine(
            f'line {number} is no object with either "text" or "base64", as `walogs cat --json` prints them'
        )
    kind = "text" if "text" in told else "base64"
    data = told[kind]
    try:
        return data.encode() if kind == "text" else b64decode(data, validate=True)
    except (AttributeError, TypeError, ValueError):
        raise WrongLine(f'line {number}: "{kind}" is {data!r:.40}, which is not {kind}') from None


class WrongLine(WalError):
    """A line of `--json-lines` input does not describe an entry or a gap."""


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Yield standard output as a buffered binary stream.

    The buffer completes short writes, also under PYTHONUNBUFFERED. Raises `OSError` if standard output is closed,
    because its descriptor may by then belong to a file of the log.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    out = BufferedWriter(FileIO(sys.stdout.fileno(), "wb", closefd=False))
    try:
        yield out
    finally:
        with output_named():
            out.close()
