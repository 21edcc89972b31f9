"""What the two writers, of stores that append and of stores that do not, have in common: LSNs, poison, new headers.

A writer is called by one thread at a time. State is advanced after a commit is known good, never before; `_in_flight`
is set before the first byte of anything whose outcome could become unknown and cleared when it is known, so that an
exception anywhere between (a Ctrl-C inside an except clause too) leaves the handle poisoned (G7, G18).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from walogs.errors import Indefinite, Poisoned
from walogs.formats.segment_format import SegmentHeader

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from walogs.engine.source import Environment, Source
    from walogs.protocols import Codec

NEXT_MOVE: Final = "Close this handle and open the log again: recovery decides"


class WriterState:
    """LSNs, identity and poison of one open log."""

    def __init__(
        self, source: Source, environment: Environment, log_id: bytes, epoch: int, next_lsn: int, largest: int
    ) -> None:
        self._source = source
        self._largest = largest
        """Bytes of the largest segment that is made without need."""
        self._clock = environment.clock
        self._entropy = environment.entropy
        self._log_id = log_id
        self._writer_id = uuid_bytes(environment.entropy)
        self._epoch = epoch
        self._poison: BaseException | None = None
        self._in_flight = False
        self._monotonic = environment.monotonic
        self.sync_by_ns: int | None = None
        """What is written must be synced by then, on the monotonic clock; None: the policy wants nothing later."""
        self.shares_commits = True
        """Whether callers gain from being committed together: each commit is synced."""
        self.next_lsn = next_lsn
        self.durable_lsn = next_lsn - 1
        self.base_lsn = 1
        self.rewritten_bytes = 0
        self.removed_segments = 0

    @property
    def is_poisoned(self) -> bool:
        return self._in_flight or self._poison is not None

    def refuse_if_poisoned(self) -> None:
        if self._in_flight or self._poison is not None:
            cause = repr(self._poison) if self._poison is not None else "an interrupted write"
            message = f"{self._source.store.name} is poisoned by {cause}: nothing was written. {NEXT_MOVE}."
            raise Poisoned(message) from self._poison

    def _poisoned(self, error: BaseException, what: str, first_lsn: int | None, last_lsn: int | None) -> NoReturn:
        """The outcome is unknown. An `Exception` becomes `Indefinite`; an interrupt goes on as it is."""
        self._poison = error
        self.sync_by_ns = None
        message = f"the outcome of {what} in {self._source.store.name} is unknown: {error!r}. {NEXT_MOVE}."
        if isinstance(error, Exception):
            raise Indefinite(message, first_lsn=first_lsn, last_lsn=last_lsn) from error
        error.add_note(message)
        raise error

    def indefinite(self, error: BaseException | None, first_lsn: int, last_lsn: int) -> Indefinite:
        """For these entries of a commit that has poisoned this writer; None: an interrupt did."""
        cause = error.__cause__ if isinstance(error, Indefinite) else error
        why = repr(cause or self._poison or "it was interrupted")
        message = f"the outcome of this append in {self._source.store.name} is unknown: {why}. {NEXT_MOVE}."
        found = Indefinite(message, first_lsn=first_lsn, last_lsn=last_lsn)
        found.__cause__ = cause
        return found

    def body_bytes(self, count: int, entries_bytes: int) -> int:
        """Of a commit of so many entries."""
        return self._source.format.body_bytes(count, entries_bytes)

    def fits(self, count: int, entries_bytes: int) -> bool:
        """Whether a commit of so many entries fits an empty segment."""
        form, codec = self._source.format, self._source.codec
        body_bytes = form.body_bytes(count, entries_bytes)
        stored_bytes = body_bytes if codec.identity else codec.encoded_bytes_max(body_bytes)
        frame_bytes = form.frame_bytes(stored_bytes, codec.check_bytes)
        return body_bytes <= form.traits.body_bytes_max and form.traits.header_bytes + frame_bytes <= self._largest

    def _header(
        self,
        number: int,
        previous: SegmentHeader | None,
        previous_check: int,
        *,
        not_before: int,
        fence: bool = False,
        base: bool = False,
    ) -> SegmentHeader:
        """The header of the next segment, created at *not_before* (Unix nanoseconds) at the earliest."""
        return SegmentHeader(
            number=number,
            first_lsn=self.next_lsn,
            base_lsn=self.base_lsn,
            epoch=self._epoch,
            log_id=self._log_id,
            writer_id=self._writer_id,
            salt=salt(self._entropy),
            previous_salt=previous.salt if previous is not None else 0,
            previous_check=previous_check,
            created_ns=max(self._clock(), not_before),
            codec_name=self._source.codec.name,
            codec_parameters=self._source.codec_parameters,
            is_fence=fence,
            is_base=base,
        )


def refuse_more_than_promised(codec: Codec, stored_bytes: int, stored_max: int) -> None:
    """A codec that stores more than it said would write past the room that was made for it."""
    if stored_bytes > stored_max:
        promised = f"encoded_bytes_max said {stored_max}"
        raise RuntimeError(f"codec {codec.name!r} stored {stored_bytes} bytes, and {promised}. Nothing was written.")


def uuid_bytes(entropy: Callable[[int], bytes]) -> bytes:
    """A random UUID (version 4, RFC 9562)."""
    raw = bytearray(entropy(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return bytes(raw)


def salt(entropy: Callable[[int], bytes]) -> int:
    """Random, and never 0."""
    while True:
        value = int.from_bytes(entropy(4), "little")
        if value:
            return value
