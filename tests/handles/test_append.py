"""What can be appended, what comes back, and the limits of an entry and of a batch."""

from __future__ import annotations

import array
import ctypes
import itertools
import mmap
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

import walogs
from tests.kit import stores
from tests.kit.logs import numbered
from tests.kit.stores import LogFactory

log_factory, appending_factory = stores.log_factory, stores.appending_factory


BUFFERS = {
    "bytes": b"data",
    "empty": b"",
    "bytearray": bytearray(b"data"),
    "memoryview": memoryview(b"data"),
    "memoryview of a part": memoryview(b"-data-")[1:5],
    "memoryview of 8-byte items": memoryview(bytes(range(32))).cast("Q"),
    "two-dimensional memoryview": memoryview(bytes(range(24))).cast("B", (4, 6)),
    "array of 4-byte items": array.array("I", [1, 2, 3]),
    "array of doubles": array.array("d", [1.5, -2.5]),
    "ctypes array": (ctypes.c_uint16 * 3)(1, 2, 3),
    "empty array": array.array("I"),
    "read-only memoryview": memoryview(bytearray(b"data")).toreadonly(),
    "looks like a frame": bytes.fromhex("d757010000000000") * 8,
    "zeros": bytes(4096),
}


class Bytes(bytes):
    """A subclass with an idea of its own of what it holds."""

    def __len__(self) -> int:
        return 1


def content(data: object) -> bytes:
    return memoryview(data).tobytes()  # type: ignore[arg-type]


# Appending


