"""The checks of a store whose segments grow: extend, write, sync, zero_from, trim, and the durable mark."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Final, Literal, cast

from walogs.errors import NoSpace
from walogs.foundation.foreign import describe_error
from walogs.testing.contract import NotOffered, must, must_not_raise, must_raise, rests_on
from walogs.testing.store_places import StorePlaces, must_hold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from walogs.protocols import AppendableStore

__all__ = ["AppendChecks"]

SIZE: Final = 10_000
WINDOW: Final = 40_000
DURABLE_MARK_BYTES: Final = 64
SYNC_KINDS: Final[tuple[Literal["data", "full"], ...]] = ("data", "full")


class AppendChecks(StorePlaces):
    """The checks of an `AppendableStore`. They are skipped for a store that is not appendable, with that reason."""

    is_for_appendable = True

    # Extending

    def test_extend_adds_zeros(self) -> None:
        """`AppendableStore.extend`: "at least *size* bytes long, and fill the new part with zeros." What was there
        stays."""
        place, store, whole = self.with_segment()
        for size in (SIZE + 1, SIZE + 600, WINDOW, WINDOW + 300_000):
            store.extend(1, size)
            got = store.size(1)
            must(got >= size, f"after extend(1, {size}) it has {got} bytes")
            must_hold(self.at(place), 1, whole + bytes(got - SIZE), f"after extend(1, {size})")

    def test_extend_never_shrinks(self) -> None:
        """`AppendableStore.extend`: "Make the segment at least *size* bytes long". One that is longer stays as it
        is."""
        place, store, whole = self.with_segment()
        for size in (SIZE, SIZE - 1, 600):
            store.extend(1, size)
            must_hold(self.at(place), 1, whole, f"after extend(1, {size}) of {SIZE} bytes")

    @rests_on("test_extend_adds_zeros", "test_trim_keeps_the_front")
    def test_extend_shows_nothing_old(self) -> None:
        """`AppendableStore.extend`: "fill the new part with zeros". Also where bytes were that trim() has taken off."""
        place, store, whole = self.with_segment()
        store.trim(1, 1000)
        store.extend(1, SIZE)
        must(store.size(1) >= SIZE, f"after extend(1, {SIZE}) it has {store.size(1)} bytes")
        got = store.read(1, 1000, SIZE)
        must(not got.strip(b"\0"), "what trim() had taken off was there again after extend()")
        must(self.at(place).read(1, 0, 1000) == whole[:1000], "what trim() had left is not there after extend()")

    @rests_on("test_create_is_durable_with_its_name", "test_extend_adds_zeros")
    def test_extend_is_durable(self) -> None:
        """`AppendableStore.extend`: "Both are durable on return." The size, and the zeros in it."""
        for rng in self.crashes():
            place, store, whole = self.with_segment()
            store.extend(1, WINDOW)
            self.crash(place, rng)
            beside = self.at(place)
            must(beside.size(1) >= WINDOW, f"after extend(1, {WINDOW}) and a power cut it has {beside.size(1)} bytes")
            is_zero = beside.read(1) == whole + bytes(beside.size(1) - SIZE)
            must(is_zero, "after extend() and a power cut, what was added is not zero")

    @rests_on("test_extend_adds_zeros")
    def test_refused_room_extends_nothing(self) -> None:
        """`AppendableStore.extend`: "Raise `NoSpace` if there is no space for it: nothing has changed." And the same
        call works once there is room."""
        place, store, whole = self.with_segment()
        for free in (0, 8192):
            self.room(place, free)
            must_raise(NoSpace, f"extend() with {free} bytes of room", store.extend, 1, WINDOW)
            must_hold(store, 1, whole, f"after extend() with {free} bytes of room")
        self.room(place, None)
        must_not_raise("extend() once there is room again", store.extend, 1, WINDOW)

    # Writing and syncing

    @rests_on("test_extend_adds_zeros")
    def test_write_puts_bytes_where_it_is_told(self) -> None:
        """`AppendableStore.write`: "Write these bytes at *offset*, within the segment's size." All of them, and no
        others."""
        place, store, whole = self.with_segment()
        expected = bytearray(whole + bytes(WINDOW - SIZE))
        store.extend(1, WINDOW)
        writes = [(0, 1), (513, 511), (SIZE - 5, 10), (600, 5000), (WINDOW - 1, 1), (WINDOW - 9000, 9000), (700, 0)]
        for at, (offset, size) in enumerate(writes):
            data = self.segment(size, at + 1)
            lent = (data, bytearray(data), memoryview(data))[at % 3]
            store.write(1, offset, lent)
            expected[offset : offset + size] = data
            must_hold(store, 1, bytes(expected), f"after write(1, {offset}, {size} bytes)")
        must_hold(self.at(place), 1, bytes(expected), "for a store beside it, after writes")

    @rests_on("test_write_puts_bytes_where_it_is_told")
    def test_both_newest_segments_can_be_written(self) -> None:
        """`AppendableStore`: "The engine writes to the newest segment, and to the segment before it until that one is
        sealed." """
        place, store, whole = self.with_segment()
        store.create(2, self.segment(SIZE, 2))
        for number, content in ((1, whole), (2, self.segment(SIZE, 2)), (1, whole)):
            store.write(number, 700, b"sealed")
            store.sync(number, "data")
            must_hold(self.at(place), number, content[:700] + b"sealed" + content[706:], f"after write({number}, …)")

    @rests_on("test_create_is_durable_with_its_name", "test_write_puts_bytes_where_it_is_told")
    def test_sync_makes_written_bytes_durable(self) -> None:
        """`AppendableStore.sync`: "Make every byte durable that was written to the segment before the call." """
        for rng in self.crashes():
            for kind in SYNC_KINDS:
                place, store, whole = self.with_segment()
                expected = bytearray(whole)
                for offset, size in ((600, 10), (512, 4000), (SIZE - 2000, 2000), (700, 1)):
                    expected[offset : offset + size] = data = self.segment(size, 7)
                    store.write(1, offset, data)
                store.sync(1, kind)
                self.crash(place, rng)
                beside = self.at(place)
                must_hold(beside, 1, bytes(expected), f"after sync(1, {kind!r}) and a power cut")

    @rests_on("test_sync_makes_written_bytes_durable")
    def test_sync_of_a_segment_of_another_process(self) -> None:
        """`AppendableStore.sync`: "The commit path calls this after `write`, and recovery calls it too." Of what it did
        not create."""
        for rng in self.crashes():
            place, store, whole = self.with_segment()
            store.close()
            again = self.appender(place)
            again.write(1, 512, self.segment(3000, 3))
            again.sync(1, "full")
            self.crash(place, rng)
            beside = self.at(place)
            expected = whole[:512] + self.segment(3000, 3) + whole[3512:]
            must_hold(beside, 1, expected, "after sync() by a later process and a power cut")

    @rests_on("test_sync_makes_written_bytes_durable", "test_both_newest_segments_can_be_written")
    def test_sync_is_of_the_segment_it_is_told(self) -> None:
        """`AppendableStore.sync`: "every byte durable that was written to the segment before the call". Also where
        another one has been written since."""
        for rng in self.crashes():
            for synced in (1, 2):
                place, store, whole = self.with_segment()
                store.create(2, whole)
                for number in (1, 2, synced, 3 - synced):
                    store.write(number, 600 + 10 * number, self.segment(3000, number))
                store.sync(synced, "data")
                self.crash(place, rng)
                start = 600 + 10 * synced
                expected = whole[:start] + self.segment(3000, synced) + whole[start + 3000 :]
                must_hold(self.at(place), synced, expected, f"after writes to 1 and 2, sync({synced}) and a power cut")

    @rests_on("test_sync_of_a_segment_of_another_process")
    def test_sync_of_what_another_process_wrote(self) -> None:
        """`AppendableStore.sync`: "The commit path calls this after `write`, and recovery calls it too." Of what a
        process wrote that is dead; this one has written nothing."""
        for rng in self.crashes():
            place, store, whole = self.with_segment()
            store.write(1, 512, self.segment(3000, 3))
            store.close()
            self.appender(place).sync(1, "full")
            self.crash(place, rng)
            expected = whole[:512] + self.segment(3000, 3) + whole[3512:]
            must_hold(self.at(place), 1, expected, "after sync() of what a dead process wrote, and a power cut")

    @rests_on("test_sync_makes_written_bytes_durable")
    def test_a_failed_sync_raises(self) -> None:
        """`AppendableStore.sync`: "If this raises, any of those bytes may be on disk or not." It must raise."""
        self.faulty("failed sync")
        for kind in SYNC_KINDS:
            place, store, _ = self.with_segment()
            store.write(1, 600, self.segment(2000, 1))
            self.arm(place, "failed sync", 1, random.Random(0))
            must_raise(Exception, f"sync(1, {kind!r}) that the system refused", store.sync, 1, kind)

    # Beside a writer

    @rests_on(
        "test_what_was_read_before_is_read_anew",
        "test_extend_adds_zeros",
        "test_write_puts_bytes_where_it_is_told",
        "test_zero_from_reaches_the_very_end",
        "test_trim_keeps_the_front",
    )
    def test_a_reader_beside_sees_every_change(self) -> None:
        """`SegmentStore`: "Any thread can call the reading methods at any time, also while another thread writes." What
        one has seen before is not what is there now."""
        place, store, whole = self.with_segment()
        beside, grown = self.at(place), whole + bytes(WINDOW - SIZE)
        written = grown[:600] + self.segment(SIZE, 1) + grown[600 + SIZE :]
        steps: tuple[tuple[str, Callable[[], None], bytes], ...] = (
            ("create()", lambda: None, whole),
            ("extend()", lambda: store.extend(1, WINDOW), grown),
            ("write()", lambda: store.write(1, 600, self.segment(SIZE, 1)), written),
            ("zero_from()", lambda: store.zero_from(1, 5000), written[:5000] + bytes(WINDOW - 5000)),
            ("trim()", lambda: store.trim(1, 5000), written[:5000]),
        )
        for told, change, expected in steps:
            change()
            for who, looking in (("the writer", store), ("a store that has looked before", beside)):
                size = looking.size(1)
                is_whole = size >= len(expected) and not looking.read(1)[len(expected) :].strip(b"\0")
                must(is_whole, f"after {told}, {who} says that segment 1 has {size} bytes")
                for start, end in ((0, None), (500, 800), (0, len(expected))):
                    must(
                        looking.read(1, start, end)[: len(expected) - start] == expected[start:end],
                        f"after {told}, {who} reads with read(1, {start}, {end}) what was there before",
                    )

    @rests_on("test_any_thread_may_read_beside_the_writer", "test_write_puts_bytes_where_it_is_told")
    def test_readers_do_not_disturb_the_writer(self) -> None:
        """`AppendableStore.write`: "Write these bytes at *offset*". Whatever other threads read with the same
        object."""
        place, store, whole = self.with_segment()
        done, complaints = threading.Event(), list[str]()

        def look(start: int) -> None:
            try:
                while not done.is_set():
                    must(store.read(1, start, start + 100) == whole[start : start + 100], "it reads other bytes")
            except Exception as error:  # noqa: BLE001 (reported below)
                complaints.append(describe_error(error))

        threads = [threading.Thread(target=look, args=(start,)) for start in (0, 300, 450)]
        for thread in threads:
            thread.start()
        written = [(at, self.segment(150, at)) for at in range(600, SIZE - 150, 150)]
        try:
            for at, data in written:
                store.write(1, at, data)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        must(not complaints, f"beside a writer: {'; '.join(complaints)}")
        end = written[-1][0] + 150
        expected = whole[:600] + b"".join(data for _, data in written) + whole[end:]
        must_hold(self.at(place), 1, expected, "after writes beside threads that read")

    # Cutting and trimming

    def test_zero_from_reaches_the_very_end(self) -> None:
        """`AppendableStore.zero_from`: "Overwrite everything from *offset* to the very end with zeros". Nothing else
        changes, and no size."""
        for offset in (512, 513, 4095, 4096, 5000, SIZE - 1, SIZE):
            place, store, whole = self.with_segment()
            store.zero_from(1, offset)
            store.sync(1, "full")
            expected = whole[:offset] + bytes(SIZE - offset)
            must_hold(self.at(place), 1, expected, f"after zero_from(1, {offset}) of {SIZE} bytes")

    @rests_on("test_zero_from_reaches_the_very_end", "test_sync_makes_written_bytes_durable")
    def test_zero_from_is_durable_after_sync(self) -> None:
        """`AppendableStore.zero_from`: "durable after `sync`". A torn end that came back would be taken for entries."""
        for rng in self.crashes():
            place, store, whole = self.with_segment()
            store.zero_from(1, 1000)
            store.sync(1, "full")
            self.crash(place, rng)
            beside = self.at(place)
            must_hold(beside, 1, whole[:1000] + bytes(SIZE - 1000), "after zero_from(), sync() and a power cut")

    @rests_on("test_zero_from_is_durable_after_sync", "test_sync_of_a_segment_of_another_process")
    def test_zero_from_writes_where_it_reads_as_zero(self) -> None:
        """`AppendableStore.zero_from`: "also where it reads as zero".
        After a failed sync the device may contain other bytes."""
        self.faulty("failed sync")
        for rng in self.crashes():
            place, store, whole = self.with_segment()
            store.write(1, 512, bytes(SIZE - 512))
            self.interrupt_call(place, "failed sync", 1, rng, store.sync, 1, "full")
            store.close()
            again = self.appender(place)
            if again.read(1) != whole[:512] + bytes(SIZE - 512):
                raise NotOffered("after a failed sync it reads what the device holds")
            again.zero_from(1, 512)
            again.sync(1, "full")
            self.crash(place, rng)
            beside = self.at(place)
            must_hold(
                beside, 1, whole[:512] + bytes(SIZE - 512), "after a failed sync, zero_from(), sync() and a power cut"
            )

    @rests_on("test_zero_from_reaches_the_very_end")
    def test_zero_from_needs_no_room(self) -> None:
        """`AppendableStore.zero_from`: "It needs no space, except on a file system that copies on write." A log on a
        full disk can be opened."""
        place, store, whole = self.with_segment()
        self.room(place, 0)
        must_not_raise("zero_from() with no room", store.zero_from, 1, 1000)
        must_not_raise("sync() after zero_from() with no room", store.sync, 1, "full")
        must_hold(store, 1, whole[:1000] + bytes(SIZE - 1000), "after zero_from() with no room")

    def test_trim_keeps_the_front(self) -> None:
        """`AppendableStore.trim`: "Shorten the segment to *size* bytes". Its end is what goes."""
        for size in (SIZE, SIZE - 1, 4096, 1000, 512):
            place, store, whole = self.with_segment()
            store.trim(1, size)
            must_hold(store, 1, whole[:size], f"after trim(1, {size}) of {SIZE} bytes")
            must_hold(self.at(place), 1, whole[:size], f"for a store beside it, after trim(1, {size})")

    @rests_on("test_create_is_durable_with_its_name", "test_trim_keeps_the_front")
    def test_trim_is_durable(self) -> None:
        """`AppendableStore.trim`: "Shorten the segment to *size* bytes, durably." Without a sync after it."""
        for rng in self.crashes():
            place, store, whole = self.with_segment()
            store.trim(1, 1000)
            self.crash(place, rng)
            must_hold(self.at(place), 1, whole[:1000], "after trim(1, 1000) and a power cut")

    # The durable mark

    def test_the_durable_mark_is_what_was_last_written(self) -> None:
        """`AppendableStore.read_durable_mark`: "Return the durable mark that was last written, or None." For any
        process."""
        place, store, whole = self.with_segment()
        must(store.read_durable_mark() is None, "there is a durable mark before one was written")
        for at, durable in enumerate((False, True, False, False, True)):
            written = self.segment(DURABLE_MARK_BYTES, at)
            if not self.write_mark(store, written, durable=durable):
                must(store.read_durable_mark() != written, "write_durable_mark() answers False, and it is there")
                raise NotOffered("write_durable_mark() answers that it keeps none")
            for who, looking in (("the writer", store), ("a store beside it", self.at_appendable(place))):
                got = looking.read_durable_mark()
                must(got == written, f"{who} reads another durable mark than was written last")
        must_hold(store, 1, whole, "after the durable mark was written")
        store.close()
        must(
            self.at_appendable(place).read_durable_mark() == self.segment(DURABLE_MARK_BYTES, 4),
            "the durable mark is gone after close()",
        )

    @rests_on("test_create_is_durable_with_its_name", "test_the_durable_mark_is_what_was_last_written")
    def test_a_durable_durable_mark_survives(self) -> None:
        """`AppendableStore.write_durable_mark`: "If *durable* is true, they are kept through a power cut." Whatever was
        written before it."""
        for rng in self.crashes():
            place, store, _ = self.with_segment()
            for at in (0, 1):
                if not self.write_mark(store, self.segment(DURABLE_MARK_BYTES, at), durable=True):
                    raise NotOffered("write_durable_mark() answers that it keeps none")
            self.crash(place, rng)
            durable_mark = self.at_appendable(place).read_durable_mark()
            must(
                durable_mark == self.segment(DURABLE_MARK_BYTES, 1),
                "a durable mark that was written durably did not survive a power cut",
            )

    def test_writing_the_durable_mark_never_raises(self) -> None:
        """`AppendableStore.write_durable_mark`: "This never raises `Exception`". Whatever fails, it answers whether it
        is kept."""
        for fault in ("", *sorted(self.faults & {"EIO", "failed sync"}), *(("room",) if self.can_be_full else ())):
            for step in range(1, 7):
                for was_there in (False, True):
                    place, store, _ = self.with_segment()
                    if was_there:
                        self.write_mark(store, self.segment(DURABLE_MARK_BYTES, 1), durable=True)
                    if fault == "room":
                        self.room(place, 0)
                    elif fault:
                        self.arm(place, fault, step, random.Random(step))
                    for durable in (True, False):
                        when = f" ({fault or 'no fault'})"
                        self.write_mark(store, self.segment(DURABLE_MARK_BYTES, 2), durable=durable, when=when)

    @rests_on("test_the_durable_mark_is_what_was_last_written")
    def test_a_dropped_durable_mark_is_gone(self) -> None:
        """`AppendableStore.drop_durable_mark`: "Remove the durable mark." Also where there was none; then a new one."""
        place, store, _ = self.with_segment()
        must_not_raise("drop_durable_mark() where there is none", store.drop_durable_mark)
        for _ in range(2):
            self.write_mark(store, self.segment(DURABLE_MARK_BYTES, 1), durable=True)
            store.drop_durable_mark()
            for who, looking in (("the writer", store), ("a store beside it", self.at_appendable(place))):
                must(looking.read_durable_mark() is None, f"{who} reads a durable mark after drop_durable_mark()")

    @rests_on("test_a_dropped_durable_mark_is_gone", "test_a_durable_durable_mark_survives")
    def test_dropping_the_durable_mark_is_durable(self) -> None:
        """`AppendableStore.drop_durable_mark`: "It is durably gone on return." """
        for rng in self.crashes():
            place, store, _ = self.with_segment()
            self.write_mark(store, self.segment(DURABLE_MARK_BYTES, 1), durable=True)
            store.drop_durable_mark()
            self.crash(place, rng)
            durable_mark = self.at_appendable(place).read_durable_mark()
            must(durable_mark is None, "a durable mark came back after drop_durable_mark() and a power cut")

    # For the checks

    def with_segment(self) -> tuple[Path, AppendableStore, bytes]:
        """Make a place with one segment. Return the place, its writer, and the bytes of the segment."""
        place, whole = self.place(), self.segment(SIZE)
        store = self.appender(place)
        store.create(1, whole)
        return place, store, whole

    def at_appendable(self, place: Path) -> AppendableStore:
        """Return a store object for *place* that is not acquired."""
        return cast("AppendableStore", self.at(place))

    def write_mark(self, store: AppendableStore, durable_mark: bytes, *, durable: bool, when: str = "") -> bool:
        """Write the durable mark. Return what `write_durable_mark` returned: whether the mark is kept."""
        told = f"write_durable_mark(…, durable={durable}){when}"
        answer = must_not_raise(told, store.write_durable_mark, durable_mark, durable=durable)
        must(type(answer) is bool, f"{told} answers {answer!r}: whether it is kept")
        return answer
