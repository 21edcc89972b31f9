"""Text on standard output, in any encoding."""

from __future__ import annotations

import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, Final, cast

from walogs.cli.show import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

LOST: Final = "What the command has done stands: only what it has to say is lost."


class NamedOutput:
    """Standard output whose errors name it. Without a buffer, as under PYTHONUNBUFFERED, each `print` can fail."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)

    def write(self, text: str) -> int:
        with output_named(LOST):
            return self._output.write(text)

    def flush(self) -> None:
        with output_named(LOST):
            self._output.flush()


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


@contextmanager
def errors_of_output_named() -> Iterator[None]:
    """Name standard output in each error of writing to it by `print` or the like during the block."""
    if sys.stdout is None:
        yield
        return
    with redirect_stdout(cast("TextIO", NamedOutput(sys.stdout))):
        yield


def print_text(lines: Iterable[str]) -> None:
    """Print each line. Escape the characters that the encoding of standard output lacks."""
    encoding = sys.stdout.encoding if sys.stdout is not None else None
    for line in lines:
        print(encodable(line, encoding))
