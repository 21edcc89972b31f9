"""The fencing model: atomic puts, lost answers, and every fault that a real remote has shown."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from walogs.errors import Closed, NoSpace, SegmentExists, SegmentNotFound, Unavailable, UnsafeStore
from walogs.protocols import AppendableStore, SegmentStore
from walogs.testing import CLOUD_CALLS, CloudFault, MemoryCloud, MemoryImmutableStore, SimulatedCrash

SEEDS = range(100)


def arm(cloud: MemoryCloud, fault: CloudFault, seed: int = 0, step: int = 1) -> None:
    cloud.arm(step, fault, rng=random.Random(seed))


def test_it_is_a_store_that_only_fences() -> None:
    store = MemoryImmutableStore(MemoryCloud())
    assert isinstance(store, SegmentStore)
    assert not isinstance(store, AppendableStore)
    capabilities = store.capabilities
    assert (capabilities.appendable, capabilities.torn_tail, capabilities.exclusion) == (
        False,
        False,
        "create_if_absent",
    )
    assert (capabilities.numbers_reused, capabilities.exists_means_durable) == (True, True)
    assert capabilities.persistence == "replicated"


def test_two_stores_share_what_is_there_and_one_of_two_puts_wins() -> None:
    cloud = MemoryCloud()
    one, other = MemoryImmutableStore(cloud), MemoryImmutableStore(cloud)
    one.acquire()
    other.acquire()
    for number in (12, 3, 100):
        one.create(number, bytearray(b"%d" % number))
    with pytest.raises(SegmentExists):
        other.create(3, b"mine")
    assert other.segments() == [3, 12, 100]
    assert (other.size(100), other.read(100), other.read(100, 1), other.read(100, 1, 2)) == (3, b"100", b"00", b"0")
    assert other.segment_name(3) < other.segment_name(12) < other.segment_name(100)
    other.remove([3, 4, 12])
    assert one.segments() == [100]
    for call in (one.size, one.read):
        with pytest.raises(SegmentNotFound):
            call(3)


def test_a_number_is_created_again_only_where_that_is_so() -> None:
    for numbers_reused in (True, False):
        cloud = MemoryCloud(numbers_reused=numbers_reused)
        store = MemoryImmutableStore(cloud)
        assert store.capabilities.numbers_reused is numbers_reused
        store.create(1, b"a")
        store.create(2, b"b")
        store.remove([1, 2])
        if numbers_reused:
            store.create(1, b"again")
        else:
            for number in (1, 2):
                with pytest.raises(SegmentExists):
                    store.create(number, b"again")
        store.create(3, b"c")


def test_more_than_it_takes_is_refused() -> None:
    store = MemoryImmutableStore(MemoryCloud(), segment_bytes_max=3)
    with pytest.raises(NoSpace):
        store.create(1, b"four")
    assert store.segments() == []


def test_a_server_that_ignores_create_if_absent_is_found_out() -> None:
    cloud = MemoryCloud(is_exclusive=False)
    one, other = MemoryImmutableStore(cloud), MemoryImmutableStore(cloud)
    one.create(1, b"one")
    other.create(1, b"other")  # both were told that they won
    assert one.read(1) == b"other"
    with pytest.raises(UnsafeStore):
        one.acquire()


class TestLostAnswers:
    def test_before_the_effect_nothing_happened_and_after_it_all_of_it(self) -> None:
        cloud = MemoryCloud()
        store = MemoryImmutableStore(cloud)
        arm(cloud, CloudFault("unavailable", moment="before"))
        with pytest.raises(Unavailable):
            store.create(1, b"a")
        assert cloud.objects == {}
        arm(cloud, CloudFault("unavailable", moment="after"))
        with pytest.raises(Unavailable):
            store.create(1, b"a")
        assert cloud.objects == {1: b"a"}
        with pytest.raises(SegmentExists):  # for its own put
            store.create(1, b"a")

    def test_the_caller_cannot_tell_which(self) -> None:
        left = set()
        for seed in SEEDS:
            cloud = MemoryCloud()
            arm(cloud, CloudFault("unavailable"), seed)
            with pytest.raises(Unavailable):
                MemoryImmutableStore(cloud).create(1, b"a")
            left.add(1 in cloud.objects)
        assert left == {True, False}

    def test_a_refusal_can_be_lost_as_well(self) -> None:
        cloud = MemoryCloud()
        store = MemoryImmutableStore(cloud)
        store.create(1, b"a")
        arm(cloud, CloudFault("unavailable", moment="after", times=2))
        with pytest.raises(Unavailable):
            store.create(1, b"b")
        with pytest.raises(Unavailable):
            store.read(7)
        assert cloud.objects == {1: b"a"}

    @pytest.mark.parametrize("call", sorted(CLOUD_CALLS))
    def test_every_call_can_go_unanswered_some_number_of_times(self, call: str) -> None:
        cloud = MemoryCloud()
        store = MemoryImmutableStore(cloud)
        store.create(1, b"a")
        calls: dict[str, Callable[[], object]] = {
            "acquire": store.acquire,
            "segments": store.segments,
            "size": lambda: store.size(1),
            "read": lambda: store.read(1),
            "create": lambda: store.create(2, b"b"),
            "remove": lambda: store.remove([]),
        }
        before = cloud.steps
        arm(cloud, CloudFault("unavailable", only={call}, times=3, moment="before"))
        for _ in range(3):
            with pytest.raises(Unavailable):
                calls[call]()
        calls[call]()
        assert cloud.steps == before + 4

    def test_exists_that_is_not_there(self) -> None:
        cloud = MemoryCloud()
        store = MemoryImmutableStore(cloud)
        arm(cloud, CloudFault("exists", times=2))
        assert store.segments() == []  # not counted: it happens to create alone
        for _ in range(2):
            with pytest.raises(SegmentExists):
                store.create(1, b"a")
            with pytest.raises(SegmentNotFound):
                store.read(1)
        store.create(1, b"a")

    def test_a_late_put_arrives_after_whatever_else_happened(self) -> None:
        cloud = MemoryCloud()
        store = MemoryImmutableStore(cloud)
        arm(cloud, CloudFault("late", times=2))
        for data in (b"a", b"b"):
            with pytest.raises(Unavailable):
                store.create(1, data)
        assert cloud.objects == {}
        store.create(1, b"c")
        assert not cloud.deliver()
        store.remove([1])
        assert cloud.deliver()
        assert cloud.objects == {1: b"b"}  # a zombie took the number that a checkpoint had freed
        with pytest.raises(IndexError):
            cloud.deliver()

    def test_a_removal_stops_half_way_in_any_order(self) -> None:
        left = set()
        for seed in range(300):
            cloud = MemoryCloud()
            store = MemoryImmutableStore(cloud)
            for number in (1, 2, 3):
                store.create(number, b"x")
            arm(cloud, CloudFault("unavailable", only={"remove"}, moment="half"), seed)
            with pytest.raises(Unavailable):
                store.remove((1, 2, 3))
            left.add(tuple(store.segments()))
            store.remove([1, 2, 3])
            assert store.segments() == []
        assert len(left) == 8

    def test_sticky_until_disarmed(self) -> None:
        cloud = MemoryCloud()
        store = MemoryImmutableStore(cloud)
        arm(cloud, CloudFault("unavailable", times=None), step=2)
        store.segments()
        for _ in range(5):
            with pytest.raises(Unavailable):
                store.segments()
        cloud.disarm()
        store.segments()


class TestCrashes:
    def test_what_a_dying_process_asked_for_has_happened_or_not(self) -> None:
        left = set()
        for seed in SEEDS:
            cloud = MemoryCloud()
            store, other = MemoryImmutableStore(cloud), MemoryImmutableStore(cloud)
            arm(cloud, CloudFault("crash"), seed)
            with pytest.raises(SimulatedCrash):
                store.create(1, b"a")
            left.add(tuple(other.segments()))
            with pytest.raises(SimulatedCrash):
                store.segments()
            store.close()
        assert left == {(), (1,)}

    def test_a_removal_dies_half_way(self) -> None:
        left = set()
        for seed in range(300):
            cloud = MemoryCloud()
            store = MemoryImmutableStore(cloud)
            store.create(1, b"x")
            store.create(2, b"x")
            arm(cloud, CloudFault("crash", only={"remove"}), seed)
            with pytest.raises(SimulatedCrash):
                store.remove([1, 2])
            left.add(tuple(sorted(cloud.objects)))
        assert left == {(1, 2), (1,), (2,), ()}

    def test_killing_one_leaves_the_other(self) -> None:
        cloud = MemoryCloud()
        store, other = MemoryImmutableStore(cloud), MemoryImmutableStore(cloud)
        store.kill()
        for call in (store.segments, store.acquire, lambda: store.create(1, b"x"), lambda: store.read(1)):
            with pytest.raises(SimulatedCrash):
                call()
        other.create(1, b"x")

    def test_closed_is_closed(self) -> None:
        store = MemoryImmutableStore(MemoryCloud())
        store.close()
        store.close()
        with pytest.raises(Closed):
            store.segments()


@pytest.mark.parametrize(
    ("what", "only"), [("exists", {"read"}), ("late", {"remove"}), ("unavailable", {"put"})], ids=str
)
def test_a_fault_that_could_never_fire_is_refused(what: str, only: set[str]) -> None:
    with pytest.raises(ValueError, match="happens to"):
        CloudFault(what, only=only)  # type: ignore[arg-type]
