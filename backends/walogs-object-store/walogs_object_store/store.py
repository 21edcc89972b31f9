"""`object-store`: a store whose segments are the objects below one prefix of a bucket. Each commit is the next object.

A put creates an object only if its key is absent. If two writers put the same key, the server lets only one of them
succeed. So the later writer fences the earlier one.

    s3://bucket/prefix/00000000000000000007   segment 7
    s3://bucket/prefix/.probe                 shows that the server refuses to create an object twice
"""

from __future__ import annotations

import errno
import re
import time
from typing import TYPE_CHECKING, Final

import obstore
from obstore import exceptions as obstore_errors
from obstore.store import LocalStore

from walogs import Closed, Locked, NoSpace, UnsafeStore
from walogs.plugins import DEADLINE_SECONDS, Closings, SegmentExists, SegmentNotFound, StoreCapabilities
from walogs_object_store.address import connect
from walogs_object_store.ahead import fetch_in_order
from walogs_object_store.calls import Calls
from walogs_object_store.failures import ABSENT, NO_SUCH_RANGE, TAKEN
from walogs_object_store.forks import refuse_after_fork
from walogs_object_store.options import READS_AT_ONCE, ObjectStoreOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Self

    from obstore.store import ObjectStore as Client
    from typing_extensions import Buffer

KEY: Final = re.compile(r"\d{20}")
ALMOST_A_KEY: Final = re.compile(r"\d+(\..*)?")
"""The name of a segment that was renamed, copied or packed. Ignoring it could lose entries."""
PROBE: Final = ".probe"
SEGMENT_BYTES_MAX: Final = 1 << 30
"""One put can send 5 GiB. This store is for commits, which are held in memory."""
AHEAD_BYTES: Final = 4 << 20
"""Of an object that is fetched ahead, so many bytes at most. The rest of a larger one is fetched in its turn."""

ASK_SECONDS: Final = 0.05
ASK_SECONDS_MAX: Final = 1.0
LIST_EVERY: Final = 20
"""After so many questions for the next object, ask for a list once, which costs more than ten of them."""


