"""What both writers share, the one for stores that append and the one for immutable segments: LSNs and poison.

One thread at a time calls a writer. Two rules keep its state true (G7, G18):

1. The state advances only after a commit is known to be good.
2. `_in_flight` is set before the first byte is written, and cleared when the outcome is known. An exception anywhere in
   between leaves the handle poisoned, even a Ctrl-C inside an `except` clause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from walogs.engine.new_segments import warn
from walogs.errors import OutcomeUnknown, Poisoned, WalError
from walogs.formats.segment_format import LARGEST
from walogs.foundation.foreign import describe

if TYPE_CHECKING:
    from typing import NoReturn

    from walogs.engine.log_source import Environment, LogSource
    from walogs.engine.segments import ActiveSegment
    from walogs.engine.takeover import Takeover
    from walogs.protocols import Codec

NEXT_MOVE: Final = "Close this handle and open the log again: recovery decides"


class WriterState:
    """The LSNs and the poison of one open log."""

    def __init__(
        self,
        source: LogSource,
        environment: Environment,
        takeover: Takeover[ActiveSegment] | Takeover[None],
        segment_bytes: int,
    ) -> None:
        self._source = source
        self._segment_bytes = segment_bytes
        """Size in bytes of the largest segment that is made, unless one entry needs a larger one."""
        self._now_ns = environment.clock
        self._headers = takeover.headers
        self._poison: BaseException | None = None
        self._in_flight = False
        self._monotonic = environment.monotonic
        self._spawn = environment.spawn
        self._has_unreported_failure = False
        """Whether a sync of acknowledged entries has failed in the background, and no caller has been told yet."""
        self.sync_by_ns: int | None = None
        """When the written entries must be synced, on the monotonic clock; None if the policy asks for no sync."""
        self.shares_commits = True
        """Whether several callers gain from one commit, because each commit is synced."""
        self.next_lsn = takeover.next_lsn
        self._first_own_lsn = takeover.next_lsn
        self.durable_lsn = takeover.next_lsn - 1
        self.log_first_lsn = takeover.log_first_lsn
        self.completed = list(takeover.completed)

    @property
    def has_leftovers(self) -> bool:
        """Whether the caller of `checkpoint` has to call `remove_leftovers`. An appendable store needs no such call."""
        return False

    def remove_leftovers(self) -> None:
        """Remove some more of the segments that a checkpoint has given up."""

    @property
    def is_poisoned(self) -> bool:
        """Whether the handle refuses to write, because it is not known what is on the disk."""
        return self._in_flight or self._poison is not None

    def refuse_if_poisoned(self) -> None:
        """Raise `Poisoned` if the log is poisoned, or if a write was interrupted."""
        if self._in_flight or self._poison is not None:
            self._has_unreported_failure = False
            raise self.refusal()

    def refusal(self) -> Poisoned:
        """Return the error for a call to a poisoned log. It says which earlier entries may not be durable."""
        cause = describe(self._poison) if self._poison is not None else "an interrupted write"
        name, doubt = self._source.store.name, self._in_doubt()
        refused = Poisoned(f"{name} is poisoned by {cause}: nothing was written. {doubt}{NEXT_MOVE}.")
        refused.__cause__ = self._poison
        return refused

    def _in_doubt(self, first_lsn: int | None = None) -> str:
        """Return a sentence that names the acknowledged entries that may not be durable.

        It is empty if there are none, or if the error names them itself (they begin at *first_lsn*).
        """
        if self.durable_lsn + 1 in (self.next_lsn, first_lsn):
            return ""
        return f"Entries {self.durable_lsn + 1} to {self.next_lsn - 1}, appended before, may not be durable. "

    def note_unreported_failure(self) -> None:
        """Note that a sync failed in the background. The next verb, or `close`, names the entries in doubt."""
        self._has_unreported_failure = self.durable_lsn + 1 < self.next_lsn

    def note_reported(self) -> None:
        """Note that an error has told a caller that the log is poisoned."""
        self._has_unreported_failure = False

    def _report_failed_sync(self) -> None:
        """Raise `OutcomeUnknown` if a background sync has failed and no caller knows yet.

        Verbs that concern entries written before them call this first.
        """
        if self._has_unreported_failure:
            self._has_unreported_failure = False
            first_lsn, last_lsn = self.durable_lsn + 1, self.next_lsn - 1
            raise self.outcome_unknown_error(
                None, first_lsn, last_lsn, f"the sync of entries {first_lsn} to {last_lsn}"
            )

    def _raise_outcome_unknown(
        self, error: BaseException, what: str, first_lsn: int | None, last_lsn: int | None
    ) -> NoReturn:
        """Poison the log, because the outcome of *what* is unknown.

        Raises `OutcomeUnknown` from an `Exception`. An interrupt is raised again as it is, with a note.
        """
        self._poison = error
        self.sync_by_ns = None
        name, doubt = self._source.store.name, self._in_doubt(first_lsn)
        message = f"the outcome of {what} in {name} is unknown: {describe(error)}. {doubt}{NEXT_MOVE}."
        if isinstance(error, Exception):
            raise OutcomeUnknown(message, first_lsn=first_lsn, last_lsn=last_lsn) from error
        error.add_note(message)
        raise error

    def outcome_unknown_error(
        self, error: BaseException | None, first_lsn: int, last_lsn: int, what: str = "this append"
    ) -> OutcomeUnknown:
        """Return the `OutcomeUnknown` for these entries, after *what* has poisoned this writer.

        The cause is *error*, or else the error that the writer remembers.
        """
        cause = error.__cause__ if isinstance(error, OutcomeUnknown) else error
        why = describe(cause or self._poison or "it was interrupted")
        name, doubt = self._source.store.name, self._in_doubt(first_lsn)
        message = f"the outcome of {what} in {name} is unknown: {why}. {doubt}{NEXT_MOVE}."
        found = OutcomeUnknown(message, first_lsn=first_lsn, last_lsn=last_lsn)
        found.__cause__ = cause or self._poison
        return found

    def body_bytes(self, count: int, entries_bytes: int) -> int:
        """Return the length in bytes of the body of a commit of so many entries."""
        return self._source.format.body_bytes(count, entries_bytes)

    def fits(self, count: int, entries_bytes: int) -> bool:
        """Return whether a commit of so many entries fits into an empty segment."""
        form, codec = self._source.format, self._source.codec
        body_bytes = form.body_bytes(count, entries_bytes)
        stored_bytes = body_bytes if codec.identity else codec.encoded_bytes_max(body_bytes)
        frame_bytes = form.frame_bytes(stored_bytes, codec.check_bytes)
        return (
            body_bytes <= form.traits.body_bytes_max and form.traits.header_bytes + frame_bytes <= self._segment_bytes
        )

    def _refuse_beyond_lsns(self, first_lsn: int, count: int) -> None:
        """Raise `WalError` if the entries would need LSNs that do not exist. No open would accept them."""
        if first_lsn + count > LARGEST:
            left = f"{LARGEST - first_lsn} LSNs are left, and {count} would be needed"
            raise WalError(f"{self._source.store.name}: {left}. Nothing was written. Begin another log.")

    def _warn(self, message: str, *args: object) -> None:
        """Log a warning about a failure that loses no entry."""
        warn(self._spawn, message, *args)


def refuse_more_than_promised(codec: Codec, stored_bytes: int, stored_max: int) -> None:
    """Raise `RuntimeError` if a codec stored more than it said. It would be written beyond the room made for it."""
    if stored_bytes > stored_max:
        promised = f"encoded_bytes_max said {stored_max}"
        raise RuntimeError(f"codec {codec.name!r} stored {stored_bytes} bytes, and {promised}. Nothing was written.")
