"""MemoryStore's durable mark, and the laws that it holds its caller to."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

import pytest

from tests.testing.memory_stores import SEGMENT, WINDOW, opened, reopened, with_segment
from tests.testing.native_bytes import SALT, durable_mark, frame
from walogs.testing import (
    CRASH,
    DURABLE_MARK,
    FAILED_SYNC,
    Fault,
    LawBroken,
    MemoryDisk,
    MemoryStore,
    SimulatedCrash,
    assert_watermark_law,
)


class TestDurableMark:
    def test_a_durable_one_survives_and_another_may(self) -> None:
        store = with_segment()
        assert store.read_durable_mark() is None
        store.write_durable_mark(durable_mark(1, 0), durable=False)  # the first makes its file
        assert {reopened(store.disk.clone(), seed).read_durable_mark() for seed in range(50)} == {durable_mark(1, 0)}
        store.write_durable_mark(durable_mark(1, 512), durable=True)
        for seed in range(50):
            assert reopened(store.disk.clone(), seed).read_durable_mark() == durable_mark(1, 512)
        store.write_durable_mark(durable_mark(1, 100), durable=False)
        assert MemoryStore(store.disk).read_durable_mark() == durable_mark(1, 100)
        left = {reopened(store.disk.clone(), seed).read_durable_mark() for seed in range(50)}
        assert left == {durable_mark(1, 512), durable_mark(1, 100)}

    def test_it_swallows_errors_but_not_a_crash(self) -> None:
        for primitive in ("open", "create_exclusive", "write", "sync", "sync_directory"):
            store = with_segment()
            armed = store.disk.arm(1, Fault(errno.EIO, only={primitive}), rng=random.Random(0))
            store.write_durable_mark(durable_mark(1, 512), durable=True)
            assert armed.fired == 1
            store.write_durable_mark(durable_mark(1, 512), durable=True)
            for seed in range(20):
                assert reopened(store.disk.clone(), seed).read_durable_mark() == durable_mark(1, 512)
        store = with_segment()
        store.disk.arm(1, CRASH, rng=random.Random(0))
        with pytest.raises(SimulatedCrash):
            store.write_durable_mark(durable_mark(1, 512), durable=False)

    def test_a_full_disk_fails_nothing(self) -> None:
        store = with_segment(MemoryDisk(room=WINDOW))
        store.write_durable_mark(durable_mark(1, 512), durable=True)
        assert store.read_durable_mark() is None
        store.disk.room = None
        store.write_durable_mark(durable_mark(1, 512), durable=True)
        assert store.read_durable_mark() == durable_mark(1, 512)

    def test_dropping_it_is_durable_or_raises(self) -> None:
        store = with_segment()
        store.write_durable_mark(durable_mark(1, 512), durable=True)
        for primitive in ("unlink", "sync_directory"):
            store.disk.arm(1, Fault(errno.EIO, only={primitive}), rng=random.Random(0))
            with pytest.raises(OSError):
                store.drop_durable_mark()
        store.drop_durable_mark()
        assert store.read_durable_mark() is None
        for seed in range(50):
            assert reopened(store.disk.clone(), seed).read_durable_mark() is None
        store.write_durable_mark(durable_mark(1, 512), durable=True)
        assert DURABLE_MARK in store.disk.cached_names()


class TestLaws:
    def test_a_frame_that_tells_the_truth_passes(self) -> None:
        store = with_segment()
        first = frame(512, 512)
        store.write(1, 512, first)
        store.sync(1, "data")
        store.write(1, 512 + len(first), frame(512 + len(first), 512 + len(first)))

    def test_one_byte_too_many_is_too_many(self) -> None:
        store = with_segment()
        store.write(1, 512, frame(512, WINDOW))
        store = with_segment()
        with pytest.raises(LawBroken):
            store.write(1, 512, frame(512, WINDOW + 1))

    @pytest.mark.parametrize("how", ["not synced", "sync failed", "cut"])
    def test_a_frame_that_claims_more_than_is_durable_breaks_the_law(self, how: str) -> None:
        store = with_segment()
        first = frame(512, 512)
        store.write(1, 512, first)
        if how == "sync failed":
            store.disk.arm(1, FAILED_SYNC, rng=random.Random(4))
            with pytest.raises(OSError):
                store.sync(1, "data")
            store = reopened(store.disk)
            store.acquire()
            assert store.durable_prefix(1) == 512
            assert store.read(1, 512, 512 + len(first)) == first
        elif how == "cut":
            store.sync(1, "data")
            store.zero_from(1, 512)
        with pytest.raises(LawBroken, match="says that"):
            store.write(1, 512 + len(first), frame(512 + len(first), 512 + len(first)))
        assert store.read(1, 512 + len(first), 700) == bytes(188 - len(first))  # it had no effect

    def test_every_frame_of_a_write_is_looked_at_and_no_body(self) -> None:
        store = with_segment()
        lie_inside = frame(512, 512, bytes(16) + frame(512 + 64, 60_000) + bytes(100))
        assert lie_inside[64:].startswith(frame(512 + 64, 60_000))
        assert assert_watermark_law(store, 1, 512, lie_inside) == 1
        second = 512 + len(lie_inside)
        assert assert_watermark_law(store, 1, 512, lie_inside + frame(second, 512)) == 2
        with pytest.raises(LawBroken):
            assert_watermark_law(store, 1, 512, lie_inside + frame(second, 513 + 64 * 1024))
        with pytest.raises(LawBroken):
            store.write(1, 512, bytes(800) + frame(512 + 800, 60_000_000))

    @pytest.mark.parametrize(
        "harmless",
        [
            frame(520, 60_000_000, salt=SALT + 1),
            frame(528, 60_000_000),
            b"\0" + frame(521, 60_000_000),
            frame(520, 60_000_000)[:39],
            b"\xd7\x57" * 100,
            b"",
        ],
        ids=["other salt", "other offset", "not aligned", "cut short", "magic only", "nothing"],
    )
    def test_what_no_parser_would_take_for_a_frame_is_none(self, harmless: bytes) -> None:
        assert assert_watermark_law(with_segment(), 1, 520, harmless) == 0

    def test_a_durable_mark_that_claims_more_than_is_durable_breaks_the_law(self) -> None:
        store = with_segment()
        store.write_durable_mark(durable_mark(1, WINDOW), durable=False)
        store.write(1, 600, b"x")
        store.write_durable_mark(durable_mark(1, 600), durable=False)
        store.write_durable_mark(b"garbled", durable=False)
        for lie in (durable_mark(1, 601), durable_mark(2, 0)):
            with pytest.raises(LawBroken, match="durable mark"):
                store.write_durable_mark(lie, durable=False)

    def test_nothing_in_a_segment_without_a_durable_name_is_durable(self) -> None:
        store = with_segment()
        store.process.rename("wal-000001.log", "wal-000002.log")
        with pytest.raises(LawBroken):
            store.write(2, 512, frame(512, 512))

    def test_only_the_two_newest_segments_are_changed(self) -> None:
        store = opened(MemoryDisk())
        for number in (1, 2, 3):
            store.create(number, SEGMENT)
        for number in (2, 3):
            store.write(number, 600, b"x")
            store.zero_from(number, 600)
            store.sync(number, "data")
        calls: list[Callable[[], object]] = [
            lambda: store.write(1, 600, b"x"),
            lambda: store.sync(1, "data"),
            lambda: store.zero_from(1, 600),
            lambda: store.extend(1, WINDOW),
        ]
        for call in calls:
            with pytest.raises(LawBroken, match="neither"):
                call()

    def test_nothing_is_changed_without_the_lock(self) -> None:
        disk = MemoryDisk()
        with_segment(disk).close()
        store = MemoryStore(disk)
        calls: list[Callable[[], object]] = [
            lambda: store.create(2, b"x"),
            lambda: store.remove([1]),
            lambda: store.extend(1, 1),
            lambda: store.write(1, 600, b"x"),
            lambda: store.sync(1, "data"),
            lambda: store.zero_from(1, 600),
            lambda: store.trim(1, 600),
            lambda: store.write_durable_mark(durable_mark(1, 512), durable=True),
            store.drop_durable_mark,
        ]
        for call in calls:
            with pytest.raises(LawBroken, match="acquire"):
                call()

    def test_a_write_stays_within_the_segment_and_a_trim_never_grows_it(self) -> None:
        store = with_segment()
        store.write(1, WINDOW - 1, b"x")
        for offset, data in ((WINDOW - 1, b"xy"), (WINDOW + 10, b"x"), (-1, b"x")):
            with pytest.raises(LawBroken, match="never grows"):
                store.write(1, offset, data)
        with pytest.raises(LawBroken, match="never larger"):
            store.trim(1, WINDOW + 1)

    @pytest.mark.parametrize("primitive", ["write", "sync"])
    def test_after_a_failed_write_or_sync_nothing_more_is_written_there(self, primitive: str) -> None:
        store = with_segment()
        store.disk.arm(1, Fault(errno.EIO, only={primitive}), rng=random.Random(0))
        failing: dict[str, Callable[[], object]] = {
            "write": lambda: store.write(1, 512, b"x"),
            "sync": lambda: store.sync(1, "data"),
        }
        with pytest.raises(OSError):
            failing[primitive]()
        calls: list[Callable[[], object]] = [
            lambda: store.write(1, 512, b"x"),
            lambda: store.sync(1, "data"),
            lambda: store.extend(1, 2 * WINDOW),
            lambda: store.zero_from(1, 512),
        ]
        for call in calls:
            with pytest.raises(LawBroken, match="failed"):
                call()
        store = reopened(store.disk)
        store.acquire()
        store.zero_from(1, 512)
        store.sync(1, "full")

    def test_the_laws_are_laid_down_when_they_are_not_wanted(self) -> None:
        store = MemoryStore(MemoryDisk(), laws=False)
        store.create(1, SEGMENT)
        store.write(1, 512, frame(512, 60_000_000))
        store.write(1, WINDOW, b"grown")
        store.write_durable_mark(durable_mark(9, 9), durable=False)
        assert store.size(1) == WINDOW + 5

    def test_a_test_may_hang_in_laws_of_its_own(self) -> None:
        store = with_segment()
        seen: list[tuple[int, int, bytes]] = []
        store.on_write.append(lambda _store, number, offset, data: seen.append((number, offset, data)))
        store.write(1, 600, memoryview(b"xyz"))
        assert seen == [(1, 600, b"xyz")]
