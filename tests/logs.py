"""A log's directory as a test sees it: made, damaged, cut, reopened, looked at byte by byte.

What is known of the bytes here comes from the tables of docs/format.md alone, never from the library's own parser: a
mistake there must not vouch for itself.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from zlib import crc32

import pytest

import walogs

SECTOR: Final = 512
HEADER: Final = 512
"""Bytes of a segment header."""
RESERVE: Final = 4096
FRAME_HEADER: Final = 40
ENTRIES, SEAL, CHECKPOINT = 1, 2, 3
WITNESS: Final = "DURABLE"

Files = Mapping[str, bytes]
"""A directory: names and contents."""
Entries = list[tuple[int, bytes]]
"""LSNs and data."""

_FRAME: Final = struct.Struct("<HBBIQQIII")
_WITNESS: Final = struct.Struct("<8s16sQQQII4x")


class Frame(NamedTuple):
    """One frame, as it lies in a segment."""

    kind: int
    offset: int
    body_bytes: int
    first_lsn: int
    entries: int
    synced: int
    time_ns: int

    @property
    def body_end(self) -> int:
        """After the check, before the padding."""
        return self.offset + FRAME_HEADER + self.body_bytes

    @property
    def end(self) -> int:
        return self.body_end + -self.body_bytes % 8


def segment_name(number: int) -> str:
    return f"wal-{number:06d}.log"


def numbers_in(files: Files) -> list[int]:
    """The segments, ascending."""
    return sorted(int(name[4:-4]) for name in files if name.startswith("wal-") and name.endswith(".log"))


def salt_of(segment: bytes) -> int:
    (salt,) = struct.unpack_from("<I", segment, 12)
    return int(salt)


def first_lsn_of(segment: bytes) -> int:
    (lsn,) = struct.unpack_from("<Q", segment, 64)
    return int(lsn)


def base_lsn_of(segment: bytes) -> int:
    (lsn,) = struct.unpack_from("<Q", segment, 72)
    return int(lsn)


def frames_of(segment: bytes) -> list[Frame]:
    """The frames whose headers stand end to end from the beginning; bodies are not looked at."""
    found: list[Frame] = []
    offset, salt = HEADER, salt_of(segment)
    while offset + FRAME_HEADER <= len(segment):
        magic, kind, _, size, lsn, time_ns, count, own, synced = _FRAME.unpack_from(segment, offset)
        (crc,) = struct.unpack_from("<I", segment, offset + 36)
        if (magic, own) != (0x57D7, offset) or crc != crc32(segment[offset : offset + 36], salt):
            break
        found.append(Frame(kind, offset, size, lsn, count, synced, time_ns))
        offset = found[-1].end
    return found


def frame_bytes(
    salt: int,
    offset: int,
    body: bytes,
    *,
    kind: int = ENTRIES,
    flags: int = 0,
    first_lsn: int = 1,
    entries: int = 1,
    synced: int = HEADER,
    time_ns: int = 1,
    body_bytes: int | None = None,
) -> bytes:
    """A whole frame, header CRC and check right, whatever else is said in it."""
    size = len(body) + 4 if body_bytes is None else body_bytes
    head = _FRAME.pack(0x57D7, kind, flags, size, first_lsn, time_ns, entries, offset, synced)
    seed = crc32(head, salt)
    whole = head + struct.pack("<I", seed) + body + struct.pack("<I", crc32(body, seed))
    return whole + bytes(-len(whole) % 8)


def batch_body(*entries: bytes, offsets: list[int] | None = None) -> bytes:
    """The body of a frame with several entries; with another table of offsets if one is given."""
    if offsets is None:
        offsets = [sum(map(len, entries[:count])) for count in range(len(entries) + 1)]
    return struct.pack(f"<{len(offsets)}I", *offsets) + b"".join(entries)


def with_header(segment: bytes, at: int, data: bytes) -> bytes:
    """The segment with other bytes in its header, whose CRC is right."""
    changed = bytearray(segment)
    changed[at : at + len(data)] = data
    changed[508:512] = struct.pack("<I", crc32(changed[:508]))
    return bytes(changed)


class WitnessSeen(NamedTuple):
    segment: int
    synced: int
    last_lsn: int
    is_clean: bool


def witness_seen(data: bytes | None) -> WitnessSeen | None:
    """What the witness says; None: there is none, or it is garbled."""
    if data is None or len(data) < 64 or crc32(data[:60]).to_bytes(4, "little") != data[60:64]:
        return None
    _, _, segment, synced, last_lsn, _, flags = _WITNESS.unpack_from(data)
    return WitnessSeen(segment, synced, last_lsn, bool(flags & 1))


def crate_frame(lsn: int, data: bytes) -> bytes:
    """A frame of the Rust crate: length, CRC-32 over length, LSN and data, LSN, data."""
    length, number = struct.pack("<I", len(data)), struct.pack("<Q", lsn)
    return length + struct.pack("<I", crc32(length + number + data)) + number + data


def numbered(first_lsn: int, *data: bytes) -> Entries:
    return list(enumerate(data, first_lsn))


def with_byte(content: bytes, at: int, flipped_bits: int) -> bytes:
    return content[:at] + bytes([content[at] ^ flipped_bits]) + content[at + 1 :]


def zeroed(content: bytes, start: int, end: int) -> bytes:
    """The same length, [start, end) zero."""
    end = min(end, len(content))
    return content[:start] + bytes(end - start) + content[end:]


class Look(NamedTuple):
    """One file, by hash and by the time it was last written."""

    digest: str
    size: int
    mtime_ns: int


class LogOnDisk:
    """A log in a real directory, and the options it is opened with. What changes it returns it, so that calls chain."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.options = options

    # As its users do

    def open(self, **overrides: Any) -> walogs.Wal:
        return walogs.open(self.path, **{**self.options, **overrides})

    def append(self, *entries: bytes, batch: bool = False) -> Self:
        """One commit an entry, or one for all; then a clean close."""
        with self.open() as wal:
            if batch:
                wal.append_batch(entries)
            else:
                for entry in entries:
                    wal.append(entry)
        return self

    def append_and_die(self, *entries: bytes) -> Self:
        """One commit an entry; then the process is killed: what it had written stays as it is."""
        with self.open() as wal:
            for entry in entries:
                wal.append(entry)
            left = self.files()
        return self.put(left)

    def entries(self, **overrides: Any) -> Entries:
        """Open, read all, close."""
        with self.open(**overrides) as wal:
            return list(wal)

    def copy(self, to: Path) -> LogOnDisk:
        shutil.copytree(self.path, to)
        return LogOnDisk(to, **self.options)

    # As a disk, or a careless hand, does

    def segment(self, number: int) -> Path:
        return self.path / segment_name(number)

    @property
    def witness(self) -> Path:
        return self.path / WITNESS

    def numbers(self) -> list[int]:
        return numbers_in(dict.fromkeys((path.name for path in self.path.glob("wal-*.log")), b""))

    def frames(self, number: int) -> list[Frame]:
        return frames_of(self.segment(number).read_bytes())

    def files(self) -> dict[str, bytes]:
        """Segments and witness."""
        return {path.name: path.read_bytes() for path in sorted(self.path.iterdir()) if path.name != "LOCK"}

    def put(self, files: Files) -> Self:
        """Exactly these segments and this witness."""
        self.path.mkdir(parents=True, exist_ok=True)
        for path in self.path.iterdir():
            if path.name != "LOCK" and path.name not in files:
                path.unlink()
        for name, content in files.items():
            (self.path / name).write_bytes(content)
        return self

    def overwrite(self, number: int, offset: int, data: bytes) -> Self:
        with self.segment(number).open("r+b") as file:
            file.seek(offset)
            file.write(data)
        return self

    def flip(self, number: int, offset: int, bits: int = 1) -> Self:
        self.segment(number).write_bytes(with_byte(self.segment(number).read_bytes(), offset, bits))
        return self

    def cut(self, number: int, size: int) -> Self:
        with self.segment(number).open("r+b") as file:
            file.truncate(size)
        return self

    def reheader(self, number: int, at: int, data: bytes) -> Self:
        """Other bytes in a segment's header, under a CRC that is right."""
        self.segment(number).write_bytes(with_header(self.segment(number).read_bytes(), at, data))
        return self

    def add_frame(self, number: int, body: bytes, **fields: Any) -> Self:
        """A frame that this format could hold, right after the last one."""
        segment = self.segment(number).read_bytes()
        frames = frames_of(segment)
        end = frames[-1].end if frames else HEADER
        following = sum(frame.entries for frame in frames) + first_lsn_of(segment)
        given = {"first_lsn": following, "synced": end, "time_ns": 2**62, **fields}
        frame = frame_bytes(salt_of(segment), end, body, **given)
        return self.overwrite(number, end, frame)

    def forget_witness(self) -> Self:
        self.witness.unlink(missing_ok=True)
        return self

    # What a refusal must leave alone

    def looks(self) -> dict[str, Look]:
        """Every file but LOCK: a refused open may have made that one."""
        return {
            path.name: Look(hashlib.sha256(path.read_bytes()).hexdigest(), status.st_size, status.st_mtime_ns)
            for path in sorted(self.path.iterdir())
            if path.name != "LOCK" and path.is_file() and (status := path.lstat())
        }

    def refuses(self, error: type[BaseException], *phrases: str, **overrides: Any) -> pytest.ExceptionInfo[Any]:
        """Opening raises *error*, whose message has each phrase, and changes no byte and no mtime; twice the same."""
        before = self.looks()
        for _ in range(2):
            with pytest.raises(error) as refused:
                self.open(**overrides).close()
            assert self.looks() == before, "a refusal changed something"
            text = "\n".join([str(refused.value), *getattr(refused.value, "__notes__", [])])
            print(f"{type(refused.value).__name__}: {text}")
            missing = [phrase for phrase in phrases if phrase not in text]
            assert not missing, f"{missing} not in: {text}"
        return refused

    def goes_on(self, expected: Entries, **overrides: Any) -> None:
        """It opens with these entries, takes another, and has them all when it is opened again, and once more."""
        assert self.entries(**overrides) == expected
        with self.open() as wal:
            assert list(wal) == expected
            added = (wal.append(b"appended after it"), b"appended after it")
        assert self.entries() == [*expected, added]
        assert self.entries() == [*expected, added]


def described(files: Files) -> str:
    """A directory in words, for messages and expectation files."""
    lines = {}
    for number in numbers_in(files):
        content = files[segment_name(number)]
        lines[segment_name(number)] = {
            "bytes": len(content),
            "salt": salt_of(content),
            "log": str(uuid.UUID(bytes=content[16:32])),
            "frames": [list(frame) for frame in frames_of(content)],
        }
    return json.dumps(lines, indent=1)


__all__ = [
    "CHECKPOINT",
    "ENTRIES",
    "FRAME_HEADER",
    "HEADER",
    "RESERVE",
    "SEAL",
    "SECTOR",
    "WITNESS",
    "Entries",
    "Files",
    "Frame",
    "LogOnDisk",
    "Look",
    "WitnessSeen",
    "base_lsn_of",
    "batch_body",
    "crate_frame",
    "described",
    "first_lsn_of",
    "frame_bytes",
    "frames_of",
    "numbered",
    "numbers_in",
    "salt_of",
    "segment_name",
    "with_byte",
    "with_header",
    "witness_seen",
    "zeroed",
]
