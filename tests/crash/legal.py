"""Make every state that a crash may leave of writes that were not synced: each sector is old or new (A3)."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import walogs
from tests.crash.damage import State
from tests.crash.small_logs import abandon, files_on, opened, payload, payloads
from tests.crash.sweep import Expected, Place, Tally, judge
from tests.kit.logs import (
    CHECKPOINT,
    DURABLE_MARK,
    FRAME_HEADER,
    HEADER,
    SECTOR,
    Entries,
    Files,
    frames_of,
    numbered,
    numbers_in,
    segment_name,
    zeroed,
)
from walogs.testing import MemoryDisk, SimulatedCrash


class Write(NamedTuple):
    """One write of a segment, not synced."""

    number: int
    offset: int
    data: bytes


@dataclass(frozen=True)
class Moment:
    """A log, and what its writer had written and not synced when it died."""

    name: str
    before: Files
    """As it was when the last sync returned: durable."""
    acknowledged: Entries
    writes: tuple[Write, ...]
    offered: tuple[Entries, ...]
    """What each write holds; nothing for one that is no frame of entries."""
    durable_markes: dict[str, bytes | None]
    """What the durable mark may be after the crash: it is synced now and then, and garbled if the process dies in
    it."""

    def sectors(self) -> list[tuple[str, int, list[bytes]]]:
        """(file, sector, every content it may have, the durable one first)."""
        files = {name: bytearray(content) for name, content in self.before.items()}
        versions: dict[tuple[str, int], list[bytes]] = {}
        for number, offset, data in self.writes:
            name = segment_name(number)
            old = bytes(files[name])
            files[name][offset : offset + len(data)] = data
            for sector in range(offset // SECTOR, -(-(offset + len(data)) // SECTOR)):
                place = slice(sector * SECTOR, (sector + 1) * SECTOR)
                versions.setdefault((name, sector), [old[place]]).append(bytes(files[name][place]))
        return [(name, sector, list(dict.fromkeys(found))) for (name, sector), found in versions.items()]

    def states(self) -> Iterator[State]:
        """Every combination of the sectors' contents, with every durable mark."""
        sectors = self.sectors()
        for chosen in itertools.product(*(range(len(found)) for _, _, found in sectors)):
            files = {name: bytearray(content) for name, content in self.before.items()}
            for (name, sector, found), version in zip(sectors, chosen, strict=True):
                start = sector * SECTOR
                size = len(files[name])
                files[name][start : start + SECTOR] = found[version]
                assert len(files[name]) == size
            for what, content in self.durable_markes.items():
                left = {name: bytes(data) for name, data in files.items() if name != DURABLE_MARK}
                if content is not None:
                    left[DURABLE_MARK] = content
                yield f"{self.name}: sectors {''.join(map(str, chosen))}, durable mark {what}", left

    def expected(self, files: Files) -> Expected:
        """What was acknowledged, and whole commits after it as far as all their bytes are there."""
        entries, first_lsn = list(self.acknowledged), 1
        newest = segment_name(numbers_in(files)[-1])
        frames = frames_of(self.before[newest])
        end = frames[-1].end if frames else HEADER
        for write, offered in zip(self.writes, self.offered, strict=True):
            if segment_name(write.number) != newest:
                continue
            size = FRAME_HEADER + int.from_bytes(write.data[4:8], "little")
            if files[newest][write.offset : write.offset + size] != write.data[:size]:
                continue
            if write.data[2] == CHECKPOINT:  # counts wherever it stands
                first_lsn = int.from_bytes(write.data[8:16], "little")
            if write.offset == end:
                entries += offered
                end += len(write.data)
        entries = [entry for entry in entries if entry[0] >= first_lsn]
        rest = files[newest][end:].rstrip(b"\0")
        if not rest:
            return Expected(entries)
        number = int(newest[4:-4])
        return Expected(
            entries=entries,
            refused="",
            refused_when_read=False,
            tail=walogs.TruncatedAt(number, end, len(rest)),
            verdict="torn",
        )


