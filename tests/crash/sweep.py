"""Open every state of a sweep twice, and compare the results with the rules of docs/guarantees.md.

The expected result is computed from the undamaged log and the differences. The library is not used for it.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import walogs
from tests.crash.damage import State
from tests.crash.small_logs import SmallLog, disk_with, environment, files_on
from tests.kit.logs import (
    CHECKPOINT,
    DURABLE_MARK,
    FRAME_HEADER,
    HEADER,
    SEAL,
    Entries,
    Files,
    LogOnDisk,
    Look,
    first_lsn_of,
    log_first_lsn_of,
    numbers_in,
    segment_name,
)
from walogs.assembly.opening import assemble
from walogs.testing import CHANGES, LawBroken, MemoryDisk, MemoryStore

AFTER: Final = b"appended after recovery"
COULD_BE_THE_CRATES: Final = "an empty segment, alone, is how a log of the Rust crate begins"
"""Refused as a log that is not ours; every other refusal of these states is `Corrupt`."""


class Expected(NamedTuple):
    """What the rules say of one state."""

    entries: Entries
    refused: str = ""
    """Why it must not open; "": it must."""
    refused_when_read: bool = False
    tail: walogs.TailState = walogs.Clean()
    verdict: str = "clean"


def expected(log: SmallLog, files: Files, *, verify: str = "full", mode: str = "acked") -> Expected:
    """The verdict rules, on what differs from the acknowledged log."""
    numbers = numbers_in(files)
    durable_mark = log if files.get(DURABLE_MARK) == log.files[DURABLE_MARK] else None
    if not numbers:
        return Expected([], "the durable mark is of segments that are gone" if durable_mark else "")
    newest = numbers[-1]
    if not files[segment_name(newest)] and not durable_mark and len(numbers) == 1:
        return Expected([], COULD_BE_THE_CRATES)
    if not same(log, files, newest, 0, HEADER):
        return Expected([], "the newest header is damaged")
    content, frames = files[segment_name(newest)], log.frames(newest)
    whole = [same(log, files, newest, frame.offset, frame.body_end) for frame in frames]
    headers = [
        frame for frame in frames if same(log, files, newest, frame.offset, frame.offset + FRAME_HEADER)
    ]  # they testify, whatever became of their bodies
    if any(frame.kind == SEAL for frame in headers):
        return Expected([], "a SEAL: its successor is gone")
    known = max([HEADER, *(frame.synced for frame in headers)])
    if durable_mark and newest < log.newest:
        return Expected([], "the durable mark names a newer segment")
    if durable_mark:
        known = max(known, log.synced)
    first_bad = whole.index(False) if False in whole else len(frames)
    end = frames[first_bad].offset if first_bad < len(frames) else log.end(newest)
    bytes_end = len(content[end:].rstrip(b"\0")) + end if any(content[end:]) else 0
    verdict = "torn" if bytes_end else "clean"
    if known > end:
        if mode == "acked":
            return Expected([], f"byte {end} was synced: up to {known} was")
        verdict = "prefix"
    tail = walogs.Clean() if verdict == "clean" else walogs.TruncatedAt(newest, end, max(bytes_end - end, 0))
    last_lsn = first_lsn_of(content) + sum(frame.entries for frame in frames[:first_bad]) - 1
    intact = [frame for frame, is_whole in zip(frames, whole, strict=True) if is_whole]
    first_lsn = max([log_first_lsn_of(content), *(frame.first_lsn for frame in intact if frame.kind == CHECKPOINT)])
    entries = [entry for entry in log.entries if first_lsn <= entry[0] <= last_lsn]
    return older(log, files, newest, first_lsn, verify) or Expected(
        entries=entries,
        refused="",
        refused_when_read=reading_raises(log, files, newest, first_lsn, verify),
        tail=tail,
        verdict=verdict,
    )


def older(log: SmallLog, files: Files, newest: int, first_lsn: int, verify: str) -> Expected | None:
    """What refuses the log among the segments before the newest, down to the first LSN."""
    number = newest
    while first_lsn_of(files[segment_name(number)]) > first_lsn:
        number -= 1
        if segment_name(number) not in files:
            return Expected([], f"segment {number} is gone")
        if not same(log, files, number, 0, HEADER):
            return Expected([], f"the header of segment {number} is damaged")
        if damaged(log, files, number) and not (verify == "last" and seal_holds(log, files, number)):
            return Expected([], f"segment {number} is damaged")
    return None


def reading_raises(log: SmallLog, files: Files, newest: int, first_lsn: int, verify: str) -> bool:
    """Whether damage that an open with `verify="last"` did not look at is there."""
    if verify == "full":
        return False
    kept = [n for n in numbers_in(files) if n < newest and first_lsn_of(files[segment_name(n)]) >= first_lsn]
    return any(damaged(log, files, number) for number in kept)


def damaged(log: SmallLog, files: Files, number: int) -> bool:
    """Whether a frame with entries, or a CHECKPOINT, is not what was written."""
    return not all(
        same(log, files, number, frame.offset, frame.body_end) for frame in log.frames(number) if frame.kind != SEAL
    )


def seal_holds(log: SmallLog, files: Files, number: int) -> bool:
    """Whether the segment still ends with its SEAL, and has nothing but zeros after it."""
    seal = log.frames(number)[-1]
    own = log.files[segment_name(number)][seal.offset : seal.body_end]
    return seal.kind == SEAL and files[segment_name(number)][seal.offset :].rstrip(b"\0") == own


def same(log: SmallLog, files: Files, number: int, start: int, end: int) -> bool:
    """Whether these bytes are all there, as they were written."""
    name = segment_name(number)
    return files[name][start:end] == log.files[name][start:end]


# Where a state is opened


class Place(Protocol):
    """Holds one directory and opens the log in it."""

    def put(self, files: Files) -> None: ...

    def open(self, **config: Any) -> walogs.Wal: ...

    def files(self) -> dict[str, bytes]:
        """Segments and durable mark, as a process would see them now."""
        ...

    def is_untouched(self) -> bool:
        """Whether nothing was written since `put`."""
        ...

    def die(self, wal: walogs.Wal | None) -> None:
        """The process is killed, and where that can be had the power is cut: what was not synced is gone."""
        ...


class ModelPlace:
    """A modelled disk: fast, with power cuts that take all that was not synced, and the law of the watermark."""

    def put(self, files: Files) -> None:
        self.take(disk_with(files))

    def take(self, disk: MemoryDisk) -> None:
        """Go on with this disk, whatever its cache and its device hold."""
        self.disk = disk
        self._put = self.files()
        self._changes = self._count()

    def open(self, **config: Any) -> walogs.Wal:
        return assemble(None, walogs.WalConfig(store=MemoryStore(self.disk), **config), environment(7))

    def files(self) -> dict[str, bytes]:
        return files_on(self.disk)

    def is_untouched(self) -> bool:
        return self._count() == self._changes and self.files() == self._put

    def _count(self) -> int:
        return self.disk.schedule.count(CHANGES - {"sync_directory"})

    def die(self, wal: walogs.Wal | None) -> None:
        self.disk.power_cut(random.Random(0), bias=0.0)
        if wal is not None:
            wal.closed = True


class DiskPlace:
    """A real directory: hashes and times of the files are looked at. A kill only."""

    def __init__(self, path: Path) -> None:
        self._log = LogOnDisk(path)
        self._looks: dict[str, Look] = {}

    def put(self, files: Files) -> None:
        shutil.rmtree(self._log.path, ignore_errors=True)
        self._looks = self._log.put(files).looks()

    def open(self, **config: Any) -> walogs.Wal:
        return walogs.open(self._log.path, **config)

    def files(self) -> dict[str, bytes]:
        return self._log.files()

    def is_untouched(self) -> bool:
        return self._log.looks() == self._looks

    def die(self, wal: walogs.Wal | None) -> None:
        if wal is not None:
            wal._source.store.close()  # as the kernel does: descriptors and lock go, nothing is written
            wal.closed = True


@dataclass
class Tally:
    """How many states were tried, what became of them, and what went against the rules."""

    what: str
    tried: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def settle(self) -> None:
        """Say it, and fail if anything was wrong, or nothing was tried."""
        print(self)
        assert self.tried, f"{self.what}: no state was tried"
        assert not self.wrong, f"{len(self.wrong)} of {self.tried} states of {self.what}:\n" + "\n".join(
            self.wrong[:12]
        )

    def __str__(self) -> str:
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items()))
        return f"{self.what}: {self.tried} states: {verdicts}"


def sweep(
    log: SmallLog,
    states: Iterable[State],
    tally: Tally,
    place: Place,
    *,
    verify: str = "full",
    mode: str = "acked",
    durable_mark: bool = True,
) -> Tally:
    """Try each damaged state of *log*. *durable_mark* False: the durable mark is gone as well."""
    for name, files in states:
        if not durable_mark:
            files.pop(DURABLE_MARK, None)
        want = expected(log, files, verify=verify, mode=mode)
        judge(name, files, [want], tally, place, verify=verify, recovery=mode)
    return tally


def judge(name: str, files: Files, wanted: list[Expected], tally: Tally, place: Place, **config: Any) -> None:
    """Open one state; whatever is not as one of *wanted* says is noted."""
    place.put(files)
    judge_what_is_there(name, wanted, tally, place, **config)


def judge_what_is_there(name: str, wanted: list[Expected], tally: Tally, place: Place, **config: Any) -> None:
    tally.tried += 1
    wal = None
    try:
        wal = place.open(max_segment_size=16_384, **config)
        found = Expected(
            entries=list(wal),
            refused="",
            refused_when_read=False,
            tail=wal.tail_state,
            verdict=wal.recovery_report.verdict,
        )
        tally.verdicts[found.verdict] += 1
    except walogs.Corrupt as refusal:
        tally.verdicts["corrupt" if wal is None else "corrupt when read"] += 1
        found = Expected([], str(refusal), wal is not None)
        if wal is None and not place.is_untouched():
            tally.wrong.append(f"{name}: refused, and something was changed")
    except walogs.UnsupportedFormat as refusal:
        tally.verdicts["not ours"] += 1
        if [want.refused for want in wanted] != [COULD_BE_THE_CRATES] or not place.is_untouched():
            tally.wrong.append(f"{name}: {refusal!r}")
        return
    except (Exception, LawBroken) as error:  # noqa: BLE001  # whatever it is, it is not what the rules say
        tally.wrong.append(f"{name}: {error!r}")
        place.die(wal)
        return
    if not any(agrees(found, want) for want in wanted):
        tally.wrong.append(f"{name}: {brief(found)}, not {' or '.join(map(brief, wanted))}")
    if wal is None or found.refused:
        place.die(wal)
    else:
        look_twice(name, found.entries, tally, place, wal)


def agrees(found: Expected, want: Expected) -> bool:
    if want.refused:
        return bool(found.refused) and not found.refused_when_read and want.refused != COULD_BE_THE_CRATES
    if want.refused_when_read:
        return bool(found.refused) and found.refused_when_read
    return found == want


def brief(outcome: Expected) -> str:
    if outcome.refused:
        return f"refused{' when read' if outcome.refused_when_read else ''} ({outcome.refused})"
    if outcome.refused_when_read:
        return "refused when read"
    lsns = f"{outcome.entries[0][0]}..{outcome.entries[-1][0]}" if outcome.entries else "none"
    digest = hash(tuple(outcome.entries)) & 0xFFFF
    return f"entries {lsns} #{digest:04x}, {outcome.verdict}, {outcome.tail}"


def look_twice(name: str, entries: Entries, tally: Tally, place: Place, wal: walogs.Wal) -> None:
    """What was recovered survives the next power cut; recovered again it is the same, bytes too; it goes on from there,
    and what was appended is there at the third look."""
    place.die(wal)
    once = segments_of(place.files())
    again = None
    try:
        again = place.open(max_segment_size=16_384)
        if again.tail_state != walogs.Clean() or again.recovery_report.verdict != "clean":
            tally.wrong.append(f"{name}: the second open still found {again.tail_state}")
        if list(again) != entries:
            tally.wrong.append(f"{name}: the second open had other entries")
        if segments_of(place.files()) != once:
            tally.wrong.append(f"{name}: the second open changed what the first had left")
        following = entries[-1][0] + 1 if entries else again.next_lsn
        if again.append(AFTER) != following or again.next_lsn != following + 1:
            tally.wrong.append(f"{name}: the next entry was not {following}")
        place.die(again)
        again = place.open(max_segment_size=16_384)
        if list(again) != [*entries, (following, AFTER)]:
            tally.wrong.append(f"{name}: after an append, the third open had other entries")
        again.close()
    except (Exception, LawBroken) as error:  # noqa: BLE001  # whatever it is, it is not what the rules say
        tally.wrong.append(f"{name}: looked at again: {error!r}")
        place.die(again)


def segments_of(files: Files) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name != DURABLE_MARK}
