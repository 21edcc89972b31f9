"""File sizes limited at every byte (RLIMIT_FSIZE): what is refused is EFBIG, after a short write up to the limit.

usage: limited.py DIRECTORY WHERE STEP OFFSET
WHERE: create (the first segment), window (inside the window that is there), grow (the next window), rotate, reopen
Tries every STEP-th limit from OFFSET on, and says how often each outcome was reached.
"""

from __future__ import annotations

import contextlib
import resource
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import walogs
from tests.system.ledger import Ledger, payload

_, HARD = resource.getrlimit(resource.RLIMIT_FSIZE)
SMALL = 1000
"""Segments of so many bytes have a window of 5,096."""
RANGES = {
    "create": (0, 4700),  # around every byte of header and window
    "window": (500, 1400),  # of the frame before, of this one, and after both
    "grow": (69_600, 70_800),  # of what the next frame needs; whole windows are refused all along
    "rotate": (0, 5200),
    "reopen": (0, 5200),
}


@contextlib.contextmanager
def limited_to(size: int) -> Iterator[None]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, HARD))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (HARD, HARD))


def outcome_of(ledger: Ledger, wal: walogs.Wal, token: int, data: bytes) -> str:
    """What one append under the limit came to; acknowledged, refused for want of space, or of unknown outcome."""
    try:
        lsn = wal.append(data)
    except walogs.NoSpace:
        return "refused"
    except walogs.OutcomeUnknown:
        return "indefinite"
    ledger.acknowledge(lsn, token)
    return "acknowledged"


def append_under(path: Path, limit: int, *, where: str) -> str:
    """Make one log whose next append, or rotation, reaches the limit."""
    ledger = Ledger()
    with walogs.open(path, max_segment_size=SMALL if where == "rotate" else 1 << 20) as wal:
        ledger.acknowledge(wal.append(payload(1, size=60_000 if where == "grow" else None)), 1)
        with limited_to(limit):
            if where == "rotate":
                outcome = rotation_of(wal)
            else:
                data = payload(3, size=6000 if where == "grow" else 600)
                outcome = outcome_of(ledger, wal, 3, data)
        if outcome == "indefinite":  # a write into the window fell short: nobody knows how short
            try:
                ledger.probe(wal)
            except walogs.Poisoned:
                pass
            else:
                raise AssertionError("not poisoned after a write that fell short")
        else:  # nothing was written, and the handle is as good as before
            ledger.probe(wal)
    report = ledger.check_log(path)
    return f"{outcome}, {report.verdict}"


def rotation_of(wal: walogs.Wal) -> str:
    try:
        wal.rotate()
    except walogs.NoSpace:
        return "refused"
    return "rotated"


def create_under(path: Path, limit: int) -> str:
    ledger = Ledger()
    try:
        with limited_to(limit), walogs.open(path, max_segment_size=500) as wal:
            outcome = "made, then " + outcome_of(ledger, wal, 1, payload(1))
    except walogs.NoSpace:
        outcome = "refused"
        assert sorted(file.name for file in path.iterdir()) == ["LOCK"], "what was refused has left something"
    ledger.check_log(path)
    return outcome


def reopen_under(path: Path, limit: int) -> str:
    """A log whose writer was killed, opened under the limit: all of it or an error, and nothing is lost by trying."""
    ledger = Ledger()
    with walogs.open(path / "live", max_segment_size=SMALL) as wal:
        for _ in range(4):
            ledger.probe(wal)
        shutil.copytree(path / "live", path / "killed")
    outcome = "opened"
    try:
        with limited_to(limit), walogs.open(path / "killed", max_segment_size=SMALL) as wal:
            ledger.check(list(wal), wal.next_lsn)
            try:
                ledger.probe(wal)
            except (walogs.NoSpace, walogs.OutcomeUnknown) as error:
                outcome = f"opened, then {type(error).__name__}"
    except OSError as error:
        outcome = f"OSError {error.errno}"
    ledger.check_log(path / "killed")
    return outcome


def main() -> None:
    directory, where, step, offset = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    first, last = RANGES[where]
    outcomes = Counter[str]()
    for limit in range(first + offset, last, step):
        path = directory / f"{limit}"
        try:
            if where == "create":
                outcomes[create_under(path, limit)] += 1
            elif where == "reopen":
                outcomes[reopen_under(path, limit)] += 1
            else:
                outcomes[append_under(path, limit, where=where)] += 1
        except BaseException as error:
            error.add_note(f"{where}, files limited to {limit} bytes")
            raise
        shutil.rmtree(path)
    print(f"{where}: {sum(outcomes.values())} limits: {dict(outcomes)}")


if __name__ == "__main__":
    main()
