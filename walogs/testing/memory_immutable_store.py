"""An immutable-segment store, and the shared cloud behind it: a model of object storage or of a replicated stream.

The fault model (each of these happened with a real store):

- **A put** of an absent number is atomic and durable. If two puts race, one wins. Reads and lists see it at once.
- **A lost answer.** The store raises `Unavailable` before or after the effect, and the caller cannot tell which. If the
  caller tries the same put again, it may get `SegmentExists` for its own bytes.
- **A false conflict.** The store raises `SegmentExists` although the number is absent, as for a 409 of the server.
- **A late put.** The store raises `Unavailable`, and the put arrives when the test calls `deliver`. Anything may have
  happened in between.
- **A removal** goes in any order and may stop half way.
- **A process dies** before, after or half way through a call. The effect of the call may have happened.
- **A removed number** can be created again (object storage, SQL), or never (`numbers_reused=False`: JetStream).
- **A server that ignores create-if-absent** (`is_exclusive=False`), as three S3 servers did. `acquire` detects it.

The model has no stale reads or lists, and loses no acknowledged entry: no store that does these is safe to use. All
random decisions come from the `random.Random` that the caller gives, so a test can replay them from a seed.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from walogs.errors import Closed, NoSpace, SegmentExists, SegmentNotFound, StoreError, Unavailable, UnsafeStore
from walogs.foundation.turns import TurnLock
from walogs.protocols import StoreCapabilities
from walogs.testing.faults import Schedule, SimulatedCrash

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from typing import NoReturn

    from typing_extensions import Buffer

    from walogs.testing.faults import ArmedFault

__all__ = ["CLOUD_CALLS", "CloudFault", "MemoryCloud", "MemoryImmutableStore"]

CLOUD_CALLS: Final = frozenset({"acquire", "segments", "size", "read", "create", "remove"})
"""The calls that a cloud counts as steps."""


@dataclass(frozen=True, slots=True)
class CloudFault:
    """A fault at one call."""

    what: Literal["unavailable", "crash", "exists", "late"]
    """`unavailable` loses the answer. `crash` kills the process, which raises `SimulatedCrash`. `exists` is a false
    conflict, and `late` is a put that arrives when the test calls `deliver`. These two happen only to `create`."""
    only: Collection[str] = ()
    """The calls that the fault counts and fails. If it is empty, these are all calls to which it can happen."""
    times: int | None = 1
    """How often the fault fires. None: at every such call, until `disarm`."""
    moment: Literal["before", "half", "after"] | None = None
    """Whether the fault comes before, in the middle of or after the effect. Only a removal has a middle. None lets the
    rng decide."""

    def __post_init__(self) -> None:
        possible = frozenset({"create"}) if self.what in {"exists", "late"} else CLOUD_CALLS
        if not set(self.only) <= possible:  # Such a fault would never fire.
            raise ValueError(f"{self.what} happens to {sorted(possible)}, not to {sorted(set(self.only) - possible)}")
        if not self.only:
            object.__setattr__(self, "only", possible)


class MemoryCloud:
    """The numbered objects that the stores of all processes share. A cloud outlives its stores."""

    def __init__(self, *, numbers_reused: bool = True, is_exclusive: bool = True) -> None:
        self.objects: dict[int, bytes] = {}
        """The bytes of each object by its number. A test may read and change them."""
        self.numbers_reused = numbers_reused
        self.is_exclusive = is_exclusive
        """If this is False, a put replaces an existing object without an error."""
        self.late: list[tuple[int, bytes]] = []
        """The late puts that have not arrived, in the order in which they were sent."""
        self.schedule: Schedule[CloudFault] = Schedule()
        self.mutex = TurnLock()
        """Each call holds this lock, so that several threads can use one cloud."""
        self._highest = 0

    def arm(self, step: int, fault: CloudFault, *, rng: random.Random) -> ArmedFault[CloudFault]:
        """Let *fault* fire at the *step*-th call that it counts from now; 1 is the next one.

        Raises `ValueError` for a step below 1.
        """
        with self.mutex:
            return self.schedule.arm(step, fault, rng)

    def disarm(self) -> None:
        """Forget every armed fault."""
        with self.mutex:
            self.schedule.disarm()

    @property
    def steps(self) -> int:
        """The number of calls so far."""
        return self.schedule.count()

    def deliver(self, at: int = 0) -> bool:
        """Let the late put at position *at* arrive. Return whether it created a segment.

        Raises `IndexError` if there is no such put.
        """
        with self.mutex:
            return self.put_if_absent(*self.late.pop(at))

    def discard(self, numbers: Sequence[int]) -> None:
        """Remove these objects. Numbers that are absent are ignored."""
        with self.mutex:
            for number in numbers:
                self.objects.pop(number, None)

    def put_if_absent(self, number: int, data: bytes) -> bool:
        """Create the object if the number is absent. Return whether it was created."""
        with self.mutex:
            taken = number in self.objects or (not self.numbers_reused and number <= self._highest)
            if taken and self.is_exclusive:
                return False
            self.objects[number] = data
            self._highest = max(self._highest, number)
            return True


class MemoryImmutableStore:
    """A `SegmentStore` on *cloud*. Each store is one process, so two stores on one cloud can fence each other."""

    def __init__(self, cloud: MemoryCloud, *, name: str = "cloud", segment_bytes_max: int = 512 << 20) -> None:
        self.cloud = cloud
        self.name = name
        self.capabilities = StoreCapabilities(
            appendable=False,
            torn_tail=False,
            exclusion="create_if_absent",
            numbers_reused=cloud.numbers_reused,
            exists_means_durable=True,
            segment_bytes_max=segment_bytes_max,
            persistence="replicated",  # This is what it models. The cloud is in this process's memory.
            number_gaps=True,
        )
        self.is_alive = True
        self._is_closed = False

    def kill(self) -> None:
        """Kill the process. Every later call raises `SimulatedCrash`. The cloud does not change."""
        self.is_alive = False

    def segment_name(self, number: int) -> str:
        """Return the object's key. It has twenty digits, so that lists are in order."""
        return f"{number:020d}"

    def segments(self) -> Sequence[int]:
        """Return the numbers of all segments, ascending. Raises `Unavailable`."""
        with self.cloud.mutex, self._call("segments"):
            return sorted(self.cloud.objects)

    def size(self, number: int) -> int:
        """Return the number of bytes in the segment. Raises `SegmentNotFound` or `Unavailable`."""
        with self.cloud.mutex, self._call("size"):
            return len(self._object(number))

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes [start, end) of the segment, up to its size. Raises `SegmentNotFound` or `Unavailable`."""
        with self.cloud.mutex, self._call("read"):
            return self._object(number)[start:end]

    def sizes(self) -> Mapping[int, int]:
        """Return the number of bytes of each segment. Raises `Unavailable`."""
        with self.cloud.mutex, self._call("segments"):
            return {number: len(data) for number, data in self.cloud.objects.items()}

    def segments_after(self, number: int) -> Sequence[int]:
        """Return the numbers above *number*, ascending. Raises `Unavailable`."""
        with self.cloud.mutex, self._call("segments"):
            return sorted(other for other in self.cloud.objects if other > number)

    def read_many(self, numbers: Sequence[int], end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        """Yield (number, size, the first *end* bytes) of these segments. Each is one read. Raises `Unavailable`."""
        for number in numbers:
            try:
                content = self.read(number)
            except SegmentNotFound:
                yield number, 0, None
            else:
                yield number, len(content), content[:end]

    def acquire(self) -> None:
        """Check that the cloud refuses a second put of one number. This leaves no object behind.

        Raises `UnsafeStore` or `Unavailable`.
        """
        with self.cloud.mutex, self._call("acquire"):
            if not self.cloud.is_exclusive:
                raise UnsafeStore(f"{self.name} ignores create-if-absent: two writers would both be told that they won")

    def create(self, number: int, data: Buffer) -> None:
        """Create the segment if its number is absent.

        Raises `SegmentExists`, perhaps for this store's own earlier put. Raises `Unavailable`; the segment may exist
        then, or appear later. Raises `NoSpace` (EFBIG) for more than `segment_bytes_max` bytes; nothing has changed
        then.
        """
        content = bytes(data)
        if len(content) > self.capabilities.segment_bytes_max:
            raise NoSpace(errno.EFBIG, f"{self.name} takes {self.capabilities.segment_bytes_max} bytes at a time")
        with self.cloud.mutex, self._call("create") as fault:
            if fault == "late":
                self.cloud.late.append((number, content))
                raise Unavailable(f"{self.name} did not answer")
            if fault == "exists" or not self.cloud.put_if_absent(number, content):
                raise SegmentExists(f"{self.segment_name(number)} is in {self.name} already")

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove the segments. If it raises `Unavailable`, any of them may be gone."""
        with self.cloud.mutex, self._call("remove", numbers):
            self.cloud.discard(numbers)

    def close(self) -> None:
        """Close the store. Later calls raise `Closed`. Never raises, also if the process is dead."""
        self._is_closed = True

    def _object(self, number: int) -> bytes:
        try:
            return self.cloud.objects[number]
        except KeyError:
            raise SegmentNotFound(f"{self.segment_name(number)} is not in {self.name}") from None

    @contextmanager
    def _call(self, call: str, removed: Sequence[int] = ()) -> Iterator[str | None]:
        """Count one call, and carry out the fault that is due around its effect. Yield the kind of the fault, or None.

        The caller holds the mutex. An interrupt in the library code around a generator would leave it locked.
        """
        if self._is_closed:
            raise Closed(f"{self.name} was closed")
        if not self.is_alive:
            raise SimulatedCrash("this process is dead: it was killed")
        armed = self.cloud.schedule.tick(call)
        if armed is None or armed.fault.what in {"exists", "late"}:
            yield None if armed is None else armed.fault.what
            return
        moment = armed.fault.moment or armed.rng.choice(("before", "half", "after"))
        if moment == "half" and call != "remove":  # Such a call is atomic.
            moment = armed.rng.choice(("before", "after"))
        if moment == "half":
            self.cloud.discard(armed.rng.sample(removed, armed.rng.randint(0, len(removed))))
        if moment == "after":
            with suppress(StoreError):  # Its error does not arrive either.
                yield armed.fault.what
        self._fail(armed.fault)

    def _fail(self, fault: CloudFault) -> NoReturn:
        if fault.what == "crash":
            self.kill()
            raise SimulatedCrash("the process died in this call")
        raise Unavailable(f"{self.name} did not answer")
