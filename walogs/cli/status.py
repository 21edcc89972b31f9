"""How a command ends: its exit status, and one line on standard error."""

from __future__ import annotations

from typing import Final

from walogs.errors import Checkpointed, ConfigError, Corrupt, Locked, UnsupportedFormat, WalError

DONE: Final = 0
FAILED: Final = 1
"""The log or the system refused; the line on standard error says why and the next move."""
USAGE: Final = 2
LOCKED: Final = 3
"""Another writer holds the log: the same command works once it has closed it."""
CORRUPT: Final = 4
"""The log is damaged, or no log that this release can read; nothing was changed."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells number it."""


class WrongUsage(WalError):
    """The command line asks for what no command does."""


def status_of(error: BaseException) -> int:
    """The exit status that tells this error from others."""
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


def told_lines(error: BaseException) -> list[str]:
    """One line; for a configuration, one for each mistake."""
    if isinstance(error, ConfigError) and len(error.problems) > 1:
        return [printable(problem) for problem in error.problems]
    return [told(error)]


def told(error: BaseException) -> str:
    """What the error says, its notes included, in one line that no terminal takes for anything but text."""
    match error:
        case KeyboardInterrupt():
            said = "interrupted"
        case OSError(strerror=str(reason), filename=None):
            said = reason
        case OSError(strerror=str(reason), filename=name):
            said = f"{shown(name)}: {reason}"
        case Checkpointed():
            said = f"{error}. Start there, or leave --start out."
        case _:
            said = str(error)
    sentences = (said, *getattr(error, "__notes__", ()))
    return printable(" ".join(part if part.endswith((".", ")", "?")) else f"{part}." for part in sentences))


def shown(name: object) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)


def printable(text: str) -> str:
    """The same, with control characters and what is no text escaped: file names may hold anything."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
