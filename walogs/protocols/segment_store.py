"""The contract of a store, which keeps the bytes of numbered segments, and its optional members.

`walogs.testing` has a model of both kinds of store: of one whose segments grow, and of one whose segments appear whole.
"""

from __future__ import annotations

from bisect import bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeGuard, runtime_checkable

from walogs.errors import SegmentNotFound
from walogs.foundation.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Buffer

SyncKind: TypeAlias = Literal["data", "full"]
"""How much one sync makes durable. `data` makes the bytes durable, and what is needed to read them back (fdatasync).
`full` also makes every attribute of the file durable (fsync)."""


class StoreCapabilities(Record):
    """What a store can do. The engine asks for these fields, and never for the store's name (G19).

    **appendable** -- True: the store has the members of `AppendableStore`, and the engine writes commits into the
    newest segment until it is full. False: every commit creates the next segment, whole, and a segment never changes.

    **torn_tail** -- Whether a crash can leave an unfinished end in the newest segment. True: `open` cuts an unfinished
    end (G5). False: every byte that is not intact is damage, and `open` raises `Corrupt`.

    **exclusion** -- How the store keeps a second writer out. `lock`: acquire() raises `Locked` in the second writer;
    an appendable store needs a lock. `create_if_absent`: create() refuses a number that is taken, and the writers
    fence each other by it. The writer that opened the log last keeps it, and the others get `Fenced`.

    **numbers_reused** -- Whether the number of a removed segment can be created again. True: a checkpoint in a store
    without a lock keeps the segments with which writers have opened the log. Otherwise a slow writer could create such
    a number anew. False: the store refuses for ever a number that it has held once.

    **exists_means_durable** -- Whether everything that can be read is durable. True: a segment that any process can
    list or read is durable. False: a reader can see bytes that a power cut takes away, as in a page cache. `open`
    refuses an immutable-segment store that says False, because nothing else tells which of its segments are durable
    (G4).

    **segment_bytes_max** -- The size of the largest segment, in bytes. The engine begins the next segment before a
    segment grows larger. A commit that does not fit any segment raises `EntryTooLarge`. The engine asks for this only
    after `acquire()`, so that a store can learn it from its server.

    **persistence** -- Where the bytes are after create() or sync() has returned. `none`: in this process.
    `page-cache`: in the memory of the system, which a power cut clears. `disk`: on a device of one host. `replicated`:
    on several hosts. `open` refuses a sync policy that promises durable appends over the first two.

    **number_gaps** -- Whether `create` takes every number that is free. False: it takes the first number of a log, 1,
    and after that only the number after the highest that ever was. The engine asks for no more than that.
    """

    appendable: bool
    torn_tail: bool
    exclusion: Literal["lock", "create_if_absent"]
    numbers_reused: bool
    exists_means_durable: bool
    segment_bytes_max: int
    persistence: Literal["none", "page-cache", "disk", "replicated"]
    number_gaps: bool = False


