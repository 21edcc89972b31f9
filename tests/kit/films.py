"""What a reader in another process can find of a log while writers work on it: each state, one after the other.

A film is shot once, with real writers on a modelled place. A viewer is a store that reads one state of it, and may find
a later one at each call: so any moment of a writer can fall between any two calls of a reader.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import walogs
from walogs.defaults.local_store import LocalStore
from walogs.protocols import StoreCapabilities
from walogs.testing import DURABLE_MARK, MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore, SimulatedCrash


class State(NamedTuple):
    """What is there at one moment, and what is true of it."""

    segments: dict[int, bytes]
    durable_mark: bytes | None
    acknowledged: int
    """Every entry up to this one is durable, and its writer was told: a reader must see it."""
    synced: int
    """The last entry that a sync which returned has covered: a reader may see it."""
    written: int
    log_first_lsn: int
    """A checkpoint up to here was asked for."""
    epoch: int
    """How often entries were cut that had been acknowledged."""
    is_garbled: bool
    """The durable mark is being written, or there is none: it says nothing."""
    is_damaged: bool
    """Acknowledged bytes are not what was written, and nobody has cut them yet."""


@dataclass
class Film:
    """The states of one log, in order, and what was in it."""

    capabilities: StoreCapabilities
    states: list[State] = field(default_factory=list)
    entries: list[dict[int, bytes]] = field(default_factory=lambda: [{}])
    """LSN -> data, for each epoch."""
    ends: set[int] = field(default_factory=lambda: {0})
    """The last LSN of every commit: a reader's last entry is one of them, or it saw half a batch."""
    cuts: list[int] = field(default_factory=list)
    """The last entry that was kept when an epoch ended."""
    acknowledged: int = 0
    synced: int = 0
    written: int = 0
    log_first_lsn: int = 1
    is_damaged: bool = False

    def take(self, segments: dict[int, bytes], durable_mark: bytes | None, *, is_garbled: bool = False) -> None:
        state = State(
            segments=segments,
            durable_mark=durable_mark,
            acknowledged=self.acknowledged,
            synced=self.synced,
            written=self.written,
            log_first_lsn=self.log_first_lsn,
            epoch=len(self.entries) - 1,
            is_garbled=is_garbled or durable_mark is None,
            is_damaged=self.is_damaged,
        )
        self.states.append(state)

    def again(self) -> None:
        """The last state, with what is true since."""
        last = self.states[-1]
        self.take(last.segments, last.durable_mark, is_garbled=last.is_garbled)

    def cut(self, end_lsn: int) -> None:
        """A new epoch: what was after *end_lsn* is gone, and its LSNs are given to others."""
        self.entries.append({lsn: data for lsn, data in self.entries[-1].items() if lsn <= end_lsn})
        self.cuts.append(end_lsn)
        self.ends = {end for end in self.ends if end <= end_lsn}
        self.acknowledged = self.synced = self.written = end_lsn


