"""A reader that follows a log gets every entry once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import walogs
from tests.handles.readers import entry, reader_of
from tests.kit import stores
from tests.kit.logs import LogOnDisk, zeroed
from tests.kit.stores import LogFactory
from walogs.engine import extent_finder
from walogs.testing import (
    MemoryCloud,
    MemoryImmutableStore,
)

log_factory, appending_factory = stores.log_factory, stores.appending_factory


@pytest.mark.guarantee("G14")
def test_a_follower_gets_every_entry_once_and_in_order(log_factory: LogFactory) -> None:
    with log_factory.open(max_segment_size=1500) as wal:
        wal.append(entry(1))
        reader = reader_of(log_factory)
        got: list[tuple[int, bytes]] = []
        thread = threading.Thread(target=lambda: got.extend(until(reader.follow(poll=0.001), 200)))
        thread.start()
        for lsn in range(2, 201):
            wal.append(entry(lsn))
            if lsn % 50 == 0:
                wal.rotate()
        thread.join(300)
        assert got == [(lsn, entry(lsn)) for lsn in range(1, 201)]


@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("visibility", ["durable", "written"])
def test_what_is_appended_between_a_look_and_the_wait_is_not_slept_through(
    log_factory: LogFactory, visibility: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every call of a follower's store once; it may wait for one poll, and not for the look that comes every so
    often."""
    monkeypatch.setattr("walogs.handles.following.WATCHED_SECONDS", 1e-9)
    with log_factory.open() as wal:
        wal.append(entry(1))
        at = 1
        while True:
            reader, store = with_counted_calls(reader_of(log_factory, visibility))
            last_lsn = wal.last_lsn
            following = reader.follow(last_lsn + 1, poll=1e-9, timeout=300)

            def append_at(call: int, at: int = at) -> None:
                if call == at:
                    wal.append(entry(2))

            store.before = append_at
            store.count = 0
            assert next(following) == (last_lsn + 1, entry(2))
            calls = store.count
            assert calls < at + 40, f"appended before call {at}, handed out after call {calls}"
            following.close()  # type: ignore[attr-defined]
            at += 1
            if at > 25:
                break


class CountedCalls:
    """A store, and what is to be done before each call of one that reads."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.count = 0
        self.before: Callable[[int], object] = lambda call: None

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.store, name)
        if name not in ("segments", "segments_after", "size", "read", "read_many", "read_durable_mark"):
            return member

        def call(*arguments: Any) -> Any:
            self.count += 1
            self.before(self.count)
            return member(*arguments)

        return call


def with_counted_calls(reader: walogs.WalReader) -> tuple[walogs.WalReader, CountedCalls]:
    """Return another reader of the same log, and its store."""
    store = CountedCalls(reader._source.store)
    source = reader._source._replace(store=store)  # type: ignore[arg-type]
    return walogs.WalReader(reader.path, source, reader.visibility), store


def test_a_follower_that_waits_asks_for_one_small_thing_a_poll(log_factory: LogFactory) -> None:
    with log_factory.open() as wal:
        wal.append(entry(1))
        reader, store = with_counted_calls(reader_of(log_factory))
        waits: list[float] = []

        def waited(timeout: float) -> bool:
            waits.append(timeout)
            if len(waits) == 80:
                reader.close()
            return reader.closed

        reader._woken = SimpleNamespace(acquire=waited, locked=lambda: False)  # type: ignore[assignment]
        following = reader.follow(2, poll=3.0)
        store.count = 0
        with pytest.raises(walogs.Closed):
            next(following)
        assert waits == [3.0] * 80
        assert store.count < 80 + 40


def test_a_follower_notices_that_a_frame_is_whole_whose_first_half_it_has_seen(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append(b"small")
        wal.append(bytes(range(256)) * 4000)
    log = LogOnDisk(tmp_path / "log").forget_durable_mark()
    frame, content = log.frames(1)[1], log.segment(1).read_bytes()
    log.segment(1).write_bytes(zeroed(content, frame.offset + 300_000, frame.end))
    with walogs.reader(log.path, visibility="written") as reader:
        following = reader._follow_from(1)
        assert [lsn for lsn, _ in following.new_entries()] == [1]
        assert list(following.new_entries()) == []
        assert not following.may_have_more()
        log.segment(1).write_bytes(content)
        assert following.may_have_more()
        assert [lsn for lsn, _ in following.new_entries()] == [2]


def test_a_follower_notices_a_new_segment_after_one_that_nobody_seals(tmp_path: Path) -> None:
    """A writer was killed after it had made the next segment, or its disk had no space for the SEAL."""
    with walogs.open(tmp_path / "log") as wal:
        wal.append(b"one")
        log = LogOnDisk(tmp_path / "log").copy(tmp_path / "copy").forget_durable_mark()
        with walogs.reader(log.path, visibility="written") as reader:
            following = reader._follow_from(1)
            assert [lsn for lsn, _ in following.new_entries()] == [1]
            assert not following.may_have_more()
            wal.rotate()
            wal.append(b"two")
            log.segment(2).write_bytes((tmp_path / "log/wal-000002.log").read_bytes())
            assert following.may_have_more()
            assert list(following.new_entries()) == [(2, b"two")]


@pytest.mark.guarantee("G14")
def test_a_reader_remembers_a_bounded_number_of_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extent_finder, "HEADERS_KEPT", 8)
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for lsn in range(1, 60):
            wal.append(entry(lsn))
        with walogs.reader(store=MemoryImmutableStore(cloud)) as reader:
            assert list(reader) == list(wal)
            assert len(reader._view._finder._headers) <= 8
            assert [reader.read(lsn) for lsn in range(59, 0, -1)] == [entry(lsn) for lsn in range(59, 0, -1)]
            assert len(reader._view._finder._headers) <= 8


def until(entries: Iterator[tuple[int, bytes]], last_lsn: int) -> Iterator[tuple[int, bytes]]:
    for lsn, data in entries:
        yield lsn, data
        if lsn == last_lsn:
            return


def test_a_follower_ends_when_nothing_comes_or_it_is_closed(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"one")
        reader = walogs.reader(tmp_path)
        assert list(reader.follow(timeout=0)) == [(1, b"one")]
        assert list(reader.follow(2, timeout=0.01)) == []
        failures: list[BaseException] = []

        def follow() -> None:
            try:
                list(reader.follow(2))
            except walogs.Closed as closed:
                failures.append(closed)

        thread = threading.Thread(target=follow)
        thread.start()
        reader.close()
        thread.join(300)
        assert len(failures) == 1
