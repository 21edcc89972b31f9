"""How much memory a call took at its peak: what Python allocated, and where the kernel tells it, what C did."""

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
"""What resets the peak of resident memory: proc(5)."""


def peak_of(call: Callable[[], object]) -> int:
    """Bytes that *call* added at its peak, whatever it returned or raised (`Exception`)."""
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        before, resident = tracemalloc.get_traced_memory()[0], resident_after_reset()
        tracemalloc.reset_peak()
        try:
            call()
        except Exception:  # noqa: BLE001 the caller has its own way to see what it raises
            pass
        traced = tracemalloc.get_traced_memory()[1] - before
        seen = told("VmHWM") if resident is not None else None
    finally:
        if not was_tracing:
            tracemalloc.stop()
    return max(traced, seen - resident) if seen is not None and resident is not None else traced


def resident_after_reset() -> int | None:
    """Bytes in memory now, from where the kernel's peak starts again; None: it cannot be told here."""
    try:
        RESET.write_text(RESET_PEAK)
    except OSError:
        return None
    return told("VmRSS")


def told(what: str) -> int | None:
    try:
        found = re.search(rf"^{what}:\s*(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
