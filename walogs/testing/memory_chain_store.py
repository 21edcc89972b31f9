"""A store that fences by creation, and the shared remote it talks to: object storage or a replicated stream, modelled.

The fault model (each was met with a real one):

- A put of an absent number is atomic and durable; of two that race, one wins. Reads and lists see it at once.
- **Lost answer**: the store says `Unavailable`, before or after the effect; the caller cannot tell. So the same put
  again may answer `Exists` for the caller's own bytes.
- **A 409 in disguise**: `Exists`, though the number is absent.
- **Late**: `Unavailable` now, and the put arrives when `deliver` says so, after whatever else has happened.
- **Removal** goes in any order and may stop half way.
- **A process dies** before, after or half way through a call; what it asked for may have happened.
- A removed number can be created again (object storage, SQL), or never (`numbers_reused=False`: JetStream).
- `is_exclusive=False`: a server that ignores create-if-absent, as three S3 servers did; `acquire` finds out.

Not modelled: stale reads and lists, losing what was acknowledged: no store that does either is safe to use.
Everything random comes from the `random.Random` that a call is given, so a seed replays it.
"""

from __future__ import annotations

import errno
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from walogs.errors import Closed, Exists, Missing, NoSpace, StoreError, Unavailable, Unsafe
from walogs.protocols import StoreCapabilities
from walogs.testing.faults import Schedule, SimulatedCrash

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Iterator, Sequence
    from typing import NoReturn

    from typing_extensions import Buffer

    from walogs.testing.faults import Armed

__all__ = ["CLOUD_CALLS", "CloudFault", "MemoryChainStore", "MemoryCloud"]

CLOUD_CALLS: Final = frozenset({"acquire", "segments", "size", "read", "create", "remove"})
"""What a cloud counts as steps."""


@dataclass(frozen=True, slots=True)
class CloudFault:
    """What goes wrong at one call."""

    what: Literal["unavailable", "crash", "exists", "late"]
    """`unavailable`: the answer is lost. `crash`: the process dies, `SimulatedCrash`. `exists`: a 409 in disguise, and
    `late`: a put that arrives when `deliver` says so; these two happen to `create` alone."""
    only: Collection[str] = ()
    """The calls it counts and fails; empty: every one it can happen to."""
    times: int | None = 1
    """One-shot, n times, or None: sticky, until `disarm`."""
    moment: Literal["before", "half", "after"] | None = None
    """Before, in the middle of or after the effect; only a removal has a middle. None: as the rng says."""

    def __post_init__(self) -> None:
        possible = frozenset({"create"}) if self.what in {"exists", "late"} else CLOUD_CALLS
        if not set(self.only) <= possible:  # it would never fire, and the test would prove nothing
            raise ValueError(f"{self.what} happens to {sorted(possible)}, not to {sorted(set(self.only) - possible)}")
        if not self.only:
            object.__setattr__(self, "only", possible)


class MemoryCloud:
    """What the stores of all processes share: numbered objects. It outlives them."""

    def __init__(self, *, numbers_reused: bool = True, is_exclusive: bool = True) -> None:
        self.objects: dict[int, bytes] = {}
        """What is there. A test may read and change it."""
        self.numbers_reused = numbers_reused
        self.is_exclusive = is_exclusive
        """False: a put replaces what is there, and nobody is told."""
        self.late: list[tuple[int, bytes]] = []
        """Puts under way, in the order they were sent."""
        self.schedule: Schedule[CloudFault] = Schedule()
        self.mutex = threading.RLock()
        """Held by each call, so that several threads may use one cloud."""
        self._highest = 0

    def arm(self, step: int, fault: CloudFault, *, rng: random.Random) -> Armed[CloudFault]:
        """Let *fault* fire at the *step*-th call it counts from now (1: the next). `ValueError`: step below 1."""
        with self.mutex:
            return self.schedule.arm(step, fault, rng)

    def disarm(self) -> None:
        """Forget every armed fault."""
        with self.mutex:
            self.schedule.disarm()

    @property
    def steps(self) -> int:
        """Calls so far."""
        return self.schedule.count()

    def deliver(self, at: int = 0) -> bool:
        """The late put number *at* arrives: whether it created anything. `IndexError`: there is none."""
        with self.mutex:
            return self.put_if_absent(*self.late.pop(at))

    def discard(self, numbers: Sequence[int]) -> None:
        """None of these is there any more."""
        with self.mutex:
            for number in numbers:
                self.objects.pop(number, None)

    def put_if_absent(self, number: int, data: bytes) -> bool:
        """Whether the number was absent, and is these bytes now."""
        with self.mutex:
            taken = number in self.objects or (not self.numbers_reused and number <= self._highest)
            if taken and self.is_exclusive:
                return False
            self.objects[number] = data
            self._highest = max(self._highest, number)
            return True


