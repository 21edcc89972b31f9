"""What breaks a rule of test_clarity.py today. These lists are there to be worked off: nothing may be added."""

from __future__ import annotations

from typing import Final

LONG_FUNCTIONS: Final = frozenset(
    {
        "walogs/formats/native_checks.py::frames_by_codec",  # a loop over all frames: a call for each would be slower
    }
)
LONG_FILES: Final[frozenset[str]] = frozenset()
POSITIONAL_RECORDS: Final = frozenset(
    {
        "walogs/formats/native.py",  # `headers` makes one for each frame: keywords make a walk of commits 18 % slower
    }
)
WITHOUT_DOCSTRING: Final = frozenset[str]()
