"""The contracts of the three kinds of component: stores hold bytes, codecs shape them, sync policies decide when.

A component is any object with these members; nothing needs to be inherited. Each method says who calls it, what
returning means, and what is true if it raises. `walogs.testing` has a model of both shapes of store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias, TypeGuard, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import Buffer

__all__ = [
    "AppendableStore",
    "Barrier",
    "Codec",
    "Decision",
    "FrameContext",
    "Pending",
    "Promise",
    "ReadsOtherParameters",
    "RefusesOtherCodecs",
    "RepairableStore",
    "SegmentStore",
    "StoreCapabilities",
    "SyncBy",
    "SyncPolicy",
]

Barrier: TypeAlias = Literal["data", "full"]
"""`data`: the bytes and what is needed to read them back (fdatasync). `full`: every attribute too (fsync)."""


Promise: TypeAlias = Literal["durable", "eventually", "none"]


@dataclass(frozen=True)
class StoreCapabilities:
    """What a store can do. The engine asks these, never the store's name (G19)."""

    appendable: bool
    """False: every commit creates the next segment, complete at once; nothing is added to it later."""
    torn_tail: bool
    """A crash may leave a partial end in the newest segment."""
    exclusion: Literal["lock", "chain"]
    """`lock`: acquire() keeps other writers out. `chain`: create-if-absent of the next number fences them."""
    numbers_reused: bool
    """A removed number can be created again."""
    exists_means_durable: bool
    """What is read back has been acknowledged."""
    segment_bytes_max: int
    """The largest segment, bytes."""
    durability: Literal["none", "page-cache", "disk", "replicated"]
    """Where bytes are once create() or sync() has returned."""


@runtime_checkable
class SegmentStore(Protocol):
    """Holds the bytes of numbered segments. `segments`, `size`, `read` change nothing and need no `acquire()`.

    The reading methods are called from any thread at any time, beside a writing one; the others by one thread at a
    time. A store never interprets a byte.
    """

    capabilities: StoreCapabilities
    name: str
    """For messages: a path, a URL."""

    def segment_name(self, number: int) -> str:
        """What messages call this segment: `wal-000003.log`, an object's key."""
        ...

    def segments(self) -> Sequence[int]:
        """The numbers that are there, ascending; reflects every `create` and `remove` that has returned.

        Empty where nothing is there yet. Raises `Unsafe` for a name too close to ours to be ignored.
        """
        ...

    def size(self, number: int) -> int:
        """Bytes in the segment, a window of zeros included. Raises `Missing`."""
        ...

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        """The bytes [start, end) (None: to its size). Raises `Missing`.

        Fewer bytes than `size()` says are there is an `OSError`, never a short answer: a short answer is taken for
        the end of the log.
        """
        ...

    def acquire(self) -> None:
        """Called once by open, before anything is changed: keep other writers out, or make sure that `create` does.

        Makes the place for the log where it is missing. On return, what `segments()` lists is durable by name.
        Raises `Locked` (also when this very object is acquired already) or `Unsafe`; whatever it raises, it holds
        nothing that it did not hold before.
        """
        ...

    def create(self, number: int, data: Buffer) -> None:
        """The segment appears with exactly these bytes, whole or not at all, and durable with its name on return.

        Raises `Exists` (nothing changed), `NoSpace` (nothing changed) or `Unavailable` (it may be there or not). After
        any other exception the engine looks at `segments()`: a number that is not listed was not created.
        """
        ...

    def remove(self, numbers: Sequence[int]) -> None:
        """The segments are gone, durably, on return; a number that is not there is passed over.

        May go in any order and stop half way when it raises. Called once by every open too, with what an interrupted
        checkpoint left (often nothing): then whatever else an interrupted `create` left behind goes as well.
        """
        ...

    def close(self) -> None:
        """Let go of everything, the lock too; changes no byte. Also after failures; once more if it was interrupted.

        Not called after an `acquire` that raised.
        """
        ...


@runtime_checkable
class AppendableStore(SegmentStore, Protocol):
    """A store whose segments can grow. Written to: the newest segment, and the one before it while it is sealed."""

    def extend(self, number: int, size: int) -> None:
        """The segment is at least *size* bytes long, what was added is zero, and both are durable on return.

        Raises `NoSpace`: nothing changed. Any other exception poisons the log.
        """
        ...

    def write(self, number: int, offset: int, data: Buffer) -> None:
        """These bytes are at *offset*, within the segment's size; durable after `sync`. All of them, or it raises."""
        ...

    def sync(self, number: int, barrier: Barrier) -> None:
        """Returning means every byte written to the segment before the call is durable.

        Called by the commit path after `write`, and by recovery; never again after it raised: then any of those bytes
        may be on disk or not, the log poisons itself and the next open decides (a SEAL's sync excepted).
        """
        ...

    def cut(self, number: int, offset: int) -> None:
        """Everything from *offset* to the very end becomes zero, also where it reads as zero; durable after `sync`.

        Called by recovery alone. Needs no space except where the file system copies on write.
        """
        ...

    def trim(self, number: int, size: int) -> None:
        """The segment's size becomes this, durably. Never larger than it is."""
        ...

    def read_witness(self) -> bytes | None:
        """What was last written as the witness, or None. Changes nothing, needs no `acquire()`."""
        ...

    def write_witness(self, data: bytes, *, durable: bool) -> bool:
        """Keep these 64 bytes, as one whole if at all possible. Whether they are kept; *durable*: through a power cut.

        Called after every sync, so it must cost almost nothing when not *durable*. It never raises `Exception`: the
        witness is advisory, and where it must not stay behind the engine drops it instead.
        """
        ...

    def drop_witness(self) -> None:
        """There is no witness any more, durably, on return; raises `OSError` otherwise. Before a cut by choice."""
        ...


