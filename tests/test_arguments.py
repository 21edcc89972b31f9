"""Wrong arguments of the verbs are refused at the call, by writers and readers alike, and nothing is changed."""

from __future__ import annotations

import array
import ctypes
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias

import pytest

import walogs
from tests.kit.logs import numbered
from walogs.testing import MemoryDisk, MemoryStore

TEXT_ITEMS = "w" if sys.version_info >= (3, 13) else "u"
"""The type code of an array of characters."""

Handle: TypeAlias = walogs.Wal | walogs.WalReader

DATA: Final = (b"one", b"two", b"three", b"four")
NAN: Final = float("nan")


class Number:
    """A whole number that is no int, like those of numpy."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class Seconds:
    """A number that is no float, like those of numpy."""

    def __float__(self) -> float:
        return 0.0


class Log:
    """A closed log on a modelled disk, with a segment for each entry."""

    def __init__(self) -> None:
        self.disk = MemoryDisk()
        with self.open() as wal:
            for data in DATA:
                wal.append(data)

    def open(self, **options: Any) -> walogs.Wal:
        return walogs.open(store=MemoryStore(self.disk), max_segment_size=1, **options)

    def reader(self) -> walogs.WalReader:
        return walogs.reader(store=MemoryStore(self.disk))

    def files(self) -> dict[str, bytes]:
        return {name: self.disk.cached(name) for name in self.disk.cached_names()}

    def goes_on(self, entries: list[tuple[int, bytes]]) -> None:
        """Check that the log opens with these entries, and takes another one."""
        with self.open() as wal:
            assert list(wal) == entries
            assert wal.append(b"goes on") == entries[-1][0] + 1


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture(params=["writer", "reader"])
def handle(request: pytest.FixtureRequest, log: Log) -> Iterator[Handle]:
    """Give the test a writer, and then a reader. Both see the same entries."""
    with log.open() if request.param == "writer" else log.reader() as handle:
        yield handle


# LSNs

NO_LSNS: Final[dict[str, object]] = {
    "text": "1", "float": 1.0, "half": 1.5, "NaN": NAN, "infinity": float("inf"), "True": True, "False": False,
    "bytes": b"\1", "list": [1], "complex": 1j,
}  # fmt: skip

LSN_VERBS: Final[dict[str, Callable[[Any, Any], object]]] = {
    "read": lambda log, lsn: log.read(lsn),
    "iter": lambda log, lsn: log.iter(lsn),
    "iter to": lambda log, lsn: log.iter(1, lsn),
    "commits": lambda log, lsn: log.commits(lsn),
    "commits to": lambda log, lsn: log.commits(1, lsn),
    "follow": lambda log, lsn: log.follow(lsn, timeout=0),
}


@pytest.mark.parametrize("lsn", NO_LSNS.values(), ids=NO_LSNS.keys())
@pytest.mark.parametrize("verb", LSN_VERBS.values(), ids=LSN_VERBS.keys())
def test_what_is_no_lsn_is_refused_at_the_call(handle: Handle, verb: Callable[..., object], lsn: object) -> None:
    with pytest.raises(TypeError, match=r"(lsn|start|stop)=.*an LSN is a whole number, as an int; \w+ is not$"):
        verb(handle, lsn)
    assert list(handle) == numbered(1, *DATA)


def test_a_read_without_a_number_is_refused(handle: Handle) -> None:
    with pytest.raises(TypeError, match="lsn=None: an LSN is a whole number"):
        handle.read(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("lsn", [0, -1, -(10**30), Number(0)], ids=["0", "-1", "very negative", "an index"])
@pytest.mark.parametrize("name", ["read", "iter", "commits", "follow"])
def test_entries_are_numbered_from_1_for_everybody(handle: Handle, name: str, lsn: Any) -> None:
    with pytest.raises(IndexError, match="entries are numbered from 1"):
        LSN_VERBS[name](handle, lsn)


@pytest.mark.parametrize("name", ["iter to", "commits to"])
def test_an_iteration_may_end_before_the_first_entry_and_not_below_0(handle: Handle, name: str) -> None:
    assert list(LSN_VERBS[name](handle, 0)) == []  # type: ignore[call-overload]
    with pytest.raises(IndexError, match="stop=-1: entries are numbered from 1"):
        LSN_VERBS[name](handle, -1)


def test_whatever_has_an_index_is_a_number(handle: Handle) -> None:
    assert handle.read(Number(2)) == b"two"
    assert list(handle.iter(Number(2), Number(4))) == [(2, b"two"), (3, b"three")]
    assert [lsn for lsn, _ in handle.follow(Number(3), timeout=0)] == [3, 4]
    assert [commit.first_lsn for commit in handle.commits(Number(4))] == [4]


@pytest.mark.parametrize("lsn", [5, 2**70, 10**5000], ids=["the next", "2**70", "very many digits"])
def test_an_entry_beyond_the_end_is_not_there(handle: Handle, lsn: int) -> None:
    with pytest.raises(IndexError, match="holds no entry"):
        handle.read(lsn)


@pytest.mark.guarantee("G11")
@pytest.mark.parametrize("lsn", NO_LSNS.values(), ids=NO_LSNS.keys())
def test_a_checkpoint_of_what_is_no_lsn_removes_nothing(log: Log, lsn: Any) -> None:
    """NaN is neither more nor less than any LSN, so a plain comparison would remove all segments but one."""
    with log.open() as wal:
        before = log.files().keys()
        with pytest.raises(TypeError, match="an LSN is a whole number"):
            wal.checkpoint(lsn)
        assert log.files().keys() == before
        assert wal.append(b"five") == 5
    log.goes_on(numbered(1, *DATA, b"five"))


@pytest.mark.guarantee("G11")
def test_a_checkpoint_takes_every_whole_number(log: Log) -> None:
    """`last_lsn - 1000` is negative for a young log. A caller may also give up all entries without the last LSN."""
    with log.open() as wal:
        for lsn in (0, -1, -996):
            assert wal.checkpoint(lsn) == 0
        assert wal.checkpoint(Number(2)) == 2
        assert wal.checkpoint(10**6) == 1
        assert (wal.first_lsn, wal.last_lsn, wal.append(b"five")) == (4, 4, 5)
    log.goes_on([(4, b"four"), (5, b"five")])


# Seconds

NO_SECONDS: Final[dict[str, tuple[object, type[Exception]]]] = {
    "text": ("5ms", TypeError),
    "a number as text": ("5", TypeError),
    "True": (True, TypeError),
    "bytes": (b"5", TypeError),
    "complex": (1j, TypeError),
    "NaN": (NAN, ValueError),
    "negative": (-1, ValueError),
    "negative infinity": (float("-inf"), ValueError),
    "very negative": (-(10**400), ValueError),
}


@pytest.mark.parametrize(("seconds", "error"), NO_SECONDS.values(), ids=NO_SECONDS.keys())
def test_what_is_no_timeout_is_refused_at_the_call(handle: Handle, seconds: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"timeout=.*: seconds.* or None to wait for ever"):
        handle.follow(1, timeout=seconds)
    assert list(handle.follow(1, timeout=0)) == numbered(1, *DATA)


@pytest.mark.parametrize(
    ("seconds", "error"),
    [*NO_SECONDS.values(), (0, ValueError), (None, TypeError)],
    ids=[*NO_SECONDS.keys(), "0", "None"],
)
def test_what_is_no_poll_is_refused_at_the_call(log: Log, seconds: Any, error: type[Exception]) -> None:
    with log.reader() as reader:
        with pytest.raises(error, match=r"poll=.*: seconds"):
            reader.follow(1, timeout=0, poll=seconds)
        assert list(reader.follow(1, timeout=0, poll=1)) == numbered(1, *DATA)


@pytest.mark.parametrize("seconds", [0, 0.0, Seconds()], ids=["0", "0.0", "another kind"])
def test_a_timeout_is_any_real_number(handle: Handle, seconds: Any) -> None:
    assert list(handle.follow(1, timeout=seconds)) == numbered(1, *DATA)


@pytest.mark.parametrize("seconds", [float("inf"), 1e300, 10**400], ids=["infinity", "1e300", "10**400"])
def test_longer_than_a_lock_can_wait_is_as_long_as_it_can(handle: Handle, seconds: Any) -> None:
    following = handle.follow(1, timeout=seconds)
    assert [next(following) for _ in DATA] == numbered(1, *DATA)
    following.close()  # type: ignore[attr-defined]


# Entries


class OfObjects(ctypes.Structure):
    _fields_ = (("length", ctypes.c_int), ("what", ctypes.py_object))


class OfNumbers(ctypes.Structure):
    """The names of its fields are the letters that stand for pointers in a buffer's format."""

    _fields_ = (("O", ctypes.c_int32), ("P", ctypes.c_int32))


