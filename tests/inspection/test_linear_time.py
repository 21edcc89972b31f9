"""`verify`, `salvage`, `repair` and the readers take time linear in the bytes, whatever the bytes are.

The tests count the bytes that are read, and the bytes that the codec checks.
"""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from typing_extensions import Buffer

import walogs
from tests.kit.logs import FRAME_HEADER, HEADER, salt_of
from walogs.assembly.opening import source_of
from walogs.cli.cat import selected_entries
from walogs.cli.log_argument import NamedLog
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.defaults.local_store import LocalStore
from walogs.formats.crc32 import crc32
from walogs.inspection import scan as scan_module
from walogs.inspection.scan import Frame, frames_of

CHUNK: Final = 4096
"""A small chunk, so that segments of many chunks are small too."""
SIZES: Final = (1 << 15, 1 << 17)
READ_MAX: Final = 100
CHECKED_MAX: Final = 60
"""At most this many times the bytes of the segment, at any size. A verb reads them a few times in several passes."""

ENTRIES, SEAL, CHECKPOINT = 1, 2, 3


class CountingStore(LocalStore):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.bytes_read = 0

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        data = super().read(number, start, end)
        self.bytes_read += len(data)
        return data


class CountingCodec(Crc32Codec):
    def __init__(self) -> None:
        self.bytes_checked = 0

    def check(self, header: bytes, stored: Buffer) -> bytes:
        self.bytes_checked += memoryview(stored).nbytes
        return super().check(header, stored)


def header_of(
    salt: int,
    offset: int,
    body_bytes: int,
    lsn: int,
    *,
    kind: int = ENTRIES,
    link: bytes = bytes(8),
    synced: int = HEADER,
) -> bytes:
    count = int(kind == ENTRIES)
    head = struct.pack("<HBBIQQ8sIII", 0x57D7, kind, 0, body_bytes, lsn, 1, link, count, offset, synced)
    return head + struct.pack("<I", crc32(head, salt))


def intact_frame(salt: int, offset: int, lsn: int, data: bytes, after: bytes = b"") -> bytes:
    """Return an intact frame. It says that it was written after *after*, which is a frame of one entry."""
    link = after[FRAME_HEADER + len(data) :][:4].ljust(8, b"\0")
    header = header_of(salt, offset, len(data) + 4, lsn, link=link)
    check = crc32(data, int.from_bytes(header[44:], "little")).to_bytes(4, "little")
    return (header + data + check).ljust((len(header) + len(data) + 4 + 7) & -8, b"\0")


def claims_to_the_end(salt: int, start: int, size: int) -> Iterator[bytes]:
    """Yield only headers. Each claims the rest of the segment, and says that everything before it was synced."""
    for lsn, at in enumerate(range(start, size - 56, 48), 2):
        yield header_of(salt, at, size - at - 48, lsn, synced=at)


