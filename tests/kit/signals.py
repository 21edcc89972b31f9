"""The places where this interpreter looks for signals, as a profile function sees them.

Tests inject an interrupt only where a real one can arrive. At any other place it would show a bug that nobody can have.
tests/test_turns.py compares this with real signals.
"""

from __future__ import annotations

import dis
import sys
from types import FrameType
from typing import Final

RESUMED_LATER: Final = 2
"""With this operand or a higher one, RESUME stands behind `yield from` or `await`. No signal is looked for there."""
LOAD_SPECIAL: Final = dis.opmap.get("LOAD_SPECIAL")
"""The instruction by which `with` loads `__enter__` since Python 3.14. The call that follows is an ordinary one."""
WITH_IS_MENDED: Final = sys.version_info >= (3, 15)
"""On 3.14 the interpreter looks for signals after `__enter__` has returned (CPython gh-148874). 3.15 does not."""


def looks_for_signals(frame: FrameType, event: str) -> bool:
    """Return whether signals are looked for here: where a function begins, and where a call of C code has returned."""
    code, at = frame.f_code.co_code, frame.f_lasti
    if event == "call":
        return code[at] != dis.opmap["RESUME"] or code[at + 1] < RESUMED_LATER
    if event != "c_return":
        return False
    is_enter = at >= 2 and code[at - 2] == LOAD_SPECIAL
    return not (is_enter and WITH_IS_MENDED)
