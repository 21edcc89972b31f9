"""Many writers of one log in an immutable-segment store: no entry that was acknowledged is lost or overwritten.

A history is a random sequence of what writers do. A writer is paused at any call to the store, and others open the log,
append and remove segments meanwhile. Writers that were fenced go on trying. Answers are lost, puts arrive late, and the
server says "exists" of what is not there. The test prints how much it tried.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

import walogs
from tests.kit import laboratory
from tests.system.children import seed_of
from walogs.assembly.config import WalConfig
from walogs.assembly.opening import assemble
from walogs.engine.log_source import Environment
from walogs.engine.new_segments import put_segment
from walogs.testing.memory_immutable_store import CloudFault, MemoryCloud, MemoryImmutableStore

ACKNOWLEDGED: Final = laboratory.amount(50_000, 500_000)
SAMPLE: Final = 3_000
"""How many acknowledgements the test makes that runs every time."""
STEPS: Final = 150
WRITERS_MAX: Final = 5
FAULTS: Final = ("unavailable", "unavailable", "exists", "late")
REFUSALS: Final = (walogs.Fenced, walogs.Poisoned, walogs.Unavailable)


class World:
    """One log, its writers, and what was acknowledged."""

    def __init__(self, rng: random.Random, done: Counter[str]) -> None:
        self.rng = rng
        self.done = done
        self.cloud = MemoryCloud(numbers_reused=rng.random() < 0.7)
        self.writers: list[walogs.Wal] = []
        """Those that are not paused in a call."""
        self.made: list[walogs.Wal] = []
        self.acknowledged: dict[int, bytes] = {}
        self.checkpointed = 0
        """Entries up to this one may be gone."""
        self.depth = 0
        self.count = 0
        self.environment = Environment(
            clock=lambda: 1_700_000_000_000_000_000 + self.count,
            entropy=rng.randbytes,
            sleep=lambda _: self.pause(),
        )

    def pause(self) -> None:
        """Let other writers act while one of them is paused in a call to the store."""
        if self.depth < 2 and self.rng.random() < 0.06:
            self.depth += 1
            self.done["pauses"] += 1
            try:
                self.step()
            finally:
                self.depth -= 1

    def step(self) -> None:
        """Do one random thing."""
        chance = self.rng.random()
        if chance < 0.06 or not self.writers:
            self.open()
        elif chance < 0.14:
            fault = CloudFault(self.rng.choice(FAULTS), {"create"}, times=self.rng.choice((1, 1, 2, 6)))  # type: ignore[arg-type]
            self.cloud.arm(self.rng.randint(1, 3), fault, rng=self.rng)
            self.done["faults"] += 1
        elif chance < 0.20 and self.cloud.late:
            self.cloud.deliver(self.rng.randrange(len(self.cloud.late)))
            self.done["late puts"] += 1
        elif chance < 0.24:
            self.use(self.checkpoint)
        elif chance < 0.26:
            self.look()
        else:
            self.use(self.append)

    def use(self, verb: Callable[[walogs.Wal], bool]) -> None:
        """Let a writer do something. Meanwhile nobody else uses it. If the verb returns False, the writer goes."""
        wal = self.writers.pop(self.rng.randrange(len(self.writers)))
        if verb(wal):
            self.writers.append(wal)
        else:
            wal.close()
        while len(self.writers) > WRITERS_MAX:
            self.writers.pop(self.rng.randrange(WRITERS_MAX)).close()

    def open(self) -> None:
        before = dict(self.acknowledged)  # what others acknowledge later may be above the fence of this open
        try:
            wal = assemble(None, WalConfig(store=Paused(self)), self.environment)
        except walogs.Unavailable:
            self.done["opens without an answer"] += 1
            return
        self.done["opens"] += 1
        self.made.append(wal)
        first_lsn, last_lsn = wal.first_lsn, wal.last_lsn
        try:
            self.check(dict(wal.iter(first_lsn, last_lsn + 1)), first_lsn, before)
        except walogs.Checkpointed:  # by another writer, while this one was paused
            self.done["checkpointed while read"] += 1
        self.writers.append(wal)

    def append(self, wal: walogs.Wal) -> bool:
        entries = [self.entry() for _ in range(self.rng.choice((1, 1, 1, 2, 5)))]
        try:
            first_lsn = wal.append(entries[0]) if len(entries) == 1 else wal.append_batch(entries)[0]
        except (walogs.OutcomeUnknown, *REFUSALS) as error:
            self.done[type(error).__name__] += 1
            return self.rng.random() < 0.5  # it goes on trying, or gives up
        for lsn, data in enumerate(entries, first_lsn):
            assert lsn not in self.acknowledged, f"entry {lsn} was acknowledged twice"
            self.acknowledged[lsn] = data
            self.done["acknowledged"] += 1
        return True

    def checkpoint(self, wal: walogs.Wal) -> bool:
        lsn = self.rng.randint(max(wal.last_lsn - 20, 0), wal.last_lsn)
        self.checkpointed = max(self.checkpointed, lsn)  # even if it is refused: then less is demanded
        try:
            wal.checkpoint(lsn)
        except (walogs.OutcomeUnknown, *REFUSALS) as error:
            self.done[f"checkpoint: {type(error).__name__}"] += 1
            return False
        self.done["checkpoints"] += 1
        return True

    def look(self) -> None:
        """Read beside the writers."""
        try:
            with walogs.reader(store=MemoryImmutableStore(self.cloud)) as reader:
                before, first_lsn = dict(self.acknowledged), reader.first_lsn
                self.check(dict(reader.iter(first_lsn)), first_lsn, before)
        except (walogs.LogNotFound, walogs.Checkpointed, walogs.Unavailable):
            self.done["readers refused"] += 1

    def check(self, there: Mapping[int, bytes], first_lsn: int, acknowledged: Mapping[int, bytes]) -> None:
        """Check that everything that was acknowledged and not given up is in the log, and that LSNs are dense."""
        assert list(there) == list(range(first_lsn, first_lsn + len(there)))
        assert first_lsn <= self.checkpointed + 1, f"the log begins at {first_lsn}, checkpointed is {self.checkpointed}"
        for lsn, data in acknowledged.items():
            assert lsn < first_lsn or there.get(lsn) == data, f"entry {lsn} is lost or another one"

    def entry(self) -> bytes:
        self.count += 1
        return b"%d" % self.count

    def end(self) -> None:
        """Let everything arrive, open the log once more, and compare."""
        self.cloud.disarm()
        while self.cloud.late:
            self.cloud.deliver()
        for wal in self.made:
            wal.close()
        with assemble(None, WalConfig(store=MemoryImmutableStore(self.cloud)), self.environment) as wal:
            self.check(dict(wal), wal.first_lsn, self.acknowledged)
        assert walogs.verify(store=MemoryImmutableStore(self.cloud)).ok


class Paused(MemoryImmutableStore):
    """A process that is paused before and after its calls."""

    def __init__(self, world: World) -> None:
        super().__init__(world.cloud)
        self._world = world

    def segments(self) -> Sequence[int]:
        self._world.pause()
        return super().segments()

    def sizes(self) -> Mapping[int, int]:
        self._world.pause()
        return super().sizes()

    def segments_after(self, number: int) -> Sequence[int]:
        self._world.pause()
        return super().segments_after(number)

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        self._world.pause()
        return super().read(number, start, end)

    def create(self, number: int, data: Any) -> None:
        self._world.pause()
        super().create(number, data)
        self._world.pause()

    def remove(self, numbers: Sequence[int]) -> None:
        self._world.pause()
        super().remove(numbers)

    def read_many(self, numbers: Sequence[int], end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        for found in super().read_many(numbers, end):
            self._world.pause()
            yield found


def play(seed: int, acknowledged: int) -> Counter[str]:
    """Play histories until so many entries were acknowledged, and return what happened."""
    done: Counter[str] = Counter()
    while done["acknowledged"] < acknowledged:
        number = done["histories"]
        world = World(random.Random(f"{seed} {number}"), done)
        try:
            for _ in range(STEPS):
                world.step()
            world.end()
        except BaseException as error:
            error.add_note(f"history {number} of seed {seed}")
            raise
        finally:
            for wal in world.made:
                wal.close()
        done["histories"] += 1
    return done


@pytest.mark.guarantee("G1", "G13")
def test_writers_that_fence_each_other_lose_nothing() -> None:
    print(dict(play(seed_of("fencing"), SAMPLE)))


@pytest.mark.laboratory
@pytest.mark.guarantee("G1", "G13")
def test_writers_that_fence_each_other_lose_nothing_in_fifty_thousand_acknowledgements() -> None:
    print(dict(play(seed_of("fencing at length"), ACKNOWLEDGED)))


# Planted bugs: the histories above would see them


def believes_that_every_taken_number_is_its_own(store: Any, sleep: Any, number: int, data: bytes) -> bool:
    put_segment(store, sleep, number, data)
    return True


def tries_again_at_the_next_number(store: Any, sleep: Any, number: int, data: bytes) -> bool:
    while not put_segment(store, sleep, number, data):
        number += 1
    return True


@pytest.mark.parametrize(
    "bug", [believes_that_every_taken_number_is_its_own, tries_again_at_the_next_number], ids=lambda bug: bug.__name__
)
def test_a_writer_that_does_not_notice_its_fence_is_seen(bug: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walogs.engine.immutable_segments.put_segment", bug)
    with pytest.raises((AssertionError, walogs.Corrupt)):
        play(seed_of("a planted bug"), SAMPLE)


def test_an_open_that_puts_no_fence_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walogs.engine.takeover.put_segment", lambda *_: True)
    with pytest.raises((AssertionError, walogs.WalError)):
        play(seed_of("a planted bug"), SAMPLE)
