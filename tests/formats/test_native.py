"""Format 1, byte by byte: what is written stands where the tables say, and any bytes read give a documented result."""

from __future__ import annotations

import struct
import tracemalloc
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.codecs import DeflateCodec
from tests.kit.logs import frame_bytes
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.errors import UnsupportedFormat
from walogs.formats import native
from walogs.formats.native import NativeFormat
from walogs.formats.segment_format import FrameHeader, Kind, Malformed, RunIndex, Seal, SegmentHeader, StopReason

FORMAT = NativeFormat()
CODEC = Crc32Codec()
SALT = 0x0BADF00D
LINK = b"\1before\2"
HEADER = SegmentHeader(
    number=7,
    first_lsn=1207,
    log_first_lsn=1000,
    epoch=3,
    log_id=bytes(range(16)),
    writer_id=bytes(range(16, 32)),
    salt=SALT,
    previous_salt=0xFEEDBEEF,
    previous_link=b"the link",
    created_ns=1_700_000_000_123_456_789,
    codec_name="crc32",
    codec_parameters=b'{"a":1}',
)

HEADING = b"\xd7\x57" + bytes(42)
"""Of the frame whose check a segment's header holds, all but its CRC."""

u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
nonzero32, nonzero63 = st.integers(1, 2**32 - 1), st.integers(1, 2**63 - 1)
headers = st.builds(
    SegmentHeader,
    number=st.integers(1, 2**63 - 2),
    first_lsn=nonzero63,
    log_first_lsn=nonzero63,
    epoch=st.integers(1, 2**63 - 2),
    log_id=st.binary(min_size=16, max_size=16),
    writer_id=st.binary(min_size=16, max_size=16),
    salt=nonzero32,
    previous_salt=u32,
    previous_link=st.binary(min_size=8, max_size=8),
    created_ns=st.integers(0, 2**63 - 1),
    codec_name=st.text(min_size=1, max_size=15).filter(lambda name: len(name.encode("utf-8", "ignore")) <= 63),
    codec_parameters=st.binary(max_size=214),
    is_fence=st.booleans(),
    is_checkpoint=st.booleans(),
    writer_name=st.text(max_size=15).filter(lambda name: len(name.encode("utf-8", "ignore")) <= 63),
).filter(lambda header: encodable(header.codec_name + header.writer_name) and header.log_first_lsn <= header.first_lsn)
entries = st.lists(st.binary(max_size=200), min_size=1, max_size=20)


def encodable(name: str) -> bool:
    try:
        return 0 < len(name.encode()) <= 63
    except UnicodeEncodeError:
        return False


