"""Which walogs this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    try:
        return version("walogs")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"