@pytest.mark.guarantee("G1")
def test_every_kind_of_buffer_comes_back_byte_for_byte(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        lsns = [wal.append(data) for data in BUFFERS.values()]
        expected = numbered(1, *map(content, BUFFERS.values()))
        assert lsns == [lsn for lsn, _ in expected]
        assert list(wal) == expected
    with log_factory.open() as wal:
        assert list(wal) == expected


def test_a_mapped_file_is_a_buffer_too(log_factory: LogFactory) -> None:
    with mmap.mmap(-1, 5000) as mapped, log_factory.open() as wal:
        mapped[:4] = b"head"
        mapped[-4:] = b"tail"
        wal.append(mapped)
        wal.append_batch([mapped, b"x"])
        assert [len(data) for _, data in wal] == [5000, 5000, 1]
        assert wal.read(2) == b"head" + bytes(4992) + b"tail"


@pytest.mark.guarantee("G12")
def test_a_batch_takes_every_kind_of_buffer_at_once(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        assert wal.append_batch(BUFFERS.values()) == range(1, len(BUFFERS) + 1)
    with log_factory.open() as wal:
        assert list(wal) == numbered(1, *map(content, BUFFERS.values()))


@pytest.mark.guarantee("G1")
def test_what_the_caller_does_to_a_buffer_afterwards_changes_nothing(log_factory: LogFactory) -> None:
    one, many = bytearray(b"one"), [bytearray(b"two"), bytearray(b"three")]
    with log_factory.open() as wal:
        wal.append(one)
        wal.append_batch(many)
        for buffer in (one, *many):
            buffer[:] = b"XXX"
        assert [data for _, data in wal] == [b"one", b"two", b"three"]


def test_a_batch_from_one_buffer_that_is_filled_again_and_again_holds_what_each_held(log_factory: LogFactory) -> None:
    buffer = bytearray(3)

    def filled() -> Iterator[bytearray]:
        for k in range(20):
            buffer[:] = b"%03d" % k
            yield buffer

    with log_factory.open() as wal:
        wal.append_batch(filled())
    with log_factory.open() as wal:
        assert [data for _, data in wal] == [b"%03d" % k for k in range(20)]


def test_a_subclass_of_bytes_that_lies_about_its_length_is_taken_at_its_bytes(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        wal.append(Bytes(b"five!"))
        wal.append_batch([Bytes(b"one"), Bytes(b"four")])
        assert [data for _, data in wal] == [b"five!", b"one", b"four"]
        assert {type(data) for _, data in wal} == {bytes}


@pytest.mark.parametrize("bad", ["text", 7, None, [1, 2], object()], ids=["text", "number", "None", "list", "object"])
def test_what_is_no_buffer_is_refused_and_nothing_is_written(log_factory: LogFactory, bad: object) -> None:
    with log_factory.open() as wal:
        with pytest.raises(TypeError):
            wal.append(bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            wal.append_batch([b"good", bad])  # type: ignore[list-item]
        assert wal.append(b"next") == 1


def test_a_buffer_with_holes_is_refused_and_nothing_is_written(log_factory: LogFactory) -> None:
    holes = [memoryview(bytes(10))[::2], memoryview(bytes(6))[::-1], memoryview(array.array("I", range(9)))[::3]]
    with log_factory.open() as wal:
        for view in holes:
            with pytest.raises(BufferError, match="contiguous"):
                wal.append(view)
            with pytest.raises(BufferError, match="contiguous"):
                wal.append_batch([b"good", view])
        assert wal.append(b"next") == 1


def test_a_released_memoryview_is_refused_and_nothing_is_written(log_factory: LogFactory) -> None:
    released = memoryview(b"data")
    released.release()
    with log_factory.open() as wal:
        with pytest.raises(ValueError, match="released"):
            wal.append(released)
        assert wal.append(b"next") == 1


@pytest.mark.parametrize(
    "make_batch", [tuple, list, lambda: iter(()), lambda: range(0)], ids=["tuple", "list", "iterator", "range"]
)
@pytest.mark.guarantee("G12")
def test_an_empty_batch_is_an_empty_range_and_no_write(
    log_factory: LogFactory, make_batch: Callable[[], Iterable[bytes]]
) -> None:
    with log_factory.open() as wal:
        wal.append(b"one")
        before = wal.segments()
        assert wal.append_batch(make_batch()) == range(2, 2)
        assert wal.segments() == before
        assert wal.append(b"two") == 2
        assert len(list(wal.commits())) == 2


@pytest.mark.guarantee("G12")
def test_a_batch_whose_iterator_fails_half_way_writes_nothing(log_factory: LogFactory) -> None:
    def entries() -> Iterator[bytes]:
        yield b"one"
        raise RuntimeError("no more")

    with log_factory.open() as wal:
        with pytest.raises(RuntimeError, match="no more"):
            wal.append_batch(entries())
        assert wal.append_batch(data for data in (b"a", b"b")) == range(1, 3)


def test_a_batch_is_one_commit_however_its_entries_are_sized(log_factory: LogFactory) -> None:
    rng = random.Random(1)
    batches = [[rng.randbytes(size) for size in sizes] for sizes in ([0], [0, 0, 0], [1, 0, 70_000, 3], [9] * 1000)]
    with log_factory.open() as wal:
        for batch in batches:
            wal.append_batch(batch)
    with log_factory.open() as wal:
        assert [data for _, data in wal] == list(itertools.chain(*batches))
        ends = list(itertools.accumulate(map(len, batches)))
        assert [(c.first_lsn, c.last_lsn) for c in wal.commits()] == [
            (end - len(batch) + 1, end) for end, batch in zip(ends, batches, strict=True)
        ]


@pytest.mark.guarantee("G2")
def test_lsns_are_dense_across_segments_opens_and_checkpoints(log_factory: LogFactory) -> None:
    expected = 1
    for round_ in range(6):
        with log_factory.open(max_segment_size=2000) as wal:
            for size in (10, 900, 10, 2500, 0):
                assert wal.next_lsn == expected
                assert wal.append(bytes(size)) == expected
                expected += 1
            assert wal.append_batch([b"a", b"b"]) == range(expected, expected + 2)
            expected += 2
            wal.checkpoint(expected - 4 * (round_ + 1))
            assert wal.last_lsn == expected - 1
            assert [lsn for lsn, _ in wal] == list(range(wal.first_lsn, expected))


@pytest.mark.guarantee("G1", "G3")
def test_a_log_whose_every_entry_was_checkpointed_does_not_use_a_number_again(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        wal.append_batch([b"a", b"b", b"c"])
        wal.rotate()
        wal.checkpoint(99)
    for expected in (4, 5):
        with log_factory.open() as wal:
            assert wal.append(b"next") == expected


# Limits


def test_the_limit_of_an_entry_is_inclusive_and_over_it_nothing_is_written(log_factory: LogFactory) -> None:
    with log_factory.open(max_entry_size=100) as wal:
        assert wal.append(bytes(100)) == 1
        assert wal.append_batch([bytes(100), bytes(100)]) == range(2, 4)
        before = wal.segments()
        for call in (lambda: wal.append(bytes(101)), lambda: wal.append_batch([b"", bytes(101), b""])):
            with pytest.raises(walogs.EntryTooLarge, match=r"101 .*100.*Nothing was written") as refused:
                call()
            assert (refused.value.size, refused.value.max) == (101, 100)
        assert wal.segments() == before
        assert wal.append(b"next") == 4


def test_the_limit_counts_bytes_not_items(log_factory: LogFactory) -> None:
    with log_factory.open(max_entry_size=100) as wal:
        assert wal.append(array.array("I", range(25))) == 1
        with pytest.raises(walogs.EntryTooLarge) as refused:
            wal.append(array.array("I", range(26)))
        assert refused.value.size == 104


def test_the_limit_of_a_batch_is_inclusive_and_counts_its_table(log_factory: LogFactory) -> None:
    with log_factory.open(max_batch_size=112) as wal:
        assert wal.append_batch([bytes(50), bytes(50)]) == range(1, 3)
        with pytest.raises(walogs.EntryTooLarge, match="Nothing was written") as refused:
            wal.append_batch([bytes(50), bytes(51)])
        assert (refused.value.size, refused.value.max) == (113, 112)
        assert wal.append_batch([bytes(5000)]) == range(3, 4)  # one entry: its own limit holds
        assert wal.append(b"next") == 4


def test_the_default_limit_is_16_mib_exactly(tmp_path: Path) -> None:
    assert walogs.MAX_ENTRY_SIZE == 16 * 1024 * 1024
    largest = bytes(walogs.MAX_ENTRY_SIZE)
    with walogs.open(tmp_path / "log") as wal:
        assert wal.append(largest) == 1
        with pytest.raises(walogs.EntryTooLarge):
            wal.append(bytes(walogs.MAX_ENTRY_SIZE + 1))
        assert wal.read(1) == largest
    with walogs.open(tmp_path / "log") as wal:
        assert wal.read(1) == largest


def test_a_lower_limit_hides_nothing_that_the_log_holds(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        wal.append(bytes(5000))
        wal.append_batch([bytes(3000), bytes(3000)])
    with log_factory.open(max_entry_size=10, max_batch_size=20) as wal:
        assert [len(data) for _, data in wal] == [5000, 3000, 3000]