class Camera(MemoryStore):
    """The store of a writer that is filmed. What is not one step for a reader is several states: bytes become visible
    in any order while they are written, names go one by one."""

    def __init__(self, disk: MemoryDisk, film: Film) -> None:
        super().__init__(disk, laws=False)
        self.film = film
        self.offered = 0
        """The last LSN of the append under way."""
        self.dies_at: int | None = None
        """The process dies in the middle of the write that is so many after this one."""

    def _there(self) -> tuple[dict[int, bytes], bytes | None]:
        names = {f"wal-{number:06d}.log": number for number in range(1, 200)}
        there = {names[name]: self.disk.cached(name) for name in self.disk.cached_names() if name in names}
        before = self.film.states[-1].segments if self.film.states else {}
        same = {number: before[number] if before.get(number) == data else data for number, data in there.items()}
        durable_mark = self.disk.cached(DURABLE_MARK) if DURABLE_MARK in self.disk.cached_names() else None
        return same, durable_mark or None

    def take(self) -> None:
        self.film.take(*self._there())

    def _take_halves(self, number: int, offset: int, data: bytes) -> None:
        """Either half of what is being written may be seen first."""
        there, durable_mark = self._there()
        old, half = there[number], len(data) // 2
        for a, b in ((0, half), (half, len(data))):
            seen = old[: offset + a] + data[a:b] + old[offset + b :]
            self.film.take({**there, number: seen}, durable_mark, is_garbled=self.film.states[-1].is_garbled)

    def create(self, number: int, data: Any) -> None:
        super().create(number, data)
        self.take()

    def remove(self, numbers: Sequence[int]) -> None:
        there, durable_mark = self._there()
        for number in numbers:
            there = {key: value for key, value in there.items() if key != number}
            self.film.take(there, durable_mark)
        super().remove(numbers)

    def extend(self, number: int, size: int) -> None:
        super().extend(number, size)
        self.take()

    def write(self, number: int, offset: int, data: Any) -> None:
        self._take_halves(number, offset, bytes(data))
        if self.dies_at is not None:
            self.dies_at -= 1
            if self.dies_at < 0:
                super().write(number, offset, bytes(data)[: len(data) * 2 // 3])
                self.take()
                self.process.kill()
                raise SimulatedCrash("the process died in this write")
        super().write(number, offset, data)
        if f"wal-{number + 1:06d}.log" not in self.disk.cached_names():  # a SEAL is no entry
            self.film.written = max(self.film.written, self.offered)
        self.take()

    def sync(self, number: int, kind: Any) -> None:
        super().sync(number, kind)
        self.film.synced = max(self.film.synced, self.film.written)
        self.take()

    def zero_from(self, number: int, offset: int) -> None:
        self._take_halves(number, offset, bytes(self.size(number) - offset))
        super().zero_from(number, offset)
        self.take()

    def trim(self, number: int, size: int) -> None:
        super().trim(number, size)
        self.take()

    def write_durable_mark(self, data: bytes, *, durable: bool) -> bool:
        there, durable_mark = self._there()
        if durable_mark is not None:
            self.film.take(there, data[:62] + durable_mark[62:], is_garbled=True)
        written = super().write_durable_mark(data, durable=durable)
        self.take()
        return written

    def drop_durable_mark(self) -> None:
        super().drop_durable_mark()
        self.take()


class ChainCamera(MemoryImmutableStore):
    """The same for a store whose segments are whole."""

    def __init__(self, cloud: MemoryCloud, film: Film) -> None:
        super().__init__(cloud)
        self.film = film
        self.offered = 0

    def create(self, number: int, data: Any) -> None:
        super().create(number, data)
        self.film.written = self.film.synced = max(self.film.synced, self.offered)
        self.film.take(dict(self.cloud.objects), None)

    def remove(self, numbers: Sequence[int]) -> None:
        for number in reversed(numbers):
            super().remove([number])
            self.film.take(dict(self.cloud.objects), None)


class Shooting:
    """One writer after the other on one place. Entries of each epoch are told apart by its number."""

    def __init__(self, *, appends: bool = True, **options: Any) -> None:
        self.disk, self.cloud = MemoryDisk(), MemoryCloud(numbers_reused=True)
        self.appends = appends
        self.options = {"max_segment_size": 1200, **options} if appends else options
        self.camera: Any = Camera(self.disk, Film(MemoryStore(self.disk).capabilities)) if appends else None
        self.film: Film = self.camera.film if appends else Film(MemoryImmutableStore(self.cloud).capabilities)

    def open(self, **options: Any) -> walogs.Wal:
        self.camera = Camera(self.disk, self.film) if self.appends else ChainCamera(self.cloud, self.film)
        self.wal = walogs.open(store=self.camera, **{**self.options, **options})
        self._told()
        return self.wal

    def append(self, *sizes: int) -> None:
        """One commit of entries so large."""
        first = self.wal.next_lsn
        data = [self.data(first + k).ljust(size, b".") for k, size in enumerate(sizes)]
        self.film.entries[-1].update(enumerate(data, first))
        self.camera.offered = first + len(data) - 1
        self.film.ends.add(self.camera.offered)
        self.wal.append_batch(data)
        self._told()

    def data(self, lsn: int) -> bytes:
        return b"%d in epoch %d " % (lsn, len(self.film.entries) - 1)

    def sync(self) -> None:
        self.wal.sync()
        self._told()

    def checkpoint(self, lsn: int) -> None:
        self.film.log_first_lsn = max(self.film.log_first_lsn, lsn + 1)
        self.wal.checkpoint(lsn)

    def close(self) -> None:
        self.wal.close()
        self._told()

    def killed_in(self, *sizes: int) -> None:
        """The process dies in the middle of that commit."""
        self.camera.dies_at = 0
        with contextlib.suppress(SimulatedCrash):
            self.append(*sizes)
        self.film.ends.discard(self.camera.offered)
        self.killed()

    def killed(self) -> None:
        self.wal.closed = True
        self.camera.process.kill()

    def damaged_and_cut(self, number: int, offset: int, end_lsn: int) -> None:
        """A byte changes, and the log is opened with `prefix`."""
        there, name = self.film.states[-1].segments[number], f"wal-{number:06d}.log"
        self.disk.damage(name, offset, bytes([there[offset] ^ 1]))
        self.film.is_damaged = True
        self.camera.take()
        self.film.cut(end_lsn)
        self.open(recovery="prefix")
        assert self.wal.last_lsn == end_lsn
        self.film.is_damaged = False
        self.film.again()

    def _told(self) -> None:
        self.film.acknowledged = max(self.film.acknowledged, self.wal.durable_lsn)
        self.film.again()


def everything(sync: str = "fdatasync") -> Film:
    """Rotations, checkpoints, kills, recoveries and ends of a writer: nothing that was acknowledged is ever cut."""
    s = Shooting(sync=sync)
    s.open()
    s.append(20)
    s.append(9, 9, 9)
    s.append(300)
    s.sync()
    s.append(500)  # rotates
    s.append(5, 5)
    s.wal.rotate()
    s.append(40)
    s.checkpoint(5)
    s.append(30, 30)
    s.close()
    s.open()
    s.append(10)
    s.killed_in(200, 200)
    s.open()  # and recovers
    s.append(0)  # rotates
    s.checkpoint(9)
    s.append(1, 2, 3)
    s.sync()
    s.killed()  # between two appends
    s.open()
    s.checkpoint(10)  # rotates, since it may not continue the segment
    s.append(700)
    s.append(700)
    s.sync()
    s.checkpoint(100)
    s.append(1)
    s.close()
    return s.film


def of_immutable_segments() -> Film:
    s = Shooting(appends=False)
    s.open()
    for size in (10, 0, 30, 5):
        s.append(size, size)
        s.append(1)
    s.checkpoint(5)
    s.append(3)
    s.close()
    s.open()
    s.append(4, 4)
    s.checkpoint(11)
    s.append(6)
    s.close()
    return s.film


FRAME_BYTES: Final = 96
"""Of one entry of 50 bytes."""


def with_cuts() -> Film:
    """Acknowledged entries are damaged, cut with `prefix`, and their LSNs given to others: at the end of a segment, and
    at its very beginning, so that nothing of it is left."""
    s = Shooting(max_segment_size=4000)
    s.open()
    for _ in range(6):
        s.append(50)
    s.close()
    s.damaged_and_cut(1, 512 + 3 * FRAME_BYTES + 45, 3)
    for _ in range(5):
        s.append(50)
    s.close()
    s.damaged_and_cut(2, 512 + 45, 3)
    for _ in range(9):
        s.append(50)
    s.close()
    return s.film


def with_deeper_cuts() -> Film:
    """Cut, and cut again further down before anything is appended; then other entries have the LSNs."""
    s = Shooting(max_segment_size=4000)
    s.open()
    for _ in range(2):
        s.append(50)
    s.wal.rotate()
    for _ in range(6):
        s.append(50)
    s.close()
    s.damaged_and_cut(2, 512 + 4 * FRAME_BYTES + 45, 6)
    s.close()
    s.damaged_and_cut(2, 512 + 2 * FRAME_BYTES + 45, 4)
    s.close()
    s.damaged_and_cut(2, 512 + 45, 2)
    for _ in range(7):
        s.append(50)
    s.close()
    return s.film


HONEST: Final[dict[str, Callable[[], Film]]] = {
    "fdatasync": everything,
    "none": lambda: everything("none"),
    "immutable": of_immutable_segments,
}
CUT: Final[dict[str, Callable[[], Film]]] = {"cuts": with_cuts, "deeper cuts": with_deeper_cuts}


class Viewer:
    """A store that finds the film where *moves* has brought it; it is asked before each call, and never goes back."""

    def __init__(self, film: Film, at: int, moves: Callable[[int], int] = lambda call: 0) -> None:
        self.film = film
        self.at = at
        self.calls = 0
        self.moves = moves
        self.name = "film"
        self.capabilities = film.capabilities
        self.saw_garbled = self.saw_damage = False

    @property
    def state(self) -> State:
        return self.film.states[self.at]

    def _now(self) -> State:
        self.calls += 1
        before, self.at = self.at, min(self.at + self.moves(self.calls), len(self.film.states) - 1)
        self.saw_garbled |= self.state.is_garbled
        self.saw_damage |= any(state.is_damaged for state in self.film.states[before : self.at + 1])
        return self.state

    def segment_name(self, number: int) -> str:
        return f"segment {number}"

    def segments(self) -> Sequence[int]:
        return sorted(self._now().segments)

    def segments_after(self, number: int) -> Sequence[int]:
        """Find them as the local store does, with a writer at work between its probes.

        Immutable segments are removed in any order.
        """
        if not self.capabilities.appendable:
            return [there for there in self.segments() if there > number]
        return LocalStore.segments_after(self, number)  # type: ignore[arg-type]

    _is_there = LocalStore._is_there

    def size(self, number: int) -> int:
        return len(self._segment(number))

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        return self._segment(number)[start:end]

    def read_durable_mark(self) -> bytes | None:
        return self._now().durable_mark

    def _segment(self, number: int) -> bytes:
        segments = self._now().segments
        if number not in segments:
            raise walogs.plugins.SegmentNotFound(f"segment {number} is not there")
        return segments[number]

    def acquire(self) -> None:
        raise AssertionError("a reader takes no lock")

    create = remove = acquire

    def close(self) -> None:
        raise AssertionError("a reader's store is its caller's")


def jumps(film: Film, calls: int) -> Iterator[tuple[int, int, int]]:
    """(state to begin in, call before which it moves, states that it moves by): all of them that matter."""
    last = len(film.states) - 1
    for at in range(last + 1):
        for by in (1, 2, 3, 5, 9, 20, last - at):
            if at + by <= last:
                for call in range(1, calls + 1):
                    yield at, call, by


def moved_once(call: int, by: int) -> Callable[[int], int]:
    return lambda now: by if now == call else 0
