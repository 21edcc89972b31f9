"""The end of a command: its exit status, and its message on standard error."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import Final, TextIO, TypeGuard

from walogs.errors import Checkpointed, ConfigError, Corrupt, Locked, UnsupportedFormat, WalError
from walogs.foundation.foreign import error_text

DONE: Final = 0
FAILED: Final = 1
"""The log or the system refused. The message on standard error says why, and what to do next."""
USAGE: Final = 2
LOCKED: Final = 3
"""Another writer has the log open. The same command works once that writer has closed it."""
CORRUPT: Final = 4
"""The log is damaged, or this release cannot read its format. Nothing was changed."""
INTERRUPTED: Final = 130
"""Ctrl-C, with the number that shells use for it."""


class WrongUsage(WalError):
    """The command line asks for something that no command does."""


def status_of(error: BaseException) -> int:
    """Return the exit status for an error."""
    match error:
        case KeyboardInterrupt():
            return INTERRUPTED
        case WrongUsage():
            return USAGE
        case Locked():
            return LOCKED
        case Corrupt() | UnsupportedFormat():
            return CORRUPT
        case _:
            return FAILED


def message_lines(error: BaseException) -> list[str]:
    """Return the message of an error: one line, or one line for each problem in a configuration."""
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        return [printable(problem) for problem in error.problems]
    return [message_line(error)]


def message_line(error: BaseException) -> str:
    """Return the message of an error with its notes, in one line of printable text.

    A command for a shell follows on a line of its own.
    """
    command = ""
    match error:
        case KeyboardInterrupt():
            said = "interrupted"
        case OSError(strerror=str(reason), filename=None):
            said = reason
        case OSError(strerror=str(reason), filename=name):
            said = f"{text_of(name)}: {reason}"
        case Corrupt():
            said, _, command = error_text(error).replace("\nNext: ", " Next: ").partition("\n  ")
        case Checkpointed():
            said = f"{error}. Start there, or leave --start out."
        case _:
            said = error_text(error)
    sentences = (said, *getattr(error, "__notes__", ()))
    text = printable(" ".join(part if part.endswith((".", ")", "?", ":")) else f"{part}." for part in sentences))
    return f"{text}\n  {printable(command)}" if command else text


def complain(line: str) -> None:
    """Print a message to standard error.

    On a terminal its first line is wrapped to fit; a path stays in one piece. A command after that stays on one line.
    """
    if sys.stderr is None:
        return
    said, newline, command = line.partition("\n")
    told = f"walogs: {said}"
    if is_terminal(sys.stderr):
        width = shutil.get_terminal_size().columns
        lines = textwrap.wrap(told, width, subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False)
        told = "\n".join(lines)
    print(f"{told}{newline}{command}", file=sys.stderr)


def is_terminal(stream: TextIO | None) -> TypeGuard[TextIO]:
    """Return whether the stream is a terminal. None stands for a closed stream."""
    return stream is not None and stream.isatty()


def text_of(name: object) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)


def printable(text: str) -> str:
    """Return the text with unprintable characters escaped, since the name of a file may contain any bytes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
