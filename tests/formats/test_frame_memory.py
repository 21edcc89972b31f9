"""Batches are put together in memory that is used again, and what was written before never changes by that."""

from __future__ import annotations

import gc
import sys
from array import array
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import walogs
from walogs.formats.frame_memory import KEPT_BYTES_MAX, FrameMemory
from walogs.formats.native import NativeFormat
from walogs.formats.native_runs import offset_table
from walogs.testing import MemoryDisk, MemoryStore

FORMAT = NativeFormat()

batches = st.lists(st.binary(max_size=50), min_size=2, max_size=20)
even_batches = st.integers(0, 30).flatmap(lambda size: st.lists(st.binary(min_size=size, max_size=size), min_size=2))


@given(st.lists(batches | even_batches, min_size=1, max_size=5), st.integers(1, 64))
def test_a_batch_in_memory_that_was_used_is_that_in_memory_of_its_own(made: list[list[bytes]], check: int) -> None:
    memory = FrameMemory()
    for batch in made:
        assert FORMAT.draft(batch, check, memory).frame == FORMAT.draft(batch, check).frame


@given(st.data())
def test_what_is_still_viewed_never_changes(data: Any) -> None:
    memory = FrameMemory()
    kept: list[tuple[memoryview, bytes]] = []
    for parts in data.draw(st.lists(st.lists(st.binary(max_size=30), min_size=1), min_size=1, max_size=6)):
        joined = memory.join(parts, sum(map(len, parts)))
        assert bytes(joined) == b"".join(parts)
        if data.draw(st.booleans()):
            kept.append((memoryview(joined)[1:], bytes(joined)[1:]))
        del joined
        assert all(bytes(view) == before for view, before in kept)


def test_memory_is_used_again_and_a_large_frame_leaves_none_behind() -> None:
    memory = FrameMemory()
    memory.join((bytes(1000),), 1000)
    used = memory._frame
    memory.join((b"x", b"y"), 2)
    assert memory._frame is used
    large = memory.join((bytes(KEPT_BYTES_MAX), b"x"), KEPT_BYTES_MAX + 1)
    assert (type(large), len(large)) == (bytearray, KEPT_BYTES_MAX + 1)
    assert memory._frame is used
    assert len(used) == 1000


def test_memory_that_is_collected_together_with_its_views_is_no_error() -> None:
    """As after an error in the middle of a commit. Here Python 3.12 crashes for a view of a `BytesIO`."""
    memory = FrameMemory()
    cycle: list[object] = [memory.join((b"x",), 1)]
    cycle.append(cycle)
    del memory, cycle
    gc.collect()


class Keeping(MemoryStore):
    """A store that keeps what it was given, beside what it has written."""

    def write(self, number: int, offset: int, data: Any) -> None:
        super().write(number, offset, data)
        self.kept = [*getattr(self, "kept", ()), (data, bytes(data))]


@pytest.mark.guarantee("G1")
def test_a_store_may_keep_what_it_was_given() -> None:
    store = Keeping(MemoryDisk())
    with walogs.open(store=store) as wal:
        for count in (50, 3, 70, 2):
            wal.append_batch([bytes([count])] * count)
        assert len(store.kept) == 4
        assert all(bytes(data) == before for data, before in store.kept)


@given(batches | even_batches)
def test_the_table_of_an_even_batch_is_that_of_any_batch(batch: list[bytes]) -> None:
    offsets = array("I", accumulate(map(len, batch), initial=0))
    if sys.byteorder == "big":
        offsets.byteswap()
    assert offset_table(batch) == offsets.tobytes()