@runtime_checkable
class SegmentStore(Protocol):
    """A component that holds the bytes of numbered segments. It never interprets them.

    `segments`, `size` and `read` change nothing and need no `acquire()`. Any thread can call the reading methods at any
    time, also while another thread writes. Only one thread at a time calls the other methods.

    A store behind a network ends every call by a deadline of its own, and tries again until then. `Unavailable` says
    that it has given up. The engine calls only `create` again, a few times within a second. A method raises
    `PermissionError` if the server refuses the credentials: then nothing has changed, and trying again is useless.

    After a fork, the child never uses the store object that it inherited. It reads through an object of its own. If a
    store's client library cannot be used in the child, that object raises `UnsafeStore` at once.
    Nothing that the child does writes through the parent's object or frees the parent's lock, and neither does its exit
    (G18).
    """

    capabilities: StoreCapabilities
    name: str
    """The name of the store in messages: a path or a URL."""

    def segment_name(self, number: int) -> str:
        """Return the name of this segment in messages, such as `wal-000003.log` or the key of an object."""
        ...

    def segments(self) -> Sequence[int]:
        """Return the numbers of the segments that are there, ascending.

        The result reflects every `create` and `remove` that has returned. It is empty if nothing is there yet. Raise
        `UnsafeStore` for a name that is almost the name of a segment, because ignoring it could lose entries.
        """
        ...

    def size(self, number: int) -> int:
        """Return the size of the segment in bytes, including a window of zeros. Raise `SegmentNotFound`."""
        ...

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes [start, end) of the segment, as far as it goes. None as *end* means its size.

        Raise `SegmentNotFound` if the segment is not there. Raise `OSError` if fewer bytes can be read than `size()`
        says are there. Never return fewer, because the engine takes a short answer for the end of the log.
        """
        ...

    def acquire(self) -> None:
        """Keep other writers out, or make sure that `create` does. `open` calls this once, before it changes anything.

        Make the place for the log if it is missing. On return, the name of each segment that `segments()` lists is
        durable. Raise `Locked` if another writer has the log, or if this very object is acquired already. This does not
        wait for the other writer. Raise `UnsafeStore` if the store cannot protect a log in this place. If this raises,
        the store holds nothing that it did not hold before.
        """
        ...

    def create(self, number: int, data: Buffer) -> None:
        """Create the segment with exactly these bytes, whole or not at all, and durable with its name on return.

        The first number of a log is 1, and each new segment has the number after the highest. A writer that another one
        has overtaken asks for a lower number. That number is taken, or a checkpoint has removed its segment since.

        Raise `SegmentExists` if the number is taken: nothing has changed. Raise `NoSpace` if there is no space: nothing
        has changed. Raise `PermissionError` if the server refuses: nothing has changed. Raise `Unavailable` if the
        segment may be there or not. After any other exception, the engine calls `size()`. If that raises
        `SegmentNotFound`, the segment was not created, and nothing has happened. `UnsafeStore` says that the place is
        no longer this writer's, and always poisons the log.
        """
        ...

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove these segments. They are durably gone on return.

        Ignore a number that is not there. The store removes the segments in any order, and if it raises, some of them
        may be gone. Each open also calls this once, with the segments that an interrupted checkpoint left, often with
        none. The store then also removes whatever an interrupted `create` left behind. A checkpoint of many immutable
        segments makes several calls, so that an append need not wait for all of them. The cost must not grow with the
        number of segments that stay. `UnsafeStore` poisons the log, as in `create`.
        """
        ...

    def close(self) -> None:
        """Release everything, including the lock, without changing a byte.

        From then on `create` and `remove` raise and change nothing. A call that another thread has under way ends soon:
        it does not wait for its deadline, but raises `Closed`.

        The engine calls this after failures too, and once more if a call was interrupted. It does not call this after
        an `acquire` that raised.
        """
        ...


@runtime_checkable
class AppendableStore(SegmentStore, Protocol):
    """A store whose segments can grow.

    The engine writes to the newest segment, and to the segment before it until that one is sealed.
    """

    def extend(self, number: int, size: int) -> None:
        """Make the segment at least *size* bytes long, and fill the new part with zeros. Both are durable on return.

        Raise `NoSpace` if there is no space for it: nothing has changed. Any other exception poisons the log, unless
        the room was for a SEAL, which is only a cache.
        """
        ...

    def write(self, number: int, offset: int, data: Buffer) -> None:
        """Write these bytes at *offset*, within the segment's size. They are durable after `sync`.

        Raise an error if not all of them were written.
        """
        ...

    def sync(self, number: int, kind: SyncKind) -> None:
        """Make every byte durable that was written to the segment before the call.

        The commit path calls this after `write`, and recovery calls it too. If this raises, any of those bytes may be
        on disk or not. The engine then never calls it again: the log is poisoned, and the next open decides. Only the
        sync of a SEAL can fail without poisoning the log.
        """
        ...

    def zero_from(self, number: int, offset: int) -> None:
        """Overwrite everything from *offset* to the very end with zeros, also where it reads as zero.

        The zeros are durable after `sync`. Only recovery calls this. It needs no space, except on a file system that
        copies on write.
        """
        ...

    def trim(self, number: int, size: int) -> None:
        """Shorten the segment to *size* bytes, durably. The engine never asks for more bytes than it has."""
        ...

    def read_durable_mark(self) -> bytes | None:
        """Return the durable mark that was last written, or None. This changes nothing and needs no `acquire()`."""
        ...

    def write_durable_mark(self, data: bytes, *, durable: bool) -> bool:
        """Keep these 64 bytes as the durable mark, as one whole if at all possible. Return whether they are kept.

        If *durable* is true, they are kept through a power cut. The engine calls this after every sync, so a call that
        is not *durable* must cost almost nothing. This never raises `Exception`, because the durable mark is advisory.
        If an old mark must not stay, the engine drops it.
        """
        ...

    def drop_durable_mark(self) -> None:
        """Remove the durable mark. It is durably gone on return.

        Raise `OSError` if it may still be there. The engine calls this when an old mark would vouch for bytes that the
        log has given up, or for bytes that are written later.
        """
        ...


