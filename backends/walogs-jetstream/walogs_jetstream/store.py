"""`jetstream`: a store whose segments are the messages of one stream. Each commit is the next message.

The number of a segment is the number (sequence) of its message. The server stores a message only if the stream ends at
the expected one. If two writers publish the same number, only one of them succeeds. So the later writer fences the
earlier one.

    stream orders, subject walogs.orders
        message 7     segment 7
"""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Final

from nats.js.errors import APIError, NotFoundError

from walogs import Closed, Locked, NoSpace, Unavailable, UnsafeStore
from walogs.plugins import DEADLINE_SECONDS, SegmentExists, SegmentNotFound, StoreCapabilities
from walogs_jetstream.address import parse_address
from walogs_jetstream.ahead import read_in_order, read_some
from walogs_jetstream.connection import Connection
from walogs_jetstream.failures import CONFLICTS, NO_SUCH_SEQUENCE
from walogs_jetstream.fsync import refuse_lazy_servers
from walogs_jetstream.options import REPLICAS, JetStreamOptions
from walogs_jetstream.stream import Stream, request
from walogs_jetstream.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from nats.aio.client import Client
    from nats.js.api import PubAck
    from typing_extensions import Buffer

    from walogs_jetstream.connection import Calls

EXPECTED_STREAM: Final = "Nats-Expected-Stream"
EXPECTED_LAST: Final = "Nats-Expected-Last-Sequence"
"""Names of headers. A server ignores a header that is spelled in another way, and one without a value."""
HEADER_BYTES: Final = 512
"""Space for the headers of a message, which count towards the server's limit."""
PAYLOAD_BYTES: Final = 1 << 20
"""A server's limit for a message, unless it is configured otherwise. It counts until `acquire` has asked the server."""
AGAIN_SECONDS: Final = 0.1