def released() -> memoryview:
    view = memoryview(b"gone")
    view.release()
    return view


NO_ENTRIES: Final[dict[str, tuple[Callable[[], object], type[Exception], str]]] = {
    "text": (lambda: "hello", TypeError, "is of type str, .* encode it, as data.encode"),
    "None": (lambda: None, TypeError, "is of type NoneType, .* append b''"),
    "a number": (lambda: 5, TypeError, "is of type int, .* encode it"),
    "a list": (lambda: [1, 2], TypeError, "is of type list, .* encode it"),
    "a dictionary": (lambda: {"a": 1}, TypeError, "is of type dict, .* encode it"),
    "every other byte": (lambda: memoryview(b"abcdef")[::2], BufferError, "is not C-contiguous: append a copy"),
    "backwards": (lambda: memoryview(b"abcdef")[::-1], BufferError, "is not C-contiguous: append a copy"),
    "released": (released, ValueError, "cannot be read: .*released"),
    "objects": (lambda: (ctypes.py_object * 1)(object()), BufferError, "holds pointers .*: encode what they point to"),
    "pointers": (ctypes.POINTER(ctypes.c_int) * 2, BufferError, "holds pointers"),
    "addresses": (ctypes.c_void_p * 2, BufferError, "holds pointers"),
    "pointers to text": (ctypes.c_wchar_p * 2, BufferError, "holds pointers"),
    "a structure with an object": (lambda: OfObjects(1, "x"), BufferError, "holds pointers"),
    "structures with objects": (OfObjects * 2, BufferError, "holds pointers"),
}


