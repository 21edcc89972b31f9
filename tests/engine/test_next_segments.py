"""A follower of immutable segments fetches each new segment once, and is certain of it as after a whole observation."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pytest

import walogs
import walogs.plugins
from tests.kit.counted_stores import Counted, CountedWaiting
from tests.system.children import seed_of
from walogs.testing import MemoryCloud, MemoryImmutableStore

LONG: Final = 3600
"""A follower waits so many seconds, if the store ever lets it."""


@pytest.fixture
def cloud() -> MemoryCloud:
    cloud = MemoryCloud()
    with walogs.open(store=MemoryImmutableStore(cloud)) as wal:
        for number in range(1, 4):
            wal.append(b"entry %d" % number)
    return cloud


def writer_of(cloud: MemoryCloud) -> walogs.Wal:
    return walogs.open(store=MemoryImmutableStore(cloud))


def test_a_new_commit_costs_a_follower_three_requests(cloud: MemoryCloud) -> None:
    """The store waits for it, lists what is new, and fetches it. Further commits cost one request each."""
    store = CountedWaiting(cloud)
    with writer_of(cloud) as wal:
        following = walogs.reader(store=store).follow(wal.next_lsn, timeout=LONG)
        store.coming = [lambda: wal.append(b"the first")]
        assert next(following)[1] == b"the first"
        for commits in (1, 1, 5, 1):
            entries = [b"%d of %d" % (at, commits) for at in range(commits)]
            store.coming = [lambda entries=entries: [wal.append(entry) for entry in entries]]  # type: ignore[misc]
            store.calls.clear()
            assert [next(following)[1] for _ in entries] == entries
            assert +store.calls == {"waits": 1, "lists": 1, "ahead": commits}


def test_a_follower_reads_on_over_takeovers_batches_and_checkpoints(cloud: MemoryCloud) -> None:
    store, expected = CountedWaiting(cloud), []
    following = walogs.reader(store=store).follow(4, timeout=LONG)
    wal = writer_of(cloud)

    def change() -> None:
        nonlocal wal
        read_so_far = wal.last_lsn
        wal.append_batch([b"a", b"", b"c" * 1000])
        wal.close()
        wal = writer_of(cloud)  # this makes a segment that holds no entry
        wal.append(b"of the next writer")
        wal.checkpoint(read_so_far)
        wal.append(b"after the checkpoint")

    for _ in range(3):
        store.coming = [change]
        expected = [b"a", b"", b"c" * 1000, b"of the next writer", b"after the checkpoint"]
        assert [next(following)[1] for _ in expected] == expected
    wal.close()


def test_a_follower_is_told_that_a_checkpoint_has_passed_it(cloud: MemoryCloud) -> None:
    store = CountedWaiting(cloud)
    following = walogs.reader(store=store).follow(3, timeout=LONG)
    assert next(following) == (3, b"entry 3")
    with writer_of(cloud) as wal:

        def pass_it() -> None:
            for _ in range(5):
                wal.append(b"removed")
            wal.checkpoint(wal.next_lsn - 1)

        store.coming = [pass_it]
        with pytest.raises(walogs.Checkpointed) as caught:
            next(following)
        assert (caught.value.lsn, caught.value.first_lsn) == (4, 8)


def test_a_follower_is_told_that_its_last_entry_was_replaced(cloud: MemoryCloud) -> None:
    """Somebody deletes the newest object, and a writer goes on at its number."""
    store = CountedWaiting(cloud)
    with writer_of(cloud) as wal:
        wal.append(b"entry 4")
    following = walogs.reader(store=store).follow(4, timeout=LONG)
    assert next(following) == (4, b"entry 4")

    def replace() -> None:
        del cloud.objects[max(cloud.objects)]
        with writer_of(cloud) as wal:
            wal.append(b"another entry 4")
            wal.append(b"entry 5")

    store.coming = [replace]
    with pytest.raises(walogs.LogRewound) as caught:
        next(following)
    assert caught.value.end_lsn == 3


def test_a_new_segment_of_another_history_is_refused(cloud: MemoryCloud) -> None:
    """Two copies of a log go on by themselves. Then the newest segment of one is put into the place of the other's."""
    other = MemoryCloud()
    other.objects.update(cloud.objects)
    with writer_of(cloud) as ours, writer_of(other) as theirs:
        ours.append(b"ours")
        theirs.append(b"theirs")
        store = CountedWaiting(cloud)
        following = walogs.reader(store=store).follow(4, timeout=LONG)
        assert next(following) == (4, b"ours")

        def exchange() -> None:
            ours.append(b"the next one")
            theirs.append(b"the next one")
            cloud.objects[max(cloud.objects)] = other.objects[max(other.objects)]

        store.coming = [exchange]
        with pytest.raises(walogs.Corrupt, match="another history"):
            next(following)