@contextmanager
def little_memory(at_most: int) -> Iterator[None]:
    """Whatever is read, no more than this is allocated on the way."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= at_most, f"{peak} bytes"


def entries_frame(
    salt: int,
    offset: int,
    synced: int,
    lsn: int,
    count: int,
    time_ns: int,
    body: bytes,
    codec: Any = CODEC,
    link: bytes = LINK,
) -> bytes:
    """A frame with entries, whose link is as it was said to be."""
    frame, own_link = FORMAT.encode_entries(salt, offset, synced, link, lsn, count, time_ns, body, codec)
    end = 48 + len(body) + codec.check_bytes
    assert own_link == frame[end - codec.check_bytes : end][:8].ljust(8, b"\0")
    return bytes(frame)


# Segment headers


@pytest.mark.guarantee("G20")
def test_a_segment_header_lies_as_the_table_says() -> None:
    data = FORMAT.encode_header(HEADER, CODEC)
    assert len(data) == 512
    assert data[0:8] == b"\x89WALOG\r\n"
    assert struct.unpack_from("<HHI", data, 8) == (1, 0, SALT)
    assert (data[16:32], data[32:48]) == (HEADER.log_id, HEADER.writer_id)
    assert struct.unpack_from("<QQQQ8sQI", data, 48) == (7, 3, 1207, 1000, b"the link", HEADER.created_ns, 0xFEEDBEEF)
    assert data[100:164] == b"\x05crc32".ljust(64, b"\0")
    assert data[164:444] == (b"\x07\x00" + b'{"a":1}').ljust(280, b"\0")
    assert data[444:508] == struct.pack("<I", crc32(data[:444], crc32(HEADING, SALT))).ljust(64, b"\0")
    assert struct.unpack_from("<I", data, 508) == (crc32(data[:508]),)


@pytest.mark.parametrize(("fence", "checkpoint", "flags"), [(False, False, 0), (True, False, 1), (False, True, 2)])
def test_the_flags_of_a_header(fence: bool, checkpoint: bool, flags: int) -> None:
    data = FORMAT.encode_header(HEADER._replace(is_fence=fence, is_checkpoint=checkpoint), CODEC)
    assert struct.unpack_from("<H", data, 10) == (flags,)


@pytest.mark.guarantee("G20")
@given(headers)
def test_a_header_is_read_as_it_was_written(header: SegmentHeader) -> None:
    data = FORMAT.encode_header(header, CODEC)
    assert FORMAT.decode_header(data) == header
    assert FORMAT.decode_header(data + b"frames follow") == header


@pytest.mark.parametrize(
    "change",
    [{"codec_name": "x" * 64}, {"codec_name": ""}, {"codec_name": "ü" * 32}, {"codec_parameters": bytes(279)}],
)
def test_what_does_not_fit_a_header_is_never_cut_to_fit(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed, match="do not fit"):
        FORMAT.encode_header(HEADER._replace(**change), CODEC)


@pytest.mark.guarantee("G6")
def test_every_flipped_bit_of_a_header_is_seen() -> None:
    data = FORMAT.encode_header(HEADER, CODEC)
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Malformed):
            FORMAT.decode_header(bytes(flipped))


@pytest.mark.guarantee("G6")
def test_every_header_cut_short_is_seen() -> None:
    data = FORMAT.encode_header(HEADER, CODEC)
    for size in range(512):
        with pytest.raises(Malformed):
            FORMAT.decode_header(data[:size])


@pytest.mark.guarantee("G16", "G20")
@given(st.binary(min_size=500, max_size=600) | st.binary(max_size=20), st.booleans(), st.booleans())
def test_any_bytes_are_a_header_or_an_error_of_ours(data: bytes, is_magic: bool, is_checked: bool) -> None:
    if is_magic:
        data = native.MAGIC + data[8:]
    if is_checked and len(data) >= 512:
        data = data[:508] + struct.pack("<I", crc32(data[:508])) + data[512:]
    try:
        header = FORMAT.decode_header(data)
    except (Malformed, UnsupportedFormat):
        return
    assert header.salt
    assert header.first_lsn


@pytest.mark.guarantee("G16", "G20")
@given(headers, u16, u16, st.lists(st.tuples(st.integers(12, 507), st.integers(0, 255)), max_size=8))
def test_a_header_of_another_release_is_never_taken_for_damage(
    header: SegmentHeader, version: int, flags: int, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(FORMAT.encode_header(header, CODEC))
    for at, value in changes:
        data[at] = value
    data[8:12] = struct.pack("<HH", version, flags)
    data[508:] = struct.pack("<I", crc32(data[:508]))
    if version != 1:
        with pytest.raises(UnsupportedFormat, match=f"version {version}") as refused:
            FORMAT.decode_header(bytes(data))
        assert refused.value.found == str(version)
    elif flags > 3:
        with pytest.raises(UnsupportedFormat, match="flags"):
            FORMAT.decode_header(bytes(data))
    else:
        try:
            FORMAT.decode_header(bytes(data))
        except Malformed:
            assert changes


@pytest.mark.guarantee("G6", "G20")
@pytest.mark.parametrize("codec", [CODEC, DeflateCodec()], ids=["crc32", "deflate"])
def test_a_header_holds_the_check_of_its_codec(codec: Any) -> None:
    """Of another codec's check, or of one that a codec made for another header, nobody says that it is right."""
    data = FORMAT.encode_header(HEADER, codec)
    check = codec.check(HEADING + struct.pack("<I", crc32(HEADING, SALT)), data[:444])
    assert data[444:508] == check.ljust(64, b"\0")
    assert FORMAT.is_header_of(data, HEADER, codec)
    for at in (12, 80, 444, 444 + codec.check_bytes, 507):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 : 508]
        again = changed + struct.pack("<I", crc32(changed))
        assert not FORMAT.is_header_of(again, FORMAT.decode_header(again), codec), at