@pytest.mark.parametrize(("make", "error", "words"), NO_ENTRIES.values(), ids=NO_ENTRIES.keys())
@pytest.mark.parametrize("verb", ["append", "submit"])
def test_what_is_no_entry_is_refused_at_the_call(
    log: Log, verb: str, make: Callable[[], object], error: type[Exception], words: str
) -> None:
    with log.open() as wal:
        before = log.files()
        with pytest.raises(error, match=f"^an entry {words}"):
            getattr(wal, verb)(make())
        assert log.files() == before
        assert wal.append(b"five") == 5
    log.goes_on(numbered(1, *DATA, b"five"))


@pytest.mark.guarantee("G12")
@pytest.mark.parametrize(("make", "error", "words"), NO_ENTRIES.values(), ids=NO_ENTRIES.keys())
@pytest.mark.parametrize("shape", [list, tuple, iter])
def test_the_entry_of_a_batch_that_is_none_is_named_by_its_index(
    log: Log, shape: Callable[..., Any], make: Callable[[], object], error: type[Exception], words: str
) -> None:
    with log.open() as wal:
        before = log.files()
        with pytest.raises(error, match=f"^entry 2 of the batch {words}"):
            wal.append_batch(shape([b"a", bytearray(b"b"), make(), b"d"]))
        assert log.files() == before
        assert wal.append_batch([b"five"]) == range(5, 6)
    log.goes_on(numbered(1, *DATA, b"five"))


def test_messages_do_not_show_what_may_be_a_secret(log: Log) -> None:
    with log.open() as wal:
        for secret in ("hunter2", ["hunter2"], {"password": "hunter2"}):
            for append in (wal.append, wal.submit, wal.append_batch, lambda data: wal.append_batch([data])):
                with pytest.raises(TypeError) as refused:
                    append(secret)  # type: ignore[operator]
                assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        OfNumbers(1, 2),
        (OfNumbers * 2)(),
        (ctypes.c_double * 2)(1.5),
        array.array(TEXT_ITEMS, "text"),
        memoryview(b"abc")[1:],
    ],
    ids=["a structure", "structures", "floats", "characters", "a slice"],
)
def test_a_buffer_without_pointers_is_an_entry(data: Any) -> None:
    with walogs.open(store=MemoryStore(MemoryDisk())) as wal:
        assert wal.read(wal.append(data)) == bytes(memoryview(data).tobytes())
        assert wal.append_batch([data, data]) == range(2, 4)


NO_BATCHES: Final[dict[str, tuple[object, str]]] = {
    "bytes": (b"abc", "bytes is one entry: did you mean append"),
    "bytearray": (bytearray(b"abc"), "bytearray is one entry: did you mean append"),
    "memoryview": (memoryview(b"abc"), "memoryview is one entry: did you mean append"),
    "released": (released(), "memoryview is one entry: did you mean append"),
    "array": (array.array("I", [1, 2]), "array is one entry: did you mean append"),
    "text": ("abc", r"str is one entry: did you mean append\(data.encode\(\)\)\?"),
    "empty bytes": (b"", "bytes is one entry: did you mean append"),
    "empty text": ("", r"str is one entry: did you mean append\(data.encode\(\)\)\?"),
    "dictionary": ({b"key": b"value"}, "of dict only its keys would be appended: pass its values"),
    "None": (None, "NoneType is none"),
    "a number": (5, "int is none"),
}


SEVERAL: Final[dict[str, tuple[Callable[[], Any], str]]] = {
    "a list": (lambda: [b"a", b"b"], "append_batch(data)"),
    "a tuple": (lambda: (b"a", bytearray(b"b")), "append_batch(data)"),
    "an empty list": (list, "append_batch(data)"),
    "values": ({1: b"a"}.values, "append_batch(data)"),
    "a generator": (lambda: (data for data in (b"a", b"b")), "append_batch(data)"),
    "texts": (lambda: ["a", "b"], "append_batch([entry.encode() for entry in data])"),
}


