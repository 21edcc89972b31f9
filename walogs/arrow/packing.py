"""Turn an Arrow array into the entries of a batch, without a Python object for each."""

from __future__ import annotations

import sys
from array import array as numbers_of
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyarrow.compute import call_function

from walogs.formats.segment_format import PackedEntries

if TYPE_CHECKING:
    from collections.abc import Callable

    CheckSizes = Callable[[int, int, Callable[[], tuple[int, int]]], object]

OFFSET_BYTES: Final = 4
IS_BYTES: Final = (
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
)
"""The types whose values are bytes. Text is UTF-8, and its bytes become the entry."""

CHANGED: Final = "the array changed while it was read, which an Arrow array never may. Nothing was written."


def pack_array(source: object, check_sizes: CheckSizes) -> PackedEntries:
    """Return the values of an Arrow array as the entries of a batch.

    *source* is an array or a chunked array of pyarrow, or an object that gives one as a PyCapsule, such as a series of
    Polars. *check_sizes* is called with the number of entries, their bytes in all, and a function that returns the
    position and the size of the largest. It refuses them by raising, before anything is copied.

    Raise `TypeError` if the values are not bytes or text, and `ValueError` if one is null or the array is not valid.
    """
    values = chunked(source)
    try:
        values.validate(full=True)
    except pa.ArrowInvalid as error:
        raise ValueError(f"the array is not valid: {error}. Nothing was written.") from None
    if values.null_count:
        at = values.is_null().index(True).as_py()
        message = f"entry {at} of the array is null ({values.null_count} are), and a log holds bytes"
        raise ValueError(f"{message}: drop the nulls, or fill them. Nothing was written.")
    sizes = call_function("binary_length", [values.cast(pa.large_binary()) if is_view(values.type) else values])
    check_sizes(len(values), call_function("sum", [sizes]).as_py() or 0, lambda: largest_of(sizes))
    try:
        return packed(values, sizes)
    except pa.ArrowInvalid:  # it was valid just now
        raise ValueError(CHANGED) from None


def chunked(source: Any) -> pa.ChunkedArray:
    """Return an Arrow array of bytes as a chunked one. Raise `TypeError` for anything else."""
    if isinstance(source, pa.Array):
        found = pa.chunked_array([source])
    elif isinstance(source, pa.ChunkedArray):
        found = source
    elif hasattr(source, "__arrow_c_array__") and not hasattr(source, "__arrow_c_stream__"):
        found = pa.chunked_array([pa.array(source)])
    elif hasattr(source, "__arrow_c_stream__"):
        found = pa.chunked_array(source)
    else:
        kind = type(source).__name__
        raise TypeError(f"append_arrow takes an Arrow array, not {kind}; for a list of bytes, use append_batch")
    if not any(is_type(found.type) for is_type in IS_BYTES):
        what = "append_arrow takes an array of bytes or text"
        if pa.types.is_struct(found.type):
            raise TypeError(f"{what}, and this has {found.type.num_fields} columns: pass one of them, as table['data']")
        raise TypeError(f"{what}, and this is one of {found.type}: turn each value into bytes or text first")
    return found


def is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary_view(kind) or pa.types.is_string_view(kind))


def largest_of(sizes: pa.ChunkedArray) -> tuple[int, int]:
    """Return the position of the largest of these sizes, and that size."""
    largest = call_function("max", [sizes])
    return sizes.index(largest).as_py(), largest.as_py()


def packed(values: pa.ChunkedArray, sizes: pa.ChunkedArray) -> PackedEntries:
    """Return the values, end to end. They are valid and not null, have these sizes, and fit into one batch.

    An array of Arrow never changes, but another thread may still write into the memory that it refers to. So its
    offsets are copied, and only the copy is believed. Raise `ValueError` if it has other sizes.
    """
    chunks = [with_small_offsets(chunk) for chunk in values.chunks if len(chunk)]
    if not chunks:
        return PackedEntries(bytes(OFFSET_BYTES), b"")
    whole = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
    count = len(whole)
    ends, data = copied_offsets(whole, pa.int32())
    first, last = ends[0].as_py(), ends[count].as_py()
    table = call_function("subtract", [ends, pa.scalar(first, pa.int32())]).buffers()[1]
    copied = call_function("pairwise_diff", [ends])[1:]
    is_same = 0 <= first <= last <= (data.size if data is not None else 0) and copied.equals(
        pa.concat_arrays(sizes.chunks).cast(pa.int32())
    )
    if not is_same:
        raise ValueError(CHANGED)
    return PackedEntries(
        little_endian(table.slice(0, OFFSET_BYTES * (count + 1)).to_pybytes()),
        data.slice(first, last - first) if data is not None else b"",
    )


def with_small_offsets(chunk: pa.Array) -> pa.Array:
    """Return an array of bytes or text as one with offsets of 32 bits. Its values fit into a batch.

    Offsets of 64 bits can lie beyond 2 GiB, in a slice of a large array.
    """
    if not (pa.types.is_large_binary(chunk.type) or pa.types.is_large_string(chunk.type)):
        return chunk.cast(pa.binary())
    ends, data = copied_offsets(chunk, pa.int64())
    small = call_function("subtract", [ends, ends[0]]).cast(pa.int32(), safe=False)
    first = min(max(ends[0].as_py(), 0), data.size if data is not None else 0)
    return pa.Array.from_buffers(
        pa.binary(), len(chunk), [None, small.buffers()[1], data.slice(first) if data is not None else None]
    )


def copied_offsets(values: pa.Array, kind: pa.DataType) -> tuple[pa.Array, pa.Buffer | None]:
    """Return the offsets of an array, which are of this type, in memory of their own; and the data of all values."""
    _, offsets, data = values.buffers()
    count, width = len(values) + 1, kind.bit_width // 8
    own = pa.py_buffer(offsets.slice(values.offset * width, count * width).to_pybytes())
    return pa.Array.from_buffers(kind, count, [None, own]), data


def little_endian(table: bytes) -> bytes:
    """Return a table of numbers in the byte order of a log. It is given in that of this machine."""
    if sys.byteorder == "little":
        return table
    swapped = numbers_of("i", table)
    swapped.byteswap()
    return swapped.tobytes()
