"""What some tests need of the machine: a skip by name, and a failure where the name was promised to be there."""

from __future__ import annotations

import os
from typing import Final

import pytest

VARIABLE: Final = "WALOGS_REQUIRE"
"""Environment variable: names, separated by commas, whose absence is a failure here and not a skip."""

NAMES: Final = frozenset({"btrfs", "cargo", "fuse", "loop", "pythons", "root", "strace", "xfs"})
"""Closed, so that a mistyped name is an error and does not quietly demand nothing."""


def demanded() -> frozenset[str]:
    """The names that must be there. Raises `ValueError` for one that no test can ask for."""
    names = frozenset(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())
    if unknown := names - NAMES:
        raise ValueError(f"{VARIABLE} names {sorted(unknown)}; what can be required: {sorted(NAMES)}")
    return names


def require(name: str, available: bool, reason: str) -> None:
    """Go on if *available*; otherwise skip, or fail if `WALOGS_REQUIRE` names it. *reason* says what is missing."""
    if name not in NAMES:
        raise ValueError(f"{name!r} is not among {sorted(NAMES)} (tests/requirements.py)")
    if available:
        return
    if name in demanded():
        pytest.fail(f"{name} is required by {VARIABLE} and not available: {reason}", pytrace=False)
    pytest.skip(f"needs {name}: {reason}")