@pytest.mark.parametrize(("make", "advice"), SEVERAL.values(), ids=SEVERAL.keys())
@pytest.mark.parametrize("verb", ["append", "submit"])
def test_several_entries_where_one_is_taken_are_advised_what_then_works(
    log: Log, verb: str, make: Callable[[], Any], advice: str
) -> None:
    with log.open() as wal:
        with pytest.raises(TypeError, match=rf"^an entry is of type .*: for several entries, {re.escape(advice)}$"):
            getattr(wal, verb)(make())
        given, before = make(), wal.last_lsn
        assert len(eval(f"wal.{advice}", {"wal": wal, "data": given})) == wal.last_lsn - before  # noqa: S307 (the advice is followed)


@pytest.mark.parametrize(("data", "way"), [("text", "data.encode()"), ({"a": [1]}, "json.dumps(data).encode()"),
    ([1, "a"], "json.dumps(data).encode()"), (5, "json.dumps(data).encode()")], ids=repr)  # fmt: skip
def test_the_way_to_bytes_that_is_named_gives_some(log: Log, data: Any, way: str) -> None:
    with log.open() as wal:
        for verb in (wal.append, wal.submit):
            with pytest.raises(TypeError, match=f"{re.escape(f'encode it, as {way}')}$"):
                verb(data)
        assert wal.append(eval(way, {"data": data, "json": json})) == 5  # noqa: S307 (the advice is followed)


@pytest.mark.parametrize("data", [object(), Seconds(), {b"a"}, 1j], ids=["an object", "a number", "a set", "complex"])
def test_what_json_does_not_take_is_not_sent_there(log: Log, data: Any) -> None:
    with log.open() as wal, pytest.raises(TypeError) as refused:
        wal.append(data)
    assert "json" not in str(refused.value)


def test_a_list_within_a_batch_is_one_entry_too_many(log: Log) -> None:
    with log.open() as wal:
        with pytest.raises(
            TypeError, match=r"^entry 1 of the batch is of type list.*: a batch is one list, with none in"
        ):
            wal.append_batch([b"a", [b"b"]])  # type: ignore[list-item]
        with pytest.raises(TypeError, match=r"^entry 0 of the batch is of type str.*: encode it, as data.encode\(\)$"):
            wal.append_batch(["a"])  # type: ignore[list-item]
        assert wal.last_lsn == len(DATA)


@pytest.mark.parametrize(("batch", "words"), NO_BATCHES.values(), ids=NO_BATCHES.keys())
def test_what_is_no_batch_is_refused_at_the_call(log: Log, batch: Any, words: str) -> None:
    with log.open() as wal:
        before = log.files()
        with pytest.raises(TypeError, match=words):
            wal.append_batch(batch)
        assert log.files() == before
        assert wal.append_batch({b"key": b"value"}.values()) == range(5, 6)


@pytest.mark.guarantee("G12")
def test_a_batch_whose_iterator_raises_changes_nothing(log: Log) -> None:
    def entries() -> Iterator[bytes]:
        yield b"five"
        raise LookupError("the caller's own")

    with log.open() as wal:
        before = log.files()
        with pytest.raises(LookupError, match="the caller's own"):
            wal.append_batch(entries())
        assert log.files() == before
        assert wal.append(b"five") == 5
    log.goes_on(numbered(1, *DATA, b"five"))


def test_the_entry_of_a_batch_that_is_too_large_is_named_by_its_index() -> None:
    with walogs.open(store=MemoryStore(MemoryDisk()), max_entry_size=10) as wal:
        with pytest.raises(
            walogs.EntryTooLarge, match="entry 1 of the batch has 11 bytes, more than the limit of 10"
        ) as refused:
            wal.append_batch([b"1", bytes(11), b"3"])
        assert (refused.value.size, refused.value.max, wal.last_lsn) == (11, 10, 0)


# The handle itself


def test_a_log_is_not_searched_by_in(handle: Handle) -> None:
    """`in` would read the whole log, and then answer False for an entry that is there."""
    for thing in (1, b"one", (1, b"one")):
        with pytest.raises(TypeError, match="is not searched by `in`: read"):
            assert thing in handle


def test_a_closed_handle_is_not_entered(log: Log) -> None:
    for handle in (log.open(), log.reader()):
        handle.close()
        with pytest.raises(walogs.Closed), handle:
            pytest.fail("entered")


@pytest.mark.parametrize("name", ["closed", "path", "recovery_report"])
def test_what_a_handle_is_can_be_found_by_dir_and_help(name: str) -> None:
    assert name in dir(walogs.Wal)
    assert inspect.getdoc(getattr(walogs.Wal, name))