# Frames


@pytest.mark.guarantee("G20")
def test_a_frame_lies_as_the_table_says() -> None:
    data = entries_frame(SALT, 512, 512, 9, 1, 1_234, b"hello", CODEC)
    assert data[:44] == struct.pack("<HBBIQQ8sIII", 0x57D7, 1, 0, 9, 9, 1_234, LINK, 1, 512, 512)
    assert data[:2] == b"\xd7\x57"
    (seed,) = struct.unpack_from("<I", data, 44)
    assert seed == crc32(data[:44], SALT)
    assert data[48:53] == b"hello"
    assert struct.unpack_from("<I", data, 53) == (crc32(b"hello", seed),)
    assert data[57:] == bytes(7)
    assert data == frame_bytes(SALT, 512, b"hello", first_lsn=9, time_ns=1_234, link=LINK)


@pytest.mark.guarantee("G20")
def test_a_checkpoint_lies_as_the_table_says() -> None:
    data = FORMAT.encode_checkpoint(SALT, 1024, 600, LINK, 77, 5, CODEC)
    assert data[:44] == struct.pack("<HBBIQQ8sIII", 0x57D7, 3, 0, 4, 77, 5, LINK, 0, 1024, 600)
    (seed,) = struct.unpack_from("<I", data, 44)
    assert struct.unpack_from("<I", data, 48) == (crc32(b"", seed),)
    assert data[52:] == bytes(4)


def runs_without_lengths(offsets: list[int], first_lsns: list[int], crcs: list[int]) -> RunIndex:
    return RunIndex.of(offsets, first_lsns, array("I", crcs), [None] * len(crcs))


def sealed(offset: int = 2048) -> tuple[SegmentHeader, Seal]:
    runs = runs_without_lengths([512, 1024], [1207, 1210], [11, 22])
    times = {"first_commit_ns": 100, "last_commit_ns": 200}
    return HEADER, Seal(offset=offset, end=0, frames=5, entries=8, last_lsn=1214, link=LINK, runs=runs, **times)


@pytest.mark.guarantee("G20")
def test_a_seal_lies_as_the_table_says() -> None:
    header, seal = sealed()
    data = FORMAT.encode_seal(header, 2000, seal, CODEC)
    body = (
        struct.pack("<IIQQqq", 5, 2, 8, 1214, 100, 200)
        + struct.pack("<III", 512, 0, 11)
        + struct.pack("<III", 1024, 3, 22)
    )
    assert data[:44] == struct.pack("<HBBIQQ8sIII", 0x57D7, 2, 0, len(body) + 12, 1215, 200, LINK, 0, 2048, 2000)
    (seed,) = struct.unpack_from("<I", data, 44)
    assert data[48 : 48 + len(body)] == body
    after = data[48 + len(body) :]
    assert after[:12] == struct.pack("<I", crc32(body, seed)) + struct.pack("<I", 2048) + b"SEAL"
    assert not any(after[12:])
    assert len(data) % 8 == 0


@pytest.mark.guarantee("G20")
def test_a_batch_lies_as_an_arrow_binary_array_does() -> None:
    assert FORMAT.body([b"alone"]) == b"alone"
    assert FORMAT.body([b"ab", b"", b"cde"]) == struct.pack("<4I", 0, 2, 2, 5) + b"abcde"


@given(entries)
def test_the_length_of_a_body_is_known_before_it_is_made(data: list[bytes]) -> None:
    body = FORMAT.body(data)
    assert len(body) == FORMAT.body_bytes(len(data), sum(map(len, data)))
    assert FORMAT.split(body, len(data)) == data


