"""What reading and writing share: the components of a log, the outside world, and the wording of damage."""

from __future__ import annotations

import time
from _thread import start_new_thread
from typing import TYPE_CHECKING, Final, NamedTuple

from walogs.errors import Corrupt, UnsupportedFormat, WalError
from walogs.formats import walogs_rs
from walogs.formats.segment_format import Malformed, SegmentFormat, SegmentHeader
from walogs.foundation.foreign import error_text
from walogs.protocols import Codec, SegmentStore, is_appendable, is_repairable

if TYPE_CHECKING:
    from collections.abc import Callable


READ_WHAT_IS_LEFT: Final = (
    "restore the log from a backup; or see what is left of it: `walogs verify` lists all damage, `walogs salvage` reads"
    " what is intact"
)
REPAIR: Final = ", `walogs repair --dry-run` tells what each repair would keep"
FUNCTIONS: Final = ". Python has functions of these names."


def start_thread(run: Callable[[], None]) -> None:
    """Start a thread that does not keep the interpreter from ending.

    `threading.Thread` is not used, because its `start` waits for the new thread. If an exception from outside hits the
    new thread before its first statement, `start` waits for ever.
    """
    start_new_thread(run, ())


def nobody_knows() -> None:
    """Return None: it is unknown which entry of a damaged segment is the first in doubt."""


class Environment(NamedTuple):
    """What the engine takes from the outside world. Assembly passes it in, so that tests can replace it."""

    clock: Callable[[], int]
    """Returns Unix time in nanoseconds."""
    entropy: Callable[[int], bytes]
    """Returns the given number of random bytes."""
    sleep: Callable[[float], None]
    """Waits for the given number of seconds."""
    monotonic: Callable[[], int] = time.monotonic_ns
    """Returns nanoseconds since some moment. It never goes back."""
    spawn: Callable[[Callable[[], None]], object] = start_thread
    """Starts a thread that calls the given function. Raises `RuntimeError` if no thread can be started."""
    writer_name: Callable[[], str] = str
    """Returns the name of this process, for the headers of its segments."""


