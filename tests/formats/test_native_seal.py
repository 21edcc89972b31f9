"""What a SEAL says about runs: it is read as it was written, and hostile bytes are None."""

from __future__ import annotations

import struct
from array import array
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from walogs.formats import segment_format
from walogs.formats.native_seal import decode_runs, encode_runs
from walogs.formats.segment_format import RUN_BYTES, RunIndex

lengths_of_runs = st.lists(st.tuples(st.lists(st.integers(0, 65535), max_size=9), st.booleans()), max_size=8)


def index_of(runs: list[tuple[list[int], bool]], first_lsn: int) -> tuple[RunIndex, int, int]:
    """An index of runs with these entries, some of them with lengths; the LSN and the offset after the last run."""
    *first_lsns, next_lsn = accumulate((len(entries) for entries, _ in runs), initial=first_lsn)
    *offsets, end = range(512, 512 + 64 * len(runs) + 1, 64)
    lengths = [array("H", entries) if has_lengths else None for entries, has_lengths in runs]
    return RunIndex.of(offsets, first_lsns, array("I", range(len(runs))), lengths), next_lsn, end


@given(lengths_of_runs, st.integers(1, 2**40))
def test_runs_and_their_lengths_are_read_as_they_were_written(runs: list[tuple[list[int], bool]], lsn: int) -> None:
    index, next_lsn, end = index_of(runs, lsn)
    data = encode_runs(index, lsn)
    lengths = [number for entries, has_lengths in runs if has_lengths for number in entries]
    assert data[12 * len(runs) :] == struct.pack(f"<{len(lengths)}H", *lengths)
    found = decode_runs(data, count=len(runs), first_lsn=lsn, next_lsn=next_lsn, start=512, end=end)
    assert found is not None
    for part in ("offsets", "first_lsns", "crcs", "lengths"):
        assert getattr(found, part) == getattr(index, part)


@pytest.mark.guarantee("G16")
@given(lengths_of_runs.filter(bool), st.data())
def test_lengths_that_do_not_fit_make_it_none(runs: list[tuple[list[int], bool]], data: st.DataObject) -> None:
    index, next_lsn, end = index_of(runs, 1)
    written = encode_runs(index, 1)
    cut = data.draw(st.integers(0, len(written) - 1))
    assert decode_runs(written[:cut], count=len(runs), first_lsn=1, next_lsn=next_lsn, start=512, end=end) is None
    assert decode_runs(written + b"\0", count=len(runs), first_lsn=1, next_lsn=next_lsn, start=512, end=end) is None
    at = 12 * data.draw(st.integers(0, len(runs) - 1))
    for flag in (2, 4):
        changed = bytearray(written)
        changed[at] |= flag
        assert decode_runs(bytes(changed), count=len(runs), first_lsn=1, next_lsn=next_lsn, start=512, end=end) is None


@pytest.mark.guarantee("G16")
@given(st.binary(max_size=100), st.integers(0, 2**32 - 1) | st.integers(0, 8), st.integers(1, 2**62))
def test_any_bytes_are_runs_or_none(data: bytes, count: int, lsn: int) -> None:
    found = decode_runs(data, count=count, first_lsn=lsn, next_lsn=lsn + 20, start=512, end=4096)
    if found is not None:
        assert len(found) == count
        bounds = pairwise((*found.first_lsns, lsn + 20)) if count else ()
        for lengths, (first, after) in zip(found.lengths, bounds, strict=True):
            assert lengths is None or len(lengths) == after - first


def test_an_index_has_lengths_of_runs_with_single_entries_that_are_small() -> None:
    index = RunIndex()
    at = 0
    for first_lsn, lengths in ((1, (65535,)), (2, (65536,)), (3, (7,)), (4, ())):
        index.add(bytes(RUN_BYTES), RUN_BYTES, at, first_lsn, lengths)
        at += RUN_BYTES
    assert index.lengths == [array("H", [65535]), None, array("H", [7]), None]
    index.add(bytes(64), 64, at, 5, (8, 8))
    index.add(bytes(64), 64, at + 64, 7)
    index.add(bytes(64), 64, at + 128, 7, (8,))
    assert index.lengths[-1] is None, "a batch or a CHECKPOINT among them has no length"


@pytest.mark.guarantee("G16")
def test_an_index_has_no_more_lengths_than_a_seal_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_format, "LENGTHS_MAX", 3)
    index = RunIndex()
    for number in range(3):
        index.add(bytes(RUN_BYTES), RUN_BYTES, number * RUN_BYTES, 2 * number + 1, (8, 8))
    assert index.lengths == [array("H", [8, 8]), None, None]