@pytest.mark.parametrize("turn", range(3))
def test_damage_in_a_new_segment_is_told_and_nothing_of_it_is_returned(cloud: MemoryCloud, turn: int) -> None:
    choose = random.Random(seed_of(f"damage in a new segment, {turn}"))
    store = CountedWaiting(cloud)
    with writer_of(cloud) as wal:
        following = walogs.reader(store=store).follow(4, timeout=LONG)

        def damage() -> None:
            wal.append(b"good")
            wal.append_batch([b"bad"] * 5)
            number = max(cloud.objects)
            content = bytearray(cloud.objects[number])
            content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
            cloud.objects[number] = bytes(content)

        store.coming = [damage]
        assert next(following) == (4, b"good")
        with pytest.raises(walogs.Corrupt):
            next(following)


def test_a_list_that_fails_once_ends_no_follower(cloud: MemoryCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CountedWaiting(cloud)
    following = walogs.reader(store=store).follow(3, timeout=LONG)
    assert next(following) == (3, b"entry 3")
    list_once, failures = store.segments_after, [OSError("the connection was reset")]

    def fail_first(number: int) -> Sequence[int]:
        if failures:
            raise failures.pop()
        return list_once(number)

    monkeypatch.setattr(store, "segments_after", fail_first)
    with writer_of(cloud) as wal:
        store.coming = [lambda: wal.append(b"entry 4")]
        assert next(following) == (4, b"entry 4")
        assert failures == []


class LateStore(Counted):
    """Some readings of segment `late` do not find it, and each time something happens."""

    late = 0
    is_absent = False
    after_list: Callable[[], object] | None = None
    """What happens after the next list."""

    def __init__(self, cloud: MemoryCloud) -> None:
        super().__init__(cloud)
        self.meanwhile: list[Callable[[], object] | None] = []
        """What happens at each of the next readings. None: it is found."""

    def segments_after(self, number: int) -> Sequence[int]:
        found = super().segments_after(number)
        happens, self.after_list = self.after_list, None
        if happens is not None:
            happens()
        return found

    def read_many(self, numbers: Sequence[int], end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        for number, size, content in super().read_many(numbers, end):
            happens = self.meanwhile.pop(0) if number == self.late and self.meanwhile else None
            if happens is None:
                yield number, size, content
            else:
                happens()
                self.is_absent = True
                yield number, 0, None

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        if number == self.late and self.is_absent:
            self.is_absent = False
            raise walogs.plugins.SegmentNotFound("it is late")
        return super().read(number, start, end)


def test_a_follower_looks_beyond_what_it_returned_and_not_beyond_what_it_observed(cloud: MemoryCloud) -> None:
    """The store cannot wait. An entry comes while another one, which was observed already, cannot be read."""
    store = LateStore(cloud)
    with writer_of(cloud) as wal:
        following = walogs.reader(store=store)._follow_from(4)
        assert list(following.new_entries()) == []

        def append_two() -> None:
            wal.append(b"four")
            wal.append(b"five")
            store.late = max(cloud.objects)

        store.after_list = append_two
        # It is not found when it is fetched as the next segment. Two readings observe it, and the last one fails again.
        store.meanwhile = [lambda: None, None, None, lambda: wal.append(b"meanwhile")]
        seen = list(following.new_entries())
        assert store.meanwhile == []
        while following.may_have_more() and len(seen) < 3:
            seen += following.new_entries()
    assert seen == [(4, b"four"), (5, b"five"), (6, b"meanwhile")]