@runtime_checkable
class RepairableStore(AppendableStore, Protocol):
    """An appendable store that can keep a copy of a segment, and put other bytes in its place: what `repair` needs.

    Optional: a store without these members is as good for everything else. Called by repair alone, after `acquire`.
    """

    def set_aside(self, number: int, name: str) -> None:
        """What the segment holds is there under *name* too, durably, on return; whatever becomes of the segment later.

        *name* is never one of this store's own, and so ignored by every other member. Raises `Exists` (the name is
        taken), `Missing` or `NoSpace`: nothing changed.
        """
        ...

    def replace(self, number: int, pieces: Iterable[Buffer]) -> None:
        """The segment, which is there, holds exactly these bytes, end to end; durably on return. All the old bytes or
        all the new ones, for whoever reads and after any crash.

        *pieces* may read the segment while they are asked for. Raises `NoSpace`, and what *pieces* raise: nothing
        changed. After any other exception it holds either.
        """
        ...


class FrameContext(NamedTuple):
    """Where a frame is: associated data for a codec that authenticates (all of it but `body_bytes_max`).

    A nonce is never made from it: LSN, salt and offset can all come twice.
    """

    log_id: bytes
    segment: int
    salt: int
    offset: int
    first_lsn: int
    entries: int
    body_bytes_max: int
    """No body of this log is larger: refuse before allocating."""


@runtime_checkable
class Codec(Protocol):
    """Body into stored bytes and back, and the proof that the stored bytes are intact. Pure: no I/O, no clock.

    Called by one writing and many reading threads at a time.
    """

    name: str
    """Stamped in every segment header: at most 63 bytes of UTF-8."""
    check_bytes: int
    """Length of what `check` returns."""
    identity: bool
    """`encode` and `decode` return the body as it is; the engine may then leave both calls out."""

    def parameters(self) -> Mapping[str, object]:
        """Stamped in the segment header as JSON: what decoding needs besides the name. Never a secret.

        A codec made with them as options has the same parameters, and reads the segment.
        """
        ...

    def encoded_bytes_max(self, body_bytes: int) -> int:
        """No body of that length is stored as more than this: rotation is decided before encoding."""
        ...

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        """What is stored for this body (compressed, encrypted, ...)."""
        ...

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        """The body. Called when entries are read, never by recovery; bounded before it allocates."""
        ...

    def check(self, seed: int, stored: Buffer) -> bytes:
        """Proof over what is stored, started from the frame's header CRC: damage shows without key or decompressor.

        Two seeds give two checks for the same bytes: a body must not verify under another frame's header.
        """
        ...


@runtime_checkable
class ReadsOtherParameters(Protocol):
    """What a codec can have besides: it reads segments stamped with its name and other parameters than its own.

    For what the parameters alone do not give, as the keys that older segments were written with. A codec without this
    is made anew, as `factory(**parameters)`, by its name.
    """

    def with_parameters(self, parameters: Mapping[str, object]) -> Codec:
        """The codec that has exactly these parameters. Raises `ValueError`: there is none, and why."""
        ...


@runtime_checkable
class RefusesOtherCodecs(Protocol):
    """What a codec that authenticates has besides: segments of other codecs are not read beside its own.

    A segment says itself which codec it is of. Whoever can write to the log could stamp one with a codec that needs no
    key, and everything would be believed that is in it.
    """

    def refuses_codec(self, name: str) -> str:
        """Why a segment stamped with codec *name*, another than this one's, is not read, and the next move; or ""."""
        ...


class Pending(NamedTuple):
    """What is written and not yet synced, the commit being decided included."""

    entries: int
    bytes: int
    """Of frames."""
    oldest_ns: int
    """When the first of it was written, on the monotonic clock, in nanoseconds."""


class SyncBy(NamedTuple):
    """The append returns; a sync has begun by then, whether or not anything more is appended."""

    deadline_ns: int
    """On the monotonic clock, in nanoseconds."""


Decision: TypeAlias = Literal["sync", "leave"] | SyncBy
"""`sync`: now, before the append returns. `leave`: the append returns; whatever syncs next covers it."""


@runtime_checkable
class SyncPolicy(Protocol):
    """Decides when a commit is synced, and therefore what a returned append promises. Pure: no clock, no I/O."""

    name: str
    promise: Promise
    """Of an append that returned. `durable`: it is (G1). `eventually`: it will be, after what the policy's name and
    docstring say. `none`: only what `durable_lsn` covers is."""
    barrier: Barrier
    """Which of the store's syncs it asks for."""

    def decide(self, pending: Pending) -> Decision:
        """Called by the commit path once a frame, after it was written."""
        ...


def is_appendable(store: SegmentStore) -> TypeGuard[AppendableStore]:
    """Whether the store says it is appendable. The members of `AppendableStore` are then there by contract."""
    return store.capabilities.appendable
