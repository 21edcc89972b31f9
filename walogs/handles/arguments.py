"""Checks of what callers pass to the methods of a handle: LSNs, times, seconds, entries and batches.

The writer and the readers use the same checks, so they take the same values and raise the same errors. A call that is
refused here has changed nothing, and the handle stays usable.
"""

from __future__ import annotations

from collections.abc import Iterator, ValuesView
from functools import lru_cache
from operator import countOf, index
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Final, NoReturn, SupportsIndex

from walogs.foundation.foreign import describe
from walogs.foundation.lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from typing_extensions import Buffer

SHOWN_MAX: Final = 80
"""Messages show at most this many characters of a wrong value."""
FIELD_NAME: Final = r":[^:]*:"
"""The name of a field, in the format of a structured buffer."""
POINTER: Final = r"[OPXz&]|Z(?![fdg])"
"""The buffer formats whose bytes are addresses: of objects, functions, text or anything else. (`Zd` is a complex
number.)"""


def check_lsn(value: SupportsIndex, name: str, *, least: int = 1) -> int:
    """Return the LSN as an int. Raise `IndexError` if it is less than *least*, and `TypeError` as `check_number`."""
    lsn = check_number(value, name)
    if lsn < least:
        raise IndexError(f"{name}={shorten(lsn)}: entries are numbered from 1")
    return lsn


def check_number(value: SupportsIndex, name: str) -> int:
    """Return the whole number as an int. Raise `TypeError` for anything else, such as a float or text.

    True and False are refused, although they are ints: a caller who passes one meant something else.
    """
    try:
        number = index(value) if not isinstance(value, bool) else None
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name}={shorten(value)}: an LSN is a whole number, as an int; {type(value).__name__} is not")
    return number


def check_range(start: SupportsIndex | None, stop: SupportsIndex | None) -> tuple[int | None, int | None]:
    """Return the ends of [start, stop) as ints. None stays None, and *stop* can be 0.

    Raise `IndexError` or `TypeError`, as `check_lsn` does.
    """
    return (
        None if start is None else check_lsn(start, "start"),
        None if stop is None else check_lsn(stop, "stop", least=0),
    )


def check_time(value: datetime | SupportsIndex) -> int:
    """Return the time as Unix time in nanoseconds: that of a `datetime` with a time zone, or a whole number as it is.

    Raise `ValueError` for a `datetime` without a time zone, and `TypeError` for anything else, such as a float.
    """
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        return index(value)
    with lazy_import:
        from datetime import UTC, datetime, timedelta

    what = "a datetime with a time zone, or Unix time in nanoseconds as an int"
    if not isinstance(value, datetime):
        raise TypeError(f"time={shorten(value)}: {what}; {type(value).__name__} is not")
    if value.utcoffset() is None:
        raise ValueError(f"time={shorten(value)}: {what}; it has no time zone, as datetime(…, tzinfo=UTC) has")
    return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def check_timeout(value: float | None) -> float | None:
    """Return the timeout in seconds, or None for no limit.

    Raise `ValueError` for less than 0 or NaN, and `TypeError` for what is no number.
    """
    if value is None:
        return None
    seconds = to_seconds(value, "timeout", "or None to wait for ever")
    if not seconds >= 0:
        raise ValueError(f"timeout={shorten(value)}: seconds, 0 or more, or None to wait for ever")
    return seconds


def check_poll(value: float) -> float:
    """Return the seconds between two looks.

    Raise `ValueError` if they are not more than 0, and `TypeError` for what is no number.
    """
    seconds = to_seconds(value, "poll", "as 0.01")
    if not seconds > 0:
        raise ValueError(f"poll={shorten(value)}: seconds between two looks, more than 0")
    return seconds


def to_seconds(value: object, name: str, example: str) -> float:
    """Return the seconds as a float that a lock can wait for: at most TIMEOUT_MAX. NaN stays NaN.

    Raise `TypeError` for what is no number.
    """
    if isinstance(value, bool | str | bytes | bytearray) or not (
        hasattr(value, "__float__") or hasattr(value, "__index__")
    ):
        raise TypeError(f"{name}={shorten(value)}: seconds, as a number, {example}; {type(value).__name__} is not")
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except OverflowError:
        seconds = TIMEOUT_MAX if value > 0 else -1.0  # type: ignore[operator]
    return min(seconds, TIMEOUT_MAX)


# Entries


def copy_entry(data: Buffer, place: int | None = None) -> bytes:
    """Return a copy of the data. No other thread can change it between its check and its write.

    Raise what `view_entry` raises.
    """
    return bytes(data) if type(data) is bytearray else view_entry(data, place).tobytes()