@given(entries, st.sampled_from([CODEC, DeflateCodec()]), u32, u32, u64, u64, st.integers(0, 1 << 20))
def test_a_frame_is_read_as_it_was_written(
    data: list[bytes], codec: Any, salt: int, synced: int, lsn: int, time_ns: int, at: int
) -> None:
    body, offset = FORMAT.body(data), at * 8
    frame = entries_frame(salt, offset, synced, lsn, len(data), time_ns, body, codec)
    assert len(frame) == FORMAT.frame_bytes(len(body), codec.check_bytes)
    header = FORMAT.header_at(b"before" + frame, 6, offset, salt)
    assert header == FrameHeader(
        kind=1,
        flags=0,
        body_bytes=len(body) + codec.check_bytes,
        first_lsn=lsn,
        time_ns=time_ns,
        entries=len(data),
        offset=offset,
        synced=synced,
        link=LINK,
    )
    assert isinstance(header, FrameHeader)
    assert FORMAT.frame_end(header) == offset + len(frame)
    assert FORMAT.check_at(frame, 0, header, codec)
    assert bytes(FORMAT.stored(frame, 0, header, codec.check_bytes)) == body
    assert FORMAT.payloads(frame, codec.check_bytes) == data
    assert list(FORMAT.headers(frame)) == [(header, 0)]
    end = 48 + header.body_bytes
    assert FORMAT.link_at(frame, 0, header, codec.check_bytes) == frame[end - codec.check_bytes : end].ljust(8, b"\0")


