"""Turn the bodies of checked frames into Arrow's record batches.

The offset table and the data of a batch have the layout of an Arrow array of type `binary`, so the array of a large
frame refers to the bytes that were read. Smaller frames of one run are gathered into one record batch, because a record
batch costs some fourteen microseconds here, and as much again in the library that reads it (decision 22).

Arrow's own code trusts offsets. So every array is checked before anything reads data through it: its offsets ascend,
and the data ends where the last of them says. A body that does not pass is split by `SegmentFormat.split`, as `iter`
does it. So it raises what `iter` raises.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache
from struct import pack, unpack_from
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow.compute import SliceOptions, call_function

from walogs.formats.segment_format import LARGEST, RUN_BYTES, Bodies, Singles, SinglesAlike

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from walogs.formats.segment_format import AnyBodies, SegmentFormat

TIME: Final = pa.timestamp("ns", "UTC")
SCHEMA: Final = pa.schema(
    [
        pa.field("lsn", pa.uint64(), nullable=False),
        pa.field("time", TIME, nullable=False),
        pa.field("data", pa.binary(), nullable=False),
    ]
)
"""The columns of a log: the LSN of each entry, the time of its commit, and its data. None of them has a null."""
OFFSET_BYTES: Final = 4
TIME_BYTES: Final = 8
TIME_SHIFT: Final = pa.scalar(3, pa.int32())
"""Shifting by so many bits divides by TIME_BYTES, in two fifths of the time."""
LSNS_AHEAD: Final = 1 << 16
ALONE_BYTES: Final = RUN_BYTES
"""A body with more bytes is a record batch of its own, and its data is not copied."""
IS_NATIVE: Final = sys.byteorder == "little"
"""Whether the numbers of an offset table are as Arrow takes them on this machine."""


class Invalid(Exception):
    """These bytes are not as Arrow needs them."""


class ColumnBuilder:
    """Makes record batches of the frames of one reading, in order."""

    def __init__(self, form: SegmentFormat) -> None:
        self._form = form
        self._lsns = pa.array([], pa.uint64())
        """Numbers that were made ahead, because a slice of them costs less than an array of its own."""
        self._first_made = 0

    def build(self, bodies: AnyBodies, first_lsn: int, start: int, stop: int) -> list[pa.RecordBatch]:
        """Return the entries of [start, stop) that these bodies hold. The first of the bodies begins with *first_lsn*.

        Raise `Malformed` for a body that no writer makes.
        """
        found = []
        for times, data in self._times_and_data(bodies):
            count = len(data)
            columns = [self._lsn_column(first_lsn, count), times, data]
            batch = pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
            begin, end = max(start - first_lsn, 0), min(stop - first_lsn, count)
            if begin < end:
                found.append(batch if end - begin == count else batch.slice(begin, end - begin))
            first_lsn += count
        return found

    def _times_and_data(self, bodies: AnyBodies) -> Iterator[tuple[pa.Array, pa.Array]]:
        """Yield the times and the data of each record batch."""
        if isinstance(bodies, Singles):
            yield columns_of_singles(bodies)
            return
        if isinstance(bodies, SinglesAlike):
            yield columns_of_singles_alike(bodies)
            return
        for part in parts(bodies):
            data = data_column(self._form, part)
            yield time_column(part, len(data)), data

    def _lsn_column(self, first_lsn: int, count: int) -> pa.Array:
        """Return this many LSNs."""
        at = first_lsn - self._first_made
        if at < 0 or at + count > len(self._lsns):
            made = max(count, min(2 * len(self._lsns), LSNS_AHEAD, LARGEST - first_lsn))
            self._lsns = pa.arange(first_lsn, first_lsn + made).view(pa.uint64())
            self._first_made, at = first_lsn, 0
        return self._lsns.slice(at, count)


def parts(bodies: Bodies) -> Sequence[Bodies]:
    """Return these bodies in parts that become a record batch each. The last body of a run can be a large one."""
    last = len(bodies.counts) - 1
    if last > 0 and bodies.ends[last] - bodies.starts[last] > ALONE_BYTES:
        return part_of(bodies, slice(last)), part_of(bodies, slice(last, None))
    return (bodies,) if last >= 0 else ()


def part_of(bodies: Bodies, which: slice) -> Bodies:
    return Bodies(
        buffer=bodies.buffer,
        counts=bodies.counts[which],
        starts=bodies.starts[which],
        ends=bodies.ends[which],
        times_ns=bodies.times_ns[which],
    )


def time_column(bodies: Bodies, count: int) -> pa.Array:
    """Return the time of the commit of each entry."""
    counts, times_ns = bodies.counts, bodies.times_ns
    packed: Any
    if len(counts) == 1:
        packed = pack("q", times_ns[0]) * count
    elif len(counts) == count:
        packed = times_ns if isinstance(times_ns, array) else array("q", times_ns)
    else:
        packed = b"".join([pack("q", time_ns) * each for time_ns, each in zip(times_ns, counts, strict=True)])
    return pa.Array.from_buffers(TIME, count, [None, pa.py_buffer(packed)])


def columns_of_singles(singles: Singles) -> tuple[pa.Array, pa.Array]:
    """Return the times and the data of frames with one entry each, without a Python object for each.

    The buffer is seen as twice as many pieces: each entry, and the bytes between it and the next one. They begin as far
    after the beginning of *entries* as times lie in the buffer.
    """
    count, buffer = singles.entries, pa.py_buffer(singles.buffer)
    entries = buffer.slice(singles.entry_after)
    steps = pa.Array.from_buffers(pa.int32(), 2 * count + 1, [None, pa.py_buffer(singles.steps)])
    bounds = call_function("cumulative_sum", [steps])
    pieces = checked_array(2 * count - 1, bounds.buffers()[1].slice(0, OFFSET_BYTES * 2 * count), entries)
    which = pa.arange(0, 2 * count, 2)
    places = call_function("shift_right", [bounds.take(which), TIME_SHIFT])
    return words_of(buffer).take(places).view(TIME), pieces.take(which)


def columns_of_singles_alike(alike: SinglesAlike) -> tuple[pa.Array, pa.Array]:
    """Return what `columns_of_singles` does. The same bytes are cut out of each frame."""
    count, length, buffer = alike.entries, alike.length, pa.py_buffer(alike.buffer)
    frames = pa.Array.from_buffers(pa.binary(alike.frame_bytes), count, [None, buffer])
    cut = call_function("binary_slice", [frames], SliceOptions(alike.entry_at, alike.entry_at + length))
    data = pa.Array.from_buffers(pa.binary(), count, [None, offsets_alike(count, length), cut.buffers()[1]])
    places = pa.arange(alike.time_at // TIME_BYTES, buffer.size // TIME_BYTES, alike.frame_bytes // TIME_BYTES)
    return words_of(buffer).take(places).view(TIME), data


@lru_cache(4)
def offsets_alike(count: int, length: int) -> pa.Buffer:
    """Return the offsets of entries of one length. They are remembered for the next chunk."""
    return pa.arange(0, count * length + 1, length).cast(pa.int32()).buffers()[1]


def words_of(buffer: pa.Buffer) -> pa.Array:
    """Return a buffer as numbers of 8 bytes."""
    return pa.Array.from_buffers(pa.int64(), buffer.size // TIME_BYTES, [None, buffer])


def committed_since(batch: pa.RecordBatch, time_ns: int) -> pa.RecordBatch:
    """Return the entries of a record batch that were committed at this Unix time in nanoseconds or later."""
    return batch.filter(call_function("greater_equal", [batch["time"], pa.scalar(time_ns, TIME)]))


# The data


def data_column(form: SegmentFormat, bodies: Bodies) -> pa.Array:
    """Return the data of each entry. Raise `Malformed` for a body that no writer makes."""
    try:
        if not IS_NATIVE:
            raise Invalid
        if len(bodies.counts) == 1:
            return data_of_one(form, bodies)
        if max(bodies.counts) == 1:
            return data_of_singles(bodies)
        return data_of_several(form, bodies)
    except (Invalid, OverflowError):
        return data_by_entries(form, bodies)


def data_by_entries(form: SegmentFormat, bodies: Bodies) -> pa.Array:
    """Return the data of each entry, by an object for each. The other functions do the same for good bodies, faster."""
    buffer = bytes(bodies.buffer)
    places = zip(bodies.starts, bodies.ends, bodies.counts, strict=True)
    return pa.array(
        [entry for start, end, count in places for entry in form.split(buffer[start:end], count)], pa.binary()
    )


def data_of_one(form: SegmentFormat, bodies: Bodies) -> pa.Array:
    """Return the data of one body. Nothing of it is copied."""
    count, start, end = bodies.counts[0], bodies.starts[0], bodies.ends[0]
    buffer = pa.py_buffer(bodies.buffer)
    begin = begin_of_data(form, buffer, start, end, count)
    offsets = buffer.slice(start, begin - start) if count > 1 else pa.py_buffer(pack("2i", 0, end - begin))
    return checked_array(count, offsets, buffer.slice(begin, end - begin))


def data_of_singles(bodies: Bodies) -> pa.Array:
    """Return the data of bodies that have one entry each.

    The buffer is seen as twice as many entries: each body, and the bytes between it and the next one.
    """
    bounds = array("i", bytes(2 * OFFSET_BYTES * len(bodies.starts)))
    bounds[::2], bounds[1::2] = array("i", bodies.starts), array("i", bodies.ends)
    every = checked_array(len(bounds) - 1, pa.py_buffer(bounds), pa.py_buffer(bodies.buffer))
    return every.take(pa.arange(0, len(bounds), 2))


def data_of_several(form: SegmentFormat, bodies: Bodies) -> pa.Array:
    """Return the data of several bodies, as one copy. To each table is added where the data of its body begins."""
    buffer = memoryview(bodies.buffer)
    tables, additions, data, total = [], [], [], 0
    for start, end, count in zip(bodies.starts, bodies.ends, bodies.counts, strict=True):
        begin = begin_of_data(form, buffer, start, end, count)
        tables.append(buffer[start : start + OFFSET_BYTES * count] if count > 1 else bytes(OFFSET_BYTES))
        additions.append(pack("i", total) * count)
        data.append(buffer[begin:end])
        total += end - begin
    entries = sum(bodies.counts)
    tables.append(pack("i", total))
    additions.append(bytes(OFFSET_BYTES))
    offsets = call_function("add", [numbers(entries + 1, tables), numbers(entries + 1, additions)])
    return checked_array(entries, offsets.buffers()[1], pa.py_buffer(b"".join(data)))


def begin_of_data(form: SegmentFormat, buffer: Any, start: int, end: int, count: int) -> int:
    """Return where the data of a body begins, after its table. Raise `Invalid` unless the table goes from 0 to the end
    of the data. What is in between is not looked at."""
    begin = start + form.body_bytes(count, 0)
    if not start <= begin <= end <= len(buffer):
        raise Invalid
    if count > 1:
        (first,), (last,) = unpack_from("i", buffer, start), unpack_from("i", buffer, begin - OFFSET_BYTES)
        if first != 0 or last != end - begin:
            raise Invalid
    return begin


def numbers(count: int, pieces: Sequence[Any]) -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(b"".join(pieces))])


def checked_array(count: int, offsets: pa.Buffer, data: pa.Buffer) -> pa.Array:
    """Return the array with these buffers. Raise `Invalid` unless its offsets ascend and lie within the data."""
    if offsets.size != OFFSET_BYTES * (count + 1):
        raise Invalid
    try:
        found = pa.Array.from_buffers(pa.binary(), count, [None, offsets, data])
        found.validate(full=True)
    except pa.ArrowInvalid:
        raise Invalid from None
    return found
