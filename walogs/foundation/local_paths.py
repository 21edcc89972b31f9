"""Check that a text names a directory of this machine, before code makes that directory.

The system accepts `s3://bucket/orders.wal` as the name of a directory: it makes `s3:` in the working directory, while
the user believes that the log is elsewhere. Other stores may accept such paths; they do not call this module.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from walogs.errors import ConfigError
from walogs.foundation.foreign import describe, type_name
from walogs.foundation.lazy import lazy_import

if TYPE_CHECKING:
    from re import Match

ADDRESS: Final = r"(?s)([A-Za-z][A-Za-z0-9+.-]*):(//?)(.*)"
"""An address such as `scheme://…`, or `scheme:/…`, into which pathlib changes it."""
HALVED: Final = r"([A-Za-z][A-Za-z0-9+.-]+):/(?!/)"
"""The beginning of an address in a pathlib.Path. A single letter is a drive, and not a scheme."""
EXPANDS: Final = {"~": "os.path.expanduser", "$": "os.path.expandvars"}
"""The characters that a shell expands, each with the Python function that does the same."""
IN_MEMORY: Final = ":memory:"
"""SQLite's name for a database in memory."""
A_PATH: Final = "Pass the name of a directory, as 'orders.wal'"


def path_text(path: object, name: str = "path") -> str:
    """Return the path as text. *name* is the argument's name.

    Raise `ConfigError` if it is no text, is empty, or contains a NUL.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str):
        raise path_error(name, path, f"{type_name(path)} is no path. {A_PATH}")
    if not text or "\0" in text:
        raise path_error(name, path, f"{why_no_name(text)}. {A_PATH}")
    return text


def local_path(path: object, name: str = "path") -> str:
    """Return the path as text. Raise `ConfigError` if it names no directory here; *name* is the argument's name."""
    text = path_text(path, name)
    written = text if isinstance(path, str) else with_both_slashes(text)
    problem = local_problem(written)
    if problem:
        raise path_error(name, written, problem)
    return text


def scheme_of(path: object) -> str:
    """Return the scheme of a path that is an address, in lower case. "" for a path, and for `file://`."""
    if not isinstance(path, str | os.PathLike):
        return ""
    address = address_in(str(path))
    scheme = address[1].lower() if address is not None and len(address[1]) > 1 else ""
    return "" if scheme == "file" else scheme


def with_both_slashes(text: str) -> str:
    """Return the text of a pathlib.Path with the slash that pathlib removed from an address. It is the same path."""
    with lazy_import:
        from re import sub

    return sub(HALVED, r"\1://", text)


def address_in(text: str) -> Match[str] | None:
    """Return the scheme, the slashes and the rest of a text that is an address, as the groups of a match."""
    with lazy_import:
        from re import match

    return match(ADDRESS, text)


def path_error(name: str, path: object, problem: str) -> ConfigError:
    told = f"{name}={describe(path)}: {problem}"
    return ConfigError(told, problems=(told,))


def why_no_name(text: str) -> str:
    return "no name has a NUL in it" if text else "empty"


def why_not_plain(text: str, what: str = "directory") -> str:
    """Return why this text is no name, or needs a shell to expand it. Return "" if it is a name."""
    if not text or "\0" in text:
        return why_no_name(text)
    if text[0] not in EXPANDS:
        return ""
    move = f"write the {what} out (in Python: {EXPANDS[text[0]]}(path))"
    return f"{text[0]} stands for no {what} here: {move}, or ./{text[0]}… for such a name"


def local_problem(text: str) -> str:
    """Return why this text names no directory of this machine. Return "" if it does."""
    problem = why_not_plain(text)
    if problem:
        return problem
    if text == IN_MEMORY:
        return (
            "the local store makes a directory of it; store=MemoryStore(MemoryDisk()), of walogs.testing, is in memory"
        )
    address = address_in(text)
    if address is None:
        return ""
    scheme, slashes, rest = address.groups()
    if scheme.lower() == "file":
        return f"an address, and the local store takes paths: did you mean '/{rest.lstrip('/')}'?"
    why = "only a directory of this machine can be made here; another store may take it"
    return f"an address ({scheme}:{slashes}), and {why}"
