"""Random logs, and what can become of their files: lives of writers, and damage of every kind."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

import walogs
from tests.crash.small_logs import abandon, files_on, opened
from tests.kit.logs import (
    CHECKPOINT,
    DURABLE_MARK,
    SEAL,
    SECTOR,
    Files,
    Frame,
    frames_of,
    numbers_in,
    segment_name,
    with_byte,
    zeroed,
)
from walogs.formats import durable_mark
from walogs.testing import MemoryDisk

SIZES: Final = (0, 1, 4, 20, 20, 24, 90, 300, 468, 700)


@dataclass
class Life:
    """A directory, and everything that was ever appended to it, or to a copy of it that went on by itself."""

    files: dict[str, bytes]
    appended: dict[int, set[bytes]]
    earlier: list[dict[str, bytes]] = field(default_factory=list)
    """The directory as it was at other moments, or in that copy."""

    def could_be(self, lsn: int, data: bytes) -> bool:
        return data in self.appended.get(lsn, set())


def lived(rng: random.Random) -> Life:
    """Appends, batches, rotations, checkpoints, closes, kills and losses of power, as chance has it."""
    disk, life = MemoryDisk(), Life({}, {})
    turns(disk, life, rng, rng.randrange(3, 40))
    if rng.random() < 0.25:
        copy = disk.clone()
        turns(copy, life, rng, rng.randrange(1, 8))
        life.earlier.append(files_on(copy))
        turns(disk, life, rng, rng.randrange(1, 8))
    life.files = files_on(disk)
    return life


def turns(disk: MemoryDisk, life: Life, rng: random.Random, count: int) -> None:
    wal = begun(disk, rng)
    for _ in range(count):
        what = rng.choice(("append",) * 8 + ("batch", "batch", "rotate", "checkpoint", "close", "kill", "power"))
        if what in ("append", "batch"):
            entries = [some_data(rng) for _ in range(rng.randrange(1, 5) if what == "batch" else 1)]
            for lsn, data in enumerate(entries, wal.append_batch(entries)[0]):
                life.appended.setdefault(lsn, set()).add(data)
        elif what == "rotate":
            wal.rotate()
        elif what == "checkpoint":
            checkpoints(wal, rng, rng.choice((1, 1, 2, 3)))
        else:
            life.earlier.append(files_on(disk))
            ended(wal, disk, rng, what)
            wal = begun(disk, rng)
    if rng.random() < 0.3:
        checkpoints(wal, rng, 4)
    ended(wal, disk, rng, rng.choice(("close", "kill", "kill", "power")))


def checkpoints(wal: walogs.Wal, rng: random.Random, count: int) -> None:
    """So many, one further than the other."""
    for lsn in sorted(rng.randrange(wal.first_lsn, wal.next_lsn + 1) for _ in range(count)):
        wal.checkpoint(lsn)


def begun(disk: MemoryDisk, rng: random.Random) -> walogs.Wal:
    policy, size = rng.choice(("fdatasync", "fdatasync", "none")), rng.choice((700, 1400, 5000))
    return opened(disk, rng.getrandbits(32), sync=policy, max_segment_size=size)


def ended(wal: walogs.Wal, disk: MemoryDisk, rng: random.Random, how: str) -> None:
    if how == "close":
        wal.close()
        return
    if how == "power":
        disk.power_cut(rng, rng.choice((0.0, 0.5, 1.0)))
    abandon(wal, disk)


def some_data(rng: random.Random) -> bytes:
    size = rng.choice(SIZES)
    return rng.choice((rng.randbytes(size), bytes(size), b"%08d " % rng.randrange(10**8) * (size // 9)))


# Damage

KINDS: Final = ("flip",) * 2 + ("sector",) * 2 + ("junk", "cut", "zeros", "gone", "swap", "copy", "older", "more")
AIMED: Final = ("a frame", "a frame", "a CHECKPOINT", "the end", "below the first LSN")
"""Faults that chance alone would meet too seldom."""


def damaged(life: Life, rng: random.Random) -> tuple[dict[str, bytes], list[str]]:
    """(the directory then, what was done to it)."""
    files = dict(life.files)
    done = [durable_mark_as_it_may_be(files, life, rng)]
    done += (one_fault(files, life, rng) for _ in range(rng.choice((0, 1, 1, 1, 2, 3))))
    return files, [what for what in done if what]


def durable_mark_as_it_may_be(files: dict[str, bytes], life: Life, rng: random.Random) -> str:
    """A loss of power leaves it behind, or it cannot be written, or it goes."""
    how = rng.choice(("exact", "exact", "gone", "older", "garbled", "elsewhere"))
    older = [earlier[DURABLE_MARK] for earlier in life.earlier if DURABLE_MARK in earlier]
    if how == "gone":
        files.pop(DURABLE_MARK, None)
    elif how == "older" and older:
        files[DURABLE_MARK] = rng.choice(older)
    elif how == "elsewhere" and (mark := durable_mark.decode(files.get(DURABLE_MARK))) is not None:
        synced = rng.randrange(mark.synced + 1)
        last_lsn = rng.randrange(mark.last_lsn + 1)
        files[DURABLE_MARK] = durable_mark.encode(mark.log_id, mark.segment, synced, last_lsn, mark.salt, mark.link)
    elif how == "garbled" and DURABLE_MARK in files:
        files[DURABLE_MARK] = with_byte(files[DURABLE_MARK], rng.randrange(64), 1 << rng.randrange(8))
    return f"the durable mark is {how}" if how != "exact" else ""


def one_fault(files: dict[str, bytes], life: Life, rng: random.Random) -> str:
    """Somewhere in a segment, most often where something is."""
    if not numbers_in(files):
        return ""
    is_rare = len(late_checkpoints(files[segment_name(numbers_in(files)[-1])])) > 1
    if rng.random() < (0.7 if is_rare else 0.35):
        return aimed_fault(files, life, rng)
    name = segment_name(rng.choice(numbers_in(files)))
    content = files[name]
    used = len(content.rstrip(b"\0"))
    at = rng.randrange(max(used + 9, 1)) if rng.random() < 0.9 else rng.randrange(len(content) + 1)
    at = min(at, len(content))
    sector = at // SECTOR * SECTOR
    kind = rng.choice(
        ("flip", "flip", "sector", "sector", "junk", "cut", "zeros", "gone", "swap", "copy", "older", "more")
    )
    if kind == "flip" and content:
        at = min(at, len(content) - 1)
        files[name] = with_byte(content, at, 1 << rng.randrange(8))
    elif kind == "sector":
        files[name] = zeroed(content, sector, sector + SECTOR)
    elif kind == "junk":
        files[name] = (content[:sector] + rng.randbytes(SECTOR) + content[sector + SECTOR :])[: len(content)]
    elif kind == "cut":
        files[name] = content[:at]
    elif kind == "zeros":
        files[name] = zeroed(content, at, len(content))
    elif kind == "gone":
        del files[name]
    elif kind == "swap":
        other = segment_name(rng.choice(numbers_in(files)))
        files[name], files[other] = files[other], files[name]
        return f"{name} and {other} are exchanged"
    elif kind == "copy":
        files[name] = files[segment_name(rng.choice(numbers_in(files)))]
    elif kind == "older":
        candidates = [earlier[name] for earlier in life.earlier if name in earlier]
        files[name] = rng.choice(candidates) if candidates else content
    elif kind == "more":
        files[name] = content + rng.choice((bytes(700), rng.randbytes(300), content[SECTOR : SECTOR + 300]))
    return f"{kind} at {at} of {name}"


def aimed_fault(files: dict[str, bytes], life: Life, rng: random.Random) -> str:
    """Where the rules have their edges."""
    newest = segment_name(numbers_in(files)[-1])
    late = late_checkpoints(files[newest])
    kind = "a late CHECKPOINT" if len(late) > 1 else rng.choice(AIMED)
    if kind == "a frame":  # all of it reads as zeros, in the newest segment
        frame = rng.choice([*frames_in(files[newest]), None])
        if frame is not None:
            files[newest] = zeroed(files[newest], frame.offset, frame.offset + max(64, frame.end - frame.offset))
    elif kind == "a CHECKPOINT":
        found = [(name, frame) for name in map(segment_name, numbers_in(files)) for frame in frames_in(files[name])]
        found = [(name, frame) for name, frame in found if frame.kind == CHECKPOINT]
        for name, frame in rng.sample(found, min(1, len(found))):
            files[name] = with_byte(files[name], frame.offset + rng.randrange(44), 1)
    elif kind == "a late CHECKPOINT":
        files[newest] = with_bit_of(files[newest], late[0], rng)
    elif kind == "the end":  # the newest segment is gone with the durable mark, and the SEAL before it is damaged
        files.pop(DURABLE_MARK, None)
        del files[newest]
        for name in map(segment_name, numbers_in(files)[-1:]):
            for frame in frames_in(files[name])[-1:]:
                if frame.kind == SEAL:
                    files[name] = with_bit_of(files[name], frame, rng)
    else:  # an interrupted checkpoint left a segment there, and that is damaged
        files.pop(DURABLE_MARK, None)  # with it a reader begins behind the CHECKPOINT that has the first LSN
        lowest = numbers_in(files)[0]
        left = (segment_name(lowest - 1), segment_name(lowest - 2))
        for name, content in ((name, earlier[name]) for earlier in life.earlier for name in left if earlier.get(name)):
            files[name] = with_byte(content, rng.randrange(len(content)), 1) if rng.random() < 0.5 else content[:300]
    return f"{kind} is damaged"


def with_bit_of(segment: bytes, frame: Frame, rng: random.Random) -> bytes:
    """Return the segment with a bit of this frame changed. An earlier fault may have cut the frame's end off."""
    return with_byte(segment, rng.randrange(frame.offset, min(frame.body_end, len(segment))), 1)


def late_checkpoints(segment: bytes) -> list[Frame]:
    """Return the CHECKPOINTs that no entry follows.

    Of two, the last has the first LSN. If the durable mark is past both, nobody needs the first of them.
    """
    frames = frames_in(segment)
    last = max((frame.offset for frame in frames if frame.entries), default=0)
    return [frame for frame in frames if frame.kind == CHECKPOINT and frame.offset > last]


def frames_in(segment: bytes) -> list[Frame]:
    return frames_of(segment) if len(segment) >= SECTOR else []


def described(files: Files) -> str:
    return ", ".join(f"{name}: {len(content)}" for name, content in sorted(files.items()))