@given(st.lists(entries, min_size=1, max_size=8))
def test_a_run_of_frames_is_taken_apart_as_it_was_put_together(commits: list[list[bytes]]) -> None:
    run = b""
    for number, data in enumerate(commits):
        if number % 3 == 2:
            run += FORMAT.encode_checkpoint(SALT, 512 + len(run), 512, LINK, 1, 1, CODEC)
        run += entries_frame(SALT, 512 + len(run), 512, 1, len(data), 1, FORMAT.body(data), CODEC)
    assert FORMAT.payloads(run, 4) == [entry for data in commits for entry in data]
    found = list(FORMAT.headers(run))
    assert [header.entries for header, _ in found if header.kind == 1] == list(map(len, commits))
    assert all(header == FORMAT.header_at(run, at, 512 + at, SALT) for header, at in found)
    assert [header for header, _ in found] == list(FORMAT.headers_in(run, 0, 512, SALT))


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("codec", [CODEC, DeflateCodec()], ids=["crc32", "deflate"])
@pytest.mark.parametrize("make", [
    lambda codec: entries_frame(SALT, 512, 512, 9, 1, 5, b"hello", codec),
    lambda codec: entries_frame(SALT, 512, 512, 9, 1, 5, b"", codec),
    lambda codec: entries_frame(SALT, 512, 512, 9, 3, 5, FORMAT.body([b"a", b"", b"c" * 90]), codec),
    lambda codec: FORMAT.encode_checkpoint(SALT, 512, 512, LINK, 9, 5, codec),
    lambda codec: FORMAT.encode_seal(HEADER, 512, sealed()[1]._replace(offset=512), codec),
], ids=["entry", "empty entry", "batch", "CHECKPOINT", "SEAL"])  # fmt: skip
def test_every_flipped_bit_of_a_frame_is_seen(make: Callable[[Any], bytes], codec: Any) -> None:
    frame = make(codec)
    header = FORMAT.header_at(frame, 0, 512, SALT)
    assert isinstance(header, FrameHeader)
    end = 48 + header.body_bytes - (8 if header.kind == 2 else 0)  # a SEAL's trailer is for finding it
    for bit in range(len(frame) * 8):
        flipped = bytearray(frame)
        flipped[bit // 8] ^= 1 << bit % 8
        found = FORMAT.header_at(bytes(flipped), 0, 512, SALT)
        is_intact = isinstance(found, FrameHeader) and FORMAT.check_at(bytes(flipped), 0, found, codec)
        assert is_intact == (bit // 8 >= end), bit


@pytest.mark.guarantee("G6")
def test_a_body_does_not_verify_under_another_frame_s_header() -> None:
    """A CRC over data and its own CRC is a constant: a check that was begun over the header's bytes would hold here."""
    body, seen = b"the same body", set()
    for lsn in range(1, 1001):
        frame = entries_frame(SALT, 512, 512, lsn, 1, 5, body, CODEC)
        other = entries_frame(SALT, 512, 512, lsn + 1, 1, 5, body, CODEC)
        seen.add(frame[48 + len(body) :][:4])
        mixed = frame[:48] + other[48:]
        header = FORMAT.header_at(mixed, 0, 512, SALT)
        assert isinstance(header, FrameHeader)
        assert not FORMAT.check_at(mixed, 0, header, CODEC)
    assert len(seen) == 1000


def test_intact_frames_follow_on_from_one_link() -> None:
    """Three frames, and in the middle one that was written after another first: as good in itself, and not what was
    there."""
    run, link, ends, links = b"", LINK, [0], [LINK]
    for lsn in (1, 2, 3):
        frame = entries_frame(SALT, 512 + len(run), 512, lsn, 1, 5, b"entry %d" % lsn, CODEC, link)
        run, link = run + frame, FORMAT.link_at(frame, 0, header_of(frame, 512 + len(run)), 4)
        ends, links = [*ends, len(run)], [*links, link]
    whole = FORMAT.intact(run, 0, 512, SALT, 1, LINK, 1 << 20, CODEC)
    assert (whole.frames, whole.end, whole.link) == (3, len(run), links[3])
    assert FORMAT.intact(run, 0, 512, SALT, 1, None, 1 << 20, CODEC) == whole
    assert FORMAT.intact(run, 0, 512, SALT, 1, b"another.", 1 << 20, CODEC).frames == 0
    later = FORMAT.intact(run, ends[1], 512 + ends[1], SALT, 2, None, 1 << 20, CODEC)
    assert (later.frames, later.link) == (2, links[3])
    other = entries_frame(SALT, 512 + ends[1], 512, 2, 1, 5, b"entry B", CODEC, links[1])
    mixed = FORMAT.intact(run[: ends[1]] + other + run[ends[2] :], 0, 512, SALT, 1, LINK, 1 << 20, CODEC)
    assert (mixed.frames, mixed.end) == (2, ends[2])


def header_of(frame: bytes, offset: int) -> FrameHeader:
    header = FORMAT.header_at(frame, 0, offset, SALT)
    assert isinstance(header, FrameHeader)
    return header


@given(st.binary(max_size=300), u32, u32, st.integers(0, 1 << 20), st.integers(0, 1 << 20))
def test_a_frame_of_another_segment_or_place_is_none(data: bytes, salt: int, other: int, at: int, there: int) -> None:
    frame = entries_frame(salt, at * 8, 512, 1, 1, 1, data, CODEC)
    if other != salt:
        assert FORMAT.header_at(frame, 0, at * 8, other) is StopReason.NOT_A_FRAME
    if there != at:
        assert FORMAT.header_at(frame, 0, there * 8, salt) is StopReason.NOT_A_FRAME


@given(u32, st.integers(0, 1 << 29))
def test_zeros_are_never_a_frame(salt: int, at: int) -> None:
    assert FORMAT.header_at(bytes(64), 0, at * 8, salt) is StopReason.NOT_A_FRAME


@pytest.mark.guarantee("G16")
@given(st.binary(max_size=200), st.integers(0, 220), u32, u32, st.booleans())
def test_any_bytes_are_a_frame_header_or_a_reason(
    data: bytes, index: int, offset: int, salt: int, is_forged: bool
) -> None:
    if is_forged and len(data) >= 48:
        head = b"\xd7\x57" + data[2:36] + struct.pack("<I", offset) + data[40:44]
        data = head + struct.pack("<I", crc32(head, salt)) + data[48:]
        index = 0
    found = FORMAT.header_at(data, index, offset, salt)
    if len(data) - index < 48:
        assert found is StopReason.END
    elif isinstance(found, FrameHeader):
        assert found.offset == offset
        with little_memory(100_000):
            intact = FORMAT.check_at(data, index, found, CODEC)
        assert not intact or found.body_bytes <= len(data)
    else:
        assert found is StopReason.NOT_A_FRAME


@pytest.mark.guarantee("G16")
def test_looking_for_headers_takes_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    pristine = NativeFormat.header_at

    def counted(self: NativeFormat, buffer: bytes, index: int, offset: int, salt: int) -> Any:
        looked.append(index)
        return pristine(self, buffer, index, offset, salt)

    monkeypatch.setattr(NativeFormat, "header_at", counted)
    for hostile in (b"\xd7\x57" * 50_000, b"\xd7" * 100_000, b"\xd7\x57\xd7\x57\xd7\x57\xd7\x57" * 12_500):
        looked.clear()
        assert list(FORMAT.headers_in(hostile, 0, 512, SALT)) == []
        assert len(looked) <= len(hostile) / 8 + 1


def test_headers_are_found_wherever_a_frame_can_begin() -> None:
    frame = entries_frame(SALT, 1000, 900, 5, 1, 1, b"x" * 30, CODEC)
    for gap in range(17):
        buffer = b"\xd7" * gap + frame
        found = list(FORMAT.headers_in(buffer, 0, 1000 - gap, SALT))
        assert [header.offset for header in found] == [1000]
        assert list(FORMAT.headers_in(buffer, gap + 1, 1000 - gap, SALT)) == []


# Bodies


@pytest.mark.guarantee("G16")
@given(st.binary(max_size=100), st.integers(1, 2**32 - 1) | st.integers(1, 30))
def test_any_body_is_entries_or_malformed(body: bytes, count: int) -> None:
    with little_memory(100_000):
        try:
            found = FORMAT.split(body, count)
        except Malformed:
            return
    assert len(found) == count
    assert b"".join(found) == (body if count == 1 else body[4 * (count + 1) :])


@pytest.mark.guarantee("G16")
@given(st.lists(st.integers(0, 40) | u32, min_size=2, max_size=8), st.binary(max_size=40))
def test_any_table_of_offsets_is_ascending_or_malformed(offsets: list[int], data: bytes) -> None:
    body = struct.pack(f"<{len(offsets)}I", *offsets) + data
    is_good = offsets[0] == 0 and offsets[-1] == len(data) and offsets == sorted(offsets)
    count = len(offsets) - 1
    if count == 1:
        assert FORMAT.split(body, 1) == [body]
    elif is_good:
        assert list(map(len, FORMAT.split(body, count))) == [b - a for a, b in pairwise(offsets)]
    else:
        with pytest.raises(Malformed):
            FORMAT.split(body, count)


# SEALs


def seal_of(gaps: list[int], lsns: list[int], crcs: list[int], frames: int, times: tuple[int, int], extra: int) -> Seal:
    offsets = list(accumulate((8 * gap for gap in gaps), initial=512))
    found = list(zip(offsets[:-1], accumulate(lsns, initial=HEADER.first_lsn), crcs, strict=False))
    runs = runs_without_lengths(*([run[part] for run in found] for part in range(3)))
    last_lsn = HEADER.first_lsn - 1 + extra
    return Seal(
        offset=offsets[-1],
        end=0,
        frames=frames,
        entries=extra,
        last_lsn=last_lsn,
        first_commit_ns=times[0],
        last_commit_ns=times[1],
        link=LINK,
        runs=runs,
    )


seals = st.builds(
    seal_of,
    st.lists(st.integers(1, 10_000), min_size=0, max_size=20),
    st.lists(st.integers(0, 1000), min_size=20, max_size=20),
    st.lists(u32, min_size=20, max_size=20),
    u32,
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1)),
    st.integers(0, 100_000),
)


