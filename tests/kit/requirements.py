"""Things that some tests need of the machine. A test is skipped without them, and fails if they were promised."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final

import pytest

VARIABLE: Final = "WALOGS_REQUIRE"
"""The environment variable with the names, separated by commas, whose absence is a failure instead of a skip."""

NAMES: Final = frozenset(
    {
        "btrfs",
        "cargo",
        "fuse",
        "git",
        "go",
        "loop",
        "moto",
        "nats",
        "pythons",
        "rclone",
        "root",
        "seaweedfs",
        "strace",
        "valgrind",
        "xfs",
    }
)
"""All names there are. A name that is not among them is mistyped, and an error."""


def demanded() -> frozenset[str]:
    """Return the names that must be there. Raise `ValueError` for a name that no test can ask for."""
    names = frozenset(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())
    if unknown := names - NAMES:
        raise ValueError(f"{VARIABLE} names {sorted(unknown)}; what can be required: {sorted(NAMES)}")
    return names


def require(name: str, available: bool, reason: str) -> None:
    """Skip the test unless *available*, or fail it if `WALOGS_REQUIRE` has the name. *reason* says what is missing."""
    if name not in NAMES:
        raise ValueError(f"{name!r} is not among {sorted(NAMES)} (tests/kit/requirements.py)")
    if available:
        return
    if name in demanded():
        pytest.fail(f"{name} is required by {VARIABLE} and not available: {reason}", pytrace=False)
    pytest.skip(f"needs {name}: {reason}")


def missing(reasons: Iterable[str]) -> list[str]:
    """Return the names that tests were skipped for, given the reasons of all skips."""
    named = {found[1] for reason in reasons if (found := re.search(r"needs (\w+): ", reason))}
    return sorted(named & NAMES)