class LogSource(NamedTuple):
    """The components of one log that reading and writing both need, resolved once."""

    store: SegmentStore
    """What is read: the store of the log, or a view of it that lasts for one reading."""
    store_of_log: SegmentStore
    format: SegmentFormat
    codec: Codec
    """The codec of everything that is written from now on."""
    asked_codec: Codec | None
    """The codec, if it has to be asked for the check of a frame. None if that is known to be the CRC-32."""
    codec_parameters: bytes
    codec_named: Callable[[str, bytes], Codec]
    """Returns the codec that reads segments stamped with the given name and parameters.

    Raises `ConfigError`, `PluginError`, `UnsupportedFormat`.
    """

    def with_store(self, store: SegmentStore) -> LogSource:
        """Return the same log, read through a view of its store."""
        return self._replace(store=store)

    def codec_of(self, segment: SegmentHeader) -> Codec:
        """Return the codec that a segment was written with. It raises nothing if `header` has read the segment."""
        if self.is_of_our_codec(segment):
            return self.codec
        return self.codec_named(segment.codec_name, segment.codec_parameters)

    def is_of_our_codec(self, segment: SegmentHeader) -> bool:
        return segment.codec_name == self.codec.name and segment.codec_parameters == self.codec_parameters

    def corrupt(
        self,
        why: str,
        number: int | None = None,
        offset: int | None = None,
        lsn: int | None = None,
        *,
        can_be_cut: bool = False,
    ) -> Corrupt:
        """Return a `Corrupt` that says where the damage is, what it is and what can be done.

        *can_be_cut* says that an open with `recovery="prefix"` would succeed.
        """
        place = self.store.name if number is None else f"{self.store.segment_name(number)} in {self.store.name}"
        at = "" if offset is None else f" at byte {offset}"
        entry = "" if lsn is None else f" (entry {lsn})"
        damage = f"{place} is corrupt{at}{entry}: {why}."
        return self._damage_error(damage, number, offset, lsn, can_be_cut=can_be_cut)

    def missing(self, number: int | None, first_lsn: int, last_lsn: int) -> Corrupt:
        """Return a `Corrupt` that says which entries are gone with a segment.

        *number* is None if it is unknown which segment held them. *last_lsn* is below *first_lsn* if it held none.
        """
        what = f"entries {first_lsn} to {last_lsn}" if last_lsn > first_lsn else f"entry {first_lsn}"
        why = f"{what} should be there, and {'are' if last_lsn > first_lsn else 'is'} gone"
        if number is not None:
            has_entries = last_lsn >= first_lsn
            lost = f"and {what} with it" if has_entries else "which held no entry, but a part of the log's history"
            why = f"{self.store.segment_name(number)} is missing, {lost}"
        return self._damage_error(f"{self.store.name} is corrupt (entry {first_lsn}): {why}.", number, None, first_lsn)

    def _damage_error(
        self, damage: str, segment: int | None, offset: int | None, lsn: int | None, *, can_be_cut: bool = False
    ) -> Corrupt:
        """Return a `Corrupt` whose message is *damage* (a sentence), then what is true now, then what can be done."""
        moves = f"{READ_WHAT_IS_LEFT}{REPAIR if is_repairable(self.store_of_log) else ''}{FUNCTIONS}"
        cut = ' recovery="prefix" opens the log, and gives up everything from there on.' if can_be_cut else ""
        message = f"{damage} Nothing was changed.\nNext: {moves}{cut}"
        return Corrupt(message, segment=segment, offset=offset, lsn=lsn, damage=damage)

    def header(self, number: int, in_doubt: Callable[[], int | None] = nobody_knows) -> SegmentHeader:
        """Read and return the header of a segment.

        A segment appears whole, so a bad header is damage and never a torn write. *in_doubt* is called if the header is
        damaged, and returns the first entry in doubt. Raises `SegmentNotFound`, `Corrupt`, `UnsupportedFormat`.
        """
        data = self.store.read(number, 0, self.format.traits.header_bytes)
        name = f"{self.store.segment_name(number)} in {self.store.name}"
        try:
            header = self.format.decode_header(data)
        except UnsupportedFormat as error:
            move = "Open it with the release of walogs that wrote it, or a later one. Nothing was changed."
            raise UnsupportedFormat(f"{name} has {error}. {move}", segment=number, found=error.found) from None
        except Malformed as error:
            if self._is_of_the_crate(number):
                why = "is of a log of the Rust crate walogs 0.1 (format walogs-rs), which this release does not read"
                move = "Give the new log a directory of its own. Nothing was changed."
                raise UnsupportedFormat(f"{name} {why}. {move}", segment=number, found="walogs-rs") from None
            raise self.corrupt(str(error), number, 0, in_doubt()) from None
        if header.number != number:
            why = f"it says that it is segment {header.number}: renamed, swapped or copied"
            raise self.corrupt(why, number, 48, in_doubt())
        try:
            self.codec_of(header)
        except UnsupportedFormat as error:  # the codec at hand says itself why
            raise self._of_other_codec(header, error_text(error)) from error
        except WalError as error:
            move = "Open the log with the parameters it was written with"
            if header.codec_name != self.codec.name:
                move = f"Open the log with codec={header.codec_name!r}, and install the package that provides it"
            raise self._of_other_codec(header, f"{move} ({error_text(error)})") from error
        if not self.format.is_header_of(data, header, self.codec_of(header)):
            raise self.corrupt(f"its header's check is not one of codec {header.codec_name!r}", number, 0)
        return header

    def _is_of_the_crate(self, number: int) -> bool:
        """Return whether a segment is of a log of the Rust crate.

        A new log of the crate is one empty segment. An empty segment beside a durable mark, or beside segments of
        walogs, is damage instead. So is an empty one in a store that cannot append: the crate only writes files.
        """
        head = self.store.read(number, 0, walogs_rs.HEAD_BYTES)
        if head or not walogs_rs.recognises(head):
            return walogs_rs.recognises(head)
        if not is_appendable(self.store) or self.store.read_durable_mark() is not None:
            return False
        return not any(self.format.begins(self.store.read(other, 0, 8)) for other in self.store.segments())

    def refuse_other_codec(self, header: SegmentHeader) -> None:
        """Raise `UnsupportedFormat` if a segment was written with another codec than the configured one.

        This keeps a writer from changing the codec of a log by mistake.
        """
        if not self.is_of_our_codec(header):
            move = f"Open the log with codec={header.codec_name!r}, as it was written"
            if header.codec_name == self.codec.name:
                move = "Open the log with a codec object of these parameters, or name them in a configuration file"
            raise self._of_other_codec(header, f"{move}; or go on in a new segment with change_codec=True")

    def _of_other_codec(self, header: SegmentHeader, move: str) -> UnsupportedFormat:
        name = f"{self.store.segment_name(header.number)} in {self.store.name}"
        if header.codec_name != self.codec.name:
            why = f"was written with codec {header.codec_name!r}, and opened with {self.codec.name!r}"
        else:
            written, given = header.codec_parameters.decode("utf-8", "replace"), self.codec_parameters.decode()
            why = f"was written with {self.codec.name} parameters {written}, and opened with {given}"
        message = f"{name} {why}. {move.rstrip('.')}. Nothing was changed."
        return UnsupportedFormat(message, segment=header.number, found=header.codec_name)