def claims_of_much(salt: int, start: int, size: int) -> Iterator[bytes]:
    """Yield headers that claim as many bytes as the scan reads ahead, or a few more."""
    for lsn, at in enumerate(range(start, size - 56, 48), 2):
        yield header_of(salt, at, min(size - at - 48, (CHUNK // 2, CHUNK - 48, 3 * CHUNK)[lsn % 3]), lsn, synced=at)


def claims_of_checkpoints(salt: int, start: int, size: int) -> Iterator[bytes]:
    for lsn, at in enumerate(range(start, size - 56, 48), 2):
        yield header_of(salt, at, size - at - 48, 1, kind=CHECKPOINT if lsn % 2 else SEAL)


def bad_bodies(salt: int, start: int, size: int) -> Iterator[bytes]:
    """Yield small frames with damaged bodies. The next frame says that they were synced."""
    for lsn, at in enumerate(range(start, size - 72, 72), 2):
        yield header_of(salt, at, 20, lsn, synced=at) + b"\1" * 24


def many_holes(salt: int, start: int, size: int) -> Iterator[bytes]:
    """Yield intact frames with damaged bytes before each."""
    frame = b""
    for lsn, at in enumerate(range(start, size - 128, 128), 3):
        frame = intact_frame(salt, at, lsn, b"data", frame)
        yield frame + b"\1" * 72


def many_zeros(salt: int, start: int, size: int) -> Iterator[bytes]:
    """Yield intact frames with zeros before each."""
    frame = b""
    for lsn, at in enumerate(range(start, size - 128, 128), 3):
        frame = intact_frame(salt, at, lsn, b"data", frame)
        yield frame + bytes(72)


def frames_before_claims(salt: int, start: int, size: int) -> Iterator[bytes]:
    """Yield intact frames, each followed by a header that claims the rest."""
    for lsn, at in enumerate(range(start, size - 128, 104), 2):
        yield intact_frame(salt, at, 2 * lsn, b"1234") + header_of(salt, at + 56, size - at - 104, 2 * lsn + 1)


def magic_alone(salt: int, start: int, size: int) -> Iterator[bytes]:
    """Yield the beginning of a header at each offset where a header can be."""
    yield b"\xd7\x57\1\0\0\0\0\0" * ((size - start) // 8)


HOSTILE: Final = {
    made.__name__: made
    for made in (
        claims_to_the_end,
        claims_of_much,
        claims_of_checkpoints,
        bad_bodies,
        many_holes,
        many_zeros,
        frames_before_claims,
        magic_alone,
    )
}


def hostile_log(path: Path, made: Callable[[int, int, int], Iterator[bytes]], size: int) -> Path:
    """Make a log whose only segment holds an entry, and then those bytes. Nothing else says what they are."""
    with walogs.open(path, max_segment_size=None) as wal:
        wal.append(b"first")
    segment = path / "wal-000001.log"
    start = HEADER + 64
    beginning = segment.read_bytes()[:start]
    content = beginning + b"".join(made(salt_of(beginning), start, size))
    segment.write_bytes(content[:size].ljust(size, b"\1"))
    (path / "DURABLE").unlink()
    return path


VERBS: Final[dict[str, Callable[..., object]]] = {
    "verify": walogs.verify,
    "salvage": lambda **log: list(walogs.salvage(**log)),
    "repair": lambda **log: walogs.repair(dry_run=True, **log),
    "repair, after": lambda **log: walogs.repair(dry_run=True, keep="after", **log),
    "open": lambda **log: walogs.open(**log).close(),
    "reader": lambda **log: list(walogs.reader(visibility="written", **log)),
    "cat": lambda **log: list(
        selected_entries(
            NamedLog(path=None, config=walogs.WalConfig(**log), name="log", words="log"),
            None,
            None,
            0,
            "written",
            follow=False,
        )
    ),
}


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_read_and_checked_grows_with_the_bytes_and_no_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, verb: str
) -> None:
    for module in ("walogs.inspection.scan", "walogs.engine.frame_reader", "walogs.engine.segment_scan"):
        monkeypatch.setattr(f"{module}.CHUNK_BYTES", CHUNK)
    for size in SIZES:
        path = hostile_log(tmp_path / str(size), HOSTILE[kind], size)
        store, codec = CountingStore(path), CountingCodec()
        with contextlib.suppress(walogs.WalError):
            VERBS[verb](store=store, codec=codec)
        if verb in ("verify", "salvage", "repair", "repair, after"):
            assert store.bytes_read > size // 2, "the bytes were looked at"
        assert store.bytes_read <= READ_MAX * size, f"{store.bytes_read / size:.0f} times the segment was read"
        assert codec.bytes_checked <= CHECKED_MAX * size, f"{codec.bytes_checked / size:.0f} times was checked"


# No frame of an honest writer is taken for damage


def intact_offsets(path: Path) -> list[int]:
    source = source_of(path, walogs.WalConfig())
    found = frames_of(source, source.header(1))
    return [frame.header.offset for frame in found if isinstance(frame, Frame)]


def without_bounds(path: Path) -> list[int]:
    """Return the same offsets, found by checking the claim of every header. That can take quadratic time."""
    source = source_of(path, walogs.WalConfig())
    segment, content, form = source.header(1), source.store.read(1), source.format
    offsets, at = [], HEADER
    while at < len(content):
        header = form.header_at(content, at, at, segment.salt)
        is_here = isinstance(header, scan_module.FrameHeader) and form.frame_end(header) - 7 <= len(content)
        if is_here and form.check_at(content, at, header, source.codec):
            if header.kind == ENTRIES:
                offsets.append(at)
            at = form.frame_end(header)
        else:
            at += 8
    return offsets


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize("seed", range(30))
def test_in_random_damage_every_intact_frame_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(scan_module, "CHUNK_BYTES", CHUNK)
    rng = random.Random(seed)
    with walogs.open(tmp_path, max_segment_size=None, sync="none") as wal:
        for _ in range(200):
            wal.append_batch([rng.randbytes(rng.choice((0, 5, 60, 700, 2500))) for _ in range(rng.choice((1, 1, 4)))])
    segment = tmp_path / "wal-000001.log"
    content = bytearray(segment.read_bytes())
    for _ in range(rng.choice((1, 5, 40, 200))):
        at = rng.randrange(HEADER, len(content))
        kind = rng.choice(("flip", "zeros", "noise", "moved"))
        length = 1 if kind == "flip" else rng.choice((1, 40, 512, 5000))
        old = bytes(content[at : at + length])
        source = rng.randrange(HEADER, len(content))
        content[at : at + length] = {
            "flip": bytes(byte ^ 1 << rng.randrange(8) for byte in old),
            "zeros": bytes(len(old)),
            "noise": rng.randbytes(len(old)),
            "moved": bytes(content[source : source + len(old)]).ljust(len(old), b"\0"),
        }[kind]
    segment.write_bytes(content)
    assert intact_offsets(tmp_path) == without_bounds(tmp_path)


@pytest.mark.guarantee("G6", "G16")
def test_claims_that_cover_them_do_not_hide_intact_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are found even after failed checks have used up their limit."""
    monkeypatch.setattr(scan_module, "CHUNK_BYTES", CHUNK)
    size = SIZES[1]

    def made(salt: int, start: int, size: int) -> Iterator[bytes]:
        middle = start + (size - start) // 96 * 48 - 48 * 100
        for lsn, at in enumerate(range(start, middle, 48), 2):
            yield header_of(salt, at, size - at - 48, lsn)
        at = middle + (-middle) % 8
        yield bytes(at - middle)
        frame = b""
        for lsn in range(10_000, 10_200):
            frame = intact_frame(salt, at, lsn, b"honest %d" % lsn * 3, frame)
            at += len(frame)
            yield frame

    found = list(walogs.salvage(hostile_log(tmp_path, made, size)))
    lsns = [entry.lsn for entry in found if isinstance(entry, walogs.Entry)]
    assert lsns == [1, *range(10_000, 10_200)]


@pytest.mark.guarantee("G6")
def test_an_entry_that_holds_a_frame_of_its_own_segment_is_an_entry(tmp_path: Path) -> None:
    """A program that reads the log can append bytes that look like a frame of it."""
    with walogs.open(tmp_path) as wal:
        wal.append(b"first")
        salt = salt_of((tmp_path / "wal-000001.log").read_bytes())
        inner = HEADER + 64 + FRAME_HEADER
        wal.append(b"".join(intact_frame(salt, inner + 56 * n, 77 + n, b"fake") for n in range(20)))
        wal.append(b"third, damaged")
    segment = tmp_path / "wal-000001.log"
    segment.write_bytes(segment.read_bytes().replace(b"third, damaged", b"third, dAmaged"))
    found = list(walogs.salvage(tmp_path))
    assert [item.lsn for item in found if isinstance(item, walogs.Entry)] == [1, 2]


# Bugs, planted


def test_a_scan_that_checks_every_claim_is_seen_when_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_module, "FAILED_BYTES_FACTOR", 1 << 40)
    with pytest.raises(AssertionError, match="times"):
        test_what_is_read_and_checked_grows_with_the_bytes_and_no_faster(
            tmp_path, monkeypatch, "claims_to_the_end", "salvage"
        )


def test_a_bound_that_is_no_more_than_a_bound_is_seen_when_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module.Scan, "_is_worth_a_check", lambda self, header: self._failed_bytes_left > 0)
    with pytest.raises(AssertionError):
        test_claims_that_cover_them_do_not_hide_intact_frames(tmp_path, monkeypatch)
