"""Any bytes in the directory give a documented result. Memory is bounded by one frame, and time is linear."""

from __future__ import annotations

import struct
import tracemalloc
from functools import cache
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

import walogs
from tests.crash.small_logs import LOGS, SmallLog
from tests.crash.sweep import ModelPlace
from tests.kit.logs import (
    DURABLE_MARK,
    FRAME_HEADER,
    HEADER,
    frame_bytes,
    frames_of,
    link_after,
    numbers_in,
    salt_of,
    segment_name,
)
from walogs.errors import SegmentNotFound

made = cache(lambda name: LOGS[name]())

edits = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3000) | st.integers(0, 24), st.binary(min_size=1, max_size=60)),
    min_size=1,
    max_size=6,
)


def opened_or_refused(files: dict[str, bytes], **config: str) -> str:
    """What becomes of it; whatever is not documented is raised."""
    place = ModelPlace()
    place.put(files)
    wal = None
    try:
        wal = place.open(max_segment_size=16_384, **config)
        for first in (wal.first_lsn, max(wal.first_lsn, wal.last_lsn - 1)):
            list(wal.iter(first))
        list(wal.commits())
        wal.segments()
        wal.append(b"next")
        wal.rotate()
        wal.checkpoint(wal.last_lsn)
        wal.close()
    except (walogs.Corrupt, walogs.UnsupportedFormat) as refused:
        if wal is None:
            assert place.is_untouched()
            return type(refused).__name__
        return "refused when read"
    finally:
        place.die(wal)
    return "opened"


@pytest.mark.guarantee("G16", "G20")
@given(st.sampled_from(sorted(LOGS)), edits, st.booleans(), st.sampled_from(["acked", "prefix"]), st.booleans())
def test_any_edits_of_a_log_end_in_a_documented_result(
    name: str, changes: list[tuple[int, int, bytes]], checked: bool, recovery: str, durable_mark: bool
) -> None:
    log: SmallLog = made(name)
    files = dict(log.files)
    if not durable_mark:
        del files[DURABLE_MARK]
    names = sorted(files)
    for file, at, data in changes:
        chosen = names[file % len(names)]
        content = bytearray(files[chosen])
        start = min(at, len(content))
        content[start : start + len(data)] = data
        if checked and chosen != DURABLE_MARK and len(content) >= HEADER:
            content[508:512] = struct.pack("<I", crc32(content[:508]))
        files[chosen] = bytes(content)
    opened_or_refused(files, recovery=recovery)


frame_fields = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([1, 1, 1, 2, 3, 0, 4, 255]),
        "flags": st.sampled_from([0, 0, 0, 1]),
        "first_lsn": st.integers(0, 12) | st.sampled_from([2**63, 2**64 - 1]),
        "entries": st.integers(0, 5) | st.sampled_from([2**31, 2**32 - 1]),
        "synced": st.integers(0, 4000) | st.sampled_from([2**32 - 1]),
        "time_ns": st.sampled_from([0, 1, 2**62]),
        "body_bytes": st.none() | st.integers(0, 64) | st.sampled_from([2**31 - 1, 2**32 - 1]),
    }
)


@pytest.mark.guarantee("G16", "G20")
@given(
    st.sampled_from(sorted(LOGS)),
    st.lists(st.tuples(frame_fields, st.binary(max_size=80), st.integers(0, 3)), min_size=1, max_size=5),
    st.sampled_from(["full", "last"]),
    st.booleans(),
)
def test_any_forged_frames_end_in_a_documented_result(
    name: str, forged: list[tuple[dict[str, int], bytes, int]], verify: str, durable_mark: bool
) -> None:
    """Every header CRC and check is right: what they say is not."""
    log: SmallLog = made(name)
    files = dict(log.files)
    if not durable_mark:
        del files[DURABLE_MARK]
    for fields, body, file in forged:
        numbers = numbers_in(files)
        chosen = segment_name(numbers[file % len(numbers)])
        content = files[chosen]
        frames = [frame for frame in frames_of(content) if frame.end < len(content)]
        offset = frames[(len(body) % (len(frames) + 1)) - 1].end if frames else HEADER
        frame = frame_bytes(salt_of(content), offset, body, link=link_after(content, offset), **fields)
        files[chosen] = content[:offset].ljust(offset, b"\0") + frame + content[offset + len(frame) :]
    opened_or_refused(files, verify=verify)


@pytest.mark.guarantee("G16")
@given(
    st.dictionaries(st.integers(1, 4), st.binary(max_size=1500), min_size=1, max_size=3),
    st.none() | st.binary(max_size=80),
)
def test_any_bytes_under_our_names_are_refused(segments: dict[int, bytes], durable_mark: bytes | None) -> None:
    files = {segment_name(number): content for number, content in segments.items()}
    if durable_mark is not None:
        files[DURABLE_MARK] = durable_mark
    assert opened_or_refused(files) in ("Corrupt", "UnsupportedFormat")


@pytest.mark.guarantee("G16")
def test_a_hostile_segment_takes_little_memory() -> None:
    """Bytes that look like frames at every place: headers that lie about their length, magic all over."""
    log: SmallLog = made("singles")
    name = segment_name(1)
    content, end = log.files[name], log.end(1)
    salt = salt_of(content)
    lying = b"".join(
        frame_bytes(salt, at, b"", body_bytes=2**31 - 1, synced=HEADER, first_lsn=99)[:FRAME_HEADER]
        for at in range(end, end + 400_000, FRAME_HEADER)
    )
    for what, hostile in {"zeros": bytes(400_000), "magic": b"\xd7\x57" * 200_000, "lies": lying}.items():
        files = {name: content[:end] + hostile}
        tracemalloc.start()
        assert opened_or_refused(files) == "opened"
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 40 * len(hostile), what


def test_missing_is_never_what_the_caller_sees() -> None:
    """It is what a store says to the engine."""
    log: SmallLog = made("segments")
    for number in numbers_in(log.files):
        try:
            assert opened_or_refused(log.with_file(segment_name(number), None))
        except SegmentNotFound as leaked:
            pytest.fail(str(leaked))
