"""The run index: whole frames, at least 64 KiB of them a run, and the run of any LSN or offset."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from itertools import accumulate, pairwise
from types import FrameType
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.callers import profiled
from tests.kit.signals import looks_for_signals
from walogs.formats.crc32 import crc32 as ours
from walogs.formats.segment_format import NO_LENGTH, RUN_BYTES, RunIndex

frames = st.lists(st.tuples(st.integers(1, 12_000).map(lambda n: 8 * n), st.integers(0, 5)), min_size=1, max_size=40)


def indexed(sizes: list[tuple[int, int]]) -> tuple[RunIndex, bytes, list[int], list[int]]:
    """(the index, the bytes, where each frame begins, its first LSN)."""
    runs, data = RunIndex(), b""
    lsns = list(accumulate((count for _, count in sizes), initial=1))
    offsets = list(accumulate((size for size, _ in sizes), initial=512))
    for number, (size, _) in enumerate(sizes):
        frame = bytes([number % 256]) * size
        runs.add(frame, size, offsets[number], lsns[number])
        data += frame
    return runs, data, offsets, lsns


@given(frames)
def test_runs_are_whole_frames_and_cover_them_all(sizes: list[tuple[int, int]]) -> None:
    runs, data, offsets, lsns = indexed(sizes)
    begins = [*runs.offsets, offsets[-1]]
    assert begins[0] == 512
    assert set(begins) <= set(offsets)
    for number, (start, end) in enumerate(pairwise(begins)):
        assert runs.crcs[number] == crc32(data[start - 512 : end - 512])
        assert runs.first_lsns[number] == lsns[offsets.index(start)]
        assert end - start >= RUN_BYTES or number == len(runs) - 1
    largest = max(size for size, _ in sizes)
    assert all(end - start < RUN_BYTES + largest for start, end in pairwise(begins))


@given(frames)
def test_the_run_of_a_frame_is_found_by_its_lsn_and_its_offset(sizes: list[tuple[int, int]]) -> None:
    runs, _, offsets, lsns = indexed(sizes)
    ends = [*runs.offsets[1:], offsets[-1]]
    for offset, lsn, (_, count) in zip(offsets, lsns, sizes, strict=False):
        at = runs.position_at(offset)
        assert runs.offsets[at] <= offset < ends[at]
        for held in range(lsn, lsn + count):
            holding = runs.position_with(held)
            assert runs.offsets[holding] <= offset < ends[holding]
    assert runs.position_at(0) == runs.position_with(0) == 0


@given(frames)
def test_a_copy_grows_by_itself(sizes: list[tuple[int, int]]) -> None:
    runs, _, offsets, lsns = indexed(sizes)
    twin = runs.copy()
    before = list(runs.offsets), list(runs.first_lsns), list(runs.crcs)
    twin.add(b"frame", 5, offsets[-1], lsns[-1])
    twin.add(b"x" * RUN_BYTES, RUN_BYTES, offsets[-1] + 8, lsns[-1])
    assert (list(runs.offsets), list(runs.first_lsns), list(runs.crcs)) == before
    runs.add(b"frame", 5, offsets[-1], lsns[-1])
    runs.add(b"x" * RUN_BYTES, RUN_BYTES, offsets[-1] + 8, lsns[-1])
    assert (runs.offsets, runs.first_lsns, runs.crcs) == (twin.offsets, twin.first_lsns, twin.crcs)


@given(frames, st.integers(0, 40), st.data())
def test_frames_that_are_kept_give_what_frames_give_that_are_added_at_once(
    sizes: list[tuple[int, int]], looked_at: int, data: st.DataObject
) -> None:
    """In the middle somebody may read, which needs all that was added so far."""
    runs, kept, offset = RunIndex(), RunIndex(), 512
    for number, (size, _) in enumerate(sizes):
        length = data.draw(st.sampled_from((7, 65535, 65536, NO_LENGTH)))
        frame = bytes([number % 256]) * size
        runs.add(frame, size, offset, number + 1, () if length == NO_LENGTH else (length,))
        kept.add_frame(frame, size, offset, number + 1, length)
        offset += size
        assert kept.room == runs.room
        if number == looked_at:
            assert kept.copy().crcs == runs.crcs
    found = kept.updated()
    assert found is kept
    for part in ("offsets", "first_lsns", "crcs", "lengths"):
        assert getattr(found, part) == getattr(runs, part) == getattr(kept.copy(), part)


@given(st.binary(max_size=5000), st.integers(0, 2**32 - 1))
def test_the_crc_is_zlib_s_whichever_library_computes_it(data: bytes, seed: int) -> None:
    assert ours(data, seed) == ours(memoryview(data), seed) == ours(bytearray(data), seed) == crc32(data, seed)


def test_a_copy_does_not_grow_with_its_index() -> None:
    index = RunIndex()
    index.add_frame(bytes(56), 56, 512, 1, 4)
    copied = index.copy()
    index.add_frame(bytes(56), 56, 568, 2, 4)
    assert [found and found.tolist() for found in copied.lengths] == [[4]]
    assert [found and found.tolist() for found in index.updated().lengths] == [[4, 4]]


def test_an_interrupt_leaves_an_index_that_counts_whole_runs_only() -> None:
    """G7: the entries before can still be read."""

    def begin_a_run(at: int) -> bool:
        """Interrupt this at the point *at*. Return whether there is one."""
        index, points, was_delivered = RunIndex(), iter(range(at)), False
        index.add_frame(bytes(RUN_BYTES), RUN_BYTES, 512, 1)

        def interrupt(frame: FrameType, event: str, arg: object) -> None:
            nonlocal was_delivered
            if frame.f_code.co_filename != __file__ and looks_for_signals(frame, event) and next(points, None) is None:
                was_delivered = True
                raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            profiled(lambda: index.add_frame(bytes(56), 56, 512 + RUN_BYTES, 2, 4), interrupt)
        of_copy = index.copy()
        assert len(of_copy) <= min(map(len, (of_copy.first_lsns, of_copy.crcs, of_copy.lengths)))
        return was_delivered

    tried = next(at for at in range(1000) if not begin_a_run(at))
    assert tried >= 5


def test_a_large_frame_that_completes_a_run_is_not_copied() -> None:
    index, large = RunIndex(), bytes(16 << 20)
    index.add_frame(bytes(56), 56, 512, 1, 4)
    tracemalloc.start()
    try:
        index.add_frame(large, len(large), 568, 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert index.crcs[0] == crc32(bytes(56) + large)
