"""`append_arrow` appends what `append_batch` appends for the same values, or nothing."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import walogs
from tests.arrow.columns import memory_log
from tests.kit.codecs import DeflateCodec
from walogs.arrow.packing import pack_array
from walogs.formats.segment_format import PackedEntries
from walogs.handles.limits import Limits
from walogs.testing import MemoryCloud, MemoryImmutableStore, MemoryStore

VALUES = st.lists(st.binary(max_size=20), max_size=12)
TYPES = st.sampled_from([pa.binary(), pa.large_binary(), pa.binary_view()])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(VALUES, max_size=4), TYPES, st.integers(0, 5), st.integers(0, 40), st.sampled_from(["crc32", "deflate"])
)
def test_each_type_chunked_and_cut(
    chunks: list[list[bytes]], kind: pa.DataType, begin: int, length: int, codec: str
) -> None:
    values = pa.chunked_array([pa.array(chunk, kind) for chunk in chunks], kind).slice(begin, length)
    expected = [value for chunk in chunks for value in chunk][begin : begin + length]
    wal, disk = memory_log(codec=DeflateCodec() if codec == "deflate" else codec)
    with wal:
        wal.append(b"before")
        assert wal.append_arrow(values) == range(2, 2 + len(expected))
        assert [data for _, data in wal.iter(2)] == expected
        assert len([*wal.commits()]) == 1 + bool(expected), "it is one commit"
    with walogs.open(store=MemoryStore(disk), verify="full", codec=wal._source.codec) as again:
        assert [data for _, data in again.iter(2)] == expected
        again.append(b"after")


def test_text_fixed_sizes_and_arrays_of_others(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        for values in (
            pa.array(["one", "zwölf"]),
            pa.array(["one", "zwölf"], pa.large_string()),
            pa.array(["one", "zwölf"], pa.string_view()),
            pl.Series(["one", "zwölf"]),
            pl.Series([b"one", "zwölf".encode()]),
        ):
            lsns = wal.append_arrow(values)
            assert [wal.read(lsn).decode() for lsn in lsns] == ["one", "zwölf"]
        assert wal.append_arrow(pa.array([b"ab", b"cd"], pa.binary(2))) == range(11, 13)
        assert wal.append_arrow(pa.array([b"alone"])) == range(13, 14)
        assert wal.append_arrow(pa.table(wal)["data"].slice(9)) == range(14, 18)
        assert [data for _, data in wal.iter(14)] == ["zwölf".encode(), b"ab", b"cd", b"alone"]


REFUSED: Final[dict[str, tuple[Callable[[], Any], type[Exception], str]]] = {
    "a null": (lambda: pa.array([b"a", None]), ValueError, r"entry 1 of the array is null"),
    "a null in a chunk": (lambda: pa.chunked_array([[b"a"], [None, b"b"]]), ValueError, r"entry 1 .* Nothing was writ"),
    "no type": (lambda: pa.array([None, None]), TypeError, r"one of null"),
    "numbers": (lambda: pa.array([1]), TypeError, r"int64"),
    "a dictionary": (lambda: pa.array([b"a"]).dictionary_encode(), TypeError, r"turn each value into bytes"),
    "a list": (lambda: [b"a"], TypeError, r"append_batch"),
    "an entry": (lambda: b"a", TypeError, r"append_batch"),
    "a table": (lambda: pa.table({"data": [b"a"], "more": [1]}), TypeError, r"2 columns.*table\['data'\]"),
    "a large entry": (lambda: pa.array([b"x" * 101]), walogs.EntryTooLarge, r"entry 0 of the batch has 101 bytes"),
    "a large entry in a chunk": (
        lambda: pa.chunked_array([[b"x" * 99], [b"", b"x" * 101]]),
        walogs.EntryTooLarge,
        r"entry 2 of the batch",
    ),
    "offsets that fall": (lambda: unchecked([0, 3, 1]), ValueError, r"not valid"),
    "offsets beyond the data": (lambda: unchecked([0, 2, 3, 4, 3]), ValueError, r"not valid"),
}


def unchecked(offsets: list[int]) -> pa.Array:
    """Return an array over three bytes of data, as a program with a bug can make it."""
    buffers = [None, pa.py_buffer(array("i", offsets)), pa.py_buffer(b"abc")]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)


@pytest.mark.parametrize("what", [*REFUSED])
def test_what_cannot_be_entries_is_refused_before_anything_is_written(what: str) -> None:
    make, kind, phrase = REFUSED[what]
    wal, _ = memory_log(max_entry_size=100)
    with wal:
        wal.append(b"before")
        with pytest.raises(kind, match=phrase):
            wal.append_arrow(make())
        assert (wal.next_lsn, wal.stats().commits) == (2, 1)
        assert wal.append_arrow(pa.array([b"after"] * 2)) == range(2, 4)


def test_limits_are_those_of_a_batch() -> None:
    wal, _ = memory_log(max_entry_size=1000)
    entries = [b"x" * 900] * (1 << 11)
    with wal:
        assert len(wal.append_arrow(pa.array(entries))) == len(wal.append_batch(entries)) == len(entries)
        wal._check_sizes = partial(Limits(entry=1000, batch=5000).check_batch, wal._source.format)
        for append in (wal.append_batch, lambda batch: wal.append_arrow(pa.array(batch))):
            with pytest.raises(walogs.EntryTooLarge, match="a batch has 5428 bytes"):
                append([b"x" * 900] * 6)


def test_a_store_of_immutable_segments_and_observers_get_the_same() -> None:
    told: list[Any] = []
    with walogs.open(store=MemoryImmutableStore(MemoryCloud()), observers=[told.append]) as wal:
        assert wal.append_arrow(pa.array([b"one", b"", b"three"])) == range(1, 4)
        assert list(wal) == [(1, b"one"), (2, b""), (3, b"three")]
    [appended] = [event for event in told if isinstance(event, walogs.events.AppendEvent)]
    assert (appended.entries, appended.bytes) == (3, 8)


@pytest.mark.guarantee("G12")
def test_what_waits_in_the_queue_beside_it_is_committed_too() -> None:
    wal, _ = memory_log()
    with wal:
        futures = [wal.submit(b"%d" % k) for k in range(20)]
        lsns = wal.append_arrow(pa.array([b"a", b"b"]))
        assert sorted([future.result() for future in futures] + [*lsns]) == list(range(1, 23))
        assert [wal.read(lsn) for lsn in lsns] == [b"a", b"b"]


@pytest.mark.guarantee("G7")
def test_a_closed_log_refuses_it() -> None:
    wal, _ = memory_log()
    wal.close()
    for values in (pa.array([b"a", b"b"]), pa.array([], pa.binary())):
        with pytest.raises(walogs.Closed):
            wal.append_arrow(values)


@pytest.mark.parametrize(
    "changed", [(0, 10, 30), (0, 10, 15), (0, 12, 20), (10, 10, 20), (0, -1, 20), (0, 10, 2**31 - 1)]
)
@pytest.mark.parametrize("kind", ["i", "q"])
def test_an_array_whose_memory_changes_meanwhile_is_refused(changed: tuple[int, ...], kind: str) -> None:
    """Otherwise the frame would have another length than it says, and would hide the entries after it."""
    offsets = array(kind, (0, 10, 20))
    values = pa.Array.from_buffers(
        pa.binary() if kind == "i" else pa.large_binary(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(bytes(100))]
    )

    def change(count: int, total_bytes: int, largest: object) -> None:
        assert (count, total_bytes) == (2, 20)
        offsets[:] = array(kind, changed)

    with pytest.raises(ValueError, match=r"changed while it was read.*Nothing was written"):
        pack_array(values, change)


def test_packed_entries_have_the_length_that_their_offsets_say() -> None:
    with pytest.raises(ValueError, match="the last offset of a batch is not the 3 bytes of its data"):
        PackedEntries(array("I", (0, 4)).tobytes(), b"abc")


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.large_string()])
def test_a_slice_beyond_two_gib_is_taken(tmp_path: Path, kind: pa.DataType) -> None:
    where = 5 << 29
    with (tmp_path / "sparse").open("w+b") as sparse:
        sparse.truncate(where + 30)
        sparse.seek(where)
        sparse.write(b"0123456789" * 3)
        sparse.flush()
        with mmap.mmap(sparse.fileno(), 0, prot=mmap.PROT_READ) as data:
            offsets = array("q", (0, where, where + 10, where + 30))
            values = pa.Array.from_buffers(kind, 3, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
            packed = pack_array(values.slice(1), lambda *_: None)
            assert list(packed) == [b"0123456789", b"0123456789" * 2]
            del values, packed