class MemoryChainStore:
    """A `SegmentStore` on *cloud*, and one process of it: two stores on one cloud are two writers that may fence."""

    def __init__(self, cloud: MemoryCloud, *, name: str = "cloud", segment_bytes_max: int = 512 << 20) -> None:
        self.cloud = cloud
        self.name = name
        self.capabilities = StoreCapabilities(
            appendable=False,
            torn_tail=False,
            exclusion="chain",
            numbers_reused=cloud.numbers_reused,
            exists_means_durable=True,
            segment_bytes_max=segment_bytes_max,
            durability="replicated",  # what it models; in truth the cloud is in this process's memory
        )
        self.is_alive = True
        self._is_closed = False

    def kill(self) -> None:
        """The process dies: every later call raises `SimulatedCrash`; the cloud is as it was."""
        self.is_alive = False

    def segment_name(self, number: int) -> str:
        """The object's key: twenty digits, so that lists are in order."""
        return f"{number:020d}"

    def segments(self) -> Sequence[int]:
        """The numbers that are there, ascending. Raises `Unavailable`."""
        with self._call("segments"):
            return sorted(self.cloud.objects)

    def size(self, number: int) -> int:
        """Bytes in the segment. Raises `Missing` or `Unavailable`."""
        with self._call("size"):
            return len(self._object(number))

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        """The bytes [start, end); an end beyond the size is the size. Raises `Missing` or `Unavailable`."""
        with self._call("read"):
            return self._object(number)[start:end]

    def acquire(self) -> None:
        """Make sure that a second put of one number is refused. Raises `Unsafe` or `Unavailable`; leaves nothing."""
        with self._call("acquire"):
            if not self.cloud.is_exclusive:
                raise Unsafe(f"{self.name} ignores create-if-absent: two writers would both be told that they won")

    def create(self, number: int, data: Buffer) -> None:
        """Put it if absent. Raises `Exists` (perhaps for this store's own put) or `Unavailable` (it may be there).

        Raises `NoSpace` (EFBIG), nothing changed, for more than `segment_bytes_max`.
        """
        content = bytes(data)
        if len(content) > self.capabilities.segment_bytes_max:
            raise NoSpace(errno.EFBIG, f"{self.name} takes {self.capabilities.segment_bytes_max} bytes at a time")
        with self._call("create") as fault:
            if fault == "late":
                self.cloud.late.append((number, content))
                raise Unavailable(f"{self.name} did not answer")
            if fault == "exists" or not self.cloud.put_if_absent(number, content):
                raise Exists(f"{self.segment_name(number)} is in {self.name} already")

    def remove(self, numbers: Sequence[int]) -> None:
        """They are gone. Raises `Unavailable`: any of them may be, in any order."""
        with self._call("remove", numbers):
            self.cloud.discard(numbers)

    def close(self) -> None:
        """Let go of the cloud. Never raises, also when the process is dead."""
        self._is_closed = True

    def _object(self, number: int) -> bytes:
        try:
            return self.cloud.objects[number]
        except KeyError:
            raise Missing(f"{self.segment_name(number)} is not in {self.name}") from None

    @contextmanager
    def _call(self, call: str, removed: Sequence[int] = ()) -> Iterator[str | None]:
        """One call: counts it, and makes the fault that is due happen around its effect; yields what the fault is."""
        if self._is_closed:
            raise Closed(f"{self.name} was closed")
        if not self.is_alive:
            raise SimulatedCrash("this process is dead: it was killed")
        with self.cloud.mutex:
            armed = self.cloud.schedule.tick(call)
            if armed is None or armed.fault.what in {"exists", "late"}:
                yield None if armed is None else armed.fault.what
                return
            moment = armed.fault.moment or armed.rng.choice(("before", "half", "after"))
            if moment == "half" and call != "remove":  # it is atomic
                moment = armed.rng.choice(("before", "after"))
            if moment == "half":
                self.cloud.discard(armed.rng.sample(removed, armed.rng.randint(0, len(removed))))
            if moment == "after":
                with suppress(StoreError):  # whatever the answer was, it does not arrive
                    yield armed.fault.what
            self._fail(armed.fault)

    def _fail(self, fault: CloudFault) -> NoReturn:
        if fault.what == "crash":
            self.kill()
            raise SimulatedCrash("the process died in this call")
        raise Unavailable(f"{self.name} did not answer")