@runtime_checkable
class RepairableStore(AppendableStore, Protocol):
    """An appendable store that can keep a copy of a segment, and put other bytes in its place. `repair` needs this.

    These members are optional. A store without them can do everything else. Only `repair` calls them, after `acquire`.
    """

    def set_aside(self, number: int, name: str) -> None:
        """Keep a copy of the segment under *name*, durable on return.

        The copy stays the same when the segment is written to, cut, trimmed, replaced or removed later, by this store
        object or by another one. *name* is never a name that the store uses itself, so all other members ignore it.
        Raise `SegmentExists` if the name is taken, `SegmentNotFound`, or `NoSpace`: nothing has changed.
        """
        ...

    def replace(self, number: int, pieces: Iterable[Buffer]) -> None:
        """Replace the bytes of a segment by exactly these pieces, end to end. They are durable on return.

        Every reader finds all the old bytes or all the new ones, also after a crash. The segment is there before.
        *pieces* may read it while the store iterates over them. Raise `NoSpace`, or what *pieces* raise: nothing has
        changed. After any other exception, the segment has either the old or the new bytes.
        """
        ...


@runtime_checkable
class TailListingStore(Protocol):
    """A store that can list its newest segments without listing the older ones.

    A reader that follows the log needs only the newest ones. The member is optional: for a store without it, the engine
    calls `segments()`.
    """

    def segments_after(self, number: int) -> Sequence[int]:
        """Return the numbers above *number*, ascending, as `segments()` would list them now.

        *number* was there once. The cost grows only with how many numbers are above it. This changes nothing and needs
        no `acquire()`.
        """
        ...


def segments_after(store: SegmentStore, number: int) -> Sequence[int]:
    """Return the numbers above *number* that are in the store, ascending."""
    if isinstance(store, TailListingStore):
        return store.segments_after(number)
    numbers = store.segments()
    return numbers[bisect_right(numbers, number) :]


@runtime_checkable
class WaitingStore(Protocol):
    """A store that can wait for the next segment better than by listing again and again.

    A reader that follows the log uses it. The member is optional: for a store without it, the reader lists the segments
    every few milliseconds, which is too much for a store behind a network.
    """

    def wait_beyond(self, number: int, seconds: float) -> bool:
        """Wait until there may be a segment above *number*, for at most so many *seconds* and the time of one request.

        Return whether there may be one. *number* is the newest that was seen. Send at most one small request a second
        while nothing comes. This changes nothing and needs no `acquire()`. Several threads can wait at the same time.
        """
        ...


@runtime_checkable
class SizeListingStore(Protocol):
    """A store that learns the sizes of all segments together with their numbers, as object storage does.

    The member is optional: for a store without it, the engine calls `size()` for each segment.
    """

    def sizes(self) -> Mapping[int, int]:
        """Return the size in bytes of each segment that `segments()` would list now, by its number."""
        ...


def sizes_of(store: SegmentStore, numbers: Sequence[int]) -> dict[int, int]:
    """Return the sizes in bytes of these segments, as far as they are there."""
    if isinstance(store, SizeListingStore):
        sizes = store.sizes()
        return {number: sizes[number] for number in numbers if number in sizes}
    found = {}
    for number in numbers:
        with suppress(SegmentNotFound):
            found[number] = store.size(number)
    return found


@runtime_checkable
class ReadAheadStore(Protocol):
    """A store that can read many segments faster together than one after the other, such as a store behind a network.

    The member is optional: for a store without it, the engine calls `read()` for each segment.
    """

    def read_many(self, numbers: Sequence[int], end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        """Yield (number, size, the bytes [0, *end*) as far as they go) for each of *numbers*, in this order.

        The size is that of the whole segment, in bytes. None as *end* means the size. For a segment that is not there,
        yield (number, 0, None). Raise what `read()` raises, when the segment's turn comes.

        The store asks for several segments ahead of the one that it yields. It holds at most 64 MiB at a time, or one
        segment if that is larger. The caller can stop at any item, and the generator is then closed or forgotten.
        Several threads can each have one. This changes nothing and needs no `acquire()`.
        """
        ...


def read_many(
    store: SegmentStore, numbers: Sequence[int], end: int | None = None
) -> Iterator[tuple[int, int, bytes | None]]:
    """Yield what `ReadAheadStore.read_many` yields. For a store without it, read one segment at a time."""
    if isinstance(store, ReadAheadStore):
        yield from store.read_many(numbers, end)
        return
    for number in numbers:
        try:
            data = store.read(number, 0, end)
            size = len(data) if end is None or len(data) < end else store.size(number)
        except SegmentNotFound:
            yield number, 0, None
        else:
            yield number, size, data


def is_appendable(store: SegmentStore) -> TypeGuard[AppendableStore]:
    """Return whether the store says that it is appendable. It then has the members of `AppendableStore`."""
    return store.capabilities.appendable


def is_repairable(store: SegmentStore) -> TypeGuard[RepairableStore]:
    """Return whether `repair` works in the store."""
    return isinstance(store, RepairableStore) and is_appendable(store)