def moment(
    name: str,
    before: Callable[[walogs.Wal], object],
    during: Callable[[walogs.Wal], object],
    *,
    sync: str = "fdatasync",
    seed: int = 21,
    close_between: bool = False,
    max_segment_size: int = 16_384,
) -> Moment:
    """*before* is synced. Of *during*, nothing is: the log dies at the sync that would make it durable."""
    disk = MemoryDisk()
    durable_markes: dict[str, bytes | None] = {"lost": None}
    wal = opened(disk, seed, sync=sync, max_segment_size=max_segment_size)
    durable_markes["of the beginning"] = disk.cached(DURABLE_MARK)
    before(wal)
    wal.sync()
    if close_between:
        wal.close()
        wal = opened(disk, seed + 1, sync=sync, max_segment_size=max_segment_size)
    acknowledged = list(wal)
    held = files_on(disk)
    writes: list[Write] = []
    store: Any = wal._source.store

    def noted(_: object, number: int, offset: int, data: bytes) -> None:
        writes.append(Write(number, offset, data))
        if data[2] == CHECKPOINT:
            raise SimulatedCrash  # before segments are removed on the strength of it

    store.on_write.append(noted)
    with contextlib.suppress(SimulatedCrash):
        during(wal)
    written = list(wal)
    abandon(wal, disk)
    durable_markes["exact"] = held[DURABLE_MARK]
    durable_markes["garbled"] = held[DURABLE_MARK][:20] + disk.cached(DURABLE_MARK)[20:40] + bytes(24)
    after = {**files_on(disk), DURABLE_MARK: held[DURABLE_MARK]}
    fresh = written[len(acknowledged) :]
    offered: list[Entries] = []
    for write in writes:
        count = int.from_bytes(write.data[32:36], "little")
        offered.append(fresh[:count])
        fresh = fresh[count:]
    assert not fresh
    for write in writes:  # what was written is taken back; what was created, or grew, was durable
        content = after[segment_name(write.number)]
        old = held.get(segment_name(write.number), b"")[write.offset : write.offset + len(write.data)]
        restored = old.ljust(len(write.data), b"\0")
        after[segment_name(write.number)] = (
            content[: write.offset] + restored + content[write.offset + len(write.data) :]
        )
    return Moment(
        name=name,
        before=after,
        acknowledged=acknowledged,
        writes=tuple(writes),
        offered=tuple(offered),
        durable_markes=durable_markes,
    )


