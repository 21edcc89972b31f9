"""Fixed work whose instructions `python -m benchmarks.guard` counts. Arguments: its name, and how often it is done.

It uses nothing of `benchmarks`, so that only walogs is loaded. With a third argument it prints the calls of functions
that the work made, of Python and of C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import Any, Final

import walogs

BATCH: Final = 1000
ENTRIES: Final = [number.to_bytes(8, "little") * (8 + number % 17) for number in range(BATCH)]
"""64 to 192 bytes each."""
APPENDS: Final = 200
WALKED: Final = 2000


def open_log(path: str) -> walogs.Wal:
    return walogs.open(path, max_segment_size=None)


def pass_over(entries: Iterable[object]) -> None:
    for _ in entries:
        pass


def append(stack: ExitStack, path: str) -> Callable[[], object]:
    """Append under the default policy, one entry after the other."""
    wal = stack.enter_context(open_log(path))

    def work() -> None:
        for data in ENTRIES[:APPENDS]:
            wal.append(data)

    return work


def append_batch(stack: ExitStack, path: str) -> Callable[[], object]:
    wal = stack.enter_context(open_log(path))
    return lambda: wal.append_batch(ENTRIES)


def fill(path: str, *, is_sealed: bool) -> walogs.Wal:
    wal = open_log(path)
    for data in ENTRIES:
        wal.append(data)
    wal.append_batch(ENTRIES)
    if is_sealed:
        wal.rotate()
    return wal


def walk_sealed(stack: ExitStack, path: str) -> Callable[[], object]:
    """Iterate over a segment with as many single appends as entries in a batch."""
    wal = stack.enter_context(fill(path, is_sealed=True))
    return lambda: pass_over(wal)


def walk_unsealed(stack: ExitStack, path: str) -> Callable[[], object]:
    wal = stack.enter_context(fill(path, is_sealed=False))
    return lambda: pass_over(wal)


def open_unsealed(stack: ExitStack, path: str) -> Callable[[], object]:
    fill(path, is_sealed=False).close()
    return lambda: open_log(path).close()


WORK: Final[dict[str, tuple[Callable[[ExitStack, str], Callable[[], object]], int]]] = {
    "append": (append, APPENDS),
    "append_batch": (append_batch, BATCH),
    "walk-sealed": (walk_sealed, WALKED),
    "walk-unsealed": (walk_unsealed, WALKED),
    "open": (open_unsealed, WALKED),
}
"""What prepares each work, and the entries that it is about."""


def count_calls(work: Callable[[], object]) -> int:
    """Return the calls that *work* makes in this thread."""
    count = 0

    def called(frame: object, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def main(name: str, times: int, *, counts_calls: bool) -> None:
    os.fdatasync = os.fsync = abs  # type: ignore[assignment]  # no disk is waited for
    prepare, _ = WORK[name]
    with TemporaryDirectory() as directory, ExitStack() as stack:
        work = prepare(stack, os.path.join(directory, "log"))

        def repeat() -> None:
            for _ in range(times):
                work()

        if counts_calls:
            print(count_calls(repeat))
        else:
            repeat()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), counts_calls=len(sys.argv) > 3)
