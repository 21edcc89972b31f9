"""Text on standard output, in any encoding."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from walogs.cli.show import encodable

if TYPE_CHECKING:
    from collections.abc import Iterable


def print_text(lines: Iterable[str]) -> None:
    """Print each line. Escape the characters that the encoding of standard output lacks."""
    encoding = sys.stdout.encoding if sys.stdout is not None else None
    for line in lines:
        print(encodable(line, encoding))