class JetStreamStore:
    """A `SegmentStore` in a stream of NATS JetStream, such as `nats://n1:4222,n2:4222,n3:4222/orders`.

    Raises `ValueError` for an address or an option that is not valid. Nothing is sent before the first call.
    """

    def __init__(
        self,
        path: str,
        replicas: int = REPLICAS,
        monitoring: tuple[str, ...] = (),
        fsync: Literal["required", "trusted"] = "required",
        credentials: str | None = None,
        deadline: float = DEADLINE_SECONDS,
    ) -> None:
        self._options = JetStreamOptions(
            replicas=replicas, monitoring=monitoring, fsync=fsync, credentials=credentials, deadline=deadline
        )
        self._address = parse_address(path)
        self.name = f"{','.join(self._address.servers)}/{self._address.stream}"
        self._connection = Connection(self.name, self._address, self._options)
        self._writer: Calls | None = None
        """The requests of the writer. None while there is none: before `acquire`, and after `close`."""
        self._watch: Watch | None = None
        """What the present connection was told of the end of the stream."""
        self._segment_bytes_max = PAYLOAD_BYTES - HEADER_BYTES

    @property
    def capabilities(self) -> StoreCapabilities:
        """What the store can do. The server decides how large a segment can be: ask for it after `acquire`."""
        return StoreCapabilities(
            appendable=False,
            torn_tail=False,
            exclusion="create_if_absent",
            numbers_reused=False,
            exists_means_durable=True,
            segment_bytes_max=self._segment_bytes_max,
            persistence="replicated" if self._options.replicas > 1 else "disk",
        )

    # Reading. It changes nothing.

    def segment_name(self, number: int) -> str:
        """Return how messages call the segment."""
        return f"message {number}"

    def segments(self) -> Sequence[int]:
        """Return the numbers of all segments, ascending."""
        return self.segments_after(0)

    def segments_after(self, number: int) -> Sequence[int]:
        """Return the numbers above *number*, ascending."""
        return Stream(self._connection.calls(), self._address).numbers_after(number)

    def wait_beyond(self, number: int, seconds: float) -> bool:
        """Wait until there may be a segment above *number*, and return whether there may be one.

        The server pushes the news. If it pushes nothing, it is asked every few seconds.
        """

        async def wait(client: Client) -> bool:
            watch = self._watch
            if watch is None or watch.client is not client:
                self._watch = watch = Watch(self._address, client)
            return await watch.wait_beyond(number, seconds)

        calls = self._connection.calls()
        try:
            return calls.ask(wait, about="CONSUMER.", waits=seconds)
        except NotFoundError:  # no such stream
            calls.pause(min(seconds, 1.0))
            return False

    def size(self, number: int) -> int:
        """Return the number of bytes in the segment. Raises `SegmentNotFound`. The server sends all of them."""
        return len(self.read(number))

    def read(self, number: int, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes [start, end) of the segment. Raises `SegmentNotFound`. The server sends all bytes."""
        data = read_some(self._connection.calls(), self._address, [number])[0]
        if data is None:
            raise SegmentNotFound(f"{self.segment_name(number)} is not in {self.name}")
        return data[start:end]

    def read_many(self, numbers: Sequence[int], end: int | None = None) -> Iterator[tuple[int, int, bytes | None]]:
        """Yield (number, size, the bytes [0, *end*)) of these segments in order, many of them requested at a time."""
        for number, data in read_in_order(self._connection.calls(), self._address, numbers):
            yield (number, 0, None) if data is None else (number, len(data), data[:end])

    # Writing

    def acquire(self) -> None:
        """Make the stream if there is none, and make sure that it keeps what it has acknowledged.

        Other writers are not kept out; `create` does. Raises `UnsafeStore` if the stream or a server could lose what
        was acknowledged. Raises `Locked` if this object is acquired already, `PermissionError` and `Unavailable`.
        """
        if self._writer is not None:
            raise Locked(f"{self.name} is open for writing through this very store object. Close that handle first.")
        calls = self._connection.calls()
        try:
            self._prepare(calls)
        except BaseException:
            self._connection.close()
            raise
        self._writer = calls  # if it was closed meanwhile, the first request of the writer says so

    def _prepare(self, calls: Calls) -> None:
        if self._options.fsync == "required":
            refuse_lazy_servers(self.name, self._options.monitoring, self._options.deadline, calls.pause)
        stream = Stream(calls, self._address)
        found = stream.information()
        if found is None:
            stream.make(self._options.replicas)
            found = stream.information() or {}
        state = found["state"]
        if state["last_seq"] and not state["messages"]:
            raise UnsafeStore(
                f"{self.name}: the stream ended at message {state['last_seq']}, and all messages were removed. What was"
                " in the log is lost. Nothing was written. Use another stream, or restore this one."
            )
        problems = list(stream.problems(found["config"], self._options.replicas))
        if problems:
            what = f"the stream {self._address.stream} is not configured for a log"
            raise UnsafeStore(f"{self.name}: {what}: {'; '.join(problems)}. Nothing was written.")
        self._segment_bytes_max = self._limit(calls, found["config"]) - HEADER_BYTES

    def _limit(self, calls: Calls, configuration: dict[str, int]) -> int:
        """Return how many bytes a message can have, with its headers."""

        async def ask(client: Client) -> int:
            return client.max_payload

        of_the_stream = configuration.get("max_msg_size", -1)
        of_the_server = calls.ask(ask, about=self._address.subject)
        return of_the_server if of_the_stream in (-1, 0) else min(of_the_server, of_the_stream)

    def create(self, number: int, data: Buffer) -> None:
        """Publish the message if the stream ends at the one before it. Every server of the stream's majority has it on
        return.

        Raises `SegmentExists`, perhaps because an earlier attempt of this call had arrived. Raises `Unavailable` when
        the deadline is over; the segment may be there then, or appear later. Raises `UnsafeStore` if the stream has
        lost messages. Raises `Closed` if the store is closed, also by another thread during this call.
        """
        calls, content = self._writing(), bytes(data)
        if len(content) > self._segment_bytes_max:
            raise NoSpace(errno.EFBIG, f"{self.name} takes {self._segment_bytes_max} bytes at a time")
        headers = {EXPECTED_STREAM: self._address.stream, EXPECTED_LAST: str(number - 1)}

        async def publish(client: Client) -> PubAck:
            return await client.jetstream().publish(self._address.subject, content, headers=headers, timeout=60)

        end = time.monotonic() + self._options.deadline
        while True:
            try:
                stored = calls.ask(publish, about=self._address.subject, may_change=True)
            except APIError as error:
                if error.err_code not in CONFLICTS:
                    raise
                self._refuse_conflict(calls, number, error, is_over=time.monotonic() > end)
            else:
                if stored.seq != number:
                    raise UnsafeStore(f"{self.name}: the server stored message {stored.seq}, and not {number}")
                return
            calls.pause(AGAIN_SECONDS)

    def _refuse_conflict(self, calls: Calls, number: int, error: APIError, *, is_over: bool) -> None:
        """Raise `SegmentExists` if the number is taken. Return if it is free, so that it can be tried again."""
        newest = Stream(calls, self._address).newest()
        if newest >= number:
            raise SegmentExists(f"{self.segment_name(number)} is in {self.name} already") from error
        if is_over and newest < number - 1:
            raise UnsafeStore(
                f"{self.name} ends at {self.segment_name(newest)}, although {self.segment_name(number - 1)} was"
                " acknowledged: the servers have lost messages"
            ) from error
        if is_over:
            raise Unavailable(f"{self.name} did not take {self.segment_name(number)}: {error.description}") from error

    def remove(self, numbers: Sequence[int]) -> None:
        """Remove these messages. Absent ones are ignored. The messages before them go with one request."""
        calls, wanted = self._writing(), frozenset(numbers)
        if not wanted:
            return
        there = Stream(calls, self._address).numbers_after(0)
        kept = next((number for number in there if number not in wanted), 0)
        name = self._address.stream
        if kept and there[0] < kept:
            purge = f"STREAM.PURGE.{name}"
            calls.ask(lambda client: request(client, purge, {"seq": kept}), about=purge)
        for number in sorted(wanted):
            if number > kept and number in there:
                self._delete(calls, number)

    def _delete(self, calls: Calls, number: int) -> None:
        what = f"STREAM.MSG.DELETE.{self._address.stream}"
        try:
            calls.ask(lambda client: request(client, what, {"seq": number}), about=what)
        except NotFoundError:
            pass
        except APIError as error:
            if error.err_code != NO_SUCH_SEQUENCE:
                raise

    def _writing(self) -> Calls:
        """Return the requests of the writer. Raises `Closed` if there is none."""
        writer = self._writer  # another thread may close the store now
        if writer is None:
            raise Closed(f"{self.name} is closed for writing")
        return writer

    def close(self) -> None:
        """End the connection, the writer, and the calls that are under way. A later call that reads connects again."""
        self._writer = self._watch = None
        self._connection.close()