def view_entry(data: Buffer, place: int | None = None) -> memoryview:
    """Return a view of the data, which is not copied.

    *place* is the index of the entry in its batch, for messages. Messages never show the data, because it may be a
    secret. Raise `TypeError`, `BufferError` or `ValueError` for data that cannot be an entry. A ctypes union that holds
    pointers passes this check, because its buffer format is that of plain bytes.
    """
    try:
        view = memoryview(data)
    except TypeError:
        message = f"{place_of(place)} is of type {type(data).__name__}, and a log holds bytes (or another buffer)"
        raise TypeError(f"{message}: {way_to_bytes(data, place)}") from None
    except (BufferError, ValueError) as error:  # a memoryview that was released, for example
        raise type(error)(f"{place_of(place)} cannot be read: {error}") from error
    if view.format != "B" and holds_pointers(view.format):
        message = f"{place_of(place)} holds pointers (buffer format {view.format!r}), which mean nothing elsewhere"
        raise BufferError(f"{message}: encode what they point to")
    if not view.c_contiguous:
        raise BufferError(f"{place_of(place)} is not C-contiguous: append a copy of it, as bytes(data)")
    return view


def way_to_bytes(data: object, place: int | None) -> str:
    """Return advice for a caller that passed no buffer. The advice works if the caller follows it."""
    if data is None:
        return "where there is nothing to hold, append b''"
    if isinstance(data, str):
        return "encode it, as data.encode()"
    if holds_entries(data):
        if place is not None:
            return "a batch is one list, with none in it; pass their entries themselves"
        is_text = isinstance(data, list | tuple) and data and all(isinstance(entry, str) for entry in data)
        each = "[entry.encode() for entry in data]" if is_text else "data"
        return f"for several entries, append_batch({each})"
    if isinstance(data, dict | list | tuple | int | float):
        return "encode it, as json.dumps(data).encode()"
    return "encode it first, in a way that you can decode it by"


def holds_entries(data: object) -> bool:
    """Return whether the data look like several entries. An iterator does, and nothing is taken from it."""
    if isinstance(data, list | tuple | ValuesView):
        items = list(data)
        return all(isinstance(entry, str) for entry in items) or any(map(is_buffer, items))
    return isinstance(data, Iterator)


def place_of(place: int | None) -> str:
    return "an entry" if place is None else f"entry {place} of the batch"


@lru_cache(maxsize=64)
def holds_pointers(form: str) -> bool:
    """Return whether a buffer of this format holds addresses. *form* is as `struct`, numpy and ctypes write it."""
    with lazy_import:
        from re import search, sub

    return search(POINTER, sub(FIELD_NAME, "", form)) is not None


def copy_batch(entries: Iterable[Buffer]) -> list[bytes]:
    """Return a list with a copy of each entry. Raise what `copy_entry` raises, or `TypeError` if this is no batch.

    Each entry is copied as soon as the iterator returns it, because an iterator can return one buffer again and again.
    A list of `bytes` is copied without a Python statement for each entry.
    """
    if type(entries) is list:
        entries = entries.copy()
        if countOf(map(type, entries), bytes) == len(entries):
            return entries
    elif type(entries) is not tuple:
        refuse_no_batch(entries)
    return [entry if type(entry) is bytes else copy_entry(entry, at) for at, entry in enumerate(entries)]


def refuse_no_batch(entries: object) -> None:
    """Raise `TypeError` for one entry, for a mapping, and for what cannot be iterated over."""
    kind = type(entries).__name__
    if isinstance(entries, str) or is_buffer(entries):
        one = "data.encode()" if isinstance(entries, str) else "data"
        raise TypeError(
            f"a batch is a list, or another iterable, of entries, and {kind} is one entry: did you mean append({one})?"
        )
    if hasattr(entries, "keys"):
        raise TypeError(
            f"a batch is a list of entries, and of {kind} only its keys would be appended: pass its values()"
        )
    if not hasattr(entries, "__iter__") and not hasattr(entries, "__getitem__"):
        raise TypeError(f"a batch is a list, or another iterable, of entries, and {kind} is none")


def is_buffer(thing: object) -> bool:
    try:
        memoryview(thing).release()  # type: ignore[arg-type]
    except TypeError:
        return False
    except (BufferError, ValueError):  # it is one that cannot be read now
        return True
    return True


def refuse_search(log: object) -> NoReturn:
    """Raise `TypeError` for `in`. It would read the whole log, and `read` finds an entry at once by its LSN."""
    kind = type(log).__name__
    raise TypeError(f"{kind} is not searched by `in`: read(lsn) finds an entry, and a loop over the log finds data")


def shorten(value: object) -> str:
    """Return the `repr` of a value in one line, and cut it after SHOWN_MAX characters."""
    text = " ".join(describe(value).split())
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"
