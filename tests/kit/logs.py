"""A log's directory, which a test makes, damages, cuts, reopens and compares byte by byte.

This module knows the bytes from the tables of docs/format.md alone. It does not use the library's parser, because a
mistake there would confirm itself.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from zlib import crc32

import pytest

import walogs

SECTOR: Final = 512
HEADER: Final = 512
"""The bytes of a segment header."""
RESERVE: Final = 4096
FRAME_HEADER: Final = 48
PROOF: Final = slice(444, 508)
"""Where the codec's check stands in a segment header."""
ENTRIES, SEAL, CHECKPOINT = 1, 2, 3
DURABLE_MARK: Final = "DURABLE"

Files = Mapping[str, bytes]
"""The contents of a directory's files, by name."""
Entries = list[tuple[int, bytes]]
"""LSNs and data."""

_FRAME: Final = struct.Struct("<HBBIQQ8sIII")
_DURABLE_MARK: Final = struct.Struct("<8s16sQQQII4x")


class Frame(NamedTuple):
    """One frame, as it lies in a segment."""

    kind: int
    offset: int
    body_bytes: int
    first_lsn: int
    entries: int
    synced: int
    time_ns: int
    link: bytes = bytes(8)

    @property
    def body_end(self) -> int:
        """Return the offset after the check, where the padding begins."""
        return self.offset + FRAME_HEADER + self.body_bytes

    @property
    def end(self) -> int:
        return self.body_end + -self.body_bytes % 8


def segment_name(number: int) -> str:
    return f"wal-{number:06d}.log"


def numbers_in(files: Files) -> list[int]:
    """Return the numbers of the segments, in ascending order."""
    return sorted(int(name[4:-4]) for name in files if name.startswith("wal-") and name.endswith(".log"))


def salt_of(segment: bytes) -> int:
    (salt,) = struct.unpack_from("<I", segment, 12)
    return int(salt)


def first_lsn_of(segment: bytes) -> int:
    (lsn,) = struct.unpack_from("<Q", segment, 64)
    return int(lsn)


def log_first_lsn_of(segment: bytes) -> int:
    (lsn,) = struct.unpack_from("<Q", segment, 72)
    return int(lsn)


def frames_of(segment: bytes) -> list[Frame]:
    """Return the frames whose headers follow one another from the beginning. Their bodies are not checked."""
    found: list[Frame] = []
    offset, salt = HEADER, salt_of(segment)
    while offset + FRAME_HEADER <= len(segment):
        magic, kind, _, size, lsn, time_ns, link, count, own, synced = _FRAME.unpack_from(segment, offset)
        (crc,) = struct.unpack_from("<I", segment, offset + 44)
        if (magic, own) != (0x57D7, offset) or crc != crc32(segment[offset : offset + 44], salt):
            break
        found.append(
            Frame(
                kind=kind,
                offset=offset,
                body_bytes=size,
                first_lsn=lsn,
                entries=count,
                synced=synced,
                time_ns=time_ns,
                link=link,
            )
        )
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
    link: bytes = bytes(8),
) -> bytes:
    """Return a whole frame with a right header CRC and check, whatever its fields say."""
    size = len(body) + 4 if body_bytes is None else body_bytes
    head = _FRAME.pack(0x57D7, kind, flags, size, first_lsn, time_ns, link, entries, offset, synced)
    seed = crc32(head, salt)
    whole = head + struct.pack("<I", seed) + body + struct.pack("<I", crc32(body, seed))
    return whole + bytes(-len(whole) % 8)


def batch_body(*entries: bytes, offsets: list[int] | None = None) -> bytes:
    """Return the body of a frame with several entries. *offsets* replaces the right table of offsets."""
    if offsets is None:
        offsets = [sum(map(len, entries[:count])) for count in range(len(entries) + 1)]
    return struct.pack(f"<{len(offsets)}I", *offsets) + b"".join(entries)


def with_header(segment: bytes, at: int, data: bytes) -> bytes:
    """Return the segment with other bytes in its header, and with the CRC and the CRC-32 check of the new header."""
    changed = bytearray(segment)
    changed[at : at + len(data)] = data
    heading = struct.pack("<H", 0x57D7) + bytes(42)
    check = struct.pack("<I", crc32(changed[:444], crc32(heading, salt_of(changed))))
    changed[PROOF] = check.ljust(64, b"\0")
    changed[508:512] = struct.pack("<I", crc32(changed[:508]))
    return bytes(changed)


def link_after(segment: bytes, end: int = sys.maxsize) -> bytes:
    """Return the link that a frame at *end* must hold, where checks have 4 bytes."""
    with_entries = [frame for frame in frames_of(segment) if frame.kind == ENTRIES and frame.end <= end]
    if not with_entries:
        return segment[80:88]
    return segment[with_entries[-1].body_end - 4 : with_entries[-1].body_end].ljust(8, b"\0")


class DurableMarkSeen(NamedTuple):
    segment: int
    synced: int
    last_lsn: int
    is_clean: bool


def durable_mark_seen(data: bytes | None) -> DurableMarkSeen | None:
    """Return what the durable mark says, or None if there is none or it is garbled."""
    if data is None or len(data) < 64 or crc32(data[:60]).to_bytes(4, "little") != data[60:64]:
        return None
    _, _, segment, synced, last_lsn, _, flags = _DURABLE_MARK.unpack_from(data)
    return DurableMarkSeen(segment=segment, synced=synced, last_lsn=last_lsn, is_clean=bool(flags & 1))