class ObjectStore:
    """A `SegmentStore` below a prefix of a bucket, such as `s3://bucket/prefix`.

    Raises `ValueError` for an address or an option that is not valid. Nothing is sent before the first call.
    """

    def __init__(
        self,
        path: str,
        endpoint: str | None = None,
        region: str | None = None,
        deadline: float = DEADLINE_SECONDS,
        reads_at_once: int = READS_AT_ONCE,
    ) -> None:
        options = ObjectStoreOptions(endpoint=endpoint, region=region, deadline=deadline, reads_at_once=reads_at_once)
        name, client = connect(path, options)
        self._prepare(name, client, options)

    @classmethod
    def over(cls, client: Client, name: str, options: ObjectStoreOptions | None = None) -> Self:
        """Return a store of the objects that *client* reaches, a store object of obstore with a prefix.

        Its own attempts must be turned off (`retry_config={"max_retries": 0}`). *name* is used in messages. A client of
        local files (`LocalStore`) syncs nothing: `open` refuses it unless `sync` is a policy that promises nothing.
        """
        store = cls.__new__(cls)
        store._prepare(name, client, options or ObjectStoreOptions())
        return store

    def _prepare(self, name: str, client: Client, options: ObjectStoreOptions) -> None:
        self.name = name
        self.capabilities = StoreCapabilities(
            appendable=False,
            torn_tail=False,
            exclusion="create_if_absent",
            numbers_reused=True,
            exists_means_durable=True,
            segment_bytes_max=SEGMENT_BYTES_MAX,
            persistence="page-cache" if isinstance(client, LocalStore) else "replicated",
            number_gaps=True,
        )
        self._client = client
        self._options = options
        self._closings = Closings(name)
        self._writer: Calls | None = None
        """The requests of the writer. None while there is none: before `acquire`, and after `close`."""
        self._between_asks = ASK_SECONDS
        """How many seconds pass between two questions for the next object."""
        self._asked_at = float("-inf")
        self._asks = 0
        """The number of questions since an object was there."""

    # Reading. It changes nothing.

    def segment_name(self, number: int) -> str:
        """Return the key of the segment, below the prefix. It has twenty digits, so that lists are in order."""
        return f"{number:020d}"

    def segments(self) -> Sequence[int]:
        """Return the numbers of all segments, ascending."""
        return sorted(self.sizes())

    def segments_after(self, number: int) -> Sequence[int]:
        """Return the numbers above *number*, ascending. The server lists no other keys."""
        return self._numbers_after(self._calls(), number)

    def _numbers_after(self, calls: Calls, number: int) -> Sequence[int]:
        return sorted(found for found in self._listed(calls, self.segment_name(number)) if found > number)

    def wait_beyond(self, number: int, seconds: float) -> bool:
        """Wait until there may be a segment above *number*, and return whether there may be one.

        The server is asked for the next object alone, less and less often if nothing comes, down to once a second. A
        checkpoint can have removed that object already. Then only a list tells of those after it, up to 20 seconds
        later.
        """
        calls, end = self._calls(), time.monotonic() + seconds
        while True:
            now = time.monotonic()
            pause = self._asked_at + self._between_asks - now
            if pause > end - now:
                calls.pause(end - now)
                return False
            calls.pause(pause)
            self._asked_at = time.monotonic()
            if self._is_there(calls, number + 1):
                self._asks, self._between_asks = 0, ASK_SECONDS
                return True
            self._asks += 1
            self._between_asks = min(self._between_asks * 1.5, ASK_SECONDS_MAX)
            if self._asks % LIST_EVERY == 0 and self._numbers_after(calls, number):
                return True

    def _is_there(self, calls: Calls, number: int) -> bool:
        try:
            self._size(calls, number)
        except SegmentNotFound:
            return False
        return True

    def sizes(self) -> Mapping[int, int]:
        """Return the size of each segment in bytes, by its number."""
        return self._listed(self._calls(), None)

    def _listed(self, calls: Calls, after: str | None) -> dict[int, int]:
        """Return the sizes of the segments by number: those with a key above *after*, or all.

        Raises `UnsafeStore` for a key that is almost that of a segment.
        """

        def list_once() -> dict[int, int]:
            found: dict[int, int] = {}
            for page in obstore.list(self._client, offset=after, chunk_size=1000):
                for meta in page:
                    key = meta["path"]
                    if KEY.fullmatch(key):
                        found[int(key)] = meta["size"]
                    elif ALMOST_A_KEY.fullmatch(key):
                        raise UnsafeStore(f"{self.name} holds {key!r}, which is almost the key of a segment: remove it")
            return found

        return calls.ask(list_once)

    def size(self, number: int) -> int:
        """Return the number of bytes in the segment. Raises `SegmentNotFound`."""
        return self._size(self._calls(), number)

    def _size(self, calls: Calls, number: int) -> int:
        key = self.segment_name(number)
        try:
            return int(calls.ask(lambda: obstore.head(self._client, key))["size"])
        except ABSENT:
            raise self._missing(number) from None

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes [start, end) of the segment. Raises `SegmentNotFound`."""
        calls = self._calls()
        if start == 0 and (end is None or end > 0):
            _, data = self._get(calls, number, 0, end)
            return data
        size = self._size(calls, number)  # a server refuses a range that begins at the end
        stop = size if end is None else min(end, size)
        return self._get(calls, number, start, stop)[1] if start < stop else b""

    def _get(self, calls: Calls, number: int, start: int, end: int | None) -> tuple[int, bytes]:
        """Return (size of the whole object, its bytes [start, end)). *start* is 0 or below the size."""
        key = self.segment_name(number)

        def get_once() -> tuple[int, bytes]:
            if start == 0 and end is None:
                result = obstore.get(self._client, key)
            elif end is None:
                result = obstore.get(self._client, key, options={"range": {"offset": start}})
            else:
                try:
                    result = obstore.get(self._client, key, options={"range": (start, end)})
                except obstore_errors.BaseError as error:
                    if start == 0 and NO_SUCH_RANGE in str(error):  # only an empty object has no byte from 0 on
                        return 0, b""
                    raise
            return int(result.meta["size"]), bytes(result.bytes())

        try:
            size, data = calls.ask(get_once)
        except ABSENT:
            raise self._missing(number) from None
        wanted = (size if end is None else min(end, size)) - start
        if len(data) != wanted:
            raise OSError(errno.EIO, f"the server sent {len(data)} of {wanted} bytes", f"{self.name}/{key}")
        return size, data

    def read_many(self, numbers: Sequence[int], end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        """Yield (number, size, the bytes [0, *end*)) of these segments in order, several of them fetched at a time."""
        calls, first = self._calls(), AHEAD_BYTES if end is None else min(end, AHEAD_BYTES)

        def fetch(number: int) -> tuple[int, bytes | None]:
            try:
                return self._get(calls, number, 0, first)
            except SegmentNotFound:
                return 0, None

        for number, (size, data) in fetch_in_order(numbers, fetch, at_once=self._options.reads_at_once):
            stop = size if end is None else min(end, size)
            if data is not None and len(data) < stop:
                yield number, size, data + self._get(calls, number, len(data), stop)[1]
            else:
                yield number, size, data

    def _missing(self, number: int) -> SegmentNotFound:
        return SegmentNotFound(f"{self.segment_name(number)} is not in {self.name}")

    def _calls(self) -> Calls:
        """Return what sends the requests of one call, or of one writer, until the store is closed."""
        refuse_after_fork(self.name)
        return Calls(self.name, self._options.deadline, self._closings)

    # Writing

    def acquire(self) -> None:
        """Make sure that the server refuses to create an object twice. Other writers are not kept out; `create` does.

        Raises `UnsafeStore` if it does not refuse, or if the prefix holds keys of something else. Raises `Locked` if
        this object is acquired already, `PermissionError` and `Unavailable`.
        """
        if self._writer is not None:
            raise Locked(f"{self.name} is open for writing through this very store object. Close that handle first.")
        calls = self._calls()
        self._refuse_foreign_keys(calls)
        is_new = self._put(calls, PROBE, b"walogs")
        if is_new and self._put(calls, PROBE, b"walogs again"):
            calls.ask(lambda: obstore.delete(self._client, PROBE))
            raise UnsafeStore(
                f"{self.name}: the server created one object twice, although it was asked to create it only if it is"
                " absent. Two writers would both be told that they won. Use a server with conditional writes."
            )
        self._writer = calls  # if it was closed meanwhile, the first request of the writer says so

    def _refuse_foreign_keys(self, calls: Calls) -> None:
        """Raise `UnsafeStore` if the prefix holds keys, and none of them is of a log."""
        page = calls.ask(lambda: next(iter(obstore.list(self._client, chunk_size=100)), []))
        keys = [meta["path"] for meta in page]
        foreign = [key for key in keys if key != PROBE and not KEY.fullmatch(key)]
        if foreign and len(foreign) == len(keys):
            why = f"holds other objects, such as {foreign[0]!r}, and no log"
            raise UnsafeStore(f"{self.name} {why}: use another prefix")

    def create(self, number: int, data: Buffer) -> None:
        """Put the object if its key is absent. It is durable on return.

        Raises `SegmentExists`, perhaps because an earlier attempt of this call had arrived. Raises `Unavailable` when
        the deadline is over; the object may be there then, or appear later. Raises `Closed` if the store is closed,
        also by another thread during this call.
        """
        calls, content = self._writing(), bytes(data)
        if len(content) > self.capabilities.segment_bytes_max:
            raise NoSpace(errno.EFBIG, f"{self.name} takes {self.capabilities.segment_bytes_max} bytes at a time")
        if not self._put(calls, self.segment_name(number), content):
            raise SegmentExists(f"{self.segment_name(number)} is in {self.name} already")

    def _put(self, calls: Calls, key: str, data: bytes) -> bool:
        """Create an object with one put, and return whether it was created. False: the server says that it is there."""
        try:
            calls.ask(lambda: obstore.put(self._client, key, data, mode="create", use_multipart=False), may_change=True)
        except TAKEN:
            return False
        except ABSENT:
            raise FileNotFoundError(errno.ENOENT, "there is no such bucket", self.name) from None
        return True

    def remove(self, numbers: Sequence[int]) -> None:
        """Delete these objects, many with one request where the server can. Absent ones are ignored."""
        calls, keys = self._writing(), [self.segment_name(number) for number in numbers]
        if not keys:
            return
        try:
            calls.ask(lambda: obstore.delete(self._client, keys))
        except ABSENT:  # it may have stopped at an absent key
            for key in keys:
                self._delete(calls, key)

    def _delete(self, calls: Calls, key: str) -> None:
        try:
            calls.ask(lambda: obstore.delete(self._client, key))
        except ABSENT:
            pass

    def _writing(self) -> Calls:
        """Return the requests of the writer. Raises `Closed` if there is none."""
        refuse_after_fork(self.name)
        writer = self._writer  # another thread may close the store now
        if writer is None:
            raise Closed(f"{self.name} is closed for writing")
        return writer

    def close(self) -> None:
        """End the writer, and the calls that are under way: each at the end of its attempt, or of its wait.

        Nothing is held on the server. The store object can be used again.
        """
        self._writer = None
        self._closings.end_calls()
