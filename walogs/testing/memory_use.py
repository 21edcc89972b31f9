"""The peak memory of a call: what Python allocated, and what C code allocated if the kernel reports it."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["peak_of"]

STATUS: Final = Path("/proc/self/status")
RESET: Final = Path("/proc/self/clear_refs")
RESET_PEAK: Final = "5"
"""Writing this resets the peak of resident memory, see proc(5)."""


def peak_of(call: Callable[[], object]) -> int:
    """Return how many bytes *call* added at its peak. An `Exception` that it raises is ignored."""
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        before, resident = tracemalloc.get_traced_memory()[0], resident_after_reset()
        tracemalloc.reset_peak()
        try:
            call()
        except Exception:  # noqa: BLE001 (the caller tests for errors in another call)
            pass
        traced = tracemalloc.get_traced_memory()[1] - before
        seen = read_status("VmHWM") if resident is not None else None
    finally:
        if not was_tracing:
            tracemalloc.stop()
    return max(traced, seen - resident) if seen is not None and resident is not None else traced


def resident_after_reset() -> int | None:
    """Reset the kernel's peak. Return the resident bytes now, or None if this system does not report them."""
    try:
        RESET.write_text(RESET_PEAK)
    except OSError:
        return None
    return read_status("VmRSS")


def read_status(what: str) -> int | None:
    """Return the number of bytes in the line *what* of this process's status, such as `VmRSS`. None: there is none."""
    try:
        found = re.search(rf"^{what}:\s*(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