def commit_of(count: int, kind: str, sectors: int, end: int, seed: int) -> list[bytes]:
    """Entries of which one frame at *end* touches so many sectors."""
    rng = random.Random(seed)
    last = (end // SECTOR + sectors) * SECTOR
    size = last - end - rng.randrange(48) - FRAME_HEADER - 4 - (4 * (count + 1) if count > 1 else 0)
    if size < count:
        size += 48
    cuts = sorted(rng.randrange(size + 1) for _ in range(count - 1))
    data = payload(kind, size, rng)
    return [data[start:stop] for start, stop in itertools.pairwise([0, *cuts, size])]


def one_commit(kind: str, sectors: int, count: int, seed: int = 31) -> Moment:
    """A commit of so many entries and sectors, after a few that are acknowledged."""
    kept = payloads((30, 0, 333), seed)
    end = HEADER + sum((FRAME_HEADER + len(data) + 4 + 7) & -8 for data in kept)
    commit = commit_of(count, kind, sectors, end, seed)
    made = moment(
        f"{kind}, {sectors} sectors, {count} entries",
        lambda wal: [wal.append(data) for data in kept],
        lambda wal: wal.append_batch(commit),
    )
    assert len(made.sectors()) <= sectors <= 8
    return made


def several_commits(kind: str, sizes: Sequence[int], *, synced_between: bool, seed: int = 41) -> Moment:
    """Commits that nobody has synced, as the policy `none` leaves them."""
    rng = random.Random(seed)
    later = [payload(kind, size, rng) for size in sizes]

    def before(wal: walogs.Wal) -> None:
        wal.append_batch([b"acknowledged", b""])
        if synced_between:
            wal.sync()
            wal.append(b"acknowledged later")

    made = moment(
        f"{kind}, {len(sizes)} commits{', the last sync later' if synced_between else ''}",
        before,
        lambda wal: [wal.append(data) if at % 2 else wal.append_batch([data, b"&"]) for at, data in enumerate(later)],
        sync="none",
    )
    assert len(made.writes) == len(sizes)
    return made


def special(kind: str) -> list[Moment]:
    """Commits at places of their own, and frames that hold no entry."""
    rng = random.Random(51)
    data = payload(kind, 1200, rng)
    some = payloads((60, 500, 5), 52)

    def three(wal: walogs.Wal) -> None:
        for entry in some:
            wal.append(entry)

    def rotated(wal: walogs.Wal) -> None:
        three(wal)
        wal.rotate()

    def checkpointed(wal: walogs.Wal) -> None:
        rotated(wal)
        wal.append(b"in the next")
        wal.checkpoint(3)

    def kept(wal: walogs.Wal) -> None:
        rotated(wal)
        wal.append(b"in the next")

    def kept_to_the_edge(wal: walogs.Wal) -> None:
        rotated(wal)
        wal.append(bytes(SECTOR - 24 - FRAME_HEADER - 4))

    def unsynced_and_checkpoint(wal: walogs.Wal) -> None:
        wal.append(data[:700])
        wal.append(data[700:])
        wal.checkpoint(3)

    return [
        moment(f"{kind}, the first commit of a log", lambda _: None, lambda wal: wal.append(data)),
        moment(f"{kind}, the first commit of a segment", rotated, lambda wal: wal.append_batch([data, b"x"])),
        moment(f"{kind}, after a CHECKPOINT", checkpointed, lambda wal: wal.append(data)),
        moment(f"{kind}, after a clean close", three, lambda wal: wal.append(data), close_between=True),
        moment(f"{kind}, a CHECKPOINT", kept, lambda wal: wal.checkpoint(3)),
        moment(f"{kind}, a CHECKPOINT across two sectors", kept_to_the_edge, lambda wal: wal.checkpoint(3)),
        moment(f"{kind}, a CHECKPOINT after commits", kept, unsynced_and_checkpoint, sync="none"),
    ]


def rotations() -> Iterator[tuple[str, dict[str, bytes], Expected]]:
    """Every state between the commit before a rotation and the one after it; what each must give."""
    data = payloads((60, 700, 300, 5), 61)
    disk = MemoryDisk()
    wal = opened(disk, 62, max_segment_size=16_384)
    for entry in data:
        wal.append(entry)
    before = files_on(disk)
    store: Any = wal._source.store
    seals: list[Write] = []
    store.on_write.append(lambda _, number, offset, written: seals.append(Write(number, offset, written)))
    wal.rotate()
    abandon(wal, disk)
    after = files_on(disk)
    want = Expected(numbered(1, *data))
    old, new = segment_name(1), segment_name(2)
    whole = after[new]
    for what, content in {"empty": b"", "half": whole[:200], "zeros": bytes(len(whole)), "whole": whole}.items():
        yield f"the successor's temporary file is {what}", {**before, f"{new}.tmp": content}, want
    (seal,) = seals
    sealing = Moment(
        name="the SEAL",
        before={**before, new: whole},
        acknowledged=want.entries,
        writes=(seal,),
        offered=([],),
        durable_markes={},
    )
    durable_markes = {"of the old segment": before[DURABLE_MARK], "of the new": after[DURABLE_MARK], "lost": None}
    sealing = Moment(
        name="the SEAL",
        before=sealing.before,
        acknowledged=want.entries,
        writes=(seal,),
        offered=([],),
        durable_markes=durable_markes,
    )
    for name, files in sealing.states():
        yield name, files, want
    trimmed = {**after, DURABLE_MARK: before[DURABLE_MARK]}
    yield "trimmed, and the durable mark of the old segment", trimmed, want
    yield "trimmed, and sealed by zeros", {**after, old: zeroed(after[old], seal.offset, len(after[old]))}, want


def closings() -> Iterator[tuple[str, dict[str, bytes], Expected]]:
    """Every state of a clean close."""
    data = payloads((60, 700, 5), 71)
    disk = MemoryDisk()
    wal = opened(disk, 72, max_segment_size=16_384)
    for entry in data:
        wal.append(entry)
    before = files_on(disk)
    wal.close()
    after = files_on(disk)
    want = Expected(numbered(1, *data))
    name = segment_name(1)
    for content, durable_mark in itertools.product(
        (before[name], after[name]), (before[DURABLE_MARK], after[DURABLE_MARK])
    ):
        if (content, durable_mark) != (before[name], after[DURABLE_MARK]):  # the file is trimmed, durably, first
            yield (
                f"{len(content)} bytes, durable mark {durable_mark[52]}",
                {name: content, DURABLE_MARK: durable_mark},
                want,
            )


def removals() -> Iterator[tuple[str, dict[str, bytes], Expected]]:
    """Every set of segments that a checkpoint may have removed when it was interrupted."""
    data = payloads((500, 600, 400, 300, 20), 81)
    disk = MemoryDisk()
    wal = opened(disk, 82, max_segment_size=600)
    for entry in data:
        wal.append(entry)
    before = files_on(disk)
    wal.checkpoint(3)
    abandon(wal, disk)
    after = files_on(disk)
    want = Expected(numbered(4, *data[3:]))
    gone = sorted(set(before) - set(after))
    assert len(gone) == 3
    for count in range(len(gone) + 1):
        for left in itertools.combinations(gone, count):
            for what, durable_mark in {
                "exact": after[DURABLE_MARK],
                "older": before[DURABLE_MARK],
                "lost": None,
            }.items():
                files = {**after, **{name: before[name] for name in left}}
                if durable_mark is None:
                    del files[DURABLE_MARK]
                else:
                    files[DURABLE_MARK] = durable_mark
                yield f"{left} left, durable mark {what}", files, want


def recovering(files: Files, place: Place, **config: Any) -> Iterator[State]:
    """What a crash in the middle of the recovery of these files may leave: each sector it changes, old or new."""
    place.put(files)
    wal = place.open(max_segment_size=16_384, **config)
    after = place.files()
    place.die(wal)
    changed = [
        (name, start)
        for name, content in files.items()
        if name != DURABLE_MARK
        for start in range(0, len(content), SECTOR)
        if content[start : start + SECTOR] != after[name][start : start + SECTOR]
    ]
    if len(changed) > 8:
        changed = random.Random(len(changed)).sample(changed, 8)
    for chosen in itertools.product((False, True), repeat=len(changed)):
        left = dict(files)
        for (name, start), is_new in zip(changed, chosen, strict=True):
            if is_new:
                content = left[name]
                left[name] = content[:start] + after[name][start : start + SECTOR] + content[start + SECTOR :]
        yield f"recovered but for {chosen.count(False)} of {len(changed)} sectors", left


def crash_sweep(
    states: Iterator[tuple[str, dict[str, bytes], Expected]], tally: Tally, place: Place, **config: Any
) -> Tally:
    """Try each state that a crash may leave: never refused, and exactly what was whole."""
    for name, files, want in states:
        judge(name, files, [want], tally, place, **config)
    return tally


def judged(made: Moment) -> Iterator[tuple[str, dict[str, bytes], Expected]]:
    for name, files in made.states():
        yield name, files, made.expected(files)


__all__: Final = [
    "Moment",
    "closings",
    "crash_sweep",
    "judged",
    "one_commit",
    "recovering",
    "removals",
    "rotations",
    "several_commits",
    "special",
]
