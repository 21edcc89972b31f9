"""Damage a small log. Flip bits, zero or misplace each sector, cut at each byte, add suffixes. Each state is named."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final

from tests.crash.small_logs import SmallLog
from tests.kit.logs import DURABLE_MARK, SECTOR, frame_bytes, numbers_in, salt_of, segment_name, with_byte, zeroed

State = tuple[str, dict[str, bytes]]
"""What was done, and the directory then."""
Change = tuple[str, str, Callable[[bytes], bytes | None]]
"""What is done, to which file, and how; None: the file is gone."""


def states(kind: str, log: SmallLog, step: int = 1) -> Iterator[State]:
    """Every *step*-th state of this kind of damage. With an odd step, every bit of a byte has its turn."""
    return applied(log, itertools.islice(DAMAGE[kind](log), step // 2, None, step))


def applied(log: SmallLog, changes: Iterable[Change]) -> Iterator[State]:
    for name, file, change in changes:
        yield name, log.with_file(file, change(log.files[file]))


def extent(log: SmallLog, name: str, beyond: int) -> int:
    """How much of a file is worth damaging: to the end of its frames, and so many bytes beyond."""
    size = len(log.files[name])
    return size if name == DURABLE_MARK else min(size, log.end(int(name[4:-4])) + beyond)


def flips(log: SmallLog) -> Iterator[Change]:
    """Every single bit."""
    for name in log.files:
        for at, bit in itertools.product(range(extent(log, name, 24)), range(8)):
            yield f"bit {bit} of byte {at} of {name} flipped", name, partial(with_byte, at=at, flipped_bits=1 << bit)


def zeroed_sectors(log: SmallLog) -> Iterator[Change]:
    """Every sector that is not zero already."""
    for name, content in log.files.items():
        for start in range(0, extent(log, name, SECTOR), SECTOR):
            if any(content[start : start + SECTOR]):
                yield (
                    f"sector {start // SECTOR} of {name} zeroed",
                    name,
                    partial(zeroed, start=start, end=start + SECTOR),
                )


def sectors_astray(log: SmallLog) -> Iterator[Change]:
    """Every sector overwritten with another of the log's, and every two of a segment exchanged."""
    places = [
        (name, start)
        for name in log.files
        if name != DURABLE_MARK
        for start in range(0, extent(log, name, SECTOR), SECTOR)
        if start + SECTOR <= len(log.files[name])
    ]
    for (name, start), (other, source) in itertools.permutations(places, 2):
        mine, moved = log.files[name][start : start + SECTOR], log.files[other][source : source + SECTOR]
        if moved != mine:
            what = f"sector {start // SECTOR} of {name}"
            overwritten = partial(overwrite, at=start, data=moved)
            yield f"{what} overwritten with sector {source // SECTOR} of {other}", name, overwritten
            if name == other and start < source:
                exchanged = overwrite(overwrite(log.files[name], start, moved), source, mine)
                yield f"{what} exchanged with sector {source // SECTOR}", name, partial(becomes, data=exchanged)


def cuts(log: SmallLog) -> Iterator[Change]:
    """Every length of every file, and zeros from every byte on."""
    for name, content in log.files.items():
        used = len(content.rstrip(b"\0"))
        for size in range(extent(log, name, 24) + 1):
            if size < len(content):
                yield f"{name} cut to {size} bytes", name, partial(cut, size=size)
            if size < used:
                yield f"{name} zero from byte {size} on", name, partial(zeroed, start=size, end=len(content))


def losses(log: SmallLog) -> Iterator[Change]:
    """Every file gone, empty, or with the content of another segment."""
    for name in log.files:
        yield f"{name} gone", name, lambda _: None
        yield f"{name} empty", name, partial(becomes, data=b"")
    for one, other in itertools.permutations(map(segment_name, numbers_in(log.files)), 2):
        yield f"{one} is a copy of {other}", one, partial(becomes, data=log.files[other])


def suffixes(log: SmallLog) -> Iterator[Change]:
    """Zeros and garbage after the end, within the file and making it longer."""
    name = segment_name(log.newest)
    size, end = len(log.files[name]), log.end(log.newest)
    for count in (1, 7, 8, 511, 512, 4096, 70_000):
        yield f"{count} zeros after {name}", name, partial(longer, data=bytes(count))
    for what, data in garbage(log).items():
        for at in sorted({end, end + 8, end + 3, end + 512, size - 1, size, size + 5000}):
            yield f"{what} at byte {at} of {name}", name, partial(overwrite, at=at, data=data)
    for number in numbers_in(log.files)[:-1]:
        for what, data in garbage(log).items():
            yield f"{what} after {segment_name(number)}", segment_name(number), partial(longer, data=data)


def garbage(log: SmallLog) -> dict[str, bytes]:
    """What can be found after the end of a log."""
    rng = random.Random(11)
    newest = log.files[segment_name(log.newest)]
    end = log.end(log.newest)
    own = newest[SECTOR:end]
    following = log.entries[-1][0] + 1 if log.entries else 1
    stranger = frame_bytes(rng.getrandbits(32), end, b"of another segment", first_lsn=following, synced=end)
    elsewhere = frame_bytes(salt_of(newest), end + 2048, b"of another place", synced=end + 2048)
    return {
        "one byte": b"\1",
        "random": rng.randbytes(700),
        "random, after a gap": bytes(40) + rng.randbytes(100),
        "the letter a": b"a" * 1500,
        "ones": b"\xff" * 600,
        "frame magic": b"\xd7\x57" * 300,
        "half a frame header": newest[SECTOR : SECTOR + 20],
        "this log's frames": own,
        "this log's frames, after a gap": bytes(8) + own,
        "this segment": newest[: end + 8],
        "a frame of another segment": stranger,
        "a frame of another place": elsewhere,
        "text": b"disk quota exceeded\n" * 20,
    }


def overwrite(content: bytes, at: int, data: bytes) -> bytes:
    """Longer where it must be, by zeros."""
    return content[:at].ljust(at, b"\0") + data + content[at + len(data) :]


def becomes(_: bytes, data: bytes) -> bytes:
    return data


def cut(content: bytes, size: int) -> bytes:
    return content[:size]


def longer(content: bytes, data: bytes) -> bytes:
    return content + data


DAMAGE: Final[dict[str, Callable[[SmallLog], Iterator[Change]]]] = {
    "flips": flips,
    "zeroed sectors": zeroed_sectors,
    "sectors astray": sectors_astray,
    "cuts": cuts,
    "losses": losses,
    "suffixes": suffixes,
}
