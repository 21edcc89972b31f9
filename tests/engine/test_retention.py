"""Retention: which of the oldest completed segments are beyond the bounds, and what a writer does with them."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import random
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import walogs
from walogs.assembly.opening import assemble
from walogs.defaults.local_store import LocalStore
from walogs.engine.log_source import Environment
from walogs.engine.retention import RetainingWriter, lsn_beyond
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

SECOND: Final = 10**9
NOW: Final = 1_700_000_000 * SECOND


class Segment(NamedTuple):
    last_lsn: int
    size: int
    last_commit_ns: int | None


def aged(*ages: int | None, size: int = 100) -> list[Segment]:
    """Segments of ten entries each, whose last commit was so many seconds ago. None: it holds no entry."""
    found, lsn = [], 0
    for age in ages:
        lsn += 0 if age is None else 10
        found.append(Segment(lsn, size, None if age is None else NOW - age * SECOND))
    return found


@pytest.mark.parametrize(
    ("size", "lsn"), [(1, 30), (99, 30), (100, 30), (149, 30), (150, 20), (249, 20), (250, 10), (350, 0), (1000, 0)]
)
def test_the_oldest_segments_go_until_the_rest_is_small_enough(size: int, lsn: int) -> None:
    """The active segment of 50 bytes counts, and is never given up."""
    assert lsn_beyond(aged(9, 5, 1), 50, NOW, size=size, age_ns=None) == lsn


@pytest.mark.parametrize(("seconds", "lsn"), [(10, 0), (9, 0), (8, 10), (5, 10), (4, 20), (1, 20), (0, 30)])
def test_segments_go_whose_last_entry_is_older_than_the_time(seconds: int, lsn: int) -> None:
    assert lsn_beyond(aged(9, 5, 1), 50, NOW, size=None, age_ns=seconds * SECOND) == lsn


def test_of_two_bounds_either_is_enough() -> None:
    segments = aged(9, 5, 1)
    assert lsn_beyond(segments, 50, NOW, size=250, age_ns=4 * SECOND) == 20
    assert lsn_beyond(segments, 50, NOW, size=150, age_ns=8 * SECOND) == 20
    assert lsn_beyond(segments, 50, NOW, size=1000, age_ns=100 * SECOND) == 0


def test_without_bounds_and_without_segments_nothing_goes() -> None:
    assert lsn_beyond(aged(9, 5, 1), 50, NOW, size=None, age_ns=None) == 0
    assert lsn_beyond([], 50, NOW, size=1, age_ns=0) == 0


def test_a_segment_without_entries_keeps_none_behind_it() -> None:
    assert lsn_beyond(aged(None, 9, None, 5, 1), 50, NOW, size=None, age_ns=4 * SECOND) == 20


def test_a_young_segment_keeps_all_that_follow() -> None:
    """A clock that was wrong has stamped a segment with a time to come: nothing after it goes before it does."""
    assert lsn_beyond(aged(9, -1000, 8, 7), 50, NOW, size=None, age_ns=4 * SECOND) == 10


def test_a_limit_keeps_what_somebody_still_needs() -> None:
    segments = aged(9, 5, 1)
    for at_most in (0, 5, 10, 15, 30, 99):
        assert lsn_beyond(segments, 50, NOW, size=1, age_ns=None, at_most=at_most) == min(at_most, 30)


@given(sizes=st.lists(st.integers(0, 50), max_size=12), active=st.integers(0, 50), size=st.integers(1, 300))
def test_what_is_left_fits_and_no_less_would_do(sizes: list[int], active: int, size: int) -> None:
    segments = [Segment(lsn, each, NOW) for lsn, each in enumerate(sizes, 1)]
    given_up = lsn_beyond(segments, active, NOW, size=size, age_ns=None)
    left = sum(sizes[given_up:]) + active
    assert left <= size or given_up == len(sizes)
    if given_up:
        assert left + sizes[given_up - 1] > size


# What a writer does


class Place:
    """One place of a log, whose clock the test moves, and whose warnings are logged at once."""

    def __init__(self, shape: str) -> None:
        self.now_ns = NOW
        self.is_appendable = shape == "memory"
        self.disk, self.cloud = MemoryDisk(), MemoryCloud()

    def store(self) -> Any:
        return MemoryStore(self.disk) if self.is_appendable else MemoryImmutableStore(self.cloud)

    def open(self, store: Any = None, **options: Any) -> walogs.Wal:
        environment = Environment(
            clock=lambda: self.now_ns, entropy=os.urandom, sleep=lambda _: None, spawn=lambda run: run()
        )
        options = {"max_segment_size": 1000, "store": store or self.store(), **options}
        return assemble(None, None, environment, options)


@pytest.fixture(params=["memory", "immutable"])
def place(request: pytest.FixtureRequest) -> Place:
    return Place(request.param)


@pytest.fixture
def local() -> Place:
    """One place whose store appends."""
    return Place("memory")


def fill(wal: walogs.Wal, count: int) -> None:
    for _ in range(count):
        assert wal.append(b"x" * 400) == wal.last_lsn


def size_of(wal: walogs.Wal) -> int:
    return sum(segment.size for segment in wal.segments())


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "retention" in record.getMessage()]


@pytest.mark.guarantee("G11")
def test_a_log_stays_within_its_size(place: Place) -> None:
    with place.open(retention=walogs.Retention(size=60_000)) as wal:
        first_lsns = set()
        for _ in range(600):
            fill(wal, 1)
            # Between two looks it grows: by the active segment, or by the commits of an immutable-segment store.
            assert size_of(wal) <= 60_000 + (6000 if place.is_appendable else 100 * 1500)
            if wal.first_lsn not in first_lsns or wal.next_lsn % 10 == 0:
                assert [lsn for lsn, _ in wal.iter(wal.first_lsn)] == list(range(wal.first_lsn, wal.next_lsn))
            first_lsns.add(wal.first_lsn)
        assert len(first_lsns) > 3
        assert wal.first_lsn > 300
        with walogs.reader(store=place.store()) as reader:
            assert (reader.first_lsn, reader.last_lsn) == (wal.first_lsn, 600)
            with pytest.raises(walogs.Checkpointed) as raised:
                reader.read(1)
            assert raised.value.first_lsn == wal.first_lsn
    with place.open() as wal:
        assert [lsn for lsn, _ in wal] == list(range(wal.first_lsn, 601))


def test_entries_go_when_they_are_old_enough(place: Place) -> None:
    with place.open(retention=walogs.Retention(time=3600.0)) as wal:
        for _ in range(300):
            place.now_ns += 60 * SECOND
            fill(wal, 1)
            wal.rotate()
        assert wal.last_lsn - wal.first_lsn in range(59, 63)
        place.now_ns += 24 * 3600 * SECOND
        assert wal.first_lsn > 1  # an idle log gives up nothing
        kept = wal.first_lsn
        fill(wal, 1)
        wal.rotate()
        assert wal.first_lsn >= 301 > kept
        assert wal.read(301)


def test_without_retention_nothing_goes_and_the_writer_is_as_before(place: Place) -> None:
    with place.open() as wal:
        fill(wal, 300)
        wal.rotate()
        assert wal.first_lsn == 1
        assert not isinstance(wal._writer, RetainingWriter)


def test_a_log_that_was_larger_before_shrinks_at_the_next_segment(place: Place) -> None:
    with place.open() as wal:
        fill(wal, 300)
    with place.open(retention=walogs.Retention(size=20_000)) as wal:
        assert wal.first_lsn == 1
        fill(wal, 4)
        assert wal.first_lsn > 1
        fill(wal, 4)  # immutable segments are removed by the hundred
        assert len(place.store().segments()) < 50


def test_its_first_lsn_is_what_the_same_segments_give(local: Place) -> None:
    """At each rotation, the writer gives up what `lsn_beyond` says of the segments that are there."""
    with local.open() as plain:
        pass
    with local.open(retention=walogs.Retention(size=30_000, time=500.0)) as wal:
        rng = random.Random(7)
        for _ in range(200):
            local.now_ns += rng.choice((0, 1, 30, 200)) * SECOND
            wal.append(rng.randbytes(rng.choice((0, 100, 900, 5000))))
            before = wal.segments()
            wal.rotate()
            *completed, active = wal.segments()
            kept = [segment for segment in before if segment.last_lsn >= wal.first_lsn]
            assert lsn_beyond(completed, active.size, local.now_ns, size=30_000, age_ns=500 * SECOND) == 0
            gone = [segment for segment in before if segment.last_lsn < wal.first_lsn]
            if gone:  # the last of them was beyond a bound
                is_old = (gone[-1].last_commit_ns or 0) < local.now_ns - 500 * SECOND
                assert is_old or gone[-1].size + sum(s.size for s in (*kept, active)) > 30_000 - 5000
    assert plain.closed


def test_observers_are_told_as_of_any_checkpoint(place: Place) -> None:
    events: list[Any] = []
    with place.open(retention=walogs.Retention(size=20_000), observers=[events.append]) as wal:
        fill(wal, 250)
        told = [event for event in events if isinstance(event, walogs.events.CheckpointEvent)]
        assert told
        assert told[-1].first_lsn == wal.first_lsn
        assert wal.stats().entries == 250


def test_many_submitted_entries_are_kept_within_the_size_too(place: Place) -> None:
    with walogs.open(store=place.store(), max_segment_size=1000, retention=walogs.Retention(size=20_000)) as wal:
        futures = [wal.submit(b"x" * 400) for _ in range(1000)]
        assert [future.result() for future in futures] == list(range(1, 1001))
        wal.rotate()
        assert wal.first_lsn > 1
        assert [lsn for lsn, _ in wal] == list(range(wal.first_lsn, 1001))


# What fails


@pytest.mark.guarantee("G11")
def test_an_append_succeeds_although_the_removal_fails(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    store, calls = place.store(), []
    remove = store.remove

    def refuse(numbers: Any) -> None:
        calls.append(numbers)
        raise OSError(errno.EIO, "the removal failed")

    with place.open(store, retention=walogs.Retention(size=20_000)) as wal:
        store.remove = refuse
        fill(wal, 600)
        assert len(calls) > 1  # it was tried again
        assert len(calls) < (600 if place.is_appendable else 10)
        assert len(warnings_in(caplog)) == 1
        assert "the removal failed" in warnings_in(caplog)[0]
        first_lsn = wal.first_lsn
        assert first_lsn > 1  # given up, although it is not removed
        there = len(store.segments())
        store.remove = remove
        fill(wal, 600)
        assert len(store.segments()) < there
        store.remove = refuse
        fill(wal, 600)
        assert len(warnings_in(caplog)) == 2
    with place.open() as wal:
        assert [lsn for lsn, _ in wal] == list(range(wal.first_lsn, 1801))


def test_what_was_not_removed_goes_the_next_time_although_nothing_more_is_beyond_the_bounds(local: Place) -> None:
    store = local.store()
    remove = store.remove

    def refuse(numbers: Any) -> None:
        raise OSError(errno.EIO, "the removal failed")

    with local.open(store, retention=walogs.Retention(time=60.0)) as wal:
        fill(wal, 20)
        local.now_ns += 100 * SECOND
        store.remove = refuse
        fill(wal, 1)
        wal.rotate()
        assert (wal.first_lsn, wal.segment_count) == (21, 2)
        assert len(store.segments()) > 10
        store.remove = remove
        fill(wal, 1)
        wal.rotate()
        assert (wal.first_lsn, wal.segment_count) == (21, 3)
        assert len(store.segments()) == 3


@pytest.mark.guarantee("G7", "G11")
def test_an_append_succeeds_although_its_checkpoint_poisons_the_log(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    store = place.store()
    wal = place.open(store, retention=walogs.Retention(size=6000 if place.is_appendable else 1))
    verb = "sync" if place.is_appendable else "create"
    act, appends = getattr(store, verb), 0

    def fails_at_a_checkpoint(*given: Any, **options: Any) -> Any:
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_name != "checkpoint":
            frame = frame.f_back  # type: ignore[assignment]
        if frame is not None:
            raise OSError(errno.EIO, "the checkpoint failed")
        return act(*given, **options)

    setattr(store, verb, fails_at_a_checkpoint)
    while not wal._writer.is_poisoned:
        appends += 1
        assert wal.append(b"x" * 400) == appends
        assert appends < 200
    with pytest.raises(walogs.Poisoned):
        wal.append(b"x")
    assert appends > 1
    assert len(warnings_in(caplog)) == 1
    setattr(store, verb, act)
    wal.close()
    with place.open() as wal:
        assert [lsn for lsn, _ in wal] == list(range(wal.first_lsn, appends + 1))
        assert wal.append(b"goes on") == appends + 1


def test_entries_that_are_not_synced_are_named_by_the_next_verb(local: Place) -> None:
    """The checkpoint is the first sync of them, and it fails. The append that caused it has returned."""
    store = local.store()
    wal = local.open(store, retention=walogs.Retention(size=6000), sync="none")
    wal.append(b"x" * 400)
    sync = store.sync

    def fails_at_a_checkpoint(*given: Any) -> None:
        if sys._getframe(1).f_code.co_name == "_make_first_lsn_durable":
            raise OSError(errno.EIO, "the sync failed")
        sync(*given)

    store.sync = fails_at_a_checkpoint
    while not wal._writer.is_poisoned:
        lsn = wal.append(b"x" * 400)
        assert lsn < 50
    with pytest.raises(walogs.OutcomeUnknown) as raised:
        wal.sync()
    assert raised.value.last_lsn == lsn == wal.last_lsn
    store.sync = sync
    wal.close()


@pytest.mark.guarantee("G18")
def test_an_interrupt_in_the_removal_leaves_the_log_usable(place: Place) -> None:
    store, interrupts = place.store(), 0
    remove = store.remove

    def interrupted(numbers: Any) -> None:
        nonlocal interrupts
        if numbers and interrupts < 3:
            interrupts += 1
            raise KeyboardInterrupt
        remove(numbers)

    with place.open(store, retention=walogs.Retention(size=20_000)) as wal:
        store.remove = interrupted
        appends = 0
        while appends < 600:
            appends += 1
            with contextlib.suppress(KeyboardInterrupt):
                wal.append(b"x" * 400)
        assert interrupts == 3
        assert wal.last_lsn == 600
        assert size_of(wal) < 200_000
        assert [lsn for lsn, _ in wal] == list(range(wal.first_lsn, 601))
        assert len(store.segments()) < 300


@pytest.mark.guarantee("G9", "G11")
def test_a_full_disk_fails_no_append_that_fits(local: Place) -> None:
    with local.open(retention=walogs.Retention(size=30_000)) as wal:
        fill(wal, 10)
        local.disk.room = 250_000
        for _ in range(500):
            fill(wal, 1)
        assert size_of(wal) <= 36_000


@pytest.mark.guarantee("G11", "G14")
def test_an_iteration_over_what_is_given_up_says_so(place: Place) -> None:
    with place.open(retention=walogs.Retention(size=20_000)) as wal:
        fill(wal, 20)
        own = iter(wal)
        assert next(own)[0] == wal.first_lsn
        fill(wal, 400)
        with pytest.raises(walogs.Checkpointed):
            list(own)


def test_immutable_segments_are_looked_at_seldom_and_never_listed() -> None:
    place = Place("immutable")
    store = place.store()
    calls: dict[str, int] = {"segments": 0, "sizes": 0, "create": 0, "remove": 0}

    def counted(verb: str) -> Any:
        act = getattr(store, verb)

        def count(*given: Any) -> Any:
            calls[verb] += 1
            return act(*given)

        return count

    with place.open(store, retention=walogs.Retention(size=100_000)) as wal:
        for verb in calls:
            setattr(store, verb, counted(verb))
        fill(wal, 2000)
        assert (calls["segments"], calls["sizes"]) == (0, 0)
        assert calls["create"] <= 2000 + 2000 // 100 + 1
        assert calls["remove"] <= 2 * (2000 // 100) + 2
        assert len(place.cloud.objects) < 400


def test_a_process_that_appends_once_keeps_a_log_of_immutable_segments_within_its_size() -> None:
    place = Place("immutable")
    for _ in range(100):
        with place.open(retention=walogs.Retention(size=10_000)) as wal:
            fill(wal, 1)
    with place.open() as wal:
        assert wal.last_lsn - wal.first_lsn < 20
        assert size_of(wal) < 20_000


# What is refused


@pytest.mark.parametrize(
    ("values", "problems"),
    [
        ({"size": 0}, ("size=0: bytes, 1 or more, or None",)),
        ({"size": 1.5}, ("size=1.5: bytes, 1 or more, or None",)),
        ({"size": True}, ("size=True: bytes, 1 or more, or None",)),
        ({"size": "1GiB"}, ("size='1GiB': bytes, 1 or more, or None",)),
        ({"time": 0}, ("time=0: seconds, more than 0, or None",)),
        ({"time": math.nan}, ("time=nan: seconds, more than 0, or None",)),
        ({"time": -1.0}, ("time=-1.0: seconds, more than 0, or None",)),
        ({"time": "7d"}, ("time='7d': seconds, more than 0, or None",)),
        ({"size": 0, "time": 0}, ("size=0: bytes, 1 or more, or None", "time=0: seconds, more than 0, or None")),
        ({}, ("a retention has a size, a time, or both",)),
    ],
)
def test_what_is_no_bound_is_refused(values: dict[str, Any], problems: tuple[str, ...]) -> None:
    with pytest.raises(walogs.ConfigError) as raised:
        walogs.Retention(**values)
    assert raised.value.problems == problems


@pytest.mark.parametrize("value", [5, "10GiB", {"size": 5}, (5, 7.0), True])
def test_what_is_no_retention_is_refused_and_nothing_is_made(value: Any, tmp_path: Path) -> None:
    with pytest.raises(walogs.ConfigError) as raised:
        walogs.open(tmp_path / "log", retention=value)
    assert raised.value.problems == (f"retention={value!r}: a Retention, or None",)
    assert list(tmp_path.iterdir()) == []


def test_a_time_without_end_gives_up_nothing(local: Place) -> None:
    with local.open(retention=walogs.Retention(time=math.inf)) as wal:
        fill(wal, 50)
        assert wal.first_lsn == 1


# Cursors


@pytest.mark.guarantee("G21")
def test_what_a_cursor_still_needs_stays_beyond_all_bounds(local: Place) -> None:
    with local.open(retention=walogs.Retention(size=1), max_segment_size=4096) as wal, wal.cursor("mailer") as cursor:
        for _ in range(100):
            wal.append(bytes(100))
        assert wal.first_lsn == 1
        cursor.commit(50)
        while wal.segments()[-1].first_lsn < 100:
            wal.append(bytes(100))
        assert 1 < wal.first_lsn <= 51
        assert [lsn for lsn, _ in cursor.iter(52)] == [51]


def test_a_retention_can_be_told_to_forget_the_cursors(local: Place) -> None:
    retention = walogs.Retention(size=1, keep_for_cursors=False)
    with local.open(retention=retention, max_segment_size=4096) as wal, wal.cursor("mailer") as cursor:
        for _ in range(100):
            wal.append(bytes(100))
        assert wal.first_lsn > 50
        with pytest.raises(walogs.Checkpointed, match="mailer"):
            list(cursor.iter())


@pytest.mark.guarantee("G21")
def test_a_damaged_cursor_keeps_everything_and_is_logged_once(
    local: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LocalStore(tmp_path / "log")
    with local.open(store, retention=walogs.Retention(size=1), max_segment_size=4096) as wal:
        wal.append(b"x")
        wal.cursor("mailer").close()
        (tmp_path / "log" / "cursors" / "mailer").write_bytes(b"?")
        for _ in range(100):
            wal.append(bytes(100))
        assert wal.first_lsn == 1
        (warning,) = warnings_in(caplog)
        assert "cursors/mailer" in warning
        (tmp_path / "log" / "cursors" / "mailer").unlink()
        for _ in range(100):
            wal.append(bytes(100))
        assert wal.first_lsn > 50
