"""Text on standard output, in any encoding."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from walogs.cli.show import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextmanager
def output_named(note: str = "") -> Iterator[None]:
    """Name standard output in an error of writing to it, and add *note*. It could be taken for an error of the log."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        error.filename = "standard output"
        if note:
            error.add_note(note)
        raise


def print_text(lines: Iterable[str]) -> None:
    """Print each line. Escape the characters that the encoding of standard output lacks."""
    encoding = sys.stdout.encoding if sys.stdout is not None else None
    for line in lines:
        print(encodable(line, encoding))