@given(seals, u32)
def test_a_seal_is_read_as_it_was_written(seal: Seal, synced: int) -> None:
    data = FORMAT.encode_seal(HEADER, synced, seal, CODEC)
    header = FORMAT.header_at(data, 0, seal.offset, SALT)
    assert isinstance(header, FrameHeader)
    assert (header.kind, header.first_lsn, header.synced) == (Kind.SEAL.value, seal.last_lsn + 1, synced)
    assert FORMAT.check_at(data, 0, header, CODEC)
    assert FORMAT.seal_offset(data.rstrip(b"\0")) == seal.offset
    found = FORMAT.decode_seal(data, 0, header, HEADER.first_lsn, CODEC)
    assert found is not None
    assert found.end == seal.offset + len(data)
    for part in ("offset", "frames", "entries", "last_lsn", "first_commit_ns", "last_commit_ns", "link"):
        assert getattr(found, part) == getattr(seal, part)
    for part in ("offsets", "first_lsns", "crcs"):
        assert getattr(found.runs, part) == getattr(seal.runs, part)


@pytest.mark.guarantee("G16")
def test_every_flipped_bit_and_every_cut_of_a_seal_s_body_makes_it_none() -> None:
    _, seal = sealed()
    data = FORMAT.encode_seal(HEADER, 512, seal, CODEC)
    header = FORMAT.header_at(data, 0, seal.offset, SALT)
    assert isinstance(header, FrameHeader)
    for bit in range(48 * 8, (48 + header.body_bytes) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert FORMAT.decode_seal(bytes(flipped), 0, header, HEADER.first_lsn, CODEC) is None, bit
    for size in range(48 + header.body_bytes):
        assert FORMAT.decode_seal(data[:size], 0, header, HEADER.first_lsn, CODEC) is None, size


@pytest.mark.guarantee("G16")
@given(st.binary(min_size=52, max_size=300), st.integers(0, 400) | u32, u32, u64, u64, st.booleans())
def test_any_bytes_are_a_seal_or_none(
    body: bytes, count: int, seed: int, lsn: int, first_lsn: int, is_checked: bool
) -> None:
    data = bytearray(body)
    data[4:8] = struct.pack("<I", count)
    if is_checked:
        data[-12:] = struct.pack("<II4s", crc32(data[:-12], seed), 1024, b"SEAL")
    header = FrameHeader(
        kind=2, flags=0, body_bytes=len(data), first_lsn=lsn, time_ns=0, entries=0, offset=1024, synced=512, link=LINK
    )
    with little_memory(200_000):
        seal = FORMAT.decode_seal(bytes(44) + struct.pack("<I", seed) + bytes(data), 0, header, first_lsn, CODEC)
    if seal is not None:
        assert is_checked
        assert len(seal.runs) == count
        assert list(seal.runs.offsets) == sorted(set(seal.runs.offsets))
        assert all(512 <= offset < 1024 for offset in seal.runs.offsets)


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize(
    "offsets", [[520, 1024], [512, 512], [1024, 512], [512, 2048], [512, 4096], [512, 1024, 1016], [0, 512]], ids=str
)
def test_a_seal_whose_runs_are_not_in_order_is_none(offsets: list[int]) -> None:
    """Its CRC holds: a writer with a bug made it, and it is only a cache."""
    count = len(offsets)
    runs = runs_without_lengths(offsets, list(range(1207, 1207 + count)), list(range(count)))
    seal = sealed()[1]._replace(runs=runs)
    data = FORMAT.encode_seal(HEADER, 512, seal, CODEC)
    header = FORMAT.header_at(data, 0, seal.offset, SALT)
    assert isinstance(header, FrameHeader)
    assert FORMAT.decode_seal(data, 0, header, HEADER.first_lsn, CODEC) is None


@pytest.mark.guarantee("G16")
def test_a_seal_whose_lsns_do_not_fit_is_none() -> None:
    _, seal = sealed()
    data = FORMAT.encode_seal(HEADER, 512, seal, CODEC)
    header = FORMAT.header_at(data, 0, seal.offset, SALT)
    assert isinstance(header, FrameHeader)
    assert FORMAT.decode_seal(data, 0, header, 2**64 - 1, CODEC) is None


@pytest.mark.guarantee("G16")
@given(st.binary(max_size=20))
def test_any_end_of_a_segment_is_a_seal_s_or_not(tail: bytes) -> None:
    found = FORMAT.seal_offset(tail)
    assert (found is not None) == (len(tail) >= 8 and tail.endswith(b"SEAL"))
    if found is not None:
        assert found == int.from_bytes(tail[-8:-4], "little")


def test_a_frame_can_say_all_that_a_batch_of_the_largest_size_needs() -> None:
    largest = FORMAT.traits.body_bytes_max
    assert FORMAT.frame_bytes(largest, 16) < 2**31
    assert FORMAT.traits.segment_bytes_max < 2**32