def crate_frame(lsn: int, data: bytes) -> bytes:
    """Return a frame of the Rust crate: length, CRC-32 (over length, LSN and data), LSN, data."""
    length, number = struct.pack("<I", len(data)), struct.pack("<Q", lsn)
    return length + struct.pack("<I", crc32(length + number + data)) + number + data


def numbered(first_lsn: int, *data: bytes) -> Entries:
    return list(enumerate(data, first_lsn))


def with_byte(content: bytes, at: int, flipped_bits: int) -> bytes:
    return content[:at] + bytes([content[at] ^ flipped_bits]) + content[at + 1 :]


def zeroed(content: bytes, start: int, end: int) -> bytes:
    """Return *content* with zeros in [start, end)."""
    end = min(end, len(content))
    return content[:start] + bytes(end - start) + content[end:]


class Look(NamedTuple):
    """The hash of one file, and the time when it was last written."""

    digest: str
    size: int
    mtime_ns: int


class LogOnDisk:
    """A log in a real directory, and the options to open it with. Methods that change it return it, so calls chain."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.options = options

    # As its users do

    def open(self, **overrides: Any) -> walogs.Wal:
        return walogs.open(self.path, **{**self.options, **overrides})

    def append(self, *entries: bytes, batch: bool = False) -> Self:
        """Append each entry in a commit of its own, or all of them as one batch; then close the log."""
        with self.open() as wal:
            if batch:
                wal.append_batch(entries)
            else:
                for entry in entries:
                    wal.append(entry)
        return self

    def append_and_die(self, *entries: bytes) -> Self:
        """Append each entry in a commit of its own, and then leave the files as a killed process leaves them."""
        with self.open() as wal:
            for entry in entries:
                wal.append(entry)
            left = self.files()
        return self.put(left)

    def entries(self, **overrides: Any) -> Entries:
        """Open the log, read all entries, and close it."""
        with self.open(**overrides) as wal:
            return list(wal)

    def copy(self, to: Path) -> LogOnDisk:
        shutil.copytree(self.path, to)
        return LogOnDisk(to, **self.options)

    # As a disk, or a careless hand, does

    def segment(self, number: int) -> Path:
        return self.path / segment_name(number)

    @property
    def durable_mark(self) -> Path:
        return self.path / DURABLE_MARK

    def numbers(self) -> list[int]:
        return numbers_in(dict.fromkeys((path.name for path in self.path.glob("wal-*.log")), b""))

    def frames(self, number: int) -> list[Frame]:
        return frames_of(self.segment(number).read_bytes())

    def files(self) -> dict[str, bytes]:
        """Return the segments and the durable mark."""
        return {path.name: path.read_bytes() for path in sorted(self.path.iterdir()) if path.name != "LOCK"}

    def put(self, files: Files) -> Self:
        """Make the directory hold exactly these segments and this durable mark."""
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
        """Replace bytes in a segment's header, and make its CRC right."""
        self.segment(number).write_bytes(with_header(self.segment(number).read_bytes(), at, data))
        return self

    def add_frame(self, number: int, body: bytes, **fields: Any) -> Self:
        """Add a frame with a right CRC and check after the last one."""
        segment = self.segment(number).read_bytes()
        frames = frames_of(segment)
        end = frames[-1].end if frames else HEADER
        following = sum(frame.entries for frame in frames) + first_lsn_of(segment)
        link = link_after(segment)
        given = {"first_lsn": following, "synced": end, "time_ns": 2**62, "link": link, **fields}
        frame = frame_bytes(salt_of(segment), end, body, **given)
        return self.overwrite(number, end, frame)

    def forget_durable_mark(self) -> Self:
        self.durable_mark.unlink(missing_ok=True)
        return self

    # What a refusal must leave alone

    def looks(self) -> dict[str, Look]:
        """Look at every file but LOCK, which a refused open may have made."""
        return {
            path.name: Look(hashlib.sha256(path.read_bytes()).hexdigest(), status.st_size, status.st_mtime_ns)
            for path in sorted(self.path.iterdir())
            if path.name != "LOCK" and path.is_file() and (status := path.lstat())
        }

    def refuses(self, error: type[BaseException], *phrases: str, **overrides: Any) -> pytest.ExceptionInfo[Any]:
        """Check twice that opening raises *error*, that its message has each phrase, and that no file is changed."""
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
        """Check that the log opens with these entries, takes another one, and has all of them at the next two opens."""
        assert self.entries(**overrides) == expected
        with self.open() as wal:
            assert list(wal) == expected
            added = (wal.append(b"appended after it"), b"appended after it")
        assert self.entries() == [*expected, added]
        assert self.entries() == [*expected, added]


def described(files: Files) -> str:
    """Describe a directory in words, for messages and for files of expectations."""
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
    "DURABLE_MARK",
    "ENTRIES",
    "FRAME_HEADER",
    "HEADER",
    "RESERVE",
    "SEAL",
    "SECTOR",
    "DurableMarkSeen",
    "Entries",
    "Files",
    "Frame",
    "LogOnDisk",
    "Look",
    "batch_body",
    "crate_frame",
    "described",
    "durable_mark_seen",
    "first_lsn_of",
    "frame_bytes",
    "frames_of",
    "link_after",
    "log_first_lsn_of",
    "numbered",
    "numbers_in",
    "salt_of",
    "segment_name",
    "with_byte",
    "with_header",
    "zeroed",
]
